//! What is written to the store, in the order in which it happened.
//!
//! Never in the form of a table: backends choose their own.

use flowmeter_model::TelemetryEvent;

use crate::{RunEnd, RunKey, RunStart};

/// Something to be kept.
#[derive(Clone, Debug)]
pub enum Append {
    /// A run begins. Said again of the same run, it changes nothing.
    Began(Box<RunStart>),
    /// Things that happened in a run, oldest first. Of a span that starts and ends, only the end need be kept; one that
    /// started and does not end is shown as open. A span that comes twice (an import said again) is kept once, as it came
    /// first, and so are the log lines that it carries; a line that comes by itself is kept as often as it comes.
    ///
    /// A run that nobody said the beginning of is there from its first event: its root span gives the rest (workflow,
    /// caller, start). The node of a span is decided when it ends: the spans around it come before it, or with it in
    /// one list.
    Events(RunKey, Vec<TelemetryEvent>),
    /// A run ended. Said again, it changes nothing. A run whose root span ended has ended as that has, also when nobody
    /// says this.
    Ended(Box<RunEnd>),
}
