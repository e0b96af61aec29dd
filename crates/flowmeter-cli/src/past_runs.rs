//! What earlier runs of a workflow say about the next one: from the history, or where that knows none from the traces
//! that were saved.
//!
//! Never changes either; what cannot be read tells nothing.

use std::collections::HashMap;
use std::fs;

use flowmeter::{TraceDocument, read_trace};
use flowmeter_model::{Span, SpanId, SpanKind, SpanStatus, UsdNanos};
use flowmeter_store::{RunFilter, RunOrder, RunRow, RunStatus, SpanRow, Store, StoreError};
use flowmeter_workflow::plan::{Between, PastNode, PastRuns};

use crate::home::Home;
use crate::{history, traces};

/// So many runs are looked at, the newest first.
const RUNS_MAX: usize = 20;
/// Larger traces take longer to read than a plan should.
const TRACE_BYTES_MAX: u64 = 16 << 20;
/// So many files are opened at most, those of other workflows included.
const FILES_MAX: usize = 60;
/// So far it is looked for what stands around a span: a file that somebody else wrote may go in a circle.
const DEPTH_MAX: usize = 1_000;
/// So many spans of the history are looked at in all.
const SPANS_MAX: u64 = 200_000;

/// The newest runs of one workflow.
#[derive(Debug, Default)]
pub(crate) struct PastOfRuns {
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

/// A span as the past needs it.
struct PastSpan {
    id: SpanId,
    parent: Option<SpanId>,
    kind: SpanKind,
    status: Option<SpanStatus>,
    taken_ns: Option<u64>,
    /// Of a node: `outer/inner`.
    path: String,
    /// Of an LLM call, where its whole price is known.
    cost: Option<UsdNanos>,
}

impl PastOfRuns {
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

    /// Reads the newest runs of `workflow`.
    pub(crate) fn of(home: &Home, workflow: &str) -> Self {
        let store = history::open(home).ok();
        let in_history = store.and_then(|store| Self::in_history(&store, workflow).ok());
        in_history
            .filter(|past| past.runs > 0)
            .unwrap_or_else(|| Self::in_traces(home, workflow))
    }

    fn in_history(store: &dyn Store, workflow: &str) -> Result<Self, StoreError> {
        let filter = RunFilter {
            workflows: vec![workflow.to_owned()],
            statuses: vec![RunStatus::Ok, RunStatus::Error, RunStatus::Cancelled],
            ..RunFilter::default()
        };
        let (mut past, mut spans) = (Self::default(), 0);
        for run in store.runs(&filter, RunOrder::Started, RUNS_MAX, 0)? {
            if !run.sampled || spans + run.spans > SPANS_MAX {
                continue;
            }
            spans += run.spans;
            let rows = store.span_rows(&run.key)?;
            past.add_run(&run, &rows);
        }
        Ok(past)
    }

    fn add_run(&mut self, run: &RunRow, rows: &[SpanRow]) {
        let status = match run.status {
            RunStatus::Ok => SpanStatus::Ok,
            _ => SpanStatus::Error,
        };
        let spans: Vec<PastSpan> = rows.iter().map(span_of_row).collect();
        self.add(Some(status), run.duration_ns(), &spans);
    }

    fn in_traces(home: &Home, workflow: &str) -> Self {
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
                past.add_trace(&trace);
            }
        }
        past
    }

    fn add_trace(&mut self, trace: &TraceDocument) {
        let by_id: HashMap<SpanId, &Span> = trace.spans.iter().map(|span| (span.span_id, span)).collect();
        let spans: Vec<PastSpan> = trace
            .spans
            .iter()
            .map(|span| span_of_trace(span, &by_id))
            .collect();
        let root = spans.iter().find(|span| span.parent.is_none());
        self.add(trace.status, root.and_then(|root| root.taken_ns), &spans);
    }

    fn add(&mut self, status: Option<SpanStatus>, taken_ns: Option<u64>, spans: &[PastSpan]) {
        self.runs += 1;
        let by_id: HashMap<SpanId, &PastSpan> = spans.iter().map(|span| (span.id, span)).collect();
        let calls = || spans.iter().filter(|span| span.kind == SpanKind::LlmCall);
        if status == Some(SpanStatus::Ok)
            && let Some(taken) = taken_ns
        {
            widen(&mut self.duration_ns, taken);
            self.durations_ns.push(taken);
            let cost = calls().try_fold(UsdNanos::ZERO, |sum, call| Some(sum + call.cost?));
            match cost {
                Some(cost) => self.costs.push(cost),
                None => self.unpriced += 1,
            }
        }
        // The node around each call bears its cost; a call without a price leaves the node's unknown.
        let mut costs: HashMap<SpanId, Option<UsdNanos>> = HashMap::new();
        for call in calls() {
            let parent = |span: &&PastSpan| by_id.get(&span.parent?).copied();
            let around = std::iter::successors(by_id.get(&call.id).copied(), parent).take(DEPTH_MAX);
            let Some(node) = around.into_iter().find(|span| span.kind == SpanKind::Node) else {
                continue;
            };
            let sum = costs.entry(node.id).or_insert(Some(UsdNanos::ZERO));
            *sum = sum.zip(call.cost).map(|(sum, cost)| sum + cost);
        }
        let done = |span: &&PastSpan| span.kind == SpanKind::Node && span.status == Some(SpanStatus::Ok);
        for node in spans.iter().filter(done) {
            let Some(taken) = node.taken_ns else { continue };
            let cost = costs.get(&node.id).copied().unwrap_or(Some(UsdNanos::ZERO));
            self.add_node(node.path.clone(), taken, cost);
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

impl PastRuns for PastOfRuns {
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

fn span_of_row(row: &SpanRow) -> PastSpan {
    PastSpan {
        id: row.span_id,
        parent: row.parent_span_id,
        kind: row.kind,
        status: Some(row.status),
        taken_ns: Some(row.duration_ns),
        path: row.node.to_string(),
        cost: row.cost,
    }
}

fn span_of_trace(span: &Span, by_id: &HashMap<SpanId, &Span>) -> PastSpan {
    PastSpan {
        id: span.span_id,
        parent: span.parent_span_id,
        kind: span.kind,
        status: span.status,
        taken_ns: span.end.map(|end| end.0.saturating_sub(span.start.0)),
        path: match span.kind {
            SpanKind::Node => path_of(span, by_id),
            _ => String::new(),
        },
        cost: span.cost.as_ref().and_then(|cost| cost.amount),
    }
}

/// `outer/inner`.
fn path_of(node: &Span, by_id: &HashMap<SpanId, &Span>) -> String {
    let parent = |span: &&Span| by_id.get(&span.parent_span_id?).copied();
    let around = std::iter::successors(by_id.get(&node.span_id).copied(), parent).take(DEPTH_MAX);
    let nodes = around.filter(|span| span.kind == SpanKind::Node);
    let id = |span: &Span| span.attributes.get_str("node.id").unwrap_or_default().to_owned();
    let mut ids: Vec<String> = nodes.map(id).collect();
    ids.reverse();
    ids.join("/")
}

#[cfg(test)]
mod tests;
