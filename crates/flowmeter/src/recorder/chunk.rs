//! A chunk of journal: words that one thread writes and another reads, without a lock and without `unsafe`.
//!
//! The words are relaxed atomics, which compile to plain stores and loads; the publishing store of the length
//! orders them. Never read beyond the published length.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// 32 KiB: small enough to stay in the second-level cache while it is recycled.
pub(super) const CHUNK_WORDS: usize = 4096;

pub(super) struct Chunk {
    words: Box<[AtomicU64]>,
    /// Words that are complete: stored by the writer, read by the reader.
    published: AtomicUsize,
    /// Words that have been read: only the reader touches it.
    read: AtomicUsize,
}

impl Chunk {
    pub(super) fn new() -> Self {
        Self {
            words: (0..CHUNK_WORDS).map(|_| AtomicU64::new(0)).collect(),
            published: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
        }
    }

    /// The words `[from, from + count)` for writing.
    #[inline]
    pub(super) fn room(&self, from: usize, count: usize) -> Option<&[AtomicU64]> {
        self.words.get(from..from + count)
    }

    /// Everything below `length` is complete.
    #[inline]
    pub(super) fn publish(&self, length: usize) {
        self.published.store(length, Ordering::Release);
    }

    /// The words that are complete and unread; they count as read from now on.
    pub(super) fn take_unread(&self) -> &[AtomicU64] {
        let published = self.published.load(Ordering::Acquire);
        let read = self.read.swap(published, Ordering::Relaxed);
        self.words.get(read..published).unwrap_or_default()
    }

    /// Makes the chunk ready for another round. Only when nobody writes or reads it.
    pub(super) fn reset(&self) {
        self.read.store(0, Ordering::Relaxed);
        self.published.store(0, Ordering::Release);
    }

    pub(super) fn has_unread(&self) -> bool {
        self.published.load(Ordering::Acquire) > self.read.load(Ordering::Relaxed)
    }
}
