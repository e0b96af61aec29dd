//! An answer from a response cache: noted as a span of its own that cost nothing and says what it saved.
//!
//! Never counts as a call: sums over LLM calls stay what providers counted. Looks nothing up itself.

use std::sync::Arc;
use std::time::Duration;

use flowmeter_model::{
    Attributes, Cost, CostExplanation, CostStatus, Figure, Span, SpanKind, SpanStatus, TokenUsage, UsdNanos,
};
use serde_json::{Value, json};
use smol_str::{SmolStr, format_smolstr};

use super::LlmRequest;
use super::saving;
use crate::aggregate::CacheHitSample;
use crate::details::SpanDetails;
use crate::genai;
use crate::scope::{Numbers, SpanScope};

/// Whether a response cache had the answer; absent where none was asked.
pub(crate) const HIT: &str = "flowmeter.cache.hit";
/// How old the answer was, in seconds.
const AGE_S: &str = "flowmeter.cache.age_s";
const SAVED_INPUT_TOKENS: &str = "flowmeter.cache.saved_input_tokens";
const SAVED_OUTPUT_TOKENS: &str = "flowmeter.cache.saved_output_tokens";
const SAVED_USD: &str = "flowmeter.cache.saved_usd";
const SAVED_NANOS: &str = "flowmeter.cache.saved_nanos";
const SAVED_STATUS: &str = "flowmeter.cache.saved_status";
/// What the provider's prompt cache saved at a call, net, in nano-dollars.
const PROVIDER_SAVED_NANOS: &str = "flowmeter.cache.provider_saved_nanos";
/// Why such an answer costs nothing.
const RULE: &str = "answered from the response cache";
/// What stands for the price book.
const SOURCE: &str = "response cache";

/// An answer that a response cache had.
#[derive(Clone, Debug)]
pub struct LlmCacheHit {
    /// The text, or the parsed object of a structured answer.
    pub text: Arc<Value>,
    /// The model that answered when the call was made.
    pub model: Option<SmolStr>,
    /// `stop`, ….
    pub finish_reasons: Vec<SmolStr>,
    /// What the call used when it was made.
    pub usage: TokenUsage,
    /// What the call cost when it was made.
    pub cost: Cost,
    /// How long ago that was.
    pub age: Duration,
}

impl LlmCacheHit {
    /// An answer of this age; what its call used and cost is not known.
    #[must_use]
    pub fn new(text: impl Into<String>, age: Duration) -> Self {
        Self {
            text: Arc::new(Value::String(text.into())),
            model: None,
            finish_reasons: Vec::new(),
            usage: TokenUsage::default(),
            cost: Cost::unpriced(),
            age,
        }
    }

    /// The same for a call that used and cost this.
    #[must_use]
    pub fn saving(self, usage: TokenUsage, cost: Cost) -> Self {
        Self { usage, cost, ..self }
    }

    /// Counts the hit and writes its span.
    pub(crate) fn note(self, scope: &SpanScope, request: LlmRequest) {
        let run = Arc::clone(&scope.run);
        let operation = format_smolstr!("{} {}", request.operation, request.model);
        let span = scope.open_inside(SpanKind::LlmCall, operation, Numbers::new(), None);
        let tokens = |figure: Option<Figure>| figure.map(|figure| figure.tokens);
        let sample = CacheHitSample {
            model: &request.model,
            input_tokens: tokens(self.usage.input),
            output_tokens: tokens(self.usage.output),
            saved: &self.cost,
        };
        run.collector.llm_cache_hit(&span.node_path, &sample);
        span.end(SpanStatus::Ok, |details| {
            self.describe(&request, run.keeps_content, details);
        });
    }

    fn describe(self, request: &LlmRequest, keeps_content: bool, details: &mut SpanDetails) {
        let attributes = &mut details.attributes;
        attributes.set(genai::OPERATION_NAME, request.operation.clone());
        attributes.set(genai::PROVIDER_NAME, request.provider.clone());
        attributes.set(genai::REQUEST_MODEL, request.model.clone());
        for (key, value) in request.parameters.iter() {
            attributes.set(key.clone(), value.clone());
        }
        if let Some(model) = &self.model {
            attributes.set(genai::RESPONSE_MODEL, model.clone());
        }
        if !self.finish_reasons.is_empty() {
            let reasons: Vec<&str> = self.finish_reasons.iter().map(SmolStr::as_str).collect();
            attributes.set(genai::FINISH_REASONS, json!(reasons));
        }
        attributes.set(HIT, true);
        attributes.set(AGE_S, self.age.as_secs_f64());
        for (key, figure) in [
            (SAVED_INPUT_TOKENS, self.usage.input),
            (SAVED_OUTPUT_TOKENS, self.usage.output),
        ] {
            if let Some(figure) = figure {
                attributes.set(key, figure.tokens);
            }
        }
        if let Some(amount) = self.cost.amount {
            attributes.set(SAVED_USD, amount.to_usd());
            attributes.set(SAVED_NANOS, amount.0);
        }
        attributes.set(SAVED_STATUS, self.cost.status.as_str());
        attributes.set(genai::COST_USD, 0.0);
        attributes.set(genai::COST_STATUS, CostStatus::Priced.as_str());
        attributes.set(genai::COST_SOURCE, SOURCE);
        attributes.set(genai::COST_RULE, RULE);
        details.cost = Some(free());
        if keeps_content {
            details.messages = Some(Arc::clone(&request.messages));
            details.response = Some(self.text);
        }
    }
}

/// What an answer from the cache costs.
fn free() -> Cost {
    let explanation = CostExplanation {
        source: SmolStr::new_static(SOURCE),
        rule: SmolStr::new_static(RULE),
        ..CostExplanation::default()
    };
    Cost::known(CostStatus::Priced, UsdNanos::ZERO, Some(Arc::new(explanation)))
}

/// Says of a call what caches had to do with it.
pub(super) fn describe_call(missed: bool, provider_saved: Option<UsdNanos>, details: &mut SpanDetails) {
    if missed {
        details.attributes.set(HIT, false);
    }
    if let Some(saved) = provider_saved {
        details.attributes.set(PROVIDER_SAVED_NANOS, saved.0);
    }
}

/// Whether the span is an answer from a response cache.
pub(crate) fn is_hit(span: &Span) -> bool {
    flag_of(span) == Some(true)
}

/// Whether the call in this span was looked up before, in vain.
pub(crate) fn has_missed(span: &Span) -> bool {
    flag_of(span) == Some(false)
}

fn flag_of(span: &Span) -> Option<bool> {
    match span.attributes.get(HIT)? {
        flowmeter_model::AttributeValue::Bool(flag) => Some(*flag),
        _ => None,
    }
}

/// What the provider's prompt cache saved at the call in this span, where that is told or follows from its bill.
pub(crate) fn provider_saved(span: &Span) -> Option<UsdNanos> {
    if let Some(nanos) = whole(&span.attributes, PROVIDER_SAVED_NANOS) {
        return Some(UsdNanos(nanos));
    }
    let lines = &span.cost.as_ref()?.explanation.as_ref()?.lines;
    saving::of_lines(lines, saving::rate_of_input(lines)?)
}

/// An answer from a response cache as its span tells it.
pub(crate) struct SpanCacheHit {
    model: SmolStr,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    saved: Cost,
}

impl SpanCacheHit {
    /// `None` for any other span.
    pub(crate) fn of(span: &Span) -> Option<Self> {
        if !is_hit(span) {
            return None;
        }
        let attributes = &span.attributes;
        let tokens = |key| whole(attributes, key).and_then(|tokens| u64::try_from(tokens).ok());
        let nanos = whole(attributes, SAVED_NANOS).map(UsdNanos);
        let saved = match (nanos, attributes.get_str(SAVED_STATUS)) {
            (None, _) => Cost::unpriced(),
            (Some(amount), status) => Cost::known(known_status(status), amount, None),
        };
        Some(Self {
            model: SmolStr::new(attributes.get_str(genai::REQUEST_MODEL).unwrap_or_default()),
            input_tokens: tokens(SAVED_INPUT_TOKENS),
            output_tokens: tokens(SAVED_OUTPUT_TOKENS),
            saved,
        })
    }

    pub(crate) fn sample(&self) -> CacheHitSample<'_> {
        CacheHitSample {
            model: &self.model,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            saved: &self.saved,
        }
    }
}

/// The status of this name, of those that have an amount.
fn known_status(name: Option<&str>) -> CostStatus {
    [CostStatus::Reported, CostStatus::Estimated, CostStatus::Partial]
        .into_iter()
        .find(|status| Some(status.as_str()) == name)
        .unwrap_or(CostStatus::Priced)
}

fn whole(attributes: &Attributes, key: &str) -> Option<i64> {
    match attributes.get(key)? {
        flowmeter_model::AttributeValue::I64(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
