//! Metrics as flowmeter hands them to OTLP: a small model, and a histogram with explicit bounds.
//!
//! Never gathers anything: whoever measures fills these in.

use flowmeter_model::{Attributes, TimestampNs};
use smol_str::SmolStr;

/// Whether a point counts from the start of the process or from the point before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// Since the start.
    #[default]
    Cumulative,
    /// Since the last report.
    Delta,
}

/// A number of a point: its kind is kept on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricNumber {
    /// A whole number.
    I64(i64),
    /// A real number.
    F64(f64),
}

/// One number under one set of attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberPoint {
    /// Since when it counts.
    pub start: TimestampNs,
    /// When it was read.
    pub time: TimestampNs,
    /// What it is about.
    pub attributes: Attributes,
    /// The value.
    pub value: MetricNumber,
}

/// One histogram under one set of attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramPoint {
    /// Since when it counts.
    pub start: TimestampNs,
    /// When it was read.
    pub time: TimestampNs,
    /// What it is about.
    pub attributes: Attributes,
    /// The distribution.
    pub histogram: Histogram,
}

/// The kind of a metric with its points.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricKind {
    /// A sum of increments.
    Sum {
        /// Whether it only ever grows.
        is_monotonic: bool,
        /// Since when each point counts.
        temporality: Temporality,
        /// One for each set of attributes.
        points: Vec<NumberPoint>,
    },
    /// The value of the moment.
    Gauge {
        /// One for each set of attributes.
        points: Vec<NumberPoint>,
    },
    /// A distribution over explicit buckets.
    Histogram {
        /// Since when each point counts.
        temporality: Temporality,
        /// One for each set of attributes.
        points: Vec<HistogramPoint>,
    },
}

/// One metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Such as `gen_ai.client.inference.duration`.
    pub name: SmolStr,
    /// In UCUM: `s`, `{token}`, `By`, `1`.
    pub unit: SmolStr,
    /// For the eye.
    pub description: SmolStr,
    /// The points.
    pub kind: MetricKind,
}

/// Counts of values by explicit bucket: bucket `i` holds what is greater than bound `i - 1` and not greater
/// than bound `i`; one more bucket holds the rest.
/// Source: OTLP, `HistogramDataPoint.explicit_bounds`.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: std::borrow::Cow<'static, [f64]>,
    bucket_counts: Vec<u64>,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Histogram {
    /// An empty histogram with these bounds, which are sorted and freed of duplicates and of what is no number.
    #[must_use]
    pub fn new(bounds: &[f64]) -> Self {
        let mut bounds: Vec<f64> = bounds.iter().copied().filter(|bound| bound.is_finite()).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        Self::with_bounds(bounds.into())
    }

    /// An empty histogram whose bounds are known to be sorted: no copy is made of them.
    pub(crate) fn of_sorted(bounds: &'static [f64]) -> Self {
        Self::with_bounds(bounds.into())
    }

    fn with_bounds(bounds: std::borrow::Cow<'static, [f64]>) -> Self {
        Self {
            bucket_counts: vec![0; bounds.len() + 1],
            bounds,
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }

    /// Counts `value`. What is no finite number is not counted.
    pub fn record(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.bucket_counts.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Adds what `other` counted. False, and nothing is added, if its bounds differ.
    pub fn merge(&mut self, other: &Self) -> bool {
        if self.bounds != other.bounds {
            return false;
        }
        for (mine, theirs) in self.bucket_counts.iter_mut().zip(&other.bucket_counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        true
    }

    /// Forgets everything but the bounds, for delta temporality.
    pub fn clear(&mut self) {
        let bounds = std::mem::take(&mut self.bounds);
        *self = Self::with_bounds(bounds);
    }

    /// The bounds, ascending.
    #[must_use]
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// One count more than there are bounds.
    #[must_use]
    pub fn bucket_counts(&self) -> &[u64] {
        &self.bucket_counts
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The smallest, if there is any.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest, if there is any.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }
}

#[cfg(test)]
mod tests;
