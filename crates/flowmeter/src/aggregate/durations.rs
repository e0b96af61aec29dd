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

/// What is kept for percentiles.
#[derive(Clone)]
enum Spread {
    Exact(SmallVec<[u64; 4]>),
    Sketch(Box<DDSketch>),
    /// The budget was spent.
    Unknown,
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
            spread: Spread::Exact(SmallVec::new()),
        }
    }
}

impl Durations {
    pub(crate) fn add(&mut self, duration: u64, budget: &mut SketchBudget) {
        self.count += 1;
        self.sum += u128::from(duration);
        self.min = self.min.min(duration);
        self.max = self.max.max(duration);
        match &mut self.spread {
            Spread::Exact(durations) if durations.len() < EXACT_MAX => durations.push(duration),
            Spread::Exact(durations) => {
                let mut sketch = Box::new(new_sketch());
                for duration in durations.iter() {
                    sketch.add(*duration as f64);
                }
                sketch.add(duration as f64);
                let bytes = bytes_of(&sketch);
                self.spread = if budget.take(bytes) {
                    Spread::Sketch(sketch)
                } else {
                    Spread::Unknown
                };
            }
            Spread::Sketch(sketch) => {
                let before = bytes_of(sketch);
                sketch.add(duration as f64);
                let grown = bytes_of(sketch) - before;
                if grown > 0 && !budget.take(grown) {
                    self.forget_spread(before, budget);
                }
            }
            Spread::Unknown => {}
        }
    }

    pub(crate) fn merge(&mut self, other: &Self, budget: &mut SketchBudget) {
        // One by one, they count themselves.
        if let Spread::Exact(durations) = &other.spread {
            for duration in durations {
                self.add(*duration, budget);
            }
            return;
        }
        let (count, sum) = (self.count + other.count, self.sum + other.sum);
        let (min, max) = (self.min.min(other.min), self.max.max(other.max));
        let mut merged = match std::mem::replace(&mut self.spread, Spread::Unknown) {
            Spread::Exact(durations) => {
                let mut sketch = Box::new(new_sketch());
                for duration in durations {
                    sketch.add(duration as f64);
                }
                Some((sketch, 0))
            }
            Spread::Sketch(sketch) => {
                let before = bytes_of(&sketch);
                Some((sketch, before))
            }
            Spread::Unknown => None,
        };
        if let (Some((sketch, before)), Spread::Sketch(theirs)) = (&mut merged, &other.spread) {
            let both = sketch.merge(theirs).is_ok();
            let (before, after) = (*before, bytes_of(sketch));
            if !(both && budget.take(after.saturating_sub(before))) {
                budget.bytes_left += before;
                merged = None;
            }
        } else if let Some((_, before)) = merged.take() {
            budget.bytes_left += before;
        }
        self.spread = merged.map_or(Spread::Unknown, |(sketch, _)| Spread::Sketch(sketch));
        (self.count, self.sum, self.min, self.max) = (count, sum, min, max);
    }

    fn forget_spread(&mut self, bytes: usize, budget: &mut SketchBudget) {
        self.spread = Spread::Unknown;
        budget.bytes_left += bytes;
    }

    /// What came together; `ns_per_unit` makes nanoseconds of it.
    pub(crate) fn summary(&self, ns_per_unit: f64) -> DurationSummary {
        let scale = |units: f64| (units * ns_per_unit).round() as u64;
        // A whole number of nanoseconds must not go through a float, which holds 53 bits.
        let exact = |units: u64| {
            if ns_per_unit == 1.0 {
                units
            } else {
                scale(units as f64)
            }
        };
        let known = self.count > 0;
        let mut sorted = match &self.spread {
            Spread::Exact(durations) => durations.clone(),
            _ => SmallVec::new(),
        };
        sorted.sort_unstable();
        let percentile = |share: f64| -> Option<u64> {
            let rank = rank_of(share, self.count)?;
            match &self.spread {
                Spread::Exact(_) => sorted.get(usize::try_from(rank).ok()?).map(|units| exact(*units)),
                Spread::Sketch(sketch) => {
                    let units = sketch.quantile(position_of(rank, self.count)).ok()??;
                    Some(scale(units.clamp(self.min as f64, self.max as f64)))
                }
                Spread::Unknown => None,
            }
        };
        let sum_ns = match u64::try_from(self.sum) {
            Ok(sum) => exact(sum),
            Err(_) => scale(self.sum as f64),
        };
        DurationSummary {
            count: self.count,
            sum_ns,
            min_ns: known.then(|| exact(self.min)),
            max_ns: known.then(|| exact(self.max)),
            p50_ns: percentile(0.5),
            p90_ns: percentile(0.9),
            p99_ns: percentile(0.99),
        }
    }
}

fn new_sketch() -> DDSketch {
    DDSketch::new(Config::new(RELATIVE_ERROR, BINS_MAX, UNIT_MIN))
}

fn bytes_of(sketch: &DDSketch) -> usize {
    size_of::<DDSketch>() + sketch.length() * size_of::<u64>()
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

    /// `min`, `max`, `sum`, `count`, `avg`, `p50`, `p90`, `p99`; times in units of `ns_per_unit` nanoseconds, null
    /// where unknown.
    pub(crate) fn to_json(self, ns_per_unit: f64) -> serde_json::Value {
        let scaled = |ns: Option<f64>| ns.map(|ns| ns / ns_per_unit);
        let whole = |ns: Option<u64>| scaled(ns.map(|ns| ns as f64));
        serde_json::json!({
            "min": whole(self.min_ns),
            "max": whole(self.max_ns),
            "sum": whole((self.count > 0).then_some(self.sum_ns)),
            "count": self.count,
            "avg": scaled(self.avg_ns()),
            "p50": whole(self.p50_ns),
            "p90": whole(self.p90_ns),
            "p99": whole(self.p99_ns),
        })
    }
}

#[cfg(test)]
mod tests;
