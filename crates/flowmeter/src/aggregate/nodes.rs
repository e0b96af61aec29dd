//! Sums over the executions of a node, and over those of a node type.
//!
//! A figure that nobody measured is not in its sum, and the sum of nothing is unknown.

use flowmeter_model::Attributes;
use smol_str::SmolStr;

use super::cache::CacheHitSample;
use super::durations::{DurationSummary, Durations, SketchBudget, Spread};
use super::llm::{LlmSample, LlmTotals, share};
use crate::performance::{ChildUsage, MemoryChange, names, whole};

/// One execution of a node as the aggregation sees it.
#[derive(Clone, Debug)]
pub struct NodeSample<'a> {
    /// Its id; `outer/inner` in a nested workflow.
    pub id: &'a str,
    /// Its type, such as `shell`.
    pub node_type: &'a str,
    /// Whether it failed or was stopped.
    pub failed: bool,
    /// Whether its failure was already counted by [`super::Aggregator::error`].
    pub failure_counted: bool,
    /// Attempts at its `exec`; 0 where unknown.
    pub attempts: u64,
    /// How long it took; `None` where unknown.
    pub duration_ns: Option<u64>,
    /// CPU time of this process that it took; `None` where unknown.
    pub cpu_ns: Option<u64>,
    /// How long it was ready but had to wait for a place; `None` where it had none to wait for.
    pub queue_ns: Option<u64>,
    /// How the memory of the process went meanwhile; `None` where that is unknown.
    pub memory: Option<MemoryChange>,
    /// What the processes used that it started; `None` where it started none.
    pub children: Option<ChildUsage>,
}

impl<'a> NodeSample<'a> {
    /// An execution that went well; nothing else is known of it.
    #[must_use]
    pub fn new(id: &'a str, node_type: &'a str) -> Self {
        Self {
            id,
            node_type,
            failed: false,
            failure_counted: false,
            attempts: 0,
            duration_ns: None,
            cpu_ns: None,
            queue_ns: None,
            memory: None,
            children: None,
        }
    }

    /// The same with what the attributes of the node's span say of attempts, CPU, memory and processes.
    #[must_use]
    pub fn with_attributes(self, attributes: &Attributes) -> Self {
        Self {
            attempts: whole(attributes, names::NODE_ATTEMPTS).unwrap_or(self.attempts),
            cpu_ns: whole(attributes, names::NODE_CPU_NS).or(self.cpu_ns),
            memory: MemoryChange::of_attributes(attributes).or(self.memory),
            children: ChildUsage::of_attributes(attributes).or(self.children),
            ..self
        }
    }
}

/// One item of a batch as the aggregation sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ItemSample {
    /// Whether it failed or was stopped.
    pub failed: bool,
    /// How long it was ready but had to wait for a place; `None` where unknown.
    pub queue_ns: Option<u64>,
}

impl ItemSample {
    /// The same with what the attributes of the item's span say of its wait.
    #[must_use]
    pub fn with_attributes(self, attributes: &Attributes) -> Self {
        Self {
            queue_ns: whole(attributes, names::BATCH_QUEUE_NS).or(self.queue_ns),
            ..self
        }
    }
}

/// How long something waited for a place to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueTime {
    /// How often that is known.
    pub count: u64,
    /// All waits together.
    pub sum_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl QueueTime {
    fn add(&mut self, queue_ns: Option<u64>) {
        if let Some(queue_ns) = queue_ns {
            self.count += 1;
            self.sum_ns = self.sum_ns.saturating_add(queue_ns);
            self.max_ns = self.max_ns.max(queue_ns);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

fn add_known(sum: &mut Option<u64>, figure: Option<u64>) {
    if let Some(figure) = figure {
        *sum = Some(sum.unwrap_or(0).saturating_add(figure));
    }
}

/// What is counted of a node, a type, and of all nodes together.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeCounts {
    pub(crate) runs: u64,
    pub(crate) failures: u64,
    failures_counted: u64,
    attempts: u64,
    cpu_ns: Option<u64>,
    memory_change_bytes: Option<i64>,
    memory_peak_bytes: Option<u64>,
    children: Option<ChildUsage>,
    queue: QueueTime,
}

impl NodeCounts {
    pub(crate) fn add(&mut self, sample: &NodeSample<'_>) {
        self.runs += 1;
        self.failures += u64::from(sample.failed);
        self.failures_counted += u64::from(sample.failed && sample.failure_counted);
        self.attempts += sample.attempts;
        add_known(&mut self.cpu_ns, sample.cpu_ns);
        if let Some(memory) = sample.memory {
            self.add_memory(Some(memory.change_bytes), Some(memory.peak_bytes));
        }
        if let Some(children) = &sample.children {
            self.children.get_or_insert(ChildUsage::NONE).add(children);
        }
        self.queue.add(sample.queue_ns);
    }

    fn add_memory(&mut self, change_bytes: Option<i64>, peak_bytes: Option<u64>) {
        if let Some(change) = change_bytes {
            self.memory_change_bytes = Some(self.memory_change_bytes.unwrap_or(0).saturating_add(change));
        }
        self.memory_peak_bytes = self.memory_peak_bytes.max(peak_bytes);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.failures += other.failures;
        self.failures_counted += other.failures_counted;
        self.attempts += other.attempts;
        add_known(&mut self.cpu_ns, other.cpu_ns);
        self.add_memory(other.memory_change_bytes, other.memory_peak_bytes);
        if let Some(children) = &other.children {
            self.children.get_or_insert(ChildUsage::NONE).add(children);
        }
        self.queue.merge(&other.queue);
    }

    pub(crate) fn cpu_ns(&self) -> Option<u64> {
        self.cpu_ns
    }

    /// Failures that nobody else counts.
    pub(crate) fn own_errors(&self) -> u64 {
        self.failures - self.failures_counted
    }

    /// The same for the reader, with what stands beside the counts.
    pub(crate) fn summary(&self, durations: DurationSummary) -> TypeMetrics {
        TypeMetrics {
            runs: self.runs,
            failures: self.failures,
            durations,
            resources: Resources {
                cpu_ns: self.cpu_ns,
                memory_change_bytes: self.memory_change_bytes,
                memory_peak_bytes: self.memory_peak_bytes,
                children_cpu_ns: self.children.map(|children| children.cpu_ns()),
                children_memory_max_bytes: self.children.and_then(|children| children.memory_max_bytes()),
                queue: self.queue,
            },
        }
    }
}

/// What is counted of a node type by itself: the executions of nodes that have no entry of their own, and what
/// their own entries could not keep for percentiles. The rest is in the entries of the nodes.
#[derive(Clone, Default)]
pub(crate) struct TypeTotals {
    counts: NodeCounts,
    durations: Durations,
    spilled: Spread,
}

impl TypeTotals {
    pub(crate) fn add(&mut self, sample: &NodeSample<'_>, budget: &mut SketchBudget) {
        self.counts.add(sample);
        if let Some(duration_ns) = sample.duration_ns {
            let _ = self.durations.add(duration_ns, budget);
        }
    }

    #[cold]
    pub(crate) fn add_spilled(&mut self, spread: &Spread, budget: &mut SketchBudget) {
        self.spilled.merge(spread, budget);
    }

    /// Adds a node of this type.
    pub(crate) fn add_node(&mut self, node: &NodeTotals, budget: &mut SketchBudget) {
        self.counts.merge(&node.counts);
        self.durations.merge_what_is_kept(&node.durations, budget);
    }

    pub(crate) fn merge(&mut self, other: &Self, budget: &mut SketchBudget) {
        self.counts.merge(&other.counts);
        self.durations.merge(&other.durations, budget);
        self.spilled.merge(&other.spilled, budget);
    }

    pub(crate) fn counts(&self) -> &NodeCounts {
        &self.counts
    }

    /// What it came to, once its nodes are added.
    pub(crate) fn summary(mut self, ns_per_unit: f64, budget: &mut SketchBudget) -> TypeMetrics {
        self.durations.merge_spread(&self.spilled, budget);
        self.counts.summary(self.durations.summary(ns_per_unit))
    }
}

/// All executions of one node.
#[derive(Clone, Default)]
pub(crate) struct NodeTotals {
    pub(crate) node_type: SmolStr,
    /// Where its type is in the table of types, once it has one.
    pub(crate) type_place: Option<Option<u32>>,
    counts: NodeCounts,
    durations: Durations,
    items: u64,
    failed_items: u64,
    llm: Option<Box<LlmTotals>>,
}

impl NodeTotals {
    /// Returns what cannot be kept for percentiles.
    #[inline]
    pub(crate) fn add(&mut self, sample: &NodeSample<'_>, budget: &mut SketchBudget) -> Option<Spread> {
        self.counts.add(sample);
        self.durations.add(sample.duration_ns?, budget)
    }

    pub(crate) fn counts(&self) -> &NodeCounts {
        &self.counts
    }

    pub(crate) fn add_item(&mut self, item: &ItemSample) {
        self.items += 1;
        self.failed_items += u64::from(item.failed);
        self.counts.queue.add(item.queue_ns);
    }

    pub(crate) fn add_llm_call(&mut self, call: &LlmSample<'_>) {
        self.llm.get_or_insert_default().add(call);
    }

    pub(crate) fn add_cache_hit(&mut self, hit: &CacheHitSample<'_>) {
        self.llm.get_or_insert_default().add_cache_hit(hit);
    }

    pub(crate) fn merge(&mut self, other: &Self, budget: &mut SketchBudget) {
        self.counts.merge(&other.counts);
        self.durations.merge(&other.durations, budget);
        self.items += other.items;
        self.failed_items += other.failed_items;
        if let Some(theirs) = &other.llm {
            self.llm.get_or_insert_default().merge(theirs);
        }
    }

    pub(crate) fn summary(&self, ns_per_unit: f64) -> NodeMetrics {
        let durations = self.durations.summary(ns_per_unit);
        let TypeMetrics {
            runs,
            failures,
            resources,
            ..
        } = self.counts.summary(durations);
        NodeMetrics {
            node_type: self.node_type.clone(),
            runs,
            failures,
            attempts: self.counts.attempts,
            items: self.items,
            failed_items: self.failed_items,
            duration_ns: durations.sum_ns,
            durations,
            resources,
            llm: self.llm.as_deref().cloned().unwrap_or_default(),
        }
    }
}

/// What one or more executions used beside time. What was not measured is unknown, not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU time in this process. That of a nested workflow's nodes is in that of the node around them, too.
    pub cpu_ns: Option<u64>,
    /// By how much the memory of the whole process changed meanwhile, added up.
    pub memory_change_bytes: Option<i64>,
    /// The most memory that the whole process was seen to hold meanwhile.
    pub memory_peak_bytes: Option<u64>,
    /// CPU time of the processes that were started; `None` where none was.
    pub children_cpu_ns: Option<u64>,
    /// The most memory that one of those processes held.
    pub children_memory_max_bytes: Option<u64>,
    /// How long items of batches were ready but waited for a place.
    pub queue: QueueTime,
}

/// What became of one node.
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
    /// The same run by run.
    pub durations: DurationSummary,
    /// What it used beside time.
    pub resources: Resources,
    /// Its LLM calls.
    pub llm: LlmTotals,
}

impl NodeMetrics {
    /// Share of its executions that failed; 0 where it never ran.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        share(self.failures, self.runs)
    }
}

/// What became of all nodes of a type.
#[derive(Clone, Debug, Default)]
pub struct TypeMetrics {
    /// How often they ran.
    pub runs: u64,
    /// How often they failed.
    pub failures: u64,
    /// How long they took.
    pub durations: DurationSummary,
    /// What they used beside time.
    pub resources: Resources,
}

impl TypeMetrics {
    /// Share of the executions that failed; 0 where there were none.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        share(self.failures, self.runs)
    }
}
