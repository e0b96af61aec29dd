//! What keeps one run waiting: places in batches, nodes that wait without need, rounds that change nothing.
//!
//! Never claims that nodes are independent where the data does not show it: programs and files may hang together in
//! ways that no template names, so such nodes count as depending on all before them.

use std::collections::BTreeMap;

use flowmeter_model::{SpanId, SpanKind};
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::sample::{Sample, Step};

/// Types of nodes whose results are all they leave behind.
const PURE: [&str; 4] = ["llm", "http", "read-file", "echo"];

/// So many nodes are compared pair by pair, to name those that could run side by side.
const COMPARED_MAX: usize = 2_000;

/// A batch whose items waited for a place.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) node: SmolStr,
    pub(super) items: usize,
    /// Items at work at the same time, at most.
    pub(super) places: usize,
    /// How long half of the items waited.
    pub(super) wait_p50_ns: u64,
    /// What more places would save at most.
    pub(super) saved_ns: u64,
}

/// The batches of a run with items that waited.
pub(super) fn queues(sample: &Sample) -> Vec<Queue> {
    let mut batches: BTreeMap<SpanId, Vec<&Step>> = BTreeMap::new();
    for step in sample
        .steps
        .iter()
        .filter(|step| step.kind == SpanKind::BatchItem)
    {
        if let Some(parent) = step.parent {
            batches.entry(parent).or_default().push(step);
        }
    }
    let mut queues = Vec::new();
    for items in batches.into_values().filter(|items| items.len() >= 2) {
        let mut waits: Vec<u64> = items.iter().map(|item| item.queue_ns).collect();
        waits.sort_unstable();
        let first = items.iter().map(|item| item.start).min().unwrap_or(0);
        let last = items.iter().map(|item| item.end).max().unwrap_or(0);
        let longest = items.iter().map(|item| item.duration_ns()).max().unwrap_or(0);
        let most = waits.last().copied().unwrap_or(0);
        queues.push(Queue {
            node: items[0].node.clone(),
            items: items.len(),
            places: at_once(&items),
            wait_p50_ns: waits[waits.len() / 2],
            saved_ns: last.saturating_sub(first).saturating_sub(longest).min(most),
        });
    }
    queues
}

fn at_once(items: &[&Step]) -> usize {
    let mut edges: Vec<(u64, i32)> = items
        .iter()
        .flat_map(|item| [(item.start, 1), (item.end, -1)])
        .collect();
    edges.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in edges {
        now += change;
        most = most.max(now);
    }
    usize::try_from(most).unwrap_or(0).max(1)
}

/// Nodes that ran one after another although none reads what another wrote.
#[derive(Clone, Debug)]
pub(super) struct Independent {
    pub(super) nodes: Vec<SmolStr>,
    /// What running them at the same time would save at most.
    pub(super) saved_ns: u64,
}

/// What follows each node, over several runs: nodes with more than one successor decide something.
pub(super) fn deciding_nodes(samples: &[Sample]) -> FxHashSet<SmolStr> {
    let mut next: FxHashMap<SmolStr, FxHashSet<SmolStr>> = FxHashMap::default();
    for sample in samples {
        for nodes in siblings(sample).into_values() {
            for pair in nodes.windows(2) {
                next.entry(pair[0].node.clone())
                    .or_default()
                    .insert(pair[1].node.clone());
            }
            if let Some(last) = nodes.last() {
                next.entry(last.node.clone())
                    .or_default()
                    .insert(SmolStr::default());
            }
        }
    }
    next.into_iter()
        .filter(|(_, next)| next.len() > 1)
        .map(|(node, _)| node)
        .collect()
}

fn siblings(sample: &Sample) -> BTreeMap<SpanId, Vec<&Step>> {
    let mut groups: BTreeMap<SpanId, Vec<&Step>> = BTreeMap::new();
    for step in sample.steps.iter().filter(|step| step.kind == SpanKind::Node) {
        if let Some(parent) = step.parent {
            groups.entry(parent).or_default().push(step);
        }
    }
    for nodes in groups.values_mut() {
        nodes.sort_by_key(|node| (node.start, node.end));
    }
    groups
}

/// The independent nodes of a run, by the step around them.
pub(super) fn independent(sample: &Sample, deciding: &FxHashSet<SmolStr>) -> Vec<Independent> {
    let mut found = Vec::new();
    for nodes in siblings(sample).into_values() {
        let names: FxHashSet<&str> = nodes.iter().map(|node| node.node.as_str()).collect();
        // A node that comes twice is part of a circle: its rounds need each other.
        if nodes.len() < 2 || names.len() < nodes.len() {
            continue;
        }
        let (begin, finish) = planned_times(&nodes, deciding);
        let planned = finish.iter().copied().max().unwrap_or(0);
        let saved_ns = covered(&nodes).saturating_sub(planned);
        if saved_ns == 0 {
            continue;
        }
        // Those that would run beside another and did not.
        let beside = |a: usize, b: usize| {
            begin[a] < finish[b]
                && begin[b] < finish[a]
                && (nodes[a].end <= nodes[b].start || nodes[b].end <= nodes[a].start)
        };
        // Of a run of very many nodes the first ones are named: all pairs would take minutes.
        let compared = nodes.len().min(COMPARED_MAX);
        let listed = (0..compared).filter(|a| (0..compared).any(|b| *a != b && beside(*a, b)));
        found.push(Independent {
            nodes: listed.map(|place| nodes[place].node.clone()).collect(),
            saved_ns,
        });
    }
    found
}

/// The time in which any of these ran.
fn covered(nodes: &[&Step]) -> u64 {
    let (mut covered, mut until) = (0, 0);
    for node in nodes {
        covered += node.end.saturating_sub(node.start.max(until));
        until = until.max(node.end);
    }
    covered
}

/// When each node would begin and finish if it waited only for those that it may need, in one pass over them: a run
/// may have very many.
fn planned_times(nodes: &[&Step], deciding: &FxHashSet<SmolStr>) -> (Vec<u64>, Vec<u64>) {
    let is_pure = |node: &Step| PURE.contains(&node.node_type.as_str());
    let mut by_end: Vec<usize> = (0..nodes.len()).collect();
    by_end.sort_by_key(|place| (nodes[*place].end, *place));
    let mut ended = by_end.into_iter().peekable();
    let mut begin: Vec<u64> = Vec::with_capacity(nodes.len());
    let mut finish: Vec<u64> = Vec::with_capacity(nodes.len());
    // The latest finish of what had ended: of all, of what everything after it may need, and by what was written.
    let (mut of_all, mut of_needed) = (0, 0);
    let mut of_written: FxHashMap<&str, u64> = FxHashMap::default();
    for (place, node) in nodes.iter().enumerate() {
        while let Some(before) = ended.next_if(|before| *before < place && nodes[*before].end <= node.start) {
            let (done, step) = (finish[before], nodes[before]);
            of_all = done.max(of_all);
            if !is_pure(step) || !step.is_ok || deciding.contains(&step.node) {
                of_needed = done.max(of_needed);
                continue;
            }
            let own = step.node.rsplit('/').next().unwrap_or_default();
            let written = step.writes.iter().map(|write| write.namespace.as_str());
            for name in written.chain([own]) {
                let latest = of_written.entry(name).or_default();
                *latest = done.max(*latest);
            }
        }
        let from = match &node.reads {
            Some(reads) if is_pure(node) => {
                let written = node.writes.iter().map(|write| write.namespace.as_str());
                let touched = reads.iter().map(SmolStr::as_str).chain(written);
                let waited_for = touched.filter_map(|name| of_written.get(name).copied());
                waited_for.fold(of_needed, u64::max)
            }
            _ => of_all,
        };
        begin.push(from);
        finish.push(from + node.duration_ns());
    }
    (begin, finish)
}

/// Rounds of a loop that left the shared store as it was.
#[derive(Clone, Debug)]
pub(super) struct IdleRounds {
    pub(super) node: SmolStr,
    pub(super) rounds: usize,
    pub(super) idle: usize,
    pub(super) idle_ns: u64,
    /// Nano-dollars; `None` where a call in them has no price.
    pub(super) cost: Option<i64>,
}

/// The loops of a run, with how many of their rounds changed nothing. Rounds are those of loop nodes, and what lies
/// between two executions of the same node.
pub(super) fn loops(sample: &Sample) -> Vec<IdleRounds> {
    // Where nobody recorded what was written, nothing is known.
    if !sample.has_writes {
        return Vec::new();
    }
    let mut changes: Vec<u64> = sample
        .steps
        .iter()
        .flat_map(|step| &step.writes)
        .filter(|write| write.changes)
        .map(|write| write.time)
        .collect();
    changes.sort_unstable();
    let mut found = Vec::new();
    let mut rounds: BTreeMap<SpanId, Vec<&Step>> = BTreeMap::new();
    for step in sample
        .steps
        .iter()
        .filter(|step| step.kind == SpanKind::Iteration)
    {
        if let Some(parent) = step.parent {
            rounds.entry(parent).or_default().push(step);
        }
    }
    for rounds in rounds.into_values() {
        let times: Vec<(u64, u64)> = rounds.iter().map(|round| (round.start, round.end)).collect();
        found.extend(idle(sample, &changes, &rounds[0].node, times));
    }
    for nodes in siblings(sample).into_values() {
        let mut by_node: BTreeMap<&SmolStr, Vec<&Step>> = BTreeMap::new();
        for node in nodes {
            by_node.entry(&node.node).or_default().push(node);
        }
        // Of the nodes of a circle, the one that comes first stands for it.
        let first = by_node
            .into_iter()
            .filter(|(_, executions)| executions.len() >= 3)
            .min_by_key(|(_, executions)| executions[0].start);
        if let Some((node, executions)) = first {
            let mut times: Vec<(u64, u64)> = executions
                .windows(2)
                .map(|pair| (pair[0].start, pair[1].start))
                .collect();
            if let Some(last) = executions.last() {
                times.push((last.start, last.end));
            }
            found.extend(idle(sample, &changes, node, times));
        }
    }
    found
}

fn idle(sample: &Sample, changes: &[u64], node: &SmolStr, mut times: Vec<(u64, u64)>) -> Option<IdleRounds> {
    times.sort_unstable();
    if times.len() < 3 {
        return None;
    }
    // The first round has nothing before it that it could repeat.
    let idle: Vec<(u64, u64)> = times[1..]
        .iter()
        .copied()
        .filter(|(from, until)| {
            let next = changes.get(changes.partition_point(|time| time < from));
            next.is_none_or(|time| time > until)
        })
        .collect();
    if idle.is_empty() {
        return Some(IdleRounds {
            node: node.clone(),
            rounds: times.len(),
            idle: 0,
            idle_ns: 0,
            cost: Some(0),
        });
    }
    let calls = sample.steps.iter().filter(|step| {
        step.kind == SpanKind::LlmCall
            && idle
                .iter()
                .any(|(from, until)| step.start >= *from && step.end <= *until)
    });
    Some(IdleRounds {
        node: node.clone(),
        rounds: times.len(),
        idle: idle.len(),
        idle_ns: idle.iter().map(|(from, until)| until.saturating_sub(*from)).sum(),
        cost: calls.map(|call| call.cost).sum::<Option<i64>>(),
    })
}

#[cfg(test)]
mod tests;
