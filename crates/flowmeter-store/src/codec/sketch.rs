//! A sketch of durations: mergeable, with percentiles that are off by 1 % at most.
//!
//! The mapping is DDSketch's (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch", VLDB 2019):
//! bucket `i` holds what lies between γ^(i-1) and γ^i. A crate for it exists, and the library's live sums use it; here
//! most sketches hold a handful of durations, so that its dense buckets would cost some hundred bytes each where these
//! sparse ones cost three bytes a duration. Never holds more than [`BUCKETS_MAX`] buckets.

use std::sync::LazyLock;

/// More never occur: 64 bits of nanoseconds give 2,219 buckets.
pub(crate) const BUCKETS_MAX: usize = 2_219;
/// γ for a relative error of 1 %.
const GAMMA: f64 = 1.01 / 0.99;

/// How long things took, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencySketch {
    /// Bucket and count, by bucket.
    buckets: Vec<(u16, u64)>,
    count: u64,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

impl LatencySketch {
    /// Adds one duration.
    pub fn add(&mut self, duration_ns: u64) {
        let bucket = bucket_of(duration_ns);
        self.min_ns = if self.count == 0 {
            duration_ns
        } else {
            self.min_ns.min(duration_ns)
        };
        self.max_ns = self.max_ns.max(duration_ns);
        self.count += 1;
        self.sum_ns += u128::from(duration_ns);
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => self.buckets[place].1 += 1,
            Err(place) => self.buckets.insert(place, (bucket, 1)),
        }
    }

    /// Adds another sketch.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            self.clone_from(other);
            return;
        }
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        let mut merged = Vec::with_capacity((self.buckets.len() + other.buckets.len()).min(BUCKETS_MAX));
        let (mut ours, mut theirs) = (self.buckets.iter().peekable(), other.buckets.iter().peekable());
        loop {
            let next = match (ours.peek(), theirs.peek()) {
                (Some(a), Some(b)) if a.0 == b.0 => (a.0, a.1 + b.1),
                (Some(a), Some(b)) if a.0 < b.0 => **a,
                (Some(_), Some(b)) | (None, Some(b)) => **b,
                (Some(a), None) => **a,
                (None, None) => break,
            };
            ours.next_if(|bucket| bucket.0 == next.0);
            theirs.next_if(|bucket| bucket.0 == next.0);
            merged.push(next);
        }
        self.buckets = merged;
    }

    /// A sketch of these buckets, which are in order and not empty.
    pub(crate) fn of_buckets(buckets: Vec<(u16, u64)>, sum_ns: u128, min_ns: u64, max_ns: u64) -> Self {
        let count = buckets.iter().map(|(_, count)| count).sum();
        Self {
            buckets,
            count,
            sum_ns,
            min_ns,
            max_ns,
        }
    }

    /// Its buckets, in order.
    pub(crate) fn buckets(&self) -> &[(u16, u64)] {
        &self.buckets
    }

    /// Takes away what was added before. The shortest and the longest are known by their buckets alone afterwards, if
    /// they were among it.
    pub(crate) fn subtract(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            if let Ok(place) = self.buckets.binary_search_by_key(bucket, |(bucket, _)| *bucket) {
                self.buckets[place].1 = self.buckets[place].1.saturating_sub(*count);
            }
        }
        self.buckets.retain(|(_, count)| *count > 0);
        self.count = self.buckets.iter().map(|(_, count)| count).sum();
        self.sum_ns = self.sum_ns.saturating_sub(other.sum_ns);
        let (Some(first), Some(last)) = (self.buckets.first(), self.buckets.last()) else {
            *self = Self::default();
            return;
        };
        // Nothing that is left lies beyond what there was; and one of the two may still be known exactly.
        let (shortest, longest) = (middle_of(first.0), middle_of(last.0));
        if self.count == 1 {
            let left = u64::try_from(self.sum_ns).unwrap_or(shortest);
            let left = left.clamp(self.min_ns, self.max_ns);
            (self.min_ns, self.max_ns) = (left, left);
            return;
        }
        let (was_min, was_max) = (self.min_ns, self.max_ns);
        if other.count > 0 && other.min_ns <= was_min {
            self.min_ns = shortest.clamp(was_min, was_max);
        }
        if other.count > 0 && other.max_ns >= was_max {
            self.max_ns = longest.clamp(self.min_ns, was_max);
        }
    }

    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, nanoseconds.
    #[must_use]
    pub fn sum_ns(&self) -> u128 {
        self.sum_ns
    }

    /// The shortest; `None` of none.
    #[must_use]
    pub fn min_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min_ns)
    }

    /// The longest; `None` of none.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max_ns)
    }

    /// The duration that `fraction` (0 to 1) of all do not pass, by nearest rank, off by 1 % at most; `None` of none.
    #[must_use]
    pub fn quantile_ns(&self, fraction: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = (fraction.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        if rank <= 1 {
            return Some(self.min_ns);
        }
        if rank >= self.count {
            return Some(self.max_ns);
        }
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= rank {
                return Some(middle_of(*bucket).clamp(self.min_ns, self.max_ns));
            }
        }
        Some(self.max_ns)
    }

    /// The sketch as bytes: short where it holds little.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_varint(out, self.count);
        if self.count == 0 {
            return;
        }
        write_varint(out, self.min_ns);
        write_varint(out, self.max_ns.saturating_sub(self.min_ns));
        // What no 64 bits hold is more than 500 years.
        write_varint(out, u64::try_from(self.sum_ns).unwrap_or(u64::MAX));
        write_varint(out, self.buckets.len() as u64);
        let mut last = 0;
        for (bucket, count) in &self.buckets {
            write_varint(out, u64::from(bucket - last));
            write_varint(out, *count);
            last = *bucket;
        }
    }

    /// Moves `bytes` behind a sketch without reading it.
    pub(crate) fn skip(bytes: &mut &[u8]) -> Option<()> {
        if read_varint(bytes)? == 0 {
            return Some(());
        }
        skip_varints(bytes, 3)?;
        let length = usize::try_from(read_varint(bytes)?)
            .ok()
            .filter(|length| *length <= BUCKETS_MAX)?;
        skip_varints(bytes, 2 * length)
    }

    /// Reads what [`LatencySketch::write`] wrote, and moves `bytes` behind it. `None` for anything else.
    pub(crate) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let count = read_varint(bytes)?;
        if count == 0 {
            return Some(Self::default());
        }
        let min_ns = read_varint(bytes)?;
        let max_ns = min_ns.checked_add(read_varint(bytes)?)?;
        let sum_ns = u128::from(read_varint(bytes)?);
        let length = usize::try_from(read_varint(bytes)?)
            .ok()
            .filter(|length| *length <= BUCKETS_MAX)?;
        let mut buckets = Vec::with_capacity(length);
        let mut last = 0_u16;
        for _ in 0..length {
            last = last.checked_add(u16::try_from(read_varint(bytes)?).ok()?)?;
            buckets.push((last, read_varint(bytes)?));
        }
        Some(Self {
            buckets,
            count,
            sum_ns,
            min_ns,
            max_ns,
        })
    }
}

/// Moves behind so many numbers that [`write_varint`] (or its like for wider ones) wrote, without reading them.
pub(crate) fn skip_varints(bytes: &mut &[u8], count: usize) -> Option<()> {
    let mut left = count;
    // The last byte of a number has no high bit. Eight bytes end eight numbers at most.
    while left >= 8
        && let Some((eight, rest)) = bytes.split_first_chunk::<8>()
    {
        left -= (!u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080).count_ones() as usize;
        *bytes = rest;
    }
    while left > 0 {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        left -= usize::from(first & 0x80 == 0);
    }
    Some(())
}

/// Bits of a number's fraction that choose a row of [`LOGARITHMS`].
const FRACTION_BITS: u32 = 8;
/// The fraction's bits of a number of 64 bits.
const FRACTION_MASK: u64 = (1 << 52) - 1;

/// The bucket, not yet rounded up, of `1 + row / 256`: what lies between two rows lies nearly on a line.
static LOGARITHMS: LazyLock<[f64; (1 << FRACTION_BITS) + 1]> = LazyLock::new(|| {
    std::array::from_fn(|row| (1.0 + row as f64 / f64::from(1 << FRACTION_BITS)).log(GAMMA))
});
/// Buckets from a number to its double.
static BUCKETS_A_DOUBLING: LazyLock<f64> = LazyLock::new(|| 2_f64.log(GAMMA));

/// The bucket that a duration lies in.
#[inline]
pub(crate) fn bucket_of(duration_ns: u64) -> u16 {
    let number = duration_ns.max(1) as f64;
    let bits = number.to_bits();
    let doublings = (bits >> 52) as i32 - 1_023;
    let fraction = bits & FRACTION_MASK;
    let row = (fraction >> (52 - FRACTION_BITS)) as usize;
    let behind =
        (fraction & (FRACTION_MASK >> FRACTION_BITS)) as f64 / (1_u64 << (52 - FRACTION_BITS)) as f64;
    let (this, next) = (LOGARITHMS[row], LOGARITHMS[row + 1]);
    let about = f64::from(doublings) * *BUCKETS_A_DOUBLING + this + (next - this) * behind;
    // The line is off by a tenth of a thousandth at most: near the edge of a bucket the logarithm itself decides.
    // At most 2,218, which 16 bits hold.
    let below = about as u16;
    let behind_edge = about - f64::from(below);
    if behind_edge > 0.001 && behind_edge < 0.999 {
        below + 1
    } else {
        bucket_by_logarithm(number)
    }
}

fn bucket_by_logarithm(number: f64) -> u16 {
    number.log(GAMMA).ceil() as u16
}

/// The duration that is off by the same share from both ends of the bucket.
fn middle_of(bucket: u16) -> u64 {
    (2.0 * GAMMA.powi(i32::from(bucket)) / (GAMMA + 1.0)).round() as u64
}

/// Seven bits a byte, the lowest first.
pub(crate) fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads what [`write_varint`] wrote.
#[inline]
pub(crate) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    // Most numbers are small.
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        *bytes = rest;
        return Some(u64::from(*first));
    }
    read_long(bytes)
}

fn read_long(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
