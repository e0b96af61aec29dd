//! The narrow row of a span: what lists, sums and analyses need, without prompts, answers and attributes.
//!
//! Never holds a payload.

use flowmeter_model::{CostStatus, SpanId, SpanKind, SpanStatus, TimestampNs, TokenUsage, UsdNanos};
use smol_str::SmolStr;

use crate::{RunFilter, RunKey};

/// Token counts by kind; an unknown count adds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenSums {
    /// All input tokens, those of the provider's cache included.
    pub input: u64,
    /// Of these, read from the provider's cache.
    pub cache_read: u64,
    /// Of these, written to the provider's cache, at any life.
    pub cache_write: u64,
    /// All output tokens, reasoning included.
    pub output: u64,
    /// Of these, reasoning.
    pub reasoning: u64,
}

impl TokenSums {
    /// The counts of one call.
    #[must_use]
    pub fn of(usage: &TokenUsage) -> Self {
        let tokens = |figure: Option<flowmeter_model::Figure>| figure.map_or(0, |figure| figure.tokens);
        Self {
            input: tokens(usage.input),
            cache_read: tokens(usage.cache_read),
            cache_write: tokens(usage.cache_write_5m).saturating_add(tokens(usage.cache_write_1h)),
            output: tokens(usage.output),
            reasoning: tokens(usage.reasoning),
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.input = self.input.saturating_add(other.input);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }

    /// Input and output.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// One span without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRow {
    /// The run.
    pub run: RunKey,
    /// The workflow of that run.
    pub workflow: SmolStr,
    /// The span.
    pub span_id: SpanId,
    /// The step around it.
    pub parent_span_id: Option<SpanId>,
    /// What it stands for.
    pub kind: SpanKind,
    /// `node.llm`, `chat gpt-4o`, ….
    pub operation: SmolStr,
    /// The node that it is, or that it happened in, by the attribute `node.id` of the node spans around it:
    /// `outer/inner` where workflows are nested; empty outside nodes. A span that was kept without those around it says
    /// so itself (`flowmeter.node.path`).
    pub node: SmolStr,
    /// The model of an LLM call: the one that was asked for. Empty elsewhere.
    pub model: SmolStr,
    /// Who answered it, such as `openai`. Empty elsewhere.
    pub provider: SmolStr,
    /// When it began.
    pub start: TimestampNs,
    /// From start to end.
    pub duration_ns: u64,
    /// How it ended.
    pub status: SpanStatus,
    /// The short class of its error; empty where there is none.
    pub error_type: SmolStr,
    /// Tokens of an LLM call.
    pub tokens: TokenSums,
    /// Cost of an LLM call; `None` where it is no LLM call.
    pub cost_status: Option<CostStatus>,
    /// The amount; `None` where it is unknown.
    pub cost: Option<UsdNanos>,
    /// Of an LLM call: a hash of the model, the whole prompt and the system instructions. Equal prompts, equal hashes.
    /// 0 where no content was captured.
    pub prompt_hash: u64,
    /// How many writes to the shared store it made.
    pub mutations: u32,
    /// Whether the answer came from our response cache.
    pub cache_hit: bool,
    /// Of such an answer: how what it saved is known; `None` elsewhere.
    pub saved_status: Option<CostStatus>,
    /// Of such an answer: what the call cost when it was made; `None` where that is unknown.
    pub saved: Option<UsdNanos>,
    /// Of a call that was made: what the provider's own cache saved, less what writing to it cost; `None` where nothing
    /// of that is known.
    pub provider_saved: Option<UsdNanos>,
}

/// Which spans. Conditions are joined by *and*, the values in one list by *or*; an empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanFilter {
    /// The run is one of these (as many of its conditions as the backend can use without looking at each run).
    pub runs: RunFilter,
    /// It began then or later.
    pub since: Option<TimestampNs>,
    /// It began before.
    pub until: Option<TimestampNs>,
    /// What it stands for.
    pub kinds: Vec<SpanKind>,
    /// The node (as in [`SpanRow::node`]).
    pub nodes: Vec<String>,
    /// The model.
    pub models: Vec<String>,
    /// The provider.
    pub providers: Vec<String>,
    /// How it ended.
    pub statuses: Vec<SpanStatus>,
    /// It took longer.
    pub slower_than_ns: Option<u64>,
    /// It cost at least so much.
    pub cost_min: Option<UsdNanos>,
    /// The class of its error.
    pub error_types: Vec<String>,
}
