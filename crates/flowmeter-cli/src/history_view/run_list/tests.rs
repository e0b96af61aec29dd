//! The list of runs at several widths.

use expect_test::expect;
use flowmeter_store::{RunFilter, RunOrder, Store};
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::history_view::run_words::run_json;
use crate::history_view::sample;

fn rows() -> Vec<RunRow> {
    sample::store()
        .runs(&RunFilter::default(), RunOrder::Started, 10, 0)
        .expect("it can be read")
}

fn table(width: Option<usize>) -> String {
    let style = TableStyle {
        width,
        ..TableStyle::default()
    };
    let text = run_table(&rows(), &sample::times(), style);
    for line in text.lines() {
        assert!(line.width() <= width.unwrap_or(usize::MAX), "{line}");
    }
    text
}

#[test]
fn runs_of_every_kind_stand_in_a_table() {
    expect![[r#"
        RUN       WORKFLOW   STATUS         STARTED             TIME  NODES  CALLS  TOKENS       COST  SESSION  TAGS      ERROR
        4bf9aaaa  summarize  ● running      1 min ago        1m 35s…      1
        00aa11bb  summarize  ✗ error        1 h ago             5.7s      3      2     320  ≥ $0.0125  s-17     env=prod  openai answered with HTTP 500
        4bf92f35  summarize  ✓ ok           yesterday 14:00     3.1s      5      1     150    $0.0030  s-17     env=test
        deadbeef  nightly    ◌ interrupted  Wed 12:00          520ms      1
    "#]].assert_eq(&table(None));
}

#[test]
fn eighty_columns_hold_what_matters() {
    expect![[r#"
        RUN       WORKFLOW   STATUS         STARTED             TIME  TOKENS       COST
        4bf9aaaa  summarize  ● running      1 min ago        1m 35s…
        00aa11bb  summarize  ✗ error        1 h ago             5.7s     320  ≥ $0.0125
        4bf92f35  summarize  ✓ ok           yesterday 14:00     3.1s     150    $0.0030
        deadbeef  nightly    ◌ interrupted  Wed 12:00          520ms
    "#]]
    .assert_eq(&table(Some(80)));
}

#[test]
fn a_hundred_and_twenty_columns_hold_more() {
    expect![[r#"
        RUN       WORKFLOW   STATUS         STARTED             TIME  NODES  CALLS  TOKENS       COST  SESSION  TAGS
        4bf9aaaa  summarize  ● running      1 min ago        1m 35s…      1
        00aa11bb  summarize  ✗ error        1 h ago             5.7s      3      2     320  ≥ $0.0125  s-17     env=prod
        4bf92f35  summarize  ✓ ok           yesterday 14:00     3.1s      5      1     150    $0.0030  s-17     env=test
        deadbeef  nightly    ◌ interrupted  Wed 12:00          520ms      1
    "#]].assert_eq(&table(Some(120)));
}

#[test]
fn json_is_exact() {
    let rows = rows();
    let second = run_json(&rows[1], &sample::times());
    expect![[r#"
        {
          "run": "00aa11bb77b34da6a3ce929d0e0e4736-00f067aa0ba90002",
          "trace_id": "00aa11bb77b34da6a3ce929d0e0e4736",
          "root_span_id": "00f067aa0ba90002",
          "parent_span_id": null,
          "workflow": "summarize",
          "workflow_version": null,
          "status": "error",
          "started": "2026-11-21T11:00:00.000000000Z",
          "ended": "2026-11-21T11:00:05.700000000Z",
          "duration_ms": 5700.0,
          "nodes": 3,
          "llm_calls": 2,
          "tokens": {
            "input": 260,
            "output": 60,
            "total": 320,
            "cache_read": 0,
            "cache_write": 0,
            "reasoning": 0
          },
          "cost_usd": 0.0125,
          "cost_nanos": 12500000,
          "cost_status": "partial",
          "unpriced_calls": 1,
          "saved_usd": 0.0,
          "saved_nanos": 0,
          "saved_status": "priced",
          "error": {
            "type": "http_500",
            "message": "openai answered with HTTP 500"
          },
          "models": [
            "gpt-5"
          ],
          "session": "s-17",
          "user": "ada",
          "git_commit": "1a2b3c4d5e6f",
          "tags": {
            "env": "prod"
          },
          "spans": 6,
          "logs": 1,
          "sampled": true,
          "payloads_gone": false
        }
    "#]]
    .assert_eq(&format!("{second:#}\n"));
    let running = run_json(&rows[0], &sample::times());
    assert_eq!(running["status"], "running");
    assert_eq!(running["ended"], serde_json::Value::Null);
    assert_eq!(running["duration_ms"], 95_000.0);
}
