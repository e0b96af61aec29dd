//! Context across processes: what a run is told of the trace it belongs to, and what it tells those it calls.
//!
//! Carriers are the headers `traceparent`, `tracestate` and `baggage`, or the environment variables of the same
//! names in capitals. Never reads or changes the environment itself, and never fails a run: a carrier that cannot
//! be read starts a new trace, with a warning.

mod baggage;
mod carrier;
mod incoming;
mod traceparent;

pub use baggage::{Baggage, BaggageMember, InvalidBaggageMember};
pub use carrier::{Carrier, TraceContext};
pub use incoming::{CarrierProblem, IncomingContext, RemoteParent};
pub use traceparent::{InvalidTraceParent, TraceFlags, TraceParent};

/// The header of the trace and its current span.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// The header in which each tracing system has its member.
pub(crate) const TRACESTATE: &str = "tracestate";
/// The header of what users send along.
pub(crate) const BAGGAGE: &str = "baggage";

/// The environment variable that stands for a header.
pub(crate) fn variable_of(header: &str) -> &'static str {
    match header {
        TRACEPARENT => "TRACEPARENT",
        TRACESTATE => "TRACESTATE",
        _ => "BAGGAGE",
    }
}
