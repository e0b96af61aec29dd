//! The CPU time of a node: the sum, over the polls of its work, of what the polling thread's CPU clock went on.
//!
//! So nodes that run side by side each get their own. The thread's clock is a call to the system of some 200 ns,
//! so it is read at most about every 20 µs on a thread; in between, time that passes counts as CPU time. A poll is
//! therefore exact to 20 µs. Work on threads that never enter the node's scope, such as the runtime's threads for
//! file access, is not seen; it is in the process's CPU time.

use std::cell::RefCell;
use std::sync::Arc;

use flowmeter_engine::Ticks;
use rustix::time::{ClockId, clock_gettime};

use super::{NodeTally, ticks_of};

/// The most that a reading of the thread's clock is carried on by the tick counter.
const CARRIED_MAX_US: u64 = 20;

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
}

impl ThreadMeter {
    /// The thread's CPU time now.
    #[inline]
    fn cpu(&mut self, now: Ticks) -> CpuMoment {
        let mut carried_ticks = now.to_raw().wrapping_sub(self.read_at.to_raw());
        // Never read yet is long ago.
        if self.read_ns == 0 || carried_ticks > ticks_of(CARRIED_MAX_US) {
            self.read_ns = thread_cpu_ns().max(1);
            // The reading itself took time, which no node is to blame for.
            self.read_at = Ticks::now();
            carried_ticks = 0;
        }
        CpuMoment {
            read_ns: self.read_ns,
            carried_ticks,
        }
    }
}

thread_local! {
    static THREAD: RefCell<ThreadMeter> = const {
        RefCell::new(ThreadMeter {
            turns: Vec::new(),
            read_at: Ticks::ZERO,
            read_ns: 0,
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
        let now = Ticks::now();
        let cpu = thread.cpu(now);
        thread.turns.push(Turn {
            node,
            depth: 1,
            // A reading of the clock lies between.
            began: if cpu.carried_ticks == 0 {
                thread.read_at
            } else {
                now
            },
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
        let now = Ticks::now();
        let (began, before) = (turn.began, turn.cpu);
        thread.turns.remove(position);
        // The node is on this thread already, further out.
        if thread.turns[..position].iter().any(|turn| turn.node == node) {
            return;
        }
        let passed_ticks = now.to_raw().wrapping_sub(began.to_raw());
        if passed_ticks <= ticks_of(CARRIED_MAX_US) {
            tally.add_cpu(0, passed_ticks.cast_signed());
            return;
        }
        let after = thread.cpu(now);
        tally.add_cpu(
            after.read_ns.saturating_sub(before.read_ns),
            after.carried_ticks.cast_signed() - before.carried_ticks.cast_signed(),
        );
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
