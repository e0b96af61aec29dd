//! How spans, logs, durations and figures are put into words: the same in every output for the eye.
//!
//! Never writes: the formats do.

use std::borrow::Cow;

use crate::aggregate::{CacheTotals, LlmTotals};
use crate::llm::cached::SpanCacheHit;
use crate::scope::LOGS_DROPPED;
use flowmeter_model::{
    AttributeValue, Cost, CostStatus, CostTotal, FigureSource, LogLevel, LogRecord, Span, SpanError,
    SpanKind, SpanStatus, TimestampNs, TokenUsage, UsdNanos,
};
use owo_colors::Style;
use time::OffsetDateTime;

use crate::performance::{ChildUsage, names, whole};

/// How many lines of a message are shown; whatever keeps the trace has them all.
const MESSAGE_LINES_MAX: usize = 12;

/// Said of a run of which not everything is there.
pub(crate) const NOT_SAMPLED: &str =
    "This run was not sampled: only its root, its errors and its LLM usage are kept.";

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

/// A date and time as the first line of a tree shows it.
pub(crate) fn local_time(at: TimestampNs, utc_offset_seconds: i32) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0)) else {
        return "?".to_owned();
    };
    let offset = time::UtcOffset::from_whole_seconds(utc_offset_seconds).unwrap_or(time::UtcOffset::UTC);
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

/// A first attempt that did well says nothing that its node does not say: what is in it is shown in its place.
pub(crate) fn is_first_and_only(span: &Span) -> bool {
    is_first_attempt(span) && span.status == Some(SpanStatus::Ok)
}

/// Whether the span is the first attempt at its node.
pub(crate) fn is_first_attempt(span: &Span) -> bool {
    span.kind == SpanKind::Attempt && number_of(span, "attempt.number") == 1
}

/// A whole number among the attributes; 0 where there is none.
pub(crate) fn number_of(span: &Span, key: &str) -> i64 {
    match span.attributes.get(key) {
        Some(AttributeValue::I64(number)) => *number,
        _ => 0,
    }
}

/// What stands behind the operation: a space and the brackets, or nothing. Printable.
pub(crate) fn label_of(span: &Span, utc_offset_seconds: i32) -> String {
    let number = |key| number_of(span, key);
    match span.kind {
        // A program that gives no times is no reason to show the epoch.
        SpanKind::Run if span.start.0 == 0 => String::new(),
        SpanKind::Run => format!(" [{}]", local_time(span.start, utc_offset_seconds)),
        SpanKind::Workflow => span
            .attributes
            .get_str("workflow.id")
            .map_or_else(String::new, |id| format!(" [{}]", printable(id))),
        SpanKind::Node => span
            .attributes
            .get_str("node.id")
            .map_or_else(String::new, |id| format!(" [{}]", printable_name(id))),
        SpanKind::Attempt => format!(" [{} of {}]", number("attempt.number"), number("attempt.max")),
        SpanKind::BatchItem => format!(" [{} of {}]", number("batch.index") + 1, number("batch.count")),
        SpanKind::Iteration => format!(" [{}]", number("loop.iteration")),
        SpanKind::LlmCall | SpanKind::Custom => String::new(),
    }
}

/// The operation as the line of its end names it. Printable.
pub(crate) fn end_name(span: &Span) -> Cow<'_, str> {
    match span.kind {
        SpanKind::Run => Cow::Borrowed("workflow.end"),
        SpanKind::Workflow if span.operation == "workflow.start" => Cow::Borrowed("workflow.end"),
        _ => printable_name(&span.operation),
    }
}

/// The mark behind the duration of a span that ended; a run that did well has none.
pub(crate) fn mark_of(span: &Span) -> Option<(&'static str, Style)> {
    match (span.kind, span.status) {
        (SpanKind::Run, Some(SpanStatus::Ok)) => None,
        (_, Some(SpanStatus::Ok) | None) => Some(("✓", Style::new().green())),
        (_, Some(SpanStatus::Error)) => Some(("✗", Style::new().red())),
        (_, Some(SpanStatus::Cancelled)) => Some(("✗ cancelled", Style::new().yellow())),
    }
}

/// Tokens and cost of an LLM call, with a space before them; empty where there is nothing to say.
pub(crate) fn spend_of(span: &Span) -> String {
    if let Some(hit) = SpanCacheHit::of(span) {
        return format!(" cached ({})", saved_note(&hit));
    }
    let mut parts = Vec::new();
    if let Some(usage) = &span.usage
        && (usage.input.is_some() || usage.output.is_some())
    {
        // What nobody counted is left out, for it is not zero.
        let figures = [("in", usage.input), ("out", usage.output)];
        let known = figures.into_iter().filter_map(|(name, figure)| {
            let figure = figure?;
            let is_guess = matches!(figure.source, FigureSource::Estimate | FigureSource::Tokenizer);
            Some(format!(
                "{}{} {name}",
                if is_guess { "~" } else { "" },
                figure.tokens
            ))
        });
        parts.extend(known);
    }
    // A call that was refused used nothing and cost nothing: there is nothing to say.
    let is_used = span.usage.as_ref().is_some_and(TokenUsage::is_known);
    let refused = |cost: &Cost| !is_used && cost.explanation.is_none() && cost.amount == Some(UsdNanos::ZERO);
    match &span.cost {
        Some(cost) if refused(cost) => {}
        Some(cost) if cost.amount.is_some() => {
            let mut total = CostTotal::default();
            total.add("", cost);
            parts.push(total.display());
        }
        Some(_) => parts.push("unpriced".to_owned()),
        None if span.kind == SpanKind::LlmCall && is_used => parts.push("unpriced".to_owned()),
        None => {}
    }
    parts.extend(effort_of(span));
    if parts.is_empty() {
        String::new()
    } else {
        format!(" {}", parts.join(", "))
    }
}

/// `saved 1,234 tokens, $0.0031`: what an answer from a response cache saved.
fn saved_note(hit: &SpanCacheHit) -> String {
    let mut total = LlmTotals::default();
    total.add_cache_hit(&hit.sample());
    saved_by(&total.cache)
}

fn saved_by(cache: &CacheTotals) -> String {
    let tokens = grouped(cache.saved_tokens());
    format!("saved {tokens} tokens, {}", cache.saved_cost.display())
}

/// `3 of 4 found, saved 1,234 tokens, $0.0031`: what look-ups in a response cache came to.
#[must_use]
pub fn cache_note(cache: &CacheTotals) -> String {
    let found = format!("{} of {} found", grouped(cache.hits), grouped(cache.lookups()));
    if cache.hits == 0 {
        return found;
    }
    format!("{found}, {}", saved_by(cache))
}

/// `1,024 tokens, saved $0.0028`: what providers' prompt caches came to; `None` where they were not used.
#[must_use]
pub fn provider_cache_note(llm: &LlmTotals) -> Option<String> {
    let cache = &llm.cache;
    if llm.cache_read_tokens == 0 && cache.provider_priced_calls == 0 {
        return None;
    }
    let tokens = format!("{} tokens", grouped(llm.cache_read_tokens));
    Some(match (cache.provider_saved_status(), cache.provider_saved) {
        (CostStatus::Unpriced, _) => tokens,
        (_, saved) if saved < UsdNanos::ZERO => {
            format!(
                "{tokens}, writing cost {} more than reading saved",
                UsdNanos::ZERO - saved
            )
        }
        (CostStatus::Partial, saved) => format!("{tokens}, saved ≥ {saved}"),
        (_, saved) => format!("{tokens}, saved {saved}"),
    })
}

/// A number with commas between its thousands: `12,345`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// CPU time from which on it is telling.
const TELLING_CPU_NS: u64 = 250_000_000;

/// CPU time of a node and of its child processes, where there was much of it.
fn effort_of(span: &Span) -> Vec<String> {
    let mut parts = Vec::new();
    let cpu_ns = whole(&span.attributes, names::NODE_CPU_NS);
    if let Some(cpu_ns) = cpu_ns.filter(|cpu_ns| *cpu_ns >= TELLING_CPU_NS) {
        parts.push(format!("{} CPU", format_duration(cpu_ns)));
    }
    let children = ChildUsage::of_attributes(&span.attributes);
    if let Some(children) = children.filter(|children| children.cpu_ns() >= TELLING_CPU_NS) {
        let memory = children.memory_max_bytes().map_or_else(String::new, |bytes| {
            format!(" and {} MB", bytes.div_ceil(1_000_000))
        });
        let cpu = format_duration(children.cpu_ns());
        parts.push(format!("child processes: {cpu} CPU{memory}"));
    }
    parts
}

/// How many items of a batch did well, with a space before it, where not all of them did.
pub(crate) fn items_note(good: u64, count: u64) -> String {
    if good == count {
        String::new()
    } else {
        format!(" {good} of {count} items did well")
    }
}

/// The causes of an error, outermost first. Wrappers often repeat the message of what they wrap: that is left
/// out.
pub(crate) fn causes_of(error: &SpanError) -> impl Iterator<Item = &str> {
    let mut told = error.message.as_str();
    error.chain.iter().map(String::as_str).filter(move |cause| {
        let is_new = *cause != told;
        told = cause;
        is_new
    })
}

/// The colour of a log line.
pub(crate) fn level_style(level: LogLevel) -> Style {
    match level {
        LogLevel::Error => Style::new().red(),
        LogLevel::Warn => Style::new().yellow(),
        LogLevel::Info => Style::new(),
        LogLevel::Debug | LogLevel::Trace => Style::new().dimmed(),
    }
}

/// What a log line says: its message, and its fields behind it as `tracing` shows them. Where in the source it was
/// written is left out.
pub(crate) fn log_text(log: &LogRecord) -> Cow<'_, str> {
    let mut fields = log
        .attributes
        .iter()
        .filter(|(key, _)| !key.starts_with("code."))
        .peekable();
    if fields.peek().is_none() {
        return Cow::Borrowed(&log.message);
    }
    let mut text = log.message.trim_end().to_owned();
    for (key, value) in fields {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(key);
        text.push('=');
        match value {
            AttributeValue::Str(value) if value.contains(char::is_whitespace) || value.is_empty() => {
                text.push_str(&format!("{value:?}"));
            }
            AttributeValue::Str(value) => text.push_str(value),
            AttributeValue::Bool(flag) => text.push_str(&flag.to_string()),
            AttributeValue::I64(number) => text.push_str(&number.to_string()),
            AttributeValue::F64(number) => text.push_str(&number.to_string()),
            AttributeValue::Json(value) => text.push_str(&value.to_string()),
        }
    }
    Cow::Owned(text)
}

/// What stands for the log lines of a span that were too many.
pub(crate) fn logs_dropped_note(span: &Span) -> Option<String> {
    match number_of(span, LOGS_DROPPED) {
        dropped if dropped <= 0 => None,
        1 => Some("… 1 more log line was dropped".to_owned()),
        dropped => Some(format!("… {dropped} more log lines were dropped")),
    }
}

/// The text without control characters: what a model or a command said must not steer the reader's terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(steers) {
        Cow::Owned(text.replace("\r\n", "\n").replace(steers, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The same for a name, which is on one line.
pub(crate) fn printable_name(name: &str) -> Cow<'_, str> {
    let breaks = |c: char| matches!(c, '\n' | '\t');
    match printable(name) {
        name if name.contains(breaks) => Cow::Owned(name.replace(breaks, "\u{fffd}")),
        name => name,
    }
}

/// Control characters, and those that turn the direction of the text around them.
fn steers(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The lines of a message, long ones cut. Printable.
pub(crate) fn message_lines(message: &str) -> Vec<String> {
    let message = printable(message.trim_end());
    let mut lines = message.lines();
    let mut shown: Vec<String> = lines
        .by_ref()
        .take(MESSAGE_LINES_MAX)
        .map(str::to_owned)
        .collect();
    let more = lines.count();
    if more > 0 {
        shown.push(format!("… {more} more lines"));
    }
    shown
}

#[cfg(test)]
mod tests;
