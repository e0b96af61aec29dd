//! Every status of a cost, from a scripted model through the real binary, in every output that shows money.

use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox};

/// A run that asks each of these models once, with JSON and with text, and what it left behind.
struct Told {
    sandbox: Sandbox,
    json: Value,
    text: Ended,
    trace: String,
}

const PRICES: &str = r#"{
    "m-priced": {"input": 3, "output": 15, "unit": "1M"},
    "m-free": {"input": 0, "output": 0},
    "m-odd": {"input": 0.0375, "output": 0.0375, "unit": "1M"}
}"#;

/// An answer with a cost of its own in its usage, as OpenRouter gives one.
fn reported(is_streamed: bool) -> Reply {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "cost": 0.00123});
    let chunk = |content: Value, usage: &Value| {
        let part = if is_streamed { "delta" } else { "message" };
        json!({
            "id": "x", "object": "chat.completion", "created": 0, "model": "m-reported", "usage": usage,
            "choices": [{"index": 0, part: content, "finish_reason": "stop"}]
        })
    };
    let whole = chunk(json!({"role": "assistant", "content": "ok"}), &usage);
    if !is_streamed {
        return Reply::garbage("application/json", whole.to_string());
    }
    Reply::garbage("text/event-stream", format!("data: {whole}\n\ndata: [DONE]\n\n"))
}

fn asked(models: &[&str]) -> Told {
    let model = Model::new(Script::new().otherwise(|asked| {
        if asked.model.contains("reported") {
            reported(asked.body["stream"] == true)
        } else if asked.model.contains("silent") {
            Reply::text("four words are here").without_usage()
        } else {
            Reply::text("ok").usage(1_001, 1)
        }
    }));
    let sandbox = Sandbox::asking(&model);
    let prices = PRICES.replacen(
        '{',
        r#"{"m-silent": {"input": 3, "output": 15, "unit": "1M"},"#,
        1,
    );
    sandbox.file("home/pricing.json", &prices);
    let nodes: Vec<Value> = models
        .iter()
        .map(|model| {
            json!({"id": format!("ask_{}", model.replace('-', "_")), "type": "llm",
                   "params": {"model": format!("openai/{model}"), "prompt": "hi there"}})
        })
        .collect();
    let edges: Vec<Value> = nodes
        .windows(2)
        .map(|pair| json!({"from": pair[0]["id"], "to": pair[1]["id"]}))
        .collect();
    let workflow = sandbox.workflow("ask.json", &json!({"nodes": nodes, "edges": edges}));
    let trace = sandbox.path("trace.json").display().to_string();
    let json = sandbox
        .run(&[
            "run",
            &workflow,
            "--output-format",
            "json",
            "--trace-file",
            &trace,
        ])
        .json();
    let text = sandbox.run(&["run", &workflow, "--trace"]);
    Told {
        sandbox,
        json,
        text,
        trace,
    }
}

impl Told {
    fn total(&self) -> &Value {
        &self.json["metrics"]["total"]
    }

    fn show(&self) -> String {
        self.sandbox.run(&["show", &self.trace]).out
    }

    fn explain(&self) -> String {
        self.sandbox.run(&["pricing", "explain", &self.trace]).out
    }

    fn explain_json(&self) -> Value {
        self.sandbox
            .run(&["pricing", "explain", &self.trace, "--json"])
            .json()
    }

    /// The figure in the summary line, in the tree's summary of both ways to print it, and in `explain`.
    fn shows_everywhere(&self, figure: &str) {
        let summary = self
            .text
            .err
            .lines()
            .find(|line| line.starts_with('✓'))
            .unwrap_or_default();
        assert!(summary.ends_with(figure), "{summary}: {figure}");
        let line = format!("- Cost: {figure}\n");
        assert!(self.text.err.contains(&line), "{}", self.text.err);
        assert!(self.show().contains(&line), "{}", self.show());
        let last = self.explain();
        let last = last.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("total") && last.ends_with(figure),
            "{last}: {figure}"
        );
    }

    /// Integer sums agree in total, over models, over prices, over kinds, over calls and over nodes.
    fn adds_up(&self) {
        let workflow = &self.json["metrics"]["workflow"];
        let total = workflow["cost_breakdown"]["cost_nanos"].as_i64().unwrap_or(0);
        let sum = |values: &Value, key: &str| -> i64 {
            let values: Vec<&Value> = match values {
                Value::Object(members) => members.values().collect(),
                Value::Array(elements) => elements.iter().collect(),
                _ => Vec::new(),
            };
            values.iter().map(|value| value[key].as_i64().unwrap_or(0)).sum()
        };
        let breakdown = &workflow["cost_breakdown"];
        assert_eq!(sum(&breakdown["lines"], "amount_nanos"), total);
        assert_eq!(sum(&breakdown["by_model"], "cost_nanos"), total);
        assert_eq!(sum(&breakdown["calls"], "cost_nanos"), total);
        assert_eq!(sum(&workflow["nodes"], "cost_nanos"), total);
        assert_eq!(sum(&workflow["by_model"], "cost_nanos"), total);
        for call in breakdown["calls"].as_array().unwrap() {
            if call["lines"].is_array() {
                assert_eq!(
                    sum(&call["lines"], "amount_nanos"),
                    call["cost_nanos"].as_i64().unwrap()
                );
            }
        }
        let explained = self.explain_json();
        assert_eq!(sum(&explained["calls"], "cost_nanos"), total);
        assert_eq!(
            self.total()["cost_breakdown"]["cost_nanos"].as_i64().unwrap_or(0),
            total
        );
    }
}

#[test]
fn a_priced_run_says_so_and_how_it_is_made_up() {
    let told = asked(&["m-priced"]);
    // 1,001 × $3 + 1 × $15 a million.
    assert_eq!(told.total()["cost_usd"], json!(0.003018));
    assert_eq!(told.total()["cost_nanos"], 3_018_000);
    assert_eq!(told.total()["cost_status"], "priced");
    assert_eq!(
        (&told.total()["unpriced_calls"], &told.total()["unpriced_models"]),
        (&json!(0), &json!([]))
    );
    told.shows_everywhere("$0.003018");
    told.adds_up();
    let span = told.json["metrics"]["workflow"]["cost_breakdown"]["calls"][0].clone();
    assert_eq!(
        (&span["matched"], &span["source"]),
        (&json!("m-priced"), &json!("pricing.json"))
    );
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(&told.trace).unwrap()).unwrap();
    let spans = trace["spans"].as_array().unwrap();
    let call = spans.iter().find(|span| span["kind"] == "llm_call").unwrap();
    let attributes = &call["attributes"];
    for (key, value) in [
        ("status", json!("priced")),
        ("nanos", json!(3_018_000)),
        ("matched", json!("m-priced")),
        ("rule", json!("exact model")),
        ("source", json!("pricing.json")),
        ("sum", json!("0.003018")),
        ("rounding", json!("0")),
    ] {
        assert_eq!(attributes[format!("flowmeter.cost.{key}")], value, "{key}");
    }
    assert_eq!(
        attributes["flowmeter.cost.lines"][0],
        json!({"kind": "input", "quantity": 1001, "rate_nanos": 3_000_000_000_i64, "per": 1_000_000,
               "rate_usd": 3.0, "amount": "0.003003", "amount_usd": 0.003003})
    );
}

#[test]
fn a_reported_cost_goes_before_every_price() {
    let told = asked(&["m-reported"]);
    assert_eq!(told.total()["cost_status"], "reported");
    assert_eq!(told.total()["cost_nanos"], 1_230_000);
    told.shows_everywhere("$0.00123 (reported)");
    told.adds_up();
    assert!(
        told.explain().contains("reported: the provider said so"),
        "{}",
        told.explain()
    );
}

#[test]
fn an_estimate_is_marked_wherever_it_is_shown() {
    let told = asked(&["m-silent"]);
    assert_eq!(told.total()["cost_status"], "estimated");
    assert_eq!(told.total()["estimated_calls"], 1);
    let nanos = told.total()["cost_nanos"].as_i64().unwrap();
    assert!(nanos > 0);
    told.shows_everywhere(&format!("~{}", flowmeter_model::UsdNanos(nanos)));
    told.adds_up();
    assert!(told.text.err.contains(", ~"), "{}", told.text.err);
}

#[test]
fn without_a_price_there_is_no_figure_and_help_instead() {
    let told = asked(&["m-unknown", "m-unknown-too"]);
    assert_eq!(told.total()["cost_usd"], Value::Null);
    assert_eq!(told.total()["cost_nanos"], Value::Null);
    assert_eq!(told.total()["cost_status"], "unpriced");
    assert_eq!(told.total()["unpriced_calls"], 2);
    assert_eq!(
        told.total()["unpriced_models"],
        json!(["m-unknown", "m-unknown-too"])
    );
    assert!(
        told.text.err.contains("- Cost: unpriced (2 calls)\n"),
        "{}",
        told.text.err
    );
    assert!(!told.text.err.contains('$'), "{}", told.text.err);
    assert!(
        told.text.err.contains("flowmeter pricing set"),
        "{}",
        told.text.err
    );
    let explained = told.explain();
    assert!(!explained.contains('$'), "{explained}");
    assert!(
        explained.contains("flowmeter pricing set m-unknown "),
        "{explained}"
    );
    told.adds_up();
}

#[test]
fn a_sum_with_gaps_is_a_lower_bound() {
    let told = asked(&["m-priced", "m-unknown", "m-unknown-too", "m-odd"]);
    assert_eq!(told.total()["cost_status"], "partial");
    assert_eq!(told.total()["unpriced_calls"], 2);
    // m-odd: 1,002 × $0.0375 a million is 37,575 nano-dollars.
    assert_eq!(told.total()["cost_nanos"], 3_018_000 + 37_575);
    told.shows_everywhere("≥ $0.003055575 (+2 unpriced)");
    told.adds_up();
    let nodes = &told.json["metrics"]["workflow"]["nodes"];
    assert_eq!(nodes["ask_m_unknown"]["cost_status"], "unpriced");
    assert_eq!(nodes["ask_m_priced"]["cost_status"], "priced");
    let models = &told.json["metrics"]["workflow"]["by_model"];
    assert_eq!(models["m-unknown"]["cost_usd"], Value::Null);
}

#[test]
fn an_estimate_with_gaps_says_both() {
    let told = asked(&["m-silent", "m-unknown"]);
    assert_eq!(told.total()["cost_status"], "partial");
    assert_eq!(told.total()["estimated_cost_calls"], 1);
    let nanos = told.total()["cost_nanos"].as_i64().unwrap();
    told.shows_everywhere(&format!("≥ ~{} (+1 unpriced)", flowmeter_model::UsdNanos(nanos)));
    told.adds_up();
}

#[test]
fn what_is_free_is_priced_and_zero() {
    let told = asked(&["m-free"]);
    assert_eq!(told.total()["cost_usd"], json!(0.0));
    assert_eq!(told.total()["cost_status"], "priced");
    told.shows_everywhere("$0.00");
    told.adds_up();
}

#[test]
fn a_run_without_calls_has_nothing_to_explain() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow(
        "echo.json",
        &json!({"nodes": [{"id": "say", "type": "echo", "params": {"message": "hi"}}]}),
    );
    let ended = sandbox.run(&[
        "run",
        &workflow,
        "--trace-file",
        "t.json",
        "--output-format",
        "json",
    ]);
    assert_eq!(
        ended.json()["metrics"]["total"]["cost_breakdown"]["lines"],
        json!([])
    );
    let explained = sandbox.run(&["pricing", "explain", "t.json"]);
    assert_eq!(explained.code, 0);
    assert!(explained.out.contains("no model was called"), "{}", explained.out);
    let missing = sandbox.run(&["pricing", "explain", "tt.json"]);
    assert_eq!(missing.code, 4);
    assert!(missing.err.contains("did you mean `t.json`?"), "{}", missing.err);
}

#[test]
fn a_run_says_once_what_is_odd_about_its_prices() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("ok").usage(1_000, 100)));
    let sandbox = Sandbox::asking(&model);
    let node = |id: &str| json!({"id": id, "type": "llm", "params": {"model": "openai/gpt-4o", "prompt": format!("hi {id}")}});
    let workflow = sandbox.workflow(
        "ask.json",
        &json!({"nodes": [node("a"), node("b")], "edges": [{"from": "a", "to": "b"}]}),
    );
    let remarks = |ended: &Ended| -> Vec<String> {
        let lines = ended.err.lines().filter(|line| line.starts_with("warning: "));
        lines.map(str::to_owned).collect()
    };
    // A thousandth of the price: dollars per thousand tokens under the unit of a million.
    let own = r#"{"gpt-4o": {"unit": "1M", "input": 0.0025, "output": 0.01}}"#;
    let file = sandbox.file("home/pricing.json", own);
    for format in ["text", "json"] {
        let ended = sandbox.run(&["run", &workflow, "--output-format", format]);
        let told = remarks(&ended);
        assert_eq!(told.len(), 2, "{ended:?}");
        assert!(
            told[0].starts_with("warning: `input` of `gpt-4o` in pricing.json is 1000 times cheaper"),
            "{told:?}"
        );
    }
    std::fs::remove_file(file).unwrap();

    // A refreshed price file that broke after it was stored.
    let newer = r#"{"gpt-4o": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06}}"#;
    let newer = sandbox.file("newer.json", newer);
    assert_eq!(sandbox.run(&["pricing", "refresh", &newer]).code, 0);
    let healthy = sandbox.run(&["run", &workflow]);
    assert!(remarks(&healthy).is_empty(), "{healthy:?}");
    assert!(healthy.err.contains("$0.0024"), "{healthy:?}");
    for entry in std::fs::read_dir(sandbox.home().join("prices")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("prices-") {
            std::fs::write(path, "no longer JSON").unwrap();
        }
    }
    let broken = sandbox.run(&["run", &workflow]);
    let told = remarks(&broken);
    assert_eq!(told.len(), 1, "{broken:?}");
    assert!(
        told[0].starts_with("warning: the refreshed prices cannot be used"),
        "{told:?}"
    );
    assert!(broken.err.contains("$0.007"), "{broken:?}");
}
