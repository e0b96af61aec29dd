//! The metrics of a run, counted at the source and as it goes: nothing here depends on what the trace keeps.
//!
//! Never derived from the trace file, so that tokens, cost and durations are right even where events were
//! dropped or the capture is off.

mod collector;
mod json;

use std::collections::BTreeMap;

use smol_str::SmolStr;

pub(crate) use collector::MetricsCollector;
pub use json::milliseconds;

use crate::aggregate::{LlmTotals, NodeMetrics};

/// How far a running batch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchProgress {
    /// Items that ended.
    pub done: usize,
    /// Items in all.
    pub count: usize,
    /// Items that failed.
    pub failed: usize,
}

/// Where a run is just now.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The nodes that are running, outermost and earliest first.
    pub running: Vec<SmolStr>,
    /// Nodes that ended.
    pub nodes_executed: u64,
    /// LLM calls so far.
    pub llm: LlmTotals,
    /// The batch that is running, if one is.
    pub batch: Option<BatchProgress>,
}

/// The metrics of a finished run.
#[derive(Clone, Debug, Default)]
pub struct RunMetrics {
    /// From start to end.
    pub duration_ns: u64,
    /// Node executions, nested workflows' included.
    pub nodes_executed: u64,
    /// Node executions that failed or were cancelled.
    pub nodes_failed: u64,
    /// All LLM calls.
    pub llm: LlmTotals,
    /// LLM calls by model.
    pub models: BTreeMap<SmolStr, LlmTotals>,
    /// Nodes in the order in which they first ended; nested ones as `outer/inner`.
    pub nodes: Vec<(SmolStr, NodeMetrics)>,
}

impl RunMetrics {
    /// Share of node executions that did well; 1.0 where no node ran.
    #[must_use]
    pub fn success_rate(&self) -> f64 {
        if self.nodes_executed == 0 {
            return 1.0;
        }

        (self.nodes_executed - self.nodes_failed) as f64 / self.nodes_executed as f64
    }
}
