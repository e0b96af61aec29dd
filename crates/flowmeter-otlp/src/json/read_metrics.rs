//! OTLP/JSON into metrics, all five kinds.
//!
//! Never drops a kind that flowmeter itself does not write: a request may only pass through.

use super::read::{Fields, f64_of, resource_of, scope_of, u64_of};
use crate::proto::ExportMetricsServiceRequest;
use crate::proto::metrics::exponential_histogram_data_point::Buckets;
use crate::proto::metrics::summary_data_point::ValueAtQuantile;
use crate::proto::metrics::{self, exemplar, metric, number_data_point};
use crate::request::InvalidOtlp;

/// Reads an export request of metrics.
pub(crate) fn read_metrics(text: &[u8]) -> Result<ExportMetricsServiceRequest, InvalidOtlp> {
    let resource_metrics = Fields::parse(text)?.objects("resourceMetrics", |mut group| {
        Ok(metrics::ResourceMetrics {
            resource: group.object("resource", resource_of)?,
            scope_metrics: group.objects("scopeMetrics", |mut group| {
                Ok(metrics::ScopeMetrics {
                    scope: group.object("scope", scope_of)?,
                    metrics: group.objects("metrics", metric_of)?,
                    schema_url: group.text("schemaUrl")?,
                })
            })?,
            schema_url: group.text("schemaUrl")?,
        })
    })?;
    Ok(ExportMetricsServiceRequest { resource_metrics })
}

fn temporality(fields: &mut Fields) -> Result<i32, InvalidOtlp> {
    fields.enumeration("aggregationTemporality", |name| {
        metrics::AggregationTemporality::from_str_name(name).map(i32::from)
    })
}

fn metric_of(mut fields: Fields) -> Result<metrics::Metric, InvalidOtlp> {
    let gauge = fields.object("gauge", |mut gauge| {
        let data_points = gauge.objects("dataPoints", number_point)?;
        Ok(metric::Data::Gauge(metrics::Gauge { data_points }))
    })?;
    let sum = fields.object("sum", |mut sum| {
        Ok(metric::Data::Sum(metrics::Sum {
            data_points: sum.objects("dataPoints", number_point)?,
            aggregation_temporality: temporality(&mut sum)?,
            is_monotonic: sum.flag("isMonotonic")?,
        }))
    })?;
    let histogram = fields.object("histogram", |mut histogram| {
        Ok(metric::Data::Histogram(metrics::Histogram {
            data_points: histogram.objects("dataPoints", histogram_point)?,
            aggregation_temporality: temporality(&mut histogram)?,
        }))
    })?;
    let exponential = fields.object("exponentialHistogram", |mut histogram| {
        Ok(metric::Data::ExponentialHistogram(
            metrics::ExponentialHistogram {
                data_points: histogram.objects("dataPoints", exponential_point)?,
                aggregation_temporality: temporality(&mut histogram)?,
            },
        ))
    })?;
    let summary = fields.object("summary", |mut summary| {
        let data_points = summary.objects("dataPoints", summary_point)?;
        Ok(metric::Data::Summary(metrics::Summary { data_points }))
    })?;
    Ok(metrics::Metric {
        name: fields.text("name")?,
        description: fields.text("description")?,
        unit: fields.text("unit")?,
        metadata: fields.attributes("metadata")?,
        data: gauge.or(sum).or(histogram).or(exponential).or(summary),
    })
}

fn number_point(mut fields: Fields) -> Result<metrics::NumberDataPoint, InvalidOtlp> {
    let value = match fields.f64("asDouble")? {
        Some(value) => Some(number_data_point::Value::AsDouble(value)),
        None => match fields.take("asInt") {
            Some(value) => Some(number_data_point::Value::AsInt(super::read::i64_of(
                "asInt", value,
            )?)),
            None => None,
        },
    };
    Ok(metrics::NumberDataPoint {
        attributes: fields.attributes("attributes")?,
        start_time_unix_nano: fields.u64("startTimeUnixNano")?,
        time_unix_nano: fields.u64("timeUnixNano")?,
        exemplars: fields.objects("exemplars", exemplar_of)?,
        flags: fields.u32("flags")?,
        value,
    })
}

fn counts(fields: &mut Fields) -> Result<Vec<u64>, InvalidOtlp> {
    fields.array("bucketCounts", |count| u64_of("bucketCounts", count))
}

fn histogram_point(mut fields: Fields) -> Result<metrics::HistogramDataPoint, InvalidOtlp> {
    Ok(metrics::HistogramDataPoint {
        attributes: fields.attributes("attributes")?,
        start_time_unix_nano: fields.u64("startTimeUnixNano")?,
        time_unix_nano: fields.u64("timeUnixNano")?,
        count: fields.u64("count")?,
        sum: fields.f64("sum")?,
        bucket_counts: counts(&mut fields)?,
        explicit_bounds: fields.array("explicitBounds", |bound| f64_of("explicitBounds", bound))?,
        exemplars: fields.objects("exemplars", exemplar_of)?,
        flags: fields.u32("flags")?,
        min: fields.f64("min")?,
        max: fields.f64("max")?,
    })
}

fn buckets(mut fields: Fields) -> Result<Buckets, InvalidOtlp> {
    Ok(Buckets {
        offset: fields.i32("offset")?,
        bucket_counts: counts(&mut fields)?,
    })
}

fn exponential_point(mut fields: Fields) -> Result<metrics::ExponentialHistogramDataPoint, InvalidOtlp> {
    Ok(metrics::ExponentialHistogramDataPoint {
        attributes: fields.attributes("attributes")?,
        start_time_unix_nano: fields.u64("startTimeUnixNano")?,
        time_unix_nano: fields.u64("timeUnixNano")?,
        count: fields.u64("count")?,
        sum: fields.f64("sum")?,
        scale: fields.i32("scale")?,
        zero_count: fields.u64("zeroCount")?,
        positive: fields.object("positive", buckets)?,
        negative: fields.object("negative", buckets)?,
        flags: fields.u32("flags")?,
        exemplars: fields.objects("exemplars", exemplar_of)?,
        min: fields.f64("min")?,
        max: fields.f64("max")?,
        zero_threshold: fields.f64("zeroThreshold")?.unwrap_or_default(),
    })
}

fn summary_point(mut fields: Fields) -> Result<metrics::SummaryDataPoint, InvalidOtlp> {
    Ok(metrics::SummaryDataPoint {
        attributes: fields.attributes("attributes")?,
        start_time_unix_nano: fields.u64("startTimeUnixNano")?,
        time_unix_nano: fields.u64("timeUnixNano")?,
        count: fields.u64("count")?,
        sum: fields.f64("sum")?.unwrap_or_default(),
        quantile_values: fields.objects("quantileValues", |mut value| {
            Ok(ValueAtQuantile {
                quantile: value.f64("quantile")?.unwrap_or_default(),
                value: value.f64("value")?.unwrap_or_default(),
            })
        })?,
        flags: fields.u32("flags")?,
    })
}

fn exemplar_of(mut fields: Fields) -> Result<metrics::Exemplar, InvalidOtlp> {
    let value = match fields.f64("asDouble")? {
        Some(value) => Some(exemplar::Value::AsDouble(value)),
        None => match fields.take("asInt") {
            Some(value) => Some(exemplar::Value::AsInt(super::read::i64_of("asInt", value)?)),
            None => None,
        },
    };
    Ok(metrics::Exemplar {
        filtered_attributes: fields.attributes("filteredAttributes")?,
        time_unix_nano: fields.u64("timeUnixNano")?,
        span_id: fields.hex("spanId")?,
        trace_id: fields.hex("traceId")?,
        value,
    })
}
