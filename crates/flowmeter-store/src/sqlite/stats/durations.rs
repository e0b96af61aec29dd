//! Durations on their way into a sketch.
//!
//! A sketch is short, and slow to add to; this is the other way round. Never holds more than the buckets there are.

use crate::LatencySketch;
use crate::codec::sketch::{BUCKETS_MAX, bucket_of, read_varint};

/// So many durations are kept one by one: most groups have few.
const FEW: usize = 512;
/// Buckets of room on both sides of those that are needed.
const ROOM: usize = 32;

/// Durations, to become a sketch.
#[derive(Clone, Debug)]
pub(super) struct Durations {
    /// The bucket of each, as long as they are few; then nothing.
    few: Vec<u16>,
    /// How many in each bucket, when they are many.
    many: Window,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

/// How many in each bucket, from the first to the last that is needed.
#[derive(Clone, Debug, Default)]
struct Window {
    first: usize,
    counts: Vec<u64>,
}

impl Window {
    /// Makes room for these buckets. Those that are none get none.
    fn reserve(&mut self, first: usize, last: usize) {
        let last = last.min(BUCKETS_MAX - 1);
        if first > last {
            return;
        }
        if self.counts.is_empty() {
            self.first = first.saturating_sub(ROOM);
        } else if first < self.first {
            let more = self.first - first.saturating_sub(ROOM);
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first -= more;
        }
        let length = last - self.first + 1;
        if length > self.counts.len() {
            self.counts.resize(length + ROOM, 0);
        }
    }

    #[inline]
    fn add(&mut self, bucket: u16, count: u64) {
        let bucket = usize::from(bucket);
        match self.counts.get_mut(bucket.wrapping_sub(self.first)) {
            Some(slot) => *slot += count,
            None => self.add_outside(bucket, count),
        }
    }

    #[cold]
    fn add_outside(&mut self, bucket: usize, count: u64) {
        self.reserve(bucket, bucket);
        if let Some(slot) = self.counts.get_mut(bucket.wrapping_sub(self.first)) {
            *slot += count;
        }
    }
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            few: Vec::new(),
            many: Window::default(),
            sum_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
        }
    }
}

impl Durations {
    /// Adds one.
    #[inline]
    pub(super) fn add(&mut self, duration_ns: u64) {
        self.sum_ns += u128::from(duration_ns);
        self.min_ns = self.min_ns.min(duration_ns);
        self.max_ns = self.max_ns.max(duration_ns);
        let bucket = bucket_of(duration_ns);
        if !self.many.counts.is_empty() {
            self.many.add(bucket, 1);
        } else if self.few.len() < FEW {
            self.few.push(bucket);
        } else {
            self.window(bucket.into(), bucket.into()).add(bucket, 1);
        }
    }

    /// Adds a sketch.
    pub(super) fn merge(&mut self, sketch: &LatencySketch) {
        let (Some(min_ns), Some(max_ns)) = (sketch.min_ns(), sketch.max_ns()) else {
            return;
        };
        self.sum_ns += sketch.sum_ns();
        self.min_ns = self.min_ns.min(min_ns);
        self.max_ns = self.max_ns.max(max_ns);
        let buckets = sketch.buckets();
        if let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) {
            let window = self.window(usize::from(*first), usize::from(*last));
            for (bucket, count) in buckets {
                window.add(*bucket, *count);
            }
        }
    }

    /// Adds a sketch as [`LatencySketch::write`] wrote it, and moves `bytes` behind it: how many durations. `None` for
    /// anything else.
    pub(super) fn merge_bytes(&mut self, bytes: &mut &[u8]) -> Option<u64> {
        let count = read_varint(bytes)?;
        if count == 0 {
            return Some(0);
        }
        let min_ns = read_varint(bytes)?;
        let max_ns = min_ns.checked_add(read_varint(bytes)?)?;
        self.sum_ns += u128::from(read_varint(bytes)?);
        self.min_ns = self.min_ns.min(min_ns);
        self.max_ns = self.max_ns.max(max_ns);
        let length = usize::try_from(read_varint(bytes)?)
            .ok()
            .filter(|length| *length <= BUCKETS_MAX)?;
        if length == 0 {
            return Some(count);
        }
        let first = u16::try_from(read_varint(bytes)?).ok()?;
        let window = self.window(first.into(), bucket_of(max_ns).max(first).into());
        let mut bucket = first;
        window.add(bucket, read_varint(bytes)?);
        for _ in 1..length {
            bucket = bucket.checked_add(u16::try_from(read_varint(bytes)?).ok()?)?;
            window.add(bucket, read_varint(bytes)?);
        }
        Some(count)
    }

    /// The counts by bucket, with room for these.
    fn window(&mut self, first: usize, last: usize) -> &mut Window {
        let few = std::mem::take(&mut self.few);
        let (least, most) = few.iter().fold((first, last), |(least, most), bucket| {
            (least.min(usize::from(*bucket)), most.max(usize::from(*bucket)))
        });
        self.many.reserve(least, most);
        for bucket in few {
            self.many.add(bucket, 1);
        }
        &mut self.many
    }

    /// The sketch of them all.
    pub(super) fn sketch(self) -> LatencySketch {
        let Self { mut few, many, .. } = self;
        let buckets: Vec<(u16, u64)> = if many.counts.is_empty() {
            few.sort_unstable();
            few.chunk_by(|a, b| a == b)
                .filter_map(|equal| Some((*equal.first()?, equal.len() as u64)))
                .collect()
        } else {
            (many.first as u16..)
                .zip(many.counts)
                .filter(|(_, count)| *count > 0)
                .collect()
        };
        if buckets.is_empty() {
            return LatencySketch::default();
        }
        LatencySketch::of_buckets(buckets, self.sum_ns, self.min_ns, self.max_ns)
    }
}
