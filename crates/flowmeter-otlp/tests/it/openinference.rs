//! What Arize Phoenix is given.

use expect_test::expect_file;
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
