//! The metrics of a run: which names, numbers and attributes, in each edition.

use std::fmt::Write;
use std::sync::Arc;

use flowmeter_model::{
    Attributes, Cost, CostStatus, CostTotal, Figure, Span, SpanError, SpanId, SpanKind, SpanStatus,
    TimestampNs, TokenUsage, TraceId, UsdNanos,
};
use flowmeter_otlp::{Metric, MetricKind, MetricNumber, SemanticConventions, Temporality};
use serde_json::to_string;

use super::{CallMeter, SETS_MAX, run_metrics};
use crate::aggregate::{LlmTotals, NodeMetrics};
use crate::backends::{RunEnding, RunIdentity};
use crate::metrics::RunMetrics;
use crate::recorder::DropCounts;

fn identity() -> Arc<RunIdentity> {
    Arc::new(RunIdentity {
        trace_id: TraceId::parse("0123456789abcdef0123456789abcdef").unwrap(),
        root_span_id: None,
        parent_span_id: None,
        workflow: "explain".into(),
        started: TimestampNs(1_000),
        trace_state: String::new(),
        sampled: true,
        resource: Attributes::new(),
    })
}

fn ending(metrics: RunMetrics) -> RunEnding {
    RunEnding {
        sampled: true,
        status: SpanStatus::Ok,
        error: None,
        ended: TimestampNs(9_000),
        metrics: metrics.into(),
        dropped: DropCounts::default(),
    }
}

fn call(model: &str, seconds: f64, input: u64, output: u64) -> Span {
    let mut span = Span::begin(
        TraceId::parse("0123456789abcdef0123456789abcdef").unwrap(),
        SpanId::parse("0123456789abcdef").unwrap(),
        None,
        SpanKind::LlmCall,
        "chat m",
        TimestampNs(1_000),
    );
    span.end = Some(TimestampNs(1_000 + (seconds * 1e9) as u64));
    span.status = Some(SpanStatus::Ok);
    span.attributes.set("gen_ai.operation.name", "chat");
    span.attributes.set("gen_ai.provider.name", "openai");
    span.attributes.set("gen_ai.request.model", model);
    span.usage = Some(TokenUsage {
        input: Some(Figure::provider(input)),
        output: Some(Figure::provider(output)),
        ..TokenUsage::default()
    });
    span
}

/// One line for each point.
fn shown(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for metric in metrics {
        let name = format!("{} [{}]", metric.name, metric.unit);
        match &metric.kind {
            MetricKind::Sum { points, .. } | MetricKind::Gauge { points } => {
                for point in points {
                    let value = match point.value {
                        MetricNumber::I64(value) => value.to_string(),
                        MetricNumber::F64(value) => value.to_string(),
                    };
                    assert_eq!(
                        (point.start, point.time),
                        (TimestampNs(1_000), TimestampNs(9_000))
                    );
                    let _ = writeln!(text, "{name} {value} {}", to_string(&point.attributes).unwrap());
                }
            }
            MetricKind::Histogram { points, .. } => {
                for point in points {
                    let (count, sum) = (point.histogram.count(), point.histogram.sum());
                    let _ = writeln!(
                        text,
                        "{name} {count}x{sum} {}",
                        to_string(&point.attributes).unwrap()
                    );
                }
            }
        }
    }
    text
}

fn meter() -> CallMeter {
    let mut meter = CallMeter::default();
    meter.add(&call("a", 0.5, 100, 10));
    let mut cached = call("a", 1.5, 50, 5);
    cached.attributes.set("gen_ai.response.time_to_first_chunk", 0.25);
    let usage = cached.usage.as_mut().unwrap();
    usage.cache_read = Some(Figure::provider(30));
    usage.input_audio = Some(Figure::provider(20));
    usage.reasoning = Some(Figure::provider(4));
    meter.add(&cached);
    let mut failed = call("a", 2.0, 0, 0);
    failed.usage = None;
    failed.error = Some(SpanError {
        error_type: "http_500".into(),
        message: String::new(),
        chain: Vec::new(),
    });
    meter.add(&failed);
    let mut node = call("a", 3.0, 1, 1);
    node.kind = SpanKind::Node;
    meter.add(&node);
    meter
}

#[test]
fn calls_in_the_newest_edition() {
    let metrics = meter().metrics(
        SemanticConventions::Latest,
        Temporality::Delta,
        &identity(),
        &ending(RunMetrics::default()),
    );
    expect_test::expect![[r#"
        gen_ai.client.inference.duration [s] 2x2 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a"}
        gen_ai.client.inference.duration [s] 1x2 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a","error.type":"http_500"}
        gen_ai.client.inference.time_to_first_chunk [s] 1x0.25 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a"}
        gen_ai.client.inference.usage.input_tokens [{token}] 130 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a","gen_ai.token.modality":"text"}
        gen_ai.client.inference.usage.input_tokens [{token}] 20 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a","gen_ai.token.modality":"audio"}
        gen_ai.client.inference.usage.output_tokens [{token}] 15 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a","gen_ai.token.modality":"text"}
        gen_ai.client.inference.usage.cache_read.input_tokens [{token}] 30 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a"}
        gen_ai.client.inference.usage.reasoning.output_tokens [{token}] 4 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a"}
    "#]]
    .assert_eq(&shown(&metrics));
    let is_delta = |metric: &Metric| match metric.kind {
        MetricKind::Sum { temporality, .. } | MetricKind::Histogram { temporality, .. } => {
            temporality == Temporality::Delta
        }
        MetricKind::Gauge { .. } => false,
    };
    assert!(metrics.iter().all(is_delta));
}

#[test]
fn calls_in_the_older_edition() {
    let metrics = meter().metrics(
        SemanticConventions::V1_41,
        Temporality::Cumulative,
        &identity(),
        &ending(RunMetrics::default()),
    );
    expect_test::expect![[r#"
        gen_ai.client.operation.duration [s] 2x2 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a"}
        gen_ai.client.operation.duration [s] 1x2 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a","error.type":"http_500"}
        gen_ai.client.operation.time_to_first_chunk [s] 1x0.25 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a"}
        gen_ai.client.token.usage [{token}] 2x150 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a","gen_ai.token.type":"input"}
        gen_ai.client.token.usage [{token}] 2x15 {"gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"a","gen_ai.token.type":"output"}
    "#]]
    .assert_eq(&shown(&metrics));
}

#[test]
fn too_many_sets_of_attributes_share_one() {
    let mut meter = CallMeter::default();
    for number in 0..SETS_MAX + 50 {
        meter.add(&call(&format!("m{number}"), 1.0, 1, 1));
    }
    meter.add(&call("m0", 1.0, 1, 1));
    let metrics = meter.metrics(
        SemanticConventions::Latest,
        Temporality::Delta,
        &identity(),
        &ending(RunMetrics::default()),
    );
    let text = shown(&metrics);
    let durations: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("gen_ai.client.inference.duration"))
        .collect();
    assert_eq!(durations.len(), SETS_MAX + 1);
    assert!(
        durations[0].starts_with("gen_ai.client.inference.duration [s] 2x2 "),
        "{}",
        durations[0]
    );
    assert_eq!(
        durations[SETS_MAX],
        r#"gen_ai.client.inference.duration [s] 50x50 {"otel.metric.overflow":true}"#
    );
}

#[test]
fn a_run_tells_its_duration_its_costs_and_its_nodes() {
    let priced = Cost::known(CostStatus::Priced, UsdNanos(2_500_000), None);
    let mut known = LlmTotals {
        calls: 3,
        failed_calls: 1,
        ..LlmTotals::default()
    };
    known.cost.add("a", &priced);
    let mut unknown = LlmTotals {
        calls: 1,
        cost: CostTotal::default(),
        ..LlmTotals::default()
    };
    unknown.cost.add("b", &Cost::unpriced());
    let node = NodeMetrics {
        node_type: "llm".into(),
        runs: 4,
        failures: 1,
        duration_ns: 1_500_000_000,
        ..NodeMetrics::default()
    };
    let metrics = RunMetrics {
        duration_ns: 3_000_000_000,
        models: [("a".into(), known), ("b".into(), unknown)].into(),
        nodes: vec![("ask".into(), node)],
        ..RunMetrics::default()
    };
    let mut ending = ending(metrics);
    ending.status = SpanStatus::Error;
    ending.error = Some(SpanError {
        error_type: "timeout".into(),
        message: String::new(),
        chain: Vec::new(),
    });
    let metrics = run_metrics(
        SemanticConventions::Both,
        Temporality::Cumulative,
        &identity(),
        &ending,
    );
    expect_test::expect![[r#"
        gen_ai.invoke_workflow.duration [s] 1x3 {"gen_ai.operation.name":"invoke_workflow","gen_ai.workflow.name":"explain","error.type":"timeout"}
        flowmeter.cost.usd [{USD}] 0.0025 {"gen_ai.request.model":"a","flowmeter.cost.status":"priced"}
        flowmeter.llm.calls [{call}] 2 {"gen_ai.request.model":"a","flowmeter.status":"ok"}
        flowmeter.llm.calls [{call}] 1 {"gen_ai.request.model":"a","flowmeter.status":"error"}
        flowmeter.llm.calls [{call}] 1 {"gen_ai.request.model":"b","flowmeter.status":"ok"}
        flowmeter.llm.unpriced_calls [{call}] 1 {"gen_ai.request.model":"b"}
        flowmeter.node.duration [s] 1.5 {"node.id":"ask","node.type":"llm"}
        flowmeter.node.runs [{run}] 4 {"node.id":"ask","node.type":"llm"}
        flowmeter.node.failures [{run}] 1 {"node.id":"ask","node.type":"llm"}
    "#]]
    .assert_eq(&shown(&metrics));
}

#[test]
fn look_ups_in_the_response_cache_are_told_and_are_no_operations() {
    let mut hit = call("a", 1.0, 0, 0);
    hit.attributes.set(crate::llm::cached::HIT, true);
    let mut meter = CallMeter::default();
    meter.add(&hit);
    let of_calls = meter.metrics(
        SemanticConventions::Latest,
        Temporality::Delta,
        &identity(),
        &ending(RunMetrics::default()),
    );
    assert_eq!(shown(&of_calls), "");

    let mut totals = LlmTotals::default();
    totals.cache.misses = 2;
    let saved = Cost::known(CostStatus::Estimated, UsdNanos(2_500_000), None);
    totals.add_cache_hit(&crate::CacheHitSample {
        model: "a",
        input_tokens: Some(100),
        output_tokens: Some(20),
        saved: &saved,
    });
    let metrics = RunMetrics {
        models: [("a".into(), totals)].into(),
        ..RunMetrics::default()
    };
    let metrics = run_metrics(
        SemanticConventions::Latest,
        Temporality::Delta,
        &identity(),
        &ending(metrics),
    );
    let text = shown(&metrics);
    let of_cache: Vec<&str> = text.lines().filter(|line| line.contains(".cache.")).collect();
    expect_test::expect![[r#"
        flowmeter.cache.lookups [{lookup}] 1 {"gen_ai.request.model":"a","flowmeter.cache.hit":true}
        flowmeter.cache.lookups [{lookup}] 2 {"gen_ai.request.model":"a","flowmeter.cache.hit":false}
        flowmeter.cache.saved.tokens [{token}] 100 {"gen_ai.request.model":"a","gen_ai.token.type":"input"}
        flowmeter.cache.saved.tokens [{token}] 20 {"gen_ai.request.model":"a","gen_ai.token.type":"output"}
        flowmeter.cache.saved.usd [{USD}] 0.0025 {"gen_ai.request.model":"a","flowmeter.cost.status":"estimated"}"#]].assert_eq(&of_cache.join("\n"));
}
