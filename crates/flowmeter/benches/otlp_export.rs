//! How fast spans leave over OTLP: 1,000 LLM spans with 2 KB of content each, encoded (protobuf, no gzip) and sent to
//! a sink on the loopback address.
//!
//! The rate is per core: the CPU time of the process, encoder and sender together, without that of the sink's
//! thread. The wall-clock rate stands beside it; there encoder and sender share two cores with the sink.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flowmeter::{
    Backend, Batch, Deadline, DropCounts, OtlpBackend, OtlpConfig, RunEnding, RunIdentity, RunMetrics,
};
use flowmeter_model::{
    Attributes, Cost, CostStatus, Figure, IdSource, Span, SpanKind, SpanStatus, TelemetryEvent, TimestampNs,
    TokenUsage, TraceId, UsdNanos,
};
use flowmeter_otlp::names;
use harness::{median, rounds, verdict};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

const SPANS: u64 = 1_000;
const CONTENT_BYTES: usize = 2_048;
/// Times that the spans are sent while one backend lives.
const REPEATS: u64 = 20;
/// Spans a second and core.
const LIMIT: f64 = 100_000.0;

fn llm_span(ids: &mut IdSource, trace_id: TraceId, index: u64) -> Span {
    let start = TimestampNs(1_700_000_000_000_000_000 + index * 1_000_000);
    let parent = Some(ids.span_id());
    let kind = SpanKind::LlmCall;
    let mut span = Span::begin(trace_id, ids.span_id(), parent, kind, "chat gpt-4o", start);
    span.end = Some(TimestampNs(start.0 + 900_000));
    span.status = Some(SpanStatus::Ok);
    // Prose with line ends and quotes, as prompts have them.
    let prose = "Say \"why\" it rains in Paris, and what to do about it.\nBe brief; quote nobody. ";
    let half: String = prose.chars().cycle().take(CONTENT_BYTES / 2).collect();
    let attributes = &mut span.attributes;
    attributes.set(names::OPERATION_NAME, "chat");
    attributes.set(names::PROVIDER_NAME, "openai");
    attributes.set(names::REQUEST_MODEL, "gpt-4o");
    attributes.set(names::RESPONSE_MODEL, "gpt-4o-2024-08-06");
    attributes.set(names::FINISH_REASONS, json!(["stop"]));
    attributes.set(names::SERVER_ADDRESS, "api.openai.com");
    attributes.set(names::SERVER_PORT, 443_i64);
    attributes.set(names::COST_USD, 0.00475);
    attributes.set(names::COST_STATUS, "priced");
    let messages = |role| json!([{"role": role, "parts": [{"type": "text", "content": half}]}]);
    attributes.set(names::INPUT_MESSAGES, messages("user"));
    attributes.set(names::OUTPUT_MESSAGES, messages("assistant"));
    span.usage = Some(TokenUsage {
        input: Some(Figure::provider(1_200)),
        output: Some(Figure::provider(300)),
        ..TokenUsage::default()
    });
    span.cost = Some(Cost::known(CostStatus::Priced, UsdNanos(4_750_000), None));
    span
}

/// Takes every request and answers that all is well; counts bytes and its own CPU time.
#[derive(Default)]
struct Sink {
    content_bytes: AtomicU64,
    cpu_ns: AtomicU64,
}

fn cpu_ns(clock: ClockId) -> u64 {
    let time = Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Sink {
    /// Connections come one after the other: each backend has one.
    fn serve(&self, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            let _ended_by_the_other_side = self.converse(stream);
        }
    }

    fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::with_capacity(1 << 20, stream);
        let mut line = String::new();
        loop {
            let mut length = 0;
            loop {
                line.clear();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                if line == "\r\n" {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
            }
            std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
            // Before the answer: whoever gets it reads these.
            self.content_bytes.fetch_add(length, Ordering::Relaxed);
            self.cpu_ns
                .store(cpu_ns(ClockId::ThreadCPUTime), Ordering::Relaxed);
            reader
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
    }
}

/// Spans a second, by the CPU time of encoder and sender and by the wall clock.
struct Rates {
    per_core: f64,
    by_wall: f64,
}

/// Sends the batch so often through a backend of its own, from its begin to its end.
fn send(sink: &Sink, endpoint: &str, batch: &Batch, repeats: u64) -> Rates {
    let mut config = OtlpConfig::default().with_endpoint(endpoint).expect("an address");
    config.encoder.content = true;
    (config.metrics, config.logs) = (None, None);
    config.queue_bytes_max = 64 << 20;
    let deadline = Deadline::default();
    let ours = || cpu_ns(ClockId::ProcessCPUTime) - sink.cpu_ns.load(Ordering::Relaxed);
    let (cpu, wall) = (ours(), Instant::now());
    let mut backend = OtlpBackend::new(config);
    backend.begin(&batch.run, &deadline).expect("nothing to fail");
    for _ in 0..repeats {
        backend.export(batch).expect("a queue with room");
    }
    deadline.set(Instant::now() + Duration::from_secs(30));
    let ending = RunEnding {
        status: SpanStatus::Ok,
        error: None,
        ended: TimestampNs(1_700_000_001_000_000_000),
        metrics: RunMetrics::default().into(),
        sampled: true,
        dropped: DropCounts::default(),
    };
    backend.finish(&ending).expect("a sink that takes everything");
    let (cpu_ns, wall) = (ours() - cpu, wall.elapsed());
    let spans = (SPANS * repeats) as f64;
    Rates {
        per_core: spans / (cpu_ns as f64 / 1e9),
        by_wall: spans / wall.as_secs_f64(),
    }
}

fn main() {
    let mut ids = IdSource::from_seed(7);
    let trace_id = ids.trace_id();
    let ended =
        (0..SPANS).map(|index| TelemetryEvent::SpanEnded(Box::new(llm_span(&mut ids, trace_id, index))));
    let events: Vec<TelemetryEvent> = ended.collect();
    let mut resource = Attributes::new();
    resource.set("service.name", "bench");
    let run = Arc::new(RunIdentity {
        trace_id,
        root_span_id: None,
        parent_span_id: None,
        workflow: "bench".into(),
        started: TimestampNs(1_700_000_000_000_000_000),
        trace_state: String::new(),
        sampled: true,
        resource,
    });
    let batch = Batch { run, events };

    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback address");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    let sink = Arc::new(Sink::default());
    let serving = Arc::clone(&sink);
    std::thread::spawn(move || serving.serve(&listener));

    send(&sink, &endpoint, &batch, 1);
    let bytes = sink.content_bytes.load(Ordering::Relaxed) / SPANS;
    println!("{SPANS} LLM spans, {bytes} bytes of protobuf each, over HTTP without gzip");
    for (what, repeats) in [
        ("a run of 1,000 spans, set-up included", 1),
        ("1,000 spans, twenty times", REPEATS),
    ] {
        let measured: Vec<Rates> = (0..rounds(15))
            .map(|_| send(&sink, &endpoint, &batch, repeats))
            .collect();
        let per_core = median(measured.iter().map(|rates| rates.per_core).collect());
        let by_wall = median(measured.iter().map(|rates| rates.by_wall).collect());
        verdict(
            what,
            format!("{per_core:.0} spans/s per core, {by_wall:.0} by the wall clock"),
            "100,000 per core",
            per_core >= LIMIT,
        );
    }
}
