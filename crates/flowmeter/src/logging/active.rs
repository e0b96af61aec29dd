//! Which filters the runs of this process have, so that `tracing` can tell at once what nobody wants.
//!
//! Filters are remembered after their run: a process has few different ones, and forgetting them would make
//! `tracing` look at all its call sites again with every run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flowmeter_model::LogLevel;
use parking_lot::RwLock;
use std::sync::Arc;

use super::LogFilter;

/// Different filters that are remembered; with more, everything up to their finest level counts as wanted.
const FILTERS_MAX: usize = 16;

static RUNS: AtomicUsize = AtomicUsize::new(0);
static HAS_LAYER: AtomicBool = AtomicBool::new(false);
static SEEN: RwLock<Seen> = RwLock::new(Seen {
    filters: Vec::new(),
    beyond: None,
});

struct Seen {
    filters: Vec<Arc<LogFilter>>,
    /// The finest level of filters that there was no room for.
    beyond: Option<LogLevel>,
}

/// Says that a run is going on, until dropped.
pub(crate) struct ActiveRun(());

impl ActiveRun {
    pub(crate) fn begin(filter: &Arc<LogFilter>) -> Self {
        RUNS.fetch_add(1, Ordering::Relaxed);
        if !SEEN.read().knows(filter) {
            SEEN.write().add(filter);
            if HAS_LAYER.load(Ordering::Acquire) {
                tracing::callsite::rebuild_interest_cache();
            }
        }
        Self(())
    }
}

impl Drop for ActiveRun {
    fn drop(&mut self) {
        RUNS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Seen {
    fn knows(&self, filter: &LogFilter) -> bool {
        self.filters.iter().any(|known| **known == *filter)
            || (self.beyond.is_some() && filter.finest() >= self.beyond)
    }

    fn add(&mut self, filter: &Arc<LogFilter>) {
        if self.filters.len() < FILTERS_MAX {
            self.filters.push(Arc::clone(filter));
        } else if let Some(finest) = filter.finest() {
            self.beyond = Some(self.beyond.map_or(finest, |level| level.min(finest)));
        }
    }
}

/// A layer will ask: from now on it is told of new filters.
pub(super) fn layer_made() {
    HAS_LAYER.store(true, Ordering::Release);
}

/// Whether a run is going on.
#[inline]
pub(super) fn any_run() -> bool {
    RUNS.load(Ordering::Relaxed) > 0
}

/// Whether some run's filter keeps lines of this target and level.
pub(super) fn some_filter_keeps(target: &str, level: LogLevel) -> bool {
    let seen = SEEN.read();
    seen.beyond.is_some_and(|finest| level >= finest)
        || seen.filters.iter().any(|filter| filter.keeps(target, level))
}

/// The finest level that some run's filter keeps.
pub(super) fn finest() -> Option<LogLevel> {
    let seen = SEEN.read();
    let known = seen.filters.iter().filter_map(|filter| filter.finest());
    known.chain(seen.beyond).min()
}
