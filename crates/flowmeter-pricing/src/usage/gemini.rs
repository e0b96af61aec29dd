//! Gemini's `usageMetadata`, where tool prompts stand beside the prompt and thoughts beside the candidates.
//!
//! Never adds the cached count: the prompt includes it.

use flowmeter_model::TokenUsage;
use serde_json::Value;

use super::fields::{Block, count, figure, plus, sum, text};

/// `generateContent`, streamed or not.
pub(super) fn generate_content(block: &Block) -> TokenUsage {
    let either = |camel: &str, snake: &str| count(block, camel).or_else(|| count(block, snake));
    let tool_prompt = either("toolUsePromptTokenCount", "tool_use_prompt_token_count");
    let input = plus(either("promptTokenCount", "prompt_token_count"), [tool_prompt]);
    let thoughts = either("thoughtsTokenCount", "thoughts_token_count");
    let candidates = either("candidatesTokenCount", "candidates_token_count")
        .or_else(|| count(block, "responseTokenCount"));
    let total = either("totalTokenCount", "total_token_count");
    // Counts of zero are left out of the block; a total equal to the input proves that output is one.
    let nothing_said = (total.is_some() && total == input).then_some(0);
    TokenUsage {
        input: figure(input),
        cache_read: figure(either("cachedContentTokenCount", "cached_content_token_count")),
        output: figure(sum([candidates, thoughts]).or(nothing_said)),
        reasoning: figure(thoughts),
        input_audio: figure(modality(block, "promptTokensDetails", "AUDIO")),
        input_image: figure(modality(block, "promptTokensDetails", "IMAGE")),
        output_audio: figure(modality(block, "candidatesTokensDetails", "AUDIO")),
        service_tier: text(block, "trafficType").and_then(|traffic| tier(&traffic)),
        ..TokenUsage::default()
    }
}

fn modality(block: &Block, key: &str, wanted: &str) -> Option<u64> {
    let parts = block.get(key)?.as_array()?;
    let matching = parts.iter().filter_map(Value::as_object).filter(|part| {
        part.get("modality")
            .and_then(Value::as_str)
            .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    });
    matching
        .filter_map(|part| count(part, "tokenCount"))
        .reduce(u64::saturating_add)
}

fn tier(traffic: &str) -> Option<String> {
    match traffic {
        "ON_DEMAND_PRIORITY" => Some("priority".to_owned()),
        "ON_DEMAND_FLEX" => Some("flex".to_owned()),
        "PROVISIONED_THROUGHPUT" => Some("provisioned".to_owned()),
        _ => None,
    }
}
