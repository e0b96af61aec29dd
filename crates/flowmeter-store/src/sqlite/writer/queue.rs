//! What waits for the writer: bounded by events and by bytes, with a count of what found no room.
//!
//! Never holds more than its limits, but for one item that alone is larger.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::encoded::Encoded;
use super::pack::BATCH_SPANS_MAX;
use crate::StoreError;

/// Bytes that wait at most, by estimate.
const QUEUE_BYTES_MAX: usize = 24 << 20;
/// How long an item waits for room.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// Spans and log lines that make the writer stop gathering: as many as a batch holds.
const GATHER_EVENTS: usize = 4 * BATCH_SPANS_MAX;
/// Bytes that make it stop.
const GATHER_BYTES: usize = 8 << 20;
/// So many full batches are written in one transaction when they wait already: what they change in common is written once.
const BATCHES_AT_ONCE: usize = 8;
/// Bytes of one transaction at most.
const BYTES_AT_ONCE: usize = 16 << 20;
/// How long it gathers at most.
const GATHER_WAIT: Duration = Duration::from_millis(50);

/// The queue between those who append and the writer.
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something came, or somebody waits for the end.
    came: Condvar,
    /// There is room, or something became durable.
    went: Condvar,
    events_max: usize,
}

#[derive(Default)]
struct State {
    items: VecDeque<Queued>,
    events: usize,
    /// Those of the events that may end up in a batch.
    batched: usize,
    bytes: usize,
    /// When the oldest item came.
    oldest: Option<Instant>,
    /// Items accepted so far.
    accepted: u64,
    /// Items that are durable, or of which it is known that they never will be.
    settled: u64,
    /// Everything up to this is waited for: no gathering.
    flush_to: u64,
    closed: bool,
    /// Why nothing is accepted any more, and how many items were refused since.
    stopped: Option<Stop>,
    /// What went wrong since somebody last asked.
    failure: Option<StoreError>,
    dropped: u64,
}

struct Queued {
    item: Encoded,
    events: usize,
    batched: usize,
    bytes: usize,
}

struct Stop {
    cause: StoreError,
    told: bool,
}

/// What the writer takes at once.
pub(super) struct Gathered {
    /// The items, oldest first.
    pub(super) items: Vec<Encoded>,
    /// How many items have been accepted up to these.
    pub(super) upto: u64,
}

/// What the writer is to do next.
pub(super) enum Next {
    /// Write these.
    Write(Gathered),
    /// Nothing came for a while: there is time for other work.
    Idle,
    /// All is written, and nothing will come.
    End,
}

impl Queue {
    pub(super) fn new(events_max: usize) -> Self {
        Self {
            state: Mutex::new(State::default()),
            came: Condvar::new(),
            went: Condvar::new(),
            events_max: events_max.max(1),
        }
    }

    /// Puts an item at the end, when there is room.
    pub(super) fn push(&self, item: Encoded) -> Result<(), StoreError> {
        let (events, bytes) = item.size();
        let mut state = self.state.lock();
        let deadline = Instant::now() + ROOM_WAIT;
        loop {
            if let Some(error) = state.refusal() {
                return Err(error);
            }
            let has_room = state.items.is_empty()
                || (state.events + events <= self.events_max && state.bytes + bytes <= QUEUE_BYTES_MAX);
            if has_room {
                break;
            }
            if self.went.wait_until(&mut state, deadline).timed_out() {
                state.dropped += 1;
                return Err(StoreError::Full {
                    dropped: state.dropped,
                });
            }
        }
        let batched = match &item {
            Encoded::Events(_, events) => events.events.len(),
            Encoded::Began(_) | Encoded::Ended(_) => 0,
        };
        let is_enough =
            state.batched + batched >= GATHER_EVENTS || state.events + events >= 2 * GATHER_EVENTS;
        let wakes = state.items.is_empty() || is_enough;
        state.oldest.get_or_insert_with(Instant::now);
        state.events += events;
        state.batched += batched;
        state.bytes += bytes;
        state.accepted += 1;
        state.items.push_back(Queued {
            item,
            events,
            batched,
            bytes,
        });
        drop(state);
        if wakes {
            self.came.notify_one();
        }
        Ok(())
    }

    /// Waits until everything accepted so far is settled.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let upto = state.accepted;
        state.flush_to = state.flush_to.max(upto);
        self.came.notify_one();
        while state.settled < upto {
            self.went.wait(&mut state);
        }
        match state.failure.take() {
            Some(failure) => Err(failure),
            None => match &state.stopped {
                Some(stop) => Err(copy_of(&stop.cause)),
                None => Ok(()),
            },
        }
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.came.notify_all();
    }

    /// Waits for enough to write; at most `idle` when there is nothing at all.
    pub(super) fn next(&self, idle: Option<Duration>) -> Next {
        let mut state = self.state.lock();
        let idle_until = idle.map(|idle| Instant::now() + idle);
        loop {
            let Some(oldest) = state.oldest else {
                if state.closed {
                    return Next::End;
                }
                match idle_until {
                    Some(until) if self.came.wait_until(&mut state, until).timed_out() => {
                        if state.items.is_empty() && !state.closed {
                            return Next::Idle;
                        }
                    }
                    Some(_) => {}
                    None => self.came.wait(&mut state),
                }
                continue;
            };
            let is_enough = state.batched >= GATHER_EVENTS
                || state.events >= 2 * GATHER_EVENTS
                || state.bytes >= GATHER_BYTES
                || state.closed
                || state.flush_to > state.settled;
            if is_enough || self.came.wait_until(&mut state, oldest + GATHER_WAIT).timed_out() {
                return Next::Write(state.take());
            }
        }
    }

    /// Everything up to this is durable, or will never be.
    pub(super) fn settle(&self, upto: u64, failure: Option<StoreError>) {
        let mut state = self.state.lock();
        state.settled = state.settled.max(upto);
        if failure.is_some() {
            state.failure = failure;
        }
        drop(state);
        self.went.notify_all();
    }

    /// Whether something waits.
    pub(super) fn has_items(&self) -> bool {
        let state = self.state.lock();
        !state.items.is_empty() || state.closed
    }

    /// From now on everything is refused.
    pub(super) fn stop(&self, cause: StoreError, upto: u64) {
        let mut state = self.state.lock();
        state.dropped += upto.saturating_sub(state.settled) + state.items.len() as u64;
        state.items.clear();
        (state.events, state.batched, state.bytes, state.oldest) = (0, 0, 0, None);
        state.settled = state.accepted;
        state.stopped = Some(Stop { cause, told: false });
        drop(state);
        self.went.notify_all();
    }
}

impl State {
    /// Why nothing is accepted: the cause once, then the count.
    fn refusal(&mut self) -> Option<StoreError> {
        let stop = self.stopped.as_mut()?;
        self.dropped += 1;
        if stop.told {
            return Some(StoreError::Full {
                dropped: self.dropped,
            });
        }
        stop.told = true;
        self.failure = None;
        Some(copy_of(&stop.cause))
    }

    fn take(&mut self) -> Gathered {
        let mut items = Vec::with_capacity(self.items.len());
        let (mut events, mut batched, mut bytes) = (0, 0, 0);
        // Full batches: what is left over would have to be merged.
        let batches = (self.batched / BATCH_SPANS_MAX).clamp(1, BATCHES_AT_ONCE);
        let batched_max = batches * BATCH_SPANS_MAX;
        while let Some(first) = self.items.front() {
            let is_too_much = batched + first.batched > batched_max
                || events + first.events > 2 * batched_max
                || bytes + first.bytes > BYTES_AT_ONCE;
            if !items.is_empty() && is_too_much {
                break;
            }
            let Some(queued) = self.items.pop_front() else {
                break;
            };
            events += queued.events;
            batched += queued.batched;
            bytes += queued.bytes;
            items.push(queued.item);
        }
        self.events -= events;
        self.batched -= batched;
        self.bytes -= bytes;
        self.oldest = (!self.items.is_empty()).then(Instant::now);
        Gathered {
            items,
            upto: self.accepted - self.items.len() as u64,
        }
    }
}

/// Errors are told to several; the parts that cannot be copied become text.
pub(super) fn copy_of(error: &StoreError) -> StoreError {
    match error {
        StoreError::DiskFull => StoreError::DiskFull,
        StoreError::Damaged { what } => StoreError::Damaged { what: what.clone() },
        StoreError::Busy { waited_ms } => StoreError::Busy {
            waited_ms: *waited_ms,
        },
        StoreError::Newer { path, found, known } => StoreError::Newer {
            path: path.clone(),
            found: *found,
            known: *known,
        },
        StoreError::Foreign { path } => StoreError::Foreign { path: path.clone() },
        StoreError::Absent { path } => StoreError::Absent { path: path.clone() },
        StoreError::Full { dropped } => StoreError::Full { dropped: *dropped },
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(error) = cause {
                text.push_str(": ");
                text.push_str(&error.to_string());
                cause = error.source();
            }
            StoreError::Invalid(text)
        }
    }
}
