//! Single spans as bytes of their own: open ones, and what describes a run, in the form of a span.
//!
//! Never used for spans that ended: those stand in batches.

use std::sync::Arc;

use flowmeter_model::{Attributes, Span, SpanId, SpanKind, TimestampNs};
use serde_json::Value;
use smol_str::SmolStr;

use crate::RunKey;
use crate::codec::Damaged;
use crate::codec::block::{Sealed, Sealer, Tag};
use crate::codec::columns::SpanClass;
use crate::codec::content::{ContentSink, ContentSource};
use crate::codec::narrow::NarrowSpan;
use crate::codec::payload::{self, PayloadWriter};
use crate::codec::sketch::{read_varint, write_varint};

/// Packs spans of a run as they are.
pub(super) fn pack<'a>(
    run: RunKey,
    spans: impl Iterator<Item = &'a Span>,
    sink: &mut dyn ContentSink,
    sealer: &mut Sealer,
) -> Result<Vec<u8>, Damaged> {
    let mut raw = Vec::new();
    let mut writer = PayloadWriter::default();
    let mut body = Vec::new();
    for span in spans {
        body.clear();
        writer.write(span, run.trace_id, sink, &mut body);
        // What describes a run has the id of its root: nothing is left of that.
        write_varint(&mut raw, span.span_id.to_u64() ^ run.root_span_id.to_u64());
        write_varint(&mut raw, span.parent_span_id.map_or(0, SpanId::to_u64));
        write_varint(&mut raw, span.start.0);
        raw.push(SpanClass::of(span.kind, None, false).0 as u8);
        for part in [span.operation.as_bytes(), &body] {
            write_varint(&mut raw, part.len() as u64);
            raw.extend_from_slice(part);
        }
    }
    sealer.seal(Tag::Other, 0, &raw)
}

/// Gives back what [`pack`] packed.
pub(super) fn unpack(
    run: RunKey,
    bytes: &[u8],
    source: &mut dyn ContentSource,
    sealer: &mut Sealer,
) -> Result<Vec<Span>, Damaged> {
    let sealed = Sealed::read(bytes)?;
    if sealed.tag != Tag::Other {
        return Err(Damaged("something else stands where spans belong"));
    }
    let raw = sealer.open(&sealed)?;
    let mut rest = raw.as_slice();
    let mut spans = Vec::new();
    while !rest.is_empty() {
        let (span_id, parent, start) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
        let class = SpanClass(u64::from(part(&mut rest, 1)?.first().copied().unwrap_or(0)));
        let length = number(&mut rest)?;
        let operation = std::str::from_utf8(part(&mut rest, length)?)
            .map_err(|_| Damaged("the name of an operation is no UTF-8"))?;
        let mut span = Span::begin(
            run.trace_id,
            SpanId::from_u64(span_id ^ run.root_span_id.to_u64()).ok_or(Damaged("an open span has no id"))?,
            SpanId::from_u64(parent),
            class.kind(),
            operation,
            TimestampNs(start),
        );
        let narrow = NarrowSpan::of(&span, SmolStr::default(), 0);
        let length = number(&mut rest)?;
        span = payload::read(&narrow, run.trace_id, part(&mut rest, length)?, source)?;
        spans.push(span);
    }
    Ok(spans)
}

fn part<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], Damaged> {
    let cut = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length));
    let (part, after) = cut.ok_or(Damaged("a span is cut off"))?;
    *rest = after;
    Ok(part)
}

fn number(rest: &mut &[u8]) -> Result<u64, Damaged> {
    read_varint(rest).ok_or(Damaged("a span is cut off"))
}

/// What describes a run, in the form of a span: its resource as attributes, its metrics as parameters.
pub(super) fn of_detail(run: RunKey, resource: Attributes, metrics: Option<Value>) -> Span {
    let (trace, root) = (run.trace_id, run.root_span_id);
    let mut span = Span::begin(trace, root, None, SpanKind::Run, "", TimestampNs(0));
    span.attributes = resource;
    span.params = metrics.map(Arc::new);
    span
}

#[cfg(test)]
mod tests;
