//! Runs that fail, and runs that never begin.

use expect_test::expect;
use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Model, Sandbox, steady};

fn shell(command: &str) -> Value {
    json!({"nodes": [{"id": "work", "type": "shell", "params": {"command": command}}]})
}

#[test]
fn a_failed_run_says_why_and_saves_its_trace() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow("fail.json", &shell("echo half; echo broken >&2; exit 3"));
    let ended = sandbox.run(&["run", &workflow, "--output-format", "json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let printed = ended.json();
    assert_eq!(printed["status"], "failed");
    assert!(printed.get("result").is_none());
    assert_eq!(printed["error"]["node"], "work");
    assert_eq!(printed["error"]["type"], "exit_code");
    assert!(
        printed["error"]["message"]
            .as_str()
            .unwrap()
            .contains("exit code 3"),
        "{printed}"
    );
    assert!(printed["error"]["chain"].is_array());
    assert_eq!(printed["metrics"]["workflow"]["nodes_executed"], 1);
    let traces = sandbox.traces();
    assert_eq!(printed["trace_file"], json!(traces[0]));
    assert!(
        ended.err.contains(&format!("trace: {}", traces[0].display())),
        "{}",
        ended.err
    );

    let text = sandbox.run(&["run", &workflow, "--quiet"]);
    assert_eq!((text.code, text.out.as_str()), (1, ""));
    assert!(text.err.starts_with("error: node `work`: "), "{}", text.err);
    assert!(!text.err.contains('✗'), "{}", text.err);
    assert_eq!(sandbox.traces().len(), 2);
}

#[test]
fn a_command_that_takes_too_long_is_killed() {
    let sandbox = Sandbox::new();
    let mut workflow = shell("sleep 30; touch survived");
    workflow["nodes"][0]["params"]["timeout"] = json!(0.3);
    let workflow = sandbox.workflow("slow.json", &workflow);
    let began = std::time::Instant::now();
    let ended = sandbox.run(&["run", &workflow, "--output-format", "json"]);
    assert!(began.elapsed().as_secs() < 10);
    assert_eq!(
        (ended.code, &ended.json()["error"]["type"]),
        (1, &json!("timeout"))
    );
}

#[test]
fn four_mistakes_are_told_at_once() {
    let sandbox = Sandbox::new();
    let document = json!({
        "nodes": [
            {"id": "read", "type": "read-flie", "params": {"file_path": "x"}},
            {"id": "say", "type": "echo", "params": {"mesage": "x"}},
            {"id": "again", "type": "echo", "params": {"message": "${say.ecko}"}}
        ],
        "edges": [{"from": "say", "to": "nowhere"}]
    });
    let workflow = sandbox.workflow("wrong.json", &document);
    let ended = sandbox.run(&["run", &workflow, "--output-format", "json"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    let printed = ended.json();
    assert_eq!(printed["error"]["type"], "invalid_workflow");
    assert_eq!(printed["metrics"]["total"]["llm_calls"], 0);
    let problems = printed["error"]["problems"].as_array().unwrap();
    let errors: Vec<&Value> = problems
        .iter()
        .filter(|problem| problem["severity"] == "error")
        .collect();
    assert!(errors.len() >= 4, "{problems:#?}");
    assert!(
        errors
            .iter()
            .all(|problem| problem["line"].is_u64() && problem["column"].is_u64())
    );

    let text = sandbox.run(&["run", &workflow]);
    assert_eq!((text.code, text.out.as_str()), (2, ""));
    for name in ["read-flie", "mesage", "ecko", "nowhere"] {
        assert!(text.err.contains(name), "{name}: {}", text.err);
    }
    let checked = sandbox.run(&["validate", &workflow]);
    assert_eq!(checked.code, 2);
    assert!(checked.out.contains("wrong.json:1:"), "{}", checked.out);
}

#[test]
fn a_missing_file_is_named_with_its_neighbours() {
    let sandbox = Sandbox::new();
    sandbox.workflow("summarize.json", &shell("true"));
    let ended = sandbox.run(&["run", "sumarize.json"]);
    assert_eq!(ended.code, 4);
    expect![[r"
        error: there is no workflow file sumarize.json; did you mean `summarize.json`?
    "]]
    .assert_eq(&ended.err);
    assert!(
        sandbox
            .run(&["run", "summarize"])
            .err
            .contains("did you mean `summarize.json`?")
    );
    let elsewhere = sandbox.run(&["run", &sandbox.path("sumarize.json").display().to_string()]);
    assert!(
        elsewhere.err.contains(&format!(
            "did you mean `{}`?",
            sandbox.path("summarize.json").display()
        )),
        "{}",
        elsewhere.err
    );
    let printed = sandbox.run(&["run", "nothing-like-it.json", "--output-format", "json"]);
    assert_eq!(
        (printed.code, &printed.json()["error"]["type"]),
        (4, &json!("file_missing"))
    );
}

#[test]
fn a_missing_key_is_a_missing_service() {
    let sandbox = Sandbox::new();
    let document =
        json!({"nodes": [{"id": "ask", "type": "llm", "params": {"model": "gpt-4o", "prompt": "hi"}}]});
    let workflow = sandbox.workflow("ask.json", &document);
    let ended = sandbox.run(&["run", &workflow, "--output-format", "json"]);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(
        ended.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("OPENAI_API_KEY"),
        "{ended:?}"
    );
}

#[test]
fn inputs_are_checked_before_anything_runs() {
    let sandbox = Sandbox::new();
    let mut document = shell("touch ran");
    document["inputs"] = json!({"count": {"type": "integer"}, "name": {"type": "string", "default": "x"}});
    let workflow = sandbox.workflow("inputs.json", &document);
    let ended = sandbox.run(&["run", &workflow, "nam=1", "--output-format", "json"]);
    assert_eq!(ended.code, 2);
    expect![[r#"
        [
          {
            "message": "there is no input `nam`; did you mean `name`? inputs: count, name"
          },
          {
            "message": "input `count` (integer) is missing"
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&steady(&ended.json()["error"]["problems"])).unwrap());
    for (args, said) in [
        (vec!["count=many"], "is of type integer"),
        (vec!["count"], "write it as KEY=VALUE"),
        (vec!["count=1", "count=2"], "given twice"),
        (vec!["=1"], "write it as KEY=VALUE"),
    ] {
        let mut all = vec!["run", &workflow];
        all.extend(args);
        let ended = sandbox.run(&all);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
    }
    assert!(!sandbox.path("ran").exists());
}

#[test]
fn the_provider_s_refusal_is_the_error() {
    let model = Model::new(Script::new().otherwise(|_| Reply::status(401, "bad key")));
    let sandbox = Sandbox::asking(&model);
    let document =
        json!({"nodes": [{"id": "ask", "type": "llm", "params": {"model": "openai/x", "prompt": "hi"}}]});
    let ended = sandbox.run(&[
        "run",
        &sandbox.workflow("ask.json", &document),
        "--output-format",
        "json",
    ]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(ended.json()["error"]["type"], "http_401");
    assert_eq!(model.server.calls(), 1);
}

#[test]
fn a_home_that_cannot_be_written_does_not_stop_a_run() {
    let sandbox = Sandbox::new();
    // A file where the folder should be: not even root can write into that.
    sandbox.file("home", "in the way");
    let workflow = sandbox.workflow("hello.json", &shell("echo hi"));
    let ended = sandbox.run(&["run", &workflow]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "hi\n"), "{ended:?}");
    assert!(ended.err.contains("warning: the trace file"), "{}", ended.err);
    let printed = sandbox.run(&["run", &workflow, "--output-format", "json"]).json();
    assert_eq!(
        (&printed["status"], &printed["result"]),
        (&json!("partial_success"), &json!("hi"))
    );
    assert_eq!(
        printed["export_errors"].as_array().map(Vec::len),
        Some(2),
        "the trace and the history: {printed}"
    );
    let tree = sandbox.run(&["run", &workflow, "--trace"]);
    assert_eq!(tree.code, 0);
    assert!(tree.err.contains("→ node.shell [work]"), "{}", tree.err);
}

#[test]
fn problems_stand_alone_with_their_own_severity() {
    let sandbox = Sandbox::new();
    let document = json!({
        "inputs": {"unused": {"type": "string", "default": ""}},
        "nodes": [
            {"id": "say", "type": "echo", "params": {"mesage": "x"}},
            {"id": "again", "type": "echo", "params": {"message": "${say.ecko}"}}
        ],
        "edges": [{"from": "say", "to": "again"}]
    });
    sandbox.workflow("bad.json", &document);
    let ended = sandbox.run(&["run", "bad.json", "-q"]);
    assert_eq!((ended.code, ended.out.as_str()), (2, ""));
    assert!(!ended.err.contains("warning"), "{}", ended.err);
    let placed = |err: &str| {
        let lines = err.lines().filter(|line| !line.starts_with("    help: "));
        lines.map(str::to_owned).collect::<Vec<String>>()
    };
    let lines = placed(&ended.err);
    let (count, problems) = lines.split_last().unwrap();
    assert!(problems.len() > 1, "{}", ended.err);
    assert_eq!(*count, format!("bad.json: {} errors", problems.len()));
    for line in problems {
        assert!(
            line.starts_with("bad.json:1:") && line.contains(": error: "),
            "{line}"
        );
    }
    let loud = sandbox.run(&["run", "bad.json"]);
    assert!(!loud.err.starts_with("error: "), "{}", loud.err);
    assert_eq!(
        placed(&loud.err).last(),
        Some(&format!("bad.json: {} errors, 1 warning", problems.len()))
    );

    let mut odd = shell("true");
    odd["inputs"] = document["inputs"].clone();
    sandbox.workflow("odd.json", &odd);
    let ended = sandbox.run(&["run", "odd.json"]);
    assert!(ended.err.starts_with("odd.json:1:"), "{}", ended.err);
    assert_eq!(sandbox.run(&["run", "odd.json", "-q"]).err, "");
}

#[test]
fn an_output_that_cannot_be_is_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    let mut document = shell("touch ran; echo hi");
    document["outputs"] = json!({"summary": {"source": "${work.stdout}"}});
    let workflow = sandbox.workflow("w.json", &document);
    let ended = sandbox.run(&["run", &workflow, "-o", "sumary"]);
    assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{ended:?}");
    expect![[r"
        error: there is no output `sumary`; did you mean `summary`?
          its outputs: summary
    "]]
    .assert_eq(&ended.err);
    for wanted in ["", "work.stdot", "wrk.stdout"] {
        assert_eq!(sandbox.run(&["run", &workflow, "-o", wanted]).code, 2, "{wanted}");
    }
    assert!(!sandbox.path("ran").exists());
    for wanted in ["summary", "stdout", "work.stdout"] {
        let ended = sandbox.run(&["run", &workflow, "-o", wanted]);
        assert_eq!(
            (ended.code, ended.out.trim_end()),
            (0, "hi"),
            "{wanted}: {ended:?}"
        );
    }
}

#[test]
fn a_run_without_the_output_that_was_asked_for_keeps_its_result() {
    let sandbox = Sandbox::new();
    sandbox.workflow("child.json", &shell("echo hi"));
    let document = json!({
        "nodes": [{"id": "inner", "type": "workflow", "params": {"workflow_path": "child.json"}}],
        "outputs": {"summary": {"source": "${inner.result}"}}
    });
    let workflow = sandbox.workflow("w.json", &document);
    let ended = sandbox.run(&["run", &workflow, "-o", "sumary", "-q"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert_eq!(ended.json()["summary"].as_str().map(str::trim_end), Some("hi"));
    assert!(
        ended
            .err
            .contains("there is no output `sumary`; did you mean `summary`?")
            && ended.err.contains("its whole result is on standard output"),
        "{}",
        ended.err
    );
    let ended = sandbox.run(&["run", &workflow, "-o", "sumary", "--output-format", "json"]);
    let printed = ended.json();
    assert_eq!(
        (ended.code, &printed["error"]["type"]),
        (2, &json!("unknown_output"))
    );
    assert_eq!(
        printed["result"]["summary"].as_str().map(str::trim_end),
        Some("hi")
    );
}
