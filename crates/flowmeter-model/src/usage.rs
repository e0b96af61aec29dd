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

impl FigureSource {
    /// Whether the figure is a guess: nobody who bills for the tokens has counted them.
    #[must_use]
    pub fn is_estimate(self) -> bool {
        matches!(self, Self::Tokenizer | Self::Estimate)
    }
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

    /// A count that a tokenizer gave.
    #[must_use]
    pub fn tokenizer(tokens: u64) -> Self {
        Self {
            tokens,
            source: FigureSource::Tokenizer,
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
///
/// The counts of parts overlap: audio that was read from the cache stands in `cache_read`, in
/// `input_audio` and in `cache_read_audio`. What was not cached of a kind is the kind less its cached part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// All input tokens, cache reads and writes included.
    pub input: Option<Figure>,
    /// Input tokens that were read from the provider's prompt cache (part of `input`).
    pub cache_read: Option<Figure>,
    /// Input tokens written to the cache at the provider's default life: five minutes, at OpenAI thirty
    /// (part of `input`).
    pub cache_write_5m: Option<Figure>,
    /// Input tokens written to the cache at the provider's long life: one hour, at OpenAI twelve (part of
    /// `input`).
    pub cache_write_1h: Option<Figure>,
    /// All output tokens, reasoning included.
    pub output: Option<Figure>,
    /// Output tokens spent on reasoning (part of `output`).
    pub reasoning: Option<Figure>,
    /// Audio tokens in the input (part of `input`).
    pub input_audio: Option<Figure>,
    /// Image tokens in the input, pages of documents included (part of `input`).
    pub input_image: Option<Figure>,
    /// Audio tokens in the output (part of `output`).
    pub output_audio: Option<Figure>,
    /// Web searches that the provider ran and charges apart.
    pub web_searches: Option<u64>,
    /// The cost in USD where the provider itself reports it.
    pub reported_cost: Option<UsdNanos>,
    /// Service tier that the provider says it used (`priority`, `flex`, `batch`, …).
    pub service_tier: Option<String>,
    /// Video tokens in the input (part of `input`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_video: Option<Figure>,
    /// Audio tokens read from the cache (part of `cache_read` and of `input_audio`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_audio: Option<Figure>,
    /// Image tokens read from the cache (part of `cache_read` and of `input_image`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_image: Option<Figure>,
    /// Video tokens read from the cache (part of `cache_read` and of `input_video`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_video: Option<Figure>,
    /// Image tokens in the output (part of `output`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_image: Option<Figure>,
    /// Video tokens in the output (part of `output`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_video: Option<Figure>,
    /// Tokens of the sources cited, which Perplexity charges at a rate of their own (part of `output`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citation: Option<Figure>,
    /// Pages that the provider fetched; nobody charges for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_fetches: Option<u64>,
    /// Searches in the user's stored files that the provider ran and charges apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_searches: Option<u64>,
    /// Searches of a rerank call (Cohere's search units).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_units: Option<u64>,
    /// Length of the audio that is charged by its length, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_ms: Option<u64>,
    /// Pages of documents that were read and are charged by the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_pages: Option<u64>,
    /// Where the call was computed, if the provider says so (`us`, `global`); Anthropic charges 1.1 times
    /// as much for `us`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference_geo: Option<String>,
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

    /// Whether anything at all is known that may be charged.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let counted = [
            self.web_searches,
            self.search_units,
            self.audio_ms,
            self.document_pages,
        ];
        self.input.is_some()
            || self.output.is_some()
            || self.reported_cost.is_some()
            || counted.iter().any(Option::is_some)
    }

    /// Whether any token figure was estimated, from the text or by a tokenizer, rather than counted by the
    /// provider.
    #[must_use]
    pub fn is_estimated(&self) -> bool {
        [self.input, self.output]
            .into_iter()
            .flatten()
            .any(|figure| figure.source.is_estimate())
    }
}
