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

use crate::aggregate::{
    DurationSummary, LlmTotals, MemoryUsage, ModelMetrics, NodeMetrics, QueueTime, Throughput, TypeMetrics,
    share, success_rate,
};

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
    /// Errors: here, each failed execution is one.
    pub error_count: u64,
    /// All LLM calls.
    pub llm: LlmTotals,
    /// How long they took.
    pub llm_durations: DurationSummary,
    /// How long streamed answers let wait for their first piece.
    pub time_to_first_token: DurationSummary,
    /// LLM calls by model.
    pub models: BTreeMap<SmolStr, ModelMetrics>,
    /// Calls to models beyond the first 1,000.
    pub other_models: Option<ModelMetrics>,
    /// Node types in the order in which they first ended.
    pub types: Vec<(SmolStr, TypeMetrics)>,
    /// Executions of types beyond the first 1,000.
    pub other_types: Option<TypeMetrics>,
    /// Nodes in the order in which they first ended; nested ones as `outer/inner`.
    pub nodes: Vec<(SmolStr, NodeMetrics)>,
    /// Executions of nodes beyond the first 10,000.
    pub other_nodes: Option<NodeMetrics>,
    /// CPU time of the whole process during the run, its child processes not included; `None` where the system
    /// does not say.
    pub cpu_ns: Option<u64>,
    /// CPU time of child processes that nodes started; `None` where they started none.
    pub children_cpu_ns: Option<u64>,
    /// The most memory that one of those processes held.
    pub children_memory_max_bytes: Option<u64>,
    /// How long items of batches were ready but waited for a place.
    pub queue: QueueTime,
    /// The memory of the whole process during the run; `None` where the system does not say.
    pub memory: Option<MemoryUsage>,
    /// How much happened a second.
    pub throughput: Throughput,
}

impl RunMetrics {
    /// Share of node executions that did well; 1.0 where no node ran.
    #[must_use]
    pub fn success_rate(&self) -> f64 {
        success_rate(self.nodes_executed, self.nodes_failed)
    }

    /// Share of node executions that failed or were cancelled; 0 where no node ran.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        share(self.nodes_failed, self.nodes_executed)
    }
}
