//! What is followed over time: one value a run, of the whole run or of one of its nodes.
//!
//! Never has a value of a run that was stopped, still goes on, or got its answers from our cache: those say nothing
//! about how long things take or what they cost.

use flowmeter_model::{SpanKind, SpanStatus};
use rustc_hash::FxHashMap;

use super::SECOND_NS;
use super::history::History;
use crate::RunStatus;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Metric {
    /// Seconds.
    Latency,
    /// Dollars.
    Cost,
    /// Tokens.
    Tokens,
    /// 1 for a failure, 0 else.
    Errors,
}

impl Metric {
    pub(super) const ALL: [Self; 4] = [Self::Latency, Self::Cost, Self::Tokens, Self::Errors];
}

/// Values over time.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) metric: Metric,
    /// The node; `None` for whole runs.
    pub(super) node: Option<u32>,
    /// The places of the runs, in the order of their start.
    pub(super) runs: Vec<u32>,
    /// One a run.
    pub(super) values: Vec<f64>,
}

/// What one run did in one node.
#[derive(Clone, Copy, Default)]
struct NodeSums {
    duration_ns: u64,
    executions: u64,
    failed: u64,
    cost: i64,
    tokens: u64,
    calls: u64,
    unpriced: u64,
}

/// The value of a whole run.
pub(super) fn of_run(history: &History, run: u32, metric: Metric) -> Option<f64> {
    let point = history.run(run);
    let is_plain = point.status == RunStatus::Ok && !point.is_cached;
    match metric {
        Metric::Latency => point
            .duration_ns
            .filter(|_| is_plain)
            .map(|duration| duration as f64 / SECOND_NS),
        Metric::Cost => point
            .cost
            .filter(|cost| is_plain && point.llm_calls > 0 && *cost > 0)
            .map(|cost| cost as f64 / 1e9),
        Metric::Tokens => (is_plain && point.tokens > 0).then_some(point.tokens as f64),
        Metric::Errors => match point.status {
            RunStatus::Ok => Some(0.0),
            RunStatus::Error => Some(1.0),
            _ => None,
        },
    }
}

/// The values of each node in one run: by node and metric.
pub(super) fn of_nodes(history: &History, run: u32) -> Vec<(u32, Metric, f64)> {
    // An unsampled run keeps what failed: its nodes would all seem to fail.
    let point = history.run(run);
    if !point.is_sampled || !matches!(point.status, RunStatus::Ok | RunStatus::Error) {
        return Vec::new();
    }
    let mut nodes: FxHashMap<u32, NodeSums> = FxHashMap::default();
    for span in history.spans_of(run) {
        if span.node == 0 || span.status == SpanStatus::Cancelled {
            continue;
        }
        let sums = nodes.entry(span.node).or_default();
        let is_ok = span.status == SpanStatus::Ok;
        match span.kind {
            SpanKind::Node => {
                sums.failed += u64::from(!is_ok);
                if is_ok {
                    sums.executions += 1;
                    sums.duration_ns = sums.duration_ns.saturating_add(span.duration_ns);
                }
            }
            SpanKind::LlmCall if is_ok && !span.cache_hit => {
                sums.calls += 1;
                sums.tokens += u64::from(span.input) + u64::from(span.output);
                match span.cost {
                    Some(cost) => sums.cost = sums.cost.saturating_add(cost),
                    None => sums.unpriced += 1,
                }
            }
            _ => {}
        }
    }
    let is_cached = point.is_cached;
    let mut values = Vec::with_capacity(nodes.len() * 4);
    for (node, sums) in nodes {
        if sums.executions > 0 && sums.duration_ns > 0 && !is_cached {
            let mean_ns = sums.duration_ns as f64 / sums.executions as f64;
            values.push((node, Metric::Latency, mean_ns / SECOND_NS));
        }
        if sums.calls > 0 && sums.unpriced == 0 && sums.cost > 0 {
            values.push((node, Metric::Cost, sums.cost as f64 / 1e9 / sums.calls as f64));
        }
        if sums.calls > 0 && sums.tokens > 0 {
            values.push((node, Metric::Tokens, sums.tokens as f64 / sums.calls as f64));
        }
        if sums.executions + sums.failed > 0 {
            values.push((node, Metric::Errors, if sums.failed > 0 { 1.0 } else { 0.0 }));
        }
    }
    values
}

/// All series of a workflow, those of whole runs first.
pub(super) fn of_workflow(history: &History, runs: &[u32]) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    let mut places: FxHashMap<(Option<u32>, Metric), usize> = FxHashMap::default();
    let mut push = |node: Option<u32>, metric: Metric, run: u32, value: f64| {
        let place = *places.entry((node, metric)).or_insert_with(|| {
            all.push(Series {
                metric,
                node,
                runs: Vec::new(),
                values: Vec::new(),
            });
            all.len() - 1
        });
        all[place].runs.push(run);
        all[place].values.push(value);
    };
    for run in runs {
        for metric in Metric::ALL {
            if let Some(value) = of_run(history, *run, metric) {
                push(None, metric, *run, value);
            }
        }
        for (node, metric, value) in of_nodes(history, *run) {
            push(Some(node), metric, *run, value);
        }
    }
    all.sort_by(|a, b| {
        let name = |series: &Series| series.node.map(|node| history.name(node).clone());
        (name(a), a.metric).cmp(&(name(b), b.metric))
    });
    all
}
