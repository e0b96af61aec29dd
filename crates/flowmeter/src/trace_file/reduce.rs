//! Reduces the lines of a run that was not sampled to its minimal trace, when the end has decided so.
//!
//! Never decides what stays: [`MinimalTrace`] does. Reads the lines twice and keeps no span in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};

use flowmeter_model::{Span, SpanId, TelemetryEvent, TraceId};

use super::wire::{LOG_PREFIX, LogWire, SPAN_PREFIX, SpanWire};
use crate::sampling::MinimalTrace;

/// Writes `,"spans":[…],"logs":[…]` of the minimal trace beneath `root`.
pub(super) fn write_minimal(
    lines: &mut File,
    trace_id: TraceId,
    root: SpanId,
    document: &mut impl Write,
) -> io::Result<()> {
    let mut minimal = MinimalTrace::new(root);
    // Children stand before their parents; the first round tells which node each span belongs to.
    each_line(lines, SPAN_PREFIX, |line| {
        if let Ok(span) = serde_json::from_slice::<SpanWire<'_>>(line) {
            let mut started = Span::begin(
                trace_id,
                span.span_id,
                span.parent_span_id,
                span.kind.unwrap_or(flowmeter_model::SpanKind::Custom),
                "",
                span.start_time,
            );
            started.attributes = span.attributes.into_owned();
            let _names_only = minimal.take(TelemetryEvent::SpanStarted(Box::new(started)));
        }
        Ok(())
    })?;
    document.write_all(b",\"spans\":[")?;
    let mut separator: &[u8] = b"\n";
    each_line(lines, SPAN_PREFIX, |line| {
        if let Ok(span) = serde_json::from_slice::<SpanWire<'_>>(line)
            && let Some(TelemetryEvent::SpanEnded(span)) =
                minimal.take(TelemetryEvent::SpanEnded(Box::new(span.into_span(trace_id))))
        {
            document.write_all(std::mem::replace(&mut separator, b",\n"))?;
            serde_json::to_writer(&mut *document, &SpanWire::of(&span))?;
        }
        Ok(())
    })?;
    document.write_all(b"],\"logs\":[")?;
    let mut separator: &[u8] = b"\n";
    each_line(lines, LOG_PREFIX, |line| {
        if let Ok(log) = serde_json::from_slice::<LogWire<'_>>(line)
            && let Some(TelemetryEvent::Log(_, log)) =
                minimal.take(TelemetryEvent::Log(trace_id, Box::new(log.into_record())))
        {
            document.write_all(std::mem::replace(&mut separator, b",\n"))?;
            serde_json::to_writer(&mut *document, &LogWire::of(&log))?;
        }
        Ok(())
    })?;
    document.write_all(b"]")
}

fn each_line(
    lines: &mut File,
    prefix: &[u8],
    mut visit: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    lines.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(64 * 1024, lines);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.starts_with(prefix) {
            visit(&line)?;
        }
    }
}
