//! A live stream of ours, formatted, says what the saved trace says.

use flowmeter_model::{AttributeValue, LogLevel, Span, SpanKind, SpanStatus, TelemetryEvent, TimestampNs};
use serde_json::Value;

use super::formats::{HUMAN, config, formatted, formatted_with, tree};
use super::roundtrip::{a_run, identity, written};
use crate::events::{EventFormat, EventFormatterConfig};
use crate::{HumanStyle, TraceDocument, read_trace, write_human};

/// What `flowmeter show` prints of these events.
fn shown(events: &[TelemetryEvent]) -> String {
    let mut trace = TraceDocument {
        trace_id: identity().trace_id.to_string(),
        workflow: None,
        started: None,
        status: None,
        error: None,
        spans: Vec::new(),
        logs: Vec::new(),
        metrics: Some(Value::Null),
        sampled: true,
        pid: None,
        broken_lines: 0,
    };
    for event in events {
        match event {
            TelemetryEvent::SpanEnded(span) => trace.spans.push((**span).clone()),
            TelemetryEvent::Log(_, log) => trace.logs.push((**log).clone()),
            TelemetryEvent::SpanStarted(_) => {}
        }
    }
    let mut text = Vec::new();
    write_human(&trace, HumanStyle::default(), &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_stream_gives_the_same_tree_as_the_trace() {
    let events = a_run();
    assert_eq!(tree(&written(&events)), shown(&events));
}

/// A run of nodes one after the other, each with attempts, calls and logs in them.
fn any_run(u: &mut arbtest::arbitrary::Unstructured<'_>) -> arbtest::arbitrary::Result<Vec<TelemetryEvent>> {
    let mut run = Making {
        events: Vec::new(),
        now_ns: 1_705_314_645_000_000_000,
        next_id: 1,
    };
    let root = run.begin(None, SpanKind::Run, "workflow.start");
    for index in 0..u.int_in_range(0..=4)? {
        run.node(u, &root, index, 0)?;
    }
    run.end(root, SpanStatus::Ok);
    Ok(run.events)
}

struct Making {
    events: Vec<TelemetryEvent>,
    now_ns: u64,
    next_id: u64,
}

impl Making {
    fn tick(&mut self) -> TimestampNs {
        self.now_ns += 149_960;
        TimestampNs(self.now_ns)
    }

    fn begin(&mut self, parent: Option<&Span>, kind: SpanKind, operation: &str) -> Span {
        let id = flowmeter_model::SpanId::from_u64(self.next_id).unwrap();
        self.next_id += 1;
        let at = self.tick();
        let parent = parent.map(|parent| parent.span_id);
        Span::begin(identity().trace_id, id, parent, kind, operation, at)
    }

    fn started(&mut self, span: &Span) {
        self.events
            .push(TelemetryEvent::SpanStarted(Box::new(span.clone())));
    }

    fn end(&mut self, mut span: Span, status: SpanStatus) {
        // The stream tells of the beginning where it was; here the run's alone was not told yet.
        if span.kind == SpanKind::Run {
            self.events
                .insert(0, TelemetryEvent::SpanStarted(Box::new(span.clone())));
        }
        span.end = Some(self.tick());
        span.status = Some(status);
        self.events.push(TelemetryEvent::SpanEnded(Box::new(span)));
    }

    fn log(&mut self, span: &Span, message: String) {
        let mut attributes = flowmeter_model::Attributes::new();
        if message.len().is_multiple_of(3) {
            attributes.set("count", 3_i64);
            attributes.set("name", message.clone());
        }
        let record = flowmeter_model::LogRecord {
            time: self.tick(),
            level: LogLevel::Warn,
            message,
            target: None,
            span_id: Some(span.span_id),
            attributes,
        };
        self.events
            .push(TelemetryEvent::Log(identity().trace_id, Box::new(record)));
    }

    fn node(
        &mut self,
        u: &mut arbtest::arbitrary::Unstructured<'_>,
        parent: &Span,
        index: u32,
        depth: u32,
    ) -> arbtest::arbitrary::Result<()> {
        let mut node = self.begin(Some(parent), SpanKind::Node, "node.step");
        node.attributes.set("node.id", format!("n{index}"));
        node.attributes.set("node.type", "step");
        self.started(&node);
        let attempts = u.int_in_range(1..=3)?;
        let mut is_well = false;
        for number in 1..=attempts {
            let mut attempt = self.begin(Some(&node), SpanKind::Attempt, "attempt");
            attempt
                .attributes
                .set("attempt.number", AttributeValue::I64(number));
            attempt.attributes.set("attempt.max", AttributeValue::I64(3));
            self.started(&attempt);
            if u.arbitrary()? {
                self.log(&attempt, u.arbitrary::<String>()?);
            }
            if depth < 2 && u.arbitrary()? {
                self.node(u, &attempt, index + 10, depth + 1)?;
            }
            is_well = number == attempts && u.arbitrary()?;
            if !is_well {
                attempt.error = Some(flowmeter_model::SpanError {
                    error_type: "test".into(),
                    message: u.arbitrary()?,
                    chain: vec![u.arbitrary()?],
                });
            }
            if u.ratio(1, 8)? {
                attempt.attributes.set(crate::scope::LOGS_DROPPED, 2_i64);
            }
            self.end(
                attempt,
                if is_well {
                    SpanStatus::Ok
                } else {
                    SpanStatus::Error
                },
            );
        }
        if u.ratio(1, 8)? {
            node.attributes.set(crate::scope::LOGS_DROPPED, 1_i64);
        }
        self.end(
            node,
            if is_well {
                SpanStatus::Ok
            } else {
                SpanStatus::Error
            },
        );
        Ok(())
    }
}

#[test]
fn attempts_that_fail_are_shown_where_the_trace_shows_them() {
    arbtest::arbtest(|u| {
        let events = any_run(u)?;
        let lines = written(&events);
        assert_eq!(tree(&lines), shown(&events), "{lines}");
        Ok(())
    });
}

#[test]
fn where_somebody_watches_nothing_is_held_back() {
    let live = EventFormatterConfig {
        live: true,
        ..config(HUMAN)
    };
    let lines = written(&a_run());
    let (text, problems) = formatted_with(live, lines.as_bytes());
    assert_eq!(problems, "");
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is in {text}"));
    assert!(place("chat gpt-4o") < place("attempt [1 of 3]"), "{text}");
    assert!(text.contains("← attempt (134.0ms) ✗"), "{text}");
}

#[test]
fn a_document_made_of_a_stream_is_the_saved_trace() {
    let events = a_run();
    let (document, problems) = formatted(EventFormat::Json, &written(&events));
    assert_eq!(problems, "");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    std::fs::write(&path, document).unwrap();
    let trace = read_trace(&path).unwrap();
    let mut text = Vec::new();
    write_human(&trace, HumanStyle::default(), &mut text).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), shown(&events));
    let call = trace
        .spans
        .iter()
        .find(|span| span.kind == SpanKind::LlmCall)
        .unwrap();
    let TelemetryEvent::SpanEnded(streamed) = &events[7] else {
        panic!("the call's end");
    };
    assert_eq!((&call.usage, &call.cost), (&streamed.usage, &streamed.cost));
}

#[test]
fn a_document_without_times_can_be_shown() {
    let lines = "{\"type\":\"workflow_start\",\"workflow_id\":\"w\"}\n\
        {\"type\":\"node_start\",\"node\":{\"id\":\"a\",\"type\":\"t\"}}\n\
        {\"type\":\"log\",\"message\":\"m\"}\n{\"type\":\"custom\",\"name\":\"c\"}\n\
        {\"type\":\"node_end\",\"result\":\"success\"}\n{\"type\":\"workflow_end\"}\n";
    let (document, _) = formatted(EventFormat::Json, lines);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    std::fs::write(&path, document).unwrap();
    let mut text = Vec::new();
    write_human(&read_trace(&path).unwrap(), HumanStyle::default(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("→ workflow.start\n  → node.t [a]\n    [INFO] m\n  ← node.t ✓\n← workflow.end\n"),
        "{text}"
    );
    assert!(text.contains("- Total Duration: unknown\n"), "{text}");
}
