//! Tail rules: which runs are kept whole although the sampler decided against them, by how they went.
//!
//! Never asked before the run is over.

use std::time::Duration;

use flowmeter_model::{SpanStatus, UsdNanos};

/// What keeps a run's trace that was not sampled. By default nothing does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailRules {
    /// Keeps runs that did not end well: that failed or were stopped.
    pub keep_errors: bool,
    /// Keeps runs that took longer than this.
    pub slower_than: Option<Duration>,
    /// Keeps runs that cost more than this. A cost that nobody knows is not more.
    pub dearer_than: Option<UsdNanos>,
}

impl TailRules {
    /// Whether no rule is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a run that ended so is kept. `cost` is what is known of it, a lower bound where calls are unpriced.
    #[must_use]
    pub fn decide(&self, status: SpanStatus, duration: Duration, cost: Option<UsdNanos>) -> bool {
        let failed = self.keep_errors && status != SpanStatus::Ok;
        let slow = self.slower_than.is_some_and(|limit| duration > limit);
        let dear = self
            .dearer_than
            .zip(cost)
            .is_some_and(|(limit, cost)| cost > limit);
        failed || slow || dear
    }
}

#[cfg(test)]
mod tests;
