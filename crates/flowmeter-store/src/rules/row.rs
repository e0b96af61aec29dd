//! What a span's row holds, and what is left of a span when its row is all that is kept.
//!
//! Never reads a price or counts a token: rows say what spans say.

use flowmeter_model::{
    AttributeValue, Attributes, Cost, CostStatus, Figure, FigureSource, Span, SpanError, SpanKind,
    SpanStatus, TimestampNs, TokenUsage, UsdNanos,
};
use smol_str::SmolStr;

use super::node_paths::NODE_PATH;
use crate::codec::payload::prompt_hash;
use crate::{RunKey, SpanRow, TokenSums};

/// The model that was asked for.
pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The model that says it answered.
pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Who answered.
pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
/// What was sent.
pub(crate) const INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// What came back.
pub(crate) const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
/// The system prompt where it stands apart from the messages.
pub(crate) const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
/// Whether a response cache had the answer.
const CACHE_HIT: &str = "flowmeter.cache.hit";
/// What such an answer saved, nano-dollars.
const SAVED_NANOS: &str = "flowmeter.cache.saved_nanos";
/// How that is known.
const SAVED_STATUS: &str = "flowmeter.cache.saved_status";
/// The name of the workflow, on a run's root span.
const WORKFLOW_NAME: &str = "workflow.name";

/// The row of a span that ended. One without an end took no time, and one without a status failed if it has an error.
pub(crate) fn row_of(run: RunKey, workflow: &SmolStr, node: SmolStr, span: &Span) -> SpanRow {
    let is_call = span.kind == SpanKind::LlmCall;
    let text = |key: &str| span.attributes.get_str(key).map(SmolStr::new);
    let cache_hit = is_call && matches!(span.attributes.get(CACHE_HIT), Some(AttributeValue::Bool(true)));
    let (cost_status, cost) = match &span.cost {
        _ if !is_call => (None, None),
        Some(cost) => (Some(cost.status), cost.amount),
        None => (Some(CostStatus::Unpriced), None),
    };
    let (saved_status, saved) = match (cache_hit, span.attributes.get(SAVED_NANOS)) {
        (false, _) => (None, None),
        (true, Some(AttributeValue::I64(nanos))) => {
            let status = known_status(span.attributes.get_str(SAVED_STATUS));
            (Some(status), Some(UsdNanos(*nanos)))
        }
        (true, _) => (Some(CostStatus::Unpriced), None),
    };
    SpanRow {
        run,
        workflow: workflow.clone(),
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        kind: span.kind,
        operation: span.operation.clone(),
        node,
        model: is_call
            .then(|| text(REQUEST_MODEL).or_else(|| text(RESPONSE_MODEL)))
            .flatten()
            .unwrap_or_default(),
        provider: is_call.then(|| text(PROVIDER)).flatten().unwrap_or_default(),
        start: span.start,
        duration_ns: span.duration_ns().unwrap_or(0),
        status: status_of(span),
        error_type: span
            .error
            .as_ref()
            .map_or_else(SmolStr::default, |error| error.error_type.clone()),
        tokens: span
            .usage
            .as_ref()
            .filter(|_| is_call)
            .map(TokenSums::of)
            .unwrap_or_default(),
        cost_status,
        cost,
        prompt_hash: if is_call { prompt_hash(span) } else { 0 },
        mutations: u32::try_from(span.mutations.len()).unwrap_or(u32::MAX),
        cache_hit,
        saved_status,
        saved,
    }
}

/// How a span ended that is said to have ended.
pub(crate) fn status_of(span: &Span) -> SpanStatus {
    let unsaid = if span.error.is_some() {
        SpanStatus::Error
    } else {
        SpanStatus::Ok
    };
    span.status.unwrap_or(unsaid)
}

/// The workflow's name as the root span of its run says it.
pub(crate) fn workflow_of(root: &Span) -> Option<SmolStr> {
    root.attributes.get_str(WORKFLOW_NAME).map(SmolStr::new)
}

/// The status of this name, of those that have an amount.
fn known_status(name: Option<&str>) -> CostStatus {
    [CostStatus::Reported, CostStatus::Estimated, CostStatus::Partial]
        .into_iter()
        .find(|status| Some(status.as_str()) == name)
        .unwrap_or(CostStatus::Priced)
}

/// What is left of a span when its payload has had its time: what its row holds, as a span. Its message is gone and its
/// error class is not; token counts that were zero or unknown are unknown, and nobody says who counted the others.
pub(crate) fn span_of_row(row: &SpanRow) -> Span {
    let mut span = Span::begin(
        row.run.trace_id,
        row.span_id,
        row.parent_span_id,
        row.kind,
        row.operation.clone(),
        row.start,
    );
    span.end = Some(TimestampNs(row.start.0.saturating_add(row.duration_ns)));
    span.status = Some(row.status);
    span.error = (!row.error_type.is_empty()).then(|| SpanError {
        error_type: row.error_type.clone(),
        message: String::new(),
        chain: Vec::new(),
    });
    span.attributes = attributes_of_row(row);
    if row.tokens != TokenSums::default() {
        span.usage = Some(usage_of(&row.tokens));
    }
    span.cost = row.cost_status.map(|status| Cost {
        status,
        amount: row.cost,
        explanation: None,
    });
    span
}

fn attributes_of_row(row: &SpanRow) -> Attributes {
    let texts = [
        (NODE_PATH, &row.node),
        (REQUEST_MODEL, &row.model),
        (PROVIDER, &row.provider),
    ];
    let mut attributes = Attributes::new();
    for (key, text) in texts {
        if !text.is_empty() {
            attributes.set(key, text.clone());
        }
    }
    if row.span_id == row.run.root_span_id && !row.workflow.is_empty() {
        attributes.set(WORKFLOW_NAME, row.workflow.clone());
    }
    if row.cache_hit {
        attributes.set(CACHE_HIT, true);
    }
    if let (Some(status), Some(saved)) = (row.saved_status, row.saved) {
        attributes.set(SAVED_NANOS, saved.0);
        attributes.set(SAVED_STATUS, status.as_str());
    }
    attributes
}

fn usage_of(tokens: &TokenSums) -> TokenUsage {
    let figure = |tokens: u64| {
        (tokens > 0).then_some(Figure {
            tokens,
            source: FigureSource::Convention,
        })
    };
    TokenUsage {
        input: figure(tokens.input),
        cache_read: figure(tokens.cache_read),
        cache_write_5m: figure(tokens.cache_write),
        output: figure(tokens.output),
        reasoning: figure(tokens.reasoning),
        ..TokenUsage::default()
    }
}
