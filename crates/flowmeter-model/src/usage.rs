//! What an LLM call used: token counts by kind, each with where the figure came from.
//!
//! Canonical meaning: `input` includes cache reads and writes, `output` includes reasoning. Bringing a
//! provider's numbers into that form is `flowmeter-pricing`'s work, never this crate's.

use serde::{Deserialize, Serialize};

use crate::UsdNanos;

/// Who counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureSource {
    /// The provider's own usage block.
    Provider,
    /// A `gen_ai.usage.*` attribute of somebody else's span.
    Convention,
    /// A tokenizer run over the text.
    Tokenizer,
    /// UTF-8 bytes ÷ 4.
    Estimate,
}

/// A token count and who counted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Figure {
    /// Number of tokens.
    pub tokens: u64,
    /// Who counted.
    pub source: FigureSource,
}

impl Figure {
    /// A count the provider gave.
    #[must_use]
    pub fn provider(tokens: u64) -> Self {
        Self {
            tokens,
            source: FigureSource::Provider,
        }
    }

    /// A count estimated from the text's length.
    #[must_use]
    pub fn estimate(tokens: u64) -> Self {
        Self {
            tokens,
            source: FigureSource::Estimate,
        }
    }
}

/// The usage of one LLM call. `None` means that nobody said, which is not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// All input tokens, cache reads and writes included.
    pub input: Option<Figure>,
    /// Input tokens that were read from the provider's prompt cache (part of `input`).
    pub cache_read: Option<Figure>,
    /// Input tokens written to the cache for five minutes (part of `input`).
    pub cache_write_5m: Option<Figure>,
    /// Input tokens written to the cache for one hour (part of `input`).
    pub cache_write_1h: Option<Figure>,
    /// All output tokens, reasoning included.
    pub output: Option<Figure>,
    /// Output tokens spent on reasoning (part of `output`).
    pub reasoning: Option<Figure>,
    /// Audio tokens in the input (part of `input`).
    pub input_audio: Option<Figure>,
    /// Image tokens in the input (part of `input`).
    pub input_image: Option<Figure>,
    /// Audio tokens in the output (part of `output`).
    pub output_audio: Option<Figure>,
    /// Web searches that the provider ran and charges apart.
    pub web_searches: Option<u64>,
    /// The cost in USD where the provider itself reports it.
    pub reported_cost: Option<UsdNanos>,
    /// Service tier that the provider says it used (`priority`, `flex`, `batch`, …).
    pub service_tier: Option<String>,
}

impl TokenUsage {
    /// Input tokens, 0 where unknown: for sums that show how many calls were unknown beside them.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        self.input.map_or(0, |figure| figure.tokens)
    }

    /// Output tokens, 0 where unknown.
    #[must_use]
    pub fn output_tokens(&self) -> u64 {
        self.output.map_or(0, |figure| figure.tokens)
    }

    /// Whether anything at all is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.input.is_some() || self.output.is_some() || self.reported_cost.is_some()
    }

    /// Whether any token figure was estimated rather than counted.
    #[must_use]
    pub fn is_estimated(&self) -> bool {
        [self.input, self.output]
            .into_iter()
            .flatten()
            .any(|figure| figure.source == FigureSource::Estimate)
    }
}
