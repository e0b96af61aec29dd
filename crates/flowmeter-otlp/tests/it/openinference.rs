//! What Arize Phoenix is given.

use std::sync::Arc;

use expect_test::expect_file;
use flowmeter_model::{SpanKind, TemplateResolution};
use flowmeter_otlp::SemanticConventions;
use serde_json::Value;

use crate::content::attributes;
use crate::sample;

fn is_openinference(key: &str) -> bool {
    let prefixes = [
        "openinference.",
        "llm.",
        "embedding.",
        "input.",
        "output.",
        "tool.",
        "session.",
    ];
    prefixes.iter().any(|prefix| key.starts_with(prefix))
}

fn shown(value: &Value) -> String {
    let (_, value) = value.as_object().unwrap().iter().next().unwrap();
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn each_kind_of_span_says_what_it_is_and_the_messages_are_flat() {
    let encoder = sample::encoder(SemanticConventions::Latest, true, true);
    let mut text = String::new();
    for span in sample::spans() {
        text.push_str(&format!("### {}\n", span.operation));
        let found = attributes(&encoder, &span);
        for (key, value) in found.iter().filter(|(key, _)| is_openinference(key)) {
            text.push_str(&format!("{key} = {}\n", shown(value)));
        }
    }
    expect_file!["../golden/openinference.txt"].assert_eq(&text);
}

#[test]
fn a_span_that_speaks_openinference_itself_is_left_alone() {
    let encoder = sample::encoder(SemanticConventions::Latest, true, true);
    let mut span = sample::chat();
    span.attributes.set("openinference.span.kind", "GUARDRAIL");
    let found = attributes(&encoder, &span);
    assert_eq!(found["openinference.span.kind"]["stringValue"], "GUARDRAIL");
    assert!(!found.contains_key("llm.model_name"));
}

#[test]
fn a_workflow_shows_what_its_outputs_became() {
    let encoder = sample::encoder(SemanticConventions::Latest, true, true);
    let resolved = |template: &str, value: Value| TemplateResolution {
        template: template.to_owned(),
        value: Arc::new(value),
    };
    let mut span = sample::run();
    span.templates = vec![resolved("${count.stdout}", "5".into())];
    let found = attributes(&encoder, &span);
    assert_eq!(found["output.value"]["stringValue"], "5");
    assert_eq!(found["output.mime_type"]["stringValue"], "text/plain");

    span.templates
        .push(resolved("${ask.results}", serde_json::json!([1, 2])));
    let found = attributes(&encoder, &span);
    assert_eq!(
        found["output.value"]["stringValue"],
        r#"{"${count.stdout}":"5","${ask.results}":[1,2]}"#
    );
    assert_eq!(found["output.mime_type"]["stringValue"], "application/json");

    // What a node's templates became is what it was given.
    span.kind = SpanKind::Node;
    assert!(!attributes(&encoder, &span).contains_key("output.value"));
    span.kind = SpanKind::Run;
    let silent = sample::encoder(SemanticConventions::Latest, true, false);
    assert!(!attributes(&silent, &span).contains_key("output.value"));
}

#[test]
fn messages_of_any_shape_are_shown_somehow() {
    let encoder = sample::encoder(SemanticConventions::Latest, true, true);
    arbtest::arbtest(|u| {
        let mut span = sample::chat();
        let shapes = [
            serde_json::json!("just a text"),
            serde_json::json!({"role": "user", "content": "one"}),
            serde_json::json!([{"role": "user", "content": [{"type": "text", "text": "one"}, 7]}]),
            serde_json::json!([1, null, [], {}, {"parts": 3}, {"parts": [{"type": "uri", "uri": "u", "modality": "image"}]}]),
            serde_json::json!([{"role": "tool", "parts": [{"type": "tool_call_response"}, {"type": "tool_call_response", "response": []}]}]),
            serde_json::json!([{"parts": [{"type": "tool_call", "arguments": "{}"}, {"type": "blob", "mime_type": "image/png", "content": "AA=="}]}]),
        ];
        span.attributes
            .set("gen_ai.input.messages", u.choose(&shapes)?.clone());
        span.attributes
            .set("gen_ai.output.messages", u.choose(&shapes)?.clone());
        let found = attributes(&encoder, &span);
        assert!(found.keys().any(|key| key.starts_with("llm.input_messages.0")));
        Ok(())
    });
}
