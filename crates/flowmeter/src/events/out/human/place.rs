//! Where a line stands in the tree, and how that is named where the lines above do not tell.

use flowmeter_model::SpanKind;

use crate::events::nesting::{OpenSpan, SpanRef, Trace};
use crate::formats::wording::{number_of, printable_name};

/// Steps on the way to a line's place that are named.
const PLACE_STEPS_MAX: usize = 8;

/// Inside which span the next line would be read; `None` outside of any.
pub(super) type Reading = Option<SpanRef>;

/// The span itself, or the next around it that has a line.
pub(super) fn block_of(trace: &Trace, span: Option<SpanRef>) -> Reading {
    let mut block = span;
    while let Some(open) = block.and_then(|block| trace.get(block)) {
        if open.is_shown {
            return block;
        }
        block = open.parent;
    }
    None
}

/// How deep a line stands that belongs into this span, and what holds it back.
pub(super) fn place_inside(trace: &Trace, around: Option<SpanRef>) -> (u32, Option<u64>) {
    around
        .and_then(|around| trace.get(around))
        .map_or((0, None), |span| (span.depth_inside(), span.held_inside()))
}

/// The way to a span, unless the line would be read inside it anyway.
#[inline]
pub(super) fn place_unless_read(trace: &Trace, reading: Reading, block: Reading) -> String {
    if reading == block {
        String::new()
    } else {
        place_of(trace, block)
    }
}

/// The way from the root to a span: `fetch #3/parse attempt 2`.
pub(super) fn place_of(trace: &Trace, span: Reading) -> String {
    let mut steps: Vec<String> = Vec::new();
    let mut next = span;
    while let Some(open) = next.and_then(|next| trace.get(next)) {
        if steps.len() > PLACE_STEPS_MAX {
            break;
        }
        let step = step_of(open);
        if !step.is_empty() {
            steps.push(step);
        }
        next = open.parent;
    }
    let mut place = String::new();
    if steps.len() > PLACE_STEPS_MAX {
        steps.truncate(PLACE_STEPS_MAX);
        place.push('…');
    }
    for step in steps.into_iter().rev() {
        if !place.is_empty() && !step.starts_with(' ') {
            place.push('/');
        }
        place.push_str(&step);
    }
    place.trim_start().to_owned()
}

/// How a span is named on the way to a place; with a space before it where it belongs to what it stands in.
pub(super) fn step_of(span: &OpenSpan) -> String {
    let number = |key| {
        span.content
            .as_ref()
            .map_or(0, |content| number_of(&content.span, key))
    };
    match span.kind {
        SpanKind::Run | SpanKind::Workflow => String::new(),
        SpanKind::Node if span.name.is_empty() => printable_name(&span.operation).into_owned(),
        SpanKind::Node => printable_name(&span.name).into_owned(),
        SpanKind::BatchItem => format!(" #{}", number("batch.index") + 1),
        SpanKind::Iteration => format!(" round {}", number("loop.iteration")),
        SpanKind::Attempt if !span.is_shown => String::new(),
        SpanKind::Attempt => format!(" attempt {}", number("attempt.number")),
        SpanKind::LlmCall | SpanKind::Custom => printable_name(&span.operation).into_owned(),
    }
}

/// Says in what a span stands that does not follow it.
#[inline]
pub(super) fn write_place(out: &mut Vec<u8>, trace: &Trace, reading: Reading, block: Reading) {
    let place = place_unless_read(trace, reading, block);
    if !place.is_empty() {
        out.extend_from_slice(format!(" in [{place}]").as_bytes());
    }
}
