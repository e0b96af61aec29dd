//! How fast telemetry becomes OTLP: 1,000 LLM spans with 2 KB of content each, as protobuf and as JSON.
//!
//! Variants run in turns within one process, so that noise hits them alike; the medians of the CPU time are printed.
//! Limit: protobuf takes less than 5 µs a span, half of what the way to the receiver may take in all.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use flowmeter_model::{
    Attributes, Cost, CostStatus, Figure, IdSource, Span, SpanKind, SpanStatus, TimestampNs, TokenUsage,
    UsdNanos,
};
use flowmeter_otlp::{Encoder, EncoderConfig, Envelope, ExportRequest, Signal, decode_traces, names};
use serde_json::json;

const SPANS: usize = 1_000;
const CONTENT_BYTES: usize = 2_048;
const LIMIT_NS: f64 = 5_000.0;

fn llm_span(ids: &mut IdSource, trace_id: flowmeter_model::TraceId, index: u64) -> Span {
    let start = TimestampNs(1_700_000_000_000_000_000 + index * 1_000_000);
    let parent = Some(ids.span_id());
    let mut span = Span::begin(
        trace_id,
        ids.span_id(),
        parent,
        SpanKind::LlmCall,
        "chat gpt-4o",
        start,
    );
    span.end = Some(TimestampNs(start.0 + 900_000));
    span.status = Some(SpanStatus::Ok);
    // Prose with line ends and quotes, as prompts have them.
    let prose = "Say \"why\" it rains in Paris, and what to do about it.\nBe brief; quote nobody. ";
    let half: String = prose.chars().cycle().take(CONTENT_BYTES / 2).collect();
    let attributes = &mut span.attributes;
    attributes.set(names::OPERATION_NAME, "chat");
    attributes.set(names::PROVIDER_NAME, "openai");
    attributes.set(names::REQUEST_MODEL, "gpt-4o");
    attributes.set("gen_ai.request.temperature", 0.2);
    attributes.set("gen_ai.request.max_tokens", 500_i64);
    attributes.set(names::RESPONSE_MODEL, "gpt-4o-2024-08-06");
    attributes.set(names::RESPONSE_ID, "chatcmpl-AbCdEfGhIjKlMnOpQrSt");
    attributes.set(names::FINISH_REASONS, json!(["stop"]));
    attributes.set(names::SERVER_ADDRESS, "api.openai.com");
    attributes.set(names::SERVER_PORT, 443_i64);
    attributes.set(names::INPUT_TOKENS, 1_200_i64);
    attributes.set(names::OUTPUT_TOKENS, 300_i64);
    attributes.set(names::CACHE_READ_TOKENS, 1_024_i64);
    attributes.set(names::COST_USD, 0.00475);
    attributes.set(names::COST_STATUS, "priced");
    attributes.set(names::COST_MATCHED, "openai/gpt-4o");
    attributes.set(
        names::INPUT_MESSAGES,
        json!([{"role": "user", "parts": [{"type": "text", "content": half}]}]),
    );
    attributes.set(
        names::OUTPUT_MESSAGES,
        json!([{"role": "assistant", "parts": [{"type": "text", "content": half}]}]),
    );
    span.usage = Some(TokenUsage {
        input: Some(Figure::provider(1_200)),
        output: Some(Figure::provider(300)),
        cache_read: Some(Figure::provider(1_024)),
        ..TokenUsage::default()
    });
    span.cost = Some(Cost::known(CostStatus::Priced, UsdNanos(4_750_000), None));
    span
}

/// CPU time of this thread: the figure is per core, whoever else is at work.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn main() -> ExitCode {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if is_quick { 5 } else { 41 };
    let mut ids = IdSource::from_seed(7);
    let trace_id = ids.trace_id();
    let spans: Vec<Span> = (0..SPANS as u64)
        .map(|index| llm_span(&mut ids, trace_id, index))
        .collect();
    let mut resource = Attributes::new();
    resource.set("service.name", "bench");
    let envelope = Envelope {
        resource: &resource,
        trace_state: "ot=th:0",
        sampled: true,
        scope_version: "0.1.0",
    };
    let encoder = |openinference, content| {
        Encoder::new(EncoderConfig {
            openinference,
            content,
            ..EncoderConfig::default()
        })
    };
    let (full, bare, phoenix) = (encoder(false, true), encoder(false, false), encoder(true, true));
    let encode = |encoder: &Encoder| encoder.traces(&envelope, &mut spans.iter());
    let request: ExportRequest = encode(&full);
    let (protobuf, json) = (request.to_protobuf(), request.to_json());

    type Variant<'a> = (&'a str, Box<dyn Fn() -> usize + 'a>);
    let variants: [Variant<'_>; 6] = [
        ("protobuf", Box::new(|| encode(&full).to_protobuf().len())),
        (
            "protobuf, no content",
            Box::new(|| encode(&bare).to_protobuf().len()),
        ),
        (
            "protobuf, OpenInference too",
            Box::new(|| encode(&phoenix).to_protobuf().len()),
        ),
        ("JSON", Box::new(|| encode(&full).to_json().len())),
        (
            "protobuf read into spans",
            Box::new(|| decode_traces(&protobuf).map_or(0, |received| received.batches.len())),
        ),
        (
            "JSON read into a request",
            Box::new(|| ExportRequest::from_json(Signal::Traces, &json).map_or(0, |read| read.item_count())),
        ),
    ];
    let mut times = vec![Vec::with_capacity(rounds); variants.len()];
    for _ in 0..rounds {
        for ((_, run), times) in variants.iter().zip(&mut times) {
            let began = thread_cpu();
            black_box(run());
            times.push((thread_cpu() - began).as_nanos() as f64 / SPANS as f64);
        }
    }
    println!(
        "{SPANS} LLM spans, {} bytes of protobuf and {} of JSON each",
        protobuf.len() / SPANS,
        json.len() / SPANS
    );
    let mut holds = true;
    for (index, ((name, _), times)) in variants.iter().zip(&mut times).enumerate() {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        println!(
            "{name:<28} {median:>8.0} ns a span {:>12.0} spans/s",
            1e9 / median
        );
        if index == 0 {
            holds = median < LIMIT_NS;
        }
    }
    println!(
        "{} protobuf: limit {LIMIT_NS} ns a span",
        if holds { "ok  " } else { "MISS" }
    );
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
