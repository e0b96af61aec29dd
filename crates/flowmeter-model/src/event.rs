//! What happens in a run, one thing at a time: the elements of the live stream.
//!
//! Never a wire type: the library's formats write it.

use crate::{LogRecord, Span, TraceId};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum TelemetryEvent {
    /// A span began; it has neither end nor status.
    SpanStarted(Box<Span>),
    /// A span ended, complete.
    SpanEnded(Box<Span>),
    /// A log line was written.
    Log(TraceId, Box<LogRecord>),
}
