//! OTLP/JSON: ids in hex, enums as integers, lowerCamelCase, 64-bit integers as texts, bytes in base64.
//!
//! Source: the OTLP specification, "JSON Protobuf Encoding". Never guesses: an unknown field is ignored, a known
//! one of the wrong type is an error.

mod read;
mod read_metrics;
mod write;
mod write_metrics;

pub(crate) use self::read::{read_logs, read_partial_success, read_status, read_traces};
pub(crate) use self::read_metrics::read_metrics;
pub(crate) use self::write::{write_partial_success, write_request, write_status};

use crate::request::Signal;

/// What an answer calls the number of refused items.
fn rejected_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
    }
}

#[cfg(test)]
mod tests;
