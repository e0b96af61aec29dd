//! The trace document: its lines are written beside it while the run goes on, and it appears when the run has ended.
//!
//! Never a document of its own shape: the trace file's writer makes it. After a kill the lines are a trace that
//! says that it is unfinished.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowmeter_model::{Clock, LogRecord, Span, SpanId, TelemetryEvent};
use rustc_hash::FxHashMap;

use super::lines::{Kind, Lines, LinesRules, beside, kind_of, replace};
use super::{FileMode, FileSync};
use crate::backends::{Deadline, ExportError, RunEnding, RunIdentity};
use crate::trace_file::{TraceEnding, TraceHeader, TraceLine, write_document};

const BUFFER_BYTES: usize = 64 * 1024;
/// How many spans may be open without being named in the lines.
const YOUNG_MAX: usize = 4_096;

/// A document that is to come.
pub(super) struct DocumentFile {
    header: TraceHeader,
    /// Where the document will be.
    target: PathBuf,
    lines_path: PathBuf,
    lines: Lines,
    /// Lines that are on their way to `lines`.
    text: Vec<u8>,
    /// Spans that began since the last flush: they are named in the lines only if they stay open.
    young: FxHashMap<SpanId, Box<Span>>,
    sync: FileSync,
}

impl DocumentFile {
    /// Makes the file of lines beside `path`; what is at `path` stays until the end.
    pub(super) fn create(
        path: &Path,
        run: &RunIdentity,
        sync: FileSync,
        clock: Arc<dyn Clock>,
        deadline: Deadline,
    ) -> Result<Self, ExportError> {
        let Kind::File(target) = kind_of(path)? else {
            let message = format!(
                "{} is no file: a JSON document needs one; write JSON Lines there",
                path.display()
            );
            return Err(ExportError::new(message));
        };
        let lines_path = beside(&target, run.trace_id, "lines");
        let rules = LinesRules {
            mode: FileMode::Append,
            rotation: None,
            sync,
        };
        let mut document = Self {
            header: TraceHeader::new(run.trace_id, run.workflow.clone(), run.started),
            lines: Lines::create(&lines_path, rules, run.trace_id, clock, deadline)?,
            target,
            lines_path,
            text: Vec::new(),
            young: FxHashMap::default(),
            sync,
        };
        put(&mut document.text, TraceLine::Header(&document.header));
        // A disk that is full now may have room later: the line waits, and each try that fails is told.
        let _waits = document.hand_on();
        Ok(document)
    }

    pub(super) fn write(&mut self, events: &[TelemetryEvent]) -> Result<(), ExportError> {
        for event in events {
            match event {
                TelemetryEvent::SpanStarted(span) => {
                    self.young.insert(span.span_id, span.clone());
                }
                TelemetryEvent::SpanEnded(span) => {
                    self.young.remove(&span.span_id);
                    for log in &span.logs {
                        let log = LogRecord {
                            span_id: log.span_id.or(Some(span.span_id)),
                            ..log.clone()
                        };
                        put(&mut self.text, TraceLine::Log(&log));
                    }
                    put(&mut self.text, TraceLine::Span(span));
                }
                TelemetryEvent::Log(_, log) => put(&mut self.text, TraceLine::Log(log)),
            }
        }
        if self.young.len() > YOUNG_MAX {
            self.name_open_spans();
        }
        self.hand_on()
    }

    fn name_open_spans(&mut self) {
        for (_, span) in self.young.drain() {
            put(&mut self.text, TraceLine::Open(&span));
        }
    }

    fn hand_on(&mut self) -> Result<(), ExportError> {
        let outcome = self.lines.write(&self.text);
        self.text.clear();
        self.text.shrink_to(super::BUFFER_BYTES_MAX);
        outcome
    }

    /// Names what is running, for whoever reads the lines after a kill.
    pub(super) fn flush(&mut self) -> Result<(), ExportError> {
        self.name_open_spans();
        self.hand_on()
    }

    pub(super) fn finish(self, ending: &RunEnding) -> Result<(), ExportError> {
        let written = self.lines.finish();
        let partial = beside(&self.target, self.header.trace_id, "partial");
        let completed = complete(&self.lines_path, &partial, &self.header, ending, self.sync)
            .and_then(|()| replace(&partial, &self.target, self.sync));
        match completed {
            Ok(()) => {
                let _left_behind_it_does_no_harm = fs::remove_file(&self.lines_path);
                written
            }
            Err(error) => {
                let _there_may_be_none = fs::remove_file(&partial);
                let is_empty = fs::metadata(&self.lines_path).is_ok_and(|lines| lines.len() == 0);
                let left = if is_empty {
                    let _nothing_is_lost = fs::remove_file(&self.lines_path);
                    String::new()
                } else {
                    format!("; what was recorded is in {}", self.lines_path.display())
                };
                let message = format!("{} could not be completed{left}", self.target.display());
                Err(ExportError::new(message).with_source(error))
            }
        }
    }
}

/// Adds a line; one that cannot be said is left out whole.
fn put(text: &mut Vec<u8>, line: TraceLine<'_>) {
    let whole = text.len();
    if line.write(text).is_err() {
        text.truncate(whole);
    }
}

fn complete(
    lines: &Path,
    partial: &Path,
    header: &TraceHeader,
    ending: &RunEnding,
    sync: FileSync,
) -> io::Result<()> {
    let mut lines = File::open(lines)?;
    let mut options = OpenOptions::new();
    // Prompts and values are nobody else's business.
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut document = BufWriter::with_capacity(BUFFER_BYTES, options.open(partial)?);
    let trace_ending = TraceEnding {
        sampled: ending.sampled,
        // What came is what is kept.
        reduced_to: None,
        status: ending.status,
        error: ending.error.clone(),
        metrics: ending.metrics.clone(),
    };
    write_document(&mut lines, header, &trace_ending, ending.dropped, &mut document)?;
    document.flush()?;
    if sync == FileSync::Never {
        return Ok(());
    }
    document.get_ref().sync_all()
}
