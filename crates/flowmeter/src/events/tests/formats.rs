//! What each format makes of the agreed lines.

use std::io::Cursor;

use expect_test::{Expect, expect};
use flowmeter_model::TimestampNs;
use serde_json::Value;

use crate::HumanStyle;
use crate::events::{Block, EventFormat, EventFormatter, EventFormatterConfig, FormatStep, LineBlocks};

pub(super) const HUMAN: EventFormat = EventFormat::Human(HumanStyle {
    colour: false,
    utc_offset_seconds: 0,
});

pub(super) fn config(format: EventFormat) -> EventFormatterConfig {
    EventFormatterConfig {
        id_seed: 1,
        now: TimestampNs(1_800_000_000_000_000_000),
        scratch: tempfile::tempfile,
        ..EventFormatterConfig::new(format)
    }
}

/// What is printed, and what is said about the lines.
pub(super) fn formatted_with(config: EventFormatterConfig, bytes: &[u8]) -> (String, String) {
    let mut formatter = EventFormatter::new(config, Vec::new());
    let mut blocks = LineBlocks::new(Cursor::new(bytes));
    let mut block = Block::default();
    while blocks.next_block(&mut block).unwrap() {
        if formatter.take_block(&block).unwrap() == FormatStep::Stop {
            break;
        }
    }
    let (outcome, output) = formatter.finish().unwrap();
    let mut problems: String = outcome
        .problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect();
    let untold = outcome.problem_count - outcome.problems.len() as u64;
    if untold > 0 {
        problems.push_str(&format!("and {untold} more\n"));
    }
    (String::from_utf8(output).unwrap(), problems)
}

pub(super) fn formatted(format: EventFormat, text: &str) -> (String, String) {
    formatted_with(config(format), text.as_bytes())
}

/// The tree, of lines that have no problem.
pub(super) fn tree(text: &str) -> String {
    let (output, problems) = formatted(HUMAN, text);
    assert_eq!(problems, "");
    output
}

fn check(format: EventFormat, text: &str, expected: Expect) {
    let (output, problems) = formatted(format, text);
    assert_eq!(problems, "");
    expected.assert_eq(&output);
}

/// The lines as they were agreed, word for word.
const AGREED: &str = r#"{"type": "workflow_start", "workflow_id": "test"}
{"type": "node_start", "node": {"id": "n1", "type": "read", "config": {}}}
{"type": "log", "level": "INFO", "message": "Reading file"}
{"type": "node_end", "result": "success"}
{"type": "error", "message": "...", "node": {"id": "n1"}}
{"type": "custom", "name": "...", "attributes": {}}
{"type": "workflow_end"}
"#;

/// The events behind the agreed tree.
const TIMED: &str = r#"{"type":"workflow_start","workflow_id":"test","trace_id":"abc123","timestamp":1705314645000000000}
{"type":"node_start","node":{"id":"reader","type":"read_file","config":{"path":"input.txt"}},"timestamp":1705314645001000000}
{"type":"log","level":"INFO","message":"Opening file: input.txt","timestamp":1705314645002000000}
{"type":"log","level":"DEBUG","message":"File size: 1024 bytes","timestamp":"1705314645003000000"}
{"type":"node_end","result":"success","timestamp":1705314645046200000}
{"type":"node_start","node":{"id":"processor","type":"transform","config":{}},"timestamp":1705314645050000000}
{"type":"log","level":"info","message":"Processing 10 records"}
{"type":"node_end","result":"success","timestamp":1705314645173400000}
{"type":"workflow_end","timestamp":1705314645234500000}
"#;

#[test]
fn the_agreed_lines_as_a_tree() {
    check(
        HUMAN,
        AGREED,
        expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → workflow.start
          → node.read [n1]
            [INFO] Reading file
          ← node.read ✓
          [ERROR] ... [n1]
          [CUSTOM] ...
        ← workflow.end

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 1
        - Success Rate: 100%
    "#]],
    );
}

#[test]
fn the_agreed_tree_to_the_byte() {
    let agreed = "\
Workflow Trace: abc123
→ workflow.start [2024-01-15 10:30:45]
  → node.read_file [reader]
    [INFO] Opening file: input.txt
    [DEBUG] File size: 1024 bytes
  ← node.read_file (45.2ms) ✓
  → node.transform [processor]
    [INFO] Processing 10 records
  ← node.transform (123.4ms) ✓
← workflow.end (234.5ms)

Summary:
- Total Duration: 234.5ms
- Nodes Executed: 2
- Success Rate: 100%
";
    assert_eq!(tree(TIMED), agreed);
}

#[test]
fn the_agreed_lines_as_json() {
    check(
        EventFormat::Json,
        AGREED,
        expect![[r#"
            {"format":"flowmeter.trace/1","trace_id":"beeb8da1658eec67f893a2eefb32555e","spans":[{"span_id":"f18d6ce93d6cf1ee","parent_span_id":"5e41ab087439611e","operation":"node.read","kind":"node","start_time":null,"duration_ms":null,"status":"ok","attributes":{"node.id":"n1","node.type":"read","node.config":{}}},{"span_id":"5e41ab087439611e","operation":"workflow.start","kind":"run","start_time":null,"duration_ms":null,"status":"ok","attributes":{"workflow.id":"test","workflow.name":"test"},"events":[{"name":"...","time":null}]}],"logs":[{"timestamp":null,"level":"INFO","message":"Reading file","span_id":"f18d6ce93d6cf1ee"},{"timestamp":null,"level":"ERROR","message":"...","span_id":"5e41ab087439611e","attributes":{"node.id":"n1"}}],"workflow":"test","status":"ok","metrics":{"total_duration_ms":null,"node_count":1,"success_rate":1.0,"error_count":1}}
        "#]],
    );
}

#[test]
fn a_document_has_what_was_agreed() {
    let (text, problems) = formatted(EventFormat::Json, TIMED);
    assert_eq!((problems.as_str(), text.matches('\n').count()), ("", 1));
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["trace_id"], "abc123");
    let reader = &document["spans"][0];
    assert_eq!(reader["operation"], "node.read_file");
    assert_eq!(reader["start_time"], 1_705_314_645_001_000_000_u64);
    assert_eq!(reader["duration_ms"], 45.2);
    assert_eq!(reader["attributes"]["node.id"], "reader");
    assert_eq!(reader["attributes"]["node.type"], "read_file");
    assert_eq!(reader["attributes"]["node.config"]["path"], "input.txt");
    assert_eq!(reader["parent_span_id"], document["spans"][2]["span_id"]);
    assert_eq!(document["spans"][2]["operation"], "workflow.start");
    assert_eq!(document["logs"].as_array().unwrap().len(), 3);
    assert_eq!(document["metrics"]["total_duration_ms"], 234.5);
    assert_eq!(document["metrics"]["node_count"], 2);
    assert_eq!(document["metrics"]["success_rate"], 1.0);
}

#[test]
fn the_agreed_lines_as_otlp() {
    check(
        EventFormat::Otlp,
        AGREED,
        expect![[r#"
            {"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{"name":"flowmeter","version":"0.1.0"},"spans":[{"traceId":"beeb8da1658eec67f893a2eefb32555e","spanId":"f18d6ce93d6cf1ee","parentSpanId":"5e41ab087439611e","flags":257,"name":"node.read","kind":1,"startTimeUnixNano":"1800000000000000002","endTimeUnixNano":"1800000000000000004","attributes":[{"key":"node.id","value":{"stringValue":"n1"}},{"key":"node.type","value":{"stringValue":"read"}},{"key":"flowmeter.node.config","value":{"stringValue":"{}"}},{"key":"flowmeter.time.assumed","value":{"boolValue":true}},{"key":"flowmeter.span.kind","value":{"stringValue":"node"}}]},{"traceId":"beeb8da1658eec67f893a2eefb32555e","spanId":"5e41ab087439611e","flags":257,"name":"invoke_workflow test","kind":1,"startTimeUnixNano":"1800000000000000001","endTimeUnixNano":"1800000000000000007","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"invoke_workflow"}},{"key":"gen_ai.workflow.name","value":{"stringValue":"test"}},{"key":"workflow.id","value":{"stringValue":"test"}},{"key":"flowmeter.time.assumed","value":{"boolValue":true}},{"key":"flowmeter.span.kind","value":{"stringValue":"run"}}],"events":[{"timeUnixNano":"1800000000000000006","name":"..."}]}]}]}]}
            {"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{"name":"flowmeter","version":"0.1.0"},"logRecords":[{"timeUnixNano":"1800000000000000003","observedTimeUnixNano":"1800000000000000003","severityNumber":9,"severityText":"INFO","body":{"stringValue":"Reading file"},"attributes":[{"key":"flowmeter.time.assumed","value":{"boolValue":true}}],"flags":1,"traceId":"beeb8da1658eec67f893a2eefb32555e","spanId":"f18d6ce93d6cf1ee"},{"timeUnixNano":"1800000000000000005","observedTimeUnixNano":"1800000000000000005","severityNumber":17,"severityText":"ERROR","body":{"stringValue":"..."},"attributes":[{"key":"node.id","value":{"stringValue":"n1"}},{"key":"flowmeter.time.assumed","value":{"boolValue":true}}],"flags":1,"traceId":"beeb8da1658eec67f893a2eefb32555e","spanId":"5e41ab087439611e"}]}]}]}
        "#]],
    );
}

#[test]
fn the_timed_lines_as_metrics() {
    check(
        EventFormat::Metrics,
        TIMED,
        expect![[r#"
            {
              "workflow_duration": 0.2345,
              "workflow_count": 1,
              "node_durations": {
                "read_file": {
                  "min": 0.0452,
                  "max": 0.0452,
                  "sum": 0.0452,
                  "count": 1,
                  "avg": 0.0452,
                  "p50": 0.0452,
                  "p90": 0.0452,
                  "p99": 0.0452
                },
                "transform": {
                  "min": 0.1234,
                  "max": 0.1234,
                  "sum": 0.1234,
                  "count": 1,
                  "avg": 0.1234,
                  "p50": 0.1234,
                  "p90": 0.1234,
                  "p99": 0.1234
                }
              },
              "node_counts": {
                "read_file": 1,
                "transform": 1
              },
              "node_count": 2,
              "error_count": 0,
              "error_rate": 0.0,
              "success_rate": 1.0,
              "memory_usage": null,
              "throughput": {
                "events_per_second": 38.37953091684435,
                "nodes_per_second": 8.528784648187633,
                "llm_calls_per_second": 0.0,
                "tokens_per_second": 0.0
              },
              "event_count": 9,
              "llm_calls": 0,
              "tokens": {
                "input": 0,
                "output": 0,
                "total": 0
              },
              "cost_usd": 0.0,
              "cost_nanos": 0,
              "cost_status": "priced",
              "unpriced_calls": 0,
              "unpriced_models": [],
              "nodes": {
                "reader": {
                  "type": "read_file",
                  "count": 1,
                  "failures": 0,
                  "error_rate": 0.0,
                  "durations": {
                    "min": 0.0452,
                    "max": 0.0452,
                    "sum": 0.0452,
                    "count": 1,
                    "avg": 0.0452,
                    "p50": 0.0452,
                    "p90": 0.0452,
                    "p99": 0.0452
                  }
                },
                "processor": {
                  "type": "transform",
                  "count": 1,
                  "failures": 0,
                  "error_rate": 0.0,
                  "durations": {
                    "min": 0.1234,
                    "max": 0.1234,
                    "sum": 0.1234,
                    "count": 1,
                    "avg": 0.1234,
                    "p50": 0.1234,
                    "p90": 0.1234,
                    "p99": 0.1234
                  }
                }
              }
            }
        "#]],
    );
}

#[test]
fn several_workflows_are_several_traces() {
    let two = r#"{"type":"workflow_start","workflow_id":"one"}
{"type":"workflow_end"}
{"type":"workflow_start","workflow_id":"two"}
{"type":"workflow_end"}
{"type":"log","message":"a word after the end"}
"#;
    check(
        HUMAN,
        two,
        expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → workflow.start
        ← workflow.end

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 0
        - Success Rate: 100%

        Workflow Trace: 71c18690ee42c90b71bb54d8d101b5b9
        → workflow.start
        ← workflow.end
        [INFO] a word after the end

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 0
        - Success Rate: 100%
    "#]],
    );
    let (text, _) = formatted(EventFormat::Json, two);
    let documents: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[1]["workflow"], "two");
    assert_eq!(documents[1]["logs"][0]["message"], "a word after the end");
    assert_ne!(documents[0]["trace_id"], documents[1]["trace_id"]);
}

#[test]
fn traces_that_come_in_turns_are_told_apart() {
    let turns = r#"{"type":"workflow_start","workflow_id":"a","trace_id":"A","timestamp":1000000}
{"type":"workflow_start","workflow_id":"b","trace_id":"B","timestamp":2000000}
{"type":"node_start","node":{"id":"n","type":"t"},"trace_id":"A"}
{"type":"log","message":"in a","trace_id":"A"}
{"type":"log","message":"in b","trace_id":"B"}
{"type":"node_end","result":"error","trace_id":"A"}
{"type":"workflow_end","trace_id":"B","timestamp":5000000}
{"type":"workflow_end","trace_id":"A","timestamp":9000000}
"#;
    check(
        HUMAN,
        turns,
        expect![[r#"
            Workflow Trace: A
            → workflow.start [1970-01-01 00:00:00]

            Workflow Trace: B
            → workflow.start [1970-01-01 00:00:00]

            Workflow Trace: A (continued)
              → node.t [n]
                [INFO] in a

            Workflow Trace: B (continued)
              [INFO] in b

            Workflow Trace: A (continued)
              ← node.t [n] ✗

            Workflow Trace: B (continued)
            ← workflow.end (3.0ms)

            Summary:
            - Total Duration: 3.0ms
            - Nodes Executed: 0
            - Success Rate: 100%

            Workflow Trace: A (continued)
            ← workflow.end (8.0ms)

            Summary:
            - Total Duration: 8.0ms
            - Nodes Executed: 1
            - Success Rate: 0%
        "#]],
    );
    let (text, _) = formatted(EventFormat::Json, turns);
    let documents: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: Vec<&str> = documents
        .iter()
        .map(|document| document["trace_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["A", "B"]);
    assert_eq!(documents[0]["metrics"]["success_rate"], 0.0);
    assert_eq!(documents[1]["logs"][0]["message"], "in b");
}

#[test]
fn colour_is_written_where_it_is_asked_for() {
    let style = HumanStyle {
        colour: true,
        utc_offset_seconds: 3600,
    };
    let (text, _) = formatted(EventFormat::Human(style), TIMED);
    assert!(
        text.contains("\u{1b}[36m→\u{1b}[0m node.read_file [reader]"),
        "{text}"
    );
    assert!(text.contains("[2024-01-15 11:30:45]"), "local time: {text}");
}
