//! Budgets, end to end: what might break a limit is not asked, what crosses one is cut, and what there is by then is
//! not lost.

use std::process::Stdio;
use std::time::{Duration, Instant};

use flowmeter_workflow::scripted_model::{Asked, Reply, Script};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox};

/// Dollars per million tokens: a thousandth of a cent for ten tokens in, or one out.
const PRICES: &str = r#"{"meter": {"input": 1, "output": 10, "unit": "1M"}}"#;
const INPUT_NANOS: u64 = 1_000;
const OUTPUT_NANOS: u64 = 10_000;

fn sandbox(model: &Model) -> Sandbox {
    let sandbox = Sandbox::asking(model)
        .with("OLLAMA_HOST", &model.server.ollama_host())
        .with("ANTHROPIC_BASE_URL", &model.server.anthropic_base_url())
        .with("GOOGLE_GEMINI_BASE_URL", &model.server.gemini_base_url());
    sandbox.file("home/pricing.json", PRICES);
    sandbox
}

fn answering(text: &'static str) -> Model {
    Model::new(Script::new().otherwise(move |_| Reply::text(text).usage(20, 50)))
}

fn ask(id: &str, params: Value) -> Value {
    let mut all = json!({"model": "openai/meter", "prompt": "What is it?", "max_tokens": 100});
    for (key, value) in params.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({"id": id, "type": "llm", "params": all})
}

fn with(mut node: Value, key: &str, value: Value) -> Value {
    node[key] = value;
    node
}

fn chain(nodes: Vec<Value>) -> Value {
    let edges: Vec<Value> = nodes
        .windows(2)
        .map(|pair| json!({"from": pair[0]["id"], "to": pair[1]["id"]}))
        .collect();
    json!({"nodes": nodes, "edges": edges})
}

fn run(sandbox: &Sandbox, document: &Value, flags: &[&str]) -> Ended {
    let file = sandbox.workflow("workflow.json", document);
    let mut args = vec!["run", &file, "--output-format", "json"];
    args.extend(flags);
    sandbox.run(&args)
}

fn nanos(usd: &Value) -> u64 {
    (usd.as_f64().unwrap_or_else(|| panic!("{usd}")) * 1e9).round() as u64
}

fn error_type(ended: &Ended) -> String {
    ended.json()["error"]["type"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// An answer whose length nobody could know before: at most what it was told to keep to.
fn of_any_length(asked: &Asked) -> Reply {
    let most = asked.body["max_tokens"].as_u64().unwrap();
    let output = 1 + (asked.number as u64 * 7_919) % most;
    let input = 1 + (asked.number as u64 * 31) % (asked.prompt.len() as u64);
    Reply::text(format!("answer {}", asked.number)).usage(input, output)
}

#[test]
fn four_hundred_calls_side_by_side_never_pass_a_limit_by_a_nano_dollar() {
    let model = Model::new(
        Script::new()
            .otherwise(|asked| of_any_length(asked).delay(Duration::from_millis(asked.number as u64 % 5))),
    );
    let sandbox = sandbox(&model);
    let items: Vec<Value> = (0..400).map(|number| json!(format!("item {number}"))).collect();
    let batch = json!({"items": items, "parallel": true, "max_concurrent": 100});
    let node = ask(
        "many",
        json!({"prompt": "Say something about ${item}, and no more than that."}),
    );
    for continuing in [false, true] {
        let mut batch = batch.clone();
        if continuing {
            batch["error_handling"] = json!("continue");
        }
        let before = model.server.answers().len();
        let document = chain(vec![with(node.clone(), "batch", batch)]);
        let ended = run(&sandbox, &document, &["--max-cost", "0.10"]);
        assert_eq!(
            (ended.code, error_type(&ended)),
            (3, "budget_exceeded".to_owned()),
            "{ended:?}"
        );
        let json = ended.json();
        let answers = &model.server.answers()[before..];
        let real: u64 = answers
            .iter()
            .map(|answer| answer.input * INPUT_NANOS + answer.output * OUTPUT_NANOS)
            .sum();
        let spent = nanos(&json["metrics"]["total"]["cost_usd"]);
        assert_eq!(spent, real);
        // As much as is safe: what is left is less than another call could have cost.
        assert!((98_000_000..=100_000_000).contains(&spent), "{spent}");
        let budget = &json["metrics"]["budget"];
        assert_eq!(nanos(&budget["spent_usd"]), spent);
        assert_eq!(nanos(&budget["left_usd"]), 100_000_000 - spent);
        assert_eq!(budget["exceeded"], true);
        assert_eq!(json["metrics"]["total"]["llm_calls"], answers.len());
        assert_eq!(budget["spent_llm_calls"], answers.len());
        // What was paid for is there.
        let many = &json["partial_result"]["many"];
        assert_eq!(many["results"].as_array().unwrap().len(), answers.len());
        assert_eq!(many["count"], 400);
        assert_eq!(many["error_count"], 400 - answers.len());
        assert_eq!(json["error"]["node"], "many");
    }
}

#[test]
fn calls_that_cannot_all_be_in_flight_wait_for_each_other_and_all_are_made() {
    let model = Model::new(
        Script::new().otherwise(|_| Reply::text("short").usage(20, 5).delay(Duration::from_millis(5))),
    );
    let sandbox = sandbox(&model);
    let items: Vec<Value> = (0..60).map(|number| json!(number)).collect();
    let node = ask("many", json!({"prompt": "${item}?"}));
    let batch = json!({"items": items, "parallel": true, "max_concurrent": 60});
    // A call could cost $0.00126 and costs $0.00007: two at a time have room, and at the end there is room for none.
    let document = chain(vec![with(node, "batch", batch)]);
    let ended = run(&sandbox, &document, &["--max-cost", "0.0055"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let budget = &ended.json()["metrics"]["budget"];
    assert_eq!(nanos(&budget["spent_usd"]), 60 * 70_000);
    assert!(nanos(&budget["reserved_high_usd"]) <= 5_500_000, "{budget}");
    assert_eq!((model.server.calls(), &budget["exceeded"]), (60, &json!(false)));
}

#[test]
fn the_error_names_the_node_the_cost_what_is_left_and_the_way_out() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model);
    let first = ask("first", json!({}));
    let second = ask("second", json!({"max_tokens": 200}));
    let document = json!({
        "nodes": [first, second], "edges": [{"from": "first", "to": "second"}],
        "outputs": {"early": {"source": "${first.response}"}, "late": {"source": "${second.response}"}}
    });
    let ended = run(&sandbox, &document, &["--max-cost", "$0.002"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let json = ended.json();
    // A call of 50 + 20 tokens went before; the next may have 267 in and 200 out.
    assert_eq!(json["error"]["node"], "second");
    assert_eq!(
        json["error"]["message"],
        "the call to `meter` was not made: it could cost $0.002267 (at most 267 input tokens at $1.00 and 200 \
         output tokens at $10.00 per million), but $0.00148 is left of the budget of the run: $0.00052 of $0.002 \
         is spent; raise it with `--max-cost`, or set a smaller `max_tokens` on the node"
    );
    assert_eq!(
        json["error"]["budget"],
        json!({
            "of": "run", "limit": "max_cost", "max_usd": 0.002, "spent_usd": 0.00052, "left_usd": 0.00148,
            "call": "not_made", "call_model": "meter", "call_max_usd": 0.002267,
            "call_max_input_tokens": 267, "call_max_output_tokens": 200,
        })
    );
    assert_eq!(json["partial_result"], json!({"early": "It is a river."}));
    assert_eq!(json["status"], "failed");
    assert_eq!((model.server.calls(), sandbox.traces().len()), (1, 1));
    let text = sandbox.run(&[
        "run",
        &sandbox.path("workflow.json").display().to_string(),
        "--max-cost",
        "0.002",
    ]);
    assert_eq!(
        (text.code, text.out.as_str()),
        (3, "It is a river.\n"),
        "{text:?}"
    );
    for part in [
        "node `second`: the call to `meter` was not made",
        "--max-cost",
        "Budget: $0.00052 of $0.002 (26 %)",
        "1 call refused",
        "what there is of the result is on standard output",
    ] {
        assert!(text.err.contains(part), "{part}: {}", text.err);
    }
    assert!(!text.err.contains("caused by"), "{}", text.err);
}

#[test]
fn a_run_within_its_budget_says_how_far_it_went() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model);
    let file = sandbox.workflow("one.json", &chain(vec![ask("only", json!({}))]));
    let ended = sandbox.run(&[
        "run",
        &file,
        "--max-cost",
        "0.01",
        "--max-tokens",
        "1k",
        "--max-llm-calls",
        "4",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let line = "Budget: $0.00052 of $0.01 (5 %), 70 of 1,000 tokens (7 %), 1 of 4 LLM calls (25 %)";
    assert!(ended.err.contains(line), "{}", ended.err);
    let without = sandbox.run(&["run", &file]);
    assert!(!without.err.contains("Budget"), "{}", without.err);
    let quiet = run(&sandbox, &chain(vec![ask("only", json!({}))]), &[]);
    assert!(quiet.json()["metrics"].get("budget").is_none());
}

#[test]
fn tokens_and_calls_are_limited_too_and_each_attempt_is_a_call() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model);
    let two = chain(vec![ask("first", json!({})), ask("second", json!({}))]);
    let ended = run(&sandbox, &two, &["--max-llm-calls", "1"]);
    assert_eq!((ended.code, model.server.calls()), (3, 1), "{ended:?}");
    assert!(ended.out.contains("raise it with `--max-llm-calls`"), "{ended:?}");
    // One call may have 267 + 100 tokens and has 70.
    let ended = run(&sandbox, &two, &["--max-tokens", "400"]);
    assert_eq!((ended.code, model.server.calls()), (3, 2), "{ended:?}");
    assert_eq!(ended.json()["error"]["budget"]["left_tokens"], 330);
    let ended = run(&sandbox, &two, &["--max-tokens", "437"]);
    assert_eq!((ended.code, model.server.calls()), (0, 4), "{ended:?}");
    let failing = Model::new(
        Script::new()
            .reply(Reply::status(503, "busy"))
            .otherwise(|_| Reply::text("ok").usage(20, 50)),
    );
    let sandbox = self::sandbox(&failing);
    let once = chain(vec![with(ask("only", json!({})), "retry", json!({"max": 3}))]);
    let ended = run(&sandbox, &once, &["--max-llm-calls", "1"]);
    assert_eq!((ended.code, failing.server.calls()), (3, 1), "{ended:?}");
    // What was refused by the provider cost nothing, and is a call.
    let budget = &ended.json()["metrics"]["budget"];
    assert_eq!(
        (&budget["spent_usd"], &budget["spent_llm_calls"]),
        (&json!(0.0), &json!(1))
    );
}

#[test]
fn neither_an_error_edge_nor_another_attempt_nor_a_batch_swallows_the_end_of_a_run_s_budget() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model);
    let document = json!({
        "nodes": [
            with(ask("ask", json!({"max_tokens": 1000})), "retry", json!({"max": 5, "wait": 30})),
            {"id": "after", "type": "echo", "params": {"message": "went on"}}
        ],
        "edges": [{"from": "ask", "to": "after", "action": "error"}]
    });
    let began = Instant::now();
    let ended = run(&sandbox, &document, &["--max-cost", "0.001"]);
    assert_eq!((ended.code, model.server.calls()), (3, 0), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(!ended.out.contains("went on"), "{ended:?}");
}

#[test]
fn a_node_s_own_budget_fails_the_node_and_its_error_edge_leads_on() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model);
    let items: Vec<Value> = (0..10).map(|number| json!(number)).collect();
    let node = with(
        with(
            ask("ask", json!({"prompt": "${item}"})),
            "batch",
            json!({"items": items}),
        ),
        "budget",
        json!({"max_cost": 0.0025}),
    );
    let after = json!({"id": "after", "type": "echo", "params": {
        "message": "${ask.error_type} after ${ask.success_count}: ${ask.error}"}});
    let mut document = json!({"nodes": [node.clone(), after], "edges": [
        {"from": "ask", "to": "after", "action": "error"}]});
    let ended = run(&sandbox, &document, &["--max-cost", "1"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    // Each costs $0.00052 and may cost $0.001257: three fit.
    let result = ended.json()["result"].as_str().unwrap().to_owned();
    assert!(
        result.starts_with("budget_exceeded after 3: the call to `meter` was not made"),
        "{result}"
    );
    assert!(
        result.contains("raise `max_cost` in the `budget` of node `ask`"),
        "{result}"
    );
    let budget = &ended.json()["metrics"]["budget"];
    assert_eq!(budget["exceeded"], false);
    assert_eq!(budget["nodes"]["ask"]["exceeded"], true);
    assert_eq!(nanos(&budget["nodes"]["ask"]["spent_usd"]), 3 * 520_000);
    document["edges"] = json!([]);
    document["nodes"] = json!([node]);
    let ended = run(&sandbox, &document, &[]);
    assert_eq!(
        (ended.code, error_type(&ended)),
        (3, "budget_exceeded".to_owned()),
        "{ended:?}"
    );
    let json = ended.json();
    assert_eq!(json["error"]["node"], "ask");
    assert_eq!(
        (&json["error"]["budget"]["of"], &json["error"]["budget"]["name"]),
        (&json!("node"), &json!("ask"))
    );
    assert_eq!(json["partial_result"]["ask"]["success_count"], 3);
}

#[test]
fn a_budget_for_a_nested_workflow_is_for_all_of_it_and_ends_it_as_a_whole() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model);
    let inner = json!({
        "nodes": [ask("one", json!({})), ask("two", json!({})), ask("three", json!({})),
            {"id": "rescue", "type": "echo", "params": {"message": "rescued"}}],
        "edges": [{"from": "one", "to": "two"}, {"from": "two", "to": "three"},
            {"from": "three", "to": "rescue", "action": "error"}]
    });
    sandbox.workflow("inner.json", &inner);
    let outer = |budget: Option<Value>| {
        let mut node = json!({"id": "nested", "type": "workflow", "params": {"workflow_path": "inner.json"}});
        if let Some(budget) = budget {
            node["budget"] = budget;
        }
        json!({"nodes": [node, {"id": "after", "type": "echo", "params": {"message": "${nested.error_type}"}}],
            "edges": [{"from": "nested", "to": "after", "action": "error"}]})
    };
    // An edge inside leads nowhere: the budget is for the whole of it. The edge outside does.
    let ended = run(&sandbox, &outer(Some(json!({"max_llm_calls": 2}))), &[]);
    assert_eq!((ended.code, model.server.calls()), (0, 2), "{ended:?}");
    assert_eq!(ended.json()["result"], "budget_exceeded");
    // The run's budget ends all of it.
    let ended = run(&sandbox, &outer(None), &["--max-llm-calls", "2"]);
    assert_eq!((ended.code, model.server.calls()), (3, 4), "{ended:?}");
    let json = ended.json();
    assert_eq!(json["error"]["node"], "nested");
    let message = json["error"]["message"].as_str().unwrap();
    assert!(message.contains("at node `three`"), "{message}");
    // A file may have a budget of its own, wherever it runs.
    let mut limited = inner.clone();
    limited["budget"] = json!({"max_llm_calls": 1});
    sandbox.workflow("inner.json", &limited);
    let ended = run(&sandbox, &outer(None), &[]);
    assert_eq!((ended.code, model.server.calls()), (0, 5), "{ended:?}");
    assert_eq!(ended.json()["result"], "budget_exceeded");
    let ended = run(&sandbox, &limited, &[]);
    assert_eq!((ended.code, model.server.calls()), (3, 6), "{ended:?}");
    let ended = run(&sandbox, &limited, &["--max-llm-calls", "3"]);
    assert_eq!((ended.code, model.server.calls()), (0, 9), "{ended:?}");
}

#[test]
fn a_stream_that_goes_on_for_longer_than_agreed_is_cut_before_it_crosses_the_limit() {
    for (name, model_name) in [
        ("openai", "openai/meter"),
        ("anthropic", "anthropic/meter"),
        ("gemini", "gemini/meter"),
    ] {
        let model = Model::new(Script::new().otherwise(|_| Reply::text("so it goes on and on ").endless()));
        let sandbox = sandbox(&model)
            .with("ANTHROPIC_API_KEY", "x")
            .with("GEMINI_API_KEY", "x");
        let document = chain(vec![ask("ask", json!({"model": model_name, "max_tokens": 50}))]);
        let began = Instant::now();
        let ended = run(&sandbox, &document, &["--max-cost", "0.002"]);
        assert!(began.elapsed() < Duration::from_secs(30), "{name}");
        assert_eq!(
            (ended.code, error_type(&ended)),
            (3, "budget_exceeded".to_owned()),
            "{name}: {ended:?}"
        );
        let json = ended.json();
        let total = &json["metrics"]["total"];
        let spent = nanos(&total["cost_usd"]);
        // The reservation grew as far as there was room.
        assert!((1_000_000..=2_000_000).contains(&spent), "{name}: {spent}");
        assert_eq!(total["cost_status"], "estimated", "{name}: {total}");
        assert_eq!(json["metrics"]["budget"]["cut_streams"], 1, "{name}");
        assert_eq!(json["error"]["budget"]["call"], "cut_off", "{name}");
        let text = json["partial_result"]["ask"]["response"].as_str().unwrap();
        assert!(text.starts_with("so it goes on and on so it"), "{name}: {text}");
        let trace = std::fs::read_to_string(&sandbox.traces()[0]).unwrap();
        assert!(trace.contains("so it goes on and on so it"), "{name}");
        assert_eq!(model.server.calls(), 1, "{name}");
    }
}

#[test]
fn a_stream_that_dies_half_way_counts_with_its_estimate_and_so_does_every_further_attempt() {
    let long = "one two three four five six seven eight nine ten ".repeat(4);
    let model = Model::new(Script::new().otherwise(move |_| Reply::text(long.clone()).cut_after(4)));
    let sandbox = sandbox(&model);
    let node = with(ask("ask", json!({})), "retry", json!({"max": 10}));
    let ended = run(&sandbox, &chain(vec![node]), &["--max-cost", "0.006"]);
    assert_eq!(
        (ended.code, error_type(&ended)),
        (3, "budget_exceeded".to_owned()),
        "{ended:?}"
    );
    let json = ended.json();
    let spent = nanos(&json["metrics"]["total"]["cost_usd"]);
    let calls = json["metrics"]["total"]["llm_calls"].as_u64().unwrap();
    assert_eq!(calls, model.server.calls() as u64);
    assert!((2..10).contains(&calls), "{calls}");
    assert!(
        spent <= 6_000_000 && spent > calls * 100_000,
        "{spent} in {calls} calls"
    );
    let budget = &json["metrics"]["budget"];
    assert_eq!(nanos(&budget["spent_usd"]), spent);
    // What the provider may charge beyond the estimates is not given out again.
    let withheld = nanos(&budget["withheld_usd"]);
    assert!(
        withheld > 0 && spent + withheld <= 6_000_000,
        "{spent} and {withheld}"
    );
    assert!(
        json["error"]["message"].as_str().unwrap().contains("more may be"),
        "{json}"
    );
}

#[test]
fn answers_without_usage_cannot_pass_a_limit_whatever_they_were() {
    // One token for each byte, which nobody tells.
    let text = "a b c d e f g h i j ".repeat(5);
    for stream in [true, false] {
        let text = text.clone();
        let model = Model::new(Script::new().otherwise(move |_| Reply::text(text.clone()).without_usage()));
        let sandbox = sandbox(&model);
        let mut node = ask("ask", json!({"stream": stream}));
        node["batch"] = json!({"items": vec![1; 40], "parallel": true, "max_concurrent": 20});
        let ended = run(&sandbox, &chain(vec![node]), &["--max-cost", "0.02"]);
        assert_eq!(
            (ended.code, error_type(&ended)),
            (3, "budget_exceeded".to_owned()),
            "{ended:?}"
        );
        let charged = model.server.calls() as u64 * (12 * INPUT_NANOS + 100 * OUTPUT_NANOS);
        assert!(charged <= 20_000_000, "{charged}");
        assert!(model.server.calls() > 10, "there was room for more");
        let json = ended.json();
        let results = json["partial_result"]["ask"]["success_count"].as_u64();
        assert_eq!(results, Some(model.server.calls() as u64), "{json}");
    }
}

#[test]
fn what_branches_and_nested_workflows_have_by_then_is_in_the_partial_result() {
    let model = answering("it is so");
    let sandbox = sandbox(&model);
    let inner = chain(vec![ask("first", json!({})), ask("second", json!({}))]);
    sandbox.workflow("inner.json", &inner);
    let nested = json!({"id": "nested", "type": "workflow", "params": {"workflow_path": "inner.json"}});
    let document = json!({
        "nodes": [{"id": "begin", "type": "echo", "params": {"message": "x"}}, nested,
            ask("long", json!({"max_tokens": 50_000}))],
        "edges": [{"from": "begin", "to": "nested"}, {"from": "begin", "to": "long"}],
    });
    let ended = run(&sandbox, &document, &["--max-cost", "0.05"]);
    assert_eq!(
        (ended.code, error_type(&ended)),
        (3, "budget_exceeded".to_owned()),
        "{ended:?}"
    );
    assert_eq!(ended.json()["error"]["node"], "long");
    let one_call = chain(vec![document["nodes"][1].clone()]);
    let ended = run(&sandbox, &one_call, &["--max-cost", "0.0015"]);
    assert_eq!(
        (ended.code, error_type(&ended)),
        (3, "budget_exceeded".to_owned()),
        "{ended:?}"
    );
    let partial = ended.json()["partial_result"]["nested"].clone();
    assert_eq!(partial["first"]["response"], "it is so", "{partial}");
}

#[test]
fn a_plan_counts_answers_that_are_there_already_as_no_calls() {
    let model = answering("it is so");
    let sandbox = sandbox(&model);
    let mut node = with(
        ask("ask", json!({"prompt": "What of ${item}?"})),
        "cache",
        json!(true),
    );
    node["batch"] = json!({"items": ["a", "a", "a", "b", "b"]});
    let document = chain(vec![node]);
    let planned = |flags: &[&str]| {
        let ended = run(&sandbox, &document, &[&["--dry-run"], flags].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.json()
    };
    let before = planned(&[]);
    assert_eq!(before["plan"]["llm_calls"], json!({"low": 1, "high": 5}));
    let ended = run(&sandbox, &document, &[]);
    let metrics = ended.json()["metrics"]["total"].clone();
    assert_eq!(metrics["llm_calls"], 2, "{ended:?}");
    let cost = metrics["cost_usd"].as_f64().unwrap();
    let expected = &before["plan"]["cost_usd"];
    assert!(
        expected["low"].as_f64().unwrap() <= cost && cost <= expected["high"].as_f64().unwrap(),
        "{cost} of {expected}"
    );
    let after = planned(&["--max-llm-calls", "1"]);
    assert_eq!(after["plan"]["llm_calls"], json!({"low": 0, "high": 0}));
    assert!(after["budget"].to_string().contains("1 LLM call"), "{after}");
    assert!(!after["budget"].to_string().contains("not enough"), "{after}");
}

#[test]
fn a_plan_says_that_a_run_would_be_refused() {
    let model = answering("never");
    let sandbox = sandbox(&model);
    let document = chain(vec![ask("ask", json!({"model": "openai/nobody-knows-it"}))]);
    let ended = run(&sandbox, &document, &["--max-cost", "1", "--dry-run"]);
    let told = ended.json()["budget"].to_string();
    assert!(
        ended.code == 0 && told.contains("would be refused") && told.contains("nobody-knows-it"),
        "{ended:?}"
    );
    assert_eq!(model.server.calls(), 0);
}

#[test]
fn an_honest_answer_at_its_very_limit_is_not_cut() {
    // Long words: more bytes for each token than an estimate counts with.
    let text = "internationalisation ".repeat(25);
    let model = Model::new(
        Script::new().otherwise(move |_| Reply::text(text.clone()).usage(20, 100).finish("length")),
    );
    let sandbox = sandbox(&model);
    let ended = run(
        &sandbox,
        &chain(vec![ask("ask", json!({}))]),
        &["--max-cost", "0.001267"],
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(nanos(&ended.json()["metrics"]["total"]["cost_usd"]), 1_020_000);
}

#[test]
fn an_answer_that_came_whole_and_dearer_than_agreed_is_told_as_it_is() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("Dear.").usage(20, 500)));
    let sandbox = sandbox(&model);
    let document = chain(vec![
        ask("ask", json!({"stream": false})),
        json!({"id": "after", "type": "echo", "params": {"message": "went on"}}),
    ]);
    let ended = run(&sandbox, &document, &["--max-cost", "0.002"]);
    assert_eq!(
        (ended.code, error_type(&ended)),
        (3, "budget_exceeded".to_owned()),
        "{ended:?}"
    );
    let json = ended.json();
    assert_eq!(nanos(&json["metrics"]["total"]["cost_usd"]), 5_020_000);
    assert_eq!(json["error"]["budget"]["call"], "overrun");
    assert_eq!(json["partial_result"]["ask"]["response"], "Dear.");
}

#[test]
fn where_nobody_knows_how_long_an_answer_can_be_the_request_says_what_fits() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model);
    let mut node = ask("ask", json!({}));
    node["params"].as_object_mut().unwrap().remove("max_tokens");
    let document = chain(vec![node]);
    let ended = run(&sandbox, &document, &["--max-cost", "0.005"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let sent = model.server.requests()[0].body["max_tokens"].as_u64().unwrap();
    assert_eq!(sent, (5_000_000 - 267_000) / OUTPUT_NANOS);
    let trace = std::fs::read_to_string(sandbox.path("trace.json"));
    assert!(trace.is_err());
    let ended = run(&sandbox, &document, &["--max-cost", "0.0003"]);
    assert_eq!((ended.code, model.server.calls()), (3, 1), "{ended:?}");
    let ended = run(
        &sandbox,
        &document,
        &["--max-cost", "100", "--trace-file", "trace.json"],
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(model.server.requests()[1].body["max_tokens"], 32_768);
    let trace = std::fs::read_to_string(sandbox.path("trace.json")).unwrap();
    assert!(trace.contains("`max_tokens` is set to 32768"), "{trace}");
    // Without a limit nothing is added to the request.
    let ended = run(&sandbox, &document, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(model.server.requests()[2].body.get("max_tokens").is_none());
}

#[test]
fn the_model_s_own_maximum_is_counted_with_where_the_request_has_none() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model);
    sandbox.file(
        "home/pricing.json",
        r#"{"meter": {"input": 1, "output": 10, "unit": "1M", "max_output_tokens": 1000}}"#,
    );
    let mut node = ask("ask", json!({}));
    node["params"].as_object_mut().unwrap().remove("max_tokens");
    let document = chain(vec![node]);
    let ended = run(&sandbox, &document, &["--max-cost", "0.010266"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.out.contains("set `max_tokens` on the node"), "{ended:?}");
    let ended = run(&sandbox, &document, &["--max-cost", "0.010267"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(model.server.requests()[0].body.get("max_tokens").is_none());
}

#[test]
fn with_a_model_without_a_price_money_cannot_be_limited() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model);
    let unknown = ask("ask", json!({"model": "openai/metre"}));
    sandbox.workflow("inner.json", &chain(vec![unknown.clone()]));
    let nested = json!({"id": "nested", "type": "workflow", "params": {"workflow_path": "inner.json"}});
    let priced = ask("first", json!({}));
    for (document, node) in [
        (chain(vec![priced.clone(), unknown.clone()]), "ask"),
        (chain(vec![priced.clone(), nested.clone()]), "nested/ask"),
    ] {
        let ended = run(&sandbox, &document, &["--max-cost", "5"]);
        assert_eq!(
            (ended.code, error_type(&ended)),
            (2, "unpriced_model".to_owned()),
            "{ended:?}"
        );
        for part in [
            node,
            "openai/metre",
            "flowmeter pricing set metre",
            "--allow-unpriced",
        ] {
            assert!(ended.out.contains(part), "{part}: {ended:?}");
        }
    }
    assert_eq!(model.server.calls(), 0);
    // A budget in the file asks for a price as well; other limits do not.
    for budget in [json!({"max_cost": 1}), json!({"max_tokens": 10_000})] {
        let ended = run(
            &sandbox,
            &chain(vec![with(nested.clone(), "budget", budget.clone())]),
            &[],
        );
        let refused = budget.get("max_cost").is_some();
        assert_eq!(ended.code, if refused { 2 } else { 0 }, "{ended:?}");
    }
    let document = chain(vec![priced, unknown]);
    let ended = run(&sandbox, &document, &["--max-cost", "5", "--allow-unpriced"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let metrics = &ended.json()["metrics"];
    assert_eq!(
        (
            &metrics["total"]["cost_status"],
            nanos(&metrics["budget"]["spent_usd"])
        ),
        (&json!("partial"), 520_000)
    );
    assert_eq!(metrics["budget"]["unpriced_calls"], 1);
    let text = sandbox.run(&[
        "run",
        &sandbox.path("workflow.json").display().to_string(),
        "--max-cost",
        "5",
        "--allow-unpriced",
    ]);
    assert!(
        text.err
            .contains("Budget: ≥ $0.00052 of $5.00 (0 %, +1 unpriced)"),
        "{}",
        text.err
    );
}

#[test]
fn a_model_that_is_known_in_the_run_only_is_refused_there() {
    let model = answering("openai/metre");
    let sandbox = sandbox(&model);
    let document = chain(vec![
        ask("choose", json!({})),
        ask("ask", json!({"model": "${choose.response}"})),
    ]);
    let ended = run(&sandbox, &document, &["--max-cost", "5"]);
    assert_eq!(
        (ended.code, error_type(&ended)),
        (3, "unpriced_model".to_owned()),
        "{ended:?}"
    );
    assert_eq!(
        (model.server.calls(), &ended.json()["error"]["node"]),
        (1, &json!("ask"))
    );
    let ended = run(&sandbox, &document, &["--max-cost", "5", "--allow-unpriced"]);
    assert_eq!((ended.code, model.server.calls()), (0, 3), "{ended:?}");
}

#[test]
fn a_local_model_is_free_and_only_other_limits_stop_it() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model);
    let local = |id: &str| ask(id, json!({"model": "ollama/llama3"}));
    let document = chain(vec![local("one"), local("two")]);
    let ended = run(&sandbox, &document, &["--max-cost", "0"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let ended = run(&sandbox, &document, &["--max-cost", "0", "--max-llm-calls", "1"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let ended = run(&sandbox, &document, &["--max-tokens", "300"]);
    assert_eq!((ended.code, model.server.calls()), (3, 3), "{ended:?}");
    let paid = run(
        &sandbox,
        &chain(vec![ask("one", json!({}))]),
        &["--max-cost", "0"],
    );
    assert_eq!((paid.code, model.server.calls()), (3, 3), "{paid:?}");
}

#[test]
fn settings_limit_runs_and_the_command_line_goes_before() {
    let model = answering("It is a river.");
    let sandbox = sandbox(&model).with("FLOWMETER_BUDGET_MAX_COST", "0.0001");
    let document = chain(vec![ask("one", json!({}))]);
    assert_eq!(run(&sandbox, &document, &[]).code, 3);
    assert_eq!(run(&sandbox, &document, &["--max-cost", "1"]).code, 0);
    sandbox.file("home/config.toml", "[budget]\nmax_llm_calls = 1\n");
    let two = chain(vec![ask("one", json!({})), ask("two", json!({}))]);
    let ended = run(&sandbox, &two, &["--max-cost", "1"]);
    assert_eq!(
        (ended.code, error_type(&ended)),
        (3, "budget_exceeded".to_owned()),
        "{ended:?}"
    );
}

#[test]
fn limits_that_cannot_be_meant_are_refused() {
    let sandbox = Sandbox::new();
    let file = sandbox.workflow("one.json", &chain(vec![ask("one", json!({}))]));
    for (flag, value, wanted) in [
        ("--max-cost", "-1", "an amount in dollars"),
        ("--max-cost", "cheap", "an amount in dollars"),
        ("--max-cost", "NaN", "an amount in dollars"),
        ("--max-tokens", "0", "a whole number from 1"),
        ("--max-tokens", "1.5", "a whole number from 1"),
        ("--max-llm-calls", "-3", "a whole number from 1"),
    ] {
        let ended = sandbox.run(&["run", &file, flag, value]);
        assert_eq!(ended.code, 2, "{flag} {value}: {ended:?}");
        assert!(ended.err.contains(wanted), "{flag} {value}: {}", ended.err);
    }
}

#[test]
fn budgets_in_files_are_checked_with_the_nearest_names() {
    let sandbox = Sandbox::new();
    let shell = json!({"id": "sh", "type": "shell", "params": {"command": "true"}});
    for (document, wanted) in [
        (
            chain(vec![with(ask("a", json!({})), "budget", json!({"max_costs": 1}))]),
            "did you mean `max_cost`?",
        ),
        (
            chain(vec![with(ask("a", json!({})), "budget", json!({}))]),
            "at least one of max_cost, max_tokens, max_llm_calls",
        ),
        (
            chain(vec![with(ask("a", json!({})), "budget", json!({"max_cost": -1}))]),
            "at least 0",
        ),
        (
            chain(vec![with(
                ask("a", json!({})),
                "budget",
                json!({"max_cost": "1"}),
            )]),
            "is a number",
        ),
        (
            chain(vec![with(
                ask("a", json!({})),
                "budget",
                json!({"max_tokens": 1.5}),
            )]),
            "is an integer",
        ),
        (
            chain(vec![with(ask("a", json!({})), "budget", json!(1))]),
            "is an object",
        ),
        (
            chain(vec![with(shell, "budget", json!({"max_cost": 1}))]),
            "`shell` calls no model",
        ),
        (
            with(
                chain(vec![ask("a", json!({}))]),
                "budget",
                json!({"max_llm_calls": 0}),
            ),
            "at least 1",
        ),
        (
            with(
                chain(vec![ask("a", json!({}))]),
                "bugdet",
                json!({"max_llm_calls": 1}),
            ),
            "did you mean `budget`?",
        ),
    ] {
        let ended = sandbox.run(&["validate", &sandbox.workflow("w.json", &document)]);
        assert_eq!(ended.code, 2, "{document}: {ended:?}");
        let said = format!("{}{}", ended.out, ended.err);
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[test]
fn a_call_that_waits_for_room_can_be_interrupted() {
    let model = Model::new(Script::new().otherwise(|_| Reply::hang()));
    let sandbox = sandbox(&model);
    let node = with(
        ask("many", json!({"prompt": "${item}"})),
        "batch",
        json!({
        "items": [1, 2, 3], "parallel": true}),
    );
    let file = sandbox.workflow("waiting.json", &chain(vec![node]));
    let mut child = sandbox
        .command(&["run", &file, "--max-cost", "0.002", "--output-format", "json"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while model.server.calls() < 1 {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(model.server.calls(), 1);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let began = Instant::now();
    let status = child.wait().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(status.code(), Some(130));
}
