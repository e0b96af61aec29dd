//! What holds for any telemetry, and for any bytes.

use arbtest::arbitrary::{Result, Unstructured};
use flowmeter_model::{
    AttributeValue, Attributes, Cost, CostStatus, Figure, LogRecord, Span, SpanError, SpanEvent, SpanId,
    SpanKind, SpanStatus, TimestampNs, TokenUsage, TraceId, UsdNanos,
};
use flowmeter_otlp::{
    Encoder, EncoderConfig, Envelope, ExportRequest, ExportResponse, SemanticConventions, Signal, Status,
    decode_logs, decode_logs_json, decode_traces, decode_traces_json, names,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value, json};

use crate::sample;

fn key(u: &mut Unstructured<'_>) -> Result<String> {
    let known = [
        names::OPERATION_NAME,
        names::PROVIDER_NAME,
        names::REQUEST_MODEL,
        names::REQUEST_STREAM,
        names::REQUEST_TEMPERATURE,
        names::REQUEST_STOP_SEQUENCES,
        names::FINISH_REASONS,
        names::INPUT_TOKENS,
        names::CACHE_WRITE_TOKENS,
        names::CACHE_WRITE_TOKENS_V1_41,
        names::INPUT_MESSAGES,
        names::OUTPUT_MESSAGES,
        names::SYSTEM_INSTRUCTIONS,
        names::TOOL_DEFINITIONS,
        names::COST_NANOS,
        names::SPAN_KIND,
        names::ERROR_TYPE,
        names::WORKFLOW_NAME,
        "workflow.name",
        "node.config",
        "node.type",
        "",
    ];
    if u.ratio(1, 3)? {
        u.arbitrary()
    } else {
        Ok((*u.choose(&known)?).to_owned())
    }
}

/// Any number; of those that are none, the one that others write too.
fn real(u: &mut Unstructured<'_>) -> Result<f64> {
    let number: f64 = u.arbitrary()?;
    Ok(if number.is_nan() { f64::NAN } else { number })
}

fn json_value(u: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    Ok(match u.int_in_range(0..=if depth == 0 { 4 } else { 7 })? {
        0 => Value::Null,
        1 => u.arbitrary::<bool>()?.into(),
        2 => u.arbitrary::<u64>()?.into(),
        3 => u.arbitrary::<i64>()?.into(),
        4 => u.arbitrary::<String>()?.into(),
        5 => (0..u.int_in_range(0..=3)?)
            .map(|_| json_value(u, depth - 1))
            .collect::<Result<Vec<Value>>>()?
            .into(),
        6 => {
            json!([{"role": "user", "parts": [{"type": u.arbitrary::<String>()?, "content": json_value(u, depth - 1)?}]}])
        }
        _ => json!({u.arbitrary::<String>()?: json_value(u, depth - 1)?}),
    })
}

fn attributes(u: &mut Unstructured<'_>) -> Result<Attributes> {
    let mut attributes = Attributes::new();
    for _ in 0..u.int_in_range(0..=8)? {
        let value: AttributeValue = match u.int_in_range(0..=4)? {
            0 => u.arbitrary::<bool>()?.into(),
            1 => u.arbitrary::<i64>()?.into(),
            2 => real(u)?.into(),
            3 => u.arbitrary::<String>()?.into(),
            _ => json_value(u, 3)?.into(),
        };
        attributes.set(key(u)?, value);
    }
    Ok(attributes)
}

fn span(u: &mut Unstructured<'_>) -> Result<Span> {
    let kinds = [
        SpanKind::Run,
        SpanKind::Node,
        SpanKind::Attempt,
        SpanKind::Workflow,
        SpanKind::LlmCall,
        SpanKind::Custom,
    ];
    let mut span = Span::begin(
        TraceId::from_bytes(u.arbitrary()?).unwrap_or_else(sample::trace_id),
        SpanId::from_u64(u.arbitrary()?).unwrap_or_else(|| sample::span_id(1)),
        SpanId::from_u64(u.arbitrary()?),
        *u.choose(&kinds)?,
        u.arbitrary::<String>()?,
        TimestampNs(u.arbitrary()?),
    );
    span.end = u.arbitrary::<Option<u64>>()?.map(TimestampNs);
    let statuses = [
        None,
        Some(SpanStatus::Ok),
        Some(SpanStatus::Error),
        Some(SpanStatus::Cancelled),
    ];
    span.status = *u.choose(&statuses)?;
    span.attributes = attributes(u)?;
    if u.arbitrary()? {
        span.error = Some(SpanError {
            error_type: u.arbitrary::<String>()?.into(),
            message: u.arbitrary()?,
            chain: u.arbitrary()?,
        });
    }
    for _ in 0..u.int_in_range(0..=2)? {
        span.events.push(SpanEvent {
            name: u.arbitrary::<String>()?.into(),
            time: TimestampNs(u.arbitrary()?),
            attributes: attributes(u)?,
        });
    }
    if u.arbitrary()? {
        span.params = Some(json_value(u, 3)?.into());
    }
    if u.arbitrary()? {
        let figure = |u: &mut Unstructured<'_>| {
            u.arbitrary::<Option<u64>>()
                .map(|tokens| tokens.map(Figure::estimate))
        };
        span.usage = Some(TokenUsage {
            input: figure(u)?,
            output: figure(u)?,
            cache_write_5m: figure(u)?,
            cache_write_1h: figure(u)?,
            ..TokenUsage::default()
        });
        span.cost = Some(Cost::known(CostStatus::Partial, UsdNanos(u.arbitrary()?), None));
    }
    Ok(span)
}

fn encoder(u: &mut Unstructured<'_>) -> Result<Encoder> {
    let conventions = [
        SemanticConventions::Latest,
        SemanticConventions::V1_41,
        SemanticConventions::Both,
    ];
    Ok(Encoder::new(EncoderConfig {
        conventions: *u.choose(&conventions)?,
        openinference: u.arbitrary()?,
        content: u.arbitrary()?,
        span_attributes: Vec::new(),
    }))
}

fn request(u: &mut Unstructured<'_>) -> Result<ExportRequest> {
    let spans: Vec<Span> = (0..u.int_in_range(0..=4)?)
        .map(|_| span(u))
        .collect::<Result<_>>()?;
    let resource = attributes(u)?;
    let (trace_state, scope_version): (String, String) = u.arbitrary()?;
    let envelope = Envelope {
        resource: &resource,
        trace_state: &trace_state,
        sampled: u.arbitrary()?,
        scope_version: &scope_version,
    };
    Ok(encoder(u)?.traces(&envelope, &mut spans.iter()))
}

#[test]
fn what_is_written_is_what_a_protobuf_library_would_write() {
    arbtest::arbtest(|u| {
        let request = request(u)?;
        let bytes = request.to_protobuf();
        assert_eq!(bytes.len(), request.protobuf_len());
        let message = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
        assert_eq!(message.encode_to_vec(), bytes);
        let spans = &message.resource_spans[0].scope_spans[0].spans;
        assert_eq!(spans.len(), request.item_count());
        for span in spans {
            let mut keys: Vec<&str> = span.attributes.iter().map(|pair| pair.key.as_str()).collect();
            keys.sort_unstable();
            assert!(
                keys.windows(2).all(|pair| pair[0] != pair[1]),
                "a key comes twice: {keys:?}"
            );
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        }
        Ok(())
    });
}

#[test]
fn both_encodings_say_the_same() {
    arbtest::arbtest(|u| {
        let request = request(u)?;
        let again = ExportRequest::from_json(Signal::Traces, &request.to_json()).unwrap();
        assert!(
            again.to_protobuf() == request.to_protobuf(),
            "{again:?}\n{request:?}"
        );
        let kept = ExportRequest::from_protobuf(Signal::Traces, &request.to_protobuf()).unwrap();
        assert_eq!(kept, request);
        // As text, for NaN is not equal to itself.
        assert_eq!(
            format!("{:?}", decode_traces(&request.to_protobuf()).unwrap()),
            format!("{:?}", decode_traces_json(&request.to_json()).unwrap())
        );
        Ok(())
    });
}

#[test]
fn parts_hold_everything_once_and_in_order() {
    arbtest::arbtest(|u| {
        let request = request(u)?;
        let limit = u.int_in_range(1..=2_000)?;
        let items = |request: &ExportRequest| {
            let received = decode_traces(&request.to_protobuf()).unwrap();
            received
                .items()
                .map(|item| format!("{item:?}"))
                .collect::<Vec<String>>()
        };
        let all = items(&request);
        let parts = request.clone().into_parts(limit);
        for part in &parts {
            assert!(part.protobuf_len() <= limit || part.item_count() == 1);
            assert!(!part.is_empty());
        }
        assert_eq!(parts.iter().flat_map(items).collect::<Vec<_>>(), all);
        let count = request.item_count();
        let (first, second) = request.split();
        match second {
            None => assert!(count < 2),
            Some(second) => {
                assert!(first.item_count().abs_diff(second.item_count()) <= 1);
                assert_eq!([items(&first), items(&second)].concat(), all);
            }
        }
        Ok(())
    });
}

fn read_everything(bytes: &[u8]) {
    let _ = decode_traces(bytes);
    let _ = decode_traces_json(bytes);
    let _ = decode_logs(bytes);
    let _ = decode_logs_json(bytes);
    let _ = Status::from_protobuf(bytes);
    let _ = Status::from_json(bytes);
    for signal in Signal::ALL {
        let _ = ExportResponse::from_protobuf(signal, bytes);
        let _ = ExportResponse::from_json(signal, bytes);
        for request in [
            ExportRequest::from_protobuf(signal, bytes),
            ExportRequest::from_json(signal, bytes),
        ]
        .into_iter()
        .flatten()
        {
            let json = request.to_json();
            serde_json::from_slice::<Value>(&json).unwrap();
            let _ = request.into_parts(100);
        }
    }
}

/// Requests of each signal in each encoding.
fn seeds() -> Vec<Vec<u8>> {
    let resource = sample::resource();
    let envelope = sample::envelope(&resource);
    let encoder = sample::encoder(SemanticConventions::Both, true, true);
    let (spans, logs): (Vec<Span>, Vec<LogRecord>) = (sample::spans(), sample::logs());
    let mut records = logs.iter().map(|record| (sample::trace_id(), record));
    [
        encoder.traces(&envelope, &mut spans.iter()),
        encoder.logs(&envelope, &mut records),
        encoder.metrics(&envelope, &sample::metrics()),
    ]
    .iter()
    .flat_map(|request| [request.to_protobuf(), request.to_json()])
    .collect()
}

#[test]
fn no_bytes_make_a_reader_panic() {
    arbtest::arbtest(|u| {
        let bytes: Vec<u8> = u.arbitrary()?;
        read_everything(&bytes);
        Ok(())
    });
    let seeds = seeds();
    arbtest::arbtest(|u| {
        let mut bytes = u.choose(&seeds)?.clone();
        for _ in 0..u.int_in_range(1..=8)? {
            let at = u.choose_index(bytes.len())?;
            match u.int_in_range(0..=3)? {
                0 => bytes[at] = u.arbitrary()?,
                1 => bytes.truncate(at + 1),
                2 => bytes.insert(at, u.arbitrary()?),
                _ => {
                    let end = (at + u.int_in_range(1..=40)?).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        read_everything(&bytes);
        Ok(())
    });
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for depth in [50, 200, 100_000] {
        let text = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":[{{"key":"k","value":{}{}}}]}}]}}]}}]}}"#,
            r#"{"arrayValue":{"values":["#.repeat(depth),
            "]}}".repeat(depth)
        );
        read_everything(text.as_bytes());
        assert!(decode_traces_json(text.as_bytes()).is_err());
        // The same in protobuf: AnyValue in ArrayValue in AnyValue …, each with its length.
        let mut value: Vec<u8> = Vec::new();
        for _ in 0..depth.min(5_000) {
            for tag in [0x0a, 0x2a] {
                let mut outer = vec![tag];
                let mut length = value.len();
                while length >= 0x80 {
                    outer.push(length as u8 | 0x80);
                    length >>= 7;
                }
                outer.push(length as u8);
                outer.append(&mut value);
                value = outer;
            }
        }
        read_everything(&value);
    }
}
