//! The processor's own tick counter, and its conversion to wall-clock time.
//!
//! Two reads cost what one `Instant` costs. Never calibrates by spinning: the tick rate follows from the
//! time between a run's first reading and the moment of conversion, so a program's start-up pays nothing.
//! The crates that read the counter (`fastant`, `quanta`) spin for 10 to 200 ms before the first reading.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A reading of the tick counter. Only differences and [`TickClock`] give it a meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(u64);

impl Ticks {
    /// Before any reading.
    pub const ZERO: Self = Self(0);

    /// The counter now.
    #[inline]
    #[must_use]
    pub fn now() -> Self {
        Self(counter::read())
    }

    /// The bare number, for compact records.
    #[inline]
    #[must_use]
    pub fn to_raw(self) -> u64 {
        self.0
    }

    /// The reading with this bare number.
    #[inline]
    #[must_use]
    pub fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod counter {
    //! The time-stamp counter where the kernel trusts it, else the monotonic clock.

    use std::sync::atomic::{AtomicU8, Ordering};

    const UNDECIDED: u8 = 0;
    const COUNTER: u8 = 1;
    const MONOTONIC: u8 = 2;

    static SOURCE: AtomicU8 = AtomicU8::new(UNDECIDED);

    #[inline]
    pub(super) fn read() -> u64 {
        match SOURCE.load(Ordering::Relaxed) {
            COUNTER => read_counter(),
            _ => read_undecided(),
        }
    }

    #[inline]
    #[allow(
        unsafe_code,
        reason = "the counter has no safe name; fastrace's lead of 80 ns a span needs it"
    )]
    fn read_counter() -> u64 {
        // SAFETY: RDTSC exists on every x86_64 processor, touches no memory and has no precondition; where an
        // operating system forbids it to programs, it also does not list it as a clock source.
        unsafe { core::arch::x86_64::_rdtsc() }
    }

    #[cold]
    fn read_undecided() -> u64 {
        if SOURCE.load(Ordering::Relaxed) == UNDECIDED {
            let sources = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
            let trusted = invariant_bit()
                || std::fs::read_to_string(sources)
                    .is_ok_and(|list| list.split_whitespace().any(|name| name == "tsc"));
            SOURCE.store(if trusted { COUNTER } else { MONOTONIC }, Ordering::Relaxed);
            if trusted {
                return read_counter();
            }
        }
        super::monotonic_ns()
    }

    /// The processor promises one rate on all cores and in all power states.
    fn invariant_bit() -> bool {
        core::arch::x86_64::__cpuid(0x8000_0000).eax >= 0x8000_0007
            && core::arch::x86_64::__cpuid(0x8000_0007).edx & (1 << 8) != 0
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
mod counter {
    //! The monotonic clock: elsewhere the counter's rules differ.

    #[inline]
    pub(super) fn read() -> u64 {
        super::monotonic_ns()
    }
}

/// Nanoseconds since the first call in this process.
fn monotonic_ns() -> u64 {
    use std::sync::OnceLock;
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let since_first = FIRST.get_or_init(Instant::now).elapsed();
    u64::try_from(since_first.as_nanos()).unwrap_or(u64::MAX)
}

/// Both clocks at one moment. A thread that is put aside between the readings would make them disagree, so the
/// closest of a few pairs counts.
fn read_pair() -> (u64, Instant) {
    let pair = || {
        let before = Ticks::now().to_raw();
        let instant = Instant::now();
        let apart = Ticks::now().to_raw().wrapping_sub(before);
        (apart, before.wrapping_add(apart / 2), instant)
    };
    let mut best = pair();
    for _ in 0..2 {
        let next = pair();
        if next.0 < best.0 {
            best = next;
        }
    }
    (best.1, best.2)
}

/// Below this baseline the rate would follow from noise; conversion waits until it is reached.
const BASELINE_MIN: Duration = Duration::from_micros(200);

/// Converts ticks to nanoseconds since the Unix epoch, from one pair of readings taken when it was made and
/// another taken at [`TickClock::refresh`].
#[derive(Clone, Debug)]
pub struct TickClock {
    anchor_ticks: u64,
    anchor_instant: Instant,
    anchor_unix_ns: u64,
    ns_per_tick: f64,
}

impl TickClock {
    /// A clock whose anchor is now.
    #[must_use]
    pub fn new() -> Self {
        let anchor_unix_ns = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        Self::anchored_at(anchor_unix_ns)
    }

    /// A clock that says that it is `unix_ns` now: tests give a date of their own.
    #[must_use]
    pub fn anchored_at(unix_ns: u64) -> Self {
        let (anchor_ticks, anchor_instant) = read_pair();
        Self {
            anchor_ticks,
            anchor_instant,
            anchor_unix_ns: unix_ns,
            ns_per_tick: 0.0,
        }
    }

    /// Takes the second pair of readings. The longer after the anchor, the more exact.
    pub fn refresh(&mut self) {
        while self.anchor_instant.elapsed() < BASELINE_MIN {
            std::thread::yield_now();
        }
        let (ticks, instant) = read_pair();
        let elapsed_ns = instant.duration_since(self.anchor_instant).as_nanos() as f64;
        let ticks = ticks.wrapping_sub(self.anchor_ticks);
        self.ns_per_tick = if ticks == 0 {
            1.0
        } else {
            elapsed_ns / ticks as f64
        };
    }

    /// The wall-clock time of a reading, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ns(&self, at: Ticks) -> u64 {
        let ticks = at.0.wrapping_sub(self.anchor_ticks) as i64;
        let since_anchor = (ticks as f64 * self.ns_per_tick).round() as i64;
        self.anchor_unix_ns.saturating_add_signed(since_anchor)
    }

    /// How long a tick is, in nanoseconds; 0 before the first [`TickClock::refresh`].
    #[must_use]
    pub fn ns_per_tick(&self) -> f64 {
        self.ns_per_tick
    }

    /// Nanoseconds from one reading to a later one.
    #[must_use]
    pub fn duration_ns(&self, from: Ticks, to: Ticks) -> u64 {
        self.unix_ns(to).saturating_sub(self.unix_ns(from))
    }
}

impl Default for TickClock {
    fn default() -> Self {
        Self::new()
    }
}
