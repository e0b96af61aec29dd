//! Adds up what happened, one thing at a time and in constant memory: durations with percentiles, counts, errors,
//! tokens and money, CPU, memory, throughput; per node, per node type, per model and in all.
//!
//! The one place where such sums are made: a live run's collector and the formatter of event files both feed an
//! [`Aggregator`]. Never keeps what it added up, and never takes an unknown figure for zero.

mod breakdown;
mod breakdown_json;
mod cache;
mod durations;
mod llm;
mod named;
mod nodes;
pub(crate) mod snapshot;

use flowmeter_model::TimestampNs;
use serde_json::Value;

pub use breakdown::{CallCost, CostBreakdown, CostLineSum, PriceUse};
pub use breakdown_json::cost_json;
pub use cache::{CacheHitSample, CacheTotals};
pub use durations::DurationSummary;
pub(crate) use llm::share;
pub use llm::{LlmSample, LlmTimings, LlmTotals, ModelMetrics};
pub use nodes::{ItemSample, NodeMetrics, NodeSample, QueueTime, Resources, TypeMetrics};
pub use snapshot::{AggregatedMetrics, MemoryUsage, Throughput};
pub(crate) use snapshot::{
    Unit, add_cost, add_node, add_resources, add_types, llm_object, object_of, success_rate,
};

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
    executions: u64,
    llm: LlmCounters,
    breakdown: CostBreakdown,
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
            executions: 0,
            llm: LlmCounters::default(),
            breakdown: CostBreakdown::default(),
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

    /// A node ended, well or not. An id that comes back with another type is another node: `id (type)`.
    pub fn node_ended(&mut self, sample: &NodeSample<'_>) {
        self.executions += 1;
        let Some(place) = self.node_place(sample.id, sample.node_type) else {
            let _ = self.nodes.at(None).add(sample, &mut self.node_sketches);
            self.types
                .entry(sample.node_type)
                .add(sample, &mut self.type_sketches);
            return;
        };
        let node = self.nodes.at(Some(place));
        if let Some(spilled) = node.add(sample, &mut self.node_sketches) {
            let type_place = node.type_place.flatten();
            self.types
                .at(type_place)
                .add_spilled(&spilled, &mut self.type_sketches);
        }
    }

    /// The place of this node; `None` where the table is full.
    #[inline]
    fn node_place(&mut self, id: &str, node_type: &str) -> Option<u32> {
        let place = self.nodes.place(id)?;
        let node = self.nodes.at(Some(place));
        if node.node_type == node_type && node.type_place.is_some() {
            return Some(place);
        }
        self.typed_node_place(place, id, node_type)
    }

    #[cold]
    fn typed_node_place(&mut self, place: u32, id: &str, node_type: &str) -> Option<u32> {
        let is_another = self.nodes.at(Some(place)).type_place.is_some();
        let place = if is_another {
            self.nodes.place(&format!("{id} ({node_type})"))?
        } else {
            place
        };
        let type_place = self.types.place(node_type);
        let node = self.nodes.at(Some(place));
        if node.type_place.is_none() {
            node.node_type = node_type.into();
            node.type_place = Some(type_place);
        }
        Some(place)
    }

    /// An item of the batch of this node ended.
    pub fn batch_item_ended(&mut self, node_id: &str, item: &ItemSample) {
        self.nodes.entry(node_id).add_item(item);
    }

    /// A call to a model ended. `node_id` is the node that made it; a call outside any node has an empty one, and
    /// counts in the sums of its model and in all.
    pub fn llm_call_ended(&mut self, node_id: &str, call: &LlmSample<'_>) {
        self.llm.add(call, &mut self.model_sketches);
        self.breakdown.add(node_id, call);
        self.models.entry(call.model).add(call, &mut self.model_sketches);
        if !node_id.is_empty() {
            self.nodes.entry(node_id).add_llm_call(call);
        }
    }

    /// A call to a model was answered from a response cache: it is no call, and its tokens and cost are saved.
    pub fn llm_cache_hit(&mut self, node_id: &str, hit: &CacheHitSample<'_>) {
        self.llm.totals.add_cache_hit(hit);
        self.models.entry(hit.model).totals.add_cache_hit(hit);
        if !node_id.is_empty() {
            self.nodes.entry(node_id).add_cache_hit(hit);
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
        self.executions += other.executions;
        for (name, theirs) in other.types.iter() {
            self.types.entry(name).merge(theirs, &mut self.type_sketches);
        }
        if let Some(theirs) = other.types.others() {
            self.types.at(None).merge(theirs, &mut self.type_sketches);
        }
        for (id, theirs) in other.nodes.iter() {
            self.merge_node(id, theirs);
        }
        if let Some(theirs) = other.nodes.others() {
            self.nodes.at(None).merge(theirs, &mut self.node_sketches);
        }
        self.llm.merge(&other.llm, &mut self.model_sketches);
        self.breakdown.merge(&other.breakdown);
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

    fn merge_node(&mut self, id: &str, theirs: &NodeTotals) {
        let place = match theirs.type_place {
            Some(_) => self.node_place(id, &theirs.node_type),
            None => self.nodes.place(id),
        };
        let node = self.nodes.at(place);
        node.merge(theirs, &mut self.node_sketches);
        if place.is_none() && theirs.type_place.is_some() {
            let node_type = self.types.entry(&theirs.node_type);
            node_type.add_node(theirs, &mut self.type_sketches);
        }
    }

    /// CPU time of the nodes that are in no other node: those have that of what is in them.
    fn outermost_cpu_ns(&self) -> Option<u64> {
        let is_inside = |id: &str| {
            let mut around = id.match_indices('/').map(|(end, _)| &id[..end]);
            around.any(|outer| self.nodes.contains(outer))
        };
        let outermost = self.nodes.iter().filter(|(id, _)| !is_inside(id));
        let figures = outermost.map(|(_, node)| node).chain(self.nodes.others());
        figures
            .filter_map(|node| node.counts().cpu_ns())
            .reduce(u64::saturating_add)
    }

    /// The types with all their nodes, and what is beyond the table.
    fn whole_types(&self, budget: &mut SketchBudget) -> Named<TypeTotals> {
        let mut types = self.types.clone();
        for (_, node) in self.nodes.iter() {
            if let Some(place) = node.type_place {
                types.at(place).add_node(node, budget);
            }
        }
        types
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
        // What is made here is gone with this call.
        let mut budget = SketchBudget::new(usize::MAX);
        let types = self.whole_types(&mut budget);
        let mut all = NodeCounts::default();
        for totals in types.iter().map(|(_, totals)| totals).chain(types.others()) {
            all.merge(totals.counts());
        }
        // Items may have ended while their node goes on.
        for (_, node) in self.nodes.iter().filter(|(_, node)| node.type_place.is_none()) {
            all.merge(node.counts());
        }
        let own_errors = all.own_errors();
        let mut all = all.summary(DurationSummary::default());
        all.resources.cpu_ns = self.outermost_cpu_ns();
        // Nodes run side by side and within each other: their changes are no sum of anything.
        all.resources.memory_change_bytes = None;
        let window_ns = self.window.duration_ns();
        let base_ns = workflow_duration_ns.or(window_ns);
        let throughput = Throughput {
            events_per_second: Throughput::rate(self.window.events, window_ns.or(base_ns)),
            ..Throughput::of(&llm.llm, all.runs, base_ns)
        };
        AggregatedMetrics {
            workflow_duration_ns,
            workflows: self.workflows.count,
            events: self.window.events,
            nodes_executed: all.runs,
            nodes_failed: all.failures,
            error_count: self.errors + own_errors,
            llm,
            breakdown: self.breakdown.clone(),
            all,
            models: named(&self.models, LlmCounters::summary),
            other_models: self.models.others().map(LlmCounters::summary),
            other_types: types
                .others()
                .map(|totals| totals.clone().summary(ns_per_unit, &mut budget)),
            types: types
                .iter()
                .map(|(name, totals)| (name.clone(), totals.clone().summary(ns_per_unit, &mut budget)))
                .collect(),
            nodes: named(&self.nodes, |totals| totals.summary(ns_per_unit)),
            other_nodes: self.nodes.others().map(|totals| totals.summary(ns_per_unit)),
            memory: self.memory.clone(),
            throughput,
        }
    }

    /// The LLM calls so far.
    pub(crate) fn llm_totals(&self) -> &LlmTotals {
        &self.llm.totals
    }

    /// Node executions so far.
    pub(crate) fn nodes_executed(&self) -> u64 {
        self.executions
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
