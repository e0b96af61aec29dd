//! What planning a workflow came to, apart from what the workflow itself came to.
//!
//! Both parts of a run are added up by the same code, from the same places; here is only who belongs where. The
//! parts and the whole always agree: the whole is their sum, to the token, the nano-dollar and the microsecond.

use std::time::Instant;

use serde_json::{Map, Value, json};
use smol_str::SmolStr;

use super::RunMetrics;
use super::json::{json_milliseconds, node_object};
use crate::aggregate::{Aggregator, NodeMetrics, Unit, llm_object, object_of};

/// What the paths of the planner's nodes begin with. No node of a workflow file can have this name.
pub(crate) const PLANNER_PATH: &str = "(planner)";

/// The microsecond: what durations are rounded to before they are added, so that the sum is that of what is shown.
const MICROSECOND_NS: u64 = 1_000;

/// Which way the planner went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlannerPath {
    /// A saved workflow fits.
    A,
    /// A new workflow is made.
    B,
}

impl PlannerPath {
    /// The letter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}

/// The two parts of a run whose workflow was planned first.
#[derive(Clone, Debug, Default)]
pub struct RunParts {
    /// The planner's part. Its nodes go by their own names.
    pub planner: RunMetrics,
    /// Which way it went; `None` where it ended before it had chosen.
    pub path_taken: Option<PlannerPath>,
    /// The workflow's part.
    pub workflow: RunMetrics,
}

/// What is counted of the planner while a run goes on.
#[derive(Default)]
pub(super) struct Planning {
    pub(super) sums: Aggregator,
    path_taken: Option<PlannerPath>,
    duration_ns: u64,
    workflow_began: Option<Instant>,
}

impl Planning {
    /// Whether the node with this path is the planner's.
    pub(super) fn owns(node_path: &str) -> bool {
        let rest = node_path.strip_prefix(PLANNER_PATH);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The first way that is taken counts.
    pub(super) fn take_path(&mut self, path: PlannerPath) {
        self.path_taken.get_or_insert(path);
    }

    /// Planning took so much longer.
    pub(super) fn add_duration(&mut self, duration_ns: u64) {
        self.duration_ns = self.duration_ns.saturating_add(duration_ns);
    }

    pub(super) fn workflow_begins(&mut self) {
        self.workflow_began.get_or_insert_with(Instant::now);
    }

    /// How long planner and workflow worked. What lies between, such as waiting for a yes, is nobody's work.
    pub(super) fn durations_ns(&self) -> (u64, u64) {
        let workflow_ns = self.workflow_began.map_or(0, |began| {
            u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
        });
        let rounded = |ns: u64| ns - ns % MICROSECOND_NS;
        (rounded(self.duration_ns), rounded(workflow_ns))
    }

    /// The two parts, put together.
    pub(super) fn parts(&self, mut planner: RunMetrics, workflow: RunMetrics) -> RunParts {
        for (path, _) in &mut planner.nodes {
            *path = own_name(path);
        }
        RunParts {
            planner,
            path_taken: self.path_taken,
            workflow,
        }
    }
}

/// The planner's own name of one of its nodes.
fn own_name(path: &SmolStr) -> SmolStr {
    let rest = path.strip_prefix(PLANNER_PATH);
    rest.and_then(|rest| rest.strip_prefix('/'))
        .map_or_else(|| path.clone(), SmolStr::new)
}

impl RunParts {
    /// `metrics.planner` of the agreed run result, and more beside.
    fn planner_object(&self) -> Map<String, Value> {
        let planner = &self.planner;
        let mut object = Map::new();
        object.insert("duration_ms".into(), json_milliseconds(planner.duration_ns));
        object.extend(llm_object(&planner.llm, &planner.llm_timings, Unit::Milliseconds));
        object.insert(
            "path_taken".into(),
            self.path_taken.map(PlannerPath::as_str).into(),
        );
        object.insert("nodes_executed".into(), planner.nodes_executed.into());
        object.insert("success_rate".into(), planner.success_rate().into());
        object.insert("error_count".into(), planner.error_count.into());
        let timings: Map<String, Value> = planner
            .nodes
            .iter()
            .filter(|(_, node)| node.runs > 0)
            .map(|(id, node)| (id.to_string(), json_milliseconds(node.duration_ns)))
            .collect();
        object.insert("node_timings".into(), timings.into());
        object.insert("nodes".into(), object_of(&planner.nodes, planner_node));
        let breakdown = planner.breakdown.to_json_with_calls();
        object.insert("cost_breakdown".into(), breakdown.into());
        object
    }
}

/// A node of the planner: what it says of any node, and its calls and tokens also where there were none.
fn planner_node(node: &NodeMetrics) -> Map<String, Value> {
    let mut object = node_object(node);
    if node.llm.calls == 0 {
        object.insert("llm_calls".into(), 0.into());
        object.insert("tokens".into(), json!({"input": 0, "output": 0, "total": 0}));
    }
    object
}

impl RunMetrics {
    /// The `metrics` object of the agreed run result: `planner` where a planner ran, `workflow` and `total`. Beside
    /// what is agreed, `workflow` has `nodes`, `by_model`, the aggregated metrics by node type (in seconds, as agreed
    /// for those), error rate, CPU, memory and throughput.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.to_json_naming(usize::MAX)
    }

    /// The same with the figures of so many nodes at most, those that first ended; how many there are more stands in
    /// `nodes_left_out` of the workflow. For places that have the nodes' spans beside it.
    #[must_use]
    pub fn to_json_naming(&self, nodes_max: usize) -> Value {
        let mut whole = self.undivided_json(nodes_max);
        let (Some(parts), Value::Object(whole)) = (&self.parts, &mut whole) else {
            return whole;
        };
        let mut metrics = Map::new();
        metrics.insert("planner".into(), parts.planner_object().into());
        let mut workflow = parts.workflow.undivided_json(nodes_max);
        whole.insert("workflow".into(), workflow["workflow"].take());
        metrics.append(whole);
        metrics.into()
    }

    /// `planner` for the metrics of a trace, where a planner ran.
    pub(super) fn add_planner(&self, object: &mut Map<String, Value>) {
        if let Some(parts) = &self.parts {
            object.insert("planner".into(), parts.planner_object().into());
        }
    }
}

#[cfg(test)]
mod tests;
