//! The user's price file: applied, broken, silent about a model.

use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::json;

use crate::support::{Ended, Model, Sandbox};

fn run(prices: Option<(&str, &str)>, model: &str, format: &str) -> Ended {
    let server = Model::new(Script::new().otherwise(|_| Reply::text("ok").usage(1_000, 500)));
    let sandbox = Sandbox::asking(&server);
    if let Some((place, text)) = prices {
        sandbox.file(place, text);
    }
    let document =
        json!({"nodes": [{"id": "ask", "type": "llm", "params": {"model": model, "prompt": "hi"}}]});
    sandbox.run(&[
        "run",
        &sandbox.workflow("ask.json", &document),
        "--output-format",
        format,
    ])
}

#[test]
fn the_bundled_prices_apply_and_the_user_s_go_before() {
    let bundled = run(None, "openai/gpt-4o-mini", "json").json();
    assert_eq!(bundled["metrics"]["total"]["cost_usd"], json!(0.00045));
    let own = r#"{"gpt-4o-mini": {"input": 0.1, "output": 0.2}}"#;
    for place in ["home/pricing.json", ".pflow/pricing.json"] {
        let ended = run(Some((place, own)), "openai/gpt-4o-mini", "json");
        assert_eq!(
            ended.json()["metrics"]["total"]["cost_usd"],
            json!(0.2),
            "{place}"
        );
    }
}

#[test]
fn a_broken_file_is_told_and_the_bundled_prices_apply() {
    for broken in [
        r#"{"gpt-4o-mini": {"input": 1,}}"#,
        "[]",
        r#"{"m": {"input": -1}}"#,
        "",
    ] {
        let ended = run(Some(("home/pricing.json", broken)), "openai/gpt-4o-mini", "text");
        assert_eq!((ended.code, ended.out.as_str()), (0, "ok\n"), "{ended:?}");
        assert!(ended.err.contains("pricing.json: line "), "{}", ended.err);
        assert!(
            ended.err.contains("going on with the bundled prices"),
            "{}",
            ended.err
        );
        assert!(ended.err.contains("$0.00045"), "{}", ended.err);
    }
    let ended = run(Some(("home/pricing.json", "{")), "openai/gpt-4o-mini", "json");
    assert!(
        ended.json()["warnings"][0]
            .as_str()
            .unwrap()
            .contains("pricing.json"),
        "{ended:?}"
    );
}

#[test]
fn an_unknown_model_is_unpriced_and_never_zero() {
    let total = run(None, "openai/nobody-knows-it", "json").json()["metrics"]["total"].clone();
    assert_eq!(
        (&total["cost_usd"], &total["cost_status"]),
        (&json!(null), &json!("unpriced"))
    );
    assert_eq!(total["tokens_total"], 1_500);
    let text = run(None, "openai/nobody-knows-it", "text");
    assert!(text.err.contains("unpriced (1 call)"), "{}", text.err);
    assert!(
        text.err.contains("no price is known for nobody-knows-it"),
        "{}",
        text.err
    );
    assert!(!text.err.contains("$0"), "{}", text.err);
}
