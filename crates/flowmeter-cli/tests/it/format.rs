//! `flowmeter format`: event lines of any program in, a tree, JSON, OTLP or figures out; and what is said about lines
//! that are wrong.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Ended, Sandbox, ended};

/// The lines as they were agreed.
const AGREED: &str = r#"{"type": "workflow_start", "workflow_id": "test"}
{"type": "node_start", "node": {"id": "n1", "type": "read", "config": {}}}
{"type": "log", "level": "INFO", "message": "Reading file"}
{"type": "node_end", "result": "success"}
{"type": "error", "message": "...", "node": {"id": "n1"}}
{"type": "custom", "name": "...", "attributes": {}}
{"type": "workflow_end"}
"#;

fn format_text(text: &str, arguments: &[&str]) -> Ended {
    let sandbox = Sandbox::new();
    let file = sandbox.file("events.jsonl", text);
    let mut all = vec!["format", "events.jsonl", "--id-seed", "1"];
    all.extend_from_slice(arguments);
    let ended = sandbox.run(&all);
    drop(file);
    ended
}

#[test]
fn the_agreed_lines_become_a_tree() {
    let ended = format_text(AGREED, &[]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
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
    "#]]
    .assert_eq(&ended.out);
}

#[test]
fn standard_input_gives_the_same() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("events.jsonl", AGREED);
    let mut command = sandbox.command(&["format", "-", "--format", "human", "--id-seed", "1"]);
    command.stdin(File::open(file).unwrap());
    let ended = ended(command);
    assert_eq!(ended.out, format_text(AGREED, &[]).out);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

#[test]
fn a_document_is_what_show_shows() {
    let sandbox = Sandbox::new();
    sandbox.file("events.jsonl", AGREED);
    let document = sandbox.run(&["format", "events.jsonl", "--format", "json"]);
    assert_eq!(document.code, 0, "{document:?}");
    let trace = document.json();
    assert_eq!(trace["spans"][0]["operation"], "node.read");
    assert_eq!(trace["spans"][0]["attributes"]["node.id"], "n1");
    assert_eq!(trace["metrics"]["node_count"], 1);
    assert_eq!(trace["metrics"]["success_rate"], 1.0);
    sandbox.file("trace.json", &document.out);
    let shown = sandbox.run(&["show", "trace.json"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(
        shown
            .out
            .contains("  → node.read [n1]\n    [INFO] Reading file\n  ← node.read ✓\n"),
        "{shown:?}"
    );
}

#[test]
fn a_live_stream_gives_the_tree_and_the_figures_of_the_saved_trace() {
    let sandbox = Sandbox::new();
    let workflow = json!({
        "nodes": [
            {"id": "a", "type": "echo", "params": {"message": "hello"}},
            {"id": "b", "type": "shell", "params": {"command": "echo out; echo oops >&2"}},
            {"id": "c", "type": "shell", "params": {"command": "exit 3"}, "retry": {"max": 2, "wait": 0}},
        ],
        "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "c"}],
    });
    sandbox.workflow("w.json", &workflow);
    let run = sandbox.run(&[
        "run",
        "w.json",
        "--stream",
        "events.jsonl",
        "--trace-file",
        "trace.json",
        "--quiet",
    ]);
    assert_eq!(run.code, 1, "{run:?}");
    let shown = sandbox.run(&["show", "trace.json"]);
    let formatted = sandbox.run(&["format", "events.jsonl"]);
    assert_eq!((formatted.code, formatted.err.as_str()), (0, ""), "{formatted:?}");
    assert_eq!(formatted.out, shown.out);
    let metrics = sandbox
        .run(&["format", "events.jsonl", "--format", "metrics"])
        .json();
    assert_eq!(metrics["node_counts"]["shell"], 2);
    assert_eq!(metrics["nodes"]["c"]["failures"], 1);
    let document = sandbox
        .run(&["format", "events.jsonl", "--format", "json"])
        .json();
    let saved: Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.path("trace.json")).unwrap()).unwrap();
    assert_eq!(document["trace_id"], saved["trace_id"]);
    assert_eq!(document["metrics"]["node_count"], saved["metrics"]["node_count"]);
    let attempts = |trace: &Value| {
        let spans = trace["spans"].as_array().unwrap().iter();
        spans.filter(|span| span["kind"] == "attempt").count()
    };
    assert_eq!(attempts(&document), attempts(&saved));
}

#[test]
fn figures_and_export_requests_are_json() {
    let metrics = format_text(AGREED, &["--format", "metrics"]).json();
    assert_eq!(metrics["node_counts"]["read"], 1);
    assert_eq!(metrics["error_count"], 1);
    assert_eq!(metrics["success_rate"], 1.0);
    let otlp = format_text(AGREED, &["--format", "otlp"]);
    let lines: Vec<Value> = otlp
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let spans = &lines[0]["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans[0]["name"], "node.read");
    assert_eq!(spans[0]["parentSpanId"], spans[1]["spanId"]);
    let logs = &lines[1]["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    assert_eq!(logs[0]["body"]["stringValue"], "Reading file");
    assert_eq!(logs[0]["spanId"], spans[0]["spanId"]);
    let resource = &lines[0]["resourceSpans"][0]["resource"]["attributes"][0];
    assert_eq!(resource["key"], "service.name");
}

#[test]
fn problems_name_the_file_and_the_line_and_the_rest_is_formatted() {
    let text = "{\"type\":\"workflow_start\"}\n{\"type\":\"nodestart\"}\n{broken\n{\"type\":\"node_end\"}\n\
        {\"type\":\"log\",\"message\":\"still here\"}\n{\"type\":\"workflow_end\"}\n";
    let ended = format_text(text, &[]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.out.contains("  [INFO] still here\n← workflow.end\n"),
        "{ended:?}"
    );
    expect![[r#"
        events.jsonl:2: unknown event type `nodestart` (did you mean `node_start`?); known are workflow_start, node_start, log, node_end, error, custom, workflow_end, span_start, span_end
        events.jsonl:3: this line is not valid JSON: key must be a string at column 2; it is left out
        events.jsonl:4: unbalanced `node_end`: no node is open; a `node_start` line before this one is missing
    "#]].assert_eq(&ended.err);
    let strict = format_text(text, &["--strict"]);
    assert_eq!(strict.code, 1);
    assert_eq!(strict.err.lines().count(), 1, "{strict:?}");
    assert!(
        !strict.out.contains("still here") && !strict.out.contains("Summary"),
        "{strict:?}"
    );
}

#[test]
fn a_hundred_problems_are_told_and_the_rest_is_counted() {
    let ended = format_text(&"?\n".repeat(250), &[]);
    assert_eq!(ended.code, 1);
    assert_eq!(ended.err.lines().count(), 101);
    assert!(ended.err.ends_with("… and 150 more\n"), "{ended:?}");
}

#[test]
fn what_is_no_event_file_is_told_with_the_way_out() {
    let sandbox = Sandbox::new();
    sandbox.file("events.jsonl", AGREED);
    let missing = sandbox.run(&["format", "event.jsonl"]);
    assert_eq!(missing.code, 4);
    assert!(
        missing
            .err
            .contains("there is no event file event.jsonl; did you mean `events.jsonl`?"),
        "{missing:?}"
    );
    let folder = sandbox.run(&["format", "."]);
    assert_eq!(folder.code, 2);
    assert!(
        folder.err.contains(". is a folder; name a file of event lines"),
        "{folder:?}"
    );
    let document = sandbox.run(&["format", "events.jsonl", "--format", "json"]);
    let pretty = serde_json::to_string_pretty(&document.json()).unwrap();
    for (name, text) in [("t1.json", document.out.as_str()), ("t2.json", pretty.as_str())] {
        sandbox.file(name, text);
        let trace = sandbox.run(&["format", name]);
        assert_eq!(trace.code, 2, "{trace:?}");
        assert!(
            trace.err.contains(&format!("`flowmeter show {name}` shows it")),
            "{trace:?}"
        );
    }
    let nothing = sandbox.run(&["format"]);
    assert_eq!(nothing.code, 2);
    let unknown = sandbox.run(&["format", "events.jsonl", "--format", "xml"]);
    assert!(
        unknown.code == 2 && unknown.err.contains("human, json, otlp, metrics"),
        "{unknown:?}"
    );
}

#[test]
fn an_empty_file_is_no_failure() {
    for text in ["", "\n\n"] {
        let ended = format_text(text, &[]);
        assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{ended:?}");
        assert_eq!(ended.err, "note: there are no events in events.jsonl\n");
    }
}

#[test]
fn a_full_disk_is_told() {
    let sandbox = Sandbox::new();
    sandbox.file("events.jsonl", AGREED);
    for format in ["human", "json", "otlp", "metrics"] {
        let mut command = sandbox.command(&["format", "events.jsonl", "--format", format]);
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
        let ended = ended(command);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(
            ended.err.contains("standard output cannot be written"),
            "{ended:?}"
        );
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sandbox = Sandbox::new();
    let many = AGREED.repeat(20_000);
    sandbox.file("events.jsonl", &many);
    let mut child = sandbox.command(&["format", "events.jsonl"]).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first.starts_with("Workflow Trace: "));
    assert_eq!(
        (output.status.code(), output.stderr.len()),
        (Some(0), 0),
        "{output:?}"
    );
}

#[test]
fn lines_are_shown_as_they_come() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["format", "-"]);
    command.stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut events = child.stdin.take().unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    let mut next = |line: &str| {
        writeln!(events, "{line}").unwrap();
        events.flush().unwrap();
        let mut text = String::new();
        shown.read_line(&mut text).unwrap();
        text
    };
    assert!(next(r#"{"type":"workflow_start","trace_id":"abc123"}"#).contains("abc123"));
    assert_eq!(next(r#"{"type":"log","message":"one"}"#), "→ workflow.start\n");
    assert_eq!(next(r#"{"type":"workflow_end"}"#), "  [INFO] one\n");
    drop(events);
    let mut rest = String::new();
    shown.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("← workflow.end\n\nSummary:\n"), "{rest}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn ctrl_c_ends_it_quietly() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["format", "-"]);
    command.stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut events = child.stdin.take().unwrap();
    writeln!(events, "{{\"type\":\"workflow_start\"}}").unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    shown.read_line(&mut String::new()).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.len()),
        (Some(130), 0),
        "{output:?}"
    );
}

#[test]
fn bytes_of_any_kind_are_told_line_by_line() {
    let sandbox = Sandbox::new();
    let mut bytes = b"\xef\xbb\xbf{\"type\":\"workflow_start\"}\r\n".to_vec();
    bytes.extend_from_slice(b"{\"type\":\"log\",\"message\":\"\xff\xfe\"}\r\n\x00\x01\x02\n");
    bytes
        .extend_from_slice(b"{\"type\":\"log\",\"message\":\"\\u001b[31mred\"}\n{\"type\":\"workflow_end\"}");
    std::fs::write(sandbox.path("events.jsonl"), bytes).unwrap();
    let ended = sandbox.run(&["format", "events.jsonl"]);
    assert_eq!(ended.code, 1);
    let lines: Vec<&str> = ended
        .err
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(lines, ["events.jsonl:2", "events.jsonl:3"], "{ended:?}");
    assert!(
        !ended.out.contains('\u{1b}') && ended.out.contains("[31mred"),
        "{ended:?}"
    );
}

#[test]
fn the_help_has_examples() {
    let help = Sandbox::new().run(&["format", "--help"]);
    assert_eq!(help.code, 0);
    assert!(
        help.out
            .contains("flowmeter format events.jsonl --format metrics"),
        "{help:?}"
    );
}
