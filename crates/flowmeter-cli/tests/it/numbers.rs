//! `flowmeter stats`, `export` and `import`, driven end to end: what runs came to, out of one home and into another.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Ended, Sandbox, ended};

/// A sandbox in which a workflow ran three times, once with a failure, with tags and a session.
fn after_three_runs() -> Sandbox {
    let sandbox = Sandbox::new();
    let workflow = json!({
        "nodes": [
            {"id": "hello", "type": "echo", "params": {"message": "Grüße, \"世界\""}},
            {"id": "work", "type": "shell", "params": {"command": "echo out; echo careful >&2; exit ${code}"}},
        ],
        "edges": [{"from": "hello", "to": "work"}],
        "inputs": {"code": {"type": "number", "required": true}},
    });
    sandbox.workflow("work.json", &workflow);
    for (code, team) in [("0", "search"), ("3", "search"), ("0", "ads")] {
        let tag = format!("team={team}");
        let input = format!("code={code}");
        let run = sandbox.run(&[
            "run",
            "work.json",
            &input,
            "--tag",
            &tag,
            "--session",
            "s-1",
            "--quiet",
        ]);
        assert_eq!(run.code, i32::from(code != "0"), "{run:?}");
    }
    let demo = sandbox.run(&["demo", "--quiet"]);
    assert_eq!(demo.code, 0, "{demo:?}");
    sandbox
}

fn with_home(sandbox: &Sandbox, home: &str, arguments: &[&str]) -> Ended {
    let mut command = sandbox.command(arguments);
    command.env("FLOWMETER_HOME", sandbox.path(home));
    ended(command)
}

fn well(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{ended:?}");
    ended
}

#[test]
fn stats_of_runs_as_tables_json_csv_and_prometheus() {
    let sandbox = after_three_runs();
    let all = well(sandbox.run(&["stats", "--json"])).json();
    assert_eq!(all["total"]["runs"], 4);
    assert_eq!(all["total"]["runs_failed"], 1);
    assert_eq!(all["total"]["success_rate"], 0.75);
    assert_eq!(all["latency_of"], "runs");
    let of_model = well(sandbox.run(&["stats", "--by", "model", "--format", "json"])).json();
    let row = &of_model["rows"][0];
    assert_eq!(row["group"], "demo-small");
    assert!(row["llm_calls"].as_u64().unwrap() > 3, "{row}");
    assert!(row["cost"]["nanos"].as_i64().unwrap() > 0, "{row}");
    assert_eq!(row["cost"]["status"], "priced");
    assert!(row["llm_call_duration_ms"]["p99"].as_f64() >= row["llm_call_duration_ms"]["p50"].as_f64());
    let table = well(sandbox.run(&["stats", "--by", "tag=team"]));
    assert!(
        table.err.contains("p50, p90 and p99 are those of runs"),
        "{table:?}"
    );
    let first_words: Vec<&str> = table
        .out
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut sorted = first_words.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        ["(without)", "ads", "search", "team", "total"],
        "{table:?}"
    );
    let csv = well(sandbox.run(&["stats", "--by", "workflow", "--sort", "runs", "--format", "csv"]));
    let lines: Vec<&str> = csv.out.split("\r\n").collect();
    assert!(lines[0].starts_with("workflow,runs,runs_failed,"), "{csv:?}");
    assert!(lines[1].starts_with("work,3,1,"), "{csv:?}");
    let prometheus = well(sandbox.run(&["stats", "--by", "workflow", "--format", "prometheus"]));
    assert!(
        prometheus
            .out
            .contains("flowmeter_runs_total{workflow=\"work\"} 3\n"),
        "{prometheus:?}"
    );
    assert!(
        prometheus
            .out
            .contains("# TYPE flowmeter_run_duration_seconds summary\n"),
        "{prometheus:?}"
    );
    let none = well(sandbox.run(&["stats", "--since", "2099-01-01"]));
    assert_eq!(
        (none.out.as_str(), none.err.as_str()),
        ("", "nothing in the history fits these conditions\n")
    );
}

#[test]
fn stats_say_what_is_wanted() {
    let sandbox = after_three_runs();
    let tag = well(sandbox.run(&["stats", "--by", "tag"]));
    assert!(tag.out.contains("team="), "{tag:?}");
    let unknown = sandbox.run(&["stats", "--by", "colour"]);
    assert!(
        unknown.code == 2 && unknown.err.contains("tag=KEY, not `colour`"),
        "{unknown:?}"
    );
    let chart = sandbox.run(&["stats", "--chart", "cost.pdf"]);
    assert!(chart.code == 2 && chart.err.contains(".svg or .png"), "{chart:?}");
    let nothing = Sandbox::new().run(&["stats"]);
    assert_eq!(nothing.code, 0, "{nothing:?}");
    assert!(nothing.err.contains("no run is recorded yet"), "{nothing:?}");
}

#[test]
fn where_no_model_was_called_stats_by_model_say_so() {
    let sandbox = Sandbox::new();
    let nodes = json!([{"id": "hello", "type": "echo", "params": {"message": "hi"}}]);
    sandbox.workflow("quiet.json", &json!({"nodes": nodes, "edges": []}));
    well(sandbox.run(&["run", "quiet.json", "--quiet"]));
    let by_model = well(sandbox.run(&["stats", "--by", "model"]));
    assert_eq!(by_model.out, "");
    assert!(
        by_model.err.contains("no run of the history has called a model"),
        "{by_model:?}"
    );
    let by_workflow = well(sandbox.run(&["stats", "--by", "workflow"]));
    assert!(by_workflow.out.contains("quiet"), "{by_workflow:?}");
}

#[test]
fn charts_are_files_of_their_kind() {
    let sandbox = after_three_runs();
    well(sandbox.run(&[
        "stats", "--by", "workflow", "--metric", "runs", "--chart", "runs.svg",
    ]));
    let svg = std::fs::read_to_string(sandbox.path("runs.svg")).unwrap();
    assert!(svg.starts_with("<?xml") && svg.ends_with("</svg>\n"), "{svg}");
    assert!(
        svg.contains("<title>Runs by workflow</title>") && svg.contains(">work</text>"),
        "{svg}"
    );
    well(sandbox.run(&["stats", "--by", "node", "--metric", "p90", "--chart", "nodes.PNG"]));
    let png = std::fs::read(sandbox.path("nodes.PNG")).unwrap();
    assert!(
        png.starts_with(b"\x89PNG\r\n\x1a\n") && png.len() > 5_000,
        "{}",
        png.len()
    );
    let unwritable = sandbox.run(&["stats", "--chart", "no/such/folder/a.svg"]);
    assert!(
        unwritable.code == 4 && unwritable.err.contains("cannot be written"),
        "{unwritable:?}"
    );
}

#[test]
fn exported_imported_and_exported_again_is_the_same_to_the_byte() {
    let sandbox = after_three_runs();
    let out = well(sandbox.run(&["export", "--all", "-o", "all.jsonl"]));
    assert!(
        out.err.contains("4 runs, ") && out.err.contains("all.jsonl"),
        "{out:?}"
    );
    let exported = std::fs::read(sandbox.path("all.jsonl")).unwrap();
    let into = well(with_home(&sandbox, "other", &["import", "all.jsonl"]));
    assert!(into.err.starts_with("4 runs, "), "{into:?}");
    let again = well(with_home(&sandbox, "other", &["export", "--all"]));
    assert_eq!(again.out.as_bytes(), exported);
    // Nothing doubles, and figures and filters are as they were.
    let twice = well(with_home(
        &sandbox,
        "other",
        &["import", "all.jsonl", "all.jsonl"],
    ));
    assert!(
        twice.err.starts_with("0 runs, 0 spans and 0 log lines added; "),
        "{twice:?}"
    );
    assert_eq!(
        well(with_home(&sandbox, "other", &["export", "--all"]))
            .out
            .as_bytes(),
        exported
    );
    for arguments in [
        &["stats", "--json"][..],
        &["stats", "--by", "tag=team", "--json"],
        &["stats", "--by", "node", "--json"],
    ] {
        assert_eq!(
            well(with_home(&sandbox, "other", arguments)).json(),
            well(sandbox.run(arguments)).json()
        );
    }
    let failed = well(with_home(&sandbox, "other", &["export", "last-failed"]));
    assert!(
        failed
            .out
            .starts_with("{\"type\":\"run_begin\",\"format\":\"flowmeter.history/1\""),
        "{failed:?}"
    );
    assert_eq!(failed.out.matches("\"run_begin\"").count(), 1);
}

#[test]
fn runs_are_chosen_by_name_or_condition() {
    let sandbox = after_three_runs();
    let runs = |arguments: &[&str]| {
        let ended = well(sandbox.run(arguments));
        ended.out.matches("{\"type\":\"run_begin\"").count()
    };
    assert_eq!(runs(&["export", "--tag", "team=search"]), 2);
    assert_eq!(runs(&["export", "--tag", "team=search", "--status", "failed"]), 1);
    assert_eq!(runs(&["export", "last", "last~1", "last"]), 2);
    assert_eq!(runs(&["export", "last", "--since", "1h"]), 4);
    assert_eq!(runs(&["export", "--until", "2020-01-01"]), 0);
    let nothing = sandbox.run(&["export"]);
    assert!(
        nothing.code == 2 && nothing.err.contains("which runs?"),
        "{nothing:?}"
    );
    let unknown = sandbox.run(&["export", "0123456789abcdef"]);
    assert!(
        unknown.code == 4 && unknown.err.contains("there is no run"),
        "{unknown:?}"
    );
}

#[test]
fn otlp_goes_out_and_comes_in_as_json_and_as_protobuf() {
    let sandbox = after_three_runs();
    well(sandbox.run(&["export", "--all", "--to", "otlp", "-o", "all.otlp.jsonl"]));
    let written = well(sandbox.run(&["export", "--all", "-o", "all.binpb"]));
    assert!(
        written.err.contains("log lines are in all.logs.binpb"),
        "{written:?}"
    );
    let before = well(sandbox.run(&["stats", "--by", "workflow", "--json"])).json();
    for (home, files) in [
        ("json", &["all.otlp.jsonl"][..]),
        ("protobuf", &["all.binpb", "all.logs.binpb"]),
    ] {
        let arguments: Vec<&str> = std::iter::once("import").chain(files.iter().copied()).collect();
        let into = well(with_home(&sandbox, home, &arguments));
        assert!(into.err.starts_with("4 runs, "), "{into:?}");
        let after = well(with_home(
            &sandbox,
            home,
            &["stats", "--by", "workflow", "--json"],
        ))
        .json();
        let figures = |document: &Value| -> Vec<Value> {
            let rows = document["rows"].as_array().unwrap().iter();
            rows.map(|row| {
                json!([
                    row["group"],
                    row["runs"],
                    row["runs_failed"],
                    row["nodes"],
                    row["llm_calls"],
                    row["cost"]["nanos"],
                    row["tokens"]
                ])
            })
            .collect()
        };
        assert_eq!(figures(&after), figures(&before));
        let tagged = well(with_home(
            &sandbox,
            home,
            &["export", "--tag", "team=ads", "--session", "s-1"],
        ));
        assert_eq!(tagged.out.matches("\"run_begin\"").count(), 1);
        assert!(tagged.out.contains("careful"), "{tagged:?}");
    }
}

#[test]
fn event_lines_and_trace_files_come_in() {
    let sandbox = Sandbox::new();
    let demo = well(sandbox.run(&["demo", "--quiet", "--trace-file", "trace.json"]));
    drop(demo);
    let figures = |home: &str| {
        let total = well(with_home(&sandbox, home, &["stats", "--json"])).json()["total"].clone();
        json!([
            total["runs"],
            total["nodes"],
            total["llm_calls"],
            total["cost"]["nanos"],
            total["tokens"]
        ])
    };
    let own = figures("home");
    well(with_home(&sandbox, "traces", &["import", "trace.json"]));
    assert_eq!(figures("traces"), own);
    sandbox.workflow(
        "w.json",
        &json!({"nodes": [{"id": "a", "type": "echo", "params": {"message": "hi"}}]}),
    );
    well(with_home(
        &sandbox,
        "streamed",
        &["run", "w.json", "--quiet", "--stream", "events.jsonl"],
    ));
    well(with_home(&sandbox, "events", &["import", "events.jsonl"]));
    assert_eq!(figures("events"), figures("streamed"));
}

#[test]
fn a_table_of_spans_is_a_parquet_file() {
    let sandbox = after_three_runs();
    well(sandbox.run(&["export", "--since", "1d", "-o", "spans.parquet"]));
    let table = std::fs::read(sandbox.path("spans.parquet")).unwrap();
    assert!(table.starts_with(b"PAR1") && table.ends_with(b"PAR1"));
    let mut command = sandbox.command(&["export", "--since", "1d", "--to", "parquet"]);
    command.stdout(Stdio::piped());
    let piped = command.output().unwrap().stdout;
    assert!(piped.starts_with(b"PAR1") && piped.ends_with(b"PAR1"));
    let refused = with_home(&sandbox, "other", &["import", "spans.parquet"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.err.contains("it is a Parquet table") && refused.err.contains("--to jsonl"),
        "{refused:?}"
    );
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_comes_in() {
    let sandbox = after_three_runs();
    let exported = well(sandbox.run(&["export", "--all"])).out;
    let mut lines: Vec<&str> = exported.lines().collect();
    lines.insert(3, "{\"type\":\"node_end\",");
    sandbox.file("broken.jsonl", &(lines.join("\n") + "\n"));
    let into = with_home(&sandbox, "other", &["import", "broken.jsonl"]);
    assert_eq!(into.code, 1, "{into:?}");
    assert!(
        into.err
            .starts_with("broken.jsonl:4: this line is not valid JSON"),
        "{into:?}"
    );
    assert_eq!(
        well(with_home(&sandbox, "other", &["export", "--all"])).out,
        exported
    );
    sandbox.file("notes.txt", "just a few\nwords\n");
    let wrong = with_home(&sandbox, "other", &["import", "notes.txt"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong
            .err
            .contains("import takes lines of `flowmeter export --to jsonl`"),
        "{wrong:?}"
    );
    let missing = with_home(&sandbox, "other", &["import", "notes.text"]);
    assert!(
        missing.code == 4 && missing.err.contains("did you mean `notes.txt`?"),
        "{missing:?}"
    );
    // The others are imported all the same.
    sandbox.file("good.jsonl", &exported);
    let mixed = with_home(&sandbox, "third", &["import", "notes.txt", "good.jsonl"]);
    assert!(mixed.code == 2 && mixed.err.contains("4 runs, "), "{mixed:?}");
}

#[test]
fn standard_input_is_a_file_too() {
    let sandbox = after_three_runs();
    let exported = well(sandbox.run(&["export", "--all"])).out;
    let mut command = sandbox.command(&["import", "-"]);
    command
        .env("FLOWMETER_HOME", sandbox.path("other"))
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(exported.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        well(with_home(&sandbox, "other", &["export", "--all"])).out,
        exported
    );
}
