//! Spans as other programs name things, under the names that are read here.

use expect_test::expect;

use super::*;

fn settled(value: Value) -> String {
    let mut attributes: Attributes = serde_json::from_value(value).unwrap();
    settle(&mut attributes);
    serde_json::to_string_pretty(&attributes).unwrap()
}

#[test]
fn openinference_is_understood() {
    expect![[r#"
        {
          "openinference.span.kind": "LLM",
          "llm.system": "openai",
          "llm.model_name": "gpt-4o-2024-08-06",
          "llm.token_count.prompt": 1200,
          "llm.token_count.completion": 300,
          "llm.token_count.prompt_details.cache_read": 1024,
          "llm.token_count.completion_details.reasoning": 128,
          "llm.output_messages.0.message.oddity": "kept",
          "session.id": "sess-1",
          "gen_ai.operation.name": "chat",
          "gen_ai.provider.name": "openai",
          "gen_ai.request.model": "gpt-4o-2024-08-06",
          "gen_ai.usage.input_tokens": 1200,
          "gen_ai.usage.output_tokens": 300,
          "gen_ai.usage.cache_read.input_tokens": 1024,
          "gen_ai.usage.reasoning.output_tokens": 128,
          "gen_ai.input.messages": [
            {
              "role": "system",
              "parts": [
                {
                  "type": "text",
                  "content": "be brief"
                }
              ]
            },
            {
              "role": "user",
              "parts": [
                {
                  "type": "text",
                  "content": "weather in Paris?"
                }
              ]
            }
          ],
          "gen_ai.output.messages": [
            {
              "role": "assistant",
              "parts": [
                {
                  "type": "tool_call",
                  "name": "get_weather",
                  "arguments": {
                    "city": "Paris"
                  },
                  "id": "call_1"
                }
              ]
            }
          ]
        }"#]]
    .assert_eq(&settled(json!({
        "openinference.span.kind": "LLM",
        "llm.system": "openai",
        "llm.model_name": "gpt-4o-2024-08-06",
        "llm.token_count.prompt": 1200,
        "llm.token_count.completion": 300,
        "llm.token_count.prompt_details.cache_read": 1024,
        "llm.token_count.completion_details.reasoning": 128,
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": "weather in Paris?",
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "be brief",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "get_weather",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{\"city\":\"Paris\"}",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "call_1",
        "llm.output_messages.0.message.oddity": "kept",
        "session.id": "sess-1",
    })));
}

#[test]
fn openllmetry_is_understood() {
    expect![[r#"
        {
          "llm.request.type": "chat",
          "gen_ai.system": "OpenAI",
          "gen_ai.request.model": "gpt-4o",
          "gen_ai.usage.prompt_tokens": 12,
          "gen_ai.usage.completion_tokens": 3,
          "gen_ai.usage.reasoning_tokens": 2,
          "gen_ai.operation.name": "chat",
          "gen_ai.provider.name": "openai",
          "gen_ai.usage.input_tokens": 12,
          "gen_ai.usage.output_tokens": 3,
          "gen_ai.usage.reasoning.output_tokens": 2
        }"#]]
    .assert_eq(&settled(json!({
        "llm.request.type": "chat",
        "gen_ai.system": "OpenAI",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.prompt_tokens": 12,
        "gen_ai.usage.completion_tokens": 3,
        "gen_ai.usage.reasoning_tokens": 2,
    })));
}

#[test]
fn proper_names_win_and_other_spans_are_left_alone() {
    let proper = json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "a",
        "llm.model_name": "b",
        "gen_ai.usage.input_tokens": 5,
        "llm.token_count.prompt": 9,
    });
    assert_eq!(
        settled(proper.clone()),
        serde_json::to_string_pretty(&proper).unwrap()
    );
    let http = json!({"http.request.method": "GET", "input.value": "x"});
    assert_eq!(
        settled(http.clone()),
        serde_json::to_string_pretty(&http).unwrap()
    );
}

#[test]
fn input_without_its_cached_part_is_made_whole() {
    let input = |value: Value| {
        let mut attributes: Attributes = serde_json::from_value(value).unwrap();
        settle(&mut attributes);
        attributes.get(names::INPUT_TOKENS).cloned()
    };
    let tokens = |input: i64, read: i64| json!({"gen_ai.usage.input_tokens": input, "gen_ai.usage.cache_read.input_tokens": read});
    assert_eq!(input(tokens(10, 1_000)), Some(AttributeValue::I64(1_010)));
    assert_eq!(input(tokens(1_010, 1_000)), Some(AttributeValue::I64(1_010)));
}
