//! Looking into the history: `runs`, `show`, `logs`, `search`, `state`, `diff`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox};

/// A workflow with an input, two shell nodes and a nested workflow between them.
fn nested(sandbox: &Sandbox) -> String {
    sandbox.workflow(
        "inner.json",
        &json!({
            "inputs": {"x": {"type": "string"}},
            "nodes": [{"id": "i", "type": "shell", "params": {"command": "echo \"inner ${x}\""}}],
            "edges": [],
            "outputs": {"y": {"source": "${i.stdout}"}},
        }),
    );
    sandbox.workflow(
        "outer.json",
        &json!({
            "inputs": {"who": {"type": "string"}, "api_key": {"type": "string", "default": "none"}},
            "nodes": [
                {"id": "a", "type": "shell", "params": {"command": "echo \"会议记录 for ${who}\""}},
                {"id": "n", "type": "workflow", "params": {"workflow_path": "./inner.json", "inputs": {"x": "${a.stdout}"}}},
                {"id": "b", "type": "shell", "params": {"command": "echo \"${n.y}\"; echo 'a warning' >&2"}},
            ],
            "edges": [{"from": "a", "to": "n"}, {"from": "n", "to": "b"}],
        }),
    )
}

/// A workflow that asks a model.
fn asking(sandbox: &Sandbox, question: &str) -> String {
    let nodes = json!([{"id": "ask", "type": "llm", "params": {"model": "gpt-4o", "prompt": question}}]);
    sandbox.workflow("ask.json", &json!({"nodes": nodes, "edges": []}))
}

fn run_well(sandbox: &Sandbox, args: &[&str]) -> Ended {
    let ended = sandbox.run(args);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended
}

/// The newest runs as JSON.
fn runs(sandbox: &Sandbox) -> Vec<Value> {
    let printed = run_well(sandbox, &["runs", "--json"]).json();
    printed.as_array().unwrap().clone()
}

fn id_of(run: &Value) -> String {
    run["run"].as_str().unwrap()[..8].to_owned()
}

#[test]
fn a_history_without_runs_is_no_failure() {
    let sandbox = Sandbox::new();
    for args in [
        vec!["runs"],
        vec!["logs"],
        vec!["search", "word"],
        vec!["stats"],
        vec!["insights"],
        vec!["export", "--all"],
    ] {
        let ended = run_well(&sandbox, &args);
        assert_eq!(ended.out, "");
        assert!(ended.err.contains("no run is recorded yet"), "{ended:?}");
    }
    assert_eq!(run_well(&sandbox, &["runs", "--json"]).json(), json!([]));
    assert_eq!(
        run_well(&sandbox, &["search", "word", "--json"]).json(),
        json!([])
    );
    assert_eq!(
        run_well(&sandbox, &["stats", "--json"]).json()["total"]["runs"],
        0
    );
    assert_eq!(
        run_well(&sandbox, &["insights", "--json"]).json()["insights"],
        json!([])
    );
    let forgotten = run_well(&sandbox, &["forget", "--before", "2d", "--yes"]);
    assert!(forgotten.err.contains("nothing was deleted"), "{forgotten:?}");
    for args in [
        vec!["export", "last"],
        vec!["forget", "last", "--yes"],
        vec!["state", "last"],
        vec!["diff", "last~1", "last"],
        vec!["logs", "last"],
    ] {
        let ended = sandbox.run(&args);
        assert_eq!(ended.code, 4, "{ended:?}");
        assert!(ended.err.contains("no history yet"), "{ended:?}");
    }
    // Whoever looks makes nothing.
    assert!(!sandbox.home().exists());
}

#[test]
fn runs_are_listed_filtered_and_sorted() {
    let sandbox = Sandbox::new();
    let outer = nested(&sandbox);
    run_well(
        &sandbox,
        &["run", &outer, "who=ada", "--tag", "env=test", "--session", "s-1"],
    );
    let failing = sandbox.workflow(
        "bad.json",
        &json!({"nodes": [{"id": "f", "type": "shell", "params": {"command": "exit 3"}}], "edges": []}),
    );
    let failed = sandbox.run(&["run", &failing]);
    assert_eq!(failed.code, 1, "{failed:?}");
    let all = runs(&sandbox);
    assert_eq!(all.len(), 2, "{failed:?} {all:?}");
    assert_eq!(
        (&all[0]["workflow"], &all[0]["status"]),
        (&json!("bad"), &json!("error"))
    );
    assert_eq!(
        (&all[1]["workflow"], &all[1]["nodes"]),
        (&json!("outer"), &json!(4))
    );
    assert_eq!(all[1]["tags"], json!({"env": "test"}));
    let only = |args: &[&str]| {
        let all = [&["runs", "--json"], args].concat();
        let found = run_well(&sandbox, &all).json();
        let names = found
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["workflow"].as_str().unwrap().to_owned());
        names.collect::<Vec<String>>()
    };
    assert_eq!(only(&["--status", "failed"]), ["bad"]);
    assert_eq!(only(&["--status", "ok"]), ["outer"]);
    assert_eq!(only(&["--tag", "env=test"]), ["outer"]);
    assert_eq!(only(&["--tag", "env=prod"]), [""; 0]);
    assert_eq!(only(&["--session", "s-1", "--since", "1h"]), ["outer"]);
    assert_eq!(only(&["--until", "1h"]), [""; 0]);
    assert_eq!(
        only(&["-w", "bad", "-w", "outer", "--sort", "workflow"]),
        ["bad", "outer"]
    );
    assert_eq!(only(&["--limit", "1"]), ["bad"]);
    assert_eq!(only(&["--slower-than", "1h"]), [""; 0]);
    let table = run_well(&sandbox, &["runs", "-n", "1"]);
    assert!(
        table.out.starts_with("RUN") && table.out.contains("✗ error"),
        "{}",
        table.out
    );
    assert!(!table.out.contains('\u{1b}'), "{}", table.out);
    assert!(table.err.contains("there are more"), "{}", table.err);
    let none = run_well(&sandbox, &["runs", "--user", "nobody-of-this-name"]);
    assert!(none.err.contains("no run fits"), "{}", none.err);
    for odd in [["--since", "soon"], ["--status", "done"], ["--tag", "x"]] {
        assert_eq!(sandbox.run(&[&["runs"][..], &odd].concat()).code, 2);
    }
}

#[test]
fn unknown_and_ambiguous_runs_say_what_to_do() {
    let sandbox = Sandbox::new();
    let outer = nested(&sandbox);
    run_well(&sandbox, &["run", &outer, "who=ada"]);
    for command in ["show", "state", "logs"] {
        let ended = sandbox.run(&[command, "last~7"]);
        assert_eq!(ended.code, 4, "{ended:?}");
        assert!(ended.err.contains("`flowmeter runs` lists them"), "{ended:?}");
    }
    assert_eq!(sandbox.run(&["diff", "last", "last~1"]).code, 4);
    assert_eq!(sandbox.run(&["show", "last-failed"]).code, 4);
    assert_eq!(sandbox.run(&["state", "nothing.json"]).code, 2);
    let node = sandbox.run(&["show", "last", "--node", "bb"]);
    assert_eq!(node.code, 2, "{node:?}");
    assert!(
        node.err.contains("these did: `a`, `n`, `n/i`, `b`"),
        "{}",
        node.err
    );
}

#[test]
fn a_run_is_shown_without_its_trace_file() {
    let sandbox = Sandbox::new();
    let outer = nested(&sandbox);
    run_well(&sandbox, &["run", &outer, "who=ada"]);
    assert!(sandbox.traces().is_empty());
    let id = id_of(&runs(&sandbox)[0]);
    for name in ["last", id.as_str()] {
        let tree = run_well(&sandbox, &["show", name]);
        assert!(
            tree.out.contains("→ node.shell [a]") && tree.out.contains("Running command"),
            "{}",
            tree.out
        );
        assert!(tree.out.contains("- Nodes Executed: 4"), "{}", tree.out);
        assert_eq!(tree.err, "");
    }
    let json = run_well(&sandbox, &["show", "last", "--json"]).json();
    assert_eq!(
        (&json["format"], &json["status"]),
        (&json!("flowmeter.trace/1"), &json!("ok"))
    );
    assert_eq!(json["metrics"]["node_count"], 4);
    let otlp = run_well(&sandbox, &["show", "last", "--otlp"]).json();
    let spans = &otlp["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(
        spans.as_array().map(Vec::len),
        json["spans"].as_array().map(Vec::len)
    );
}

#[test]
fn a_node_shows_prompt_answer_and_cost() {
    let model = Model::new(Script::new().reply(Reply::text("三点开会。").usage(812, 64)));
    let sandbox = Sandbox::asking(&model);
    let file = asking(&sandbox, "Summarise the notes of the meeting");
    run_well(&sandbox, &["run", &file]);
    let shown = run_well(&sandbox, &["show", "last", "--node", "ask"]);
    for wanted in [
        "ask  node.llm  ✓ ok",
        "[user]\n    Summarise the notes of the meeting",
        "[assistant]\n    三点开会。",
        "812 in + 64 out",
        "model     gpt-4o (openai)",
        "ask.response: 三点开会。",
    ] {
        assert!(shown.out.contains(wanted), "{wanted}\n{}", shown.out);
    }
    let json = run_well(&sandbox, &["show", "last", "--node", "ask", "--json"]).json();
    assert_eq!(
        json["llm_calls"][0]["response"],
        json!([{"role": "assistant", "text": "三点开会。"}])
    );
    assert_eq!(json["llm_calls"][0]["span"]["usage"]["input"]["tokens"], 812);
    // The same of a file.
    run_well(&sandbox, &["run", &file, "--trace-file", "t.json"]);
    let of_file = run_well(&sandbox, &["show", "t.json", "--node", "ask"]);
    assert!(of_file.out.contains("node.llm"), "{}", of_file.out);
}

#[test]
fn logs_are_shown_and_filtered() {
    let sandbox = Sandbox::new();
    let outer = nested(&sandbox);
    run_well(&sandbox, &["run", &outer, "who=ada"]);
    let all = run_well(&sandbox, &["logs", "last"]);
    assert!(
        all.out.contains(" INFO  [n/i] shell: Running command: echo"),
        "{}",
        all.out
    );
    let some = run_well(&sandbox, &["logs", "last", "--grep", "A WARNING", "--json"]);
    let line: Value = serde_json::from_str(some.out.lines().next().unwrap()).unwrap();
    assert_eq!((&line["node"], &line["workflow"]), (&json!("b"), &json!("outer")));
    assert_eq!(run_well(&sandbox, &["logs", "last", "--level", "error"]).out, "");
    let of_all = run_well(&sandbox, &["logs", "--since", "1h", "-n", "1"]);
    assert_eq!(of_all.out.lines().count(), 1, "{}", of_all.out);
    assert_eq!(
        run_well(&sandbox, &["logs", "--since", "1h", "--until", "30m"]).out,
        ""
    );
    // Of a run that has ended, following ends at once.
    assert_eq!(run_well(&sandbox, &["logs", "last", "-f"]).out, all.out);
}

#[test]
fn texts_are_found_in_every_script() {
    let model = Model::new(Script::new().reply(Reply::text("Совещание в три часа. 三点开会。")));
    let sandbox = Sandbox::asking(&model);
    let file = asking(&sandbox, "What does \"the quick brown fox\" mean? 会议记录");
    run_well(&sandbox, &["run", &file]);
    let found = |args: &[&str]| {
        let all = [&["search", "--json"], args].concat();
        run_well(&sandbox, &all).json().as_array().unwrap().clone()
    };
    let prompts = found(&["会议", "--in", "prompt"]);
    assert_eq!(prompts.len(), 1, "{prompts:?}");
    assert_eq!(
        (&prompts[0]["node"], &prompts[0]["place"]),
        (&json!("ask"), &json!("prompt"))
    );
    let context = prompts[0]["context"].as_str().unwrap();
    let [from, to] = [0, 1].map(|end| prompts[0]["matches"][0][end].as_u64().unwrap() as usize);
    assert_eq!(&context[from..to], "会议");
    assert_eq!(found(&["СОВЕЩАНИЕ", "--in", "response"]).len(), 1);
    assert_eq!(found(&["\"quick brown\" fox", "--in", "prompt"]).len(), 1);
    assert_eq!(found(&["\"brown quick\"", "--in", "prompt"]).len(), 0);
    assert_eq!(found(&["uick bro", "--substring", "--in", "prompt"]).len(), 1);
    assert_eq!(found(&["uick", "--in", "prompt"]).len(), 0);
    let text = run_well(&sandbox, &["search", "三点"]);
    assert!(
        text.out.contains("ask  response  ") && text.out.contains("三点开会"),
        "{}",
        text.out
    );
    let none = run_well(&sandbox, &["search", "uick"]);
    assert!(
        none.err
            .contains("`uick` was not found; `--substring` also looks inside words"),
        "{}",
        none.err
    );
    assert_eq!(sandbox.run(&["search", "  "]).code, 2);
}

#[test]
fn the_store_is_told_as_it_was_after_each_node() {
    let sandbox = Sandbox::new();
    let outer = nested(&sandbox);
    run_well(
        &sandbox,
        &["run", &outer, "who=ada", "api_key=sk-very-secret-value"],
    );
    let state = |args: &[&str]| run_well(&sandbox, &[&["state", "last", "--json"], args].concat()).json();
    let first = state(&["--at", "a"]);
    assert_eq!(first["state"]["who"], "ada");
    assert_eq!(first["state"]["a"]["stdout"], "会议记录 for ada");
    assert_eq!(first["state"]["n"], Value::Null);
    assert_eq!(first["notes"], json!([]));
    // A secret is masked, and that is said.
    assert_eq!(first["state"]["api_key"], "[REDACTED]");
    let masked = |key: &Value| key["key"] == "api_key" && key["is_masked"] == true;
    assert!(first["keys"].as_array().unwrap().iter().any(masked), "{first}");
    let inner = state(&["--at", "n/i"]);
    assert_eq!(
        (&inner["store"], &inner["state"]["x"]),
        (&json!("n"), &json!("会议记录 for ada"))
    );
    assert_eq!(inner["state"]["who"], Value::Null);
    let end = state(&[]);
    assert_eq!(
        (&end["at"], &end["state"]["n"]["y"]),
        (&Value::Null, &json!("inner 会议记录 for ada"))
    );
    let changes = state(&["--at", "n", "--diff"]);
    assert_eq!(changes["changes"][0]["key"], "n.y");
    assert_eq!(changes["changes"][0]["change"], "added");
    let who = state(&["--who", "a.stdout"]);
    assert_eq!(who["last"]["written_by"]["node"], "a");
    let input = run_well(&sandbox, &["state", "last", "--who", "who"]);
    assert!(
        input.out.contains("who was last written as an input"),
        "{}",
        input.out
    );
    let table = run_well(&sandbox, &["state", "last", "--at", "b"]);
    assert!(
        table.out.contains("b.stdout") && table.out.contains("masked"),
        "{}",
        table.out
    );
    let nobody = sandbox.run(&["state", "last", "--who", "a.stdou"]);
    assert!(
        nobody.code == 2 && nobody.err.contains("did you mean `a.stdout`?"),
        "{nobody:?}"
    );
    let nested = sandbox.run(&["state", "last", "--who", "i.stdout"]);
    assert!(nested.err.contains("add `--at n/i`"), "{nested:?}");
}

#[test]
fn a_run_without_content_shows_no_wrong_state() {
    let sandbox = Sandbox::new();
    let outer = nested(&sandbox);
    run_well(&sandbox, &["run", &outer, "who=ada", "--capture", "metadata"]);
    let state = run_well(&sandbox, &["state", "last", "--json"]).json();
    assert_eq!(state["state"]["a"]["stdout"], Value::Null);
    assert!(
        state["notes"][0]
            .as_str()
            .unwrap()
            .contains("recorded without content"),
        "{state}"
    );
    let table = run_well(&sandbox, &["state", "last"]);
    assert!(
        table.out.contains("(not captured)") && table.err.contains("without content"),
        "{table:?}"
    );
}

#[test]
fn runs_are_compared() {
    let model = Model::new(
        Script::new()
            .reply(Reply::text("at three").usage(100, 10))
            .reply(Reply::text("at four").usage(120, 20)),
    );
    let sandbox = Sandbox::asking(&model);
    let file = asking(&sandbox, "When is the meeting?");
    run_well(&sandbox, &["run", &file]);
    let file = asking(&sandbox, "When is the next meeting?");
    run_well(&sandbox, &["run", &file]);
    let text = run_well(&sandbox, &["diff", "last~1", "last"]);
    for wanted in [
        "- When is the meeting?",
        "+ When is the next meeting?",
        "- at three",
        "+ at four",
        "input tokens",
        "Store at the end",
    ] {
        assert!(text.out.contains(wanted), "{wanted}\n{}", text.out);
    }
    let json = run_well(&sandbox, &["diff", "last~1", "last", "--json"]).json();
    assert_eq!(json["sums"]["tokens"]["before"]["total"], 110);
    assert_eq!(json["nodes"][0]["change"], "changed");
    assert_eq!(json["nodes"][0]["params"][0]["key"], "prompt");
    let same = run_well(&sandbox, &["diff", "last", "last", "--json"]).json();
    assert_eq!(
        (&same["nodes"][0]["change"], &same["state"]),
        (&json!("same"), &json!([]))
    );
    let one = run_well(&sandbox, &["diff", "last~1", "last", "--node", "ask"]);
    assert!(!one.out.contains("Store at the end"), "{}", one.out);
}

/// A run whose second node waits until it is killed.
fn waiting(sandbox: &Sandbox) -> Child {
    let nodes = json!([
        {"id": "quick", "type": "shell", "params": {"command": "echo done"}},
        {"id": "slow", "type": "shell", "params": {"command": "sleep 60"}},
    ]);
    let edges = json!([{"from": "quick", "to": "slow"}]);
    let file = sandbox.workflow("endless.json", &json!({"nodes": nodes, "edges": edges}));
    let mut child = sandbox.command(&["run", &file]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_there = || {
        let shown = sandbox.run(&["state", "last", "--json"]);
        shown.code == 0 && shown.out.contains("\"done\"") && shown.out.contains("`slow`")
    };
    while !is_there() {
        if Instant::now() > deadline {
            let _it_may_have_ended = child.kill();
            panic!("{:?}", child.wait());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

#[test]
fn a_run_that_goes_on_and_one_that_was_killed_can_be_looked_at() {
    let sandbox = Sandbox::new();
    let mut child = waiting(&sandbox);
    let running = &runs(&sandbox)[0];
    assert_eq!(
        (&running["status"], &running["ended"]),
        (&json!("running"), &Value::Null)
    );
    assert!(running["duration_ms"].as_f64().unwrap() > 0.0);
    let table = run_well(&sandbox, &["runs"]);
    assert!(table.out.contains("● running"), "{}", table.out);
    let shown = run_well(&sandbox, &["show", "last"]);
    assert!(shown.out.contains("← node.shell (not finished)"), "{}", shown.out);
    assert!(shown.err.contains("still going on, in process"), "{}", shown.err);
    let state = run_well(&sandbox, &["state", "last", "--json"]).json();
    assert_eq!(state["state"]["quick"]["stdout"], "done");
    assert!(state["notes"][0].as_str().unwrap().contains("`slow`"), "{state}");
    // Following a run's log ends when the run does.
    let mut follower = sandbox.command(&["logs", "last", "-f"]).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert!(first.contains("Running command: echo done"), "{first}");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(follower.wait().unwrap().success());
    assert_eq!(runs(&sandbox)[0]["status"], "interrupted");
    let shown = run_well(&sandbox, &["show", "last"]);
    assert!(
        shown.err.contains("was interrupted: its process is gone"),
        "{}",
        shown.err
    );
    assert!(
        run_well(&sandbox, &["show", "last", "--node", "slow"])
            .out
            .contains("● not finished")
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_colour_is_for_terminals() {
    let sandbox = Sandbox::new();
    let outer = nested(&sandbox);
    run_well(&sandbox, &["run", &outer, "who=ada"]);
    for args in [
        vec!["runs", "--json"],
        vec!["logs", "last"],
        vec!["show", "last"],
        vec!["search", "ada"],
    ] {
        let mut child = sandbox.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert!(child.wait().unwrap().success(), "{args:?}");
        let coloured = sandbox
            .command(&args)
            .env("CLICOLOR_FORCE", "1")
            .output()
            .unwrap();
        let plain = sandbox
            .command(&args)
            .env("CLICOLOR_FORCE", "1")
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        assert!(!plain.stdout.contains(&0x1b), "{args:?}");
        if args[0] != "runs" {
            assert!(coloured.stdout.contains(&0x1b), "{args:?}");
        }
    }
}

#[test]
fn ten_thousand_nodes_are_looked_at_in_a_moment() {
    let sandbox = Sandbox::new();
    let ids: Vec<String> = (0..10_000).map(|number| format!("n{number}")).collect();
    let nodes: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "type": "echo", "params": {"message": "hi"}}))
        .collect();
    let edges: Vec<Value> = ids
        .windows(2)
        .map(|pair| json!({"from": pair[0], "to": pair[1]}))
        .collect();
    let file = sandbox.workflow("many.json", &json!({"nodes": nodes, "edges": edges}));
    run_well(&sandbox, &["run", &file]);
    run_well(&sandbox, &["run", &file]);
    assert_eq!(runs(&sandbox)[0]["nodes"], 10_000);
    let shown = run_well(&sandbox, &["show", "last"]);
    assert!(
        shown.out.contains("- Nodes Executed: 10000"),
        "{}",
        &shown.out[shown.out.len() - 300..]
    );
    let state = run_well(&sandbox, &["state", "last", "--at", "n4999", "--json"]).json();
    assert_eq!(state["state"].as_object().map(serde_json::Map::len), Some(5_000));
    let diff = run_well(&sandbox, &["diff", "last~1", "last"]);
    assert!(diff.out.contains("nodes that are alike"), "{}", diff.out);
    let node = run_well(&sandbox, &["show", "last", "--node", "n7777"]);
    assert!(node.out.contains("n7777  node.echo"), "{}", node.out);
}
