//! What a node used beside time: CPU of its own, memory of the process meanwhile, CPU and memory of the processes
//! that it started.
//!
//! Read from the system as seldom as is exact enough; what the system does not say is unknown, never zero.

mod child;
mod cpu;
mod memory;
pub(crate) mod names;
mod tally;

use std::sync::atomic::{AtomicU64, Ordering};

use flowmeter_model::{AttributeValue, Attributes};

pub use child::{ChildMemory, ChildUsage};
pub(crate) use cpu::{poll_began, poll_ended, process_cpu_ns};
pub use memory::MemoryChange;
pub(crate) use memory::{MemoryMark, ProcessMemory};
pub(crate) use tally::NodeTally;

/// A whole number that is not negative.
pub(crate) fn whole(attributes: &Attributes, key: &str) -> Option<u64> {
    match attributes.get(key)? {
        AttributeValue::I64(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// Ticks in a microsecond, times 1,024. The processor's counter runs at a rate that is known only after a while:
/// until then a tick counts as a nanosecond, which no counter is slower than by much.
static TICKS_PER_MICROSECOND: AtomicU64 = AtomicU64::new(1_000 << 10);

/// Tells how long a tick is, once that is known.
pub(crate) fn know_tick_rate(ns_per_tick: f64) {
    if ns_per_tick > 0.0 {
        let ticks = (1_000.0 / ns_per_tick * 1_024.0) as u64;
        TICKS_PER_MICROSECOND.store(ticks.max(1), Ordering::Relaxed);
    }
}

/// About this many microseconds, in ticks.
#[inline]
fn ticks_of(microseconds: u64) -> u64 {
    (TICKS_PER_MICROSECOND.load(Ordering::Relaxed) * microseconds) >> 10
}
