//! The vocabulary of flowmeter: ids, clocks, spans, logs, events, token usage and money.
//!
//! Pure types with validation at the boundary. This crate never does I/O, never reads the
//! environment and never asks for the time by itself: clocks and randomness are handed in.

#![forbid(unsafe_code)]

mod clock;
mod cost;
mod event;
mod exact;
mod explanation;
mod ids;
mod log;
mod money;
mod span;
mod usage;

pub use clock::{Clock, ManualClock, SystemClock, TimestampNs};
pub use cost::{Cost, CostStatus, CostTotal};
pub use event::TelemetryEvent;
pub use exact::{InvalidAmount, UsdFemtos};
pub use explanation::{CostExplanation, CostLine, PER_MILLION, PER_THOUSAND};
pub use ids::{IdSource, InvalidSpanId, InvalidTraceId, SpanId, TraceId};
pub use log::{InvalidLogLevel, LogLevel, LogRecord};
pub use money::{InvalidUsd, UsdNanos};
pub use span::{
    AttributeValue, Attributes, MutationRecord, Span, SpanError, SpanEvent, SpanKind, SpanStatus,
    TemplateResolution,
};
pub use usage::{Figure, FigureSource, TokenUsage};

#[cfg(test)]
mod tests;
