//! What is kept of a run, and of which runs.

use flowmeter_model::{SpanKind, SpanStatus};
use flowmeter_store::{RunFilter, RunOrder, RunStatus, Store};
use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use super::{echo, file_of, history, nodes, only_run, runs, shell, spans};
use crate::support::{Model, Sandbox};

const COMMIT: &str = "1111111111111111111111111111111111111111";

#[test]
fn a_run_is_kept_with_where_it_came_from() {
    let sandbox = Sandbox::new().with("USER", "ada");
    sandbox.file(".git/HEAD", "ref: refs/heads/main\n");
    sandbox.file(".git/refs/heads/main", COMMIT);
    let workflow = echo(&sandbox, "hello.json", "hi");
    let args = [
        "run",
        &workflow,
        "--tag",
        "team=search",
        "--tag",
        "stage=a=b",
        "--session",
        "chat-42",
    ];
    let ended = sandbox.run(&args);
    assert_eq!((ended.code, ended.out.as_str()), (0, "hi\n"), "{ended:?}");
    assert!(!ended.err.contains("warning"), "{}", ended.err);
    let store = history(&sandbox);
    let run = only_run(&sandbox);
    assert_eq!((run.workflow.as_str(), run.status), ("hello", RunStatus::Ok));
    assert_eq!((run.nodes, run.llm_calls, run.sampled), (1, 0, true));
    assert_eq!(run.origin.session.as_deref(), Some("chat-42"));
    assert_eq!(run.origin.user.as_deref(), Some("ada"));
    assert_eq!(run.origin.git_commit.as_deref(), Some(COMMIT));
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(run.origin.tags, [tag("team", "search"), tag("stage", "a=b")]);
    assert!(run.parent_span_id.is_none() && run.error.is_none());
    let spans = spans(&store, &run);
    assert_eq!(spans[0].kind, SpanKind::Run);
    assert_eq!(spans[0].span_id, run.key.root_span_id);
    assert_eq!(nodes(&spans), ["say"]);
    assert_eq!(run.spans, spans.len() as u64);
    let detail = store.run(&run.key).unwrap().unwrap();
    assert_eq!(detail.resource.get_str("service.name"), Some("flowmeter"));
    assert_eq!(detail.resource.get_str("gen_ai.workflow.name"), Some("hello"));
    assert_eq!(detail.metrics.unwrap()["workflow"]["nodes_executed"], 1);
    assert!(detail.open.is_empty());
    let by_all = RunFilter {
        session: Some("chat-42".to_owned()),
        user: Some("ada".to_owned()),
        git_commit: Some("1111".to_owned()),
        tags: vec![tag("stage", "a=b")],
        workflows: vec!["hello".to_owned()],
        ..RunFilter::default()
    };
    assert_eq!(store.runs(&by_all, RunOrder::Started, 10, 0).unwrap().len(), 1);
}

#[test]
fn tags_that_come_twice_are_told_and_odd_ones_refused() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    let ended = sandbox.run(&["run", &workflow, "--tag", "a=1", "--tag", "a=2"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.err.contains("--tag a is given more than once; `2` counts"),
        "{}",
        ended.err
    );
    assert_eq!(only_run(&sandbox).origin.tags, [("a".to_owned(), "2".to_owned())]);
    for odd in ["a", "=1", "two words=1"] {
        let ended = sandbox.run(&["run", &workflow, "--tag", odd]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains("--tag"), "{}", ended.err);
    }
}

#[test]
fn what_describes_a_run_is_exported_too() {
    let sandbox = Sandbox::new().with("OTEL_RESOURCE_ATTRIBUTES", "user.name=ci");
    let workflow = echo(&sandbox, "hello.json", "hi");
    let args = [
        "run",
        &workflow,
        "--tag",
        "team=search",
        "--session",
        "chat-42",
        "--export",
    ];
    let lines = sandbox.path("out.jsonl");
    let ended = sandbox.run(&[&args[..], &[&format!("jsonl={}", lines.display())]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let text = std::fs::read_to_string(&lines).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let resource = &first["resource"];
    assert_eq!(resource["session.id"], "chat-42");
    assert_eq!(resource["flowmeter.tag.team"], "search");
    assert_eq!(resource["user.name"], "ci");
    let otlp = sandbox.path("otlp.json");
    let ended = sandbox.run(&[&args[..], &[&format!("otlp-json={}", otlp.display())]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let written: Vec<String> = sandbox
        .all_files()
        .into_iter()
        .filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("otlp"))
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let has = |what: &str| written.iter().any(|text| text.contains(what));
    assert!(has("session.id") && has("flowmeter.tag.team"), "{written:?}");
    assert_eq!(only_user(&sandbox), ["ci", "ci"]);
}

fn only_user(sandbox: &Sandbox) -> Vec<String> {
    let rows = runs(&history(sandbox));
    rows.into_iter().filter_map(|row| row.origin.user).collect()
}

#[test]
fn a_saved_workflow_has_a_version() {
    let sandbox = Sandbox::new();
    for message in ["one", "two"] {
        let file = echo(&sandbox, "greet.json", message);
        assert_eq!(sandbox.run(&["save", &file, "--name", "greet"]).code, 0);
    }
    for name in ["greet", "greet@1"] {
        let ended = sandbox.run(&["run", name]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let file = sandbox.home().join("workflows/greet.json");
    let text = std::fs::read_to_string(&file).unwrap().replace("two", "three");
    std::fs::write(&file, text).unwrap();
    assert_eq!(sandbox.run(&["run", "greet"]).code, 0);
    let versions: Vec<Option<String>> = runs(&history(&sandbox))
        .into_iter()
        .map(|run| run.origin.workflow_version.map(|version| version.to_string()))
        .collect();
    let wanted = ["2+changed", "1", "2"].map(|version| Some(version.to_owned()));
    assert_eq!(versions, wanted);
}

#[test]
fn a_failed_run_is_kept_as_one() {
    let sandbox = Sandbox::new();
    let workflow = shell(&sandbox, "fails.json", &["true", "echo no >&2; exit 3"]);
    assert_eq!(sandbox.run(&["run", &workflow]).code, 1);
    let run = only_run(&sandbox);
    assert_eq!(run.status, RunStatus::Error);
    assert_eq!(run.nodes, 2);
    assert!(run.error.is_some(), "{run:?}");
    assert!(run.logs > 0, "{run:?}");
}

#[test]
fn calls_are_kept_with_tokens_and_cost() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("fine").usage(100, 20)));
    let sandbox = Sandbox::asking(&model);
    let node = json!({"id": "ask", "type": "llm", "params": {"model": "openai/gpt-4o-mini", "prompt": "How are you?"}});
    let workflow = sandbox.workflow("ask.json", &json!({ "nodes": [node] }));
    let ended = sandbox.run(&["run", &workflow, "--output-format", "json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let printed = ended.json();
    let run = only_run(&sandbox);
    assert_eq!((run.llm_calls, run.tokens.input, run.tokens.output), (1, 100, 20));
    let nanos = printed["metrics"]["workflow"]["cost_nanos"].as_i64().unwrap();
    assert!(nanos > 0);
    assert_eq!(run.cost.known.0, nanos);
    assert_eq!(run.models, ["gpt-4o-mini"]);
    assert_eq!(run.key.trace_id.to_string(), printed["trace_id"]);
    let store = history(&sandbox);
    let spans = spans(&store, &run);
    let call = spans.iter().find(|span| span.kind == SpanKind::LlmCall).unwrap();
    assert_eq!(call.status, Some(SpanStatus::Ok));
    let asked = call.attributes.get("gen_ai.input.messages");
    assert!(format!("{asked:?}").contains("How are you?"), "{asked:?}");
}

#[test]
fn a_run_that_is_not_sampled_is_kept_in_small_with_all_its_figures() {
    let sandbox = Sandbox::new();
    let workflow = shell(&sandbox, "three.json", &["true", "true", "true"]);
    assert_eq!(sandbox.run(&["run", &workflow, "--sample", "0"]).code, 0);
    let run = only_run(&sandbox);
    assert_eq!((run.sampled, run.nodes, run.status), (false, 3, RunStatus::Ok));
    let store = history(&sandbox);
    let kept = spans(&store, &run);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].kind, SpanKind::Run);
}

#[test]
fn a_run_without_capture_is_kept_with_its_figures_alone() {
    let sandbox = Sandbox::new();
    let workflow = shell(&sandbox, "two.json", &["true", "true"]);
    assert_eq!(sandbox.run(&["run", &workflow, "--capture", "off"]).code, 0);
    let run = only_run(&sandbox);
    assert_eq!((run.nodes, run.spans, run.status), (2, 0, RunStatus::Ok));
}

#[test]
fn tail_rules_decide_about_the_history_too() {
    let sandbox = Sandbox::new();
    let good = shell(&sandbox, "good.json", &["true", "true"]);
    let bad = shell(&sandbox, "bad.json", &["true", "exit 1"]);
    for workflow in [&good, &bad] {
        sandbox.run(&["run", workflow, "--sample", "0", "--keep-errors"]);
    }
    let kept: Vec<(String, bool, bool)> = runs(&history(&sandbox))
        .into_iter()
        .map(|run| (run.workflow.to_string(), run.sampled, run.spans > 2))
        .collect();
    assert_eq!(
        kept,
        [("bad".to_owned(), true, true), ("good".to_owned(), false, false)]
    );
}

#[test]
fn nothing_is_kept_where_nothing_is_wanted() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    let file = file_of(&sandbox);
    assert_eq!(sandbox.run(&["run", &workflow, "--no-history"]).code, 0);
    assert!(!file.exists());
    for variable in ["FLOWMETER_HISTORY", "FLOWMETER_HISTORY_ENABLED"] {
        let mut command = sandbox.command(&["run", &workflow]);
        assert!(command.env(variable, "0").status().unwrap().success());
        assert!(!file.exists(), "{variable}");
    }
    sandbox.file("home/config.toml", "[history]\nenabled = false");
    assert_eq!(sandbox.run(&["run", &workflow]).code, 0);
    assert!(!file.exists());
    let mut command = sandbox.command(&["run", &workflow]);
    assert!(command.env("FLOWMETER_HISTORY", "1").status().unwrap().success());
    assert!(file.exists());
}

#[test]
fn a_dry_run_is_none() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    assert_eq!(sandbox.run(&["run", &workflow, "--dry-run"]).code, 0);
    assert!(!file_of(&sandbox).exists());
}

#[test]
fn runs_of_one_trace_are_runs_of_their_own() {
    let sandbox = Sandbox::new();
    let inner = echo(&sandbox, "inner.json", "hi");
    let call = format!("{} run {inner} --quiet", env!("CARGO_BIN_EXE_flowmeter"));
    let outer = shell(&sandbox, "outer.json", &[&call, &call]);
    let ended = sandbox.run(&["run", &outer]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let store = history(&sandbox);
    let rows = runs(&store);
    let names: Vec<&str> = rows.iter().map(|run| run.workflow.as_str()).collect();
    assert_eq!(names, ["inner", "inner", "outer"]);
    let traces: std::collections::BTreeSet<_> = rows.iter().map(|run| run.key.trace_id).collect();
    assert_eq!(traces.len(), 1);
    let outer_spans = spans(&store, &rows[2]);
    for inner in &rows[..2] {
        let parent = inner.parent_span_id.unwrap();
        assert!(outer_spans.iter().any(|span| span.span_id == parent));
        assert_eq!(nodes(&spans(&store, inner)), ["say"]);
    }
    assert!(rows[2].parent_span_id.is_none());
}

#[test]
fn the_demo_is_a_run_like_any_other() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&["demo", "--quiet"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let run = only_run(&sandbox);
    assert_eq!((run.workflow.as_str(), run.status), ("demo", RunStatus::Ok));
    assert!(run.llm_calls > 0 && run.cost.known.0 > 0);
}

#[test]
fn what_to_expect_comes_from_the_history_and_without_it_from_traces() {
    let sandbox = Sandbox::new();
    let workflow = shell(&sandbox, "slow.json", &["sleep 0.2"]);
    let plan = || {
        let ended = sandbox.run(&["run", &workflow, "--dry-run", "--output-format", "json"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.json()["plan"]["past_runs"].clone()
    };
    let before = plan();
    assert_eq!(sandbox.run(&["run", &workflow]).code, 0);
    assert_eq!(sandbox.run(&["run", &workflow, "--trace"]).code, 0);
    // The first of them has no trace.
    let from_history = plan();
    for entry in std::fs::read_dir(sandbox.home()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("flowmeter.db")
        {
            std::fs::remove_file(path).unwrap();
        }
    }
    let from_traces = plan();
    assert_eq!(
        (before, from_history, from_traces),
        (json!(0), json!(2), json!(1))
    );
}

#[test]
fn a_planned_run_is_one_run() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("no plan")));
    let sandbox = Sandbox::asking(&model);
    let ended = sandbox.run(&[
        "run",
        "say hi to everybody",
        "--yes",
        "--model",
        "openai/gpt-4o-mini",
    ]);
    assert_ne!(ended.code, 0, "{ended:?}");
    let run = only_run(&sandbox);
    assert_eq!((run.workflow.as_str(), run.status), ("planned", RunStatus::Error));
    assert!(run.llm_calls > 0);
}
