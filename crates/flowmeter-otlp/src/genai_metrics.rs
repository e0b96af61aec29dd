//! The metrics of the GenAI conventions: names, units and buckets, for the newest edition and for 1.41.
//!
//! Definitions only: who measures fills [`crate::Metric`]s from them.

use flowmeter_model::{Attributes, TimestampNs};
use smol_str::SmolStr;

use crate::SemanticConventions;
use crate::metric::{Histogram, HistogramPoint, Metric, MetricKind, MetricNumber, NumberPoint, Temporality};

/// Duration of an inference call.
pub const INFERENCE_DURATION: &str = "gen_ai.client.inference.duration";
/// Seconds to the first piece of a streamed answer.
pub const INFERENCE_TIME_TO_FIRST_CHUNK: &str = "gen_ai.client.inference.time_to_first_chunk";
/// Input tokens by modality.
pub const USAGE_INPUT_TOKENS: &str = "gen_ai.client.inference.usage.input_tokens";
/// Output tokens by modality.
pub const USAGE_OUTPUT_TOKENS: &str = "gen_ai.client.inference.usage.output_tokens";
/// Input tokens read from the cache.
pub const USAGE_CACHE_READ_TOKENS: &str = "gen_ai.client.inference.usage.cache_read.input_tokens";
/// Input tokens written to the cache.
pub const USAGE_CACHE_WRITE_TOKENS: &str = "gen_ai.client.inference.usage.cache_write.input_tokens";
/// Output tokens spent on reasoning.
pub const USAGE_REASONING_TOKENS: &str = "gen_ai.client.inference.usage.reasoning.output_tokens";
/// Duration of any call: up to 1.41 of all, since then of those that are no inference, such as embeddings.
pub const OPERATION_DURATION: &str = "gen_ai.client.operation.duration";
/// Seconds to the first piece of a streamed answer, as it was called up to 1.41.
pub const OPERATION_TIME_TO_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
/// Tokens by type (`gen_ai.token.type`), up to 1.41.
pub const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
/// Duration of a workflow.
pub const INVOKE_WORKFLOW_DURATION: &str = "gen_ai.invoke_workflow.duration";

/// Bounds in seconds for one call: 0.01 × 2ⁿ.
pub const CALL_SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
/// Bounds in tokens: 4ⁿ.
pub const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// Bounds in seconds for a workflow.
pub const WORKFLOW_SECONDS: [f64; 11] = [
    1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0,
];

/// How a metric counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instrument {
    /// A sum that only grows.
    Counter,
    /// A distribution with these bounds.
    Histogram(&'static [f64]),
}

/// One metric of the conventions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricDefinition {
    /// Its name.
    pub name: &'static str,
    /// Its unit, in UCUM.
    pub unit: &'static str,
    /// What it counts.
    pub description: &'static str,
    /// How it counts.
    pub instrument: Instrument,
}

impl MetricDefinition {
    /// An empty histogram with this metric's bounds; `None` for a counter.
    #[must_use]
    pub fn histogram(&self) -> Option<Histogram> {
        match self.instrument {
            Instrument::Counter => None,
            Instrument::Histogram(bounds) => Some(Histogram::of_sorted(bounds)),
        }
    }

    /// The metric with these points, for a histogram.
    #[must_use]
    pub fn with_histograms(&self, temporality: Temporality, points: Vec<HistogramPoint>) -> Metric {
        self.with_kind(MetricKind::Histogram { temporality, points })
    }

    /// The metric with these sums, for a counter: each point is attributes and value.
    #[must_use]
    pub fn with_sums(
        &self,
        temporality: Temporality,
        start: TimestampNs,
        time: TimestampNs,
        sums: impl IntoIterator<Item = (Attributes, u64)>,
    ) -> Metric {
        let points = sums.into_iter().map(|(attributes, sum)| NumberPoint {
            start,
            time,
            attributes,
            value: MetricNumber::I64(i64::try_from(sum).unwrap_or(i64::MAX)),
        });
        self.with_kind(MetricKind::Sum {
            is_monotonic: true,
            temporality,
            points: points.collect(),
        })
    }

    fn with_kind(&self, kind: MetricKind) -> Metric {
        Metric {
            name: SmolStr::new_static(self.name),
            unit: SmolStr::new_static(self.unit),
            description: SmolStr::new_static(self.description),
            kind,
        }
    }
}

const fn seconds(name: &'static str, description: &'static str, bounds: &'static [f64]) -> MetricDefinition {
    MetricDefinition {
        name,
        unit: "s",
        description,
        instrument: Instrument::Histogram(bounds),
    }
}

const fn tokens(name: &'static str, description: &'static str) -> MetricDefinition {
    MetricDefinition {
        name,
        unit: "{token}",
        description,
        instrument: Instrument::Counter,
    }
}

const OPERATION: MetricDefinition = seconds(OPERATION_DURATION, "Duration of the call.", &CALL_SECONDS);
const WORKFLOW: MetricDefinition = seconds(
    INVOKE_WORKFLOW_DURATION,
    "Duration of the workflow.",
    &WORKFLOW_SECONDS,
);

const LATEST: [MetricDefinition; 9] = [
    seconds(
        INFERENCE_DURATION,
        "Duration of the inference call.",
        &CALL_SECONDS,
    ),
    seconds(
        INFERENCE_TIME_TO_FIRST_CHUNK,
        "Time from the request to the first piece of a streamed answer.",
        &CALL_SECONDS,
    ),
    tokens(USAGE_INPUT_TOKENS, "Input tokens, those of the cache included."),
    tokens(USAGE_OUTPUT_TOKENS, "Output tokens, reasoning included."),
    tokens(
        USAGE_CACHE_READ_TOKENS,
        "Input tokens read from the provider's cache.",
    ),
    tokens(
        USAGE_CACHE_WRITE_TOKENS,
        "Input tokens written to the provider's cache.",
    ),
    tokens(USAGE_REASONING_TOKENS, "Output tokens spent on reasoning."),
    OPERATION,
    WORKFLOW,
];

const V1_41: [MetricDefinition; 4] = [
    OPERATION,
    seconds(
        OPERATION_TIME_TO_FIRST_CHUNK,
        "Time from the request to the first piece of a streamed answer.",
        &CALL_SECONDS,
    ),
    MetricDefinition {
        name: TOKEN_USAGE,
        unit: "{token}",
        description: "Input and output tokens of a call.",
        instrument: Instrument::Histogram(&TOKENS),
    },
    WORKFLOW,
];

/// The metrics of an edition, each once. In the newest, [`OPERATION_DURATION`] is for embeddings only; in 1.41
/// and in both it is for every call.
pub fn genai_metrics(conventions: SemanticConventions) -> impl Iterator<Item = &'static MetricDefinition> {
    let latest: &'static [MetricDefinition] = if conventions.writes_latest() { &LATEST } else { &[] };
    let older: &'static [MetricDefinition] = if conventions.writes_v1_41() { &V1_41 } else { &[] };
    let only_older = older
        .iter()
        .filter(move |old| latest.iter().all(|new| new.name != old.name));
    latest.iter().chain(only_older)
}

/// The definition of the metric `name`, of any edition.
#[must_use]
pub fn genai_metric(name: &str) -> Option<&'static MetricDefinition> {
    genai_metrics(SemanticConventions::Both).find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests;
