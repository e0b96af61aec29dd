//! The human trace: a tree of spans with their logs, and a summary.
//!
//! The shape is agreed (arrows, brackets, summary lines); usage, cost and errors are added beside it.

use std::collections::HashMap;
use std::io::{self, Write};

use flowmeter_model::{LogRecord, Span, SpanId, SpanKind, SpanStatus, TimestampNs};
use owo_colors::{OwoColorize, Style};

use super::planner::write_planner;
use super::summary::Summary;
use super::wording::{
    NOT_SAMPLED, causes_of, end_name, format_duration, is_first_and_only, items_note, label_of, level_style,
    log_text, logs_dropped_note, mark_of, message_lines, printable_name, spend_of,
};
use crate::trace_file::TraceDocument;

/// How the tree is to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct HumanStyle {
    /// Whether escape codes for colour are written.
    pub colour: bool,
    /// The offset of the times shown, in seconds east of UTC.
    pub utc_offset_seconds: i32,
}

impl HumanStyle {
    fn paint(self, text: &str, style: Style) -> String {
        if self.colour {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    }
}

enum Entry<'a> {
    Span(&'a Span),
    Log(&'a LogRecord),
}

impl Entry<'_> {
    fn time(&self) -> TimestampNs {
        match self {
            Self::Span(span) => span.start,
            Self::Log(log) => log.time,
        }
    }
}

struct Tree<'a> {
    children: HashMap<Option<SpanId>, Vec<Entry<'a>>>,
    style: HumanStyle,
}

/// Writes the tree of `trace` and its summary.
///
/// # Errors
/// Whatever `output` fails with.
pub fn write_human(trace: &TraceDocument, style: HumanStyle, output: &mut dyn Write) -> io::Result<()> {
    let known: std::collections::HashSet<SpanId> = trace.spans.iter().map(|span| span.span_id).collect();
    let mut children: HashMap<Option<SpanId>, Vec<Entry<'_>>> = HashMap::new();
    for span in &trace.spans {
        // A span whose parent was never written stands at the top.
        let parent = span.parent_span_id.filter(|parent| known.contains(parent));
        children.entry(parent).or_default().push(Entry::Span(span));
    }
    for log in &trace.logs {
        let parent = log.span_id.filter(|parent| known.contains(parent));
        children.entry(parent).or_default().push(Entry::Log(log));
    }
    for entries in children.values_mut() {
        entries.sort_by_key(Entry::time);
    }
    let tree = Tree { children, style };
    writeln!(output, "Workflow Trace: {}", trace.trace_id)?;
    tree.write_children(None, output)?;
    writeln!(output)?;
    write_summary(trace, style, output)
}

/// Writes the summary of `trace` and what is to be known about the trace itself.
///
/// # Errors
/// Whatever `output` fails with.
pub fn write_summary(trace: &TraceDocument, style: HumanStyle, output: &mut dyn Write) -> io::Result<()> {
    Summary::of_trace(trace).write(output)?;
    write_planner(trace, output)?;
    write_warnings(trace, style, output)
}

/// One step of the walk: spans are closed after their children without recursion, so depth has no limit.
enum Visit<'a> {
    Entry(&'a Entry<'a>, usize),
    Close(&'a Span, usize),
}

impl Tree<'_> {
    fn paint(&self, text: &str, style: Style) -> String {
        self.style.paint(text, style)
    }

    fn write_children(&self, root: Option<SpanId>, output: &mut dyn Write) -> io::Result<()> {
        let mut pending: Vec<Visit<'_>> = Vec::new();
        if let Some(entries) = self.children.get(&root) {
            pending.extend(entries.iter().rev().map(|entry| Visit::Entry(entry, 0)));
        }
        while let Some(visit) = pending.pop() {
            match visit {
                Visit::Entry(Entry::Log(log), depth) => self.write_log(log, depth, output)?,
                Visit::Entry(Entry::Span(span), depth)
                    if is_first_and_only(span) && logs_dropped_note(span).is_none() =>
                {
                    if let Some(entries) = self.children.get(&Some(span.span_id)) {
                        pending.extend(entries.iter().rev().map(|entry| Visit::Entry(entry, depth)));
                    }
                }
                Visit::Entry(Entry::Span(span), depth) => {
                    self.open(span, depth, output)?;
                    pending.push(Visit::Close(span, depth));
                    if let Some(entries) = self.children.get(&Some(span.span_id)) {
                        pending.extend(entries.iter().rev().map(|entry| Visit::Entry(entry, depth + 1)));
                    }
                }
                Visit::Close(span, depth) => self.close(span, depth, output)?,
            }
        }
        Ok(())
    }

    fn open(&self, span: &Span, depth: usize, output: &mut dyn Write) -> io::Result<()> {
        let indent = "  ".repeat(depth);
        let arrow = self.paint("→", Style::new().cyan());
        let label = label_of(span, self.style.utc_offset_seconds);
        writeln!(
            output,
            "{indent}{arrow} {}{label}",
            printable_name(&span.operation)
        )
    }

    fn close(&self, span: &Span, depth: usize, output: &mut dyn Write) -> io::Result<()> {
        let indent = "  ".repeat(depth);
        if let Some(note) = logs_dropped_note(span) {
            writeln!(output, "{indent}  {}", self.paint(&note, Style::new().yellow()))?;
        }
        if let Some(error) = &span.error {
            let message = first_lines(&error.message, &format!("{indent}    "));
            writeln!(
                output,
                "{indent}  {} {message}",
                self.paint("error:", Style::new().red().bold())
            )?;
            for cause in causes_of(error) {
                writeln!(
                    output,
                    "{indent}    caused by: {}",
                    first_lines(cause, &format!("{indent}      "))
                )?;
            }
        }
        let name = end_name(span);
        let arrow = self.paint("←", Style::new().cyan());
        if span.status.is_none() {
            let note = self.paint("(not finished)", Style::new().yellow());
            return writeln!(output, "{indent}{arrow} {name} {note}");
        }
        let mark = mark_of(span).map_or_else(String::new, |(mark, style)| {
            format!(" {}", self.paint(mark, style))
        });
        // A program that gives no times gives no durations.
        let duration = span.duration_ns().map_or_else(String::new, |duration_ns| {
            format!(" ({})", format_duration(duration_ns))
        });
        writeln!(
            output,
            "{indent}{arrow} {name}{duration}{mark}{}",
            self.items_of(span) + &spend_of(span)
        )
    }

    /// How many items of a batch did well, where not all of them did.
    fn items_of(&self, span: &Span) -> String {
        let entries = self
            .children
            .get(&Some(span.span_id))
            .map(Vec::as_slice)
            .unwrap_or_default();
        let items = entries.iter().filter_map(|entry| match entry {
            Entry::Span(child) if child.kind == SpanKind::BatchItem => {
                Some(child.status == Some(SpanStatus::Ok))
            }
            _ => None,
        });
        let (mut count, mut good) = (0, 0);
        for did_well in items {
            count += 1;
            good += u64::from(did_well);
        }
        items_note(good, count)
    }

    fn write_log(&self, log: &LogRecord, depth: usize, output: &mut dyn Write) -> io::Result<()> {
        let indent = "  ".repeat(depth);
        let text = format!(
            "[{}] {}",
            log.level,
            first_lines(&log_text(log), &format!("{indent}  "))
        );
        writeln!(output, "{indent}{}", self.paint(&text, level_style(log.level)))
    }
}

/// A message of several lines, the later ones indented, long ones cut: the file has them whole.
fn first_lines(message: &str, indent: &str) -> String {
    message_lines(message).join(&format!("\n{indent}"))
}

fn write_warnings(trace: &TraceDocument, style: HumanStyle, output: &mut dyn Write) -> io::Result<()> {
    let warn = |text: &str| style.paint(text, Style::new().yellow());
    if !trace.is_finished() {
        writeln!(
            output,
            "- {}",
            warn("This run has not ended here: it goes on, or its process was stopped.")
        )?;
    }
    if !trace.sampled {
        let note = NOT_SAMPLED;
        writeln!(output, "- {}", warn(note))?;
    }
    if trace.broken_lines > 0 {
        let note = format!(
            "{} line(s) of the trace could not be read and are left out.",
            trace.broken_lines
        );
        writeln!(output, "- {}", warn(&note))?;
    }
    if let Some(dropped) = trace.metrics.as_ref().and_then(|metrics| metrics.get("dropped")) {
        writeln!(
            output,
            "- {}",
            warn(&format!("Some telemetry was dropped: {dropped}"))
        )?;
    }
    Ok(())
}
