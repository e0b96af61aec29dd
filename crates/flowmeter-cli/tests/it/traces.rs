//! Traces: asked for, shown, pruned, and files that are none.

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::Sandbox;

fn hello(sandbox: &Sandbox) -> String {
    sandbox.workflow(
        "hello.json",
        &json!({"nodes": [{"id": "a", "type": "echo", "params": {"message": "hi"}}]}),
    )
}

/// A tree without times and ids.
fn steady_tree(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        if line.starts_with("Workflow Trace: ") {
            line = "Workflow Trace: <id>".to_owned();
        }
        if let Some(at) = line.find(" [20") {
            line.replace_range(at.., " [<time>]");
        }
        for (open, close) in [("(", "ms)"), ("Duration: ", "ms")] {
            if let Some(from) = line.find(open)
                && line.ends_with(close) | line.contains(close)
            {
                let to = line.find(close).unwrap() + close.len();
                line.replace_range(from + open.len()..to, &close.replace("ms", "<ms>"));
            }
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[test]
fn the_tree_is_printed_and_the_file_is_kept() {
    let sandbox = Sandbox::new();
    let workflow = hello(&sandbox);
    let ended = sandbox.run(&["run", &workflow, "--trace", "--quiet"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "hi\n"));
    let traces = sandbox.traces();
    let announced = format!("trace: {}", traces[0].display());
    let tree = ended
        .err
        .strip_suffix(&format!("{announced}\n"))
        .expect("the path is announced");
    expect![[r"
        Workflow Trace: <id>
        → workflow.start [<time>]
          → node.echo [a]
          ← node.echo (<ms>) ✓
        ← workflow.end (<ms>)

        Summary:
        - Total Duration: <ms>
        - Nodes Executed: 1
        - Success Rate: 100%"]]
    .assert_eq(&steady_tree(tree));
    let shown = sandbox.run(&["show", &traces[0].display().to_string()]);
    assert_eq!(steady_tree(&shown.out), steady_tree(tree));

    let document = sandbox.run(&["show", "last", "--format", "json"]).json();
    assert_eq!(document["metrics"]["node_count"], 1);
    assert_eq!(document["metrics"]["success_rate"], 1.0);
    let node = &document["spans"]
        .as_array()
        .unwrap()
        .iter()
        .find(|span| span["operation"] == "node.echo")
        .unwrap()["attributes"];
    assert_eq!(
        (&node["node.id"], &node["node.type"]),
        (&json!("a"), &json!("echo"))
    );
    assert_eq!(node["node.config"], json!({"message": "hi"}));
    let id = document["trace_id"].as_str().unwrap();
    assert_eq!(sandbox.run(&["show", &id[..8]]).code, 0);
    let name = traces[0].file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with(&format!("Z-hello-{id}.json")), "{name}");
}

#[test]
fn a_place_for_the_trace_is_used_as_it_is() {
    let sandbox = Sandbox::new();
    let workflow = hello(&sandbox);
    let ended = sandbox.run(&[
        "run",
        &workflow,
        "--trace-file",
        "deep/er/t.json",
        "--output-format",
        "json",
    ]);
    assert_eq!(ended.json()["trace_file"], "deep/er/t.json");
    let trace: Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.path("deep/er/t.json")).unwrap()).unwrap();
    assert_eq!(trace["trace_id"], ended.json()["trace_id"]);
    assert!(sandbox.traces().is_empty());
}

#[test]
fn old_traces_go() {
    let sandbox = Sandbox::new().with("FLOWMETER_TRACES_KEEP", "3");
    let workflow = hello(&sandbox);
    let ids: Vec<String> = (0..5)
        .map(|_| {
            sandbox
                .run(&["run", &workflow, "--trace", "--output-format", "json"])
                .json()["trace_id"]
                .to_string()
        })
        .collect();
    let kept: Vec<String> = sandbox
        .traces()
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(kept.len(), 3);
    for (path, id) in kept.iter().zip(&ids[2..]) {
        assert!(path.contains(id.trim_matches('"')), "{path} {id}");
    }
}

#[test]
fn what_is_no_trace_is_refused_with_its_reason() {
    let sandbox = Sandbox::new();
    for (name, bytes) in [
        ("empty.json", &b""[..]),
        ("text.json", b"hello"),
        ("other.json", b"{\"a\": 1}"),
        (
            "newer.json",
            b"{\"format\": \"flowmeter.trace/9\", \"trace_id\": \"x\", \"spans\": []}",
        ),
        ("binary.json", &[0xff, 0xfe, 0, 1, 2, 0x80]),
        ("list.json", b"[1, 2]"),
    ] {
        std::fs::write(sandbox.path(name), bytes).unwrap();
        let ended = sandbox.run(&["show", name]);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{name}: {ended:?}");
        assert!(
            ended.err.starts_with(&format!("error: {name} is no trace: ")),
            "{}",
            ended.err
        );
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
    }
    let missing = sandbox.run(&["show", "nothing.json"]);
    assert_eq!(missing.code, 4);
    assert!(
        missing.err.contains("there is no trace file nothing.json"),
        "{}",
        missing.err
    );
    assert_eq!(sandbox.run(&["show", "last"]).code, 4);
    assert_eq!(sandbox.run(&["show", "."]).code, 4);
}

#[test]
fn the_agreed_example_is_a_trace() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "agreed.json",
        r#"{"trace_id": "abc123",
            "spans": [{"span_id": "span1", "operation": "node.read_file", "start_time": 1234567890,
                       "duration_ms": 45.2, "attributes": {"node.id": "reader", "file.path": "input.txt"}}],
            "metrics": {"total_duration_ms": 234.5, "node_count": 5, "success_rate": 1.0}}"#,
    );
    let shown = sandbox.run(&["show", "agreed.json"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(
        shown.out.contains("Workflow Trace: abc123\n→ node.read_file"),
        "{}",
        shown.out
    );
    assert!(shown.out.contains("← node.read_file (45.2ms) ✓"), "{}", shown.out);
}

#[test]
fn a_trace_is_shown_before_it_goes() {
    let sandbox = Sandbox::new().with("FLOWMETER_TRACES_KEEP", "0");
    let workflow = hello(&sandbox);
    for _ in 0..2 {
        let ended = sandbox.run(&["run", &workflow, "--trace"]);
        assert_eq!(ended.code, 0);
        assert!(ended.err.contains("→ node.echo [a]"), "{}", ended.err);
        let [own] = &sandbox.traces()[..] else {
            panic!("{:?}", sandbox.traces());
        };
        assert!(
            ended.err.contains(&format!("trace: {}", own.display())),
            "{}",
            ended.err
        );
    }
}

#[test]
fn standard_output_is_no_place_for_the_trace() {
    let sandbox = Sandbox::new();
    let workflow = hello(&sandbox);
    for args in [
        vec!["run", &workflow, "--trace-file", "-"],
        vec!["demo", "--trace-file", "-"],
    ] {
        let ended = sandbox.run(&args);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{ended:?}");
        assert!(
            ended
                .err
                .contains("standard output is for the result; name a file"),
            "{}",
            ended.err
        );
    }
    assert!(!sandbox.path("-").exists());
}

#[test]
fn no_name_is_no_trace() {
    let ended = Sandbox::new().run(&["show", ""]);
    assert_eq!(ended.code, 2);
    expect![[r"
        error: no trace is named: give a trace file, the beginning of a saved trace's id, or `last`
    "]]
    .assert_eq(&ended.err);
}
