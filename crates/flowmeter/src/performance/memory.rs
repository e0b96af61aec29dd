//! The memory of the whole process (resident set size), and the most of it in a stretch of time.
//!
//! Read at most once a millisecond, when a node ends that took as long, when the pipeline goes round, and, if it was
//! not read for a few milliseconds, when a node starts. So bursts of small nodes cost nothing. A peak between two readings is not seen. Where there is no `/proc`, nothing is known.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use flowmeter_engine::Ticks;
use flowmeter_model::{AttributeValue, Attributes};
use parking_lot::Mutex;

use super::{names, ticks_of, whole};
use crate::aggregate::MemoryUsage;

/// The shortest time between two readings.
const READING_INTERVAL_US: u64 = 1_000;
/// How old a reading may be when a node starts.
const START_AGE_MAX_US: u64 = 4_000;
/// Readings that are kept for peaks: each lower than the one before it.
const FALLING_MAX: usize = 256;

/// A moment in the memory's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryMark {
    reading: u64,
    bytes: u64,
}

/// How the memory of the whole process (resident set size) went in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryChange {
    /// How much more it was at the end.
    pub change_bytes: i64,
    /// The most that was seen.
    pub peak_bytes: u64,
}

impl MemoryChange {
    pub(crate) fn of_attributes(attributes: &Attributes) -> Option<Self> {
        match attributes.get(names::MEMORY_CHANGE_BYTES)? {
            AttributeValue::I64(change_bytes) => Some(Self {
                change_bytes: *change_bytes,
                peak_bytes: whole(attributes, names::MEMORY_PEAK_BYTES)?,
            }),
            _ => None,
        }
    }
}

/// The memory of the process.
pub(crate) struct ProcessMemory {
    statm: Option<File>,
    page_bytes: u64,
    read_at: AtomicU64,
    /// The number of the last reading, from 1; 0 before the first.
    reading: AtomicU64,
    bytes: AtomicU64,
    history: Mutex<History>,
}

impl ProcessMemory {
    /// Opens the system's account of this process and reads it once.
    pub(crate) fn open() -> Self {
        Self::reading_from(File::open("/proc/self/statm").ok())
    }

    fn reading_from(statm: Option<File>) -> Self {
        let memory = Self {
            statm,
            page_bytes: rustix::param::page_size() as u64,
            read_at: AtomicU64::new(0),
            reading: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            history: Mutex::default(),
        };
        memory.read();
        memory
    }

    /// The memory at about this moment.
    #[inline]
    pub(crate) fn look(&self, now: Ticks) -> Option<MemoryMark> {
        self.look_no_older(now, READING_INTERVAL_US)
    }

    /// The memory at about the start of a node.
    #[inline]
    pub(crate) fn look_at_start(&self, now: Ticks) -> Option<MemoryMark> {
        self.look_no_older(now, START_AGE_MAX_US)
    }

    #[inline]
    fn look_no_older(&self, now: Ticks, age_max_us: u64) -> Option<MemoryMark> {
        let read_at = self.read_at.load(Ordering::Relaxed);
        let age = now.to_raw().saturating_sub(read_at);
        if age > ticks_of(age_max_us) {
            self.read_once(read_at, now);
        }
        let reading = self.reading.load(Ordering::Acquire);
        (reading > 0).then(|| MemoryMark {
            reading,
            bytes: self.bytes.load(Ordering::Relaxed),
        })
    }

    /// Of all threads that find the reading too old, one reads.
    #[cold]
    fn read_once(&self, read_at: u64, now: Ticks) {
        let wins = self
            .read_at
            .compare_exchange(read_at, now.to_raw(), Ordering::Relaxed, Ordering::Relaxed);
        if wins.is_ok() {
            self.read();
        }
    }

    fn read(&self) {
        let Some(bytes) = self
            .statm
            .as_ref()
            .and_then(|file| rss_bytes(file, self.page_bytes))
        else {
            return;
        };
        let mut history = self.history.lock();
        history.add(bytes);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.reading.store(history.readings, Ordering::Release);
    }

    /// How it went from `since` up to now.
    pub(crate) fn since(&self, since: MemoryMark, now: Ticks) -> Option<MemoryChange> {
        let mark = self.look(now)?;
        let peak_bytes = self.history.lock().peak_since(since.reading);
        let change = i128::from(mark.bytes) - i128::from(since.bytes);
        Some(MemoryChange {
            change_bytes: i64::try_from(change).unwrap_or_default(),
            peak_bytes: peak_bytes.max(since.bytes).max(mark.bytes),
        })
    }

    /// How it went over the whole time, up to now.
    pub(crate) fn usage(&self) -> Option<MemoryUsage> {
        self.read();
        let history = self.history.lock();
        (history.readings > 0).then_some(MemoryUsage {
            start_bytes: history.first,
            end_bytes: history.last,
            peak_bytes: history.peak,
        })
    }
}

/// The second number of `statm`: resident pages.
fn rss_bytes(statm: &File, page_bytes: u64) -> Option<u64> {
    let mut text = [0; 128];
    let length = statm.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * page_bytes)
}

/// Readings as far as peaks need them.
#[derive(Default)]
struct History {
    readings: u64,
    first: u64,
    last: u64,
    peak: u64,
    /// Readings after which there was none as high: the most since any moment is the first from then on.
    falling: VecDeque<(u64, u64)>,
}

impl History {
    fn add(&mut self, bytes: u64) {
        self.readings += 1;
        if self.readings == 1 {
            self.first = bytes;
        }
        self.last = bytes;
        self.peak = self.peak.max(bytes);
        while self.falling.back().is_some_and(|(_, lower)| *lower <= bytes) {
            self.falling.pop_back();
        }
        if self.falling.len() == FALLING_MAX {
            self.thin_out();
        }
        self.falling.push_back((self.readings, bytes));
    }

    /// Every second reading goes; the higher one before it stands for it, so a peak errs to the high side.
    fn thin_out(&mut self) {
        let kept = self.falling.make_contiguous().chunks(2);
        self.falling = kept
            .filter_map(|pair| match pair {
                [(_, higher), (later, _)] => Some((*later, *higher)),
                [one] => Some(*one),
                _ => None,
            })
            .collect();
    }

    fn peak_since(&self, reading: u64) -> u64 {
        let from = self.falling.partition_point(|(number, _)| *number < reading);
        self.falling.get(from).map_or(0, |(_, bytes)| *bytes)
    }
}

#[cfg(test)]
mod tests;
