//! A lane: the journal of one thread, its unread chunks and the payloads that go with its records.
//!
//! The writer's half lives in thread-local storage, the reader's half is shared. Chunks go round: written,
//! read, written again. Never grows beyond its bounds: what does not fit is counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use flowmeter_model::{Attributes, IdSource, SpanId};
use parking_lot::Mutex;

use super::chunk::{CHUNK_WORDS, Chunk};
use super::record::{RecordRef, RecordWords};
use super::{DropCounts, RecorderConfig};
use crate::details::SpanDetails;

/// What travels beside a record because it is no word: values that are only kept, never copied.
pub(crate) enum Payload {
    /// What belongs to a span.
    Details(Box<SpanDetails>),
    /// What of a log line did not fit into its record.
    Log(Box<Attributes>),
}

struct Queue {
    /// Full chunks, oldest first.
    sealed: VecDeque<Arc<Chunk>>,
    current: Arc<Chunk>,
    /// Read to the end, free for the writer.
    recycled: Vec<Arc<Chunk>>,
    /// Chunks that exist.
    chunks: usize,
}

pub(super) struct LaneShared {
    queue: Mutex<Queue>,
    payloads: Mutex<VecDeque<Payload>>,
    payloads_waiting: AtomicUsize,
    chunks_waiting: AtomicUsize,
    journal_full: AtomicU64,
    payloads_full: AtomicU64,
    too_large: AtomicU64,
    writer_gone: AtomicBool,
}

/// The writer's half.
pub(super) struct Lane {
    shared: Arc<LaneShared>,
    current: Arc<Chunk>,
    position: usize,
    ids: IdSource,
    /// Records that were put together and copied: ready for the next spans.
    #[expect(clippy::vec_box, reason = "a guard holds the box, so that it stays small")]
    spare: Vec<Box<RecordWords>>,
    chunks_max: usize,
    payloads_max: usize,
    /// The reader was waited for in vain; not again before it has made room.
    gave_up: bool,
}

impl Lane {
    pub(super) fn new(config: &RecorderConfig, ids: IdSource) -> (Self, Arc<LaneShared>) {
        let current = Arc::new(Chunk::new());
        let shared = Arc::new(LaneShared {
            queue: Mutex::new(Queue {
                sealed: VecDeque::new(),
                current: Arc::clone(&current),
                recycled: Vec::new(),
                chunks: 1,
            }),
            payloads: Mutex::new(VecDeque::new()),
            payloads_waiting: AtomicUsize::new(0),
            chunks_waiting: AtomicUsize::new(0),
            journal_full: AtomicU64::new(0),
            payloads_full: AtomicU64::new(0),
            too_large: AtomicU64::new(0),
            writer_gone: AtomicBool::new(false),
        });
        let lane = Self {
            shared: Arc::clone(&shared),
            current,
            position: 0,
            ids,
            spare: Vec::new(),
            chunks_max: config.chunks_per_thread_max.max(2),
            payloads_max: config.payloads_per_thread_max,
            gave_up: false,
        };
        (lane, shared)
    }

    #[inline]
    pub(super) fn next_span_id(&mut self) -> SpanId {
        self.ids.span_id()
    }

    /// Whether the recorder that this lane belongs to is gone.
    pub(super) fn is_orphaned(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    /// An empty record to put together.
    #[inline]
    pub(super) fn take_spare(&mut self) -> Box<RecordWords> {
        self.spare.pop().unwrap_or_else(|| Box::new(RecordWords::new()))
    }

    /// Gives a record back.
    #[inline]
    pub(super) fn give_spare(&mut self, words: Box<RecordWords>) {
        // As many as spans are open at a time; a burst of them, or a huge one, is not kept for ever.
        if self.spare.len() < 64 && !words.is_bulky() {
            self.spare.push(words);
        }
    }

    /// Whether waiting for the reader is what this record needs to fit in.
    #[inline]
    pub(super) fn needs_reader(&self, record: &RecordWords) -> bool {
        self.position + record.len() > CHUNK_WORDS && record.len() <= CHUNK_WORDS && self.is_full()
    }

    #[cold]
    fn is_full(&self) -> bool {
        let queue = self.shared.queue.lock();
        !self.gave_up && queue.recycled.is_empty() && queue.chunks >= self.chunks_max
    }

    /// Notes that the reader was waited for in vain.
    pub(super) fn give_up(&mut self) {
        self.gave_up = true;
    }

    /// Writes a record. Returns whether the reader had better be woken.
    #[inline]
    pub(super) fn append(&mut self, record: &RecordWords, payload: Option<Payload>) -> bool {
        let words = record.len();
        let mut wake = false;
        if self.position + words > CHUNK_WORDS {
            if words > CHUNK_WORDS {
                self.shared.too_large.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            match self.next_chunk() {
                Some(half_full) => wake = half_full,
                None => {
                    self.shared.journal_full.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
            }
        }
        // The payload goes first: once the record is visible, its payload must be there.
        let has_payload = match payload {
            None => false,
            Some(payload) => self.push_payload(payload, &mut wake),
        };
        if let Some(room) = self.current.room(self.position, words) {
            record.copy_to(room, has_payload);
            self.position += words;
            self.current.publish(self.position);
        }
        wake
    }

    fn push_payload(&mut self, payload: Payload, wake: &mut bool) -> bool {
        let mut payloads = self.shared.payloads.lock();
        if payloads.len() >= self.payloads_max {
            drop(payloads);
            self.shared.payloads_full.fetch_add(1, Ordering::Relaxed);
            *wake = true;
            return false;
        }
        payloads.push_back(payload);
        let waiting = payloads.len();
        drop(payloads);
        self.shared.payloads_waiting.store(waiting, Ordering::Relaxed);
        // Once per crossing, not for each record above the mark.
        *wake |= waiting == 64 || waiting == self.payloads_max / 2;
        true
    }

    /// Puts the full chunk behind the others and takes an empty one. `None` when there is none to be had.
    #[cold]
    fn next_chunk(&mut self) -> Option<bool> {
        let mut queue = self.shared.queue.lock();
        let fresh = match queue.recycled.pop() {
            Some(chunk) => chunk,
            None if queue.chunks < self.chunks_max => {
                queue.chunks += 1;
                Arc::new(Chunk::new())
            }
            None => return None,
        };
        let full = std::mem::replace(&mut queue.current, Arc::clone(&fresh));
        queue.sealed.push_back(full);
        let sealed = queue.sealed.len();
        drop(queue);
        self.shared.chunks_waiting.store(sealed, Ordering::Relaxed);
        self.current = fresh;
        self.position = 0;
        self.gave_up = false;
        Some(sealed.is_multiple_of((self.chunks_max / 4).max(1)))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.writer_gone.store(true, Ordering::Release);
    }
}

impl LaneShared {
    /// Hands out complete records with their payloads, chunk after chunk, until there are `records_wanted` of them
    /// or no more.
    pub(super) fn drain(
        &self,
        records_wanted: usize,
        visit: &mut impl FnMut(RecordRef<'_>, Option<Payload>),
    ) -> usize {
        // Chunks that fill up meanwhile are for the next time: a writer that never stops must not hold the reader.
        let (sealed, current) = {
            let queue = self.queue.lock();
            (queue.sealed.len(), Arc::clone(&queue.current))
        };
        let mut count = 0;
        for _ in 0..sealed {
            let Some(chunk) = self.queue.lock().sealed.pop_front() else {
                break;
            };
            count += self.read_chunk(&chunk, visit);
            chunk.reset();
            let mut queue = self.queue.lock();
            queue.recycled.push(chunk);
            self.chunks_waiting.store(queue.sealed.len(), Ordering::Relaxed);
            drop(queue);
            if count >= records_wanted {
                return count;
            }
        }
        // It may be sealed by now; what was read of it is not read again.
        count + self.read_chunk(&current, visit)
    }

    fn read_chunk(&self, chunk: &Chunk, visit: &mut impl FnMut(RecordRef<'_>, Option<Payload>)) -> usize {
        let mut words = chunk.take_unread();
        let mut count = 0;
        while let Some((record, rest)) = RecordRef::split(words) {
            let payload = if record.has_payload() {
                self.pop_payload()
            } else {
                None
            };
            visit(record, payload);
            count += 1;
            words = rest;
        }
        count
    }

    fn pop_payload(&self) -> Option<Payload> {
        let mut payloads = self.payloads.lock();
        let payload = payloads.pop_front();
        self.payloads_waiting.store(payloads.len(), Ordering::Relaxed);
        payload
    }

    pub(super) fn chunks_waiting(&self) -> usize {
        self.chunks_waiting.load(Ordering::Relaxed)
    }

    pub(super) fn payloads_waiting(&self) -> usize {
        self.payloads_waiting.load(Ordering::Relaxed)
    }

    /// Whether the thread has ended and everything it wrote has been read.
    pub(super) fn is_finished(&self) -> bool {
        if !self.writer_gone.load(Ordering::Acquire) {
            return false;
        }
        let queue = self.queue.lock();
        let mut counts = DropCounts::default();
        self.add_drops(&mut counts);
        queue.sealed.is_empty() && !queue.current.has_unread() && counts.total() == 0
    }

    pub(super) fn add_drops(&self, counts: &mut DropCounts) {
        counts.journal_full += self.journal_full.load(Ordering::Relaxed);
        counts.payloads_full += self.payloads_full.load(Ordering::Relaxed);
        counts.too_large += self.too_large.load(Ordering::Relaxed);
    }
}
