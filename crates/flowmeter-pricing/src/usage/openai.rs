//! The usage block of OpenAI's APIs, and of all who speak them: DeepSeek, Groq, Mistral, xAI, OpenRouter,
//! Perplexity, llama.cpp, gateways.
//!
//! Input always includes cache reads and writes here; they are never added. Reasoning is part of the
//! completion, and is added only where a provider is known to leave it out, or the total proves it.

use flowmeter_model::{TokenUsage, UsdNanos};

use super::Speaker;
use super::fields::{
    any_count, any_object, count, dollars, figure, has_any, nested, object, plus, seconds_as_ms, sum, text,
};
use super::node::{Block, Node};

/// Chat completions: `prompt_tokens` and `completion_tokens`. `is_list` tells of an answer that is a list,
/// as of embeddings or ranked documents.
pub(super) fn chat(block: &Block<'_>, speaker: Speaker, is_list: bool) -> TokenUsage {
    let prompt_details = any_object(block, &["prompt_tokens_details", "prompt_token_details"]);
    let completion_details = object(block, "completion_tokens_details");
    let total = count(block, "total_tokens");
    let hits = count(block, "prompt_cache_hit_tokens");
    let mut prompt = count(block, "prompt_tokens")
        .or_else(|| plus(hits, [Some(count(block, "prompt_cache_miss_tokens")?)]));
    let completion = count(block, "completion_tokens");
    if is_list && !has_any(block, &["prompt_tokens", "completion_tokens"]) {
        // Where nothing is generated, the total is the input; some say no more than that.
        prompt = prompt.or(total);
    }
    let connectors = count(block, "connector_tokens")
        .filter(|tokens| total.is_some() && total == sum([prompt, completion, Some(*tokens)]));

    let read = details_count(prompt_details, &["cached_tokens"])
        .or(hits)
        .or_else(|| {
            any_count(
                block,
                &[
                    "cached_tokens",
                    "num_cached_tokens",
                    "cache_read_input_tokens",
                    "cached_prompt_text_tokens",
                ],
            )
        });
    let written = Written::of(block, prompt_details);
    // Gateways that hand Anthropic's counts on under OpenAI's names may leave the cache out of the prompt:
    // a part larger than the whole proves it.
    let anthropic = has_any(block, &["cache_read_input_tokens", "cache_creation_input_tokens"]);
    let leaves_cache_out = anthropic && sum([read, written.total()]) > prompt;
    let input = if leaves_cache_out {
        plus(prompt, [read, written.total()])
    } else {
        plus(prompt, [connectors])
    };

    let (output, reasoning, citation) = output(block, speaker, prompt, completion, total);
    let cached = prompt_details.and_then(|details| object(details, "cached_tokens_details"));
    TokenUsage {
        input: figure(input),
        cache_read: figure(read),
        cache_write_5m: figure(written.short),
        cache_write_1h: figure(written.long),
        input_audio: figure(details_count(prompt_details, &["audio_tokens"])),
        input_image: figure(details_count(prompt_details, &["image_tokens"])),
        input_video: figure(details_count(prompt_details, &["video_tokens"])),
        cache_read_audio: figure(details_count(cached, &["audio_tokens"])),
        cache_read_image: figure(details_count(cached, &["image_tokens"])),
        output: figure(output),
        reasoning: figure(reasoning),
        citation: figure(citation),
        output_audio: figure(details_count(completion_details, &["audio_tokens"])),
        output_image: figure(details_count(completion_details, &["image_tokens"])),
        audio_ms: seconds_as_ms(block, "prompt_audio_seconds"),
        ..told_apart(block)
    }
}

/// Output with all that is charged as such, and the reasoning and the citations among it.
fn output(
    block: &Block<'_>,
    speaker: Speaker,
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
) -> (Option<u64>, Option<u64>, Option<u64>) {
    let reasoning = nested(block, "completion_tokens_details", "reasoning_tokens")
        .or_else(|| count(block, "reasoning_tokens"));
    if speaker == Speaker::Perplexity || has_any(block, &["citation_tokens", "num_search_queries"]) {
        let citation = count(block, "citation_tokens");
        return (plus(completion, [reasoning, citation]), reasoning, citation);
    }
    let inclusive = sum([prompt, completion]).filter(|_| prompt.is_some() && completion.is_some());
    let proved = reasoning.is_some_and(|tokens| tokens > 0)
        && total.is_some()
        && inclusive.is_some()
        && total == plus(inclusive, [reasoning]);
    let by_rule = speaker == Speaker::Xai && (total.is_none() || total != inclusive);
    if proved || by_rule {
        return (plus(completion, [reasoning]), reasoning, None);
    }
    // Google's chat completions leave thoughts out and do not name them: they are what the total has more.
    let unnamed = inclusive.and_then(|inclusive| total?.checked_sub(inclusive));
    match unnamed.filter(|more| *more > 0 && speaker == Speaker::Google && reasoning.is_none()) {
        Some(thoughts) => (plus(completion, [Some(thoughts)]), Some(thoughts), None),
        None => (completion, reasoning, None),
    }
}

/// Responses: `input_tokens` and `output_tokens`; everything is included in them, for xAI too. So it is for
/// images, transcriptions and realtime sessions.
pub(super) fn responses(block: &Block<'_>) -> TokenUsage {
    let input = any_object(
        block,
        &[
            "input_tokens_details",
            "input_token_details",
            "prompt_tokens_details",
        ],
    );
    let output = any_object(
        block,
        &[
            "output_tokens_details",
            "output_token_details",
            "completion_tokens_details",
        ],
    );
    let cached = input.and_then(|details| object(details, "cached_tokens_details"));
    let written = Written::of(block, input);
    TokenUsage {
        input: figure(count(block, "input_tokens")),
        cache_read: figure(details_count(
            input,
            &["cached_tokens", "cache_read_input_tokens", "cache_read"],
        )),
        cache_write_5m: figure(written.short),
        cache_write_1h: figure(written.long),
        input_audio: figure(details_count(input, &["audio_tokens", "audio"])),
        input_image: figure(details_count(input, &["image_tokens"])),
        input_video: figure(details_count(input, &["video_tokens"])),
        cache_read_audio: figure(details_count(cached, &["audio_tokens"])),
        cache_read_image: figure(details_count(cached, &["image_tokens"])),
        output: figure(count(block, "output_tokens")),
        reasoning: figure(
            details_count(output, &["reasoning_tokens", "reasoning"])
                .or_else(|| count(block, "reasoning_tokens")),
        ),
        output_audio: figure(details_count(output, &["audio_tokens", "audio"])),
        output_image: figure(details_count(output, &["image_tokens"])),
        audio_ms: seconds_as_ms(block, "billable_audio_seconds"),
        ..told_apart(block)
    }
}

/// A transcription that is charged by its length.
pub(super) fn duration(block: &Block<'_>) -> TokenUsage {
    TokenUsage {
        audio_ms: ["seconds", "billable_audio_seconds"]
            .iter()
            .find_map(|key| seconds_as_ms(block, key)),
        ..told_apart(block)
    }
}

/// What is told beside the tokens: searches, the cost, the tier.
fn told_apart(block: &Block<'_>) -> TokenUsage {
    TokenUsage {
        web_searches: web_searches(block),
        web_fetches: nested(block, "server_tool_use", "web_fetch_requests"),
        file_searches: nested(block, "server_side_tool_usage_details", "file_search_calls"),
        reported_cost: reported_cost(block),
        service_tier: text(block, "service_tier").map(str::to_owned),
        ..TokenUsage::default()
    }
}

/// Searches in the web under all the names in use: OpenRouter's and Anthropic's, Perplexity's two, Mistral's,
/// xAI's tools, and the sources of xAI's earlier live search, which were charged one by one.
fn web_searches(block: &Block<'_>) -> Option<u64> {
    nested(block, "server_tool_use", "web_search_requests")
        .or_else(|| count(block, "num_search_queries"))
        .or_else(|| nested(object(block, "tool_calls_details")?, "search_web", "invocation"))
        .or_else(|| nested(block, "connectors", "web_search"))
        .or_else(|| {
            let tools = object(block, "server_side_tool_usage_details")?;
            sum([count(tools, "web_search_calls"), count(tools, "x_search_calls")])
        })
        .or_else(|| count(block, "num_sources_used").filter(|sources| *sources > 0))
}

fn details_count(details: Option<&Block<'_>>, keys: &[&str]) -> Option<u64> {
    any_count(details?, keys)
}

/// Tokens written to the cache, by how long they stay.
struct Written {
    short: Option<u64>,
    long: Option<u64>,
}

impl Written {
    fn of(block: &Block<'_>, details: Option<&Block<'_>>) -> Self {
        // Alibaba's Qwen keeps Anthropic's names, within the details.
        let names = [
            "cache_write_tokens",
            "cache_creation_tokens",
            "cache_creation_input_tokens",
            "cache_creation",
        ];
        let total = details_count(details, &names)
            .or_else(|| any_count(block, &["cache_creation_input_tokens", "cache_write_tokens"]));
        let split = details.and_then(|details| {
            any_object(
                details,
                &[
                    "cache_write_tokens_details",
                    "cache_creation_token_details",
                    "cache_creation",
                ],
            )
        });
        let short = details_count(split, &["ttl_30m_tokens", "ephemeral_5m_input_tokens"]);
        let long = details_count(split, &["ttl_12h_tokens", "ephemeral_1h_input_tokens"]);
        let total = total.or_else(|| sum([short, long]));
        let long = long.map(|long| long.min(total.unwrap_or(long)));
        Self {
            short: total.map(|total| total - long.unwrap_or(0)),
            long,
        }
    }

    fn total(&self) -> Option<u64> {
        sum([self.short, self.long])
    }
}

/// OpenRouter's `cost`, Perplexity's `cost.total_cost`, or xAI's ticks, of which ten are a nano-dollar. With
/// the user's own key OpenRouter charges only its fee and names what the upstream provider charges beside it.
fn reported_cost(block: &Block<'_>) -> Option<UsdNanos> {
    if let Some(ticks) = count(block, "cost_in_usd_ticks") {
        return i64::try_from((ticks + 5) / 10).ok().map(UsdNanos);
    }
    if let Some(parts) = object(block, "cost") {
        return dollars(parts, "total_cost");
    }
    let cost = dollars(block, "cost")?;
    let own_key = matches!(block.get("is_byok"), Some(Node::Bool(true)));
    let upstream =
        object(block, "cost_details").and_then(|details| dollars(details, "upstream_inference_cost"));
    Some(if own_key {
        cost + upstream.unwrap_or_default()
    } else {
        cost
    })
}
