//! Plans of small workflows.

use std::path::Path;
use std::sync::Arc;

use expect_test::{Expect, expect};
use flowmeter_model::{TimestampNs, UsdNanos};
use flowmeter_pricing::{Overrides, PriceBook};
use serde_json::{Map, Value, json};

use super::{Between, NoPast, PastNode, PastRuns, Plan, PlanTerms};
use crate::chat::GenaiModel;
use crate::http_client::HttpClient;
use crate::nodes::Services;
use crate::response_cache::Caching;
use crate::run::{LoadOptions, Workflow};

fn prices() -> PriceBook {
    let text = r#"{"gpt-planned": {"unit": "1M", "input": 4, "output": 10}}"#;
    PriceBook::with_overrides(Overrides::parse(text).unwrap().0)
}

fn plan_in(folder: &Path, document: &Value, inputs: Value, past: &dyn PastRuns) -> Plan {
    let options = LoadOptions {
        services: Arc::new(Services {
            chat: Arc::new(GenaiModel::new(Arc::new(|name| {
                name.ends_with("_API_KEY").then(|| "key".to_owned())
            }))),
            default_model: None,
            http: HttpClient::new(),
            caching: Caching::default(),
        }),
        saved_workflows: None,
    };
    let workflow = Workflow::parse("planned", &document.to_string(), folder, &options);
    let workflow = workflow.unwrap_or_else(|error| panic!("{error}"));
    let Value::Object(inputs) = inputs else {
        panic!("inputs are an object")
    };
    let book = prices();
    let terms = PlanTerms {
        prices: &book,
        start: TimestampNs(1_760_000_000_000_000_000),
        past,
    };
    Plan::of(&workflow, &inputs, &terms)
}

fn plan(document: &Value, inputs: Value) -> Plan {
    plan_in(Path::new("."), document, inputs, &NoPast)
}

fn shown<T: std::fmt::Display>(amount: Between<T>) -> String {
    match amount.high {
        Some(high) => format!("{}..{high}", amount.low),
        None => format!("{}..", amount.low),
    }
}

fn check(plan: &Plan, expected: Expect) {
    let mut text = String::new();
    for step in &plan.steps {
        text.push_str(&format!("{} ×{}", step.path, shown(step.executions)));
        if let Some(call) = &step.call {
            text.push_str(&format!(
                " in {} out {}",
                shown(call.input_tokens),
                shown(call.output_tokens)
            ));
        }
        if let Some(cost) = step.cost {
            text.push_str(&format!(" {}", shown(cost)));
        }
        text.push('\n');
    }
    text.push_str(&format!(
        "calls {} tokens {} cost {}\n",
        shown(plan.llm_calls),
        shown(plan.tokens),
        shown(plan.cost)
    ));
    expected.assert_eq(&text);
}

fn llm(id: &str, prompt: &str) -> Value {
    json!({"id": id, "type": "llm", "params": {"model": "gpt-planned", "prompt": prompt, "max_tokens": 100}})
}

#[test]
fn prompts_of_inputs_alone_are_known() {
    let document = json!({
        "inputs": {"text": {"type": "string"}},
        "nodes": [llm("a", "say ${text}")],
        "edges": []
    });
    // 4 + 400 bytes.
    check(
        &plan(&document, json!({"text": "x".repeat(400)})),
        expect![[r#"
            a ×1..1 in 101..404 out 1..100 $0.000414..$0.002616
            calls 1..1 tokens 102..504 cost $0.000414..$0.002616
        "#]],
    );
}

#[test]
fn an_answer_of_a_node_before_is_as_long_as_its_longest() {
    let document = json!({
        "nodes": [llm("a", "write"), llm("b", "shorten ${a.response}"), {"id": "s", "type": "shell", "params": {"command": "ls"}},
            llm("c", "explain ${s.stdout}")],
        "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "s"}, {"from": "s", "to": "c"}]
    });
    check(
        &plan(&document, json!({})),
        expect![[r#"
            a ×1..1 in 2..5 out 1..100 $0.000018..$0.00102
            b ×1..1 in 6..121 out 1..100 $0.000034..$0.001484
            s ×1..1
            c ×1..1 in 5.. out 1..100 $0.00003..
            calls 3..3 tokens 16.. cost $0.000082..
        "#]],
    );
}

#[test]
fn items_rounds_and_nested_workflows_multiply() {
    let folder = tempfile::tempdir().unwrap();
    let child =
        json!({"inputs": {"x": {"type": "string"}}, "nodes": [llm("inner", "polish ${x}")], "edges": []});
    std::fs::write(folder.path().join("child.json"), child.to_string()).unwrap();
    let mut each = llm("each", "item ${item}");
    each["batch"] = json!({"items": "${list}"});
    let mut again = llm("again", "once more");
    again["loop"] = json!({"until": "${self.never ?? false}", "max_iterations": 3});
    let mut open = llm("open", "of ${item}");
    open["batch"] = json!({"items": "${each.results}"});
    let nested = json!({"id": "nested", "type": "workflow", "params": {"workflow_path": "child.json", "inputs": {"x": "${item}"}},
        "batch": {"items": ["one", "two"]}});
    let document = json!({
        "inputs": {"list": {"type": "array"}},
        "nodes": [each, again, nested, open],
        "edges": [{"from": "each", "to": "again"}, {"from": "again", "to": "nested"}, {"from": "nested", "to": "open"}]
    });
    let plan = plan_in(
        folder.path(),
        &document,
        json!({"list": ["a", "bb", "ccc"]}),
        &NoPast,
    );
    check(
        &plan,
        expect![[r#"
            each ×3..3 in 6..21 out 3..300 $0.000054..$0.003084
            again ×1..3 in 3..27 out 1..300 $0.000022..$0.003108
            nested ×2..2
            nested/inner ×2..2 in 6..32 out 2..200 $0.000044..$0.002128
            open ×0.. in 0.. out 0.. $0.00..
            calls 6.. tokens 21.. cost $0.00012..
        "#]],
    );
}

#[test]
fn branches_may_cost_and_failures_do_not() {
    let document = json!({
        "nodes": [{"id": "s", "type": "shell", "params": {"command": "ls"}}, llm("plain", "x"), llm("rescue", "y")],
        "edges": [{"from": "s", "to": "plain"}, {"from": "s", "action": "error", "to": "rescue"}]
    });
    check(
        &plan(&document, json!({})),
        expect![[r#"
            s ×1..1
            plain ×1..1 in 1..1 out 1..100 $0.000014..$0.001004
            rescue ×1..1 in 1..1 out 1..100 $0.000014..$0.001004
            calls 1..1 tokens 2..101 cost $0.000014..$0.001004
        "#]],
    );
    let document = json!({
        "nodes": [llm("a", "x"), llm("left", "y"), llm("right", "z")],
        "edges": [{"from": "a", "action": "left", "to": "left"}, {"from": "a", "to": "right"}]
    });
    let plan = plan(&document, json!({}));
    assert_eq!(shown(plan.llm_calls), "1..3");
}

#[test]
fn a_model_without_a_price_is_no_free_one() {
    let mut node = llm("a", "x");
    node["params"]["model"] = json!("openai/nobody-knows");
    let plan = plan(&json!({"nodes": [node], "edges": []}), json!({}));
    assert_eq!(plan.unpriced_calls, 1);
    assert_eq!(plan.steps[0].cost, None);
    assert_eq!(shown(plan.cost), "$0.00..");
    let mut node = llm("a", "${x.stdout}");
    node["params"]["model"] = json!("ollama::mine");
    let document = json!({"nodes": [{"id": "x", "type": "shell", "params": {"command": "ls"}}, node],
        "edges": [{"from": "x", "to": "a"}]});
    let plan = self::plan(&document, json!({}));
    assert_eq!(
        shown(plan.cost),
        "$0.00..$0.00",
        "a model of one's own is free, whatever it is asked"
    );
}

struct Past;

impl PastRuns for Past {
    fn runs(&self) -> u64 {
        2
    }
    fn duration_ns(&self) -> Option<Between<u64>> {
        Some(Between {
            low: 5,
            high: Some(9),
        })
    }
    fn node(&self, path: &str) -> Option<PastNode> {
        (path == "a").then_some(PastNode {
            executions: 2,
            duration_ns: Between {
                low: 3,
                high: Some(4),
            },
            cost: Some(Between {
                low: UsdNanos(1_000),
                high: Some(UsdNanos(2_000)),
            }),
        })
    }
}

#[test]
fn what_earlier_runs_say_goes_before_what_is_worked_out() {
    let document = json!({"nodes": [llm("a", "x")], "edges": []});
    let plan = plan_in(Path::new("."), &document, json!({}), &Past);
    assert_eq!(shown(plan.cost), "$0.000001..$0.000002");
    assert_eq!(plan.duration_ns.map(shown), Some("5..9".to_owned()));
    assert_eq!(plan.steps[0].duration_ns.map(shown), Some("3..4".to_owned()));
    assert_eq!(plan.past_runs, 2);
}

#[test]
fn a_plan_of_nothing_asks_nothing() {
    let document = json!({"nodes": [{"id": "a", "type": "echo", "params": {"message": "x"}}], "edges": []});
    let plan = plan(&document, Value::Object(Map::new()));
    assert_eq!(shown(plan.llm_calls), "0..0");
    assert_eq!(plan.duration_ns, None);
}
