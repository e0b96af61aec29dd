//! Log lines of the history, as the console showed them when they came: one line each, for people or for programs.
//!
//! Never asks the store for anything: it is told where a line was written.

use flowmeter_model::{AttributeValue, LogLevel, LogRecord};
use flowmeter_store::StoredLog;
use owo_colors::{OwoColorize, Style};
use serde_json::{Map, Value, json};

use crate::printable::{one_line, printable};
use crate::times::{TimeWords, rfc3339};

/// How lines are to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogLook<'a> {
    pub(crate) colour: bool,
    pub(crate) times: &'a TimeWords,
    /// Whether the day stands before the time: in lines of many runs.
    pub(crate) with_day: bool,
}

/// `12:03:04.123 INFO  4bf92f35 [reader] shell: Running command: make`, with its line end. `run` and `node` may be
/// empty.
pub(crate) fn log_line(log: &LogRecord, run: &str, node: &str, look: LogLook<'_>) -> String {
    let paint = |text: &str, style: Style| {
        if look.colour && !text.is_empty() {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    };
    let mut time = look.times.clock(log.time);
    if look.with_day {
        time = format!("{} {time}", look.times.day(log.time));
    }
    let mut words = vec![paint(&time, Style::new().dimmed())];
    words.push(paint(
        &format!("{:<5}", log.level.as_str()),
        level_style(log.level),
    ));
    if !run.is_empty() {
        words.push(paint(run, Style::new().yellow()));
    }
    if !node.is_empty() {
        words.push(paint(&format!("[{}]", one_line(node)), Style::new().cyan()));
    }
    if let Some(target) = log.target.as_deref().filter(|target| !target.is_empty()) {
        words.push(paint(&format!("{}:", one_line(target)), Style::new().dimmed()));
    }
    let said = said(log);
    let said = printable(said.trim_end());
    let mut lines = said.lines();
    words.push(lines.next().unwrap_or_default().to_owned());
    let mut text = words.join(" ");
    text.truncate(text.trim_end().len());
    text.push('\n');
    for line in lines {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

/// A line as JSON: that of the event lines, with its run.
pub(crate) fn log_json(log: &StoredLog, workflow: &str, node: &str) -> Value {
    let mut object = Map::new();
    object.insert("time".to_owned(), rfc3339(log.record.time).into());
    object.insert("level".to_owned(), log.record.level.as_str().into());
    object.insert("message".to_owned(), log.record.message.as_str().into());
    object.insert("target".to_owned(), json!(log.record.target));
    object.insert("run".to_owned(), log.run.to_string().into());
    object.insert("workflow".to_owned(), workflow.into());
    object.insert("node".to_owned(), (!node.is_empty()).then_some(node).into());
    object.insert("span_id".to_owned(), json!(log.record.span_id));
    if !log.record.attributes.is_empty() {
        object.insert("attributes".to_owned(), json!(log.record.attributes));
    }
    object.into()
}

/// The message, and its fields behind it as `tracing` shows them; where in the source it was written is left out.
fn said(log: &LogRecord) -> String {
    let mut text = log.message.trim_end().to_owned();
    for (key, value) in log.attributes.iter().filter(|(key, _)| !key.starts_with("code.")) {
        let value = match value {
            AttributeValue::Str(text) if text.is_empty() || text.contains(char::is_whitespace) => {
                format!("{text:?}")
            }
            AttributeValue::Str(text) => text.to_string(),
            AttributeValue::Bool(flag) => flag.to_string(),
            AttributeValue::I64(number) => number.to_string(),
            AttributeValue::F64(number) => number.to_string(),
            AttributeValue::Json(value) => value.to_string(),
        };
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&format!("{key}={value}"));
    }
    text
}

fn level_style(level: LogLevel) -> Style {
    match level {
        LogLevel::Error => Style::new().red(),
        LogLevel::Warn => Style::new().yellow(),
        LogLevel::Info => Style::new().green(),
        LogLevel::Debug | LogLevel::Trace => Style::new().dimmed(),
    }
}

#[cfg(test)]
mod tests;
