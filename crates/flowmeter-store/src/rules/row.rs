//! What a span's row holds, and what is left of a span when its row is all that is kept.
//!
//! Never reads a price or counts a token: rows say what spans say.

use flowmeter_model::{Attributes, Cost, Figure, FigureSource, Span, SpanError, TimestampNs, TokenUsage};
use smol_str::SmolStr;

use super::node_paths::NODE_PATH;
use crate::codec::narrow::NarrowSpan;
use crate::codec::payload::prompt_hash;
use crate::{RunKey, SpanRow, TokenSums};

/// The model that was asked for.
pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
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
/// What the provider's own cache saved at a call that was made, nano-dollars.
pub(crate) const PROVIDER_SAVED_NANOS: &str = "flowmeter.cache.provider_saved_nanos";
/// The name of the workflow, on a run's root span.
const WORKFLOW_NAME: &str = "workflow.name";

/// The row of a span that ended. One without an end took no time, and one without a status failed if it has an error.
pub(crate) fn row_of(run: RunKey, workflow: &SmolStr, node: SmolStr, span: &Span) -> SpanRow {
    NarrowSpan::of(span, node, prompt_hash(span)).to_row(run, workflow.clone())
}

/// The workflow's name as the root span of its run says it.
pub(crate) fn workflow_of(root: &Span) -> Option<SmolStr> {
    root.attributes.get_str(WORKFLOW_NAME).map(SmolStr::new)
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
    if let Some(saved) = row.provider_saved {
        attributes.set(PROVIDER_SAVED_NANOS, saved.0);
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
