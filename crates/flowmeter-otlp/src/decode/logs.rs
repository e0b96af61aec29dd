//! Log records from the wire.
//!
//! Never loses a body: one that is no text becomes JSON text.

use flowmeter_model::{LogLevel, LogRecord, TimestampNs};
use serde_json::Value;

use super::{ReceivedLog, attributes, span_id, trace_id};
use crate::SCOPE_NAME;
use crate::proto::logs;

/// The record; `None` if it has ids that are none.
pub(super) fn read(record: logs::LogRecord, scope_name: &str) -> Option<ReceivedLog> {
    // A log may stand outside any trace; an id of a wrong length is an error of its sender.
    let trace = match record.trace_id.as_slice() {
        [] => None,
        bytes => Some(trace_id(bytes)?),
    };
    let span = match record.span_id.as_slice() {
        [] => None,
        bytes => Some(span_id(bytes)?),
    };
    let time = match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        time => time,
    };
    let message = match attributes::json(record.body.and_then(|body| body.value)) {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let target = Some(scope_name).filter(|name| !name.is_empty() && *name != SCOPE_NAME);
    Some(ReceivedLog {
        trace_id: trace,
        record: LogRecord {
            time: TimestampNs(time),
            level: level(record.severity_number, &record.severity_text),
            message,
            target: target.map(Into::into),
            span_id: span,
            attributes: attributes::read(record.attributes),
        },
    })
}

/// The level of a severity number, else of the text, else INFO.
/// Source: OpenTelemetry logs data model, `SeverityNumber`: four numbers a level; FATAL is an error here.
fn level(number: i32, text: &str) -> LogLevel {
    match number {
        1..=4 => LogLevel::Trace,
        5..=8 => LogLevel::Debug,
        9..=12 => LogLevel::Info,
        13..=16 => LogLevel::Warn,
        17.. => LogLevel::Error,
        _ => text.parse().unwrap_or(LogLevel::Info),
    }
}
