//! OpenTelemetry's file format: JSON Lines, each an export request in OTLP/JSON, a file for each signal.
//!
//! Source: OpenTelemetry, "OTLP File Exporter". Never two signals in one file; where a pipe or a device is named,
//! all lines go there, for each says what it holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowmeter_model::{LogRecord, Span, TelemetryEvent, TraceId};
use flowmeter_otlp::{Encoder, EncoderConfig, Envelope, ExportRequest, Signal, Temporality};

use super::lines::{Kind, Lines, kind_of};
use crate::backends::otlp::metrics::{CallMeter, run_metrics};
use crate::backends::{ExportError, RunEnding, RunIdentity};

/// The version of the instrumentation scope.
const SCOPE_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Spans or log records in one line.
const ITEMS_MAX: usize = 512;

/// The files of a run.
pub(super) struct OtlpFiles {
    encoder: Encoder,
    run: Arc<RunIdentity>,
    calls: CallMeter,
    /// One for each signal, or one for all.
    places: Vec<Lines>,
    text: Vec<u8>,
}

impl OtlpFiles {
    /// Opens the files that `path` stands for.
    pub(super) fn create(
        path: &Path,
        config: &EncoderConfig,
        run: &Arc<RunIdentity>,
        open: impl Fn(&Path) -> Result<Lines, ExportError>,
    ) -> Result<Self, ExportError> {
        let is_folder = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let places = if !is_folder && matches!(kind_of(path)?, Kind::Stream { .. }) {
            vec![open(path)?]
        } else {
            let paths = Signal::ALL.map(|signal| signal_path(path, is_folder, signal));
            paths.iter().map(|path| open(path)).collect::<Result<_, _>>()?
        };
        Ok(Self {
            encoder: Encoder::new(config.clone()),
            run: Arc::clone(run),
            calls: CallMeter::default(),
            places,
            text: Vec::new(),
        })
    }

    pub(super) fn write(&mut self, events: &[TelemetryEvent]) -> Result<(), ExportError> {
        let mut spans: Vec<&Span> = Vec::new();
        let mut carried: Vec<(TraceId, LogRecord)> = Vec::new();
        let mut records: Vec<(TraceId, &LogRecord)> = Vec::new();
        for event in events {
            match event {
                TelemetryEvent::SpanStarted(_) => {}
                TelemetryEvent::SpanEnded(span) => {
                    self.calls.add(span);
                    spans.push(span);
                    carried.extend(span.logs.iter().map(|log| {
                        let mut log = log.clone();
                        log.span_id = log.span_id.or(Some(span.span_id));
                        (span.trace_id, log)
                    }));
                }
                TelemetryEvent::Log(trace_id, record) => records.push((*trace_id, record)),
            }
        }
        records.extend(carried.iter().map(|(trace_id, log)| (*trace_id, log)));
        for chunk in spans.chunks(ITEMS_MAX) {
            let request = self
                .encoder
                .traces(&envelope(&self.run), &mut chunk.iter().copied());
            self.put(&request);
        }
        let spans_written = self.hand_on(Signal::Traces);
        for chunk in records.chunks(ITEMS_MAX) {
            let request = self
                .encoder
                .logs(&envelope(&self.run), &mut chunk.iter().copied());
            self.put(&request);
        }
        spans_written.and(self.hand_on(Signal::Logs))
    }

    fn put(&mut self, request: &ExportRequest) {
        if !request.is_empty() {
            self.text.extend_from_slice(&request.to_json());
            self.text.push(b'\n');
        }
    }

    fn hand_on(&mut self, signal: Signal) -> Result<(), ExportError> {
        let place = if self.places.len() == 1 {
            0
        } else {
            index_of(signal)
        };
        let outcome = match self.places.get_mut(place) {
            Some(lines) => lines.write(&self.text),
            None => Ok(()),
        };
        self.text.clear();
        self.text.shrink_to(super::BUFFER_BYTES_MAX);
        outcome
    }

    pub(super) fn flush(&mut self) -> Result<(), ExportError> {
        let outcomes = self.places.iter_mut().map(Lines::retry);
        outcomes.fold(Ok(()), Result::and)
    }

    pub(super) fn finish(mut self, ending: &RunEnding) -> Result<(), ExportError> {
        let conventions = self.encoder.config().conventions;
        let temporality = Temporality::Cumulative;
        let mut metrics = self.calls.metrics(conventions, temporality, &self.run, ending);
        metrics.extend(run_metrics(conventions, temporality, &self.run, ending));
        let request = self.encoder.metrics(&envelope(&self.run), &metrics);
        self.put(&request);
        let written = self.hand_on(Signal::Metrics);
        // Each file is ended, also where another one cannot be.
        let ended = self.places.into_iter().map(Lines::finish);
        ended.fold(Ok(()), Result::and).and(written)
    }
}

fn envelope(run: &RunIdentity) -> Envelope<'_> {
    Envelope {
        resource: &run.resource,
        trace_state: &run.trace_state,
        sampled: run.sampled,
        scope_version: SCOPE_VERSION,
    }
}

fn index_of(signal: Signal) -> usize {
    match signal {
        Signal::Traces => 0,
        Signal::Logs => 1,
        Signal::Metrics => 2,
    }
}

/// The file of a signal: `run.jsonl` stands for `run.traces.jsonl` and its like, `traces.jsonl` for `logs.jsonl` and
/// its like, a folder for `traces.jsonl` and its like in it.
fn signal_path(path: &Path, is_folder: bool, signal: Signal) -> PathBuf {
    let signal = signal.as_str();
    if is_folder {
        return path.join(format!("{signal}.jsonl"));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(own) = name_of_sibling(&name, signal) {
        return path.with_file_name(own);
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, extension),
        _ => (&*name, "jsonl"),
    };
    path.with_file_name(format!("{stem}.{signal}.{extension}"))
}

/// The name with its word for a signal changed; `None` where it has no such word.
fn name_of_sibling(name: &str, signal: &str) -> Option<String> {
    let is_separator = |c: char| matches!(c, '.' | '-' | '_');
    let mut sibling = String::with_capacity(name.len() + signal.len());
    let mut is_named = false;
    for piece in name.split_inclusive(is_separator) {
        let word = piece.trim_end_matches(is_separator);
        if !is_named && Signal::ALL.iter().any(|known| known.as_str() == word) {
            is_named = true;
            sibling.push_str(signal);
            sibling.push_str(&piece[word.len()..]);
        } else {
            sibling.push_str(piece);
        }
    }
    is_named.then_some(sibling)
}

#[cfg(test)]
mod tests;
