//! The human trace, written while lines come: what is open is known, what has ended is forgotten.
//!
//! Says the same in the same words as the tree of a trace that was kept. Where lines of parallel nodes come in turns, a
//! line that does not follow its own names its place.

mod place;
mod text;

use std::io::{self, Write};

use flowmeter_model::{LogLevel, LogRecord, SpanError, SpanKind, SpanStatus, TimestampNs};
use owo_colors::{OwoColorize, Style};
use rustc_hash::FxHashMap;

use super::{Ending, Failure, Remark, RemarkKind};
use crate::events::content::Wanted;
use crate::events::fields::Field;
use crate::events::line::{Subject, Text};
use crate::events::nesting::{OpenSpan, SpanRef, Trace};
use crate::formats::HumanStyle;
use crate::formats::summary::Summary;
use crate::formats::wording::{
    NOT_SAMPLED, causes_of, is_first_attempt, items_note, label_of, local_time, log_text, logs_dropped_note,
    printable_name, spend_of,
};
use place::{Reading, block_of, place_inside, place_unless_read, write_place};
use text::{indent, push_brackets, push_cut, push_duration, push_lines, push_text, write_deeper, write_log};

/// How much of first attempts is held back, all of them together.
const HELD_BYTES_MAX: usize = 4 << 20;

/// What stands at fixed places, painted once.
struct Painted {
    begins: String,
    ends: String,
    goes_on: String,
    ok: String,
    error: String,
    cancelled: String,
    unfinished: String,
    error_word: String,
    colour: bool,
}

/// The lines of a first attempt: shown in its place if it does well, inside of it if not.
struct Held {
    text: Vec<u8>,
    reading: Reading,
}

/// Writes trees.
pub(crate) struct HumanTree {
    style: HumanStyle,
    painted: Painted,
    /// Whether what is inside a first attempt waits for its end. Not where somebody watches.
    holds_attempts: bool,
    held: FxHashMap<u64, Held>,
    held_bytes: usize,
    next_held: u64,
    /// The trace whose lines were written last.
    shown: Option<u64>,
    reading: Reading,
    /// Traces whose title was written, and that have not ended.
    titled: Vec<u64>,
}

impl HumanTree {
    pub(crate) fn new(style: HumanStyle, holds_attempts: bool) -> Self {
        let paint = |text: &str, with: Style| paint(text, with, style.colour);
        let painted = Painted {
            begins: paint("→", Style::new().cyan()),
            ends: paint("←", Style::new().cyan()),
            goes_on: paint("…", Style::new().cyan()),
            ok: paint("✓", Style::new().green()),
            error: paint("✗", Style::new().red()),
            cancelled: paint("✗ cancelled", Style::new().yellow()),
            unfinished: paint("(not finished)", Style::new().yellow()),
            error_word: paint("error:", Style::new().red().bold()),
            colour: style.colour,
        };
        Self {
            style,
            painted,
            holds_attempts,
            held: FxHashMap::default(),
            held_bytes: 0,
            next_held: 1,
            shown: None,
            reading: None,
            titled: Vec::new(),
        }
    }

    /// Says which trace the next lines belong to, where it is not clear.
    #[inline]
    fn title(&mut self, out: &mut Vec<u8>, trace: &Trace) {
        if self.shown != Some(trace.number) {
            self.write_title(out, trace);
        }
    }

    fn write_title(&mut self, out: &mut Vec<u8>, trace: &Trace) {
        if self.shown.is_some() {
            out.push(b'\n');
        }
        self.shown = Some(trace.number);
        self.reading = None;
        out.extend_from_slice(b"Workflow Trace: ");
        out.extend_from_slice(printable_name(&trace.id).as_bytes());
        if self.titled.contains(&trace.number) {
            out.extend_from_slice(b" (continued)");
        } else {
            self.titled.push(trace.number);
        }
        out.push(b'\n');
    }

    /// Writes lines, or has them held back.
    #[inline]
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        held_by: Option<u64>,
        write: impl FnOnce(&mut Vec<u8>, &Painted, &mut Reading),
    ) {
        match held_by.and_then(|number| self.held.get_mut(&number)) {
            None => write(out, &self.painted, &mut self.reading),
            Some(held) => {
                let before = held.text.len();
                write(&mut held.text, &self.painted, &mut held.reading);
                self.held_bytes += held.text.len() - before;
                if self.held_bytes > HELD_BYTES_MAX {
                    self.release_all(out);
                }
            }
        }
    }

    /// Begins to hold lines back; `None` where they are to be seen at once.
    fn hold(&mut self, reading: Reading) -> Option<u64> {
        if !self.holds_attempts {
            return None;
        }
        let number = self.next_held;
        self.next_held += 1;
        let text = Vec::new();
        self.held.insert(number, Held { text, reading });
        Some(number)
    }

    /// Shows what is held back as if all of it did well: it has become too much to wait for.
    fn release_all(&mut self, out: &mut Vec<u8>) {
        let mut held: Vec<(u64, Held)> = self.held.drain().collect();
        held.sort_unstable_by_key(|(number, _)| *number);
        for (_, held) in held {
            out.extend_from_slice(&held.text);
            self.reading = None;
        }
        self.held_bytes = 0;
    }

    pub(super) fn span_begins(&mut self, out: &mut Vec<u8>, trace: &mut Trace, span: SpanRef) {
        self.title(out, trace);
        let parent = trace.get(span).and_then(|open| open.parent);
        let held_by = parent
            .and_then(|parent| trace.get(parent))
            .and_then(OpenSpan::held_inside);
        let Some(open) = trace.get_mut(span) else {
            return;
        };
        open.held_by = held_by;
        if open
            .content
            .as_ref()
            .is_some_and(|content| is_first_attempt(&content.span))
        {
            open.is_shown = false;
            let block = block_of(trace, parent);
            let holds = self.hold(block);
            if let Some(open) = trace.get_mut(span) {
                open.holds = holds;
            }
            return;
        }
        let Some(open) = trace.get(span) else {
            return;
        };
        let offset = self.style.utc_offset_seconds;
        let block = block_of(trace, parent);
        self.write(out, held_by, |target, painted, reading| {
            write_begin(target, painted, open, offset);
            write_place(target, trace, *reading, block);
            target.push(b'\n');
            *reading = Some(span);
        });
    }

    pub(super) fn span_ends(&mut self, out: &mut Vec<u8>, trace: &Trace, span: &OpenSpan, ending: &Ending) {
        self.title(out, trace);
        let offset = self.style.utc_offset_seconds;
        let block = block_of(trace, span.parent);
        let mut is_told = false;
        if !span.is_shown {
            let held = span.holds.and_then(|number| self.held.remove(&number));
            self.held_bytes -= held.as_ref().map_or(0, |held| held.text.len());
            let is_well = ending.status == Some(SpanStatus::Ok) && dropped_note(span).is_none();
            if is_well && held.as_ref().is_none_or(|held| held.text.is_empty()) {
                return;
            }
            self.write(out, span.held_by, |target, painted, reading| {
                let held_reading = held.as_ref().map(|held| held.reading);
                let text = held.map(|held| held.text).unwrap_or_default();
                if is_well {
                    if *reading != block {
                        indent(target, span.depth.saturating_sub(1));
                        target.extend_from_slice(painted.goes_on.as_bytes());
                        write_place(target, trace, None, block);
                        target.push(b'\n');
                    }
                    target.extend_from_slice(&text);
                    *reading = held_reading.unwrap_or(block);
                } else {
                    write_begin(target, painted, span, offset);
                    write_place(target, trace, *reading, block);
                    target.push(b'\n');
                    write_deeper(target, &text);
                }
            });
            if is_well {
                return;
            }
            is_told = true;
        }
        let colour = self.style.colour;
        self.write(out, span.held_by, |target, painted, reading| {
            if let Some(note) = dropped_note(span) {
                indent(target, span.depth + 1);
                target.extend_from_slice(paint(&note, Style::new().yellow(), colour).as_bytes());
                target.push(b'\n');
            }
            if let Some(error) = span
                .content
                .as_ref()
                .and_then(|content| content.span.error.as_ref())
            {
                write_error(target, painted, span, error);
            }
            let follows = is_told || reading.is_some_and(|reading| reading.is(span));
            write_end_name(target, painted, span);
            if !follows && span.kind != SpanKind::Run {
                write_label(target, span, offset);
                write_place(target, trace, *reading, block);
            }
            write_end_figures(target, painted, span, ending);
            *reading = block;
        });
    }

    pub(super) fn remark(
        &mut self,
        out: &mut Vec<u8>,
        trace: &Trace,
        around: Option<SpanRef>,
        remark: &Remark<'_>,
    ) {
        self.title(out, trace);
        let (depth, held_by) = place_inside(trace, around);
        let block = block_of(trace, around);
        self.write(out, held_by, |target, painted, reading| {
            let place = place_unless_read(trace, *reading, block);
            match remark.kind {
                RemarkKind::Log(level) => match with_fields(remark, level) {
                    None => write_log(target, depth, level, &place, remark.text, painted.colour),
                    Some(text) => {
                        let text = Text::of(&text, false);
                        write_log(target, depth, level, &place, &text, painted.colour);
                    }
                },
                RemarkKind::Custom => {
                    indent(target, depth);
                    target.extend_from_slice(b"[CUSTOM] ");
                    if !place.is_empty() {
                        target.extend_from_slice(format!("[{place}] ").as_bytes());
                    }
                    push_text(target, remark.text, depth + 1);
                    let attributes = remark.line.json(Field::Attributes).unwrap_or_default();
                    if attributes.starts_with('{') && attributes.len() > 2 {
                        target.push(b' ');
                        push_cut(target, attributes);
                    }
                    target.push(b'\n');
                }
            }
            *reading = block;
        });
    }

    pub(super) fn failure(
        &mut self,
        out: &mut Vec<u8>,
        trace: &Trace,
        around: Option<SpanRef>,
        failure: &Failure<'_>,
    ) {
        self.title(out, trace);
        let (depth, held_by) = place_inside(trace, around);
        let block = block_of(trace, around);
        self.write(out, held_by, |target, painted, reading| {
            let place = place_unless_read(trace, *reading, block);
            let colour = painted.colour;
            match failure.elsewhere {
                None => write_log(target, depth, LogLevel::Error, &place, failure.message, colour),
                Some(node) => {
                    let message = format!("{} [{}]", failure.message.text.trim_end(), printable_name(node));
                    let message = Text::of(&message, false);
                    write_log(target, depth, LogLevel::Error, &place, &message, colour);
                }
            }
            *reading = block;
        });
    }

    pub(super) fn trace_ends(&mut self, out: &mut Vec<u8>, trace: &Trace) -> io::Result<()> {
        self.title(out, trace);
        self.titled.retain(|number| *number != trace.number);
        out.push(b'\n');
        Summary::of_events(trace.duration_ns(), trace.is_finished(), &trace.tally).write(out)?;
        if trace.tally.unfinished > 0 {
            let note = "This is not all of it: some of what began has no end in the events.";
            self.write_note(out, note)?;
        }
        if !trace.is_sampled {
            self.write_note(out, NOT_SAMPLED)?;
        }
        Ok(())
    }

    fn write_note(&self, out: &mut Vec<u8>, note: &str) -> io::Result<()> {
        let note = paint(note, Style::new().yellow(), self.style.colour);
        writeln!(out, "- {note}")
    }
}

fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour {
        text.style(style).to_string()
    } else {
        text.to_owned()
    }
}

/// What a log line says, where it has fields beside its message.
fn with_fields(remark: &Remark<'_>, level: LogLevel) -> Option<String> {
    let attributes = remark.line.json(Field::Attributes)?;
    if !attributes.starts_with('{') || attributes.len() <= 2 {
        return None;
    }
    let record = LogRecord {
        time: TimestampNs(0),
        level,
        message: remark.text.text.clone().into_owned(),
        target: None,
        span_id: None,
        attributes: remark.line.attributes(Wanted::Shown, &mut |_| {}),
    };
    Some(log_text(&record).into_owned())
}

/// What stands for log lines that were too many.
fn dropped_note(span: &OpenSpan) -> Option<String> {
    logs_dropped_note(&span.content.as_ref()?.span)
}

fn write_begin(out: &mut Vec<u8>, painted: &Painted, span: &OpenSpan, utc_offset_seconds: i32) {
    indent(out, span.depth);
    out.extend_from_slice(painted.begins.as_bytes());
    out.push(b' ');
    push_operation(out, span);
    write_label(out, span, utc_offset_seconds);
}

/// What stands in brackets behind the operation.
fn write_label(out: &mut Vec<u8>, span: &OpenSpan, utc_offset_seconds: i32) {
    match (span.subject, span.kind) {
        (Subject::Node, _) => push_brackets(out, &span.name, span.is_plain),
        (_, SpanKind::Run) => {
            if let Some(start_ns) = span.start_ns {
                push_brackets(out, &local_time(TimestampNs(start_ns), utc_offset_seconds), true);
            }
        }
        (Subject::Workflow, _) => {
            if !span.name.is_empty() {
                push_brackets(out, &span.name, span.is_plain);
            }
        }
        (Subject::Span, _) => {
            if let Some(content) = &span.content {
                let label = label_of(&content.span, utc_offset_seconds);
                out.extend_from_slice(printable_name(&label).as_bytes());
            }
        }
    }
}

fn write_end_name(out: &mut Vec<u8>, painted: &Painted, span: &OpenSpan) {
    indent(out, span.depth);
    out.extend_from_slice(painted.ends.as_bytes());
    out.push(b' ');
    let is_workflow = span.subject == Subject::Workflow || span.kind == SpanKind::Run;
    if is_workflow && span.operation == "workflow.start" {
        out.extend_from_slice(b"workflow.end");
    } else {
        push_operation(out, span);
    }
}

fn write_end_figures(out: &mut Vec<u8>, painted: &Painted, span: &OpenSpan, ending: &Ending) {
    let Some(status) = ending.status else {
        out.push(b' ');
        out.extend_from_slice(painted.unfinished.as_bytes());
        out.push(b'\n');
        return;
    };
    if let Some(duration_ns) = ending.duration_ns {
        out.extend_from_slice(b" (");
        push_duration(out, duration_ns);
        out.push(b')');
    }
    let mark = match status {
        SpanStatus::Ok if span.kind == SpanKind::Run => None,
        SpanStatus::Ok => Some(&painted.ok),
        SpanStatus::Error => Some(&painted.error),
        SpanStatus::Cancelled => Some(&painted.cancelled),
    };
    if let Some(mark) = mark {
        out.push(b' ');
        out.extend_from_slice(mark.as_bytes());
    }
    if span.items > 0 {
        out.extend_from_slice(items_note(span.items_ok, span.items).as_bytes());
    }
    if let Some(content) = &span.content {
        out.extend_from_slice(spend_of(&content.span).as_bytes());
    }
    out.push(b'\n');
}

fn write_error(out: &mut Vec<u8>, painted: &Painted, span: &OpenSpan, error: &SpanError) {
    // An error line may have said the same before.
    if span.told_error.as_deref() != Some(error.message.as_str()) {
        indent(out, span.depth + 1);
        out.extend_from_slice(painted.error_word.as_bytes());
        out.push(b' ');
        push_lines(out, &error.message, span.depth + 2);
        out.push(b'\n');
    }
    for cause in causes_of(error) {
        indent(out, span.depth + 2);
        out.extend_from_slice(b"caused by: ");
        push_lines(out, cause, span.depth + 3);
        out.push(b'\n');
    }
}

fn push_operation(out: &mut Vec<u8>, span: &OpenSpan) {
    match &span.content {
        // It may have a name of its own.
        Some(content) => out.extend_from_slice(printable_name(&content.span.operation).as_bytes()),
        None => {
            if span.subject == Subject::Node {
                out.extend_from_slice(b"node.");
            }
            if span.is_plain {
                out.extend_from_slice(span.operation.as_bytes());
            } else {
                out.extend_from_slice(printable_name(&span.operation).as_bytes());
            }
        }
    }
}
