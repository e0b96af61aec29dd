//! What the writer remembers of runs that go on: which spans came, which are open, which nodes are around them.
//!
//! Never more runs than its limit: what is dropped is read again from the file. Runs whose end came are dropped.

use std::collections::BTreeMap;

use flowmeter_model::{Span, SpanId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::RunKey;
use crate::rules::node_paths::{NodePaths, SpanPlace};

/// Runs in memory at most.
const RUNS_MAX: usize = 1_000;
/// Spans of all of them in memory at most.
const SPANS_MAX: usize = 2_000_000;
/// Open spans of one run that are kept.
pub(super) const OPEN_MAX: usize = 1_000;
/// Spans of one run that may be around others.
const PATHS_MAX: usize = 200_000;

/// A run that goes on.
#[derive(Debug, Default)]
pub(super) struct LiveRun {
    /// The ids of the spans that are kept.
    pub(super) ids: FxHashSet<u64>,
    /// Spans that began and did not end.
    pub(super) open: BTreeMap<SpanId, Span>,
    /// Those of them that the file has.
    pub(super) open_written: Vec<SpanId>,
    /// The spans that may be around others.
    pub(super) paths: NodePaths,
    used: u64,
}

impl LiveRun {
    /// So many events are coming.
    pub(super) fn expect(&mut self, events: usize) {
        self.ids.reserve(events);
        self.paths.expect(events);
    }

    /// Whether the file has other open spans than there are.
    pub(super) fn open_differs(&self) -> bool {
        !self.open.keys().eq(&self.open_written)
    }

    /// Forgets the nodes around spans when there are too many.
    pub(super) fn trim(&mut self) {
        if self.paths.len() > PATHS_MAX {
            let mut paths = NodePaths::default();
            for span in self.open.values() {
                paths.note(&SpanPlace::of(span));
            }
            self.paths = paths;
        }
    }
}

/// All runs that go on.
#[derive(Debug, Default)]
pub(super) struct LiveRuns {
    runs: FxHashMap<RunKey, LiveRun>,
    clock: u64,
}

impl LiveRuns {
    /// The run, if it is remembered with so many spans: else somebody else wrote to it, too.
    pub(super) fn take(&mut self, key: &RunKey, spans: u64) -> Option<LiveRun> {
        self.runs.remove(key).filter(|run| run.ids.len() as u64 == spans)
    }

    /// Remembers a run.
    pub(super) fn put(&mut self, key: RunKey, mut run: LiveRun) {
        self.clock += 1;
        run.used = self.clock;
        self.runs.insert(key, run);
        let spans = |runs: &FxHashMap<RunKey, LiveRun>| runs.values().map(|run| run.ids.len()).sum::<usize>();
        if self.runs.len() > RUNS_MAX || (self.runs.len() > 1 && spans(&self.runs) > SPANS_MAX) {
            let mut used: Vec<u64> = self.runs.values().map(|run| run.used).collect();
            used.sort_unstable();
            let middle = used.get(used.len() / 2).copied().unwrap_or(0);
            self.runs.retain(|_, run| run.used >= middle);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }
}
