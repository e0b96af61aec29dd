//! The metrics of a run, counted at the source and as it goes: nothing here depends on what the trace keeps.
//!
//! Never derived from the trace file, so that tokens, cost and durations are right even where events were
//! dropped or the capture is off.

mod collector;
mod json;
mod planner;

use std::collections::BTreeMap;

use smol_str::SmolStr;

pub(crate) use collector::MetricsCollector;
pub use json::milliseconds;
pub(crate) use planner::PLANNER_PATH;
pub use planner::{PlannerPath, RunParts};

use crate::aggregate::{
    CostBreakdown, LlmTimings, LlmTotals, MemoryUsage, ModelMetrics, NodeMetrics, Resources, Throughput,
    TypeMetrics, share, success_rate,
};
use crate::budget::BudgetReport;

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
    /// From start to end; of a run with parts, what both of them took.
    pub duration_ns: u64,
    /// Node executions, nested workflows' included.
    pub nodes_executed: u64,
    /// Node executions that failed or were cancelled.
    pub nodes_failed: u64,
    /// Errors: here, each failed execution is one.
    pub error_count: u64,
    /// All LLM calls.
    pub llm: LlmTotals,
    /// Why they cost what they cost.
    pub breakdown: CostBreakdown,
    /// How long they took.
    pub llm_timings: LlmTimings,
    /// LLM calls by model.
    pub models: BTreeMap<SmolStr, LlmTotals>,
    /// How long they took, by model.
    pub model_timings: BTreeMap<SmolStr, LlmTimings>,
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
    /// What the run used beside time. CPU time is that of the whole process, its child processes not included.
    pub resources: Resources,
    /// The memory of the whole process during the run; `None` where the system does not say.
    pub memory: Option<MemoryUsage>,
    /// How much happened a second.
    pub throughput: Throughput,
    /// Its parts, where the workflow was planned first; all other fields are those of the run as a whole.
    pub parts: Option<Box<RunParts>>,
    /// What became of the budgets; `None` where there was none.
    pub budget: Option<BudgetReport>,
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
