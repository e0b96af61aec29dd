//! Lines of JSON into the history: those of `flowmeter export`, and event lines as runs write them while they go on.
//!
//! The file is read twice: first for the lines that name runs, for a file that was rotated may begin in the midst of
//! one. A line that cannot be read is told with its number, and the others are taken. Never holds more than a block of
//! lines.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context, Result};
use flowmeter::{Block, LineBlocks, read_event};
use flowmeter_model::{Attributes, Span, SpanId, SpanKind, TelemetryEvent, TraceId};
use flowmeter_store::{RunKey, RunStart};
use serde::Deserialize;
use smol_str::SmolStr;

use super::HISTORY_FORMAT;
use super::import::{ImportWatch, Importer, Place};
use super::records::{BeginLine, EndLine, RUN_BEGIN, RUN_END};
use crate::history::origin_of;

/// The longest line.
pub(super) const LINE_BYTES_MAX: usize = 1 << 30;

/// What the first line of a run says besides its span.
#[derive(Debug, Default, Deserialize)]
struct RunWords {
    #[serde(default)]
    workflow_id: SmolStr,
    #[serde(default)]
    sampled: Option<bool>,
    #[serde(default)]
    resource: Attributes,
}

/// The type of a line.
#[derive(Deserialize)]
struct TypeOfLine<'a> {
    #[serde(rename = "type", borrow)]
    line_type: std::borrow::Cow<'a, str>,
}

/// Calls `take` with each line that is not blank, and its number.
///
/// # Errors
/// When the file cannot be read, and whatever `take` fails with.
pub(super) fn for_each_line<F: Read>(
    file: &mut F,
    mut take: impl FnMut(u64, Result<&[u8], &'static str>, u64) -> Result<()>,
) -> Result<()> {
    let mut blocks = LineBlocks::with_limit(file, LINE_BYTES_MAX);
    let mut block = Block::default();
    let mut number = 0;
    while blocks
        .next_block(&mut block)
        .context("the file cannot be read any further")?
    {
        let read = blocks.read_bytes();
        for line in block.lines.split_inclusive(|byte| *byte == b'\n') {
            number += 1;
            let line = line.trim_ascii();
            if !line.is_empty() {
                take(number, Ok(line), read)?;
            }
        }
        if block.then_too_long {
            number += 1;
            take(
                number,
                Err("this line is longer than 1 GiB; it is left out"),
                read,
            )?;
        }
    }
    Ok(())
}

/// Imports a file of lines.
///
/// # Errors
/// When the file cannot be read, and when the history cannot be written.
pub(crate) fn import_lines<F: Read + Seek>(
    file: &mut F,
    importer: &mut Importer<'_>,
    watch: &mut dyn ImportWatch,
) -> Result<()> {
    let mut runs = RunsOfFile::default();
    let mut is_within = false;
    for_each_line(file, |_, line, _| {
        // What stands between the two is not to be guessed, and may be a million runs.
        match line {
            Ok(line) if line.starts_with(b"{\"type\":\"run_begin\"") => is_within = true,
            Ok(line) if line.starts_with(b"{\"type\":\"run_end\"") => is_within = false,
            _ => {}
        }
        if let Ok(line) = line
            && !is_within
            && contains(line, b"\"workflow_")
            && let Ok(text) = std::str::from_utf8(line)
            && let Ok(Some((_, TelemetryEvent::SpanStarted(span) | TelemetryEvent::SpanEnded(span)))) =
                read_event(text)
            && span.kind == SpanKind::Run
        {
            runs.note(&span, serde_json::from_str(text).unwrap_or_default());
        }
        Ok(())
    })?;
    file.seek(SeekFrom::Start(0))?;
    importer.take_equal_logs_once(false);
    let mut reader = LinesReader {
        importer,
        runs,
        within: Within::Nothing,
    };
    for_each_line(file, |number, line, read| {
        watch.read(read);
        let place = Place::Line(number);
        let text = match line.map(std::str::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => {
                let text = "this line is no UTF-8 text; it is left out";
                reader.importer.problem(watch, &place, text);
                return Ok(());
            }
            Err(problem) => {
                reader.importer.problem(watch, &place, problem);
                return Ok(());
            }
        };
        match reader.take(text)? {
            Ok(()) => {}
            Err(problem) => reader.importer.problem(watch, &place, &problem),
        }
        Ok(())
    })?;
    reader.importer.end_of_file()
}

fn contains(line: &[u8], wanted: &[u8]) -> bool {
    line.windows(wanted.len()).any(|part| part == wanted)
}

/// The runs that a file of event lines names.
#[derive(Default)]
struct RunsOfFile {
    by_trace: HashMap<TraceId, Vec<RunKey>>,
    words: HashMap<RunKey, (RunStart, bool)>,
    /// Where each open span belongs.
    open: HashMap<(TraceId, SpanId), RunKey>,
}

impl RunsOfFile {
    fn note(&mut self, span: &Span, words: RunWords) {
        let key = RunKey {
            trace_id: span.trace_id,
            root_span_id: span.span_id,
        };
        let has_words = !words.resource.is_empty();
        if self.words.get(&key).is_some_and(|(_, had)| *had || !has_words) {
            return;
        }
        if !self.words.contains_key(&key) {
            self.by_trace.entry(span.trace_id).or_default().push(key);
        }
        let start = RunStart {
            key,
            parent_span_id: span.parent_span_id,
            workflow: words.workflow_id,
            started: span.start,
            sampled: words.sampled.unwrap_or(true),
            origin: origin_of(&words.resource),
            resource: words.resource,
            process: None,
        };
        self.words.insert(key, (start, has_words));
    }

    /// The run of a span or log; `None` where the file names none for its trace.
    fn run_of(&self, trace_id: TraceId, ids: impl IntoIterator<Item = SpanId>) -> Option<RunKey> {
        let of_trace = self.by_trace.get(&trace_id)?;
        for id in ids {
            if let Some(key) = self.open.get(&(trace_id, id)) {
                return Some(*key);
            }
            if let Some(key) = of_trace.iter().find(|key| key.root_span_id == id) {
                return Some(*key);
            }
        }
        of_trace.first().copied()
    }
}

struct LinesReader<'i, 's> {
    importer: &'i mut Importer<'s>,
    runs: RunsOfFile,
    within: Within,
}

/// Between a `run_begin` and its `run_end`.
#[derive(Clone, Copy)]
enum Within {
    Nothing,
    Run(RunKey),
    /// A run whose beginning cannot be read: what follows is left out with it.
    UnknownRun,
}

impl LinesReader<'_, '_> {
    /// Takes one line. What is wrong with it comes back as text; the outer failure is the history's.
    fn take(&mut self, text: &str) -> Result<Result<(), String>> {
        let line_type = match serde_json::from_str::<TypeOfLine<'_>>(text) {
            Ok(told) => told.line_type,
            Err(error) => {
                let what = if error.is_data() {
                    "is no event line"
                } else {
                    "is not valid JSON"
                };
                return Ok(Err(format!("this line {what} ({error}); it is left out")));
            }
        };
        match line_type.as_ref() {
            RUN_BEGIN => match serde_json::from_str::<BeginLine>(text) {
                Ok(line) if line.format != HISTORY_FORMAT => {
                    self.leave()?;
                    self.within = Within::UnknownRun;
                    Ok(Err(format!(
                        "this run has the format `{}`, and this program knows `{HISTORY_FORMAT}`; it is left out: \
                         update flowmeter",
                        line.format
                    )))
                }
                Ok(line) => {
                    self.leave()?;
                    let start = line.into_start();
                    self.within = Within::Run(start.key);
                    self.importer.begin(start)?;
                    Ok(Ok(()))
                }
                Err(error) => Ok(Err(format!(
                    "this `{RUN_BEGIN}` line lacks something ({error}); it is left out"
                ))),
            },
            RUN_END => match serde_json::from_str::<EndLine>(text).map(EndLine::into_end) {
                Ok(_) if matches!(self.within, Within::UnknownRun) => {
                    self.within = Within::Nothing;
                    Ok(Ok(()))
                }
                Ok(Some(end)) => {
                    self.within = Within::Nothing;
                    if !self.importer.has_begun(&end.key) {
                        self.importer.join(end.key)?;
                    }
                    self.importer.end(end)?;
                    Ok(Ok(()))
                }
                Ok(None) => Ok(Err(format!(
                    "this `{RUN_END}` line has no status that a run ends with: ok, error or cancelled"
                ))),
                Err(error) => Ok(Err(format!(
                    "this `{RUN_END}` line lacks something ({error}); it is left out"
                ))),
            },
            _ => match read_event(text) {
                Ok(Some((trace_id, event))) => self.event(trace_id, event),
                Ok(None) => {
                    self.importer.imported.lines_passed += 1;
                    Ok(Ok(()))
                }
                Err(error) => Ok(Err(format!("{error}; it is left out"))),
            },
        }
    }

    fn leave(&mut self) -> Result<()> {
        if let Within::Run(before) = std::mem::replace(&mut self.within, Within::Nothing) {
            self.importer.leave(&before)?;
        }
        Ok(())
    }

    fn event(&mut self, trace_id: TraceId, event: TelemetryEvent) -> Result<Result<(), String>> {
        match self.within {
            Within::Run(key) if key.trace_id == trace_id => {
                self.importer.event(key, event)?;
                return Ok(Ok(()));
            }
            Within::UnknownRun => return Ok(Ok(())),
            _ => {}
        }
        let ids = match &event {
            TelemetryEvent::SpanStarted(span) | TelemetryEvent::SpanEnded(span) => {
                [Some(span.span_id), span.parent_span_id]
            }
            TelemetryEvent::Log(_, record) => [record.span_id, None],
        };
        let ids = || ids.into_iter().flatten();
        let key = match self.runs.run_of(trace_id, ids()) {
            Some(key) => {
                if !self.importer.has_begun(&key)
                    && let Some((start, _)) = self.runs.words.get(&key)
                {
                    self.importer.begin(start.clone())?;
                }
                key
            }
            None => match self.importer.run_in_history(trace_id, ids().next())? {
                Some(key) => {
                    self.importer.join(key)?;
                    self.runs.by_trace.insert(trace_id, vec![key]);
                    key
                }
                None => {
                    let (TelemetryEvent::SpanStarted(span) | TelemetryEvent::SpanEnded(span)) = &event else {
                        return Ok(Err(
                            "no line of this file names the run that this log is from; it is left out"
                                .to_owned(),
                        ));
                    };
                    // The outermost that is known stands for the root that is not.
                    let mut root = (**span).clone();
                    root.span_id = span.parent_span_id.unwrap_or(span.span_id);
                    root.parent_span_id = None;
                    self.runs.note(&root, RunWords::default());
                    return self.event(trace_id, event);
                }
            },
        };
        match &event {
            TelemetryEvent::SpanStarted(span) => {
                self.runs.open.insert((trace_id, span.span_id), key);
            }
            TelemetryEvent::SpanEnded(span) => {
                self.runs.open.remove(&(trace_id, span.span_id));
            }
            TelemetryEvent::Log(..) => {}
        }
        self.importer.event(key, event)?;
        Ok(Ok(()))
    }
}
