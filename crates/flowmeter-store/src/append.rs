//! What is written to the store, in the order in which it happened.
//!
//! Never in the form of a table: backends choose their own.

use flowmeter_model::TelemetryEvent;

use crate::{RunEnd, RunKey, RunStart};

/// Something to be kept.
#[derive(Clone, Debug)]
pub enum Append {
    /// A run begins. Said again of the same run, it changes nothing but what was unknown.
    Began(Box<RunStart>),
    /// Things that happened in a run, oldest first. Of a span that starts and ends, only the end need be kept; one that
    /// started and does not end is shown as open. A span that comes twice (an import said again) is kept once.
    Events(RunKey, Vec<TelemetryEvent>),
    /// A run ended.
    Ended(Box<RunEnd>),
}
