//! The LLM calls of a saved trace, with the node of each, and what they came to.
//!
//! Never prices a call again: the costs are those that were recorded.

use std::collections::HashMap;

use flowmeter_model::{Cost, Span, SpanId, SpanKind};
use smol_str::SmolStr;

use super::TraceDocument;
use crate::aggregate::{CostBreakdown, LlmSample, LlmTotals};
use crate::genai;
use crate::llm::cached::SpanCacheHit;
use crate::sampling::NODE_PATH;

/// How deep spans nest at most before a file is taken for broken.
const DEPTH_MAX: usize = 10_000;

/// One LLM call of a trace.
#[derive(Clone, Debug)]
pub struct TracedCall<'a> {
    /// The node that made it, `outer/inner` in a nested workflow; empty outside any node.
    pub node: SmolStr,
    /// Who served it; empty where unknown.
    pub provider: &'a str,
    /// The model that was asked for.
    pub model: &'a str,
    /// The model that said it answered, where it is another one.
    pub response_model: Option<&'a str>,
    /// Whether a response cache had the answer: nobody was called then.
    pub from_cache: bool,
    /// What it cost; unpriced where the trace says nothing.
    pub cost: Cost,
    /// The call itself.
    pub span: &'a Span,
}

impl TraceDocument {
    /// All LLM calls that ended, in the order in which they began.
    #[must_use]
    pub fn llm_calls(&self) -> Vec<TracedCall<'_>> {
        let by_id: HashMap<SpanId, &Span> = self.spans.iter().map(|span| (span.span_id, span)).collect();
        let ended = self
            .spans
            .iter()
            .filter(|span| span.kind == SpanKind::LlmCall && span.status.is_some());
        let mut calls: Vec<TracedCall<'_>> = ended.map(|span| call_of(span, &by_id)).collect();
        calls.sort_by_key(|call| call.span.start);
        calls
    }
}

fn call_of<'a>(span: &'a Span, by_id: &HashMap<SpanId, &'a Span>) -> TracedCall<'a> {
    let text = |key| span.attributes.get_str(key);
    let answered = text(genai::RESPONSE_MODEL);
    let model = text(genai::REQUEST_MODEL).or(answered).unwrap_or_default();
    TracedCall {
        node: node_path(span, by_id),
        provider: text(genai::PROVIDER_NAME).unwrap_or_default(),
        model,
        response_model: answered.filter(|answered| *answered != model),
        from_cache: SpanCacheHit::of(span).is_some(),
        cost: span.cost.clone().unwrap_or_else(Cost::unpriced),
        span,
    }
}

/// The nodes around a span. One that was kept without them says where it belonged.
fn node_path(span: &Span, by_id: &HashMap<SpanId, &Span>) -> SmolStr {
    if let Some(path) = span.attributes.get_str(NODE_PATH) {
        return SmolStr::new(path);
    }
    let mut names = Vec::new();
    let mut around = span.parent_span_id;
    for _ in 0..DEPTH_MAX {
        let Some(outer) = around.and_then(|id| by_id.get(&id)) else {
            break;
        };
        if outer.kind == SpanKind::Node {
            names.extend(outer.attributes.get_str("node.id"));
        }
        around = outer.parent_span_id;
    }
    names.reverse();
    SmolStr::new(names.join("/"))
}

/// What several calls came to, and why. Answers from a response cache are no calls.
#[must_use]
pub fn total_of_calls(calls: &[TracedCall<'_>]) -> (LlmTotals, CostBreakdown) {
    let (mut totals, mut breakdown) = (LlmTotals::default(), CostBreakdown::default());
    for call in calls.iter().filter(|call| !call.from_cache) {
        let mut sample = LlmSample {
            provider: call.provider,
            ..LlmSample::new(call.model, &call.cost)
        };
        if let Some(usage) = &call.span.usage {
            sample = sample.with_usage(usage);
        }
        totals.add(&sample);
        breakdown.add(&call.node, &sample);
    }
    (totals, breakdown)
}
