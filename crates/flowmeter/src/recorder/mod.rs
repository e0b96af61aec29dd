//! The recorder: spans, logs and their attributes, appended to a journal of the recording thread.
//!
//! A record costs two readings of the tick counter and a few stores; no lock, no formatting, no hash map.
//! The pipeline's thread reads the journals behind the producers' backs. Every journal is bounded, and what
//! did not fit is counted by reason. Never blocks the recording thread.

mod chunk;
mod draft;
mod lane;
mod record;
mod span;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flowmeter_engine::Ticks;
use flowmeter_model::{IdSource, SpanId};
use parking_lot::Mutex;

pub(crate) use draft::RecordDraft;
pub(crate) use lane::Payload;
pub(crate) use record::RecordCopy;
pub use record::{RecordKind, RecordRef, RecordedValue};
pub use span::RecordingSpan;

use lane::{Lane, LaneShared};

/// Bounds of a [`Recorder`]. The defaults hold a burst of some ten thousands of spans a thread.
#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// Journal chunks of 32 KiB that one thread may have unread. Default 256 (8 MiB), made when they are needed.
    pub chunks_per_thread_max: usize,
    /// Attached payloads (parameters, mutations, messages) that one thread may have unread. Default 16,384.
    pub payloads_per_thread_max: usize,
    /// Seed of the span ids. The program takes it from the operating system.
    pub id_seed: u64,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self {
            chunks_per_thread_max: 256,
            payloads_per_thread_max: 16_384,
            id_seed: 0x666c_6f77,
        }
    }
}

/// What was lost, by reason. All zero unless memory's bound was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts {
    /// Records for which the thread's journal had no room.
    pub journal_full: u64,
    /// Payloads for which the thread's queue had no room; their spans were kept.
    pub payloads_full: u64,
    /// Records larger than a chunk.
    pub too_large: u64,
    /// Events that backends were too slow for.
    pub backend_full: u64,
    /// Log lines beyond what a span may have.
    pub logs_over_limit: u64,
}

impl DropCounts {
    /// The counts as JSON, by reason.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "journal_full": self.journal_full,
            "payloads_full": self.payloads_full,
            "too_large": self.too_large,
            "backend_full": self.backend_full,
            "logs_over_limit": self.logs_over_limit,
        })
    }

    /// Everything that was lost.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.journal_full + self.payloads_full + self.too_large + self.backend_full + self.logs_over_limit
    }
}

/// Whoever reads the journals and wants to be woken before they are full.
pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

struct RecorderShared {
    /// Tells recorders of one thread apart.
    identity: u64,
    enabled: AtomicBool,
    config: RecorderConfig,
    lanes: Mutex<Vec<Arc<LaneShared>>>,
    lanes_made: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

/// Appends records to the journal of the thread that calls it. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<RecorderShared>,
}

thread_local! {
    static LANES: RefCell<Vec<(u64, Lane)>> = const { RefCell::new(Vec::new()) };
}

static RECORDERS_MADE: AtomicU64 = AtomicU64::new(1);

impl Recorder {
    /// A recorder that records.
    #[must_use]
    pub fn new(config: RecorderConfig) -> Self {
        Self::with_enabled(config, true)
    }

    /// A recorder that records nothing: starting a span costs a load and a branch.
    #[must_use]
    pub fn disabled() -> Self {
        Self::with_enabled(RecorderConfig::default(), false)
    }

    fn with_enabled(config: RecorderConfig, enabled: bool) -> Self {
        Self {
            shared: Arc::new(RecorderShared {
                identity: RECORDERS_MADE.fetch_add(1, Ordering::Relaxed),
                enabled: AtomicBool::new(enabled),
                config,
                lanes: Mutex::new(Vec::new()),
                lanes_made: AtomicU64::new(0),
                waker: Mutex::new(None),
            }),
        }
    }

    /// Whether anything is recorded.
    #[inline]
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.shared.enabled.load(Ordering::Relaxed)
    }

    /// Begins a span; it is recorded when the guard is ended or dropped.
    ///
    /// ```
    /// # use flowmeter::{Recorder, RecorderConfig};
    /// let recorder = Recorder::new(RecorderConfig::default());
    /// let mut span = recorder.span("load", None);
    /// span.set("rows", 42_i64);
    /// span.end();
    /// let mut names = Vec::new();
    /// recorder.drain(|record| names.push(record.name().to_string()));
    /// assert_eq!(names, ["load"]);
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn span(&self, name: &'static str, parent: Option<SpanId>) -> RecordingSpan<'_> {
        if self.is_enabled() {
            RecordingSpan::begin(self, name, parent)
        } else {
            RecordingSpan::inert()
        }
    }

    /// A new span id from the thread's own sequence.
    #[inline]
    pub(crate) fn next_span_id(&self) -> SpanId {
        self.with_lane(Lane::next_span_id).unwrap_or_else(|| {
            let number = self.shared.lanes_made.fetch_add(1, Ordering::Relaxed);
            IdSource::from_seed(self.shared.config.id_seed ^ number.rotate_left(32)).span_id()
        })
    }

    /// Appends a record from its parts, with a payload where there is one: for the layers above.
    pub(crate) fn append_span(&self, parts: &SpanParts<'_>, payload: Option<Payload>) {
        let wake = self.with_lane(|lane| {
            let mut words = lane.take_spare();
            words.set_span_id(parts.span_id.to_u64());
            words.begin(
                parts.parent_span_id.map_or(0, SpanId::to_u64),
                parts.start.to_raw(),
                parts.name,
            );
            for (key, value) in parts.attributes {
                words.attribute(key, *value);
            }
            words.complete(parts.kind, parts.tag, parts.end.to_raw());
            let wake = lane.append(&words, payload);
            lane.give_spare(words);
            wake
        });
        if wake == Some(true) {
            self.wake();
        }
    }

    fn wake(&self) {
        let waker = self.shared.waker.lock().clone();
        if let Some(waker) = waker {
            waker();
        }
    }

    /// Works on the thread's lane. `None` when the thread is so far gone that it has none any more.
    #[inline]
    fn with_lane<T>(&self, work: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        let with_lanes = |lanes: &RefCell<Vec<(u64, Lane)>>| {
            let mut lanes = lanes.borrow_mut();
            let position = match lanes
                .iter()
                .position(|(identity, _)| *identity == self.shared.identity)
            {
                Some(position) => position,
                None => self.add_lane(&mut lanes),
            };
            work(&mut lanes[position].1)
        };
        LANES.try_with(with_lanes).ok()
    }

    #[cold]
    fn add_lane(&self, lanes: &mut Vec<(u64, Lane)>) -> usize {
        // Journals whose recorder is gone would pile up on long-lived threads.
        lanes.retain(|(_, lane)| !lane.is_orphaned());
        let number = self.shared.lanes_made.fetch_add(1, Ordering::Relaxed);
        let ids =
            IdSource::from_seed(self.shared.config.id_seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let (lane, shared) = Lane::new(&self.shared.config, ids);
        self.shared.lanes.lock().push(shared);
        lanes.push((self.shared.identity, lane));
        lanes.len() - 1
    }

    /// Names who is to be woken when a journal is half full.
    pub(crate) fn set_waker(&self, waker: Waker) {
        *self.shared.waker.lock() = Some(waker);
    }

    /// Hands every record that is complete by now to `visit`, in order within each thread, and forgets it.
    /// Returns how many there were. Meant for one reader at a time.
    pub fn drain(&self, mut visit: impl FnMut(RecordRef<'_>)) -> usize {
        self.drain_with_payloads(usize::MAX, |record, _| visit(record))
    }

    /// The same with payloads. Once `records_wanted` were handed out it comes back, with at most a chunk of a
    /// thread's journal more.
    pub(crate) fn drain_with_payloads(
        &self,
        records_wanted: usize,
        mut visit: impl FnMut(RecordRef<'_>, Option<Payload>),
    ) -> usize {
        let lanes: Vec<Arc<LaneShared>> = self.shared.lanes.lock().clone();
        let mut count = 0;
        for lane in &lanes {
            if count >= records_wanted {
                break;
            }
            count += lane.drain(records_wanted - count, &mut visit);
        }
        // A journal whose thread has ended and that is read to its end is of no more use.
        self.shared.lanes.lock().retain(|lane| !lane.is_finished());
        count
    }

    /// Whether the reader had better be let catch up: more payloads wait over all threads than `payloads_max`, or a
    /// thread's journal is half full.
    pub(crate) fn is_behind(&self, payloads_max: usize) -> bool {
        let mut payloads = 0;
        for lane in self.shared.lanes.lock().iter() {
            payloads += lane.payloads_waiting();
            if payloads > payloads_max || lane.chunks_waiting() > self.shared.config.chunks_per_thread_max / 2
            {
                return true;
            }
        }
        false
    }

    /// Payloads that wait to be read, over all threads.
    #[cfg(test)]
    pub(crate) fn payloads_waiting(&self) -> usize {
        self.shared
            .lanes
            .lock()
            .iter()
            .map(|lane| lane.payloads_waiting())
            .sum()
    }

    /// What was lost so far.
    #[must_use]
    pub fn dropped(&self) -> DropCounts {
        let mut counts = DropCounts::default();
        for lane in self.shared.lanes.lock().iter() {
            lane.add_drops(&mut counts);
        }
        counts
    }
}

/// The tag of a span that a library user marked and that ended well.
const TAG_CUSTOM_OK: u8 = 0;

/// What the layers above say of a span.
pub(crate) struct SpanParts<'a> {
    pub(crate) kind: RecordKind,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: Option<SpanId>,
    pub(crate) start: Ticks,
    pub(crate) end: Ticks,
    /// A small number whose meaning is the layer's own: span kind and status.
    pub(crate) tag: u8,
    pub(crate) name: &'a str,
    pub(crate) attributes: &'a [(&'static str, RecordedValue<'a>)],
}

#[cfg(test)]
mod tests;
