//! Sets that forget what was not asked for lately.
//!
//! Never hold more than their limit.

use std::hash::Hash;

use rustc_hash::FxHashSet;

/// The set: two generations, of which the older one goes when the younger one is full.
#[derive(Clone, Debug)]
pub(super) struct RecentSet<T> {
    young: FxHashSet<T>,
    old: FxHashSet<T>,
    generation_max: usize,
}

impl<T: Copy + Eq + Hash> RecentSet<T> {
    /// A set of so many at most.
    pub(super) fn new(count_max: usize) -> Self {
        Self {
            young: FxHashSet::default(),
            old: FxHashSet::default(),
            generation_max: (count_max / 2).max(1),
        }
    }

    /// Whether it is there; if so, it stays longer.
    pub(super) fn has(&mut self, item: T) -> bool {
        if self.young.contains(&item) {
            return true;
        }
        let is_old = self.old.contains(&item);
        if is_old {
            self.add(item);
        }
        is_old
    }

    /// Adds it.
    pub(super) fn add(&mut self, item: T) {
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(item);
    }
}

/// Marks of one bucket: together a line of the processor's cache.
const BUCKET_MARKS: usize = 32;

/// The same for marks of four bytes, of which there are so many that each question costs a look into memory: all that can
/// be asked of one mark lies together. What goes is the mark of a bucket that was asked for longest ago. One of some
/// thousand that were never added is taken for one that was.
#[derive(Clone, Debug)]
pub(super) struct RecentMarks {
    /// Half of each mark; the other half tells the bucket. 0 where there is none yet.
    buckets: Vec<[u16; BUCKET_MARKS]>,
    bucket_bits: u32,
}

impl RecentMarks {
    /// A set of so many at most, or of up to twice as many; of two millions at most.
    pub(super) fn new(count: usize) -> Self {
        let buckets = (count / BUCKET_MARKS).clamp(1, 1 << 16).next_power_of_two();
        Self {
            buckets: Vec::new(),
            bucket_bits: buckets.ilog2(),
        }
    }

    /// Where a mark may stand, and what stands there of it.
    fn bucket_of(&mut self, mark: u32) -> Option<(&mut [u16; BUCKET_MARKS], u16)> {
        let place = self.place_of(mark);
        let half = (mark as u16).max(1);
        Some((self.buckets.get_mut(place)?, half))
    }

    /// Looks at where a mark may stand, so that it is in the cache when somebody asks; what is seen there tells nothing.
    pub(super) fn glance(&self, mark: u32) -> u16 {
        let bucket = self.buckets.get(self.place_of(mark));
        bucket.map_or(0, |bucket| bucket[0])
    }

    fn place_of(&self, mark: u32) -> usize {
        ((mark >> 16) & ((1 << self.bucket_bits) - 1)) as usize
    }

    /// Whether it is there; if so, it stays longer.
    pub(super) fn has(&mut self, mark: u32) -> bool {
        let Some((bucket, half)) = self.bucket_of(mark) else {
            return false;
        };
        let place = bucket.iter().position(|known| *known == half);
        if let Some(until) = place.and_then(|place| bucket.get_mut(..=place)) {
            until.rotate_right(1);
        }
        place.is_some()
    }

    /// Adds it.
    pub(super) fn add(&mut self, mark: u32) {
        if self.has(mark) {
            return;
        }
        if self.buckets.is_empty() {
            self.buckets = vec![[0; BUCKET_MARKS]; 1 << self.bucket_bits];
        }
        if let Some((bucket, half)) = self.bucket_of(mark) {
            bucket.rotate_right(1);
            bucket[0] = half;
        }
    }
}

#[cfg(test)]
mod tests;
