//! Log lines: what nodes, their processes and libraries say, where it lands, and how it is shown.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};

use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox, ended};

/// A workflow of one shell node.
fn shell(command: &str) -> Value {
    json!({"nodes": [{"id": "reader", "type": "shell", "params": {"command": command}}]})
}

fn trace_of(sandbox: &Sandbox) -> Value {
    let text = std::fs::read_to_string(sandbox.path("trace.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The messages of the trace's log lines, with the ids of the nodes around them.
fn placed(trace: &Value) -> Vec<(String, String, String)> {
    let spans: HashMap<&str, &Value> = trace["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| (span["span_id"].as_str().unwrap(), span))
        .collect();
    let node_of = |log: &Value| {
        let mut span = spans.get(log["span_id"].as_str().unwrap());
        while let Some(inside) = span {
            if let Some(id) = inside["attributes"]["node.id"].as_str() {
                return id.to_owned();
            }
            span = inside["parent_span_id"].as_str().and_then(|id| spans.get(id));
        }
        "-".to_owned()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let logs = trace["logs"].as_array().unwrap().iter();
    logs.map(|log| (node_of(log), text(&log["level"]), text(&log["message"])))
        .collect()
}

const SAYS: &str = "echo out; echo 'first' >&2; echo 'warning: careful' >&2; printf 'no newline' >&2";

#[test]
fn what_a_process_says_on_standard_error_is_logged_and_still_complete() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow(
        "w.json",
        &json!({
            "nodes": [
                {"id": "reader", "type": "shell", "params": {"command": SAYS}},
                {"id": "py", "type": "code", "params": {"code":
                    "import sys\nprint('ERROR from python', file=sys.stderr)\nresult = 1"}},
            ],
            "edges": [{"from": "reader", "to": "py"}],
        }),
    );
    let ended = sandbox.run(&["run", &file, "-o", "reader.stderr", "--trace-file", "trace.json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.out, "first\nwarning: careful\nno newline\n");
    assert!(
        !ended.err.contains("first"),
        "nothing is shown unasked: {}",
        ended.err
    );
    let placed = placed(&trace_of(&sandbox));
    let said = |node: &str, level: &str, message: &str| {
        placed.contains(&(node.to_owned(), level.to_owned(), message.to_owned()))
    };
    assert!(said("reader", "INFO", "first"), "{placed:?}");
    assert!(said("reader", "WARN", "warning: careful"));
    assert!(said("reader", "INFO", "no newline"));
    assert!(said("reader", "DEBUG", "Exit code: 0"));
    assert!(said("py", "ERROR", "ERROR from python"));
    let trace = trace_of(&sandbox);
    let python = trace["logs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|log| log["message"] == "ERROR from python");
    assert_eq!(python.unwrap()["target"], "code");
}

#[test]
fn lines_are_shown_while_the_command_still_runs() {
    let sandbox = Sandbox::new();
    // The command ends when the file is there: after its line was seen.
    let command = "echo 'half way' >&2; while [ ! -e go ]; do sleep 0.02; done";
    let file = sandbox.workflow("w.json", &shell(command));
    let mut child = sandbox
        .command(&["run", &file, "--log-level", "info"])
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.ends_with("INFO  node.shell[reader] half way") {
            assert!(child.try_wait().unwrap().is_none(), "the run goes on");
            sandbox.file("go", "");
        }
        seen.push(line);
    }
    assert!(child.wait().unwrap().success());
    let time_of_day = |line: &str| {
        let time: Vec<char> = line.chars().take(12).collect();
        time.iter().enumerate().all(|(at, c)| match at {
            2 | 5 => *c == ':',
            8 => *c == '.',
            _ => c.is_ascii_digit(),
        })
    };
    assert!(
        time_of_day(&seen[0]) && seen[0].contains("node.shell[reader] Running command: echo"),
        "{seen:?}"
    );
    assert!(seen.iter().any(|line| line.ends_with("half way")), "{seen:?}");
    assert!(
        seen.last().unwrap().starts_with("✓ w:"),
        "the summary comes last: {seen:?}"
    );
}

#[test]
fn as_json_every_line_is_an_object_with_the_ids_of_trace_and_span() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("w.json", &shell(SAYS));
    let args = [
        "run",
        &file,
        "-q",
        "--log-format",
        "json",
        "--output-format",
        "json",
        "--trace-file",
        "trace.json",
    ];
    let ended = sandbox.run(&args);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<Value> = ended
        .err
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5, "{}", ended.err);
    let trace = trace_of(&sandbox);
    let spans: Vec<&Value> = trace["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| &span["span_id"])
        .collect();
    for line in &lines {
        assert_eq!(line["type"], "log");
        assert_eq!(line["trace_id"], ended.json()["trace_id"]);
        assert!(spans.contains(&&line["span_id"]), "{line}");
        assert_eq!(line["target"], "shell");
        assert!(line["timestamp"].as_u64().unwrap() > 1_700_000_000_000_000_000);
    }
    // They are event lines: flowmeter reads them itself.
    let events: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let events = sandbox.file("events.jsonl", &events.join("\n"));
    let shown = sandbox.run(&["format", &events, "--format", "human"]);
    assert!(shown.out.contains("[WARN] warning: careful"), "{shown:?}");
}

#[test]
fn a_flood_is_bounded_and_counted_and_no_output_is_lost() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow(
        "w.json",
        &shell("i=0; while [ $i -lt 5000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3"),
    );
    let args = [
        "run",
        &file,
        "--output-format",
        "json",
        "--trace-file",
        "trace.json",
    ];
    let ended = sandbox.run(&args);
    assert_eq!(ended.code, 1);
    let trace = trace_of(&sandbox);
    let placed = placed(&trace);
    let lines = placed
        .iter()
        .filter(|(_, _, message)| message.starts_with("line "))
        .count();
    // One line is the node's own, from before the flood.
    assert_eq!(lines, 999);
    let errors: Vec<_> = placed.iter().filter(|(_, level, _)| level == "ERROR").collect();
    assert_eq!(
        errors.len(),
        1,
        "what went wrong is not hidden by a flood: {errors:?}"
    );
    // 4,001 lines of the flood, and the exit code.
    assert_eq!(ended.json()["metrics"]["dropped"]["logs_over_limit"], 4_002);
    assert_eq!(trace["metrics"]["dropped"]["logs_over_limit"], 4_002);
    let shown = sandbox.run(&["show", "trace.json"]);
    assert!(
        shown.out.contains("    … 4002 more log lines were dropped\n"),
        "{}",
        shown.out
    );
    let complete = ended.json()["error"].to_string();
    assert!(complete.contains("line 4999"), "{complete}");
    // The bound is a setting.
    let sandbox = sandbox.with("FLOWMETER_LOG_LINES_PER_SPAN", "20000");
    let all = sandbox.run(&args);
    assert!(all.json()["metrics"].get("dropped").is_none(), "{all:?}");
}

#[test]
fn what_libraries_say_lands_under_the_node_that_uses_them() {
    let model = Model::new(
        Script::new()
            .reply(Reply::text("fine"))
            .reply(Reply::text("fine")),
    );
    let sandbox = Sandbox::asking(&model);
    let file = sandbox.workflow(
        "w.json",
        &json!({"nodes": [
            {"id": "ask", "type": "llm", "params": {"prompt": "hello", "model": "openai/gpt-4o-mini"}},
        ]}),
    );
    let args = [
        "run",
        &file,
        "--log-level",
        "warn,hyper=trace,llm=info",
        "--trace-file",
        "trace.json",
    ];
    let ended = sandbox.run(&args);
    assert_eq!(ended.code, 0, "{ended:?}");
    let trace = trace_of(&sandbox);
    let logs = trace["logs"].as_array().unwrap();
    let hyper: Vec<&Value> = logs
        .iter()
        .filter(|log| log["target"].as_str().unwrap().starts_with("hyper"))
        .collect();
    assert!(!hyper.is_empty(), "{logs:?}");
    assert!(
        hyper
            .iter()
            .all(|log| log["attributes"]["code.line.number"].is_u64())
    );
    assert!(
        placed(&trace).iter().all(|(node, _, _)| node == "ask"),
        "{logs:?}"
    );
    assert!(ended.err.contains(" node.llm[ask] hyper"), "{}", ended.err);
    let quiet = sandbox.run(&[
        "run",
        &file,
        "--log-level",
        "hyper=off,llm=off",
        "--trace-file",
        "trace.json",
    ]);
    assert_eq!(trace_of(&sandbox)["logs"], json!([]), "{quiet:?}");
}

#[test]
fn ten_thousand_items_keep_their_own_lines() {
    // No file is there: each item says what it opens, and that it cannot.
    const ITEMS: usize = 10_000;
    let sandbox = Sandbox::new();
    let paths: Vec<String> = (0..ITEMS).map(|item| format!("nowhere/{item}.txt")).collect();
    let file = sandbox.workflow(
        "w.json",
        &json!({"nodes": [{
            "id": "all", "type": "read-file", "params": {"file_path": "${item}"},
            "batch": {"items": paths, "as": "item", "parallel": true, "max_concurrent": 100, "error_handling": "continue"},
        }]}),
    );
    let args = [
        "run",
        &file,
        "-q",
        "--output-format",
        "json",
        "--trace-file",
        "trace.json",
    ];
    let ended = sandbox.run(&args);
    let trace = trace_of(&sandbox);
    let spans: HashMap<&str, &Value> = trace["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| (span["span_id"].as_str().unwrap(), span))
        .collect();
    // An item is tried several times: what it says is in one of its attempts.
    let index_of = |log: &Value| {
        let mut span = spans[log["span_id"].as_str().unwrap()];
        while span["kind"] != "batch_item" {
            span = spans[span["parent_span_id"].as_str().unwrap()];
        }
        span["attributes"]["batch.index"].as_u64().unwrap()
    };
    let mut said = vec![0; ITEMS];
    for log in trace["logs"].as_array().unwrap() {
        let message = log["message"].as_str().unwrap();
        if message.starts_with("Opening file: ") {
            let index = index_of(log);
            assert!(
                message.ends_with(&format!("nowhere/{index}.txt")),
                "{message} in item {index}"
            );
            said[usize::try_from(index).unwrap()] += 1;
        }
    }
    assert!(
        said.iter().all(|count| *count == said[0] && *count > 0),
        "{said:?}"
    );
    assert!(ended.json()["metrics"].get("dropped").is_none(), "{}", ended.err);
}

#[test]
fn secrets_are_masked_in_what_is_shown() {
    let sandbox = Sandbox::new().with("DB_PASSWORD", "swordfish-9");
    let command = "echo \"logging in with $DB_PASSWORD\" >&2; echo 'token=abcdefgh1234' >&2";
    let file = sandbox.workflow("w.json", &shell(command));
    for format in ["human", "json"] {
        let args = [
            "run",
            &file,
            "--log-level",
            "debug",
            "--log-format",
            format,
            "--trace-file",
            "trace.json",
        ];
        let ended = sandbox.run(&args);
        assert!(ended.err.contains("logging in with [REDACTED]"), "{}", ended.err);
        for text in [ended.err, trace_of(&sandbox).to_string()] {
            assert!(
                !text.contains("swordfish") && !text.contains("abcdefgh1234"),
                "{text}"
            );
        }
    }
}

fn has_lines(ended: &Ended) -> bool {
    ended.err.contains("node.shell[reader] Running command")
}

#[test]
fn a_level_in_the_settings_file_says_what_is_kept_and_a_variable_shows_it_too() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("w.json", &shell(SAYS));
    sandbox.file("home/config.toml", "[log]\nlevel = \"warn\"\n");
    let args = ["run", &file, "--trace-file", "trace.json"];
    let by_file = sandbox.run(&args);
    assert!(!has_lines(&by_file), "{}", by_file.err);
    let kept: Vec<String> = placed(&trace_of(&sandbox))
        .into_iter()
        .map(|(_, _, message)| message)
        .collect();
    assert_eq!(kept, ["warning: careful"]);
    let by_flag = sandbox.run(&["run", &file, "--log-level", "info", "--trace-file", "trace.json"]);
    assert!(has_lines(&by_flag), "{}", by_flag.err);
    let sandbox = sandbox.with("FLOWMETER_LOG_LEVEL", "info,shell=debug");
    let by_variable = sandbox.run(&args);
    assert!(
        has_lines(&by_variable) && by_variable.err.contains("DEBUG"),
        "{}",
        by_variable.err
    );
    let shown = sandbox.run(&["config"]);
    assert!(
        shown.out.contains("info,shell=debug") && shown.out.contains("FLOWMETER_LOG_LEVEL"),
        "{}",
        shown.out
    );
    let sandbox = sandbox.with("FLOWMETER_LOG_LEVEL", "info,loud");
    let wrong = sandbox.run(&args);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.err.contains("FLOWMETER_LOG_LEVEL") && wrong.err.contains("`loud` is no log level"),
        "{}",
        wrong.err
    );
}

#[test]
fn a_wrong_filter_names_its_piece() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("w.json", &shell("true"));
    let wrong = sandbox.run(&["run", &file, "--log-level", "info,genai=loud"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.err.contains("`loud` in `genai=loud` is no log level"),
        "{}",
        wrong.err
    );
    let off = sandbox.run(&["run", &file, "--capture", "off", "--log-level", "info"]);
    assert_eq!(off.code, 0);
    assert!(
        off.err
            .contains("warning: no log lines are shown: the capture is off"),
        "{}",
        off.err
    );
}

#[test]
fn the_lines_of_an_unsampled_run_are_shown_all_the_same() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("w.json", &shell(SAYS));
    let args = [
        "run",
        &file,
        "--sample",
        "0",
        "--log-level",
        "info",
        "--trace-file",
        "trace.json",
    ];
    let ended = sandbox.run(&args);
    assert!(
        has_lines(&ended) && ended.err.contains("warning: careful"),
        "{}",
        ended.err
    );
    assert_eq!(trace_of(&sandbox)["logs"], json!([]));
}

#[test]
fn standard_error_that_is_closed_is_no_failure() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("w.json", &shell(SAYS));
    let mut command = sandbox.command(&["run", &file, "--log-level", "debug"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stderr(writer);
    let ended = ended(command);
    assert_eq!((ended.code, ended.out.as_str()), (0, "out\n"));
}
