//! What was added up, for the reader and as JSON of the agreed shape.
//!
//! Times are in seconds here. Never a zero for what is unknown: that is null.

use flowmeter_model::CostTotal;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

use super::breakdown::CostBreakdown;
use super::durations::DurationSummary;
use super::llm::{LlmTimings, LlmTotals, ModelMetrics, share};
use super::nodes::{NodeMetrics, Resources, TypeMetrics};

/// Nanoseconds in a second.
const SECOND_NS: f64 = 1e9;

/// The unit that times are shown in.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// The agreed unit of aggregated metrics; names do not say it.
    Seconds,
    /// The unit of the run result, rounded to a thousandth; names end with it.
    Milliseconds,
}

impl Unit {
    fn name(self, quantity: &str) -> String {
        match self {
            Self::Seconds => quantity.to_owned(),
            Self::Milliseconds => format!("{quantity}_ms"),
        }
    }

    fn value(self, ns: f64) -> f64 {
        match self {
            Self::Seconds => ns / SECOND_NS,
            Self::Milliseconds => (ns / 1e3).round() / 1e3,
        }
    }
}

/// `min`, `max`, `sum`, `count`, `avg`, `p50`, `p90`, `p99`; null where unknown.
fn durations_json(durations: &DurationSummary, unit: Unit) -> Value {
    let time = |ns: Option<u64>| ns.map(|ns| unit.value(ns as f64));
    json!({
        "min": time(durations.min_ns),
        "max": time(durations.max_ns),
        "sum": time((durations.count > 0).then_some(durations.sum_ns)),
        "count": durations.count,
        "avg": durations.avg_ns().map(|ns| unit.value(ns)),
        "p50": time(durations.p50_ns),
        "p90": time(durations.p90_ns),
        "p99": time(durations.p99_ns),
    })
}

/// The memory of this whole process while the run went on (resident set size): what else the process did at that
/// time is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// At the first look.
    pub start_bytes: u64,
    /// At the last look.
    pub end_bytes: u64,
    /// The most that was seen.
    pub peak_bytes: u64,
}

impl MemoryUsage {
    /// How much more it was at the last look than at the first.
    #[must_use]
    pub fn change_bytes(&self) -> i64 {
        let difference = i128::from(self.end_bytes) - i128::from(self.start_bytes);
        i64::try_from(difference).unwrap_or(if difference > 0 { i64::MAX } else { i64::MIN })
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "scope": "process",
            "start_bytes": self.start_bytes,
            "end_bytes": self.end_bytes,
            "change_bytes": self.change_bytes(),
            "peak_bytes": self.peak_bytes,
        })
    }
}

/// How much happened a second: counts by the workflow's duration, or, where that is unknown, by the time from the
/// first event to the last. Events always count by the latter if it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Throughput {
    /// Events of every type; `None` where they were not counted.
    pub events_per_second: Option<f64>,
    /// Node executions.
    pub nodes_per_second: Option<f64>,
    /// Calls to models.
    pub llm_calls_per_second: Option<f64>,
    /// Tokens, input and output.
    pub tokens_per_second: Option<f64>,
}

impl Throughput {
    /// Nodes, calls and tokens over this time.
    pub(crate) fn of(llm: &LlmTotals, nodes: u64, duration_ns: Option<u64>) -> Self {
        Self {
            events_per_second: None,
            nodes_per_second: Self::rate(nodes, duration_ns),
            llm_calls_per_second: Self::rate(llm.calls, duration_ns),
            tokens_per_second: Self::rate(llm.total_tokens(), duration_ns),
        }
    }

    /// How often a second; `None` where the time is unknown or too short to measure.
    pub(crate) fn rate(count: u64, duration_ns: Option<u64>) -> Option<f64> {
        let duration_ns = duration_ns.filter(|duration_ns| *duration_ns > 0)?;
        Some(count as f64 * SECOND_NS / duration_ns as f64)
    }

    pub(crate) fn to_json(self) -> Value {
        let mut object = Map::new();
        if let Some(rate) = self.events_per_second {
            object.insert("events_per_second".into(), rate.into());
        }
        object.insert("nodes_per_second".into(), self.nodes_per_second.into());
        object.insert("llm_calls_per_second".into(), self.llm_calls_per_second.into());
        object.insert("tokens_per_second".into(), self.tokens_per_second.into());
        object.into()
    }
}

/// What an [`super::Aggregator`] added up.
#[derive(Clone, Debug, Default)]
pub struct AggregatedMetrics {
    /// The time in which at least one workflow ran; `None` where no start or end said when it was.
    pub workflow_duration_ns: Option<u64>,
    /// Workflows that began.
    pub workflows: u64,
    /// Events that were counted.
    pub events: u64,
    /// Node executions.
    pub nodes_executed: u64,
    /// Node executions that failed or were stopped.
    pub nodes_failed: u64,
    /// Errors that were reported, and failed executions for which none was.
    pub error_count: u64,
    /// All nodes together, without their durations. CPU time is that of nodes in no other node.
    pub all: TypeMetrics,
    /// All LLM calls.
    pub llm: ModelMetrics,
    /// Why they cost what they cost.
    pub breakdown: CostBreakdown,
    /// LLM calls by model, in the order in which models were first called.
    pub models: Vec<(SmolStr, ModelMetrics)>,
    /// Calls to models beyond the bound of the table.
    pub other_models: Option<ModelMetrics>,
    /// Node types, in the order in which they first ended.
    pub types: Vec<(SmolStr, TypeMetrics)>,
    /// Executions of types beyond the bound of the table.
    pub other_types: Option<TypeMetrics>,
    /// Nodes in the order in which they first ended; nested ones as `outer/inner`.
    pub nodes: Vec<(SmolStr, NodeMetrics)>,
    /// Executions of nodes beyond the bound of the table.
    pub other_nodes: Option<NodeMetrics>,
    /// The memory of the process; `None` where nobody looked.
    pub memory: Option<MemoryUsage>,
    /// How much happened a second.
    pub throughput: Throughput,
}

impl AggregatedMetrics {
    /// Share of node executions that did well; 1.0 where no node ran.
    #[must_use]
    pub fn success_rate(&self) -> f64 {
        success_rate(self.nodes_executed, self.nodes_failed)
    }

    /// Share of node executions that failed; 0 where no node ran.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        share(self.nodes_failed, self.nodes_executed)
    }

    /// Where nobody looked at the memory, nodes may say what they saw.
    fn memory_json(&self) -> Value {
        let seen = self.all.resources.memory_peak_bytes;
        match (&self.memory, seen) {
            (Some(usage), _) => usage.to_json(),
            (None, Some(peak_bytes)) => json!({
                "scope": "process",
                "start_bytes": null,
                "end_bytes": null,
                "change_bytes": null,
                "peak_bytes": peak_bytes,
            }),
            (None, None) => Value::Null,
        }
    }

    /// The agreed object: `workflow_duration`, `node_durations`, `node_counts`, `error_count`, `success_rate`,
    /// `memory_usage`, `throughput`, and more beside. Times are in seconds, sizes in bytes; null is unknown.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let seconds = |ns: Option<u64>| Value::from(ns.map(|ns| ns as f64 / SECOND_NS));
        object.insert("workflow_duration".into(), seconds(self.workflow_duration_ns));
        object.insert("workflow_count".into(), self.workflows.into());
        add_types(&mut object, &self.types, self.other_types.as_ref());
        object.insert("node_count".into(), self.nodes_executed.into());
        object.insert("error_count".into(), self.error_count.into());
        object.insert("error_rate".into(), self.error_rate().into());
        object.insert("success_rate".into(), self.success_rate().into());
        object.insert("memory_usage".into(), self.memory_json());
        object.insert("throughput".into(), self.throughput.to_json());
        object.insert("event_count".into(), self.events.into());
        add_resources(&mut object, &self.all.resources, Unit::Seconds);
        object.extend(model_object(&self.llm));
        object.insert("nodes".into(), object_of(&self.nodes, node_object));
        if let Some(others) = &self.other_nodes {
            object.insert("other_nodes".into(), node_object(others).into());
        }
        if self.llm.llm.calls > 0 || self.llm.llm.has_cache_figures() {
            object.insert("models".into(), object_of(&self.models, model_object));
            object.insert("cost_breakdown".into(), self.breakdown.to_json().into());
        }
        if let Some(others) = &self.other_models {
            object.insert("other_models".into(), model_object(others).into());
        }
        object.into()
    }
}

impl Serialize for AggregatedMetrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

pub(crate) fn object_of<M>(named: &[(SmolStr, M)], object: impl Fn(&M) -> Map<String, Value>) -> Value {
    let objects: Map<String, Value> = named
        .iter()
        .map(|(name, metrics)| (name.to_string(), object(metrics).into()))
        .collect();
    objects.into()
}

/// `node_durations` and `node_counts`, by type; always in seconds.
pub(crate) fn add_types(
    object: &mut Map<String, Value>,
    types: &[(SmolStr, TypeMetrics)],
    others: Option<&TypeMetrics>,
) {
    let durations = |metrics: &TypeMetrics| durations_json(&metrics.durations, Unit::Seconds);
    let by_type: Map<String, Value> = types
        .iter()
        .map(|(name, metrics)| (name.to_string(), durations(metrics)))
        .collect();
    let counts: Map<String, Value> = types
        .iter()
        .map(|(name, metrics)| (name.to_string(), metrics.runs.into()))
        .collect();
    object.insert("node_durations".into(), by_type.into());
    object.insert("node_counts".into(), counts.into());
    if let Some(others) = others {
        object.insert("other_node_durations".into(), durations(others));
        object.insert("other_node_count".into(), others.runs.into());
    }
}

/// `cpu_time`, `process_memory_…`, `child_cpu_time`, `child_memory_max_bytes`, `queue_time`: what is known of them.
pub(crate) fn add_resources(object: &mut Map<String, Value>, resources: &Resources, unit: Unit) {
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    };
    let time = |ns: Option<u64>| ns.map(|ns| unit.value(ns as f64).into());
    add(&unit.name("cpu_time"), time(resources.cpu_ns));
    let change = resources.memory_change_bytes.map(Value::from);
    add("process_memory_change_bytes", change);
    let peak = resources.memory_peak_bytes.map(Value::from);
    add("process_memory_peak_bytes", peak);
    add(&unit.name("child_cpu_time"), time(resources.children_cpu_ns));
    let child_memory = resources.children_memory_max_bytes.map(Value::from);
    add("child_memory_max_bytes", child_memory);
    let queue = &resources.queue;
    let waits = || {
        json!({
            "sum": unit.value(queue.sum_ns as f64),
            "max": unit.value(queue.max_ns as f64),
            "count": queue.count,
        })
    };
    add(&unit.name("queue_time"), (queue.count > 0).then(waits));
}

/// What the run result and the aggregated metrics both say of a node, beside counts and sums.
pub(crate) fn add_node(object: &mut Map<String, Value>, node: &NodeMetrics, unit: Unit) {
    object.insert("error_rate".into(), node.error_rate().into());
    object.insert(unit.name("durations"), durations_json(&node.durations, unit));
    if node.items > 0 {
        object.insert("items".into(), node.items.into());
        object.insert("failed_items".into(), node.failed_items.into());
    }
    add_resources(object, &node.resources, unit);
    if node.llm.calls > 0 || node.llm.has_cache_figures() {
        object.extend(totals_object(&node.llm));
    }
}

fn node_object(node: &NodeMetrics) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("type".into(), node.node_type.as_str().into());
    object.insert("count".into(), node.runs.into());
    object.insert("failures".into(), node.failures.into());
    if node.attempts > 0 {
        object.insert("attempts".into(), node.attempts.into());
    }
    add_node(&mut object, node, Unit::Seconds);
    object
}

/// Calls, tokens, cost, failures and durations of LLM calls.
pub(crate) fn llm_object(totals: &LlmTotals, timings: &LlmTimings, unit: Unit) -> Map<String, Value> {
    let mut object = totals_object(totals);
    if totals.calls > 0 {
        object.insert("llm_error_rate".into(), totals.error_rate().into());
        let times = [
            ("llm_durations", &timings.durations),
            ("time_to_first_token", &timings.time_to_first_token),
        ];
        for (name, durations) in times.into_iter().filter(|(_, durations)| durations.count > 0) {
            object.insert(unit.name(name), durations_json(durations, unit));
        }
    }
    object
}

fn model_object(model: &ModelMetrics) -> Map<String, Value> {
    llm_object(&model.llm, &model.timings, Unit::Seconds)
}

#[derive(Serialize)]
struct TokensJson {
    /// Null where nobody counted any.
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    cache_read: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_write: u64,
    #[serde(skip_serializing_if = "is_zero")]
    reasoning: u64,
}

/// Share of what did well; 1 of nothing.
pub(crate) fn success_rate(runs: u64, failures: u64) -> f64 {
    if runs == 0 {
        return 1.0;
    }
    share(runs.saturating_sub(failures), runs)
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl From<&LlmTotals> for TokensJson {
    fn from(totals: &LlmTotals) -> Self {
        let known = |tokens: u64| (!totals.are_tokens_unknown()).then_some(tokens);
        Self {
            input: known(totals.input_tokens),
            output: known(totals.output_tokens),
            total: known(totals.total_tokens()),
            cache_read: totals.cache_read_tokens,
            cache_write: totals.cache_write_tokens,
            reasoning: totals.reasoning_tokens,
        }
    }
}

/// `cost_usd` and `cost_nanos`, null where nothing could be priced, `cost_status` beside them, and how many calls are
/// of which kind.
pub(crate) fn add_cost(object: &mut Map<String, Value>, cost: &CostTotal) {
    object.insert(
        "cost_usd".into(),
        cost.amount().map_or(Value::Null, |amount| json!(amount)),
    );
    object.insert(
        "cost_nanos".into(),
        cost.amount().map_or(Value::Null, |amount| amount.0.into()),
    );
    object.insert("cost_status".into(), cost.status().as_str().into());
    let sorts = [
        ("reported_calls", cost.reported_calls),
        ("estimated_cost_calls", cost.estimated_calls),
        ("partly_priced_calls", cost.partial_calls),
    ];
    for (name, calls) in sorts.into_iter().filter(|(_, calls)| *calls > 0) {
        object.insert(name.into(), calls.into());
    }
    object.insert("unpriced_calls".into(), cost.unpriced_calls.into());
    object.insert(
        "unpriced_models".into(),
        cost.unpriced_models.iter().map(ToString::to_string).collect(),
    );
}

/// Calls, tokens and cost.
pub(crate) fn totals_object(totals: &LlmTotals) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("llm_calls".into(), totals.calls.into());
    if totals.failed_calls > 0 {
        object.insert("failed_llm_calls".into(), totals.failed_calls.into());
    }
    object.insert("tokens".into(), json!(TokensJson::from(totals)));
    if totals.uncounted_calls > 0 {
        object.insert("uncounted_calls".into(), totals.uncounted_calls.into());
    }
    if totals.estimated_calls > 0 {
        object.insert("estimated_calls".into(), totals.estimated_calls.into());
    }
    add_cost(&mut object, &totals.cost);
    if totals.has_cache_figures() {
        object.insert("cache".into(), totals.cache_json());
    }
    object
}
