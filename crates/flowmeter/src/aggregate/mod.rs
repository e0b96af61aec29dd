//! Adds up what happened, one thing at a time and in constant memory: durations with percentiles, counts, errors,
//! tokens and money, CPU, memory, throughput; per node, per node type, per model and in all.
//!
//! The one place where such sums are made: a live run's collector and the formatter of event files both feed an
//! [`Aggregator`]. Never keeps what it added up, and never takes an unknown figure for zero.

mod durations;
mod llm;
mod named;
mod nodes;
mod snapshot;

use flowmeter_model::TimestampNs;
use serde_json::Value;

pub use durations::DurationSummary;
pub use llm::{LlmSample, LlmTotals, ModelMetrics};
pub use nodes::{ItemSample, NodeMetrics, NodeSample, QueueTime, TypeMetrics};
pub use snapshot::{AggregatedMetrics, MemoryUsage, Throughput};
pub(crate) use snapshot::{add_cost, totals_object};

use durations::SketchBudget;
use llm::LlmCounters;
use named::Named;
use nodes::{NodeCounts, NodeTotals, TypeTotals};

/// Node ids that are told apart; further ones are summed together.
const NODES_MAX: usize = 10_000;
/// Node types that are told apart.
const TYPES_MAX: usize = 1_000;
/// Models that are told apart.
const MODELS_MAX: usize = 1_000;
/// Bytes for the percentiles of all nodes, of all types, and of all models.
const SKETCH_BYTES_MAX: usize = 4 << 20;

/// Adds up what happens in a run, or in many.
///
/// Memory is constant: at most 10,000 node ids, 1,000 types and 1,000 models are told apart, what goes beyond is
/// summed in one entry each ([`AggregatedMetrics::other_nodes`], …); percentiles come from sketches whose size
/// is bounded.
#[derive(Clone)]
pub struct Aggregator {
    nodes: Named<NodeTotals>,
    types: Named<TypeTotals>,
    models: Named<LlmCounters>,
    node_sketches: SketchBudget,
    type_sketches: SketchBudget,
    model_sketches: SketchBudget,
    all: NodeCounts,
    llm: LlmCounters,
    errors: u64,
    workflows: WorkflowTime,
    window: EventWindow,
    memory: Option<MemoryUsage>,
}

impl Default for Aggregator {
    fn default() -> Self {
        Self::new()
    }
}

impl Aggregator {
    /// Nothing happened yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: Named::new(NODES_MAX),
            types: Named::new(TYPES_MAX),
            models: Named::new(MODELS_MAX),
            node_sketches: SketchBudget::new(SKETCH_BYTES_MAX),
            type_sketches: SketchBudget::new(SKETCH_BYTES_MAX),
            model_sketches: SketchBudget::new(SKETCH_BYTES_MAX),
            all: NodeCounts::default(),
            llm: LlmCounters::default(),
            errors: 0,
            workflows: WorkflowTime::default(),
            window: EventWindow::default(),
            memory: None,
        }
    }

    /// A workflow began. Workflows may overlap: their duration is the time in which at least one of them ran.
    pub fn workflow_started(&mut self, at: Option<TimestampNs>) {
        self.workflows.start(at);
    }

    /// A workflow ended. An end without a start changes nothing.
    pub fn workflow_ended(&mut self, at: Option<TimestampNs>) {
        self.workflows.end(at);
    }

    /// A node ended, well or not.
    pub fn node_ended(&mut self, sample: &NodeSample<'_>) {
        self.all.add(sample);
        let place = self.nodes.place(sample.id);
        let node = self.nodes.at(place);
        node.add(sample, &mut self.node_sketches);
        // A node keeps its type, as a rule: its type need not be looked up again.
        let type_place = match node.type_place {
            Some(known) if node.node_type == sample.node_type => known,
            _ => {
                let found = self.types.place(sample.node_type);
                if place.is_some() && node.type_place.is_none() {
                    node.node_type = sample.node_type.into();
                    node.type_place = Some(found);
                }
                found
            }
        };
        self.types.at(type_place).add(sample, &mut self.type_sketches);
    }

    /// An item of the batch of this node ended.
    pub fn batch_item_ended(&mut self, node_id: &str, item: &ItemSample) {
        self.nodes.entry(node_id).add_item(item);
    }

    /// A call to a model ended. `node_id` is the node that made it; a call outside any node has an empty one, and
    /// counts in the sums of its model and in all.
    pub fn llm_call_ended(&mut self, node_id: &str, call: &LlmSample<'_>) {
        self.llm.add(call, &mut self.model_sketches);
        self.models.entry(call.model).add(call, &mut self.model_sketches);
        if !node_id.is_empty() {
            self.nodes.entry(node_id).add_llm_call(call);
        }
    }

    /// An error was reported. A node that failed because of it must say so: [`NodeSample::failure_counted`].
    pub fn error(&mut self) {
        self.errors += 1;
    }

    /// Something happened at this time, whatever it was: throughput counts it.
    pub fn event(&mut self, at: Option<TimestampNs>) {
        self.window.add(at);
        if let Some(at) = at {
            self.workflows.latest = self.workflows.latest.max(Some(at));
        }
    }

    /// The process was seen to hold this much memory.
    pub fn memory(&mut self, rss_bytes: u64) {
        let usage = self.memory.get_or_insert(MemoryUsage {
            start_bytes: rss_bytes,
            end_bytes: rss_bytes,
            peak_bytes: rss_bytes,
        });
        usage.end_bytes = rss_bytes;
        usage.peak_bytes = usage.peak_bytes.max(rss_bytes);
    }

    /// Adds what another aggregator has added up. Names keep the order in which they came, ours first.
    pub fn merge(&mut self, other: &Self) {
        self.all.merge(&other.all);
        for (id, theirs) in other.nodes.iter() {
            let type_place = self.types.place(&theirs.node_type);
            let place = self.nodes.place(id);
            let node = self.nodes.at(place);
            node.merge(theirs, &mut self.node_sketches);
            if place.is_some() && node.type_place.is_none() && theirs.type_place.is_some() {
                node.node_type = theirs.node_type.clone();
                node.type_place = Some(type_place);
            }
        }
        if let Some(theirs) = other.nodes.others() {
            self.nodes.at(None).merge(theirs, &mut self.node_sketches);
        }
        for (name, theirs) in other.types.iter() {
            self.types.entry(name).merge(theirs, &mut self.type_sketches);
        }
        if let Some(theirs) = other.types.others() {
            self.types.at(None).merge(theirs, &mut self.type_sketches);
        }
        self.llm.merge(&other.llm, &mut self.model_sketches);
        for (name, theirs) in other.models.iter() {
            self.models.entry(name).merge(theirs, &mut self.model_sketches);
        }
        if let Some(theirs) = other.models.others() {
            self.models.at(None).merge(theirs, &mut self.model_sketches);
        }
        self.errors += other.errors;
        self.workflows.merge(&other.workflows);
        self.window.merge(&other.window);
        if let Some(theirs) = &other.memory {
            let ours = self.memory.get_or_insert_with(|| theirs.clone());
            ours.end_bytes = theirs.end_bytes;
            ours.peak_bytes = ours.peak_bytes.max(theirs.peak_bytes);
        }
    }

    /// What it all came to up to now.
    #[must_use]
    pub fn snapshot(&self) -> AggregatedMetrics {
        self.snapshot_of_units(1.0)
    }

    /// The same where nodes' durations were given in units of this many nanoseconds.
    pub(crate) fn snapshot_of_units(&self, ns_per_unit: f64) -> AggregatedMetrics {
        let workflow_duration_ns = self.workflows.duration_ns();
        let llm = self.llm.summary();
        let all = self.all.summary(DurationSummary::default());
        let seconds = |ns: Option<u64>| ns.filter(|ns| *ns > 0).map(|ns| ns as f64 / 1e9);
        let per_second = |count: u64, ns| seconds(ns).map(|seconds| count as f64 / seconds);
        let window_ns = self.window.duration_ns();
        let base_ns = workflow_duration_ns.or(window_ns);
        let throughput = Throughput {
            events_per_second: (self.window.events > 0)
                .then(|| per_second(self.window.events, window_ns.or(base_ns)))
                .flatten(),
            nodes_per_second: per_second(all.runs, base_ns),
            llm_calls_per_second: per_second(llm.llm.calls, base_ns),
            tokens_per_second: per_second(llm.llm.total_tokens(), base_ns),
        };
        AggregatedMetrics {
            workflow_duration_ns,
            workflows: self.workflows.count,
            events: self.window.events,
            nodes_executed: all.runs,
            nodes_failed: all.failures,
            error_count: self.errors + self.all.own_errors(),
            llm,
            all,
            models: named(&self.models, LlmCounters::summary),
            other_models: self.models.others().map(LlmCounters::summary),
            types: named(&self.types, |totals| totals.summary(ns_per_unit)),
            other_types: self.types.others().map(|totals| totals.summary(ns_per_unit)),
            nodes: named(&self.nodes, |totals| totals.summary(ns_per_unit)),
            other_nodes: self.nodes.others().map(|totals| totals.summary(ns_per_unit)),
            memory: self.memory.clone(),
            throughput,
        }
    }

    /// The snapshot as JSON: [`AggregatedMetrics::to_json`].
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.snapshot().to_json()
    }
}

fn named<E: Default, S>(table: &Named<E>, summary: impl Fn(&E) -> S) -> Vec<(smol_str::SmolStr, S)> {
    table
        .iter()
        .map(|(name, entry)| (name.clone(), summary(entry)))
        .collect()
}

/// The time in which at least one workflow ran.
#[derive(Clone, Default)]
struct WorkflowTime {
    count: u64,
    running: u64,
    /// When the first of those that run began, if it said so.
    began: Option<TimestampNs>,
    /// The latest time that anything was seen at.
    latest: Option<TimestampNs>,
    closed_ns: Option<u64>,
}

impl WorkflowTime {
    fn start(&mut self, at: Option<TimestampNs>) {
        self.count += 1;
        if self.running == 0 {
            self.began = at;
        }
        self.running += 1;
        self.latest = self.latest.max(at);
    }

    fn end(&mut self, at: Option<TimestampNs>) {
        self.latest = self.latest.max(at);
        self.running = match self.running.checked_sub(1) {
            None => return,
            Some(running) => running,
        };
        if self.running == 0
            && let (Some(began), Some(ended)) = (self.began.take(), at)
        {
            self.closed_ns = Some(self.closed_ns.unwrap_or(0).saturating_add(ended.since(began)));
        }
    }

    /// A workflow that has not ended counts up to the latest event.
    fn duration_ns(&self) -> Option<u64> {
        let open_ns = match (self.running > 0, self.began, self.latest) {
            (true, Some(began), Some(latest)) => Some(latest.since(began)),
            _ => None,
        };
        match (self.closed_ns, open_ns) {
            (None, None) => None,
            (closed, open) => Some(closed.unwrap_or(0).saturating_add(open.unwrap_or(0))),
        }
    }

    /// Both sums: whether they overlapped is not known any more.
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        if let Some(theirs) = other.duration_ns() {
            self.closed_ns = Some(self.closed_ns.unwrap_or(0).saturating_add(theirs));
        }
    }
}

/// How many events there were, and from when to when.
#[derive(Clone, Default)]
struct EventWindow {
    events: u64,
    first: Option<TimestampNs>,
    last: Option<TimestampNs>,
}

impl EventWindow {
    fn add(&mut self, at: Option<TimestampNs>) {
        self.events += 1;
        if let Some(at) = at {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = self.last.max(Some(at));
        }
    }

    fn duration_ns(&self) -> Option<u64> {
        Some(self.last?.since(self.first?))
    }

    fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.first = match (self.first, other.first) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        self.last = self.last.max(other.last);
    }
}

#[cfg(test)]
mod tests;
