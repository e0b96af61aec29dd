//! How large a request can become.

use serde_json::json;

use super::*;

fn target(provider: &str, model: &str) -> ChatTarget {
    ChatTarget {
        provider: provider.into(),
        model: model.into(),
        server_address: None,
        server_port: None,
        server_path: None,
    }
}

fn request() -> ChatRequest {
    ChatRequest {
        prompt: "Grüße!".to_owned(),
        ..ChatRequest::default()
    }
}

fn bound(request: &ChatRequest, provider: &str, model: &str) -> LlmRequest {
    let described = LlmRequest::chat(provider, model);
    bounded(described, request, &target(provider, model))
}

#[test]
fn a_text_has_at_most_a_token_for_each_byte_and_a_fixed_allowance() {
    let plain = bound(&request(), "openai", "gpt-4o");
    assert_eq!(plain.input_tokens_max, Some(8 + 128 + 128));
    assert!(plain.is_text_only);
    let with_system = ChatRequest {
        system: Some("x".repeat(1_000)),
        ..request()
    };
    assert_eq!(
        bound(&with_system, "openai", "gpt-4o").input_tokens_max,
        Some(1_264)
    );
    let schema = json!({"type": "object"});
    let bytes = schema.to_string().len() as u64;
    let with_schema = ChatRequest {
        output_schema: Some(schema),
        ..request()
    };
    let grown = bound(&with_schema, "openai", "gpt-4o").input_tokens_max;
    assert_eq!(grown, Some(264 + 2 * bytes + 1_024));
}

#[test]
fn images_count_as_the_dearest_of_their_provider() {
    let pictured = ChatRequest {
        images: vec!["a.png".to_owned(), "b.png".to_owned()],
        ..request()
    };
    for (provider, model, tokens) in [
        ("openai", "gpt-4o-mini", 100_000),
        ("openai", "gpt-4o", 20_000),
        ("anthropic", "claude-sonnet-4-5", 20_000),
        ("openrouter", "anybody/anything", 100_000),
    ] {
        let bound = bound(&pictured, provider, model);
        assert_eq!(bound.input_tokens_max, Some(264 + tokens), "{model}");
        assert!(!bound.is_text_only);
    }
}

#[test]
fn the_longest_answer_is_the_largest_number_that_the_request_names() {
    let options = |options: Value, max_tokens| ChatRequest {
        model_options: Some(options),
        max_tokens,
        ..request()
    };
    for (request, longest) in [
        (request(), None),
        (options(json!({}), Some(10)), Some(10)),
        (options(json!({"max_completion_tokens": 50}), Some(10)), Some(50)),
        (options(json!({"max_completion_tokens": 5}), Some(10)), Some(10)),
        (
            options(json!({"generationConfig": {"maxOutputTokens": 7}}), None),
            Some(7),
        ),
        (options(json!({"options": {"num_predict": 9}}), None), Some(9)),
        (options(json!({"num_predict": -1}), None), None),
        (options(json!({"n": 3}), Some(10)), Some(30)),
    ] {
        let found = bound(&request, "openai", "gpt-4o").output_tokens_max;
        assert_eq!(found, longest, "{:?}", request.model_options);
    }
}

#[test]
fn reasoning_that_is_counted_beside_the_answer_has_room() {
    let short = ChatRequest {
        max_tokens: Some(10),
        ..request()
    };
    for (provider, model, longest) in [
        ("xai", "grok-4", 10 + 16_384),
        ("xai", "grok-4-1-fast-non-reasoning", 10),
        ("xai", "grok-3", 10),
        ("perplexity", "sonar-reasoning-pro", 10 + 16_384),
        ("perplexity", "sonar", 10),
        ("openai", "o3", 10),
    ] {
        assert_eq!(
            bound(&short, provider, model).output_tokens_max,
            Some(longest),
            "{model}"
        );
    }
}

#[test]
fn searches_are_counted_with_where_the_request_allows_any() {
    for (options, searches) in [
        (json!({"top_p": 0.5}), 0),
        (json!({"web_search_options": {}}), 10),
        (
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]}),
            3,
        ),
        (json!({"tools": [{"google_search": {}}, {"type": "code"}]}), 10),
    ] {
        let request = ChatRequest {
            model_options: Some(options),
            ..request()
        };
        assert_eq!(bound(&request, "openai", "gpt-4o").web_searches_max, searches);
    }
}
