//! The OTLP backend against receivers that answer well, badly, late or not at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter::{
    Backend, Batch, Deadline, DropCounts, FlushOutcome, FlushReport, LlmTotals, OtlpBackend, OtlpConfig,
    OtlpRetryPolicy, OtlpSignal, RunEnding, RunIdentity, RunMetrics, Spool, flush_spool,
};
use flowmeter_model::{
    AttributeValue, Attributes, Cost, CostStatus, Figure, LogLevel, LogRecord, Span, SpanId, SpanKind,
    SpanStatus, TelemetryEvent, TimestampNs, TokenUsage, TraceId, UsdNanos,
};
use flowmeter_otlp::{ExportRequest, ExportResponse, PartialSuccess, Status};
use serde_json::Value;
use tempfile::TempDir;

use crate::receiver::{Receiver, Reply, Seen, Talks, pem};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

fn run() -> Arc<RunIdentity> {
    let mut resource = Attributes::new();
    resource.set("service.name", "tests");
    Arc::new(RunIdentity {
        trace_id: TraceId::parse(TRACE_ID).unwrap(),
        root_span_id: None,
        parent_span_id: None,
        workflow: "explain".into(),
        started: TimestampNs(1_000),
        trace_state: String::new(),
        sampled: true,
        resource,
    })
}

fn span(number: u64, kind: SpanKind) -> Span {
    let id = SpanId::from_u64(number + 1).unwrap();
    let trace_id = TraceId::parse(TRACE_ID).unwrap();
    let mut span = Span::begin(trace_id, id, None, kind, "chat gpt-4o", TimestampNs(2_000));
    span.end = Some(TimestampNs(3_000));
    span.status = Some(SpanStatus::Ok);
    span
}

fn batch(events: Vec<TelemetryEvent>) -> Batch {
    Batch { run: run(), events }
}

fn spans(numbers: std::ops::Range<u64>) -> Batch {
    let ended = numbers.map(|number| TelemetryEvent::SpanEnded(Box::new(span(number, SpanKind::Node))));
    batch(ended.collect())
}

fn ending() -> RunEnding {
    let mut totals = LlmTotals {
        calls: 1,
        ..LlmTotals::default()
    };
    totals
        .cost
        .add("gpt-4o", &Cost::known(CostStatus::Priced, UsdNanos(5_000), None));
    RunEnding {
        sampled: true,
        status: SpanStatus::Ok,
        error: None,
        ended: TimestampNs(9_000),
        metrics: RunMetrics {
            duration_ns: 8_000,
            models: [("gpt-4o".into(), totals)].into(),
            ..RunMetrics::default()
        }
        .into(),
        dropped: DropCounts::default(),
    }
}

/// Settings from these variables, with waits that tests can afford.
fn config(variables: &[(&str, &str)]) -> OtlpConfig {
    let find = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let mut config = OtlpConfig::from_environment(&find).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    config.retry = OtlpRetryPolicy {
        wait_first: Duration::from_millis(2),
        ..OtlpRetryPolicy::default()
    };
    config.batch_delay = Duration::from_millis(5);
    config
}

/// Sends traces alone to this receiver.
fn traces_to(receiver: &Receiver) -> OtlpConfig {
    let mut config = config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url())]);
    (config.metrics, config.logs) = (None, None);
    config
}

fn grpc_traces_to(receiver: &Receiver) -> OtlpConfig {
    let mut config = config(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]);
    (config.metrics, config.logs) = (None, None);
    config
}

/// Runs a backend over these batches, one after the other, with this long for its end.
fn export_within(config: OtlpConfig, batches: &[Batch], time: Duration) -> Result<(), String> {
    let deadline = Deadline::default();
    let mut backend = OtlpBackend::new(config);
    backend.begin(&run(), &deadline).unwrap();
    for batch in batches {
        backend.export(batch).unwrap();
    }
    deadline.set(Instant::now() + time);
    backend.finish(&ending()).map_err(|error| error.to_string())
}

fn export(config: OtlpConfig, batches: &[Batch]) -> Result<(), String> {
    export_within(config, batches, Duration::from_secs(20))
}

fn items(seen: &Seen) -> usize {
    let signal = match seen.path.rsplit('/').next().unwrap() {
        "traces" => OtlpSignal::Traces,
        "logs" => OtlpSignal::Logs,
        "metrics" => OtlpSignal::Metrics,
        _ => OtlpSignal::ALL
            .into_iter()
            .find(|signal| signal.grpc_path() == seen.path)
            .unwrap(),
    };
    ExportRequest::from_protobuf(signal, &seen.content)
        .unwrap()
        .item_count()
}

fn spool() -> (TempDir, Spool) {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path().join("spool"));
    (folder, spool)
}

fn flush(spool: &Spool, variables: &[(&str, &str)]) -> FlushReport {
    let find = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    flush_spool(spool, &[], &find, Duration::from_secs(2)).unwrap()
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn all_three_signals_arrive_with_their_headers() {
    let receiver = Receiver::start(Talks::Http, []);
    let mut config = config(&[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("{}/base/", receiver.url()),
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-team=a%20b,authorization=Bearer k",
        ),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-team=logs"),
    ]);
    config.encoder.content = true;
    config.resource.set("service.version", "7");
    let record = LogRecord {
        time: TimestampNs(2_500),
        level: LogLevel::Info,
        message: "hello".into(),
        target: None,
        span_id: SpanId::from_u64(1),
        attributes: Attributes::new(),
    };
    let trace_id = TraceId::parse(TRACE_ID).unwrap();
    let events = vec![
        TelemetryEvent::SpanStarted(Box::new(span(0, SpanKind::LlmCall))),
        TelemetryEvent::Log(trace_id, Box::new(record)),
        TelemetryEvent::SpanEnded(Box::new(span(0, SpanKind::LlmCall))),
    ];
    export(config, &[batch(events)]).unwrap();

    let mut seen = receiver.seen();
    seen.sort_by(|left, right| left.path.cmp(&right.path));
    let paths: Vec<&str> = seen.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/base/v1/logs", "/base/v1/metrics", "/base/v1/traces"]);
    for request in &seen {
        assert_eq!(request.header("content-type"), "application/x-protobuf");
        assert!(
            request
                .header("user-agent")
                .starts_with("OTel-OTLP-Exporter-Rust/"),
            "{request:?}"
        );
        assert!(!request.was_packed);
        let names_service = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"tests");
        assert!(names_service(&request.content));
    }
    assert_eq!(seen[2].header("x-team"), "a b");
    assert_eq!(seen[2].header("authorization"), "Bearer k");
    assert_eq!(seen[0].header("x-team"), "logs");
    assert_eq!(seen[0].header("authorization"), "");
    assert_eq!(items(&seen[0]), 1);
    assert_eq!(items(&seen[2]), 1, "a span that began is no span that ended");
    let metrics = ExportRequest::from_protobuf(OtlpSignal::Metrics, &seen[1].content).unwrap();
    let metrics = String::from_utf8(metrics.to_json()).unwrap();
    for name in [
        "flowmeter.cost.usd",
        "gen_ai.invoke_workflow.duration",
        "gen_ai.client.inference.duration",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
}

#[test]
fn json_is_json() {
    let receiver = Receiver::start(Talks::Http, []);
    let mut config = config(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ]);
    (config.metrics, config.logs) = (None, None);
    export(config, &[spans(0..2), spans(2..3)]).unwrap();
    let seen = receiver.seen();
    let request = &seen[0];
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("content-encoding"), "gzip");
    let json: Value = serde_json::from_slice(&request.content).unwrap();
    let span = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], TRACE_ID);
    assert_eq!(span["spanId"], "0000000000000001");
    let arrived: usize = json["resourceSpans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| resource["scopeSpans"][0]["spans"].as_array().unwrap().len())
        .sum();
    assert_eq!(arrived, 3);
}

#[test]
fn a_receiver_that_is_busy_then_well_then_hangs_then_breaks_off_gets_everything() {
    let receiver = Receiver::start(
        Talks::Http,
        [
            Reply::Http(503, &[("retry-after", "0")], Vec::new()),
            Reply::Http(200, &[], Vec::new()),
            Reply::Hang,
            Reply::Close,
        ],
    );
    let mut config = traces_to(&receiver);
    config.batch_items_max = 1;
    config.traces.as_mut().unwrap().timeout = Duration::from_millis(200);
    export(config, &[spans(0..3)]).unwrap();
    let seen = receiver.seen();
    // The first twice, the second three times, the third once.
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[0].content, seen[1].content);
    assert_eq!(seen[2].content, seen[3].content);
    assert_eq!(seen[2].content, seen[4].content);
    assert_ne!(seen[4].content, seen[5].content);
}

#[test]
fn a_date_to_come_again_is_heeded() {
    let receiver = Receiver::start(
        Talks::Http,
        // The day is past: at once. Our own wait would be an hour.
        [Reply::Http(
            429,
            &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")],
            Vec::new(),
        )],
    );
    let mut config = traces_to(&receiver);
    config.retry.wait_first = Duration::from_secs(3600);
    config.retry.wait_max = Duration::from_secs(3600);
    export(config, &[spans(0..1)]).unwrap();
    assert_eq!(receiver.seen().len(), 2);
}

#[test]
fn a_partial_success_is_told_and_not_sent_again() {
    let partial = PartialSuccess {
        rejected: 2,
        message: "too old".into(),
    };
    let protobuf = ExportResponse::to_protobuf(OtlpSignal::Traces, &partial);
    let json = ExportResponse::to_json(OtlpSignal::Traces, &partial);
    let answers = [
        Reply::Http(200, &[("content-type", "application/x-protobuf")], protobuf),
        Reply::Http(200, &[("content-type", "application/json; charset=utf-8")], json),
    ];
    for answer in answers {
        let receiver = Receiver::start(Talks::Http, [answer]);
        let (_folder, spool) = spool();
        let told = export(traces_to(&receiver).with_spool(spool.clone()), &[spans(0..3)]).unwrap_err();
        assert_eq!(
            told,
            format!(
                "2 spans were rejected by otlp ({}/v1/traces): too old",
                receiver.url()
            )
        );
        assert_eq!(receiver.seen().len(), 1);
        assert_eq!(spool.requests().unwrap(), []);
    }
}

#[test]
fn a_warning_of_a_receiver_that_took_everything_is_told() {
    let warning = PartialSuccess {
        rejected: 0,
        message: "use gzip".into(),
    };
    let receiver = Receiver::start(
        Talks::Http,
        [Reply::Http(
            200,
            &[],
            ExportResponse::to_protobuf(OtlpSignal::Traces, &warning),
        )],
    );
    let told = export(traces_to(&receiver), &[spans(0..1)]).unwrap_err();
    assert!(told.ends_with("took all spans, but says: use gzip"), "{told}");
}

/// Headers and body of a refusal, and what is told of it.
type Refusal = (&'static [(&'static str, &'static str)], Vec<u8>, &'static str);

#[test]
fn bad_data_is_dropped_with_the_receivers_words() {
    let status = Status {
        message: "no\nsuch   field".into(),
        ..Status::default()
    };
    let bodies: [Refusal; 4] = [
        (
            &[("content-type", "application/x-protobuf")],
            status.to_protobuf(),
            ": no such field",
        ),
        (
            &[("content-type", "application/json")],
            status.to_json(),
            ": no such field",
        ),
        (
            &[("content-type", "text/plain")],
            b"what is this?\n".to_vec(),
            ": what is this?",
        ),
        (&[], vec![0xff, 0, 1], ""),
    ];
    for (headers, body, said) in bodies {
        let receiver = Receiver::start(Talks::Http, [Reply::Http(400, headers, body)]);
        let (_folder, spool) = spool();
        let told = export(traces_to(&receiver).with_spool(spool.clone()), &[spans(0..3)]).unwrap_err();
        let expected = format!(
            "3 spans for otlp ({}/v1/traces) are lost: the receiver answered 400 Bad Request{said}",
            receiver.url()
        );
        assert_eq!(told, expected);
        assert_eq!(receiver.seen().len(), 1);
        assert_eq!(spool.requests().unwrap(), []);
    }
}

#[test]
fn only_what_the_specification_calls_retryable_is_sent_again() {
    for (status, times) in [
        (429, 3),
        (502, 3),
        (503, 3),
        (504, 3),
        (400, 1),
        (401, 1),
        (404, 1),
        (408, 1),
        (413, 1),
        (500, 1),
        (501, 1),
    ] {
        let receiver = Receiver::start(Talks::Http, vec![Reply::Http(status, &[], Vec::new()); 3]);
        export(traces_to(&receiver), &[spans(0..1)]).unwrap_err();
        assert_eq!(receiver.seen().len(), times, "{status}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start(Talks::Http, []);
    let location: &'static str = Box::leak(elsewhere.url().into_boxed_str());
    let headers: &'static [(&str, &str)] = Box::leak(Box::new([("location", location)]));
    let receiver = Receiver::start(Talks::Http, [Reply::Http(307, headers, Vec::new())]);
    let told = export(traces_to(&receiver), &[spans(0..1)]).unwrap_err();
    assert!(told.contains("307") && told.contains(location), "{told}");
    assert_eq!(elsewhere.seen().len(), 0);
}

#[test]
fn an_endless_answer_is_read_to_a_bound() {
    let receiver = Receiver::start(Talks::Http, [Reply::Http(400, &[], vec![b'x'; 8 << 20])]);
    let told = export(traces_to(&receiver), &[spans(0..1)]).unwrap_err();
    assert!(told.len() < 600 && told.ends_with("x…"), "{told}");
}

#[test]
fn what_cannot_be_sent_is_kept_and_sent_by_the_next_run() {
    let (_folder, spool) = spool();
    let receiver = Receiver::start(Talks::Http, vec![Reply::Http(503, &[], Vec::new()); 3]);
    let told = export(traces_to(&receiver).with_spool(spool.clone()), &[spans(0..7)]).unwrap_err();
    assert_eq!(
        told,
        format!(
            "7 spans could not be sent to otlp ({}/v1/traces) and wait for `flowmeter flush`: the receiver answered \
             503 Service Unavailable",
            receiver.url()
        )
    );
    let kept = spool.requests().unwrap();
    assert_eq!((kept.len(), kept[0].items), (1, 7));

    // Another destination's run leaves them alone.
    let other = Receiver::start(Talks::Http, []);
    export(traces_to(&other).with_spool(spool.clone()), &[spans(0..1)]).unwrap();
    assert_eq!(spool.requests().unwrap().len(), 1);

    export(traces_to(&receiver).with_spool(spool.clone()), &[spans(10..11)]).unwrap();
    let seen = receiver.seen();
    assert_eq!(
        seen[3..].iter().map(items).collect::<Vec<_>>(),
        [1, 7],
        "its own first"
    );
    assert_eq!(spool.requests().unwrap(), []);
}

#[test]
fn a_spool_holds_no_secrets() {
    let (folder, spool) = spool();
    let to = nobody().replace("http://", "http://user:hush@");
    let mut config = config(&[
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            &format!("{to}/v1/traces?key=hush"),
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hush"),
    ]);
    (config.metrics, config.logs) = (None, None);
    let told = export(config.with_spool(spool.clone()), &[spans(0..1)]).unwrap_err();
    assert!(!told.contains("hush"), "{told}");
    let path = std::fs::read_dir(folder.path().join("spool")).unwrap();
    let paths: Vec<_> = path.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(spool.requests().unwrap().len(), 1);
    for path in paths {
        let content = std::fs::read(&path).unwrap();
        assert!(!content.windows(4).any(|window| window == b"hush"), "{path:?}");
    }
}

#[test]
fn the_end_is_in_time_though_the_receiver_hangs() {
    let (_folder, spool) = spool();
    let receiver = Receiver::start(Talks::Http, vec![Reply::Hang; 8]);
    let mut config = traces_to(&receiver).with_spool(spool.clone());
    config.batch_items_max = 10;
    let began = Instant::now();
    let told = export_within(config, &[spans(0..50)], Duration::from_millis(400)).unwrap_err();
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
    assert!(told.starts_with("50 spans could not be sent"), "{told}");
    let kept: u64 = spool
        .requests()
        .unwrap()
        .iter()
        .map(|request| request.items)
        .sum();
    assert_eq!(kept, 50);
}

#[test]
fn a_backend_that_is_only_dropped_keeps_what_it_has() {
    let (_folder, spool) = spool();
    let receiver = Receiver::start(Talks::Http, vec![Reply::Hang; 8]);
    let mut backend = OtlpBackend::new(traces_to(&receiver).with_spool(spool.clone()));
    backend.export(&spans(0..5)).unwrap();
    drop(backend);
    assert_eq!(
        spool
            .requests()
            .unwrap()
            .iter()
            .map(|request| request.items)
            .sum::<u64>(),
        5
    );
}

#[test]
fn what_the_queue_has_no_room_for_is_kept() {
    let (_folder, spool) = spool();
    let receiver = Receiver::start(Talks::Http, [Reply::Hang]);
    let mut config = traces_to(&receiver).with_spool(spool.clone());
    config.queue_bytes_max = 4_000;
    config.batch_items_max = 10;
    let batches: Vec<Batch> = (0..20)
        .map(|number| spans(number * 10..number * 10 + 10))
        .collect();
    let told = export_within(config, &batches, Duration::from_millis(300)).unwrap_err();
    assert!(told.contains("the queue was full"), "{told}");
    let kept: u64 = spool
        .requests()
        .unwrap()
        .iter()
        .map(|request| request.items)
        .sum();
    assert_eq!(kept, 200);
}

#[test]
fn large_requests_are_split() {
    let receiver = Receiver::start(Talks::Http, []);
    let mut config = traces_to(&receiver);
    config.encoder.content = true;
    let large = |number| {
        let mut span = span(number, SpanKind::Custom);
        span.attributes
            .set("text", AttributeValue::from("x".repeat(1_500_000)));
        TelemetryEvent::SpanEnded(Box::new(span))
    };
    export(config, &[batch((0..5).map(large).collect())]).unwrap();
    let seen = receiver.seen();
    assert_eq!(seen.iter().map(items).sum::<usize>(), 5);
    assert!(seen.len() >= 3, "{}", seen.len());
    assert!(seen.iter().all(|request| request.content.len() < 4 << 20));
}

#[test]
fn flush_sends_what_waits_and_says_what_is_left() {
    let (_folder, spool) = spool();
    let receiver = Receiver::start(Talks::Http, vec![Reply::Http(503, &[], Vec::new()); 3]);
    export(traces_to(&receiver).with_spool(spool.clone()), &[spans(0..7)]).unwrap_err();
    let unreachable = config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &nobody())]);
    export(unreachable.with_spool(spool.clone()), &[spans(0..2)]).unwrap_err();

    let headers = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer k".to_owned()),
    ];
    let variables: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let report = flush(&spool, &variables);
    assert!(!report.is_complete());
    let sent: Vec<_> = report
        .flushed
        .iter()
        .filter(|line| line.outcome == FlushOutcome::Sent)
        .collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].requests, sent[0].items, sent[0].signal),
        (1, 7, OtlpSignal::Traces)
    );
    assert_eq!(
        receiver.seen().last().unwrap().header("authorization"),
        "Bearer k"
    );
    // Traces and metrics of the receiver that nobody can reach.
    assert_eq!(spool.requests().unwrap().len(), 2);
    let left: Vec<_> = report
        .flushed
        .iter()
        .filter(|line| matches!(line.outcome, FlushOutcome::Left(_)))
        .collect();
    assert_eq!(left.len(), 2);
}

#[test]
fn flush_leads_no_key_to_a_receiver_that_it_is_not_for() {
    let (_folder, spool) = spool();
    let receiver = Receiver::start(Talks::Http, vec![Reply::Http(503, &[], Vec::new()); 3]);
    export(traces_to(&receiver).with_spool(spool.clone()), &[spans(0..7)]).unwrap_err();
    receiver.will([Reply::Http(401, &[], Vec::new())]);
    let report = flush(
        &spool,
        &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer k")],
    );
    assert_eq!(receiver.seen().last().unwrap().header("authorization"), "");
    assert!(
        !report.is_complete(),
        "a receiver that asks for a key may still take it"
    );
    assert_eq!(spool.requests().unwrap().len(), 1);

    let mut named = traces_to(&receiver);
    named
        .traces
        .as_mut()
        .unwrap()
        .headers
        .set("authorization", "Bearer own")
        .unwrap();
    let report = flush_spool(&spool, &[named], &|_| None, Duration::from_secs(2)).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(
        receiver.seen().last().unwrap().header("authorization"),
        "Bearer own"
    );
    receiver.will([
        Reply::Http(503, &[], Vec::new()),
        Reply::Http(503, &[], Vec::new()),
        Reply::Http(503, &[], Vec::new()),
    ]);
    export(traces_to(&receiver).with_spool(spool.clone()), &[spans(0..7)]).unwrap_err();
    receiver.will([Reply::Http(400, &[], b"never".to_vec())]);
    let report = flush(&spool, &[]);
    assert!(report.is_complete());
    assert!(matches!(&report.flushed[0].outcome, FlushOutcome::Refused(reason) if reason.ends_with("never")));
    assert_eq!(spool.requests().unwrap(), []);
}

#[test]
fn two_flushes_at_once_send_everything_once() {
    let (folder, spool) = spool();
    let receiver = Receiver::start(Talks::Http, [Reply::Hang]);
    let mut config = traces_to(&receiver).with_spool(spool.clone());
    config.batch_items_max = 1;
    export_within(config, &[spans(0..40)], Duration::from_millis(800)).unwrap_err();
    assert_eq!(spool.requests().unwrap().len(), 40);
    let before = receiver.seen().len();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let own = Spool::new(folder.path().join("spool"));
            scope.spawn(move || flush_spool(&own, &[], &|_| None, Duration::from_secs(10)).unwrap());
        }
    });
    let mut contents: Vec<Vec<u8>> = receiver
        .seen()
        .drain(before..)
        .map(|request| request.content)
        .collect();
    assert_eq!(contents.len(), 40);
    contents.sort();
    contents.dedup();
    assert_eq!(contents.len(), 40);
    assert_eq!(spool.requests().unwrap(), []);
}

#[test]
fn grpc_takes_all_three_signals() {
    let receiver = Receiver::start(Talks::Grpc, []);
    let config = config(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "X-Team=a b"),
    ]);
    export(config, &[spans(0..600)]).unwrap();
    let seen = receiver.seen();
    let traces: Vec<usize> = seen
        .iter()
        .filter(|request| request.path == OtlpSignal::Traces.grpc_path())
        .map(items)
        .collect();
    assert_eq!(traces, [512, 88]);
    assert!(
        seen.iter()
            .any(|request| request.path == OtlpSignal::Metrics.grpc_path())
    );
    for request in &seen {
        assert_eq!(request.header("x-team"), "a b");
        assert_eq!(request.header("content-type"), "application/grpc");
        assert!(
            request
                .header("user-agent")
                .starts_with("OTel-OTLP-Exporter-Rust/"),
            "{request:?}"
        );
    }
    assert!(seen.iter().any(|request| request.was_packed));
}

#[test]
fn grpc_codes_decide_what_is_sent_again() {
    let details = Status {
        retry_delay: Some(Duration::ZERO),
        ..Status::default()
    };
    let waits = details.to_protobuf();
    let none = Vec::new();
    let cases = [
        (1, &none, 3),
        (2, &none, 1),
        (3, &none, 1),
        (4, &none, 3),
        (5, &none, 1),
        (6, &none, 1),
        (7, &none, 1),
        (8, &none, 1),
        (8, &waits, 3),
        (9, &none, 1),
        (10, &none, 3),
        (11, &none, 3),
        (12, &none, 1),
        (13, &none, 1),
        (14, &none, 3),
        (14, &waits, 3),
        (15, &none, 3),
        (16, &none, 1),
    ];
    for (code, details, times) in cases {
        let reply = Reply::Grpc(code, "because", details.clone(), Vec::new());
        let receiver = Receiver::start(Talks::Grpc, vec![reply; 3]);
        let told = export(grpc_traces_to(&receiver), &[spans(0..1)]).unwrap_err();
        assert_eq!(receiver.seen().len(), times, "{code}: {told}");
        assert!(told.ends_with(": because"), "{told}");
    }
}

#[test]
fn grpc_waits_as_long_as_it_is_told() {
    let details = Status {
        retry_delay: Some(Duration::from_millis(150)),
        ..Status::default()
    };
    let receiver = Receiver::start(
        Talks::Grpc,
        [Reply::Grpc(14, "busy", details.to_protobuf(), Vec::new())],
    );
    let began = Instant::now();
    export(grpc_traces_to(&receiver), &[spans(0..1)]).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_eq!(receiver.seen().len(), 2);
}

#[test]
fn grpc_partial_success_hanging_and_closing() {
    let partial = PartialSuccess {
        rejected: 1,
        message: "too long".into(),
    };
    let answer = ExportResponse::to_protobuf(OtlpSignal::Traces, &partial);
    let receiver = Receiver::start(
        Talks::Grpc,
        [Reply::Hang, Reply::Close, Reply::Grpc(0, "", Vec::new(), answer)],
    );
    let mut config = grpc_traces_to(&receiver);
    config.traces.as_mut().unwrap().timeout = Duration::from_millis(300);
    let told = export(config, &[spans(0..3)]).unwrap_err();
    assert_eq!(receiver.seen().len(), 3, "{told}");
    assert_eq!(
        told,
        format!("1 spans were rejected by otlp ({}/): too long", receiver.url())
    );
}

#[test]
fn grpc_to_nobody_is_kept() {
    let (_folder, spool) = spool();
    let mut config = config(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &nobody()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]);
    (config.metrics, config.logs) = (None, None);
    let told = export(config.with_spool(spool.clone()), &[spans(0..3)]).unwrap_err();
    assert!(told.contains("onnection refused"), "{told}");
    assert_eq!(spool.requests().unwrap().len(), 1);
}

#[test]
fn tls_needs_the_right_authority_and_the_right_certificate() {
    let authority = pem("authority.pem").display().to_string();
    let certificate = pem("client.pem").display().to_string();
    let key = pem("client.key.pem").display().to_string();
    for (talks, protocol) in [(Talks::Http, "http/protobuf"), (Talks::Grpc, "grpc")] {
        let attempt = |receiver: &Receiver, more: &[(&str, &str)]| {
            let endpoint = format!("https://localhost:{}", receiver.address.port());
            let mut variables = vec![
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ];
            variables.extend(more);
            let mut config = config(&variables);
            (config.metrics, config.logs) = (None, None);
            export(config, &[spans(0..1)])
        };
        let trusts = ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.as_str());
        let shows = [
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate.as_str()),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key.as_str()),
        ];
        let plain = Receiver::start_with_tls(talks, false);
        attempt(&plain, &[trusts]).unwrap();
        assert_eq!(plain.seen().len(), 1, "{protocol}");
        attempt(&plain, &[]).unwrap_err();
        assert_eq!(plain.seen().len(), 1, "{protocol}");

        let mutual = Receiver::start_with_tls(talks, true);
        attempt(&mutual, &[trusts, shows[0], shows[1]]).unwrap();
        assert_eq!(mutual.seen().len(), 1, "{protocol}");
        attempt(&mutual, &[trusts]).unwrap_err();
        assert_eq!(mutual.seen().len(), 1, "{protocol}");

        let told = attempt(&plain, &[trusts, shows[0]]).unwrap_err();
        assert!(told.contains("only the certificate is set"), "{told}");
        let told = attempt(&plain, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such.pem")]).unwrap_err();
        assert!(told.contains("/no/such.pem"), "{told}");
    }
}

#[test]
fn langfuse_gets_costs_and_tokens_in_its_own_terms() {
    let receiver = Receiver::start(Talks::Http, []);
    let variables = |name: &str| match name {
        "LANGFUSE_PUBLIC_KEY" => Some("pk".to_owned()),
        "LANGFUSE_SECRET_KEY" => Some("sk".to_owned()),
        "LANGFUSE_HOST" => Some(receiver.url()),
        _ => None,
    };
    let config = OtlpConfig::of_backends(&["langfuse"], &variables)
        .unwrap()
        .remove(0);
    let mut call = span(1, SpanKind::LlmCall);
    call.cost = Some(Cost::known(CostStatus::Priced, UsdNanos(2_500_000), None));
    call.usage = Some(TokenUsage {
        input: Some(Figure::provider(100)),
        cache_read: Some(Figure::provider(60)),
        cache_write_5m: Some(Figure::provider(10)),
        output: Some(Figure::provider(20)),
        ..TokenUsage::default()
    });
    let events = [span(0, SpanKind::Run), call].map(|span| TelemetryEvent::SpanEnded(Box::new(span)));
    export(config, &[batch(events.into())]).unwrap();
    let seen = receiver.seen();
    assert_eq!(seen.len(), 1, "it takes no metrics");
    assert_eq!(seen[0].path, "/api/public/otel/v1/traces");
    assert_eq!(seen[0].header("authorization"), "Basic cGs6c2s=");
    let request = ExportRequest::from_protobuf(OtlpSignal::Traces, &seen[0].content).unwrap();
    let json: Value = serde_json::from_slice(&request.to_json()).unwrap();
    let text = |span: usize, key: &str| {
        let attributes = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][span]["attributes"];
        let found = attributes
            .as_array()
            .unwrap()
            .iter()
            .find(|attribute| attribute["key"] == key);
        found.unwrap_or_else(|| panic!("{key}: {attributes}"))["value"]["stringValue"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(text(0, "langfuse.trace.name"), "explain");
    assert_eq!(text(1, "langfuse.observation.type"), "generation");
    assert_eq!(
        text(1, "langfuse.observation.cost_details"),
        r#"{"total":0.0025}"#
    );
    assert_eq!(
        text(1, "langfuse.observation.usage_details"),
        r#"{"input":30,"cache_read_input_tokens":60,"cache_creation_input_tokens":10,"output":20,"total":120}"#
    );
}
