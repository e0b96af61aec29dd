//! The human trace, written while lines come: what is open is known, what has ended is forgotten.
//!
//! Says the same in the same words as the tree of a trace that was kept. Where lines of several traces or of parallel
//! nodes come in turns, they are shown in that order.

use std::io::{self, Write};

use flowmeter_model::{LogLevel, SpanError, SpanKind, SpanStatus, TimestampNs};
use owo_colors::{OwoColorize, Style};
use rustc_hash::FxHashMap;

use super::{Ending, Failure, Remark, RemarkKind};
use crate::events::fields::Field;
use crate::events::line::{Subject, Text};
use crate::events::nesting::{OpenSpan, SpanRef, Trace};
use crate::formats::HumanStyle;
use crate::formats::summary::Summary;
use crate::formats::wording::{
    causes_of, format_duration, is_first_attempt, label_of, level_style, local_time, message_lines,
    printable, spend_of,
};

/// Levels deeper than this are shown at this depth.
const DEPTH_MAX: u32 = 100;
/// Longest attributes of a `custom` line, in characters.
const CUSTOM_CHARS_MAX: usize = 500;
/// How much of first attempts is held back, all of them together.
const HELD_BYTES_MAX: usize = 4 << 20;

const SPACES: &[u8] = &[b' '; 2 * DEPTH_MAX as usize];

/// What stands at fixed places, painted once.
struct Painted {
    begins: String,
    ends: String,
    ok: String,
    error: String,
    cancelled: String,
    unfinished: String,
    error_word: String,
}

/// Writes trees.
pub(crate) struct HumanTree {
    style: HumanStyle,
    painted: Painted,
    /// Whether what is inside a first attempt waits for its end. Not where somebody watches.
    holds_attempts: bool,
    /// The lines of first attempts: shown in the attempt's place if it does well, inside of it if not.
    held: FxHashMap<u64, Vec<u8>>,
    held_bytes: usize,
    next_held: u64,
    /// The trace whose lines were written last.
    shown: Option<u64>,
    /// Traces whose title was written, and that have not ended.
    titled: Vec<u64>,
}

impl HumanTree {
    pub(crate) fn new(style: HumanStyle, holds_attempts: bool) -> Self {
        let paint = |text: &str, with: Style| {
            if style.colour {
                text.style(with).to_string()
            } else {
                text.to_owned()
            }
        };
        let painted = Painted {
            begins: paint("→", Style::new().cyan()),
            ends: paint("←", Style::new().cyan()),
            ok: paint("✓", Style::new().green()),
            error: paint("✗", Style::new().red()),
            cancelled: paint("✗ cancelled", Style::new().yellow()),
            unfinished: paint("(not finished)", Style::new().yellow()),
            error_word: paint("error:", Style::new().red().bold()),
        };
        Self {
            style,
            painted,
            holds_attempts,
            held: FxHashMap::default(),
            held_bytes: 0,
            next_held: 1,
            shown: None,
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
        out.extend_from_slice(b"Workflow Trace: ");
        out.extend_from_slice(one_line(&trace.id).as_bytes());
        if self.titled.contains(&trace.number) {
            out.extend_from_slice(b" (continued)");
        } else {
            self.titled.push(trace.number);
        }
        out.push(b'\n');
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
            open.holds = self.hold();
            return;
        }
        let offset = self.style.utc_offset_seconds;
        self.write(out, held_by, |target, painted| {
            write_begin(target, painted, open, offset)
        });
    }

    /// Writes lines, or has them held back.
    #[inline]
    fn write(&mut self, out: &mut Vec<u8>, held_by: Option<u64>, write: impl FnOnce(&mut Vec<u8>, &Painted)) {
        match held_by.and_then(|number| self.held.get_mut(&number)) {
            None => write(out, &self.painted),
            Some(text) => {
                let before = text.len();
                write(text, &self.painted);
                self.held_bytes += text.len() - before;
                if self.held_bytes > HELD_BYTES_MAX {
                    self.release_all(out);
                }
            }
        }
    }

    /// Begins to hold lines back; `None` where they are to be seen at once.
    fn hold(&mut self) -> Option<u64> {
        if !self.holds_attempts {
            return None;
        }
        let number = self.next_held;
        self.next_held += 1;
        self.held.insert(number, Vec::new());
        Some(number)
    }

    /// Shows what is held back as if all of it did well: it has become too much to wait for.
    fn release_all(&mut self, out: &mut Vec<u8>) {
        let mut held: Vec<(u64, Vec<u8>)> = self.held.drain().collect();
        held.sort_unstable_by_key(|(number, _)| *number);
        for (_, text) in held {
            out.extend_from_slice(&text);
        }
        self.held_bytes = 0;
    }

    pub(super) fn span_ends(&mut self, out: &mut Vec<u8>, trace: &Trace, span: &OpenSpan, ending: &Ending) {
        self.title(out, trace);
        if !span.is_shown {
            let text = span
                .holds
                .and_then(|number| self.held.remove(&number))
                .unwrap_or_default();
            self.held_bytes -= text.len();
            if ending.status == Some(SpanStatus::Ok) {
                return self.write(out, span.held_by, |target, _| target.extend_from_slice(&text));
            }
            let offset = self.style.utc_offset_seconds;
            self.write(out, span.held_by, |target, painted| {
                write_begin(target, painted, span, offset);
                write_deeper(target, &text);
            });
        }
        self.write(out, span.held_by, |target, painted| {
            if let Some(error) = span
                .content
                .as_ref()
                .and_then(|content| content.span.error.as_ref())
            {
                write_error(target, painted, span, error);
            }
            write_end(target, painted, span, ending);
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
        let colour = self.style.colour;
        self.write(out, held_by, |target, _| match remark.kind {
            RemarkKind::Log(level) => write_log(target, depth, level, remark.text, colour),
            RemarkKind::Custom => {
                indent(target, depth);
                target.extend_from_slice(b"[CUSTOM] ");
                push_text(target, remark.text, depth + 1);
                let attributes = remark.line.json(Field::Attributes).unwrap_or_default();
                if attributes.starts_with('{') && attributes.len() > 2 {
                    target.push(b' ');
                    push_cut(target, attributes);
                }
                target.push(b'\n');
            }
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
        let colour = self.style.colour;
        self.write(out, held_by, |target, _| {
            let Some(node) = failure.elsewhere else {
                return write_log(target, depth, LogLevel::Error, failure.message, colour);
            };
            let message = format!("{} [{}]", failure.message.text.trim_end(), one_line(node));
            write_log(target, depth, LogLevel::Error, &Text::of(&message, false), colour);
        });
    }

    pub(super) fn trace_ends(&mut self, out: &mut Vec<u8>, trace: &Trace) -> io::Result<()> {
        self.title(out, trace);
        self.titled.retain(|number| *number != trace.number);
        out.push(b'\n');
        Summary::of_events(trace.duration_ns(), trace.is_finished(), &trace.tally).write(out)?;
        if !trace.is_finished() {
            let note = "This run did not finish: the events end before it does.";
            if self.style.colour {
                writeln!(out, "- {}", note.style(Style::new().yellow()))?;
            } else {
                writeln!(out, "- {note}")?;
            }
        }
        Ok(())
    }
}

/// How deep a line stands that belongs into this span, and what holds it back.
fn place_inside(trace: &Trace, around: Option<SpanRef>) -> (u32, Option<u64>) {
    around
        .and_then(|around| trace.get(around))
        .map_or((0, None), |span| (span.depth_inside(), span.held_inside()))
}

#[inline]
fn indent(out: &mut Vec<u8>, depth: u32) {
    out.extend_from_slice(&SPACES[..2 * depth.min(DEPTH_MAX) as usize]);
}

fn write_begin(out: &mut Vec<u8>, painted: &Painted, span: &OpenSpan, utc_offset_seconds: i32) {
    indent(out, span.depth);
    out.extend_from_slice(painted.begins.as_bytes());
    out.push(b' ');
    push_operation(out, span);
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
        _ => {
            if let Some(content) = &span.content {
                let label = label_of(&content.span, utc_offset_seconds);
                out.extend_from_slice(one_line(&label).as_bytes());
            }
        }
    }
    out.push(b'\n');
}

fn write_end(out: &mut Vec<u8>, painted: &Painted, span: &OpenSpan, ending: &Ending) {
    indent(out, span.depth);
    out.extend_from_slice(painted.ends.as_bytes());
    out.push(b' ');
    let is_workflow = span.subject == Subject::Workflow || span.kind == SpanKind::Run;
    if is_workflow && span.operation == "workflow.start" {
        out.extend_from_slice(b"workflow.end");
    } else {
        push_operation(out, span);
    }
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
    if span.items_ok < span.items {
        let text = format!(" {} of {} items did well", span.items_ok, span.items);
        out.extend_from_slice(text.as_bytes());
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

fn write_log(out: &mut Vec<u8>, depth: u32, level: LogLevel, message: &Text<'_>, colour: bool) {
    indent(out, depth);
    if !colour {
        push_level(out, level);
        push_text(out, message, depth + 1);
        out.push(b'\n');
        return;
    }
    let mut text = Vec::new();
    push_level(&mut text, level);
    push_text(&mut text, message, depth + 1);
    let text = String::from_utf8_lossy(&text)
        .style(level_style(level))
        .to_string();
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

fn push_level(out: &mut Vec<u8>, level: LogLevel) {
    out.push(b'[');
    out.extend_from_slice(level.as_str().as_bytes());
    out.extend_from_slice(b"] ");
}

fn push_operation(out: &mut Vec<u8>, span: &OpenSpan) {
    if span.subject == Subject::Node && span.content.is_none() {
        out.extend_from_slice(b"node.");
    }
    match &span.content {
        // It may have a name of its own.
        Some(content) => out.extend_from_slice(one_line(&content.span.operation).as_bytes()),
        None if span.is_plain => out.extend_from_slice(span.operation.as_bytes()),
        None => out.extend_from_slice(one_line(&span.operation).as_bytes()),
    }
}

fn push_brackets(out: &mut Vec<u8>, text: &str, is_plain: bool) {
    out.extend_from_slice(b" [");
    if is_plain {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(one_line(text).as_bytes());
    }
    out.push(b']');
}

/// A text that is printed within a line: without control characters, line ends included.
fn one_line(text: &str) -> std::borrow::Cow<'_, str> {
    let text = printable(text);
    if text.contains(['\n', '\t']) {
        std::borrow::Cow::Owned(text.replace(['\n', '\t'], " "))
    } else {
        text
    }
}

/// A message, its further lines at this depth.
#[inline]
fn push_text(out: &mut Vec<u8>, text: &Text<'_>, depth: u32) {
    if text.is_plain && !text.text.ends_with(' ') {
        out.extend_from_slice(text.text.as_bytes());
    } else {
        push_lines(out, &text.text, depth);
    }
}

fn push_lines(out: &mut Vec<u8>, message: &str, depth: u32) {
    for (index, line) in message_lines(message).iter().enumerate() {
        if index > 0 {
            out.push(b'\n');
            indent(out, depth);
        }
        out.extend_from_slice(line.as_bytes());
    }
}

fn push_cut(out: &mut Vec<u8>, text: &str) {
    match text.char_indices().nth(CUSTOM_CHARS_MAX) {
        None => out.extend_from_slice(one_line(text).as_bytes()),
        Some((end, _)) => {
            out.extend_from_slice(one_line(&text[..end]).as_bytes());
            out.extend_from_slice("…".as_bytes());
        }
    }
}

/// Lines that were written at the depth of what turned out to be around them.
fn write_deeper(out: &mut Vec<u8>, text: &[u8]) {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(b"  ");
        out.extend_from_slice(line);
    }
}

/// The same as [`format_duration`], without its detours for the usual case.
fn push_duration(out: &mut Vec<u8>, duration_ns: u64) {
    const TENTH_NS: u64 = 100_000;
    // Halves go where the nearest binary fraction lies.
    if duration_ns >= 999_900_000 || duration_ns % TENTH_NS == TENTH_NS / 2 {
        out.extend_from_slice(format_duration(duration_ns).as_bytes());
        return;
    }
    let tenths = (duration_ns + TENTH_NS / 2) / TENTH_NS;
    let mut digits = [0_u8; 5];
    let mut rest = tenths;
    let mut start = digits.len();
    while start == digits.len() || rest > 0 || start > digits.len() - 2 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let (whole, tenth) = digits[start..].split_at(digits.len() - start - 1);
    out.extend_from_slice(whole);
    out.push(b'.');
    out.extend_from_slice(tenth);
    out.extend_from_slice(b"ms");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_the_same_both_ways() {
        let same = |duration_ns: u64| {
            let mut out = Vec::new();
            push_duration(&mut out, duration_ns);
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format_duration(duration_ns),
                "{duration_ns}"
            );
        };
        for duration_ns in 0..200_000 {
            same(duration_ns * 7_919);
        }
        for exact in 0..20_000_u64 {
            same(exact * 50_000);
            same((exact * 50_000).saturating_sub(1));
            same(exact * 50_000 + 1);
        }
        arbtest::arbtest(|u| {
            same(u.int_in_range(0..=2_000_000_000)?);
            same(u.arbitrary()?);
            Ok(())
        });
    }
}
