//! Sums over LLM calls: tokens, money, durations.
//!
//! Money stays integer and remembers what had no price. Tokens that nobody counted are not zero: their calls are
//! counted beside the sums.

use flowmeter_model::{Cost, CostStatus, CostTotal, Figure, TokenUsage, UsdNanos};
use smol_str::SmolStr;

use super::cache::{CacheHitSample, CacheTotals};
use super::durations::{DurationSummary, Durations, SketchBudget};

/// Models that a sum of costs names as unpriced, at most.
const UNPRICED_MODELS_MAX: usize = 32;
/// The longest name among them, in bytes.
const MODEL_NAME_BYTES_MAX: usize = 200;
/// What stands for further ones.
const FURTHER_MODELS: &str = "(further models)";

/// One LLM call as the aggregation sees it.
#[derive(Clone, Debug)]
pub struct LlmSample<'a> {
    /// The model that was asked for.
    pub model: &'a str,
    /// `openai`, `anthropic`, …; empty where unknown.
    pub provider: &'a str,
    /// Whether it failed.
    pub failed: bool,
    /// Input tokens, cache reads and writes included; `None` where nobody counted.
    pub input_tokens: Option<u64>,
    /// Output tokens, reasoning included; `None` where nobody counted.
    pub output_tokens: Option<u64>,
    /// Input tokens read from the provider's cache.
    pub cache_read_tokens: Option<u64>,
    /// Input tokens written to the provider's cache.
    pub cache_write_tokens: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Whether a token count was estimated.
    pub estimated: bool,
    /// What it cost.
    pub cost: &'a Cost,
    /// From request to the end of the answer; `None` where unknown.
    pub duration_ns: Option<u64>,
    /// From request to the first piece of a streamed answer; `None` where unknown or not streamed.
    pub time_to_first_token_ns: Option<u64>,
    /// Whether a response cache was asked first and had no answer.
    pub cache_missed: bool,
    /// What the provider's prompt cache saved, less what was paid for writing to it; `None` where that is not known.
    pub provider_cache_saved: Option<UsdNanos>,
}

impl<'a> LlmSample<'a> {
    /// A call to `model` that cost this; all else is unknown.
    #[must_use]
    pub fn new(model: &'a str, cost: &'a Cost) -> Self {
        Self {
            model,
            provider: "",
            failed: false,
            input_tokens: None,
            output_tokens: None,
            cache_read_tokens: None,
            cache_write_tokens: None,
            reasoning_tokens: None,
            estimated: false,
            cost,
            duration_ns: None,
            time_to_first_token_ns: None,
            cache_missed: false,
            provider_cache_saved: None,
        }
    }

    /// Whether tokens were used that nobody counted. A call that was not billed used none, and embeddings have no
    /// output.
    fn is_uncounted(&self) -> bool {
        let was_billed = self.cost.explanation.is_some() || self.cost.amount != Some(UsdNanos::ZERO);
        let has_bound = matches!(self.cost.status, CostStatus::Partial | CostStatus::Unpriced);
        was_billed && (self.input_tokens.is_none() || self.output_tokens.is_none() && has_bound)
    }

    /// The same with the tokens of this usage.
    #[must_use]
    pub fn with_usage(self, usage: &TokenUsage) -> Self {
        let tokens = |figure: Option<Figure>| figure.map(|figure| figure.tokens);
        let cache_write_tokens = match (tokens(usage.cache_write_5m), tokens(usage.cache_write_1h)) {
            (None, None) => None,
            (five, hour) => Some(five.unwrap_or(0).saturating_add(hour.unwrap_or(0))),
        };
        Self {
            input_tokens: tokens(usage.input),
            output_tokens: tokens(usage.output),
            cache_read_tokens: tokens(usage.cache_read),
            cache_write_tokens,
            reasoning_tokens: tokens(usage.reasoning),
            estimated: usage.is_estimated(),
            ..self
        }
    }
}

/// Sums over LLM calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LlmTotals {
    /// Requests, failed ones included.
    pub calls: u64,
    /// Requests that failed.
    pub failed_calls: u64,
    /// Input tokens, cache reads and writes included.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// Calls whose usage was estimated in part or whole.
    pub estimated_calls: u64,
    /// Calls of which nobody counted all tokens: the sums are lower bounds.
    pub uncounted_calls: u64,
    /// What they cost.
    pub cost: CostTotal,
    /// Look-ups in response caches, and what providers' prompt caches saved.
    pub cache: CacheTotals,
}

impl LlmTotals {
    pub(crate) fn add(&mut self, call: &LlmSample<'_>) {
        let add = |sum: &mut u64, tokens: Option<u64>| *sum = sum.saturating_add(tokens.unwrap_or(0));
        self.calls += 1;
        self.failed_calls += u64::from(call.failed);
        add(&mut self.input_tokens, call.input_tokens);
        add(&mut self.output_tokens, call.output_tokens);
        add(&mut self.cache_read_tokens, call.cache_read_tokens);
        add(&mut self.cache_write_tokens, call.cache_write_tokens);
        add(&mut self.reasoning_tokens, call.reasoning_tokens);
        self.estimated_calls += u64::from(call.estimated);
        self.uncounted_calls += u64::from(call.is_uncounted());
        self.cache.misses += u64::from(call.cache_missed);
        if call.cache_read_tokens.unwrap_or(0) + call.cache_write_tokens.unwrap_or(0) > 0 {
            self.cache.add_provider_saving(call.provider_cache_saved);
        }
        self.cost.add(named_model(&self.cost, call.model), call.cost);
    }

    /// Adds an answer that was no call, for nobody was asked.
    pub(crate) fn add_cache_hit(&mut self, hit: &CacheHitSample<'_>) {
        let model = named_model(&self.cache.saved_cost, hit.model);
        self.cache.add_hit(hit, model);
    }

    /// Adds other sums.
    pub(crate) fn merge(&mut self, other: &Self) {
        let add = |sum: &mut u64, tokens: u64| *sum = sum.saturating_add(tokens);
        self.calls += other.calls;
        self.failed_calls += other.failed_calls;
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.cache_read_tokens, other.cache_read_tokens);
        add(&mut self.cache_write_tokens, other.cache_write_tokens);
        add(&mut self.reasoning_tokens, other.reasoning_tokens);
        self.estimated_calls += other.estimated_calls;
        self.uncounted_calls += other.uncounted_calls;
        self.cost.merge(&other.cost);
        self.cache.merge(&other.cache);
        bound_models(&mut self.cost);
        bound_models(&mut self.cache.saved_cost);
    }

    /// Input and output together.
    #[must_use]
    pub fn total_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Whether nothing at all is known of the tokens.
    #[must_use]
    pub fn are_tokens_unknown(&self) -> bool {
        self.uncounted_calls > 0 && self.total_tokens() == 0
    }

    /// What stands before a sum of tokens: `~` where some were estimated, `≥ ` where some were not counted.
    #[must_use]
    pub fn tokens_mark(&self) -> &'static str {
        match (self.uncounted_calls > 0, self.estimated_calls > 0) {
            (true, true) => "≥ ~",
            (true, false) => "≥ ",
            (false, true) => "~",
            (false, false) => "",
        }
    }

    /// What stands behind it: how many calls are not in the sum, with a space before it.
    #[must_use]
    pub fn tokens_note(&self) -> String {
        match self.uncounted_calls {
            0 => String::new(),
            calls => format!(" (+{calls} uncounted)"),
        }
    }

    /// Share of the calls that failed; 0 where there were none.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        share(self.failed_calls, self.calls)
    }
}

/// The name under which a sum of costs may keep this model, if it has no price.
fn named_model<'a>(sum: &CostTotal, model: &'a str) -> &'a str {
    let named = &sum.unpriced_models;
    let is_named =
        model.len() <= MODEL_NAME_BYTES_MAX && (named.len() < UNPRICED_MODELS_MAX || named.contains(model));
    if is_named { model } else { FURTHER_MODELS }
}

fn bound_models(sum: &mut CostTotal) {
    let models = &mut sum.unpriced_models;
    if models.len() > UNPRICED_MODELS_MAX {
        *models = std::mem::take(models)
            .into_iter()
            .take(UNPRICED_MODELS_MAX)
            .collect();
        models.insert(SmolStr::new_static(FURTHER_MODELS));
    }
}

/// `part` of `whole`; 0 of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

/// The LLM calls of a run or to one model, added up.
#[derive(Clone, Default)]
pub(crate) struct LlmCounters {
    pub(crate) totals: LlmTotals,
    durations: Durations,
    first_tokens: Durations,
}

impl LlmCounters {
    pub(crate) fn add(&mut self, call: &LlmSample<'_>, budget: &mut SketchBudget) {
        self.totals.add(call);
        if let Some(duration_ns) = call.duration_ns {
            let _ = self.durations.add(duration_ns, budget);
        }
        if let Some(waited_ns) = call.time_to_first_token_ns {
            let _ = self.first_tokens.add(waited_ns, budget);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self, budget: &mut SketchBudget) {
        self.totals.merge(&other.totals);
        self.durations.merge(&other.durations, budget);
        self.first_tokens.merge(&other.first_tokens, budget);
    }

    pub(crate) fn summary(&self) -> ModelMetrics {
        ModelMetrics {
            llm: self.totals.clone(),
            timings: LlmTimings {
                durations: self.durations.summary(1.0),
                time_to_first_token: self.first_tokens.summary(1.0),
            },
        }
    }
}

/// How long LLM calls took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LlmTimings {
    /// From request to the end of the answer.
    pub durations: DurationSummary,
    /// From request to the first piece of a streamed answer.
    pub time_to_first_token: DurationSummary,
}

/// What the LLM calls to one model, or of a whole run, came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelMetrics {
    /// Calls, tokens and cost.
    pub llm: LlmTotals,
    /// How long they took.
    pub timings: LlmTimings,
}
