//! Counts nodes and LLM calls at the source, while a run goes on.
//!
//! Never waits for anything but its own lock, which is held for a few additions.

use std::collections::BTreeMap;

use flowmeter_engine::{TickClock, Ticks};
use flowmeter_model::{SpanId, SpanStatus};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::{BatchProgress, Progress, RunMetrics};
use crate::aggregate::{LlmSample, LlmTotals, NodeMetrics};

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
