//! The usage block of OpenAI's two APIs, and of all who speak them: DeepSeek, Groq, Mistral, xAI,
//! OpenRouter, Perplexity, llama.cpp.
//!
//! Input always includes cache reads and writes here; they are never added. Reasoning is part of the
//! completion, and is added only for the two providers that leave it out.

use flowmeter_model::{TokenUsage, UsdNanos};

use super::Speaker;
use super::fields::{Block, count, dollars, figure, has_any, nested, object, plus, sum, text};

/// Chat completions: `prompt_tokens` and `completion_tokens`.
pub(super) fn chat(block: &Block, speaker: Speaker) -> TokenUsage {
    let prompt_details = object(block, "prompt_tokens_details");
    let completion_details = object(block, "completion_tokens_details");
    let prompt_part = |key| prompt_details.and_then(|details| count(details, key));
    let completion_part = |key| completion_details.and_then(|details| count(details, key));

    let hits = count(block, "prompt_cache_hit_tokens");
    let prompt = count(block, "prompt_tokens")
        .or_else(|| plus(hits, [Some(count(block, "prompt_cache_miss_tokens")?)]));
    let completion = count(block, "completion_tokens");
    let reasoning = completion_part("reasoning_tokens").or_else(|| count(block, "reasoning_tokens"));

    let perplexity = speaker == Speaker::Perplexity
        || (speaker == Speaker::Unknown && has_any(block, &["citation_tokens", "num_search_queries"]));
    let citations = if perplexity {
        count(block, "citation_tokens")
    } else {
        None
    };
    let apart = perplexity || leaves_reasoning_out(block, speaker, prompt, completion, reasoning);
    let output = plus(completion, [if apart { reasoning } else { None }, citations]);

    TokenUsage {
        input: figure(prompt),
        cache_read: figure(
            prompt_part("cached_tokens")
                .or(hits)
                .or_else(|| count(block, "cached_tokens")),
        ),
        cache_write_5m: figure(prompt_part("cache_write_tokens")),
        input_audio: figure(prompt_part("audio_tokens")),
        input_image: figure(prompt_part("image_tokens")),
        output: figure(output),
        reasoning: figure(reasoning),
        output_audio: figure(completion_part("audio_tokens")),
        web_searches: web_searches(block).or_else(|| count(block, "num_search_queries")),
        reported_cost: reported_cost(block),
        service_tier: text(block, "service_tier"),
        ..TokenUsage::default()
    }
}

/// Responses: `input_tokens` and `output_tokens`; everything is included in them, for xAI too.
pub(super) fn responses(block: &Block) -> TokenUsage {
    TokenUsage {
        input: figure(count(block, "input_tokens")),
        cache_read: figure(nested(block, "input_tokens_details", "cached_tokens")),
        cache_write_5m: figure(nested(block, "input_tokens_details", "cache_write_tokens")),
        input_audio: figure(nested(block, "input_tokens_details", "audio_tokens")),
        input_image: figure(nested(block, "input_tokens_details", "image_tokens")),
        output: figure(count(block, "output_tokens")),
        reasoning: figure(nested(block, "output_tokens_details", "reasoning_tokens")),
        output_audio: figure(nested(block, "output_tokens_details", "audio_tokens")),
        web_searches: web_searches(block),
        reported_cost: reported_cost(block),
        service_tier: text(block, "service_tier"),
        ..TokenUsage::default()
    }
}

/// xAI's chat API counts reasoning beside the completion. The total tells whether it still does so, and
/// tells it too where nobody said whose block this is.
fn leaves_reasoning_out(
    block: &Block,
    speaker: Speaker,
    prompt: Option<u64>,
    completion: Option<u64>,
    reasoning: Option<u64>,
) -> bool {
    let total = count(block, "total_tokens");
    let inclusive_total = sum([prompt, completion]);
    match speaker {
        Speaker::Xai => total.is_none() || total != inclusive_total,
        Speaker::Unknown => {
            reasoning.is_some_and(|tokens| tokens > 0)
                && prompt.is_some()
                && completion.is_some()
                && total.is_some()
                && total == plus(inclusive_total, [reasoning])
        }
        _ => false,
    }
}

fn web_searches(block: &Block) -> Option<u64> {
    nested(block, "server_tool_use", "web_search_requests")
}

/// OpenRouter's `cost`, or Perplexity's `cost.total_cost`. With the user's own key OpenRouter charges
/// only its fee there and names what the upstream provider charges beside it.
fn reported_cost(block: &Block) -> Option<UsdNanos> {
    if let Some(parts) = object(block, "cost") {
        return dollars(parts, "total_cost");
    }
    let cost = dollars(block, "cost")?;
    let own_key = block.get("is_byok").and_then(serde_json::Value::as_bool) == Some(true);
    let upstream =
        object(block, "cost_details").and_then(|details| dollars(details, "upstream_inference_cost"));
    Some(if own_key {
        cost + upstream.unwrap_or_default()
    } else {
        cost
    })
}
