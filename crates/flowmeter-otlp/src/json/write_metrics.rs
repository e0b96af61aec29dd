//! Metrics as OTLP/JSON, all five kinds: a request read from elsewhere may hold any.
//!
//! Never leaves out a zero that is a value.

use super::write::JsonText;
use crate::proto::metrics::exponential_histogram_data_point::Buckets;
use crate::proto::metrics::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint,
    exemplar, metric, number_data_point,
};

pub(super) fn metric_fields(json: &mut JsonText<'_>, metric: &Metric) {
    json.text_field("name", &metric.name);
    json.text_field("description", &metric.description);
    json.text_field("unit", &metric.unit);
    json.attributes_field("metadata", &metric.metadata);
    match &metric.data {
        Some(metric::Data::Gauge(gauge)) => json.object_field("gauge", |json| {
            points(json, &gauge.data_points, number_point);
        }),
        Some(metric::Data::Sum(sum)) => json.object_field("sum", |json| {
            points(json, &sum.data_points, number_point);
            json.number_field("aggregationTemporality", sum.aggregation_temporality);
            json.flag_field("isMonotonic", sum.is_monotonic);
        }),
        Some(metric::Data::Histogram(histogram)) => json.object_field("histogram", |json| {
            points(json, &histogram.data_points, histogram_point);
            json.number_field("aggregationTemporality", histogram.aggregation_temporality);
        }),
        Some(metric::Data::ExponentialHistogram(histogram)) => {
            json.object_field("exponentialHistogram", |json| {
                points(json, &histogram.data_points, exponential_point);
                json.number_field("aggregationTemporality", histogram.aggregation_temporality);
            });
        }
        Some(metric::Data::Summary(summary)) => json.object_field("summary", |json| {
            points(json, &summary.data_points, summary_point);
        }),
        None => {}
    }
}

fn points<T>(json: &mut JsonText<'_>, points: &[T], fields: impl Fn(&mut JsonText<'_>, &T)) {
    json.array_field("dataPoints", points, |json, point| {
        json.object(|json| fields(json, point));
    });
}

fn number_point(json: &mut JsonText<'_>, point: &NumberDataPoint) {
    json.attributes_field("attributes", &point.attributes);
    json.long_field("startTimeUnixNano", point.start_time_unix_nano);
    json.long_field("timeUnixNano", point.time_unix_nano);
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => json.double_field("asDouble", value),
        Some(number_data_point::Value::AsInt(value)) => {
            json.name("asInt");
            json.long(value);
        }
        None => {}
    }
    exemplars(json, &point.exemplars);
    json.number_field("flags", point.flags);
}

fn limits(json: &mut JsonText<'_>, limits: [(&str, Option<f64>); 3]) {
    for (name, limit) in limits {
        if let Some(limit) = limit {
            json.double_field(name, limit);
        }
    }
}

fn histogram_point(json: &mut JsonText<'_>, point: &HistogramDataPoint) {
    json.attributes_field("attributes", &point.attributes);
    json.long_field("startTimeUnixNano", point.start_time_unix_nano);
    json.long_field("timeUnixNano", point.time_unix_nano);
    json.name("count");
    json.long(point.count);
    limits(json, [("sum", point.sum), ("min", point.min), ("max", point.max)]);
    json.array_field_unless_empty("bucketCounts", &point.bucket_counts, |json, count| {
        json.long(count);
    });
    json.array_field_unless_empty("explicitBounds", &point.explicit_bounds, |json, bound| {
        json.double(*bound);
    });
    exemplars(json, &point.exemplars);
    json.number_field("flags", point.flags);
}

fn exponential_point(json: &mut JsonText<'_>, point: &ExponentialHistogramDataPoint) {
    json.attributes_field("attributes", &point.attributes);
    json.long_field("startTimeUnixNano", point.start_time_unix_nano);
    json.long_field("timeUnixNano", point.time_unix_nano);
    json.name("count");
    json.long(point.count);
    limits(json, [("sum", point.sum), ("min", point.min), ("max", point.max)]);
    json.number_field("scale", point.scale);
    json.long_field("zeroCount", point.zero_count);
    if point.zero_threshold != 0.0 {
        json.double_field("zeroThreshold", point.zero_threshold);
    }
    let mut buckets = |name: &str, buckets: &Option<Buckets>| {
        if let Some(buckets) = buckets {
            json.object_field(name, |json| {
                json.number_field("offset", buckets.offset);
                json.array_field_unless_empty("bucketCounts", &buckets.bucket_counts, |json, count| {
                    json.long(count);
                });
            });
        }
    };
    buckets("positive", &point.positive);
    buckets("negative", &point.negative);
    exemplars(json, &point.exemplars);
    json.number_field("flags", point.flags);
}

fn summary_point(json: &mut JsonText<'_>, point: &SummaryDataPoint) {
    json.attributes_field("attributes", &point.attributes);
    json.long_field("startTimeUnixNano", point.start_time_unix_nano);
    json.long_field("timeUnixNano", point.time_unix_nano);
    json.name("count");
    json.long(point.count);
    json.double_field("sum", point.sum);
    json.array_field_unless_empty("quantileValues", &point.quantile_values, |json, value| {
        json.object(|json| {
            json.double_field("quantile", value.quantile);
            json.double_field("value", value.value);
        });
    });
    json.number_field("flags", point.flags);
}

fn exemplars(json: &mut JsonText<'_>, exemplars: &[Exemplar]) {
    json.array_field_unless_empty("exemplars", exemplars, |json, exemplar| {
        json.object(|json| {
            json.attributes_field("filteredAttributes", &exemplar.filtered_attributes);
            json.long_field("timeUnixNano", exemplar.time_unix_nano);
            match exemplar.value {
                Some(exemplar::Value::AsDouble(value)) => json.double_field("asDouble", value),
                Some(exemplar::Value::AsInt(value)) => {
                    json.name("asInt");
                    json.long(value);
                }
                None => {}
            }
            json.hex_field("spanId", &exemplar.span_id);
            json.hex_field("traceId", &exemplar.trace_id);
        });
    });
}
