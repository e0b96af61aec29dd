//! The planner's part of a trace that was written by hand. Never runs a planner.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use expect_test::expect;
use flowmeter_model::{Span, SpanId, TimestampNs, TraceId};
use serde_json::json;

use super::*;
use crate::HumanStyle;

fn span(number: u64, parent: Option<u64>, kind: SpanKind, operation: &str) -> Span {
    let id = |number| SpanId::from_u64(number).unwrap();
    let trace_id = TraceId::parse("0af7651916cd43dd8448eb211c80319c").unwrap();
    let start = TimestampNs(1_000_000_000 + number * 1_000_000);
    let mut span = Span::begin(trace_id, id(number), parent.map(id), kind, operation, start);
    span.end = Some(TimestampNs(start.0 + 2_000_000));
    span.status = Some(flowmeter_model::SpanStatus::Ok);
    span
}

fn trace() -> TraceDocument {
    TraceDocument {
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        workflow: Some("planned".to_owned()),
        started: None,
        status: None,
        error: None,
        spans: vec![
            span(4, Some(3), SpanKind::LlmCall, "chat small"),
            span(3, Some(2), SpanKind::Node, "node.discovery"),
            span(2, Some(1), SpanKind::Workflow, "planner"),
            span(5, Some(1), SpanKind::Node, "node.echo"),
            span(1, None, SpanKind::Run, "workflow.start"),
        ],
        logs: Vec::new(),
        metrics: Some(json!({"planner": {
            "duration_ms": 12.5, "llm_calls": 1, "tokens": {"total": 110}, "cost_usd": 0.002, "path_taken": "A"
        }})),
        sampled: true,
        pid: None,
        broken_lines: 0,
    }
}

#[test]
fn the_planners_part_stands_alone() {
    let part = planner_part(&trace()).unwrap();
    let mut text = Vec::new();
    crate::write_human(&part, HumanStyle::default(), &mut text).unwrap();
    expect![[r#"
        Workflow Trace: 0af7651916cd43dd8448eb211c80319c
        → planner
          → node.discovery
            → chat small
            ← chat small (2.0ms) ✓
          ← node.discovery (2.0ms) ✓
        ← planner (2.0ms) ✓

        Summary:
        - Total Duration: 12.5ms
        - Nodes Executed: 1
        - Success Rate: 100%
        - LLM Calls: 1
        - Tokens: unknown
        - Cost: unpriced (1 call)
        - Planner: 12.5ms, 1 LLM call, 110 tokens, $0.002, path A
    "#]]
    .assert_eq(&String::from_utf8(text).unwrap());
    let mut without = trace();
    without.spans.retain(|span| span.operation != "planner");
    assert!(planner_part(&without).is_none());
}
