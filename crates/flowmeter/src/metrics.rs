//! The metrics of a run, counted at the source and as it goes: nothing here depends on what the trace keeps.
//!
//! Never derived from the trace file, so that tokens, cost and durations are right even where events were
//! dropped or the capture is off.

use std::collections::BTreeMap;

use flowmeter_engine::{TickClock, Ticks};
use flowmeter_model::{Cost, CostTotal, SpanId, SpanStatus, TokenUsage};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::Serialize;
use smol_str::SmolStr;

/// Sums over LLM calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LlmTotals {
    /// Requests, failed ones included.
    pub calls: u64,
    /// Requests that failed.
    pub failed_calls: u64,
    /// Input tokens, cache reads and writes included.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// Calls whose usage was estimated in part or whole.
    pub estimated_calls: u64,
    /// What they cost.
    pub cost: CostTotal,
}

impl LlmTotals {
    fn add(&mut self, call: &LlmCallMetrics<'_>) {
        self.calls += 1;
        self.failed_calls += u64::from(call.failed);
        let usage = call.usage;
        self.input_tokens += usage.input_tokens();
        self.output_tokens += usage.output_tokens();
        let tokens = |figure: Option<flowmeter_model::Figure>| figure.map_or(0, |figure| figure.tokens);
        self.cache_read_tokens += tokens(usage.cache_read);
        self.cache_write_tokens += tokens(usage.cache_write_5m) + tokens(usage.cache_write_1h);
        self.reasoning_tokens += tokens(usage.reasoning);
        self.estimated_calls += u64::from(usage.is_estimated());
        self.cost.add(call.model, call.cost);
    }

    /// Input and output together.
    #[must_use]
    pub fn total_tokens(&self) -> u64 {
        self.input_tokens + self.output_tokens
    }
}

/// One LLM call as the metrics see it.
pub(crate) struct LlmCallMetrics<'a> {
    pub(crate) node_path: &'a str,
    pub(crate) model: &'a str,
    pub(crate) failed: bool,
    pub(crate) usage: &'a TokenUsage,
    pub(crate) cost: &'a Cost,
}

/// What became of one node over the run.
#[derive(Clone, Debug, Default)]
pub struct NodeMetrics {
    /// Its type.
    pub node_type: SmolStr,
    /// How often it ran.
    pub runs: u64,
    /// How often it failed.
    pub failures: u64,
    /// Attempts at its `exec`, over all runs.
    pub attempts: u64,
    /// Items of its batches, over all runs.
    pub items: u64,
    /// Items that failed.
    pub failed_items: u64,
    /// Time from `prep` to `post`, over all runs.
    pub duration_ns: u64,
    /// Its LLM calls.
    pub llm: LlmTotals,
}

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

    pub(crate) fn llm_call_ended(&self, call: &LlmCallMetrics<'_>) {
        let mut counters = self.counters.lock();
        counters.llm.add(call);
        counters
            .models
            .entry(SmolStr::new(call.model))
            .or_default()
            .add(call);
        node_entry(&mut counters.nodes, call.node_path).llm.add(call);
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

#[derive(Serialize)]
struct TokensJson {
    input: u64,
    output: u64,
    total: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_read: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_write: u64,
    #[serde(skip_serializing_if = "is_zero")]
    reasoning: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl From<&LlmTotals> for TokensJson {
    fn from(totals: &LlmTotals) -> Self {
        Self {
            input: totals.input_tokens,
            output: totals.output_tokens,
            total: totals.total_tokens(),
            cache_read: totals.cache_read_tokens,
            cache_write: totals.cache_write_tokens,
            reasoning: totals.reasoning_tokens,
        }
    }
}

fn add_cost(object: &mut serde_json::Map<String, serde_json::Value>, cost: &CostTotal) {
    object.insert(
        "cost_usd".into(),
        cost.amount()
            .map_or(serde_json::Value::Null, |amount| serde_json::json!(amount)),
    );
    object.insert("cost_status".into(), cost.status().as_str().into());
    if cost.unpriced_calls > 0 {
        object.insert("unpriced_calls".into(), cost.unpriced_calls.into());
        object.insert(
            "unpriced_models".into(),
            cost.unpriced_models.iter().map(ToString::to_string).collect(),
        );
    }
}

fn totals_object(totals: &LlmTotals) -> serde_json::Map<String, serde_json::Value> {
    let mut object = serde_json::Map::new();
    object.insert("llm_calls".into(), totals.calls.into());
    if totals.failed_calls > 0 {
        object.insert("failed_llm_calls".into(), totals.failed_calls.into());
    }
    object.insert("tokens".into(), serde_json::json!(TokensJson::from(totals)));
    add_cost(&mut object, &totals.cost);
    object
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
