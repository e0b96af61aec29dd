//! The metrics of a run, counted at the source and as it goes: nothing here depends on what the trace keeps.
//!
//! Never derived from the trace file, so that tokens, cost and durations are right even where events were
//! dropped or the capture is off.

use std::collections::BTreeMap;

use flowmeter_engine::{TickClock, Ticks};
use flowmeter_model::{SpanId, SpanStatus};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::aggregate::{LlmSample, LlmTotals, NodeMetrics, add_cost, totals_object};

#[derive(Default)]
struct NodeCounters {
    node_type: SmolStr,
    runs: u64,
    failures: u64,
    attempts: u64,
    items: u64,
    failed_items: u64,
    ticks: u64,
    llm: LlmTotals,
    order: usize,
}

#[derive(Default)]
struct Counters {
    nodes: FxHashMap<SmolStr, NodeCounters>,
    llm: LlmTotals,
    models: BTreeMap<SmolStr, LlmTotals>,
    nodes_executed: u64,
    nodes_failed: u64,
    running: Vec<(SpanId, SmolStr, Ticks)>,
    batch: Option<BatchProgress>,
}

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

/// Counts nodes and LLM calls while a run goes on.
#[derive(Default)]
pub(crate) struct MetricsCollector {
    counters: Mutex<Counters>,
    follows_running: bool,
}

impl MetricsCollector {
    /// `follows_running`: whether somebody wants to see which nodes are running.
    pub(crate) fn new(follows_running: bool) -> Self {
        Self {
            counters: Mutex::default(),
            follows_running,
        }
    }

    pub(crate) fn node_started(&self, span_id: SpanId, path: &SmolStr) {
        if self.follows_running {
            let mut counters = self.counters.lock();
            counters.running.push((span_id, path.clone(), Ticks::now()));
            counters.batch = None;
        }
    }

    pub(crate) fn node_ended(
        &self,
        span_id: SpanId,
        path: &SmolStr,
        node_type: &SmolStr,
        ticks: u64,
        attempts: u64,
        status: SpanStatus,
    ) {
        let mut counters = self.counters.lock();
        if self.follows_running {
            counters.running.retain(|(running, _, _)| *running != span_id);
        }
        counters.nodes_executed += 1;
        counters.nodes_failed += u64::from(status != SpanStatus::Ok);
        let node = node_entry(&mut counters.nodes, path);
        if node.node_type.is_empty() {
            node.node_type = node_type.clone();
        }
        node.runs += 1;
        node.failures += u64::from(status != SpanStatus::Ok);
        node.attempts += attempts;
        node.ticks += ticks;
    }

    pub(crate) fn llm_call_ended(&self, node_path: &str, call: &LlmSample<'_>) {
        let mut counters = self.counters.lock();
        counters.llm.add(call);
        counters
            .models
            .entry(SmolStr::new(call.model))
            .or_default()
            .add(call);
        node_entry(&mut counters.nodes, node_path).llm.add(call);
    }

    pub(crate) fn batch_item_ended(&self, node_path: &str, count: usize, failed: bool) {
        let mut counters = self.counters.lock();
        let node = node_entry(&mut counters.nodes, node_path);
        node.items += 1;
        node.failed_items += u64::from(failed);
        if self.follows_running {
            let batch = counters.batch.get_or_insert_default();
            batch.count = count;
            batch.done += 1;
            batch.failed += usize::from(failed);
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        let counters = self.counters.lock();
        Progress {
            running: counters.running.iter().map(|(_, path, _)| path.clone()).collect(),
            nodes_executed: counters.nodes_executed,
            llm: counters.llm.clone(),
            batch: counters.batch,
        }
    }

    pub(crate) fn snapshot(&self, clock: &TickClock, duration_ns: u64) -> RunMetrics {
        let counters = self.counters.lock();
        let origin = Ticks::from_raw(0);
        let mut nodes: Vec<(usize, SmolStr, NodeMetrics)> = counters
            .nodes
            .iter()
            .map(|(path, node)| {
                let duration_ns = clock.duration_ns(origin, Ticks::from_raw(node.ticks));
                let metrics = NodeMetrics {
                    node_type: node.node_type.clone(),
                    runs: node.runs,
                    failures: node.failures,
                    attempts: node.attempts,
                    items: node.items,
                    failed_items: node.failed_items,
                    duration_ns,
                    llm: node.llm.clone(),
                    ..NodeMetrics::default()
                };
                (node.order, path.clone(), metrics)
            })
            .collect();
        nodes.sort_by_key(|(order, _, _)| *order);
        RunMetrics {
            duration_ns,
            nodes_executed: counters.nodes_executed,
            nodes_failed: counters.nodes_failed,
            llm: counters.llm.clone(),
            models: counters.models.clone(),
            nodes: nodes.into_iter().map(|(_, path, node)| (path, node)).collect(),
        }
    }
}

/// The counters of the node at `path`; their order is the order of first use.
fn node_entry<'a>(nodes: &'a mut FxHashMap<SmolStr, NodeCounters>, path: &str) -> &'a mut NodeCounters {
    if !nodes.contains_key(path) {
        let order = nodes.len();
        nodes.insert(
            SmolStr::new(path),
            NodeCounters {
                order,
                ..NodeCounters::default()
            },
        );
    }
    nodes.entry(SmolStr::new(path)).or_default()
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

/// Milliseconds, rounded to a thousandth.
#[must_use]
pub fn milliseconds(duration_ns: u64) -> f64 {
    let microseconds = (duration_ns as f64 / 1e3).round();
    microseconds / 1e3
}

/// A number of milliseconds for JSON: whole numbers without a fraction, as the agreed shape shows them.
fn json_milliseconds(duration_ns: u64) -> serde_json::Value {
    let value = milliseconds(duration_ns);
    if value.fract() == 0.0 {
        serde_json::json!(value as u64)
    } else {
        serde_json::json!(value)
    }
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

    /// The `metrics` object of the agreed run result: `workflow` and `total`, with `by_model` and `nodes` beside.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let timings: serde_json::Map<String, serde_json::Value> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.runs > 0)
            .map(|(path, node)| (path.to_string(), json_milliseconds(node.duration_ns)))
            .collect();
        let mut workflow = serde_json::Map::new();
        workflow.insert("duration_ms".into(), json_milliseconds(self.duration_ns));
        workflow.insert("nodes_executed".into(), self.nodes_executed.into());
        workflow.extend(totals_object(&self.llm));
        workflow.insert("success_rate".into(), self.success_rate().into());
        workflow.insert("node_timings".into(), timings.into());
        let nodes: serde_json::Map<String, serde_json::Value> = self
            .nodes
            .iter()
            .map(|(path, node)| {
                let mut object = serde_json::Map::new();
                object.insert("type".into(), node.node_type.as_str().into());
                object.insert("runs".into(), node.runs.into());
                object.insert("attempts".into(), node.attempts.into());
                object.insert("failures".into(), node.failures.into());
                object.insert("duration_ms".into(), json_milliseconds(node.duration_ns));
                if node.items > 0 {
                    object.insert("items".into(), node.items.into());
                    object.insert("failed_items".into(), node.failed_items.into());
                }
                if node.llm.calls > 0 {
                    object.extend(totals_object(&node.llm));
                }
                (path.to_string(), object.into())
            })
            .collect();
        workflow.insert("nodes".into(), nodes.into());
        self.add_models(&mut workflow);
        let mut total = serde_json::Map::new();
        total.insert("duration_ms".into(), json_milliseconds(self.duration_ns));
        total.insert("llm_calls".into(), self.llm.calls.into());
        total.insert("tokens_total".into(), self.llm.total_tokens().into());
        add_cost(&mut total, &self.llm.cost);
        serde_json::json!({ "workflow": workflow, "total": total })
    }
    fn add_models(&self, object: &mut serde_json::Map<String, serde_json::Value>) {
        if !self.models.is_empty() {
            let models: serde_json::Map<String, serde_json::Value> = self
                .models
                .iter()
                .map(|(model, totals)| (model.to_string(), totals_object(totals).into()))
                .collect();
            object.insert("by_model".into(), models.into());
        }
    }

    /// The `metrics` object of a trace: the run as a whole. What each node did stands in the spans.
    pub(crate) fn trace_json(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut object = serde_json::Map::new();
        object.insert("total_duration_ms".into(), milliseconds(self.duration_ns).into());
        object.insert("node_count".into(), self.nodes_executed.into());
        object.insert("success_rate".into(), self.success_rate().into());
        object.extend(totals_object(&self.llm));
        self.add_models(&mut object);
        object
    }
}
