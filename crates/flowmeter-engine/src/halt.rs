//! Whether a flow is coming to its end because one of its branches cannot go on: a budget that is used up.
//!
//! What runs may end, so that what it has is not lost; nothing new begins. Never stops anything by force: that is
//! cancellation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The signal of a flow, which those inside it see as well.
#[derive(Debug, Default)]
pub(crate) struct Halt {
    is_set: AtomicBool,
    outer: Option<Arc<Halt>>,
}

impl Halt {
    /// One for a flow inside another.
    pub(crate) fn within(outer: Option<&Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            is_set: AtomicBool::new(false),
            outer: outer.map(Arc::clone),
        })
    }

    pub(crate) fn set(&self) {
        self.is_set.store(true, Ordering::Relaxed);
    }

    /// Whether this flow or one around it comes to its end.
    pub(crate) fn is_set(&self) -> bool {
        std::iter::successors(Some(self), |halt| halt.outer.as_deref())
            .any(|halt| halt.is_set.load(Ordering::Relaxed))
    }
}
