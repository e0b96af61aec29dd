//! The CPU time of a node: the sum, over the polls of its work, of what the polling thread's CPU clock went on.
//!
//! So nodes that run side by side each get their own. The thread's clock is a call to the system, some 200 ns and a
//! chance for others to take the processor, so it is read seldom: when a poll took more than 20 µs, and when one
//! begins on a thread that did something else, or nothing, for as long. Shorter stretches of time count as CPU time.
//! A poll is therefore exact to 20 µs. Work on threads that never enter the node's scope, such as the runtime's
//! threads for file access, is not seen; it is in the process's CPU time.

use std::cell::RefCell;
use std::sync::Arc;

use flowmeter_engine::Ticks;
use rustix::time::{ClockId, clock_gettime};

use super::{NodeTally, ticks_of};

/// Up to this time a stretch counts as CPU time, be it a poll or the pause between two.
const STRETCH_MAX_US: u64 = 20;
/// The longest time that a reading of the thread's clock is carried on from stretch to stretch.
const CARRIED_MAX_US: u64 = 4_000;

/// A node whose work is being polled on this thread.
struct Turn {
    /// The address of its tally: tells nodes apart.
    node: usize,
    /// How many of its scopes are entered within each other; only the outermost counts.
    depth: u32,
    began: Ticks,
    cpu: CpuMoment,
}

/// The thread's CPU time at a moment: a reading of the clock, and the ticks since then.
#[derive(Clone, Copy, Default)]
struct CpuMoment {
    read_ns: u64,
    carried_ticks: u64,
}

/// What this thread is doing.
struct ThreadMeter {
    turns: Vec<Turn>,
    read_at: Ticks,
    read_ns: u64,
    /// When a poll last began or ended.
    seen_at: Ticks,
}

impl ThreadMeter {
    /// The thread's CPU time at the begin or end of a poll.
    #[inline]
    fn cpu(&mut self, now: Ticks) -> CpuMoment {
        let since = |earlier: Ticks| now.to_raw().wrapping_sub(earlier.to_raw());
        let is_one_stretch = since(self.seen_at) <= ticks_of(STRETCH_MAX_US);
        if self.read_ns == 0 || !is_one_stretch || since(self.read_at) > ticks_of(CARRIED_MAX_US) {
            self.read();
        }
        self.seen_at = now.max(self.read_at);
        CpuMoment {
            read_ns: self.read_ns,
            carried_ticks: self.seen_at.to_raw().wrapping_sub(self.read_at.to_raw()),
        }
    }

    #[cold]
    fn read(&mut self) {
        self.read_ns = thread_cpu_ns().max(1);
        // The reading itself took time, which no node is to blame for.
        self.read_at = Ticks::now();
    }
}

thread_local! {
    static THREAD: RefCell<ThreadMeter> = const {
        RefCell::new(ThreadMeter {
            turns: Vec::new(),
            read_at: Ticks::ZERO,
            read_ns: 0,
            seen_at: Ticks::ZERO,
        })
    };
}

fn with_thread(work: impl FnOnce(&mut ThreadMeter)) {
    // A thread that is ending has nothing to measure any more.
    let _ = THREAD.try_with(|thread| {
        if let Ok(mut thread) = thread.try_borrow_mut() {
            work(&mut thread);
        }
    });
}

/// This thread begins to poll work of the node of `tally`.
#[inline]
pub(crate) fn poll_began(tally: &Arc<NodeTally>) {
    let node = Arc::as_ptr(tally).addr();
    with_thread(|thread| {
        if let Some(turn) = thread.turns.last_mut().filter(|turn| turn.node == node) {
            turn.depth += 1;
            return;
        }
        let cpu = thread.cpu(Ticks::now());
        thread.turns.push(Turn {
            node,
            depth: 1,
            began: thread.seen_at,
            cpu,
        });
    });
}

/// This thread is done with it for now.
#[inline]
pub(crate) fn poll_ended(tally: &Arc<NodeTally>) {
    let node = Arc::as_ptr(tally).addr();
    with_thread(|thread| {
        // Guards that were entered by hand may go in any order.
        let Some(position) = thread.turns.iter().rposition(|turn| turn.node == node) else {
            return;
        };
        let turn = &mut thread.turns[position];
        turn.depth -= 1;
        if turn.depth > 0 {
            return;
        }
        let (began, before) = (turn.began, turn.cpu);
        thread.turns.remove(position);
        // The node may be on this thread already, further out.
        let is_inner = thread.turns[..position].iter().any(|turn| turn.node == node);
        let now = Ticks::now();
        let passed_ticks = now.to_raw().wrapping_sub(began.to_raw());
        if passed_ticks <= ticks_of(STRETCH_MAX_US) {
            thread.seen_at = now;
            if !is_inner {
                tally.add_cpu(0, passed_ticks.cast_signed());
            }
            return;
        }
        let after = thread.cpu(now);
        if !is_inner {
            tally.add_cpu(
                after.read_ns.saturating_sub(before.read_ns),
                after.carried_ticks.cast_signed() - before.carried_ticks.cast_signed(),
            );
        }
    });
}

/// CPU time of this thread so far.
fn thread_cpu_ns() -> u64 {
    clock_ns(ClockId::ThreadCPUTime)
}

/// CPU time of this process so far, its child processes not included.
pub(crate) fn process_cpu_ns() -> u64 {
    clock_ns(ClockId::ProcessCPUTime)
}

fn clock_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests;
