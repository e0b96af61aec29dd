//! Durations on their way into a sketch.
//!
//! A sketch is short, and slow to add to; this is the other way round. Never holds more than the buckets there are.

use crate::LatencySketch;
use crate::codec::sketch::{BUCKETS_MAX, bucket_of};

/// So many durations are kept one by one: most groups have few.
const FEW: usize = 512;

/// Durations, to become a sketch.
#[derive(Clone, Debug)]
pub(super) struct Durations {
    counts: Counts,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

#[derive(Clone, Debug)]
enum Counts {
    /// The bucket of each.
    Few(Vec<u16>),
    /// Those of one sketch, as it came: most periods are added to a group that has nothing yet.
    Sketch(Vec<(u16, u64)>),
    /// How many in each bucket.
    Many(Vec<u64>),
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            counts: Counts::Few(Vec::new()),
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
        self.count(bucket_of(duration_ns), 1);
    }

    /// Adds a sketch.
    pub(super) fn merge(&mut self, sketch: &LatencySketch) {
        let (Some(min_ns), Some(max_ns)) = (sketch.min_ns(), sketch.max_ns()) else {
            return;
        };
        self.sum_ns += sketch.sum_ns();
        self.min_ns = self.min_ns.min(min_ns);
        self.max_ns = self.max_ns.max(max_ns);
        if matches!(&self.counts, Counts::Few(few) if few.is_empty()) {
            self.counts = Counts::Sketch(sketch.buckets().to_vec());
            return;
        }
        for (bucket, count) in sketch.buckets() {
            self.count(*bucket, *count);
        }
    }

    #[inline]
    fn count(&mut self, bucket: u16, count: u64) {
        match &mut self.counts {
            Counts::Few(buckets) if count == 1 && buckets.len() < FEW => buckets.push(bucket),
            Counts::Few(buckets) => {
                let all = buckets.iter().map(|bucket| (*bucket, 1)).chain([(bucket, count)]);
                self.counts = many(all);
            }
            Counts::Sketch(buckets) => {
                self.counts = many(buckets.iter().copied().chain([(bucket, count)]));
            }
            Counts::Many(counts) => {
                if let Some(slot) = counts.get_mut(usize::from(bucket)) {
                    *slot += count;
                }
            }
        }
    }

    /// The sketch of them all.
    pub(super) fn sketch(self) -> LatencySketch {
        let buckets: Vec<(u16, u64)> = match self.counts {
            Counts::Few(mut buckets) => {
                buckets.sort_unstable();
                buckets
                    .chunk_by(|a, b| a == b)
                    .filter_map(|equal| Some((*equal.first()?, equal.len() as u64)))
                    .collect()
            }
            Counts::Sketch(buckets) => buckets,
            Counts::Many(counts) => (0..).zip(counts).filter(|(_, count)| *count > 0).collect(),
        };
        if buckets.is_empty() {
            return LatencySketch::default();
        }
        LatencySketch::of_buckets(buckets, self.sum_ns, self.min_ns, self.max_ns)
    }
}

fn many(all: impl Iterator<Item = (u16, u64)>) -> Counts {
    let mut counts = vec![0_u64; BUCKETS_MAX];
    for (bucket, count) in all {
        if let Some(slot) = counts.get_mut(usize::from(bucket)) {
            *slot += count;
        }
    }
    Counts::Many(counts)
}
