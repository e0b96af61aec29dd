//! `flowmeter plan`, and `flowmeter run` with a request in words: every way, end to end, against a scripted model.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect;
use flowmeter_workflow::scripted_model::{Asked, Reply, Script};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox, ended};

const REQUEST: &str = "shout the text hello";
const PRICES: &str = r#"{"demo-small": {"unit": "1M", "input": 10, "output": 100}}"#;

/// The step that a request is for; empty for those of the workflow.
fn step_of(asked: &Asked) -> String {
    let title = asked.schema.as_ref().and_then(|schema| schema["title"].as_str());
    title.unwrap_or_default().to_owned()
}

fn good_workflow() -> Value {
    json!({
        "nodes": [
            {"id": "shout", "type": "llm", "purpose": "Shouts.", "params": {"prompt": "Shout: ${text}"}},
            {"id": "keep", "type": "write-file", "purpose": "Keeps it.",
             "params": {"file_path": "shouted.txt", "content": "${shout.response}"}}
        ],
        "edges": [{"from": "shout", "to": "keep"}],
        "inputs": {"text": {"type": "string", "description": "what to shout"}},
        "outputs": {"loud": {"source": "${shout.response}"}}
    })
}

fn bad_workflow() -> Value {
    let mut workflow = good_workflow();
    workflow["nodes"][1]["params"]["contents"] = json!("x");
    workflow
}

fn good_answer(step: &str) -> Value {
    match step {
        "discovery" => json!({"found": false, "workflow": null, "reason": "None."}),
        "parameter_discovery" => {
            json!({"parameters": [{"name": "text", "value": "hello", "description": ""}]})
        }
        "requirements" => json!({"clear": true, "question": null, "steps": ["Shout the text."]}),
        "component_browsing" => json!({"node_types": ["llm", "write-file"], "workflows": [], "reason": ""}),
        "planning" => json!({"feasible": true, "reason": null, "plan": "1. llm"}),
        "workflow_generator" => good_workflow(),
        "parameter_mapping" => json!({"inputs": {"text": "hello"}}),
        "metadata_generation" => {
            json!({"name": "shout-text", "description": "Shouts a text.", "keywords": []})
        }
        other => panic!("no answer for `{other}`"),
    }
}

fn answering() -> Script {
    Script::new().otherwise(|asked| match step_of(asked).as_str() {
        "" => Reply::text("HELLO!").usage(7, 3),
        step => Reply::text(good_answer(step).to_string()).usage(100, 10),
    })
}

fn on(script: Script, step: &'static str, reply: Reply) -> Script {
    script.on(move |asked| step_of(asked) == step, reply)
}

fn once(script: Script, step: &'static str, reply: Reply) -> Script {
    script.once(move |asked| step_of(asked) == step, reply)
}

fn sandbox(model: &Model) -> Sandbox {
    let sandbox = Sandbox::asking(model).with("FLOWMETER_MODEL", "openai/demo-small");
    sandbox.file("home/pricing.json", PRICES);
    sandbox
}

fn save(sandbox: &Sandbox, name: &str) {
    sandbox.workflow(&format!("home/workflows/{name}.json"), &good_workflow());
}

fn found(name: &str) -> Reply {
    Reply::text(json!({"found": true, "workflow": name, "reason": "It fits."}).to_string()).usage(100, 10)
}

#[test]
fn a_new_workflow_is_planned_shown_and_run_in_one_metered_run() {
    let model = Model::new(answering());
    let sandbox = sandbox(&model);
    let args = [
        "run",
        REQUEST,
        "--yes",
        "--save",
        "shout",
        "--trace",
        "--output-format",
        "json",
    ];
    let ended = sandbox.run(&args);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .err
            .contains("planning with openai/demo-small (FLOWMETER_MODEL)"),
        "{}",
        ended.err
    );
    assert!(
        ended.err.contains("A new workflow, shout-text: Shouts a text."),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("\"id\": \"shout\""), "{}", ended.err);
    let printed = ended.json();
    assert_eq!(printed["result"], json!({"loud": "HELLO!"}));
    let metrics = &printed["metrics"];
    let (planner, workflow, total) = (&metrics["planner"], &metrics["workflow"], &metrics["total"]);
    assert_eq!(planner["llm_calls"], 8);
    assert_eq!(
        planner["tokens"],
        json!({"input": 800, "output": 80, "total": 880})
    );
    assert_eq!(planner["path_taken"], "B");
    // 800 tokens for 10 dollars a million and 80 for 100.
    assert_eq!(planner["cost_usd"], 0.016);
    assert_eq!(planner["nodes"]["workflow_generator"]["cost_usd"], 0.002);
    assert_eq!(workflow["llm_calls"], 1);
    assert_eq!(workflow["nodes_executed"], 2);
    assert_eq!(workflow["tokens"]["total"], 10);
    assert_eq!(total["llm_calls"], 9);
    assert_eq!(total["tokens_total"], 890);
    assert_eq!(total["cost_usd"], 0.016_37);
    let ms = |part: &Value| part["duration_ms"].as_f64().unwrap();
    assert!((ms(planner) + ms(workflow) - ms(total)).abs() < 1e-6, "{metrics}");
    assert!(ms(planner) > 0.0 && ms(workflow) > 0.0);
    assert_eq!(printed["planned"]["name"], "shout-text");
    assert_eq!(printed["planned"]["saved_as"], "shout");
    assert_eq!(printed["planned"]["inputs"], json!({"text": "hello"}));
    // One trace: the planner's steps beneath its span, the workflow's nodes beside it.
    let trace: Value =
        serde_json::from_str(&std::fs::read_to_string(printed["trace_file"].as_str().unwrap()).unwrap())
            .unwrap();
    let spans = trace["spans"].as_array().unwrap();
    let of = |operation: &str| spans.iter().find(|span| span["operation"] == operation).unwrap();
    let planner = of("planner");
    assert_eq!(of("node.discovery")["parent_span_id"], planner["span_id"]);
    assert_eq!(of("node.llm")["parent_span_id"], planner["parent_span_id"]);
    assert_eq!(trace["metrics"]["planner"]["path_taken"], "B");
    assert!(
        ended.err.contains("- Planner: ") && ended.err.contains("path B"),
        "{}",
        ended.err
    );
    // What was saved runs by itself.
    let saved = sandbox.home().join("workflows/shout.json");
    let again = sandbox.run(&["run", saved.to_str().unwrap(), "text=hi"]);
    assert_eq!((again.code, again.out.trim()), (0, "HELLO!"), "{again:?}");
}

#[test]
fn without_a_terminal_a_new_workflow_runs_with_a_yes_only() {
    let model = Model::new(answering());
    let sandbox = sandbox(&model);
    let ended = sandbox.run(&["run", REQUEST]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("add --yes"), "{}", ended.err);
    assert!(
        ended.err.contains("planner ") && ended.err.contains("8 LLM calls"),
        "{}",
        ended.err
    );
    assert!(!sandbox.path("shouted.txt").exists());
    // It failed, so its trace is kept.
    assert_eq!(sandbox.traces().len(), 1);
    let ended = sandbox.run(&["run", REQUEST, "--yes", "--quiet"]);
    assert_eq!(
        (ended.code, ended.out.as_str(), ended.err.as_str()),
        (0, "HELLO!\n", ""),
        "{ended:?}"
    );
}

#[test]
fn a_saved_workflow_that_fits_is_run() {
    let model = Model::new(on(answering(), "discovery", found("shout")));
    let sandbox = sandbox(&model);
    save(&sandbox, "shout");
    let ended = sandbox.run(&["run", REQUEST, "--output-format", "json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.err.contains("The saved workflow shout fits"),
        "{}",
        ended.err
    );
    let printed = ended.json();
    assert_eq!(printed["metrics"]["planner"]["path_taken"], "A");
    assert_eq!(printed["metrics"]["planner"]["llm_calls"], 2);
    assert_eq!(printed["metrics"]["total"]["llm_calls"], 3);
    assert_eq!(printed["planned"]["source"], "saved");
    // What is given on the command line is neither asked for nor replaced.
    let ended = sandbox.run(&["run", REQUEST, "text=other", "--output-format", "json"]);
    assert_eq!(ended.json()["metrics"]["planner"]["llm_calls"], 1);
    let requests = model.server.requests();
    assert!(requests.last().unwrap().body.to_string().contains("Shout: other"));
}

#[test]
fn a_plan_prints_the_workflow_and_runs_nothing() {
    let model = Model::new(answering());
    let sandbox = sandbox(&model);
    let ended = sandbox.run(&["plan", REQUEST]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let mut wanted = good_workflow();
    wanted["ir_version"] = json!("0.1.0");
    assert_eq!(ended.json(), wanted);
    assert!(ended.err.contains("text = hello"), "{}", ended.err);
    assert!(!sandbox.path("shouted.txt").exists());
    assert_eq!(model.server.calls(), 8);

    let ended = sandbox.run(&["plan", REQUEST, "-o", "made.json", "--save", "shout"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{ended:?}");
    assert_eq!(sandbox.run(&["validate", "made.json"]).code, 0);
    assert!(sandbox.home().join("workflows/shout.json").exists());
    let calls = model.server.calls();
    let ended = sandbox.run(&["plan", REQUEST, "--save", "shout"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("is saved already"), "{}", ended.err);
    assert_eq!(model.server.calls(), calls);

    let printed = sandbox.run(&["plan", REQUEST, "--output-format", "json"]).json();
    assert_eq!(printed["result"], wanted);
    assert_eq!(printed["metrics"]["planner"]["path_taken"], "B");
    assert_eq!(printed["metrics"]["workflow"]["nodes_executed"], 0);
    assert_eq!(printed["metrics"]["total"]["llm_calls"], 8);
    assert_eq!(printed["planned"]["missing_inputs"], json!([]));
}

#[test]
fn invalid_workflows_are_mended_or_given_up() {
    let bad = || Reply::text(bad_workflow().to_string()).usage(100, 10);
    let script = once(
        once(answering(), "workflow_generator", bad()),
        "workflow_generator",
        bad(),
    );
    let model = Model::new(script);
    let ended = sandbox(&model).run(&["run", REQUEST, "--yes", "--output-format", "json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(
        ended.json()["metrics"]["planner"]["nodes"]["validator"]["runs"],
        3
    );

    let model = Model::new(on(answering(), "workflow_generator", bad()));
    let sandbox = sandbox(&model);
    let ended = sandbox.run(&["run", REQUEST, "--yes", "--output-format", "json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.err.contains("no valid workflow came of 3 attempts"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("contents"), "{}", ended.err);
    let printed = ended.json();
    assert_eq!(printed["error"]["type"], "planner_invalid_workflow");
    assert!(
        printed["error"]["problems"][0]["message"]
            .as_str()
            .unwrap()
            .contains("contents")
    );
    assert!(printed["error"]["problems"][0]["line"].as_u64().unwrap() > 1);
    assert_eq!(printed["metrics"]["planner"]["llm_calls"], 9);
    assert_eq!(printed["metrics"]["total"]["llm_calls"], 9);
    assert_eq!(sandbox.traces().len(), 1);
}

#[test]
fn models_that_misbehave_fail_the_planner_politely_and_metered() {
    let cases: [(&str, Reply, &str); 5] = [
        (
            "a refusal",
            Reply::text("I'm sorry, I can't help with that."),
            "planner_answer",
        ),
        ("half a JSON", Reply::text("{\"found\": fal"), "planner_answer"),
        ("nothing", Reply::text(""), "planner_answer"),
        (
            "garbage",
            Reply::garbage("text/html", "<html>hello</html>"),
            "malformed_reply",
        ),
        ("a wrong key", Reply::status(401, "no such key"), "http_401"),
    ];
    for (what, reply, error_type) in cases {
        let model = Model::new(on(answering(), "discovery", reply));
        let sandbox = sandbox(&model);
        let ended = sandbox.run(&["plan", REQUEST, "--output-format", "json"]);
        let printed = ended.json();
        assert_eq!(ended.code, 1, "{what}: {ended:?}");
        assert_eq!(printed["error"]["type"], error_type, "{what}: {printed}");
        assert_eq!(printed["error"]["node"], "discovery", "{what}");
        let calls = printed["metrics"]["planner"]["llm_calls"].as_u64().unwrap();
        assert_eq!(calls, model.server.calls() as u64, "{what}");
        assert_eq!(printed["metrics"]["planner"]["path_taken"], Value::Null, "{what}");
        assert_eq!(sandbox.traces().len(), 1, "{what}");
    }
}

#[test]
fn a_provider_that_is_out_of_order_is_asked_three_times() {
    let model = Model::new(on(answering(), "discovery", Reply::status(500, "out of order")));
    let ended = sandbox(&model).run(&["plan", REQUEST, "--output-format", "json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let printed = ended.json();
    assert_eq!(printed["error"]["type"], "http_500");
    assert_eq!(printed["metrics"]["planner"]["failed_llm_calls"], 3);
}

#[test]
fn a_model_that_never_answers_is_waited_for_so_long_and_no_longer() {
    let model = Model::new(on(answering(), "discovery", Reply::hang()));
    let sandbox = sandbox(&model).with("FLOWMETER_PLANNER_TIMEOUT", "300ms");
    let ended = sandbox.run(&["plan", REQUEST, "--output-format", "json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(ended.json()["error"]["type"], "timeout");
    assert!(ended.err.contains("planner.timeout"), "{}", ended.err);
}

#[test]
fn early_ends_tell_the_user_what_to_say() {
    let unclear = json!({"clear": false, "question": "Shout it at whom?", "steps": []});
    let model = Model::new(on(answering(), "requirements", Reply::text(unclear.to_string())));
    let ended = sandbox(&model).run(&["run", REQUEST, "--yes"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("Shout it at whom?"), "{}", ended.err);

    let impossible = json!({"feasible": false, "reason": "Nothing here can whisper.", "plan": ""});
    let model = Model::new(on(answering(), "planning", Reply::text(impossible.to_string())));
    let ended = sandbox(&model).run(&["run", REQUEST, "--yes"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("Nothing here can whisper."), "{}", ended.err);

    let nothing = json!({"inputs": {"text": null}});
    let model = Model::new(on(
        answering(),
        "parameter_mapping",
        Reply::text(nothing.to_string()),
    ));
    let sandbox = sandbox(&model);
    let ended = sandbox.run(&["run", "shout something", "--yes", "--output-format", "json"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended
            .err
            .contains("input `text` (string) is missing: what to shout"),
        "{}",
        ended.err
    );
    assert_eq!(ended.json()["planned"]["missing_inputs"], json!(["text"]));
    // Where it is given, all is well.
    assert_eq!(
        sandbox.run(&["run", "shout something", "text=hi", "--yes"]).code,
        0
    );
    // A plan may have inputs without a value.
    let ended = sandbox.run(&["plan", "shout something"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .err
            .contains("inputs that need a value when it is run: text"),
        "{}",
        ended.err
    );
}

#[test]
fn the_model_is_the_named_one_or_that_of_the_first_key() {
    let model = Model::new(answering());
    let sandbox = Sandbox::asking(&model);
    let ended = sandbox.run(&["plan", REQUEST]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .err
            .contains("planning with openai/gpt-4.1 (OPENAI_API_KEY is set"),
        "{}",
        ended.err
    );
    let ended = sandbox.run(&["plan", REQUEST, "--model", "openai/other"]);
    assert!(
        ended.err.contains("planning with openai/other (--model)"),
        "{}",
        ended.err
    );

    let none = Sandbox::new();
    for format in ["text", "json"] {
        let ended = none.run(&["plan", REQUEST, "--output-format", format]);
        assert_eq!(ended.code, 4, "{ended:?}");
        let told = format!("{}{}", ended.out, ended.err);
        assert!(
            told.contains("ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY"),
            "{told}"
        );
    }
    assert_eq!(none.run(&["run", REQUEST]).code, 4);
}

#[test]
fn a_misspelt_file_is_no_request() {
    let sandbox = Sandbox::new();
    sandbox.workflow("summarize.json", &good_workflow());
    let ended = sandbox.run(&["run", "sumarize.json"]);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(
        ended.err.contains("did you mean `summarize.json`?"),
        "{}",
        ended.err
    );
    let ended = sandbox.run(&["run", "./my workflow.json"]);
    assert_eq!(ended.code, 4);
    assert!(
        ended.err.contains("there is no workflow file ./my workflow.json"),
        "{}",
        ended.err
    );
    assert_eq!(sandbox.run(&["run", REQUEST, "--dry-run"]).code, 2);
    assert_eq!(
        sandbox
            .run(&["run", "summarize.json", "text=a", "--save", "x"])
            .code,
        2
    );
    for name in ["../x", "", "a b", "x.json"] {
        assert_eq!(sandbox.run(&["plan", REQUEST, "--save", name]).code, 2, "{name}");
    }
}

#[test]
fn the_planners_part_of_the_trace_stands_alone() {
    let model = Model::new(on(answering(), "discovery", found("shout")));
    let sandbox = sandbox(&model);
    save(&sandbox, "shout");
    let ended = sandbox.run(&["run", REQUEST, "--trace-planner", "--quiet"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<&str> = ended
        .err
        .lines()
        .filter(|line| line.contains('→'))
        .map(str::trim_end)
        .collect();
    expect![[r#"
        [
            "→ planner",
            "  → node.discovery [discovery]",
            "    → chat demo-small",
            "  → node.parameter_mapping [parameter_mapping]",
            "    → chat demo-small",
            "  → node.parameter_preparation [parameter_preparation]",
            "  → node.result [result]",
        ]
    "#]]
    .assert_debug_eq(&lines);
    assert!(ended.err.contains("path A"), "{}", ended.err);
    assert!(!ended.err.contains("node.write-file"), "{}", ended.err);
    assert_eq!(sandbox.traces().len(), 1);
}

#[test]
fn what_is_piped_in_goes_to_the_new_workflow() {
    let mut workflow = good_workflow();
    workflow["inputs"]["text"]["stdin"] = json!(true);
    let model = Model::new(on(
        answering(),
        "workflow_generator",
        Reply::text(workflow.to_string()),
    ));
    let sandbox = sandbox(&model);
    let file = sandbox.file("piped.txt", "from a pipe\n");
    let mut command = sandbox.command(&["run", "shout what is piped in", "--yes"]);
    command.stdin(std::fs::File::open(file).unwrap());
    let ended = ended(command);
    assert_eq!(ended.code, 0, "{ended:?}");
    let requests = model.server.requests();
    assert!(requests[0].body.to_string().contains("a text on standard input"));
    assert!(
        requests
            .last()
            .unwrap()
            .body
            .to_string()
            .contains("Shout: from a pipe")
    );
    // The input that takes it is not asked for.
    assert_eq!(requests.len(), 8);
}

#[test]
fn ctrl_c_while_planning_ends_it_and_keeps_the_trace() {
    let model = Model::new(on(answering(), "requirements", Reply::hang()));
    let sandbox = sandbox(&model);
    let child = sandbox
        .command(&["run", REQUEST, "--yes", "--output-format", "json"])
        .spawn()
        .unwrap();
    let began = Instant::now();
    while model.server.calls() < 3 {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["status"], "interrupted");
    assert_eq!(printed["metrics"]["planner"]["llm_calls"], 3);
    assert_eq!(sandbox.traces().len(), 1);
    let shown = sandbox.run(&["show", "last"]);
    assert!(
        shown.out.contains("← planner") && shown.out.contains("✗ cancelled"),
        "{}",
        shown.out
    );
}

/// The binary at a terminal of its own, with this typed in once it has asked.
fn at_a_terminal(sandbox: &Sandbox, args: &[&str], typed: &[(&str, &str)]) -> Ended {
    const SCRIPT: &str = r#"
import fcntl, os, pty, sys, json, subprocess, select, termios
master, slave = pty.openpty()
def own_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
typed = json.loads(sys.argv[1])
child = subprocess.Popen(sys.argv[2:], stdin=slave, stderr=slave, stdout=subprocess.PIPE,
                         preexec_fn=own_terminal)
os.close(slave)
seen, told = "", ""
while True:
    ready, _, _ = select.select([master], [], [], 30)
    if not ready:
        child.kill()
        break
    try:
        piece = os.read(master, 65536)
    except OSError:
        break
    if not piece:
        break
    seen += piece.decode(errors="replace")
    told += piece.decode(errors="replace")
    if typed and typed[0][0] in seen:
        seen = ""
        os.write(master, typed.pop(0)[1].encode())
sys.stdout.write(child.stdout.read().decode())
sys.stderr.write(told.replace("\r\n", "\n"))
sys.exit(child.wait())
"#;
    let binary = sandbox.command(args);
    let mut command = Command::new("python3");
    command
        .arg("-c")
        .arg(SCRIPT)
        .arg(json!(typed).to_string())
        .arg(binary.get_program())
        .args(binary.get_args())
        .current_dir(binary.get_current_dir().unwrap())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in binary.get_envs() {
        command.env(name, value.unwrap());
    }
    ended(command)
}

#[test]
fn at_a_terminal_the_user_is_asked() {
    let nothing = json!({"inputs": {"text": null}});
    let model = Model::new(on(
        answering(),
        "parameter_mapping",
        Reply::text(nothing.to_string()),
    ));
    let sandbox = sandbox(&model);
    let typed = [
        ("text (what to shout): ", "hi there\n"),
        ("Run it? [y/N] ", "y\n"),
    ];
    let ended = at_a_terminal(&sandbox, &["run", "shout something", "--no-progress"], &typed);
    assert_eq!((ended.code, ended.out.as_str()), (0, "HELLO!\n"), "{ended:?}");
    assert!(ended.err.contains("\"id\": \"shout\""), "{}", ended.err);
    let requests = model.server.requests();
    assert!(
        requests
            .last()
            .unwrap()
            .body
            .to_string()
            .contains("Shout: hi there")
    );

    std::fs::remove_file(sandbox.path("shouted.txt")).unwrap();
    let typed = [("text (what to shout): ", "hi\n"), ("Run it? [y/N] ", "n\n")];
    let ended = at_a_terminal(&sandbox, &["run", "shout something", "--no-progress"], &typed);
    assert_eq!((ended.code, ended.out.as_str()), (130, ""), "{ended:?}");
    assert!(!sandbox.path("shouted.txt").exists());
    // Ctrl-C at the question.
    let typed = [("text (what to shout): ", "hi\n"), ("Run it? [y/N] ", "\u{3}")];
    let ended = at_a_terminal(&sandbox, &["run", "shout something", "--no-progress"], &typed);
    assert_eq!(ended.code, 130, "{ended:?}");
}

#[test]
fn budgets_hold_for_planner_and_workflow_together() {
    let model = Model::new(answering());
    let sandbox = sandbox(&model);
    let args = [
        "run",
        REQUEST,
        "--yes",
        "--output-format",
        "json",
        "--max-llm-calls",
    ];
    let with = |limit: &'static str| sandbox.run(&args.into_iter().chain([limit]).collect::<Vec<_>>());
    let ended = with("4");
    assert_eq!(ended.code, 3, "{ended:?}");
    assert_eq!(ended.json()["metrics"]["planner"]["llm_calls"], 4);
    assert_eq!(ended.json()["metrics"]["workflow"]["llm_calls"], 0);
    // Enough for planning, and for nothing more.
    let ended = with("8");
    assert_eq!(ended.code, 3, "{ended:?}");
    assert_eq!(ended.json()["metrics"]["planner"]["llm_calls"], 8);
    assert_eq!(ended.json()["error"]["node"], "shout");
    assert_eq!(with("9").code, 0);
}

#[test]
fn the_budget_of_a_saved_workflow_holds_for_its_part() {
    let model = Model::new(on(answering(), "discovery", found("shout")));
    let sandbox = sandbox(&model);
    let mut workflow = good_workflow();
    workflow["budget"] = json!({"max_llm_calls": 1});
    sandbox.workflow("home/workflows/shout.json", &workflow);
    let ended = sandbox.run(&["run", REQUEST]);
    assert_eq!(ended.code, 0, "{ended:?}");
    workflow["nodes"][1] =
        json!({"id": "keep", "type": "llm", "params": {"prompt": "again ${shout.response}"}});
    sandbox.workflow("home/workflows/shout.json", &workflow);
    let ended = sandbox.run(&["run", REQUEST, "--output-format", "json"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert_eq!(ended.json()["metrics"]["workflow"]["llm_calls"], 1);
}

#[test]
fn answers_that_are_cached_are_not_asked_for_again() {
    let model = Model::new(answering());
    let sandbox = sandbox(&model);
    assert_eq!(sandbox.run(&["plan", REQUEST, "--cache"]).code, 0);
    let ended = sandbox.run(&["plan", REQUEST, "--cache", "--output-format", "json"]);
    assert_eq!(model.server.calls(), 8);
    assert_eq!(ended.json()["metrics"]["planner"]["llm_calls"], 0);
    assert_eq!(ended.json()["metrics"]["planner"]["path_taken"], "B");
}
