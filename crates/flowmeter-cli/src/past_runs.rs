//! What earlier runs of a workflow say about the next one, from the traces that were saved.
//!
//! Never changes a trace; one that cannot be read tells nothing.

use std::collections::HashMap;
use std::fs;

use flowmeter::{TraceDocument, read_trace};
use flowmeter_model::{Span, SpanId, SpanKind, SpanStatus, UsdNanos};
use flowmeter_workflow::plan::{Between, PastNode, PastRuns};

use crate::home::Home;
use crate::traces;

/// So many runs are looked at, the newest first.
const RUNS_MAX: usize = 20;
/// Larger traces take longer to read than a plan should.
const TRACE_BYTES_MAX: u64 = 16 << 20;
/// So many files are opened at most, those of other workflows included.
const FILES_MAX: usize = 60;

/// The newest runs of one workflow.
#[derive(Debug, Default)]
pub(crate) struct PastOfTraces {
    runs: u64,
    duration_ns: Option<Between<u64>>,
    /// How long each run took that succeeded.
    durations_ns: Vec<u64>,
    /// What each run cost that succeeded and whose every call has a price.
    costs: Vec<UsdNanos>,
    /// Runs that succeeded with a call without a price.
    unpriced: u64,
    nodes: HashMap<String, PastNode>,
}

/// What is usual among earlier runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsualRun {
    /// The runs that are known.
    pub(crate) runs: u64,
    /// Those that succeeded: the amounts are theirs.
    pub(crate) succeeded: u64,
    /// How long they took.
    pub(crate) duration_ns: Option<Usual<u64>>,
    /// What they cost.
    pub(crate) cost: Option<Usual<UsdNanos>>,
    /// Those whose cost is not known in full.
    pub(crate) unpriced: u64,
}

/// An amount that differs from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usual<T> {
    /// Half of the runs had no more.
    pub(crate) median: T,
    /// Nine of ten runs had no more.
    pub(crate) p90: T,
    /// The least.
    pub(crate) low: T,
    /// The most.
    pub(crate) high: T,
}

impl<T: Copy + Ord> Usual<T> {
    /// By nearest rank: each amount is one that was measured.
    fn of(amounts: &[T]) -> Option<Self> {
        let mut sorted = amounts.to_vec();
        sorted.sort();
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        Some(Self {
            low: *sorted.first()?,
            high: *sorted.last()?,
            median: rank(50),
            p90: rank(90),
        })
    }
}

impl PastOfTraces {
    /// What is usual, where any run is known.
    pub(crate) fn usual(&self) -> Option<UsualRun> {
        (self.runs > 0).then(|| UsualRun {
            runs: self.runs,
            succeeded: self.durations_ns.len() as u64,
            duration_ns: Usual::of(&self.durations_ns),
            cost: Usual::of(&self.costs),
            unpriced: self.unpriced,
        })
    }

    /// Reads the newest traces of `workflow`.
    pub(crate) fn of(home: &Home, workflow: &str) -> Self {
        let mut past = Self::default();
        for path in traces::all(home).iter().rev().take(FILES_MAX) {
            if past.runs >= RUNS_MAX as u64 {
                break;
            }
            if fs::metadata(path).is_ok_and(|file| file.len() <= TRACE_BYTES_MAX)
                && let Ok(trace) = read_trace(path)
                && trace.workflow.as_deref() == Some(workflow)
                && trace.is_finished()
                && trace.sampled
            {
                past.add(&trace);
            }
        }
        past
    }

    fn add(&mut self, trace: &TraceDocument) {
        self.runs += 1;
        let by_id: HashMap<SpanId, &Span> = trace.spans.iter().map(|span| (span.span_id, span)).collect();
        if trace.status == Some(SpanStatus::Ok)
            && let Some(taken) = trace
                .spans
                .iter()
                .find(|span| span.parent_span_id.is_none())
                .and_then(taken_ns)
        {
            widen(&mut self.duration_ns, taken);
            self.durations_ns.push(taken);
            let calls = trace.spans.iter().filter(|span| span.kind == SpanKind::LlmCall);
            let cost = calls
                .map(|call| call.cost.as_ref().and_then(|cost| cost.amount))
                .try_fold(UsdNanos::ZERO, |sum, cost| Some(sum + cost?));
            match cost {
                Some(cost) => self.costs.push(cost),
                None => self.unpriced += 1,
            }
        }
        // The node around each call bears its cost; a call without a price leaves the node's unknown.
        let mut costs: HashMap<SpanId, Option<UsdNanos>> = HashMap::new();
        for call in trace.spans.iter().filter(|span| span.kind == SpanKind::LlmCall) {
            let Some(node) = nodes_around(call, &by_id).next() else {
                continue;
            };
            let cost = call.cost.as_ref().and_then(|cost| cost.amount);
            let sum = costs.entry(node.span_id).or_insert(Some(UsdNanos::ZERO));
            *sum = sum.zip(cost).map(|(sum, cost)| sum + cost);
        }
        let done = |span: &&Span| span.kind == SpanKind::Node && span.status == Some(SpanStatus::Ok);
        for node in trace.spans.iter().filter(done) {
            let Some(taken) = taken_ns(node) else { continue };
            let cost = costs.get(&node.span_id).copied().unwrap_or(Some(UsdNanos::ZERO));
            self.add_node(path_of(node, &by_id), taken, cost);
        }
    }

    fn add_node(&mut self, path: String, taken_ns: u64, cost: Option<UsdNanos>) {
        let first = PastNode {
            executions: 0,
            duration_ns: exactly(taken_ns),
            cost: cost.map(exactly),
        };
        let node = self.nodes.entry(path).or_insert(first);
        node.executions += 1;
        node.duration_ns = wider(node.duration_ns, taken_ns);
        node.cost = node.cost.zip(cost).map(|(known, cost)| wider(known, cost));
    }
}

impl PastRuns for PastOfTraces {
    fn runs(&self) -> u64 {
        self.runs
    }

    fn duration_ns(&self) -> Option<Between<u64>> {
        self.duration_ns
    }

    fn node(&self, path: &str) -> Option<PastNode> {
        self.nodes.get(path).copied()
    }
}

fn exactly<T: Copy>(amount: T) -> Between<T> {
    Between {
        low: amount,
        high: Some(amount),
    }
}

fn wider<T: Copy + Ord>(known: Between<T>, amount: T) -> Between<T> {
    Between {
        low: known.low.min(amount),
        high: known.high.map(|high| high.max(amount)),
    }
}

fn widen(known: &mut Option<Between<u64>>, amount: u64) {
    *known = Some(known.map_or_else(|| exactly(amount), |known| wider(known, amount)));
}

fn taken_ns(span: &Span) -> Option<u64> {
    span.end.map(|end| end.0.saturating_sub(span.start.0))
}

/// The node spans around a span, innermost first.
fn nodes_around<'a>(span: &'a Span, by_id: &'a HashMap<SpanId, &'a Span>) -> impl Iterator<Item = &'a Span> {
    let parent = |span: &'a Span| by_id.get(&span.parent_span_id?).copied();
    // A file that somebody else wrote may go in a circle.
    std::iter::successors(parent(span), move |span| parent(span))
        .take(1_000)
        .filter(|span| span.kind == SpanKind::Node)
}

/// `outer/inner`.
fn path_of(node: &Span, by_id: &HashMap<SpanId, &Span>) -> String {
    let id = |span: &Span| span.attributes.get_str("node.id").unwrap_or_default().to_owned();
    let mut ids: Vec<String> = nodes_around(node, by_id).map(id).collect();
    ids.reverse();
    ids.push(id(node));
    ids.join("/")
}

#[cfg(test)]
mod tests;
