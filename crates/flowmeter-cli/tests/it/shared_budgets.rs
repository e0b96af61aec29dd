//! Budgets across runs, end to end: many processes share one account, a hard one refuses, marks are warned of once,
//! and what a killed run may have spent is not given out again.

use std::process::Child;
use std::time::{Duration, Instant};

use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox};

/// Dollars per million tokens.
const PRICES: &str = r#"{"meter": {"input": 1, "output": 10, "unit": "1M"}, "other": {"input": 1, "output": 10, "unit": "1M"}}"#;
/// 20 tokens in, 50 out.
const CALL_NANOS: u64 = 20 * 1_000 + 50 * 10_000;

fn sandbox(model: &Model) -> Sandbox {
    let sandbox = Sandbox::asking(model);
    sandbox.file("home/pricing.json", PRICES);
    sandbox
}

fn answering() -> Model {
    Model::new(Script::new().otherwise(|_| Reply::text("yes").usage(20, 50)))
}

fn slow(delay: Duration) -> Model {
    Model::new(Script::new().otherwise(move |_| Reply::text("yes").usage(20, 50).delay(delay)))
}

/// A chain of so many calls to a model.
fn calls(model: &str, count: usize) -> Value {
    let nodes: Vec<Value> = (0..count)
        .map(|number| {
            json!({"id": format!("ask-{number}"), "type": "llm",
                   "params": {"model": model, "prompt": "Is it?", "max_tokens": 50}})
        })
        .collect();
    let edges: Vec<Value> = nodes
        .windows(2)
        .map(|pair| json!({"from": pair[0]["id"], "to": pair[1]["id"]}))
        .collect();
    json!({"nodes": nodes, "edges": edges})
}

fn set(sandbox: &Sandbox, args: &[&str]) -> Ended {
    let ended = sandbox.run(&[&["budget", "set"], args].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    ended
}

fn run(sandbox: &Sandbox, file: &str, flags: &[&str]) -> Ended {
    sandbox.run(&[&["run", file, "--output-format", "json"], flags].concat())
}

fn status(sandbox: &Sandbox) -> Value {
    let ended = sandbox.run(&["budget", "status", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.json()
}

fn nanos(usd: &Value) -> u64 {
    (usd.as_f64().unwrap_or_else(|| panic!("{usd}")) * 1e9).round() as u64
}

fn spawn(sandbox: &Sandbox, file: &str, flags: &[&str]) -> Child {
    let args = [&["run", file, "--output-format", "json"], flags].concat();
    sandbox.command(&args).spawn().unwrap()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_hard_budget_refuses_the_next_run_and_says_why() {
    let model = answering();
    let sandbox = sandbox(&model);
    let file = sandbox.workflow("ask.json", &calls("openai/meter", 1));
    // One call and a half.
    set(&sandbox, &["0.0012/month", "--hard"]);
    let first = run(&sandbox, &file, &[]);
    assert_eq!(first.code, 0, "{first:?}");
    let ended = run(
        &sandbox,
        &sandbox.workflow("three.json", &calls("openai/meter", 3)),
        &[],
    );
    assert_eq!(ended.code, 3, "{ended:?}");
    let json = ended.json();
    assert_eq!(json["error"]["type"], "budget_exceeded");
    assert_eq!(json["error"]["budget"]["of"], "several_runs");
    assert_eq!(json["error"]["budget"]["name"], "all runs in a month");
    let message = json["error"]["message"].as_str().unwrap();
    for part in [
        "was not made",
        "of the budget of all runs in a month",
        "$0.0012 is spent",
        "it begins anew at ",
        "flowmeter budget set AMOUNT/month --hard",
        "flowmeter budget remove 1",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let state = &status(&sandbox)[0];
    let asked = model.server.answers().len() as u64;
    assert_eq!(nanos(&state["spent_usd"]), asked * CALL_NANOS);
    assert!(nanos(&state["spent_usd"]) <= 1_200_000);
    assert_eq!(nanos(&state["reserved_usd"]), 0);
    // Raised, it lets the run go on; the sum is kept.
    let raised = set(&sandbox, &["1/month", "--hard"]);
    assert!(raised.err.contains("is spent already"), "{raised:?}");
    assert_eq!(run(&sandbox, &file, &[]).code, 0);
    assert_eq!(nanos(&status(&sandbox)[0]["spent_usd"]), (asked + 1) * CALL_NANOS);
}

#[test]
fn what_there_is_by_then_is_not_lost() {
    let model = answering();
    let sandbox = sandbox(&model);
    set(&sandbox, &["0.0015/month", "--hard"]);
    let file = sandbox.workflow("ask.json", &calls("openai/meter", 5));
    let ended = run(&sandbox, &file, &[]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert_eq!(
        ended.json()["partial_result"]["ask-0"]["response"],
        "yes",
        "{ended:?}"
    );
    assert!(ended.err.contains("all runs in a month"), "{ended:?}");
}

#[test]
fn two_budgets_that_overlap_hold_under_many_runs_at_once() {
    let model = slow(Duration::from_millis(30));
    let sandbox = sandbox(&model);
    let limit_all = 30 * CALL_NANOS;
    let limit_other = 10 * CALL_NANOS;
    set(
        &sandbox,
        &[&format!("{}/month", limit_all as f64 / 1e9), "--hard"],
    );
    let other = format!("{}/month", limit_other as f64 / 1e9);
    set(&sandbox, &[&other, "--hard", "--model", "openai/other"]);
    let files = [
        sandbox.workflow("meter.json", &calls("openai/meter", 4)),
        sandbox.workflow("other.json", &calls("openai/other", 4)),
    ];
    let runs: Vec<Child> = (0..20)
        .map(|number| spawn(&sandbox, &files[number % 2], &[]))
        .collect();
    let mut refused = 0;
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!err.contains("locked") && !err.contains("busy"), "{err}");
        match output.status.code() {
            Some(0) => {}
            Some(3) => refused += 1,
            other => panic!("{other:?}: {err}"),
        }
    }
    assert!(refused > 0);
    let states = status(&sandbox);
    let all = nanos(&states[0]["spent_usd"]);
    let other = nanos(&states[1]["spent_usd"]);
    let answers = model.server.answers().len() as u64;
    assert_eq!(all, answers * CALL_NANOS);
    assert!(all <= limit_all && other <= limit_other, "{all} {other}");
    // As much as was safe: a call's bound is more than it costs, so not all fits at last.
    assert!(all >= 26 * CALL_NANOS && other > 0, "{all} {other}");
    for state in states.as_array().unwrap() {
        assert_eq!(
            (nanos(&state["reserved_usd"]), nanos(&state["withheld_usd"])),
            (0, 0)
        );
    }
}

#[test]
fn marks_are_warned_of_once_by_whoever_passes_them() {
    let model = answering();
    let sandbox = sandbox(&model);
    set(&sandbox, &["0.001/month"]);
    let file = sandbox.workflow("ask.json", &calls("openai/meter", 1));
    let mut warned = Vec::new();
    for _ in 0..4 {
        let ended = run(&sandbox, &file, &[]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let json = ended.json();
        let warnings: Vec<String> = json["warnings"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|warning| warning.as_str().unwrap().to_owned())
            .collect();
        for warning in &warnings {
            assert!(ended.err.contains(warning), "{ended:?}");
        }
        warned.push(warnings);
    }
    // $0.00052 each: half of it, all of it, and nothing new after that.
    assert!(
        warned[0][0].starts_with("50 % of the budget of all runs in a month is used: $0.00052 of $0.001"),
        "{warned:?}"
    );
    assert!(warned[1][0].contains("is used up"), "{warned:?}");
    assert_eq!(warned.iter().map(Vec::len).sum::<usize>(), 2, "{warned:?}");
}

#[test]
fn only_what_concerns_a_budget_counts_in_it() {
    let model = answering();
    let sandbox = sandbox(&model);
    set(&sandbox, &["1/month", "--workflow", "ask"]);
    set(&sandbox, &["1/month", "--model", "other"]);
    set(&sandbox, &["1/month", "--tag", "team=web"]);
    let ask = sandbox.workflow("ask.json", &calls("openai/meter", 1));
    let outer =
        json!({"nodes": [{"id": "inner", "type": "workflow", "params": {"workflow_path": "other.json"}}]});
    sandbox.workflow("other.json", &calls("openai/other", 2));
    let outer = sandbox.workflow("outer.json", &outer);
    assert_eq!(run(&sandbox, &ask, &[]).code, 0);
    assert_eq!(run(&sandbox, &ask, &["--tag", "team=web"]).code, 0);
    assert_eq!(run(&sandbox, &outer, &["--tag", "team=data"]).code, 0);
    let calls: Vec<u64> = status(&sandbox)
        .as_array()
        .unwrap()
        .iter()
        .map(|state| state["llm_calls"].as_u64().unwrap())
        .collect();
    assert_eq!(calls, [2, 2, 1]);
    // Answers from the cache cost nothing.
    let before = model.server.answers().len();
    assert_eq!(run(&sandbox, &ask, &["--cache"]).code, 0);
    assert_eq!(run(&sandbox, &ask, &["--cache"]).code, 0);
    assert_eq!(model.server.answers().len(), before + 1);
    assert_eq!(status(&sandbox)[0]["llm_calls"], 3);
}

#[test]
fn a_model_without_a_price_is_counted_by_a_soft_budget_and_refused_by_a_hard_one() {
    let model = answering();
    let sandbox = sandbox(&model);
    let file = sandbox.workflow("ask.json", &calls("openai/nobody-knows", 1));
    set(&sandbox, &["1/month"]);
    assert_eq!(run(&sandbox, &file, &[]).code, 0);
    assert_eq!(status(&sandbox)[0]["unpriced_calls"], 1);
    set(&sandbox, &["1/month", "--hard"]);
    let ended = run(&sandbox, &file, &[]);
    assert_eq!(
        (ended.code, &ended.json()["error"]["type"]),
        (2, &json!("unpriced_model")),
        "{ended:?}"
    );
    // A name that comes from a template is known when it is called.
    let templated = json!({
        "inputs": {"model": {"type": "string", "required": true}},
        "nodes": [{"id": "ask", "type": "llm",
                   "params": {"model": "${model}", "prompt": "Is it?", "max_tokens": 50}}],
        "edges": [],
    });
    let templated = sandbox.workflow("templated.json", &templated);
    let called = run(&sandbox, &templated, &["model=openai/nobody-knows"]);
    assert_eq!(
        (called.code, &called.json()["error"]["type"]),
        (3, &json!("unpriced_model")),
        "{called:?}"
    );
    assert_eq!(model.server.answers().len(), 1);
    assert_eq!(run(&sandbox, &file, &["--allow-unpriced"]).code, 0);
    assert_eq!(status(&sandbox)[0]["unpriced_calls"], 2);
}

#[test]
fn what_a_killed_run_held_is_not_given_out_again() {
    let model = slow(Duration::from_secs(600));
    let sandbox = sandbox(&model);
    set(&sandbox, &["0.001/month", "--hard"]);
    let file = sandbox.workflow("ask.json", &calls("openai/meter", 1));
    let mut killed = spawn(&sandbox, &file, &[]);
    wait_until("it never asked", || {
        nanos(&status(&sandbox)[0]["reserved_usd"]) > 0
    });
    let held = nanos(&status(&sandbox)[0]["reserved_usd"]);
    // SIGKILL.
    killed.kill().unwrap();
    killed.wait().unwrap();
    let state = &status(&sandbox)[0];
    assert_eq!(
        (nanos(&state["reserved_usd"]), nanos(&state["withheld_usd"])),
        (0, held)
    );
    let ended = run(&sandbox, &file, &[]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("more may be"), "{ended:?}");
}

#[test]
fn a_run_waits_for_what_another_one_holds() {
    let model = slow(Duration::from_millis(1_500));
    let sandbox = sandbox(&model);
    // Room for the bound of one call, and for what two cost.
    set(&sandbox, &["0.0014/month", "--hard"]);
    let file = sandbox.workflow("ask.json", &calls("openai/meter", 1));
    let first = spawn(&sandbox, &file, &[]);
    wait_until("it never asked", || {
        nanos(&status(&sandbox)[0]["reserved_usd"]) > 0
    });
    let second = spawn(&sandbox, &file, &[]);
    for run in [first, second] {
        let output = run.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(nanos(&status(&sandbox)[0]["spent_usd"]), 2 * CALL_NANOS);
}

#[test]
fn a_hard_budget_that_cannot_be_checked_refuses() {
    let model = answering();
    let sandbox = sandbox(&model);
    let file = sandbox.workflow("ask.json", &calls("openai/meter", 1));
    for (hard, code) in [(false, 0), (true, 3)] {
        let args: &[&str] = if hard {
            &["1/month", "--hard"]
        } else {
            &["1/month"]
        };
        set(&sandbox, args);
        for name in ["flowmeter.db", "flowmeter.db-wal", "flowmeter.db-shm"] {
            if sandbox.home().join(name).exists() {
                sandbox.file(&format!("home/{name}"), &"no database. ".repeat(1_000));
            }
        }
        let ended = run(&sandbox, &file, &[]);
        assert_eq!(ended.code, code, "{ended:?}");
        if hard {
            assert_eq!(ended.json()["error"]["type"], "budget_unchecked");
            assert!(ended.err.contains("nobody can tell how it stands"), "{ended:?}");
        }
        for name in ["flowmeter.db", "flowmeter.db-wal", "flowmeter.db-shm"] {
            let _may_be_gone = std::fs::remove_file(sandbox.home().join(name));
        }
    }
}

#[test]
fn budgets_are_listed_shown_and_removed() {
    let sandbox = Sandbox::new();
    let nothing = sandbox.run(&["budget", "list"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (0, ""));
    assert_eq!(sandbox.run(&["budget", "status", "--json"]).json(), json!([]));
    assert!(!sandbox.home().join("flowmeter.db").exists());
    set(&sandbox, &["5.00/month"]);
    set(&sandbox, &["$20/week", "--workflow", "report", "--hard"]);
    let replaced = sandbox.run(&["budget", "set", "6/month", "--json"]).json();
    assert_eq!(
        (&replaced["id"], &replaced["limit_usd"]),
        (&json!(1), &json!(6.0))
    );
    let list = sandbox.run(&["budget", "list"]);
    assert!(
        list.out.contains("$6.00/month") && list.out.contains("workflow `report`"),
        "{list:?}"
    );
    let shown = sandbox.run(&["budget", "status"]);
    assert!(
        shown.out.contains("0 %: $0.00 spent, $6.00 left, 0 calls"),
        "{shown:?}"
    );
    assert!(shown.out.contains("forecast: "), "{shown:?}");
    let json = sandbox.run(&["budget", "list", "--json"]).json();
    assert_eq!(json[1]["scope"], json!({"of": "workflow", "name": "report"}));
    assert_eq!(sandbox.run(&["budget", "remove", "week"]).code, 2);
    let removed = sandbox
        .run(&["budget", "remove", "week", "--workflow", "report", "--json"])
        .json();
    assert_eq!(removed["removed"][0]["id"], 2);
    assert_eq!(sandbox.run(&["budget", "remove", "month"]).code, 0);
    assert_eq!(sandbox.run(&["budget", "list", "--json"]).json(), json!([]));
    for wrong in [
        &["5"][..],
        &["5/fortnight"],
        &["5/month", "--workflow", "a", "--model", "b"],
    ] {
        let ended = sandbox.run(&[&["budget", "set"], wrong].concat());
        assert_eq!(ended.code, 2, "{ended:?}");
    }
}
