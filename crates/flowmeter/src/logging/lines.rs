//! Log lines as they come, for somebody who watches: one line each, for people or for programs.
//!
//! A backend like any other, but one that sees a run whole, sampled or not. Never shows spans.

use std::io::Write;

use flowmeter_model::{LogLevel, LogRecord, Span, SpanId, SpanKind, TelemetryEvent};
use owo_colors::{OwoColorize, Style};
use rustc_hash::FxHashMap;
use smol_str::{SmolStr, format_smolstr};
use time::{OffsetDateTime, UtcOffset};

use crate::backends::{Backend, Batch, ExportError, ReaderFacing, RunEnding};
use crate::events::write_event;
use crate::formats::wording::{level_style, log_text, logs_dropped_note, number_of, printable};

/// Running spans whose place is remembered; lines of more say only where their target is.
const PLACES_MAX: usize = 50_000;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLineFormat {
    /// `12:03:04.123 INFO  node.shell[reader] Running command: make`.
    #[default]
    Human,
    /// Event lines of the type `log`: one JSON object a line, with the ids of trace and span.
    Json,
}

/// How [`LogLines`] writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogLinesConfig {
    /// Default: for people.
    pub format: LogLineFormat,
    /// Whether escape codes for colour are written, for people. Default: no.
    pub colour: bool,
    /// The offset of the times shown to people, in seconds east of UTC. Default: 0.
    pub utc_offset_seconds: i32,
}

/// Writes each log line of a run as it comes.
pub struct LogLines {
    config: LogLinesConfig,
    /// Gets whole lines, and is flushed behind them.
    output: ReaderFacing,
    /// The node around each running span.
    places: FxHashMap<SpanId, Place>,
    text: Vec<u8>,
}

/// Where a line was written: `node.llm[ask]`, `node.llm[ask #3]`, `node.shell[outer/inner]`.
#[derive(Clone, Default)]
struct Place {
    /// `llm`.
    node_type: SmolStr,
    /// `ask`, `ask #3`, `outer/inner`.
    node: SmolStr,
}

impl LogLines {
    /// Lines to `output`.
    #[must_use]
    pub fn new(output: Box<dyn Write + Send>, config: LogLinesConfig) -> Self {
        Self {
            config,
            output: ReaderFacing::new(output),
            places: FxHashMap::default(),
            text: Vec::new(),
        }
    }

    fn started(&mut self, span: &Span) {
        if self.places.len() >= PLACES_MAX || self.config.format == LogLineFormat::Json {
            return;
        }
        let around = span.parent_span_id.and_then(|parent| self.places.get(&parent));
        let around = around.cloned().unwrap_or_default();
        let place = match span.kind {
            SpanKind::Node => {
                let id = span.attributes.get_str("node.id").unwrap_or_default();
                let node = if around.node.is_empty() {
                    SmolStr::new(id)
                } else {
                    format_smolstr!("{}/{id}", around.node)
                };
                let node_type = span.attributes.get_str("node.type").unwrap_or_default();
                Place {
                    node_type: SmolStr::new(node_type),
                    node,
                }
            }
            SpanKind::BatchItem => Place {
                node: format_smolstr!("{} #{}", around.node, number_of(span, "batch.index") + 1),
                ..around
            },
            _ => around,
        };
        self.places.insert(span.span_id, place);
    }

    fn ended(&mut self, span: &Span) {
        if self.config.format == LogLineFormat::Human
            && let Some(note) = logs_dropped_note(span)
        {
            let time = span.end.unwrap_or(span.start);
            self.human(&LogRecord {
                time,
                level: LogLevel::Warn,
                message: note,
                target: None,
                span_id: Some(span.span_id),
                attributes: flowmeter_model::Attributes::new(),
            });
        }
        self.places.remove(&span.span_id);
    }

    fn human(&mut self, log: &LogRecord) {
        let place = log.span_id.and_then(|id| self.places.get(&id));
        let mut where_from = String::new();
        if let Some(place) = place.filter(|place| !place.node.is_empty()) {
            where_from = format!("node.{}[{}]", place.node_type, place.node);
        }
        // What a node says itself has its type as the target: that was said.
        let target = log.target.as_deref().unwrap_or_default();
        let is_told = place.is_some_and(|place| place.node_type == target) || target == "workflow";
        if !is_told && !target.is_empty() {
            let space = if where_from.is_empty() { "" } else { " " };
            where_from.push_str(&format!("{space}{target}:"));
        }
        let level = format!("{:<5}", log.level.as_str());
        let time = clock_time(log, self.config.utc_offset_seconds);
        let said = log_text(log);
        let said = printable(said.trim_end());
        let mut lines = said.lines();
        let first = lines.next().unwrap_or_default();
        let (time, level, where_from) = if self.config.colour {
            (
                time.dimmed().to_string(),
                level.style(style_of(log.level)).to_string(),
                printable(&where_from).cyan().to_string(),
            )
        } else {
            (time, level, printable(&where_from).into_owned())
        };
        let space = if where_from.is_empty() { "" } else { " " };
        // A vector takes everything.
        let _never_fails = writeln!(self.text, "{time} {level}{space}{where_from} {first}");
        for line in lines {
            let _never_fails = writeln!(self.text, "    {line}");
        }
    }

    /// Hands the lines to the output.
    fn hand_on(&mut self) -> Result<(), ExportError> {
        let failed = |error| ExportError::new("the log lines could not be written").with_source(error);
        self.output.hand_on(&mut self.text).map_err(failed)
    }
}

fn style_of(level: LogLevel) -> Style {
    match level {
        LogLevel::Info => Style::new().green(),
        level => level_style(level),
    }
}

/// `12:03:04.123`.
fn clock_time(log: &LogRecord, utc_offset_seconds: i32) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(log.time.0)) else {
        return "?".to_owned();
    };
    let offset = UtcOffset::from_whole_seconds(utc_offset_seconds).unwrap_or(UtcOffset::UTC);
    let time = time.to_offset(offset);
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

impl Backend for LogLines {
    fn name(&self) -> &str {
        "log lines"
    }

    fn sees_all(&self) -> bool {
        true
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        for event in &batch.events {
            match event {
                TelemetryEvent::SpanStarted(span) => self.started(span),
                TelemetryEvent::SpanEnded(span) => self.ended(span),
                TelemetryEvent::Log(_, log) if self.config.format == LogLineFormat::Human => self.human(log),
                TelemetryEvent::Log(..) => {
                    let _never_fails = write_event(&mut self.text, &batch.run, event);
                }
            }
        }
        self.hand_on()
    }

    fn finish(&mut self, _ending: &RunEnding) -> Result<(), ExportError> {
        self.hand_on()
    }
}

#[cfg(test)]
mod tests;
