//! What is counted for a node as a whole, by the node itself and by the steps inside it, on whatever thread.
//!
//! Only counts; who reads it at the end of the node decides what it means.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::ChildUsage;

/// The counts of one execution of a node.
#[derive(Default)]
pub(crate) struct NodeTally {
    attempts: AtomicU32,
    was_polled: AtomicBool,
    cpu_ns: AtomicU64,
    cpu_ticks: AtomicI64,
    had_children: AtomicBool,
    children: Mutex<Option<ChildUsage>>,
}

impl NodeTally {
    /// An attempt at the node's `exec` begins.
    pub(crate) fn attempt_began(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the node's `exec` was attempted: once where nobody said otherwise.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed).max(1)
    }

    /// CPU time, partly in nanoseconds and partly in ticks.
    #[inline]
    pub(crate) fn add_cpu(&self, ns: u64, ticks: i64) {
        self.was_polled.store(true, Ordering::Relaxed);
        if ns != 0 {
            self.cpu_ns.fetch_add(ns, Ordering::Relaxed);
        }
        self.cpu_ticks.fetch_add(ticks, Ordering::Relaxed);
    }

    /// CPU time so far; `None` where no work of the node was polled.
    pub(crate) fn cpu_ns(&self, ns_per_tick: f64) -> Option<u64> {
        let ticks = self.cpu_ticks.load(Ordering::Relaxed);
        let carried_ns = (ticks as f64 * ns_per_tick) as i64;
        self.was_polled.load(Ordering::Relaxed).then(|| {
            self.cpu_ns
                .load(Ordering::Relaxed)
                .saturating_add_signed(carried_ns)
        })
    }

    /// A process that the node had started has ended.
    pub(crate) fn child_ended(&self, usage: &ChildUsage) {
        self.children.lock().get_or_insert(ChildUsage::NONE).add(usage);
        self.had_children.store(true, Ordering::Release);
    }

    /// What the processes used that the node had started and that have ended; `None` where there were none.
    pub(crate) fn children(&self) -> Option<ChildUsage> {
        if !self.had_children.load(Ordering::Acquire) {
            return None;
        }
        *self.children.lock()
    }
}

#[cfg(test)]
mod tests;
