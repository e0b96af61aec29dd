//! Where the time of a workflow goes, and the ways that its runs take: a description, no finding.
//!
//! Never looks at more than the newest runs for what needs whole trees.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::gathered::Gathered;
use super::history::History;
use super::{SECOND_NS, patterns, robust, tree};
use crate::{RunStatus, Store, StoreError};

/// So many runs' trees are looked at.
const TREES: usize = 20;
/// Larger trees are left out.
const SPANS_MAX: u64 = 50_000;
/// So many ways are told.
const WAYS_MAX: usize = 5;

/// A node's share of the critical path: of the chain of steps that decides when runs end.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeShare {
    /// The node; empty for what is between nodes.
    pub node: SmolStr,
    /// Its share of the time of runs.
    pub share: f64,
    /// Seconds of a run; the mean where there are several runs.
    pub seconds: f64,
    /// Of these, seconds in LLM calls.
    pub llm_seconds: f64,
    /// The runs that this is from.
    pub runs: u64,
}

/// A way through the workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct PathShare {
    /// Its nodes in order.
    pub nodes: Vec<SmolStr>,
    /// Runs that took it.
    pub runs: u64,
    /// Their share of all runs.
    pub share: f64,
    /// Of these, the share that failed.
    pub failed_share: f64,
    /// How long half of those that went well took at most, in seconds.
    pub p50_seconds: Option<f64>,
}

/// Describes the one workflow of a history.
pub(super) fn describe(
    store: &dyn Store,
    history: &History,
    gathered: &mut Gathered,
) -> Result<(), StoreError> {
    let newest = history.runs.iter().rev();
    let whole =
        newest.filter(|run| run.status == RunStatus::Ok && run.is_sampled && run.duration_ns.is_some());
    let mut sums: BTreeMap<SmolStr, (u64, u64)> = BTreeMap::new();
    let (mut runs, mut all) = (0_u64, 0_u64);
    for run in whole.take(TREES) {
        let rows = store.span_rows(&run.key)?;
        if rows.len() as u64 > SPANS_MAX {
            continue;
        }
        let (links, duration_ns) = tree::critical_path(&rows, run.key.root_span_id);
        runs += 1;
        all += duration_ns;
        for link in links {
            let sum = sums.entry(link.node).or_default();
            sum.0 += link.duration_ns;
            sum.1 += link.llm_ns;
        }
    }
    gathered.time = shares(
        sums.into_iter().map(|(node, (ns, llm))| (node, ns, llm)),
        all,
        runs,
    );
    gathered.paths = paths(history);
    Ok(())
}

/// Shares of sums, the largest first.
pub(super) fn shares(
    sums: impl Iterator<Item = (SmolStr, u64, u64)>,
    all_ns: u64,
    runs: u64,
) -> Vec<TimeShare> {
    let runs_or_one = runs.max(1) as f64;
    let mut shares: Vec<TimeShare> = sums
        .map(|(node, ns, llm_ns)| TimeShare {
            node,
            share: ns as f64 / all_ns.max(1) as f64,
            seconds: ns as f64 / SECOND_NS / runs_or_one,
            llm_seconds: llm_ns as f64 / SECOND_NS / runs_or_one,
            runs,
        })
        .collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.node.cmp(&b.node)));
    shares
}

fn paths(history: &History) -> Vec<PathShare> {
    let mut ways: BTreeMap<Vec<u32>, (u64, u64, Vec<f64>)> = BTreeMap::new();
    let mut all = 0;
    for run in 0..history.runs.len() as u32 {
        let point = history.run(run);
        if !point.is_sampled || !matches!(point.status, RunStatus::Ok | RunStatus::Error) {
            continue;
        }
        let way = patterns::way(history, run);
        if way.is_empty() {
            continue;
        }
        all += 1;
        let entry = ways.entry(way).or_default();
        entry.0 += 1;
        if point.status == RunStatus::Error {
            entry.1 += 1;
        } else if let Some(duration) = point.duration_ns {
            entry.2.push(duration as f64 / SECOND_NS);
        }
    }
    let mut paths: Vec<PathShare> = ways
        .into_iter()
        .map(|(nodes, (runs, failed, mut seconds))| PathShare {
            nodes: nodes.into_iter().map(|node| history.name(node).clone()).collect(),
            runs,
            share: runs as f64 / all as f64,
            failed_share: failed as f64 / runs as f64,
            p50_seconds: robust::median(&mut seconds),
        })
        .collect();
    paths.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.nodes.cmp(&b.nodes)));
    paths.truncate(WAYS_MAX);
    paths
}
