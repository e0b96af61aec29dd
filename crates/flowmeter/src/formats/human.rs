//! The human trace: a tree of spans with their logs, and a summary.
//!
//! The shape is agreed (arrows, brackets, summary lines); usage, cost and errors are added beside it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};

use flowmeter_model::{
    CostTotal, LogLevel, LogRecord, Span, SpanId, SpanKind, SpanStatus, TimestampNs, UsdNanos,
};
use owo_colors::{OwoColorize, Style};
use time::OffsetDateTime;

use crate::trace_file::TraceDocument;

/// How the tree is to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct HumanStyle {
    /// Whether escape codes for colour are written.
    pub colour: bool,
    /// The offset of the times shown, in seconds east of UTC.
    pub utc_offset_seconds: i32,
}

/// A duration as people read it: `45.2ms`, `3.20s`, `2m 05s`.
#[must_use]
pub fn format_duration(duration_ns: u64) -> String {
    let milliseconds = duration_ns as f64 / 1e6;
    if milliseconds < 999.95 {
        format!("{milliseconds:.1}ms")
    } else if milliseconds < 59_995.0 {
        format!("{:.2}s", milliseconds / 1e3)
    } else {
        let seconds = (milliseconds / 1e3).round() as u64;
        format!("{}m {:02}s", seconds / 60, seconds % 60)
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
    write_summary(trace, &tree, output)
}

/// One step of the walk: spans are closed after their children without recursion, so depth has no limit.
enum Visit<'a> {
    Entry(&'a Entry<'a>, usize),
    Close(&'a Span, usize),
}

impl Tree<'_> {
    fn paint(&self, text: &str, style: Style) -> String {
        if self.style.colour {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    }

    fn write_children(&self, root: Option<SpanId>, output: &mut dyn Write) -> io::Result<()> {
        let mut pending: Vec<Visit<'_>> = Vec::new();
        if let Some(entries) = self.children.get(&root) {
            pending.extend(entries.iter().rev().map(|entry| Visit::Entry(entry, 0)));
        }
        while let Some(visit) = pending.pop() {
            match visit {
                Visit::Entry(Entry::Log(log), depth) => self.write_log(log, depth, output)?,
                Visit::Entry(Entry::Span(span), depth) if is_first_and_only(span) => {
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
        let label = match span.kind {
            SpanKind::Run => format!(" [{}]", self.local_time(span.start)),
            _ => label_of(span),
        };
        writeln!(
            output,
            "{indent}{arrow} {}{}",
            printable(&span.operation),
            printable(&label)
        )
    }

    fn close(&self, span: &Span, depth: usize, output: &mut dyn Write) -> io::Result<()> {
        let indent = "  ".repeat(depth);
        if let Some(error) = &span.error {
            let message = first_lines(&error.message, &format!("{indent}    "));
            writeln!(
                output,
                "{indent}  {} {message}",
                self.paint("error:", Style::new().red().bold())
            )?;
            let mut told = &error.message;
            for cause in &error.chain {
                // Wrappers often repeat the message of what they wrap.
                if cause == told {
                    continue;
                }
                told = cause;
                writeln!(
                    output,
                    "{indent}    caused by: {}",
                    first_lines(cause, &format!("{indent}      "))
                )?;
            }
        }
        let name = match span.kind {
            SpanKind::Run => Cow::Borrowed("workflow.end"),
            _ => printable(&span.operation),
        };
        let arrow = self.paint("←", Style::new().cyan());
        let Some(duration_ns) = span.duration_ns() else {
            let note = self.paint("(not finished)", Style::new().yellow());
            return writeln!(output, "{indent}{arrow} {name} {note}");
        };
        let mark = match (span.kind, span.status) {
            (SpanKind::Run, Some(SpanStatus::Ok)) => String::new(),
            (_, Some(SpanStatus::Ok) | None) => format!(" {}", self.paint("✓", Style::new().green())),
            (_, Some(SpanStatus::Error)) => format!(" {}", self.paint("✗", Style::new().red())),
            (_, Some(SpanStatus::Cancelled)) => {
                format!(" {}", self.paint("✗ cancelled", Style::new().yellow()))
            }
        };
        let duration = format_duration(duration_ns);
        writeln!(
            output,
            "{indent}{arrow} {name} ({duration}){mark}{}",
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
            good += usize::from(did_well);
        }
        if good == count {
            String::new()
        } else {
            format!(" {good} of {count} items did well")
        }
    }

    fn write_log(&self, log: &LogRecord, depth: usize, output: &mut dyn Write) -> io::Result<()> {
        let indent = "  ".repeat(depth);
        let style = match log.level {
            LogLevel::Error => Style::new().red(),
            LogLevel::Warn => Style::new().yellow(),
            LogLevel::Info => Style::new(),
            LogLevel::Debug | LogLevel::Trace => Style::new().dimmed(),
        };
        let text = format!(
            "[{}] {}",
            log.level,
            first_lines(&log.message, &format!("{indent}  "))
        );
        writeln!(output, "{indent}{}", self.paint(&text, style))
    }

    fn local_time(&self, at: TimestampNs) -> String {
        let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0)) else {
            return "?".to_owned();
        };
        let offset = time::UtcOffset::from_whole_seconds(self.style.utc_offset_seconds)
            .unwrap_or(time::UtcOffset::UTC);
        let time = time.to_offset(offset);
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            time.year(),
            u8::from(time.month()),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }
}

/// A first attempt that did well says nothing that its node does not say: what is in it is shown in its place.
fn is_first_and_only(span: &Span) -> bool {
    span.kind == SpanKind::Attempt
        && span.status == Some(SpanStatus::Ok)
        && matches!(
            span.attributes.get("attempt.number"),
            Some(flowmeter_model::AttributeValue::I64(1))
        )
}

/// What stands in brackets behind the operation.
fn label_of(span: &Span) -> String {
    let number = |key: &str| match span.attributes.get(key) {
        Some(flowmeter_model::AttributeValue::I64(number)) => *number,
        _ => 0,
    };
    match span.kind {
        SpanKind::Node => span
            .attributes
            .get_str("node.id")
            .map_or_else(String::new, |id| format!(" [{id}]")),
        SpanKind::Attempt => format!(" [{} of {}]", number("attempt.number"), number("attempt.max")),
        SpanKind::BatchItem => format!(" [{} of {}]", number("batch.index") + 1, number("batch.count")),
        SpanKind::Iteration => format!(" [{}]", number("loop.iteration")),
        SpanKind::Run | SpanKind::Workflow | SpanKind::LlmCall | SpanKind::Custom => String::new(),
    }
}

/// Tokens and cost of an LLM call.
fn spend_of(span: &Span) -> String {
    let mut parts = Vec::new();
    if let Some(usage) = &span.usage
        && (usage.input.is_some() || usage.output.is_some())
    {
        let mark = if usage.is_estimated() { "~" } else { "" };
        parts.push(format!(
            "{mark}{} in, {mark}{} out",
            usage.input_tokens(),
            usage.output_tokens()
        ));
    }
    // A call that was refused used nothing and cost nothing: there is nothing to say.
    let refused = span.usage.as_ref().is_none_or(|usage| !usage.is_known());
    if let Some(cost) = span
        .cost
        .as_ref()
        .filter(|cost| !(refused && cost.amount == Some(UsdNanos::ZERO)))
    {
        let mut total = CostTotal::default();
        total.add("", cost);
        parts.push(if cost.amount.is_none() {
            "unpriced".to_owned()
        } else {
            total.display()
        });
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!(" {}", parts.join(", "))
    }
}

/// The text without control characters: what a model or a command said must not steer the reader's terminal.
fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(steers) {
        Cow::Owned(text.replace("\r\n", "\n").replace(steers, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A message of several lines, the later ones indented, long ones cut: the file has them whole.
fn first_lines(message: &str, indent: &str) -> String {
    const LINES_MAX: usize = 12;
    let message = printable(message.trim_end());
    let lines: Vec<&str> = message.lines().collect();
    let mut shown = lines
        .iter()
        .take(LINES_MAX)
        .copied()
        .collect::<Vec<_>>()
        .join(&format!("\n{indent}"));
    if lines.len() > LINES_MAX {
        shown.push_str(&format!("\n{indent}… {} more lines", lines.len() - LINES_MAX));
    }
    shown
}

fn write_summary(trace: &TraceDocument, tree: &Tree<'_>, output: &mut dyn Write) -> io::Result<()> {
    let (mut executed, mut failed, mut unfinished) = (0_u64, 0_u64, 0_u64);
    for node in trace.spans.iter().filter(|span| span.kind == SpanKind::Node) {
        if node.end.is_none() {
            unfinished += 1;
        } else {
            executed += 1;
            failed += u64::from(node.status != Some(SpanStatus::Ok));
        }
    }
    let rate = match executed {
        // Of nothing nothing failed, unless the end was not seen.
        0 if unfinished > 0 => "unknown".to_owned(),
        0 => "100%".to_owned(),
        _ => {
            let rate = (executed - failed) as f64 * 100.0 / executed as f64;
            if rate.fract() == 0.0 {
                format!("{rate:.0}%")
            } else {
                format!("{rate:.1}%")
            }
        }
    };
    let more = match unfinished {
        0 => String::new(),
        _ => format!(" (and {unfinished} that had not ended)"),
    };
    let at_least = if trace.is_finished() { "" } else { "at least " };
    writeln!(output, "Summary:")?;
    writeln!(
        output,
        "- Total Duration: {at_least}{}",
        format_duration(total_duration_ns(trace))
    )?;
    writeln!(output, "- Nodes Executed: {executed}{more}")?;
    writeln!(output, "- Success Rate: {rate}")?;
    write_spend(trace, output)?;
    let warn = |text: &str| tree.paint(text, Style::new().yellow());
    if !trace.is_finished() {
        writeln!(
            output,
            "- {}",
            warn("This run did not finish: the trace ends where its process was stopped.")
        )?;
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

fn write_spend(trace: &TraceDocument, output: &mut dyn Write) -> io::Result<()> {
    let mut total = CostTotal::default();
    let (mut calls, mut input, mut sent) = (0_u64, 0_u64, 0_u64);
    let mut estimated = false;
    for span in trace
        .spans
        .iter()
        .filter(|span| span.kind == SpanKind::LlmCall && span.end.is_some())
    {
        calls += 1;
        if let Some(usage) = &span.usage {
            input += usage.input_tokens();
            sent += usage.output_tokens();
            estimated |= usage.is_estimated();
        }
        if let Some(cost) = &span.cost {
            let model = span
                .attributes
                .get_str("gen_ai.request.model")
                .unwrap_or_default();
            total.add(model, cost);
        }
    }
    if calls > 0 {
        let mark = if estimated { "~" } else { "" };
        writeln!(output, "- LLM Calls: {calls}")?;
        writeln!(
            output,
            "- Tokens: {mark}{} ({input} in + {sent} out)",
            input + sent
        )?;
        writeln!(output, "- Cost: {}", total.display())?;
    }
    Ok(())
}

fn total_duration_ns(trace: &TraceDocument) -> u64 {
    let root = trace
        .spans
        .iter()
        .find(|span| span.kind == SpanKind::Run)
        .and_then(Span::duration_ns);
    root.or_else(|| {
        let milliseconds = trace.metrics.as_ref()?.get("total_duration_ms")?.as_f64()?;
        Some((milliseconds * 1e6) as u64)
    })
    .unwrap_or_else(|| {
        let first = trace.spans.iter().map(|span| span.start).min();
        let seen = trace.spans.iter().map(|span| span.end.unwrap_or(span.start));
        let last = seen.chain(trace.logs.iter().map(|log| log.time)).max();
        first.zip(last).map_or(0, |(first, last)| last.since(first))
    })
}
