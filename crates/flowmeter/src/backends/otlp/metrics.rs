//! The metrics of a run for OTLP: those of the GenAI conventions from its LLM calls, and our own from its numbers.
//!
//! Never asks for the time: the run says when it began and ended. Cost has no name in the conventions; ours is
//! `flowmeter.cost.usd`.

use flowmeter_model::{AttributeValue, Attributes, Figure, Span, SpanKind, SpanStatus, TokenUsage};
use flowmeter_otlp::genai_metrics::{
    INFERENCE_DURATION, INFERENCE_TIME_TO_FIRST_CHUNK, INVOKE_WORKFLOW_DURATION, OPERATION_DURATION,
    OPERATION_TIME_TO_FIRST_CHUNK, TOKEN_USAGE, USAGE_CACHE_READ_TOKENS, USAGE_CACHE_WRITE_TOKENS,
    USAGE_INPUT_TOKENS, USAGE_OUTPUT_TOKENS, USAGE_REASONING_TOKENS,
};
use flowmeter_otlp::{
    Histogram, HistogramPoint, Metric, MetricDefinition, MetricKind, MetricNumber, NumberPoint,
    SemanticConventions, Temporality, genai_metric, genai_metrics, names,
};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::backends::{RunEnding, RunIdentity};
use crate::llm::cached;

/// No more sets of attributes are told apart. Source: OpenTelemetry metrics SDK, cardinality limits.
const SETS_MAX: usize = 2000;
/// The attribute of the set that holds the rest.
const OVERFLOW: &str = "otel.metric.overflow";
/// The attributes that tell calls apart.
const CALL_KEYS: [&str; 7] = [
    names::OPERATION_NAME,
    names::PROVIDER_NAME,
    names::REQUEST_MODEL,
    names::RESPONSE_MODEL,
    names::SERVER_ADDRESS,
    names::SERVER_PORT,
    names::ERROR_TYPE,
];
const TOKEN_TYPE: &str = "gen_ai.token.type";
const TOKEN_MODALITY: &str = "gen_ai.token.modality";

/// Adds up the LLM calls of a run.
#[derive(Debug, Default)]
pub(in crate::backends) struct CallMeter {
    place_of: FxHashMap<String, usize>,
    sets: Vec<CallSet>,
}

/// The calls under one set of attributes.
#[derive(Debug)]
struct CallSet {
    attributes: Attributes,
    is_embedding: bool,
    durations: Histogram,
    first_chunks: Histogram,
    input_tokens: Histogram,
    output_tokens: Histogram,
    text_in: u64,
    audio_in: u64,
    image_in: u64,
    text_out: u64,
    audio_out: u64,
    cache_read: u64,
    cache_write: u64,
    reasoning: u64,
}

impl CallSet {
    fn new(attributes: Attributes) -> Self {
        let seconds = histogram_of(OPERATION_DURATION);
        let tokens = histogram_of(TOKEN_USAGE);
        let operation = attributes.get_str(names::OPERATION_NAME);
        Self {
            is_embedding: operation == Some(names::EMBEDDINGS),
            attributes,
            durations: seconds.clone(),
            first_chunks: seconds,
            input_tokens: tokens.clone(),
            output_tokens: tokens,
            text_in: 0,
            audio_in: 0,
            image_in: 0,
            text_out: 0,
            audio_out: 0,
            cache_read: 0,
            cache_write: 0,
            reasoning: 0,
        }
    }

    fn add(&mut self, span: &Span) {
        if let Some(duration_ns) = span.duration_ns() {
            self.durations.record(seconds(duration_ns));
        }
        if let Some(AttributeValue::F64(first_chunk)) = span.attributes.get(names::TIME_TO_FIRST_CHUNK) {
            self.first_chunks.record(*first_chunk);
        }
        if let Some(usage) = &span.usage {
            self.add_usage(usage);
        }
    }

    fn add_usage(&mut self, usage: &TokenUsage) {
        let tokens = |figure: Option<Figure>| figure.map_or(0, |figure| figure.tokens);
        if let Some(input) = usage.input {
            let (audio, image) = (tokens(usage.input_audio), tokens(usage.input_image));
            self.input_tokens.record(input.tokens as f64);
            self.text_in += input.tokens.saturating_sub(audio + image);
            self.audio_in += audio;
            self.image_in += image;
        }
        if let Some(output) = usage.output {
            let audio = tokens(usage.output_audio);
            self.output_tokens.record(output.tokens as f64);
            self.text_out += output.tokens.saturating_sub(audio);
            self.audio_out += audio;
        }
        self.cache_read += tokens(usage.cache_read);
        self.cache_write += tokens(usage.cache_write_5m) + tokens(usage.cache_write_1h);
        self.reasoning += tokens(usage.reasoning);
    }

    fn with(&self, key: &'static str, value: &str) -> Attributes {
        let mut attributes = self.attributes.clone();
        attributes.set(key, value);
        attributes
    }

    /// The histograms of the metric `name` for these calls, each with its attributes.
    fn histograms(&self, name: &str, writes_v1_41: bool) -> Vec<(Attributes, &Histogram)> {
        let of_calls = |histogram| vec![(self.attributes.clone(), histogram)];
        match name {
            INFERENCE_DURATION if !self.is_embedding => of_calls(&self.durations),
            OPERATION_DURATION if self.is_embedding || writes_v1_41 => of_calls(&self.durations),
            INFERENCE_TIME_TO_FIRST_CHUNK | OPERATION_TIME_TO_FIRST_CHUNK if !self.is_embedding => {
                of_calls(&self.first_chunks)
            }
            TOKEN_USAGE => vec![
                (self.with(TOKEN_TYPE, "input"), &self.input_tokens),
                (self.with(TOKEN_TYPE, "output"), &self.output_tokens),
            ],
            _ => Vec::new(),
        }
    }

    /// The sums of the metric `name` for these calls, each with its attributes.
    fn sums(&self, name: &str) -> Vec<(Attributes, u64)> {
        let by_modality = |sums: &[(&str, u64)]| -> Vec<(Attributes, u64)> {
            let present = sums.iter().filter(|(_, tokens)| *tokens > 0);
            present
                .map(|(modality, tokens)| (self.with(TOKEN_MODALITY, modality), *tokens))
                .collect()
        };
        let plain = |tokens: u64| {
            let present = (tokens > 0).then(|| (self.attributes.clone(), tokens));
            present.into_iter().collect()
        };
        match name {
            USAGE_INPUT_TOKENS => by_modality(&[
                ("text", self.text_in),
                ("audio", self.audio_in),
                ("image", self.image_in),
            ]),
            USAGE_OUTPUT_TOKENS => by_modality(&[("text", self.text_out), ("audio", self.audio_out)]),
            USAGE_CACHE_READ_TOKENS => plain(self.cache_read),
            USAGE_CACHE_WRITE_TOKENS => plain(self.cache_write),
            USAGE_REASONING_TOKENS => plain(self.reasoning),
            _ => Vec::new(),
        }
    }
}

impl CallMeter {
    /// Counts a span, if it is an LLM call.
    pub(in crate::backends) fn add(&mut self, span: &Span) {
        // An answer from our own cache was no operation of a provider.
        if span.kind != SpanKind::LlmCall || cached::is_hit(span) {
            return;
        }
        let mut attributes = Attributes::new();
        let mut key = String::new();
        for name in CALL_KEYS {
            let value = match span.attributes.get(name) {
                Some(value) => value.clone(),
                None if name == names::ERROR_TYPE => match &span.error {
                    Some(error) => AttributeValue::from(error.error_type.clone()),
                    None => continue,
                },
                None => continue,
            };
            key.push_str(name);
            key.push_str(&format!("={value:?}\u{1f}"));
            attributes.set(name, value);
        }
        let place = match self.place_of.get(&key) {
            Some(place) => *place,
            None => self.new_place(key, attributes),
        };
        if let Some(set) = self.sets.get_mut(place) {
            set.add(span);
        }
    }

    /// A place for a new set, or that of the rest when there are too many.
    fn new_place(&mut self, key: String, attributes: Attributes) -> usize {
        if self.sets.len() > SETS_MAX {
            return SETS_MAX;
        }
        let is_overflow = self.sets.len() == SETS_MAX;
        let attributes = if is_overflow {
            let mut overflow = Attributes::new();
            overflow.set(OVERFLOW, true);
            overflow
        } else {
            attributes
        };
        self.sets.push(CallSet::new(attributes));
        let place = self.sets.len() - 1;
        if !is_overflow {
            self.place_of.insert(key, place);
        }
        place
    }

    /// The metrics of the conventions' edition over all calls so far.
    pub(in crate::backends) fn metrics(
        &self,
        conventions: SemanticConventions,
        temporality: Temporality,
        run: &RunIdentity,
        ending: &RunEnding,
    ) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for definition in genai_metrics(conventions) {
            let histograms = self
                .sets
                .iter()
                .flat_map(|set| set.histograms(definition.name, conventions.writes_v1_41()))
                .filter(|(_, histogram)| histogram.count() > 0);
            let points: Vec<HistogramPoint> = histograms
                .map(|(attributes, histogram)| HistogramPoint {
                    start: run.started,
                    time: ending.ended,
                    attributes,
                    histogram: histogram.clone(),
                })
                .collect();
            if !points.is_empty() {
                metrics.push(definition.with_histograms(temporality, points));
            }
            let sums: Vec<(Attributes, u64)> = self
                .sets
                .iter()
                .flat_map(|set| set.sums(definition.name))
                .collect();
            if !sums.is_empty() {
                metrics.push(definition.with_sums(temporality, run.started, ending.ended, sums));
            }
        }
        metrics
    }
}

/// An empty histogram with the bounds of a metric of the conventions.
fn histogram_of(name: &str) -> Histogram {
    let histogram = genai_metric(name).and_then(MetricDefinition::histogram);
    histogram.unwrap_or_else(|| Histogram::new(&[]))
}

fn seconds(duration_ns: u64) -> f64 {
    duration_ns as f64 / 1e9
}

/// The metrics that follow from the numbers of a whole run: its duration, its cost by model, its nodes.
///
/// They are counted at the source, so that they hold whatever became of the trace.
#[must_use]
pub fn run_metrics(
    conventions: SemanticConventions,
    temporality: Temporality,
    run: &RunIdentity,
    ending: &RunEnding,
) -> Vec<Metric> {
    let of_run = RunPoints {
        temporality,
        run,
        ending,
    };
    let mut metrics = Vec::new();
    metrics.extend(of_run.workflow_duration(conventions));
    metrics.extend(of_run.models());
    metrics.extend(of_run.caches());
    metrics.extend(of_run.nodes());
    metrics
}

struct RunPoints<'a> {
    temporality: Temporality,
    run: &'a RunIdentity,
    ending: &'a RunEnding,
}

impl RunPoints<'_> {
    fn workflow_duration(&self, conventions: SemanticConventions) -> Option<Metric> {
        let definition = genai_metrics(conventions).find(|metric| metric.name == INVOKE_WORKFLOW_DURATION)?;
        let mut histogram = definition.histogram()?;
        histogram.record(seconds(self.ending.metrics.duration_ns));
        let mut attributes = Attributes::new();
        attributes.set(names::OPERATION_NAME, names::INVOKE_WORKFLOW);
        attributes.set(names::WORKFLOW_NAME, self.run.workflow.clone());
        if self.ending.status != SpanStatus::Ok {
            let error = self.ending.error.as_ref();
            let class = error.map_or_else(|| SmolStr::new_static("_OTHER"), |error| error.error_type.clone());
            attributes.set(names::ERROR_TYPE, class);
        }
        let point = HistogramPoint {
            start: self.run.started,
            time: self.ending.ended,
            attributes,
            histogram,
        };
        Some(definition.with_histograms(self.temporality, vec![point]))
    }

    /// Cost and calls by model. What has no price is counted, and is no cost of zero.
    fn models(&self) -> Vec<Metric> {
        let (mut costs, mut calls) = (Vec::new(), Vec::new());
        for (model, totals) in &self.ending.metrics.models {
            let mut attributes = Attributes::new();
            attributes.set(names::REQUEST_MODEL, model.clone());
            if let Some(amount) = totals.cost.amount() {
                let mut attributes = attributes.clone();
                attributes.set(names::COST_STATUS, totals.cost.status().as_str());
                costs.push((attributes, MetricNumber::F64(amount.to_usd())));
            }
            let outcomes = [
                ("ok", totals.calls.saturating_sub(totals.failed_calls)),
                ("error", totals.failed_calls),
            ];
            for (status, count) in outcomes.into_iter().filter(|(_, count)| *count > 0) {
                let mut attributes = attributes.clone();
                attributes.set("flowmeter.status", status);
                calls.push((attributes, whole(count)));
            }
        }
        let unpriced = self.ending.metrics.models.iter().filter_map(|(model, totals)| {
            let mut attributes = Attributes::new();
            attributes.set(names::REQUEST_MODEL, model.clone());
            let count = totals.cost.unpriced_calls;
            (count > 0).then(|| (attributes, whole(count)))
        });
        let unpriced = unpriced.collect();
        [
            self.sum(
                names::COST_USD,
                "{USD}",
                "What LLM calls cost, as far as prices are known.",
                costs,
            ),
            self.sum("flowmeter.llm.calls", "{call}", "LLM calls.", calls),
            self.sum(
                "flowmeter.llm.unpriced_calls",
                "{call}",
                "LLM calls without a known price.",
                unpriced,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Look-ups in response caches by model, and what the hits saved.
    fn caches(&self) -> Vec<Metric> {
        let (mut lookups, mut tokens, mut costs) = (Vec::new(), Vec::new(), Vec::new());
        for (model, totals) in &self.ending.metrics.models {
            let cache = &totals.cache;
            let with = |key: &'static str, value: AttributeValue| {
                let mut attributes = Attributes::new();
                attributes.set(names::REQUEST_MODEL, model.clone());
                attributes.set(key, value);
                attributes
            };
            for (is_hit, count) in [(true, cache.hits), (false, cache.misses)] {
                if count > 0 {
                    lookups.push((with(cached::HIT, is_hit.into()), whole(count)));
                }
            }
            if cache.hits == 0 {
                continue;
            }
            for (kind, saved) in [
                ("input", cache.saved_input_tokens),
                ("output", cache.saved_output_tokens),
            ] {
                tokens.push((with(TOKEN_TYPE, kind.into()), whole(saved)));
            }
            if let Some(saved) = cache.saved_cost.amount() {
                let status = cache.saved_cost.status().as_str();
                let attributes = with(names::COST_STATUS, status.into());
                costs.push((attributes, MetricNumber::F64(saved.to_usd())));
            }
        }
        [
            self.sum(
                "flowmeter.cache.lookups",
                "{lookup}",
                "Look-ups in the response cache.",
                lookups,
            ),
            self.sum(
                "flowmeter.cache.saved.tokens",
                "{token}",
                "Tokens of calls that the response cache saved.",
                tokens,
            ),
            self.sum(
                "flowmeter.cache.saved.usd",
                "{USD}",
                "What these calls cost when they were made.",
                costs,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Time, runs and failures by node.
    fn nodes(&self) -> Vec<Metric> {
        let (mut durations, mut runs, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for (path, node) in self.ending.metrics.nodes.iter().take(SETS_MAX) {
            if node.runs == 0 {
                continue;
            }
            let mut attributes = Attributes::new();
            attributes.set("node.id", path.clone());
            attributes.set("node.type", node.node_type.clone());
            durations.push((attributes.clone(), MetricNumber::F64(seconds(node.duration_ns))));
            runs.push((attributes.clone(), whole(node.runs)));
            if node.failures > 0 {
                failures.push((attributes, whole(node.failures)));
            }
        }
        [
            self.sum("flowmeter.node.duration", "s", "Time spent in nodes.", durations),
            self.sum("flowmeter.node.runs", "{run}", "How often nodes ran.", runs),
            self.sum(
                "flowmeter.node.failures",
                "{run}",
                "How often nodes failed.",
                failures,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// A sum with a point for each set of attributes; `None` without any.
    fn sum(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        numbers: Vec<(Attributes, MetricNumber)>,
    ) -> Option<Metric> {
        if numbers.is_empty() {
            return None;
        }
        let points = numbers.into_iter().map(|(attributes, value)| NumberPoint {
            start: self.run.started,
            time: self.ending.ended,
            attributes,
            value,
        });
        Some(Metric {
            name: SmolStr::new_static(name),
            unit: SmolStr::new_static(unit),
            description: SmolStr::new_static(description),
            kind: MetricKind::Sum {
                is_monotonic: true,
                temporality: self.temporality,
                points: points.collect(),
            },
        })
    }
}

fn whole(count: u64) -> MetricNumber {
    MetricNumber::I64(i64::try_from(count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
