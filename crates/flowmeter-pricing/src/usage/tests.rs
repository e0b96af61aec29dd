//! Every provider's shape, and the mistakes that are easily made with it.

use flowmeter_model::{TokenUsage, UsdNanos};
use serde_json::{Value, json};

use crate::extract_usage;

/// input, cache read, write 5m, write 1h, output, reasoning.
type Counts = [Option<u64>; 6];

fn counts(usage: &TokenUsage) -> Counts {
    [
        usage.input,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
    ]
    .map(|figure| figure.map(|figure| figure.tokens))
}

#[track_caller]
fn check(hint: Option<&str>, body: Value, wanted: Counts) -> TokenUsage {
    let usage = extract_usage(hint, &body);
    assert_eq!(counts(&usage), wanted, "{hint:?} {body}");
    usage
}

#[test]
fn openai_chat_includes_cache_and_reasoning() {
    let body = json!({"choices": [], "service_tier": "flex", "usage": {
        "prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100, "audio_tokens": 7, "image_tokens": 9},
        "completion_tokens_details": {"reasoning_tokens": 400, "audio_tokens": 3, "rejected_prediction_tokens": 5}}});
    for hint in [
        None,
        Some("openai"),
        Some("azure.ai.openai"),
        Some("groq"),
        Some("openrouter"),
    ] {
        let usage = check(
            hint,
            body.clone(),
            [Some(1000), Some(600), Some(100), None, Some(500), Some(400)],
        );
        assert_eq!(usage.service_tier.as_deref(), Some("flex"));
        assert_eq!(usage.input_audio.map(|audio| audio.tokens), Some(7));
        assert_eq!(usage.input_image.map(|image| image.tokens), Some(9));
        assert_eq!(usage.output_audio.map(|audio| audio.tokens), Some(3));
    }
}

#[test]
fn openai_responses_include_everything_and_count_searches() {
    let response = json!({"object": "response", "output": [
            {"type": "web_search_call", "action": {"type": "search"}},
            {"type": "web_search_call", "action": {"type": "open_page"}},
            {"type": "message"}],
        "usage": {"input_tokens": 900, "output_tokens": 80, "total_tokens": 980,
            "input_tokens_details": {"cached_tokens": 300}, "output_tokens_details": {"reasoning_tokens": 64}}});
    let wanted = [Some(900), Some(300), None, None, Some(80), Some(64)];
    let usage = check(Some("openai"), response.clone(), wanted);
    assert_eq!(usage.web_searches, Some(1));
    check(
        None,
        json!({"type": "response.completed", "response": response.clone()}),
        wanted,
    );
    // On xAI's Responses API reasoning is included, unlike on its chat API.
    check(Some("xai"), response, wanted);
}

#[test]
fn anthropic_input_leaves_the_cache_out() {
    let body = json!({"type": "message", "usage": {
        "input_tokens": 176, "cache_read_input_tokens": 1024, "cache_creation_input_tokens": 200,
        "cache_creation": {"ephemeral_5m_input_tokens": 150, "ephemeral_1h_input_tokens": 50},
        "output_tokens": 300, "output_tokens_details": {"thinking_tokens": 120},
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}, "service_tier": "standard"}});
    for hint in [None, Some("anthropic"), Some("bedrock")] {
        let usage = check(
            hint,
            body.clone(),
            [Some(1400), Some(1024), Some(150), Some(50), Some(300), Some(120)],
        );
        assert_eq!(usage.web_searches, Some(2));
        assert_eq!(usage.service_tier.as_deref(), Some("standard"));
    }
    // Without the split, all was written at the default life.
    check(
        Some("anthropic"),
        json!({"usage": {"input_tokens": 1, "cache_creation_input_tokens": 10, "output_tokens": 2}}),
        [Some(11), None, Some(10), None, Some(2), None],
    );
    let fast = extract_usage(
        None,
        &json!({"type": "message", "usage": {"input_tokens": 1, "speed": "fast"}}),
    );
    assert_eq!(fast.service_tier.as_deref(), Some("fast"));
}

#[test]
fn gemini_adds_tool_prompt_and_thoughts_but_no_cache() {
    let block = json!({"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30, "toolUsePromptTokenCount": 5, "totalTokenCount": 155, "trafficType": "ON_DEMAND_FLEX",
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 12}, {"modality": "TEXT", "tokenCount": 88}]});
    let wanted = [Some(105), Some(40), None, None, Some(50), Some(30)];
    let usage = check(Some("gemini"), json!({"usageMetadata": block.clone()}), wanted);
    assert_eq!(usage.input_audio.map(|audio| audio.tokens), Some(12));
    assert_eq!(usage.service_tier.as_deref(), Some("flex"));
    check(
        None,
        json!([{"usageMetadata": {"promptTokenCount": 1}}, {"usageMetadata": block}]),
        wanted,
    );
    // Zero is left out of the block, and then the total proves it.
    check(
        None,
        json!({"usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}}),
        [Some(9), None, None, None, Some(0), None],
    );
    check(
        None,
        json!({"usageMetadata": {"promptTokenCount": 9}}),
        [Some(9), None, None, None, None, None],
    );
}

#[test]
fn bedrock_input_leaves_the_cache_out() {
    let block = json!({"inputTokens": 10, "outputTokens": 5, "totalTokens": 75, "cacheReadInputTokens": 20,
        "cacheWriteInputTokens": 40, "cacheDetails": [{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 10}]});
    let wanted = [Some(70), Some(20), Some(10), Some(30), Some(5), None];
    check(Some("aws.bedrock"), json!({"usage": block.clone()}), wanted);
    check(
        None,
        json!({"metadata": {"usage": block, "metrics": {"latencyMs": 1}}}),
        wanted,
    );
    let metrics = json!({"inputTokenCount": 10, "outputTokenCount": 5, "cacheReadInputTokenCount": 20});
    check(
        None,
        json!({"amazon-bedrock-invocationMetrics": metrics.clone()}),
        [Some(30), Some(20), None, None, Some(5), None],
    );
    // The model's native block goes first.
    check(
        None,
        json!({"type": "message_delta", "usage": {"input_tokens": 1, "output_tokens": 7},
        "amazon-bedrock-invocationMetrics": metrics}),
        [Some(1), None, None, None, Some(7), None],
    );
    check(
        None,
        json!({"x-amzn-bedrock-input-token-count": "12", "x-amzn-bedrock-output-token-count": "3"}),
        [Some(12), None, None, None, Some(3), None],
    );
}

#[test]
fn cohere_counts_what_is_billed() {
    let usage = json!({"billed_units": {"input_tokens": 5.0, "output_tokens": 418}, "cached_tokens": 2,
        "tokens": {"input_tokens": 71, "output_tokens": 500}});
    let wanted = [Some(5), Some(2), None, None, Some(418), None];
    check(Some("cohere"), json!({"usage": usage.clone()}), wanted);
    check(
        None,
        json!({"type": "message-end", "delta": {"usage": usage}}),
        wanted,
    );
    check(
        None,
        json!({"meta": {"billed_units": {"input_tokens": 3, "output_tokens": 4}}}),
        [Some(3), None, None, None, Some(4), None],
    );
}

#[test]
fn ollama_may_leave_the_prompt_out() {
    check(
        Some("ollama"),
        json!({"done": true, "prompt_eval_count": 26, "eval_count": 298, "eval_duration": 1}),
        [Some(26), None, None, None, Some(298), None],
    );
    check(
        None,
        json!({"done": true, "eval_count": 298}),
        [None, None, None, None, Some(298), None],
    );
}

#[test]
fn deepseek_tells_hits_and_misses() {
    let wanted = [Some(100), Some(64), None, None, Some(9), None];
    check(
        Some("deepseek"),
        json!({"usage": {"prompt_tokens": 100, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36, "completion_tokens": 9}}),
        wanted,
    );
    check(
        None,
        json!({"usage": {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36, "completion_tokens": 9}}),
        wanted,
    );
}

#[test]
fn xai_chat_leaves_reasoning_out() {
    let body = json!({"usage": {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
        "completion_tokens_details": {"reasoning_tokens": 94}}});
    let wanted = [Some(32), None, None, None, Some(103), Some(94)];
    for hint in [Some("xai"), Some("x_ai"), Some("x-ai"), None] {
        check(hint, body.clone(), wanted);
    }
    // Should xAI begin to include it, the total will say so.
    check(
        Some("xai"),
        json!({"usage": {"prompt_tokens": 32, "completion_tokens": 103, "total_tokens": 135,
            "completion_tokens_details": {"reasoning_tokens": 94}}}),
        wanted,
    );
}

#[test]
fn perplexity_leaves_reasoning_and_citations_out() {
    let body = json!({"usage": {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110,
        "reasoning_tokens": 1000, "citation_tokens": 50, "num_search_queries": 3,
        "cost": {"total_cost": 0.25}}});
    for hint in [Some("perplexity"), None] {
        let usage = check(
            hint,
            body.clone(),
            [Some(10), None, None, None, Some(1150), Some(1000)],
        );
        assert_eq!(usage.web_searches, Some(3));
        assert_eq!(usage.reported_cost, Some(UsdNanos(250_000_000)));
    }
}

#[test]
fn openrouter_reports_the_cost() {
    let mut body = json!({"usage": {"prompt_tokens": 10, "completion_tokens": 2, "cost": 0.00015, "is_byok": false,
        "cost_details": {"upstream_inference_cost": 0.003}}});
    assert_eq!(
        extract_usage(Some("openrouter"), &body).reported_cost,
        Some(UsdNanos(150_000))
    );
    body["usage"]["is_byok"] = json!(true);
    assert_eq!(
        extract_usage(Some("openrouter"), &body).reported_cost,
        Some(UsdNanos(3_150_000))
    );
    body["usage"]["cost"] = json!(-1);
    assert_eq!(extract_usage(Some("openrouter"), &body).reported_cost, None);
}

#[test]
fn groq_may_nest_the_block() {
    check(
        Some("groq"),
        json!({"choices": [], "x_groq": {"id": "r", "usage": {"prompt_tokens": 4, "completion_tokens": 5, "queue_time": 0.1}}}),
        [Some(4), None, None, None, Some(5), None],
    );
}

#[test]
fn the_total_is_never_taken_for_input_or_output() {
    check(
        None,
        json!({"usage": {"total_tokens": 99, "prompt_tokens": 1}}),
        [Some(1), None, None, None, None, None],
    );
    check(None, json!({"usage": {"total_tokens": 99}}), [None; 6]);
}

#[test]
fn absent_is_not_zero() {
    for body in [
        json!(null),
        json!({}),
        json!({"usage": null}),
        json!({"usage": {}}),
        json!({"usage": "many"}),
        json!([]),
        json!({"usage": {"prompt_tokens": null, "completion_tokens": -4}}),
        json!({"usage": {"input_tokens": "NaN", "output_tokens": true}}),
    ] {
        let usage = extract_usage(None, &body);
        assert!(!usage.is_known(), "{body}: {usage:?}");
    }
    let zero = extract_usage(
        None,
        &json!({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}),
    );
    assert_eq!(counts(&zero)[0], Some(0));
    assert!(zero.is_known());
}

#[test]
fn the_block_alone_will_do() {
    check(
        None,
        json!({"prompt_tokens": 3, "completion_tokens": 4}),
        [Some(3), None, None, None, Some(4), None],
    );
    check(
        None,
        json!({"input_tokens": 3, "cache_read_input_tokens": 4}),
        [Some(7), Some(4), None, None, None, None],
    );
}
