//! `run --dry-run`, and the question before a run that may be dear.

use expect_test::expect;
use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Model, Sandbox};

const PRICES: &str = r#"{"demo-small": {"unit": "1M", "input": 4, "output": 10}}"#;

fn document() -> Value {
    json!({
        "inputs": {"names": {"type": "array"}},
        "nodes": [
            {"id": "greet", "type": "llm", "purpose": "Greets everybody.",
             "params": {"model": "openai/demo-small", "prompt": "greet ${item}", "max_tokens": 100},
             "batch": {"items": "${names}"}},
            {"id": "join", "type": "llm", "params": {"model": "openai/demo-small", "prompt": "join ${greet.results}", "max_tokens": 200}},
            {"id": "keep", "type": "write-file", "params": {"file_path": "out.txt", "content": "${join.response}"}}
        ],
        "edges": [{"from": "greet", "to": "join"}, {"from": "join", "to": "keep"}]
    })
}

fn sandbox(model: &Model) -> (Sandbox, String) {
    let sandbox = Sandbox::asking(model);
    sandbox.file("home/pricing.json", PRICES);
    let workflow = sandbox.workflow("hello.json", &document());
    (sandbox, workflow)
}

#[test]
fn a_dry_run_prints_the_plan_and_runs_nothing() {
    let model = Model::new(Script::new());
    let (sandbox, workflow) = sandbox(&model);
    let ended = sandbox.run(&["run", &workflow, "names=[\"Ada\", \"Grace\"]", "--dry-run"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    expect![[r#"
        Plan of hello: 3 nodes; nothing was run

          node   type        runs  model       tokens in → out  cost                 time
          greet  llm            2  demo-small  6–20 → 2–200     $0.000044–$0.00208   600.0ms–16.00s
          join   llm            1  demo-small  6–1,061 → 1–200  $0.000034–$0.006244  300.0ms–13.00s
          keep   write-file     1

        3 LLM calls, 15–1,481 tokens, $0.000078–$0.008324, ≥ 900.0ms
        From prompt sizes and the longest answers: no earlier run is known. Further attempts after failures are not in it.
        Known in the run only: ${greet.results} of join
    "#]].assert_eq(&ended.out);
    assert_eq!(model.server.calls(), 0);
    assert!(sandbox.traces().is_empty() && !sandbox.path("out.txt").exists());

    let args = [
        "run",
        &workflow,
        "names=[1]",
        "--dry-run",
        "--output-format",
        "json",
    ];
    let plan = sandbox.run(&args).json();
    let greet = &plan["plan"]["steps"][0];
    assert_eq!(greet["call"]["model"], "demo-small");
    assert_eq!(greet["executions"], json!({"low": 1, "high": 1}));
    // 7 bytes in and 100 tokens out at the most.
    assert_eq!(greet["cost_usd"], json!({"low": 0.000_018, "high": 0.001_028}));
    assert_eq!(plan["plan"]["llm_calls"], json!({"low": 2, "high": 2}));
}

#[test]
fn a_dry_run_finds_what_a_run_would_find() {
    let model = Model::new(Script::new());
    let (sandbox, workflow) = sandbox(&model);
    let ended = sandbox.run(&["run", &workflow, "--dry-run"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("names"), "{ended:?}");
    let broken = sandbox.file("broken.json", "{\"nodes\": [{\"id\": \"a\", \"type\": \"lm\"}]}");
    let ended = sandbox.run(&["run", &broken, "--dry-run"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("did you mean `llm`?"), "{ended:?}");
    assert_eq!(model.server.calls(), 0);
}

#[test]
fn earlier_runs_tell_what_to_expect() {
    let reply = Reply::text("hello").usage(1_000, 500);
    let model = Model::new(Script::new().otherwise(move |_| reply.clone()));
    let (sandbox, workflow) = sandbox(&model);
    for _ in 0..2 {
        let ended = sandbox.run(&["run", &workflow, "names=[1, 2]", "--trace"]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let args = [
        "run",
        &workflow,
        "names=[1, 2]",
        "--dry-run",
        "--output-format",
        "json",
    ];
    let plan = sandbox.run(&args).json()["plan"].take();
    assert_eq!(plan["past_runs"], 2);
    // Each call is 1,000 tokens for 4 dollars a million and 500 for 10.
    assert_eq!(plan["steps"][0]["cost_usd"], json!({"low": 0.018, "high": 0.018}));
    assert_eq!(plan["cost_usd"], json!({"low": 0.027, "high": 0.027}));
    assert_eq!(plan["steps"][0]["past"]["executions"], 2);
    assert!(plan["steps"][2]["duration_ns"]["low"].as_u64().unwrap() > 0);
    assert!(plan["duration_ns"]["low"].as_u64() <= plan["duration_ns"]["high"].as_u64());
}

#[test]
fn a_dear_run_is_announced_and_goes_on_where_nobody_can_be_asked() {
    let reply = Reply::text("hello").usage(10, 5);
    let model = Model::new(Script::new().otherwise(move |_| reply.clone()));
    let (sandbox, workflow) = sandbox(&model);
    sandbox.file("home/config.toml", "warn_cost = 0.002\n");
    let ended = sandbox.run(&["run", &workflow, "names=[1, 2]"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.err.contains("warning: hello may cost")
            && ended.err.contains("more than the $0.002 of `warn_cost`"),
        "{ended:?}"
    );
    assert_eq!(model.server.calls(), 3);
    sandbox.file("home/config.toml", "warn_cost = 5\n");
    let ended = sandbox.run(&["run", &workflow, "names=[1, 2]"]);
    assert!(!ended.err.contains("warn_cost"), "{ended:?}");
    sandbox.file("home/config.toml", "warn_cost = \"lots\"\n");
    let ended = sandbox.run(&["run", &workflow, "names=[1, 2]"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("warn_cost"), "{ended:?}");
}

#[test]
fn what_the_cache_has_costs_nothing() {
    let reply = Reply::text("hello").usage(1_000, 500);
    let model = Model::new(Script::new().otherwise(move |_| reply.clone()));
    let (sandbox, workflow) = sandbox(&model);
    let plan = |sandbox: &Sandbox, names: &str| {
        let args = ["run", &workflow, names, "--dry-run", "--cache"];
        let text = sandbox.run(&args).out;
        let line = text
            .lines()
            .find(|line| line.contains("greet"))
            .unwrap_or_default();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(plan(&sandbox, "names=[1]").contains("demo-small (will be cached)"));
    assert_eq!(sandbox.run(&["run", &workflow, "names=[1]", "--cache"]).code, 0);
    let calls = model.server.calls();
    assert!(plan(&sandbox, "names=[1]").contains("demo-small (cached) 0 → 0 $0.00"));
    assert!(plan(&sandbox, "names=[1, 2]").contains("demo-small (partly cached)"));
    assert_eq!(model.server.calls(), calls);
}

#[test]
fn a_plan_says_whether_the_budget_is_enough() {
    let model = Model::new(Script::new());
    let (sandbox, workflow) = sandbox(&model);
    let said = |budget: &[&str]| {
        let mut args = vec!["run", &workflow, "names=[1, 2]", "--dry-run"];
        args.extend(budget);
        let text = sandbox.run(&args).out;
        let lines = text.lines().filter_map(|line| line.strip_prefix("Budget: "));
        lines.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(said(&["--max-cost", "1"]), "$1.00 is enough");
    let small = said(&["--max-cost", "0.002"]);
    assert!(
        small.contains("is not enough for a call of join, which reserves $0.00"),
        "{small}"
    );
    assert_eq!(said(&["--max-llm-calls", "3"]), "3 LLM calls are enough");
    assert_eq!(said(&["--max-llm-calls", "2"]), "2 LLM calls are not enough");
    assert!(said(&["--max-tokens", "500"]).starts_with("500 tokens may not be enough"));
}
