//! Counts nodes and LLM calls at the source, while a run goes on.
//!
//! Never waits for anything but its own lock, which is held for a few additions. The sums are an [`Aggregator`],
//! as everywhere; durations go into it in ticks and become nanoseconds at the end, when the clock is most exact.

use flowmeter_engine::{TickClock, Ticks};
use flowmeter_model::SpanId;
use parking_lot::Mutex;
use smol_str::SmolStr;

use super::{BatchProgress, Progress, RunMetrics};
use crate::aggregate::{
    Aggregator, CacheHitSample, ItemSample, LlmSample, NodeSample, Resources, Throughput,
};

#[derive(Default)]
struct Counters {
    sums: Aggregator,
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

    /// The duration of the sample is in ticks.
    pub(crate) fn node_ended(&self, span_id: SpanId, sample: &NodeSample<'_>) {
        let mut counters = self.counters.lock();
        if self.follows_running {
            counters.running.retain(|(running, _, _)| *running != span_id);
        }
        counters.sums.node_ended(sample);
    }

    pub(crate) fn llm_call_ended(&self, node_path: &str, call: &LlmSample<'_>) {
        self.counters.lock().sums.llm_call_ended(node_path, call);
    }

    pub(crate) fn llm_cache_hit(&self, node_path: &str, hit: &CacheHitSample<'_>) {
        self.counters.lock().sums.llm_cache_hit(node_path, hit);
    }

    pub(crate) fn batch_item_ended(&self, node_path: &str, count: usize, item: &ItemSample) {
        let mut counters = self.counters.lock();
        counters.sums.batch_item_ended(node_path, item);
        if self.follows_running {
            let batch = counters.batch.get_or_insert_default();
            batch.count = count;
            batch.done += 1;
            batch.failed += usize::from(item.failed);
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        let counters = self.counters.lock();
        Progress {
            running: counters.running.iter().map(|(_, path, _)| path.clone()).collect(),
            nodes_executed: counters.sums.nodes_executed(),
            llm: counters.sums.llm_totals().clone(),
            batch: counters.batch,
        }
    }

    /// What the run came to in this time. What the process used is not known here.
    pub(crate) fn snapshot(&self, clock: &TickClock, duration_ns: u64) -> RunMetrics {
        let sums = self.counters.lock().sums.snapshot_of_units(clock.ns_per_tick());
        RunMetrics {
            duration_ns,
            nodes_executed: sums.nodes_executed,
            nodes_failed: sums.nodes_failed,
            error_count: sums.error_count,
            throughput: Throughput::of(&sums.llm.llm, sums.nodes_executed, Some(duration_ns)),
            llm: sums.llm.llm,
            breakdown: sums.breakdown,
            llm_timings: sums.llm.timings,
            model_timings: sums
                .models
                .iter()
                .map(|(model, metrics)| (model.clone(), metrics.timings))
                .collect(),
            models: sums
                .models
                .into_iter()
                .map(|(model, metrics)| (model, metrics.llm))
                .collect(),
            other_models: sums.other_models,
            types: sums.types,
            other_types: sums.other_types,
            nodes: sums.nodes,
            other_nodes: sums.other_nodes,
            resources: Resources {
                cpu_ns: None,
                memory_change_bytes: None,
                memory_peak_bytes: None,
                ..sums.all.resources
            },
            memory: None,
            budget: None,
        }
    }
}
