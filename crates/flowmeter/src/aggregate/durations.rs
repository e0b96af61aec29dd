//! Sums, extremes and percentiles of durations, kept in constant memory whatever the number of durations.
//!
//! The first few durations are kept as they are and give exact percentiles; from then on a DDSketch with a
//! relative error of at most 1 % takes their place. Never holds more bytes of sketches than its budget allows:
//! percentiles that would go beyond it become unknown, sums and extremes stay exact.

use sketches_ddsketch::{Config, DDSketch};
use smallvec::SmallVec;

/// Durations that are kept one by one before a sketch takes their place.
const EXACT_MAX: usize = 32;
/// The relative error of the percentiles that a sketch gives.
const RELATIVE_ERROR: f64 = 0.01;
/// Bins of a sketch: with the error above, enough for durations from 1 ns to 18 years beside each other.
const BINS_MAX: u32 = 2_048;
/// Bytes of a sketch without its bins.
const FIXED_BYTES: usize = size_of::<DDSketch>();
/// The smallest duration that is told from zero, in units.
const UNIT_MIN: f64 = 0.5;

/// Bytes that the sketches of one table may take together.
#[derive(Clone, Debug)]
pub(crate) struct SketchBudget {
    bytes_left: usize,
}

impl SketchBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes_left: bytes }
    }

    /// Takes these bytes if they are there.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.unwrap_or(self.bytes_left);
        left.is_some()
    }
}

/// What is kept of durations for their percentiles.
#[derive(Clone)]
pub(crate) enum Spread {
    Exact(SmallVec<[u64; 4]>),
    Sketch(Box<DDSketch>),
    /// The budget was spent.
    Unknown,
}

impl Default for Spread {
    fn default() -> Self {
        Self::Exact(SmallVec::new())
    }
}

impl Spread {
    /// Adds a duration. Returns what cannot be kept here: all of it when the budget is spent, from then on each
    /// duration.
    #[inline]
    fn add(&mut self, duration: u64, budget: &mut SketchBudget) -> Option<Self> {
        match self {
            Self::Exact(durations) if durations.len() < EXACT_MAX => {
                durations.push(duration);
                None
            }
            Self::Exact(_) => self.add_to_new_sketch(duration, budget),
            Self::Sketch(sketch) => {
                let before = sketch.length();
                sketch.add(duration as f64);
                if sketch.length() == before {
                    return None;
                }
                let grown = (sketch.length() - before) * size_of::<u64>();
                (!budget.take(grown)).then(|| {
                    budget.bytes_left += FIXED_BYTES + before * size_of::<u64>();
                    std::mem::replace(self, Self::Unknown)
                })
            }
            Self::Unknown => Some(Self::Exact(SmallVec::from_slice(&[duration]))),
        }
    }

    #[cold]
    fn add_to_new_sketch(&mut self, duration: u64, budget: &mut SketchBudget) -> Option<Self> {
        let mut sketch = self.to_sketch()?;
        sketch.add(duration as f64);
        let fits = budget.take(bytes_of(&sketch));
        *self = Self::Sketch(sketch);
        (!fits).then(|| std::mem::replace(self, Self::Unknown))
    }

    fn to_sketch(&self) -> Option<Box<DDSketch>> {
        match self {
            Self::Exact(durations) => {
                let mut sketch = Box::new(DDSketch::new(Config::new(RELATIVE_ERROR, BINS_MAX, UNIT_MIN)));
                for duration in durations {
                    sketch.add(*duration as f64);
                }
                Some(sketch)
            }
            Self::Sketch(sketch) => Some(sketch.clone()),
            Self::Unknown => None,
        }
    }

    pub(crate) fn merge(&mut self, other: &Self, budget: &mut SketchBudget) {
        if let Self::Exact(durations) = other {
            for duration in durations {
                self.add(*duration, budget);
            }
            return;
        }
        let before = match self {
            Self::Sketch(sketch) => bytes_of(sketch),
            _ => 0,
        };
        let merged = match (self.to_sketch(), other) {
            (Some(mut sketch), Self::Sketch(theirs)) => sketch.merge(theirs).is_ok().then_some(sketch),
            _ => None,
        };
        *self = match merged {
            Some(sketch) if budget.take(bytes_of(&sketch).saturating_sub(before)) => Self::Sketch(sketch),
            _ => {
                budget.bytes_left += before;
                Self::Unknown
            }
        };
    }

    /// The duration that is the first in ascending order which at least this share of all do not exceed.
    fn percentile(&self, share: f64) -> Option<f64> {
        match self {
            Self::Exact(durations) => {
                let mut sorted = durations.clone();
                sorted.sort_unstable();
                let rank = rank_of(share, sorted.len() as u64)?;
                sorted.get(usize::try_from(rank).ok()?).map(|units| *units as f64)
            }
            Self::Sketch(sketch) => {
                let count = sketch.count() as u64;
                sketch.quantile(position_of(rank_of(share, count)?, count)).ok()?
            }
            Self::Unknown => None,
        }
    }
}

/// Durations in one unit, nanoseconds or ticks, added up one by one.
#[derive(Clone)]
pub(crate) struct Durations {
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
    spread: Spread,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
            spread: Spread::default(),
        }
    }
}

impl Durations {
    /// Adds a duration. Returns what cannot be kept for percentiles: see [`Spread::add`].
    #[inline]
    pub(crate) fn add(&mut self, duration: u64, budget: &mut SketchBudget) -> Option<Spread> {
        self.count += 1;
        self.sum += u128::from(duration);
        self.min = self.min.min(duration);
        self.max = self.max.max(duration);
        self.spread.add(duration, budget)
    }

    pub(crate) fn merge(&mut self, other: &Self, budget: &mut SketchBudget) {
        self.merge_sums(other);
        self.spread.merge(&other.spread, budget);
    }

    /// The same where what `other` could not keep for percentiles comes by another way: [`Durations::merge_spread`].
    pub(crate) fn merge_what_is_kept(&mut self, other: &Self, budget: &mut SketchBudget) {
        self.merge_sums(other);
        if !matches!(other.spread, Spread::Unknown) {
            self.spread.merge(&other.spread, budget);
        }
    }

    pub(crate) fn merge_spread(&mut self, spread: &Spread, budget: &mut SketchBudget) {
        self.spread.merge(spread, budget);
    }

    fn merge_sums(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// What came together; `ns_per_unit` makes nanoseconds of it.
    pub(crate) fn summary(&self, ns_per_unit: f64) -> DurationSummary {
        // A whole number of nanoseconds must not go through a float, which holds 53 bits.
        let scale = |units: u64| {
            if ns_per_unit == 1.0 {
                units
            } else {
                (units as f64 * ns_per_unit).round() as u64
            }
        };
        let known = self.count > 0;
        let percentile = |share: f64| {
            let units = self.spread.percentile(share)?.round() as u64;
            // No percentile lies outside of what there was, whatever the sketch's error.
            Some(scale(units.max(self.min).min(self.max)))
        };
        DurationSummary {
            count: self.count,
            sum_ns: scale(u64::try_from(self.sum).unwrap_or(u64::MAX)),
            min_ns: known.then(|| scale(self.min)),
            max_ns: known.then(|| scale(self.max)),
            p50_ns: percentile(0.5),
            p90_ns: percentile(0.9),
            p99_ns: percentile(0.99),
        }
    }
}

fn bytes_of(sketch: &DDSketch) -> usize {
    FIXED_BYTES + sketch.length() * size_of::<u64>()
}

/// Which of `count` durations in ascending order, from 0, is the percentile: the first that at least `share`
/// of all do not exceed.
fn rank_of(share: f64, count: u64) -> Option<u64> {
    let last = count.checked_sub(1)?;
    let rank = (share * count as f64).ceil() as u64;
    Some(rank.saturating_sub(1).min(last))
}

/// The sketch takes the duration at rank `q * (count - 1)`, rounded down: the `q` that leads to `rank`.
fn position_of(rank: u64, count: u64) -> f64 {
    let last = count.saturating_sub(1).max(1);
    ((rank as f64 + 0.5) / last as f64).min(1.0)
}

/// What a number of durations came to. Percentiles are actual durations: the shortest that at least that share
/// of all did not exceed. They are exact for up to 32 durations, and within 1 % beyond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurationSummary {
    /// How many durations are known. What ran without a known duration is not in it.
    pub count: u64,
    /// Their sum.
    pub sum_ns: u64,
    /// The shortest.
    pub min_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
    /// Half of all took at most this.
    pub p50_ns: Option<u64>,
    /// Nine of ten took at most this.
    pub p90_ns: Option<u64>,
    /// Ninety-nine of a hundred took at most this.
    pub p99_ns: Option<u64>,
}

impl DurationSummary {
    /// The mean; `None` where no duration is known.
    #[must_use]
    pub fn avg_ns(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_ns as f64 / self.count as f64)
    }
}

#[cfg(test)]
mod tests;
