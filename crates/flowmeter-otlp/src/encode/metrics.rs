//! Metrics: sums, gauges and histograms.
//!
//! Never aggregates: points go out as they are.

use super::attributes;
use crate::metric::{HistogramPoint, Metric, MetricKind, MetricNumber, NumberPoint, Temporality};
use crate::wire::Wire;

fn temporality_number(temporality: Temporality) -> u64 {
    match temporality {
        Temporality::Delta => 1,
        Temporality::Cumulative => 2,
    }
}

pub(super) fn write_metric(wire: &mut Wire, metric: &Metric) {
    let message = wire.open(2, 2);
    wire.bytes(1, metric.name.as_bytes());
    wire.bytes(2, metric.description.as_bytes());
    wire.bytes(3, metric.unit.as_bytes());
    match &metric.kind {
        MetricKind::Gauge { points } => {
            let gauge = wire.open(5, 2);
            points.iter().for_each(|point| write_number(wire, point));
            wire.close(gauge);
        }
        MetricKind::Sum {
            is_monotonic,
            temporality,
            points,
        } => {
            let sum = wire.open(7, 2);
            points.iter().for_each(|point| write_number(wire, point));
            wire.uint(2, temporality_number(*temporality));
            wire.uint(3, u64::from(*is_monotonic));
            wire.close(sum);
        }
        MetricKind::Histogram { temporality, points } => {
            let histogram = wire.open(9, 2);
            points.iter().for_each(|point| write_histogram(wire, point));
            wire.uint(2, temporality_number(*temporality));
            wire.close(histogram);
        }
    }
    wire.close(message);
}

fn write_number(wire: &mut Wire, point: &NumberPoint) {
    let message = wire.open(1, 1);
    wire.fixed64(2, point.start.0);
    wire.fixed64(3, point.time.0);
    match point.value {
        MetricNumber::F64(value) => wire.double_always(4, value),
        MetricNumber::I64(value) => wire.fixed64_always(6, value.cast_unsigned()),
    }
    for (key, value) in point.attributes.iter() {
        attributes::write(wire, 7, key, value);
    }
    wire.close(message);
}

fn write_histogram(wire: &mut Wire, point: &HistogramPoint) {
    let histogram = &point.histogram;
    let message = wire.open(1, 2);
    wire.fixed64(2, point.start.0);
    wire.fixed64(3, point.time.0);
    wire.fixed64(4, histogram.count());
    wire.double_always(5, histogram.sum());
    wire.packed_fixed64(6, histogram.bucket_counts().iter().copied());
    wire.packed_fixed64(7, histogram.bounds().iter().map(|bound| bound.to_bits()));
    for (key, value) in point.attributes.iter() {
        attributes::write(wire, 9, key, value);
    }
    for (field, limit) in [(11, histogram.min()), (12, histogram.max())] {
        if let Some(limit) = limit {
            wire.double_always(field, limit);
        }
    }
    wire.close(message);
}
