//! Saved workflows through the binary: save, list, describe, run, validate, delete.

use std::fs;
use std::process::Child;

use expect_test::expect;
use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox, repository};

fn greeting() -> Value {
    json!({
        "title": "Greeting",
        "description": "Greets somebody.\nKindly.",
        "inputs": {
            "who": {"type": "string", "description": "Whom to greet."},
            "times": {"type": "integer", "default": 1}
        },
        "nodes": [{"id": "say", "type": "echo", "purpose": "Says it.", "params": {"message": "hello ${who} ${times}"}}],
        "outputs": {"said": {"source": "${say.echo}", "type": "string", "description": "What was said."}}
    })
}

fn running(params: Value) -> Value {
    json!({"nodes": [{"id": "child", "type": "workflow", "params": params}]})
}

/// The same, giving what the other one gives.
fn giving(params: Value) -> Value {
    let mut document = running(params);
    document["outputs"] = json!({"said": {"source": "${child.said}"}});
    document
}

fn shown(sandbox: &Sandbox, text: &str) -> String {
    let folder = sandbox.path("");
    let canonical = folder.canonicalize().unwrap();
    text.replace(&*canonical.to_string_lossy(), "DIR")
        .replace(folder.to_string_lossy().trim_end_matches('/'), "DIR")
}

fn saved(sandbox: &Sandbox, args: &[&str]) -> Ended {
    let ended = sandbox.run(args);
    assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
    ended
}

#[test]
fn a_workflow_is_saved_listed_described_run_and_deleted() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("work/greeting.json", &greeting());
    let ended = saved(&sandbox, &["save", &file]);
    assert_eq!(
        shown(&sandbox, &ended.out),
        "saved greeting, version 1: DIR/home/workflows/greeting.json\n"
    );
    let ended = saved(&sandbox, &["save", &file, "--name", "hi"]);
    assert_eq!(ended.err, "");
    assert_eq!(
        saved(&sandbox, &["list"]).out,
        "greeting  v1  Greets somebody.\nhi        v1  Greets somebody.\n"
    );
    let ended = saved(&sandbox, &["run", "greeting", "who=Ada", "times=3"]);
    assert_eq!(ended.out, "hello Ada 3\n");
    assert_eq!(saved(&sandbox, &["validate", "greeting"]).out, "greeting: ok\n");
    let plan = saved(&sandbox, &["run", "greeting", "who=Ada", "--dry-run"]);
    assert!(plan.out.starts_with("Plan of greeting: 1 node"), "{plan:?}");

    // Again: the next version, and the one before is still there.
    let mut second = greeting();
    second["nodes"][0]["params"]["message"] = "bye ${who} ${times}".into();
    sandbox.workflow("work/greeting.json", &second);
    let ended = saved(&sandbox, &["save", &file]);
    assert!(ended.out.starts_with("saved greeting, version 2:"), "{ended:?}");
    assert_eq!(ended.err, "version 1 is still there as greeting@1\n");
    assert_eq!(
        saved(&sandbox, &["run", "greeting", "who=Ada"]).out,
        "bye Ada 1\n"
    );
    assert_eq!(
        saved(&sandbox, &["run", "greeting@1", "who=Ada"]).out,
        "hello Ada 1\n"
    );
    saved(&sandbox, &["save", "greeting@1"]);
    assert_eq!(
        saved(&sandbox, &["run", "greeting", "who=Ada"]).out,
        "hello Ada 1\n"
    );

    let ended = saved(&sandbox, &["delete", "hi", "--yes"]);
    assert_eq!(ended.out, "deleted hi (version 1)\n");
    let ended = sandbox.run(&["run", "hi"]);
    assert_eq!(ended.code, 4, "{ended:?}");
    expect!["error: there is no workflow file hi; there is no saved workflow `hi` either; saved workflows: greeting\n"]
        .assert_eq(&ended.err);
    // What it was saved from is nobody's business.
    assert!(sandbox.path("work/greeting.json").exists());
}

#[test]
fn describe_tells_what_there_is_to_know() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("work/greeting.json", &greeting());
    saved(&sandbox, &["save", &file]);
    let steady = |text: &str| {
        let lines: Vec<String> = shown(&sandbox, text)
            .lines()
            .map(|line| match line.split_once(", saved 2") {
                Some((before, _)) => format!("{before}, saved <time>"),
                None => line.to_owned(),
            })
            .collect();
        lines.join("\n")
    };
    expect![[r#"
        greeting: version 1, saved <time>
        Greeting
        Greets somebody.
        Kindly.

        Inputs:
          who    string, required; Whom to greet.
          times  integer, default 1

        Outputs:
          said  string; What was said.

        Nodes:
          say  echo; Says it.

        No run of it is known yet.

        File        DIR/home/workflows/greeting.json
        SHA-256     74405860ee334ae4f48c314c7450733227400e887ac5ca80193b4eb1b3312829
        Saved from  DIR/work/greeting.json"#]]
    .assert_eq(&steady(&saved(&sandbox, &["describe", "greeting"]).out));

    let described = saved(&sandbox, &["describe", "greeting", "--json"]).json();
    assert_eq!(described["version"], 1);
    assert_eq!(described["changed"], false);
    assert_eq!(described["checksum"], described["saved_checksum"]);
    assert_eq!(
        described["checksum"].as_str().unwrap().len(),
        "sha256:".len() + 64
    );
    assert_eq!(
        described["inputs"][0],
        json!({
            "name": "who", "type": "string", "required": true, "description": "Whom to greet.", "stdin": false
        })
    );
    assert_eq!(described["inputs"][1]["default"], 1);
    assert_eq!(described["outputs"][0]["name"], "said");
    assert_eq!(
        described["nodes"],
        json!([{"id": "say", "type": "echo", "purpose": "Says it."}])
    );
    assert_eq!(
        (&described["valid"], &described["history"]),
        (&json!(true), &Value::Null)
    );

    // Changed with an editor: still the workflow, and said to be changed.
    let path = sandbox.home().join("workflows/greeting.json");
    let text = fs::read_to_string(&path).unwrap().replace("hello", "good day,");
    fs::write(&path, text).unwrap();
    assert_eq!(
        saved(&sandbox, &["run", "greeting", "who=Ada"]).out,
        "good day, Ada 1\n"
    );
    let ended = saved(&sandbox, &["describe", "greeting"]);
    assert!(
        ended
            .out
            .starts_with("greeting: version 1, changed since it was saved, saved 2"),
        "{ended:?}"
    );
    assert_eq!(
        saved(&sandbox, &["list"]).out,
        "greeting  v1 (changed)  Greets somebody.\n"
    );
    let listed = saved(&sandbox, &["list", "--json"]).json();
    assert_eq!(listed["workflows"][0]["changed"], true);
    let ended = sandbox.run(&["save", &file]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended.err.contains("was changed by hand") && ended.err.contains("--force"),
        "{ended:?}"
    );
    saved(&sandbox, &["save", &file, "--force"]);

    // Broken with an editor: what can be said is said, and what is wrong.
    fs::write(
        &path,
        "{\"description\": \"Broken.\", \"nodes\": [{\"id\": \"a\", \"type\": \"ecko\"}]}",
    )
    .unwrap();
    let ended = sandbox.run(&["describe", "greeting"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended.out.contains("Broken.") && ended.err.contains("did you mean `echo`?"),
        "{ended:?}"
    );
    assert_eq!(
        sandbox.run(&["describe", "greeting", "--json"]).json()["valid"],
        false
    );
}

#[test]
fn describe_knows_earlier_runs() {
    let reply = Reply::text("hello").usage(1_000, 500);
    let model = Model::new(Script::new().otherwise(move |_| reply.clone()));
    let sandbox = Sandbox::asking(&model);
    sandbox.file(
        "home/pricing.json",
        r#"{"demo-small": {"unit": "1M", "input": 4, "output": 10}}"#,
    );
    let file = sandbox.workflow(
        "ask.json",
        &json!({"nodes": [{"id": "ask", "type": "llm", "params": {"model": "openai/demo-small", "prompt": "hi"}}]}),
    );
    saved(&sandbox, &["save", &file]);
    for _ in 0..3 {
        saved(&sandbox, &["run", "ask", "--trace"]);
    }
    let history = saved(&sandbox, &["describe", "ask", "--json"]).json()["history"].take();
    assert_eq!((&history["runs"], &history["succeeded"]), (&json!(3), &json!(3)));
    assert_eq!(history["cost_usd"]["median"], json!(0.009));
    assert_eq!(history["runs_without_full_price"], 0);
    assert!(history["duration_ms"]["median"].as_f64().unwrap() > 0.0);
    let ended = saved(&sandbox, &["describe", "ask"]);
    assert!(
        ended.out.contains("Usual run: ") && ended.out.contains("$0.009 (3 known runs, 3 succeeded)"),
        "{ended:?}"
    );
}

#[test]
fn a_file_wins_over_a_name_and_a_folder_does_not() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("work/greeting.json", &greeting());
    saved(&sandbox, &["save", &file, "--name", "greeting"]);
    fs::create_dir(sandbox.path("greeting")).unwrap();
    assert_eq!(
        saved(&sandbox, &["run", "greeting", "who=Ada"]).out,
        "hello Ada 1\n"
    );
    fs::remove_dir(sandbox.path("greeting")).unwrap();
    sandbox.workflow(
        "greeting",
        &json!({"nodes": [{"id": "say", "type": "echo", "params": {"message": "the file"}}]}),
    );
    assert_eq!(saved(&sandbox, &["run", "greeting"]).out, "the file\n");
}

#[test]
fn names_and_files_that_are_not_there_are_told_with_the_nearest() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("work/Weekly Report.json", &greeting());
    let mut told = String::new();
    let mut tell = |args: &[&str], code: i32| {
        let ended = sandbox.run(args);
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        told.push_str(&shown(&sandbox, &ended.err));
    };
    tell(&["save", &file], 2);
    tell(&["save", &file, "--name", "Weekly"], 2);
    tell(&["save", &file, "--name", "weekly-report", "--json"], 0);
    tell(&["save", "missing.json"], 4);
    for command in ["run", "validate", "describe", "delete"] {
        tell(&[command, "weekly-reprot"], 4);
    }
    tell(&["describe", "weekly-report@7"], 4);
    tell(&["run", "weekly-report@7"], 4);
    tell(&["describe", "Weekly Report"], 2);
    tell(&["delete", "weekly-report@1"], 2);
    tell(&["run", "work/weekly.json"], 4);
    tell(&["run", ""], 2);
    expect![[r#"
        error: the file's name gives no name to save it under: the name `Weekly Report` has 'W' in it; a name has lower-case letters, digits, `-` and `_`; write `weekly-report`
          flowmeter save FILE --name weekly-report
        error: the name `Weekly` has 'W' in it; a name has lower-case letters, digits, `-` and `_`; write `weekly`
        error: there is no workflow file missing.json
        error: there is no workflow file weekly-reprot; there is no saved workflow `weekly-reprot` either; did you mean `weekly-report`? saved workflows: weekly-report
        error: there is no saved workflow `weekly-reprot`; did you mean `weekly-report`? saved workflows: weekly-report
        error: there is no saved workflow `weekly-reprot`; did you mean `weekly-report`? saved workflows: weekly-report
        error: there is no saved workflow `weekly-report@7`; its versions that are kept: 1
        error: there is no saved workflow `weekly-report@7`; its versions that are kept: 1
        error: the name `Weekly Report` has 'W' in it; a name has lower-case letters, digits, `-` and `_`; write `weekly-report`
        error: versions are removed with their workflow only: flowmeter delete weekly-report
        error: there is no workflow file work/weekly.json
        error: a value is required for '<FILE|NAME|REQUEST>' but none was supplied

        For more information, try '--help'.
    "#]].assert_eq(&told);
}

#[test]
fn an_invalid_workflow_is_not_saved_and_all_its_problems_are_told() {
    let sandbox = Sandbox::new();
    let file = sandbox.file(
        "bad.json",
        "{\"nodes\": [\n {\"id\": \"a\", \"type\": \"ecko\"},\n {\"id\": \"a\", \"type\": \"echo\", \"params\": {\"mesage\": 1}}]}",
    );
    let ended = sandbox.run(&["save", &file]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.err.contains("bad.json:2:") && ended.err.contains("bad.json:3:"),
        "{ended:?}"
    );
    assert!(!sandbox.home().join("workflows").exists());
    let snake = sandbox.workflow("snake.json", &running(json!({"workflow_name": "snake"})));
    let ended = sandbox.run(&["save", &snake]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.err.contains("the workflow runs itself: snake → snake"),
        "{ended:?}"
    );
}

#[test]
fn nested_workflows_by_path_and_name_run_after_saving() {
    let sandbox = Sandbox::new();
    sandbox.workflow("work/lib/greeting.json", &greeting());
    let file = sandbox.workflow(
        "work/flows/outer.json",
        &giving(json!({"workflow_path": "../lib/greeting.json", "inputs": {"who": "Ada"}})),
    );
    let ended = saved(&sandbox, &["save", &file]);
    assert!(ended.out.contains("with 1 file that it needs"), "{ended:?}");
    let named = sandbox.workflow("named.json", &giving(json!({"workflow_name": "outer"})));
    saved(&sandbox, &["save", &named]);
    fs::remove_dir_all(sandbox.path("work")).unwrap();
    fs::remove_file(sandbox.path("named.json")).unwrap();
    for name in ["outer", "outer@1", "named"] {
        let ended = saved(&sandbox, &["run", name]);
        assert!(ended.out == "hello Ada 1\n", "{ended:?}");
        saved(&sandbox, &["run", name, "--dry-run"]);
        assert_eq!(saved(&sandbox, &["validate", name]).out, format!("{name}: ok\n"));
    }
    // By its path, too.
    let path = sandbox.home().join("workflows/outer.json").display().to_string();
    saved(&sandbox, &["run", &path]);
    let described = saved(&sandbox, &["describe", "named", "--json"]).json();
    assert_eq!(described["uses"], json!(["outer"]));
    assert_eq!(described["nodes"][0]["runs"], "outer");
    let ended = saved(&sandbox, &["delete", "outer"]);
    assert!(ended.err.contains("`outer` is run by `named`"), "{ended:?}");
    let ended = sandbox.run(&["run", "named"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.err.contains("there is no saved workflow `outer`"),
        "{ended:?}"
    );
}

#[test]
fn list_finds_words_and_says_when_there_is_nothing() {
    let sandbox = Sandbox::new();
    let ended = saved(&sandbox, &["list"]);
    assert_eq!((ended.out.as_str(), ended.err.is_empty()), ("", false));
    assert_eq!(
        saved(&sandbox, &["list", "--json"]).json()["workflows"],
        json!([])
    );
    let file = sandbox.workflow("greeting.json", &greeting());
    for name in ["alpha", "beta"] {
        saved(&sandbox, &["save", &file, "--name", name]);
    }
    assert_eq!(
        saved(&sandbox, &["list", "ALPHA"]).out,
        "alpha  v1  Greets somebody.\n"
    );
    assert_eq!(
        saved(&sandbox, &["list", "kindly", "beta"]).out,
        "beta  v1  Greets somebody.\n"
    );
    let ended = saved(&sandbox, &["list", "gamma"]);
    assert!(
        ended.out.is_empty() && ended.err.contains("none of the 2"),
        "{ended:?}"
    );
}

#[test]
fn fifty_processes_save_at_once() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("greeting.json", &greeting());
    let own: Vec<String> = (0..25).map(|index| format!("own-{index}")).collect();
    let names = own
        .iter()
        .map(String::as_str)
        .chain(std::iter::repeat_n("same", 25));
    let children: Vec<Child> = names
        .map(|name| sandbox.command(&["save", &file, "--name", name]).spawn().unwrap())
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let listed = saved(&sandbox, &["list", "--json"]).json();
    let listed = listed["workflows"].as_array().unwrap();
    assert_eq!(listed.len(), 26);
    for entry in listed {
        let version = if entry["name"] == "same" { 25 } else { 1 };
        assert_eq!(
            (&entry["version"], &entry["changed"]),
            (&json!(version), &json!(false)),
            "{entry}"
        );
    }
    let left: Vec<_> = sandbox
        .all_files()
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(".partial"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_save_that_is_killed_leaves_a_whole_workflow() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("greeting.json", &greeting());
    saved(&sandbox, &["save", &file]);
    for round in 0..20 {
        let mut child = sandbox.command(&["save", &file]).spawn().unwrap();
        // Killed at another moment each time, some of them before the start and some after the end.
        std::thread::sleep(std::time::Duration::from_millis(round * 2));
        let _may_have_ended = child.kill();
        child.wait().unwrap();
        assert_eq!(
            saved(&sandbox, &["run", "greeting", "who=Ada"]).out,
            "hello Ada 1\n"
        );
        let listed = saved(&sandbox, &["list", "--json"]).json();
        assert_eq!(listed["workflows"].as_array().unwrap().len(), 1);
        assert_eq!(listed["workflows"][0]["changed"], false);
    }
    saved(&sandbox, &["save", &file]);
}

#[test]
fn a_home_that_cannot_be_written_is_said() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("greeting.json", &greeting());
    sandbox.file("home", "no folder");
    let ended = sandbox.run(&["save", &file]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.err.contains("cannot be written to") && ended.err.contains("make the folder writable"),
        "{ended:?}"
    );
}

#[test]
fn secrets_of_nested_saved_workflows_are_masked() {
    let sandbox = Sandbox::new();
    let inner = sandbox.workflow(
        "inner.json",
        &json!({
            "inputs": {"api_key": {"default": "sk-very-secret-of-inner"}},
            "nodes": [{"id": "say", "type": "echo", "params": {"message": "key ${api_key}"}}]
        }),
    );
    saved(&sandbox, &["save", &inner]);
    let outer = sandbox.workflow("outer.json", &running(json!({"workflow": "inner"})));
    saved(&sandbox, &["save", &outer]);
    saved(&sandbox, &["run", "outer", "--trace"]);
    let trace = fs::read_to_string(&sandbox.traces()[0]).unwrap();
    assert!(!trace.contains("sk-very-secret-of-inner"));
}

#[test]
fn the_repositorys_examples_can_be_saved() {
    let sandbox = Sandbox::new();
    let mut count = 0;
    for folder in fs::read_dir(repository().join("examples")).unwrap() {
        for entry in fs::read_dir(folder.unwrap().path()).into_iter().flatten() {
            let path = entry.unwrap().path();
            let is_workflow = fs::read_to_string(&path).is_ok_and(|text| text.contains("\"nodes\""));
            if is_workflow && path.extension().is_some_and(|extension| extension == "json") {
                saved(&sandbox, &["save", &path.display().to_string()]);
                count += 1;
            }
        }
    }
    let listed = saved(&sandbox, &["list", "--json"]).json();
    assert!(
        count > 3 && listed["workflows"].as_array().unwrap().len() == count,
        "{count}"
    );
}

#[test]
fn markdown_workflows_are_saved_with_the_files_they_name() {
    let sandbox = Sandbox::new();
    sandbox.file("work/parts/ask.sh", "echo asked \"$WHO\"");
    sandbox.workflow("work/parts/child.json", &greeting());
    let text = "# Asking\n\nAsks around.\n\n## Inputs\n\n### who\n\nWhom to ask.\n\n- type: string\n- default: Ada\n\n\
                ## Steps\n\n### ask\n\nAsks.\n\n- type: shell\n- command: ./parts/ask.sh\n- env: {WHO: \"${who}\"}\n\n\
                ### greet\n\nGreets.\n\n- type: workflow\n- workflow_path: ./parts/child.json\n- inputs: {who: \"${ask.stdout}\"}\n";
    let file = sandbox.file("work/asking.pflow.md", text);
    let ended = saved(&sandbox, &["save", &file]);
    assert!(
        ended.out.contains("asking.pflow.md\nwith 2 files that it needs"),
        "{ended:?}"
    );
    fs::remove_dir_all(sandbox.path("work")).unwrap();
    let ended = saved(&sandbox, &["run", "asking", "-o", "greet.said"]);
    assert!(ended.out.contains("hello asked Ada"), "{ended:?}");
    assert_eq!(saved(&sandbox, &["list"]).out, "asking  v1  Asks around.\n");
    let described = saved(&sandbox, &["describe", "asking", "--json"]).json();
    assert_eq!(
        (&described["title"], &described["form"]),
        (&json!("Asking"), &json!("markdown"))
    );
    assert_eq!(described["inputs"][0]["default"], "Ada");

    // In the other form: one file is left, and the version goes on.
    let json = sandbox.workflow("asking.json", &greeting());
    saved(&sandbox, &["save", &json]);
    assert!(!sandbox.home().join("workflows/asking.pflow.md").exists());
    assert_eq!(saved(&sandbox, &["list"]).out, "asking  v2  Greets somebody.\n");
    let ended = saved(&sandbox, &["run", "asking@1", "-o", "greet.said"]);
    assert!(ended.out.contains("hello asked Ada"), "{ended:?}");
}

#[test]
fn files_put_into_the_folder_are_run_by_name() {
    let sandbox = Sandbox::new();
    sandbox.workflow("home/workflows/hand.json", &greeting());
    sandbox.file(
        "home/workflows/note.flow.md",
        "# Note\n\nNotes it.\n\n## Steps\n\n### say\n\nSays.\n\n- type: echo\n- message: noted\n",
    );
    assert_eq!(
        saved(&sandbox, &["list"]).out,
        "hand  by hand  Greets somebody.\nnote  by hand  Notes it.\n"
    );
    assert_eq!(saved(&sandbox, &["run", "hand", "who=Ada"]).out, "hello Ada 1\n");
    assert_eq!(saved(&sandbox, &["run", "note"]).out, "noted\n");
    assert!(
        saved(&sandbox, &["describe", "hand"])
            .out
            .starts_with("hand: put there by hand\n")
    );
}
