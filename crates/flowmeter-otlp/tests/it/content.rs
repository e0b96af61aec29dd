//! What leaves the machine when content is off, and what is never made up.

use flowmeter_model::{Span, SpanKind};
use flowmeter_otlp::{Encoder, EncoderConfig, SemanticConventions, names};
use serde_json::{Value, json};

use crate::sample;

/// All attributes of the one span, by key. A key that came twice would be lost here: that is checked.
pub(crate) fn attributes(encoder: &Encoder, span: &Span) -> serde_json::Map<String, Value> {
    let resource = sample::resource();
    let request = encoder.traces(&sample::envelope(&resource), &mut std::iter::once(span));
    let value: Value = serde_json::from_slice(&request.to_json()).unwrap();
    let list = &value["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"];
    let list = list.as_array().unwrap();
    let map: serde_json::Map<String, Value> = list
        .iter()
        .map(|pair| (pair["key"].as_str().unwrap().to_owned(), pair["value"].clone()))
        .collect();
    assert_eq!(map.len(), list.len(), "a key comes twice: {list:?}");
    map
}

#[test]
fn without_content_no_value_of_a_prompt_an_answer_or_the_store_is_written() {
    let resource = sample::resource();
    let spans = sample::spans();
    for openinference in [false, true] {
        let encoder = sample::encoder(SemanticConventions::Both, openinference, false);
        let request = encoder.traces(&sample::envelope(&resource), &mut spans.iter());
        let text = String::from_utf8(request.to_json()).unwrap();
        for secret in [
            "Paris",
            "be brief",
            "I look",
            "notes.txt",
            "line ",
            "${file}",
            "call_1",
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        let with = sample::encoder(SemanticConventions::Both, openinference, true);
        let text = with
            .traces(&sample::envelope(&resource), &mut spans.iter())
            .to_json();
        assert!(String::from_utf8(text).unwrap().contains("notes.txt"));
    }
}

#[test]
fn figures_have_the_types_of_the_conventions() {
    let encoder = sample::encoder(SemanticConventions::Latest, false, true);
    let found = attributes(&encoder, &sample::chat());
    assert_eq!(found[names::REQUEST_TEMPERATURE], json!({"doubleValue": 1.0}));
    assert_eq!(found[names::REQUEST_MAX_TOKENS], json!({"intValue": "500"}));
    assert_eq!(found[names::REQUEST_STREAM], json!({"boolValue": true}));
    assert_eq!(
        found[names::FINISH_REASONS],
        json!({"arrayValue": {"values": [{"stringValue": "tool_calls"}]}})
    );
    let messages = found[names::INPUT_MESSAGES]["stringValue"].as_str().unwrap();
    let messages: Value = serde_json::from_str(messages).unwrap();
    assert_eq!(messages[1]["parts"][0]["content"], "weather in \"Paris\"?");
    // The model has more than the attributes said.
    assert_eq!(found[names::CACHE_READ_TOKENS], json!({"intValue": "1024"}));
    assert_eq!(found[names::CACHE_WRITE_TOKENS], json!({"intValue": "100"}));
    assert_eq!(found[names::COST_NANOS], json!({"intValue": "4750001"}));
    assert_eq!(found[names::COST_USD], json!({"doubleValue": 0.004_750_001}));
    assert!(!found.contains_key(names::CONVERSATION_ID));
}

#[test]
fn each_edition_has_its_own_name_for_tokens_written_to_the_cache() {
    for (conventions, latest, older) in [
        (SemanticConventions::Latest, true, false),
        (SemanticConventions::V1_41, false, true),
        (SemanticConventions::Both, true, true),
    ] {
        let encoder = sample::encoder(conventions, false, false);
        let mut span = sample::chat();
        for given in [
            None,
            Some(names::CACHE_WRITE_TOKENS),
            Some(names::CACHE_WRITE_TOKENS_V1_41),
        ] {
            if let Some(given) = given {
                span.attributes = sample::chat().attributes;
                span.attributes.set(given, 100_i64);
            }
            let found = attributes(&encoder, &span);
            assert_eq!(found.contains_key(names::CACHE_WRITE_TOKENS), latest);
            assert_eq!(found.contains_key(names::CACHE_WRITE_TOKENS_V1_41), older);
        }
    }
}

#[test]
fn extra_attributes_go_to_every_span_that_has_none_of_that_name() {
    let encoder = Encoder::new(EncoderConfig {
        span_attributes: vec![
            ("deployment".into(), "test".into()),
            ("mine".into(), "theirs".into()),
        ],
        ..EncoderConfig::default()
    });
    let mut span = sample::span(9, 1, SpanKind::Custom, "step");
    span.attributes.set("mine", "mine");
    let found = attributes(&encoder, &span);
    assert_eq!(found["deployment"]["stringValue"], "test");
    assert_eq!(found["mine"]["stringValue"], "mine");
}

#[test]
fn other_genai_operations_of_library_users_have_their_names_and_kinds() {
    let name_and_kind = |pairs: &[(&'static str, &str)]| {
        let mut span = sample::span(9, 1, SpanKind::Custom, "step");
        for (key, value) in pairs {
            span.attributes.set(*key, *value);
        }
        let resource = sample::resource();
        let encoder = sample::encoder(SemanticConventions::Latest, false, false);
        let request = encoder.traces(&sample::envelope(&resource), &mut std::iter::once(&span));
        let value: Value = serde_json::from_slice(&request.to_json()).unwrap();
        let span = &value["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        (
            span["name"].as_str().unwrap().to_owned(),
            span["kind"].as_i64().unwrap(),
        )
    };
    let operation = |name| (names::OPERATION_NAME, name);
    assert_eq!(name_and_kind(&[]), ("step".to_owned(), 1));
    assert_eq!(
        name_and_kind(&[operation("execute_tool"), (names::TOOL_NAME, "get_weather")]),
        ("execute_tool get_weather".to_owned(), 1)
    );
    let agent = [operation("invoke_agent"), (names::AGENT_NAME, "planner")];
    assert_eq!(name_and_kind(&agent), ("invoke_agent planner".to_owned(), 1));
    let remote = [agent[0], agent[1], (names::SERVER_ADDRESS, "agents.example")];
    assert_eq!(name_and_kind(&remote), ("invoke_agent planner".to_owned(), 3));
    assert_eq!(
        name_and_kind(&[operation("chat"), (names::REQUEST_MODEL, "m")]),
        ("chat m".to_owned(), 3)
    );
}
