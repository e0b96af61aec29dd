//! What is written is read back, whatever it is.

use std::sync::Arc;

use arbtest::arbitrary::{Result, Unstructured};
use expect_test::expect_file;
use flowmeter_model::{
    AttributeValue, Attributes, Cost, CostExplanation, CostLine, CostStatus, Figure, FigureSource, LogLevel,
    LogRecord, MutationRecord, Span, SpanError, SpanEvent, SpanId, SpanKind, SpanStatus, TelemetryEvent,
    TemplateResolution, TimestampNs, TokenUsage, TraceId, UsdNanos,
};
use serde_json::{Value, json};

use crate::backends::RunIdentity;
use crate::events::{InvalidEventLine, read_event, write_event};

const START_NS: u64 = 1_705_314_645_000_000_000;

pub(crate) fn identity() -> RunIdentity {
    let mut resource = Attributes::new();
    resource.set("service.name", "tests");
    RunIdentity {
        trace_id: TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736").unwrap(),
        root_span_id: None,
        parent_span_id: None,
        workflow: "summarize".into(),
        started: TimestampNs(START_NS),
        trace_state: "ot=th:c".into(),
        sampled: true,
        resource,
    }
}

fn span(id: u64, parent: u64, kind: SpanKind, operation: &str, from_ms: u64) -> Span {
    Span::begin(
        identity().trace_id,
        SpanId::from_u64(id).unwrap(),
        SpanId::from_u64(parent),
        kind,
        operation,
        TimestampNs(START_NS + from_ms * 1_000_000),
    )
}

fn ended(mut span: Span, to_ms: u64, status: SpanStatus) -> TelemetryEvent {
    span.end = Some(TimestampNs(START_NS + to_ms * 1_000_000));
    span.status = Some(status);
    TelemetryEvent::SpanEnded(Box::new(span))
}

/// A small run in which every kind of line occurs.
pub(crate) fn a_run() -> Vec<TelemetryEvent> {
    let started = |span: &Span| TelemetryEvent::SpanStarted(Box::new(span.clone()));
    let mut run = span(1, 0, SpanKind::Run, "workflow.start", 0);
    run.attributes.set("workflow.name", "summarize");
    let mut read = span(2, 1, SpanKind::Node, "node.read_file", 1);
    read.attributes.set("node.id", "reader");
    read.attributes.set("node.type", "read_file");
    let mut read_done = read.clone();
    read_done.attributes.set("node.attempts", 1_i64);
    read_done
        .attributes
        .set("node.config", json!({"path": "${file}"}));
    read_done.params = Some(json!({"path": "input.txt"}).into());
    read_done.templates.push(TemplateResolution {
        template: "${file}".into(),
        value: json!("input.txt").into(),
    });
    read_done.mutations.push(MutationRecord {
        path: "reader.content".into(),
        before: Some(json!(null).into()),
        after: Some(json!("…").into()),
        time: TimestampNs(START_NS + 45_000_000),
    });
    let log = LogRecord {
        time: TimestampNs(START_NS + 2_000_000),
        level: LogLevel::Info,
        message: "Opening file: input.txt".into(),
        target: Some("reader".into()),
        span_id: SpanId::from_u64(2),
        attributes: Attributes::new(),
    };
    let mut ask = span(3, 1, SpanKind::Node, "node.llm", 50);
    ask.attributes.set("node.id", "ask");
    ask.attributes.set("node.type", "llm");
    let mut attempt = span(4, 3, SpanKind::Attempt, "attempt", 51);
    attempt.attributes.set("attempt.number", 1_i64);
    attempt.attributes.set("attempt.max", 3_i64);
    let call = span(5, 4, SpanKind::LlmCall, "chat gpt-4o", 52);
    let mut call_done = call.clone();
    call_done.attributes.set("gen_ai.request.model", "gpt-4o");
    call_done.attributes.set("flowmeter.cost.usd", 0.0089);
    call_done.usage = Some(TokenUsage {
        input: Some(Figure::provider(1200)),
        output: Some(Figure::estimate(85)),
        ..TokenUsage::default()
    });
    call_done.cost = Some(Cost::known(CostStatus::Estimated, UsdNanos(8_900_000), None));
    let mut ask_done = ask.clone();
    ask_done.error = Some(SpanError {
        error_type: "http_500".into(),
        message: "the server failed\non two lines".into(),
        chain: vec!["connection reset".into()],
    });
    vec![
        started(&run),
        started(&read),
        TelemetryEvent::Log(identity().trace_id, Box::new(log)),
        ended(read_done, 46, SpanStatus::Ok),
        started(&ask),
        started(&attempt),
        started(&call),
        ended(call_done, 180, SpanStatus::Ok),
        ended(attempt, 185, SpanStatus::Error),
        ended(ask_done, 190, SpanStatus::Error),
        ended(
            span(6, 1, SpanKind::Custom, "cleanup", 191),
            230,
            SpanStatus::Cancelled,
        ),
        ended(run, 235, SpanStatus::Error),
    ]
}

pub(crate) fn written(events: &[TelemetryEvent]) -> String {
    let mut text = Vec::new();
    for event in events {
        write_event(&mut text, &identity(), event).unwrap();
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn the_lines_of_a_run_to_the_byte() {
    expect_file!["../../../tests/golden/events-1.jsonl"].assert_eq(&written(&a_run()));
}

#[test]
fn a_run_is_read_back_as_it_was_written() {
    let events = a_run();
    let text = written(&events);
    let read: Vec<TelemetryEvent> = text
        .lines()
        .map(|line| read_event(line).unwrap().unwrap().1)
        .collect();
    let in_order: Vec<TelemetryEvent> = events.into_iter().map(in_order_of_names).collect();
    let read: Vec<TelemetryEvent> = read.into_iter().map(in_order_of_names).collect();
    assert_eq!(read, in_order);
}

#[test]
fn logs_that_a_span_carries_become_lines_before_its_end() {
    let mut with_log = span(2, 1, SpanKind::Custom, "work", 1);
    with_log.logs.push(LogRecord {
        time: TimestampNs(START_NS),
        level: LogLevel::Warn,
        message: "odd".into(),
        target: None,
        span_id: None,
        attributes: Attributes::new(),
    });
    let text = written(&[ended(with_log, 3, SpanStatus::Ok)]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains(r#""message":"odd""#) && lines[0].contains(r#""span_id":"0000000000000002""#));
    assert!(lines[1].starts_with(r#"{"type":"span_end""#));
}

#[test]
fn lines_of_other_programs_are_told_from_ours() {
    assert!(read_event(r#"{"type":"custom","name":"x"}"#).unwrap().is_none());
    let error = read_event(r#"{"type":"node_end","result":"success"}"#).unwrap_err();
    assert!(matches!(
        error,
        InvalidEventLine::Missing {
            field: "trace_id",
            ..
        }
    ));
    assert!(matches!(
        read_event("{").unwrap_err(),
        InvalidEventLine::NoEvent(_)
    ));
}

/// The order of attributes means nothing; the node's own come first in a line. An empty configuration at a node's
/// start may be one that is not known yet.
fn in_order_of_names(event: TelemetryEvent) -> TelemetryEvent {
    let sorted = |attributes: &Attributes| {
        let mut pairs: Vec<_> = attributes.iter().collect();
        pairs.sort_by_key(|(key, _)| (*key).clone());
        let mut sorted = Attributes::new();
        for (key, value) in pairs {
            sorted.set(key.clone(), value.clone());
        }
        sorted
    };
    let of_span = |mut span: Box<Span>| {
        span.attributes = sorted(&span.attributes);
        span
    };
    match event {
        TelemetryEvent::SpanStarted(mut span) => {
            let unknown = AttributeValue::from(json!({}));
            let mut attributes = Attributes::new();
            for (key, value) in span.attributes.iter() {
                if !(key == "node.config" && *value == unknown && span.kind == SpanKind::Node) {
                    attributes.set(key.clone(), value.clone());
                }
            }
            span.attributes = attributes;
            TelemetryEvent::SpanStarted(of_span(span))
        }
        TelemetryEvent::SpanEnded(span) => TelemetryEvent::SpanEnded(of_span(span)),
        log => log,
    }
}

fn any_text(u: &mut Unstructured<'_>) -> Result<String> {
    u.arbitrary()
}

fn any_value(u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match u.int_in_range(0..=4)? {
        0 => json!([any_text(u)?, null]),
        1 => json!({ any_text(u)?: u.arbitrary::<i64>()? }),
        2 => json!([]),
        3 => json!({"nested": [{"deep": any_text(u)?}]}),
        _ => json!({}),
    })
}

fn any_attributes(u: &mut Unstructured<'_>) -> Result<Attributes> {
    let mut attributes = Attributes::new();
    for _ in 0..u.int_in_range(0..=4)? {
        let value = match u.int_in_range(0..=4)? {
            0 => AttributeValue::Bool(u.arbitrary()?),
            1 => AttributeValue::I64(u.arbitrary()?),
            2 => AttributeValue::F64(f64::from(u.arbitrary::<i32>()?) / 8.0),
            3 => AttributeValue::from(any_text(u)?),
            _ => AttributeValue::from(any_value(u)?),
        };
        attributes.set(format!("a.{}", any_text(u)?), value);
    }
    Ok(attributes)
}

fn any_time(u: &mut Unstructured<'_>) -> Result<TimestampNs> {
    Ok(TimestampNs(u.arbitrary()?))
}

fn any_span(u: &mut Unstructured<'_>) -> Result<Span> {
    let kind = *u.choose(&[
        SpanKind::Run,
        SpanKind::Node,
        SpanKind::Attempt,
        SpanKind::BatchItem,
        SpanKind::Iteration,
        SpanKind::Workflow,
        SpanKind::LlmCall,
        SpanKind::Custom,
    ])?;
    let mut span = span(u.int_in_range(1..=u64::MAX)?, u.arbitrary()?, kind, "", 0);
    span.operation = match u.int_in_range(0..=2)? {
        0 => "workflow.start".into(),
        1 => format!("node.{}", any_text(u)?).into(),
        _ => any_text(u)?.into(),
    };
    span.start = any_time(u)?;
    if u.arbitrary()? {
        span.attributes.set("node.id", any_text(u)?);
        span.attributes.set("node.type", any_text(u)?);
    }
    if u.arbitrary()? {
        span.attributes.set("node.config", any_value(u)?);
    }
    for (key, value) in any_attributes(u)?.iter() {
        span.attributes.set(key.clone(), value.clone());
    }
    Ok(span)
}

fn any_figure(u: &mut Unstructured<'_>) -> Result<Figure> {
    let source = *u.choose(&[
        FigureSource::Provider,
        FigureSource::Convention,
        FigureSource::Tokenizer,
        FigureSource::Estimate,
    ])?;
    let tokens = u.arbitrary()?;
    Ok(Figure { tokens, source })
}

fn any_ended_span(u: &mut Unstructured<'_>) -> Result<Span> {
    let mut span = any_span(u)?;
    span.end = Some(any_time(u)?);
    span.status = Some(*u.choose(&[SpanStatus::Ok, SpanStatus::Error, SpanStatus::Cancelled])?);
    if u.arbitrary()? {
        span.error = Some(SpanError {
            error_type: format!("e{}", any_text(u)?).into(),
            message: any_text(u)?,
            chain: u.arbitrary()?,
        });
    }
    if u.arbitrary()? {
        span.params = Some(Arc::new(any_value(u)?));
    }
    if u.arbitrary()? {
        span.templates.push(TemplateResolution {
            template: any_text(u)?,
            value: Arc::new(any_value(u)?),
        });
    }
    if u.arbitrary()? {
        span.mutations.push(MutationRecord {
            path: any_text(u)?,
            before: u.arbitrary::<bool>()?.then(|| Arc::new(Value::Null)),
            after: Some(Arc::new(any_value(u)?)),
            time: any_time(u)?,
        });
    }
    if u.arbitrary()? {
        span.events.push(SpanEvent {
            name: any_text(u)?.into(),
            time: any_time(u)?,
            attributes: any_attributes(u)?,
        });
    }
    if u.arbitrary()? {
        span.usage = Some(TokenUsage {
            input: Some(any_figure(u)?),
            cache_read: u.arbitrary::<bool>()?.then_some(any_figure(u)?),
            output: Some(any_figure(u)?),
            service_tier: u.arbitrary()?,
            ..TokenUsage::default()
        });
    }
    if u.arbitrary()? {
        let explanation = CostExplanation {
            matched: any_text(u)?.into(),
            lines: vec![CostLine {
                kind: "input".into(),
                quantity: u.arbitrary()?,
                rate_nanos: u.arbitrary()?,
                per: 1_000_000,
            }],
            ..CostExplanation::default()
        };
        let amount = UsdNanos(i64::from(u.arbitrary::<i32>()?));
        span.cost = Some(Cost::known(
            CostStatus::Priced,
            amount,
            Some(Arc::new(explanation)),
        ));
    }
    Ok(span)
}

fn any_event(u: &mut Unstructured<'_>) -> Result<TelemetryEvent> {
    Ok(match u.int_in_range(0..=2)? {
        0 => TelemetryEvent::SpanStarted(Box::new(any_span(u)?)),
        1 => TelemetryEvent::SpanEnded(Box::new(any_ended_span(u)?)),
        _ => {
            let level = *u.choose(&[LogLevel::Trace, LogLevel::Info, LogLevel::Error])?;
            let record = LogRecord {
                time: any_time(u)?,
                level,
                message: any_text(u)?,
                target: u.arbitrary::<Option<String>>()?.map(Into::into),
                span_id: SpanId::from_u64(u.arbitrary()?),
                attributes: any_attributes(u)?,
            };
            TelemetryEvent::Log(identity().trace_id, Box::new(record))
        }
    })
}

#[test]
fn any_event_survives_its_line() {
    arbtest::arbtest(|u| {
        let event = any_event(u)?;
        let line = written(std::slice::from_ref(&event));
        assert_eq!(line.matches('\n').count(), 1, "one line: {line}");
        let (trace_id, read) = read_event(&line).unwrap().unwrap();
        assert_eq!(trace_id, identity().trace_id);
        assert_eq!(in_order_of_names(read), in_order_of_names(event), "{line}");
        Ok(())
    });
}
