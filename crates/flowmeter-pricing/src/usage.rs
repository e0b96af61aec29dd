//! Finds the usage block in what a provider answered, tells whose shape it has, and reads it.
//!
//! Never panics, never sums two blocks, and leaves unknown what the provider left out.

mod anthropic;
mod bedrock;
mod cohere;
pub(crate) mod fields;
mod gemini;
mod ollama;
mod openai;

use flowmeter_model::TokenUsage;
use serde_json::Value;

use crate::host::{Host, host};
use fields::{Block, has_any, object};

/// Whose dialect a block is in, where the hint tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    Anthropic,
    Xai,
    Perplexity,
    /// A provider whose blocks need no special treatment.
    Plain,
    /// Nobody said, or it is nobody we know.
    Unknown,
}

impl Speaker {
    pub(crate) fn of(hint: Option<&str>) -> Self {
        match hint.map(host) {
            Some(Host::Known("anthropic")) => Self::Anthropic,
            Some(Host::Known("x-ai")) => Self::Xai,
            Some(Host::Known("perplexity")) => Self::Perplexity,
            Some(Host::Known(_) | Host::Local) => Self::Plain,
            Some(Host::Other) | None => Self::Unknown,
        }
    }
}

/// The shapes in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Chat,
    Responses,
    Anthropic,
    Gemini,
    Converse,
    InvocationMetrics,
    Headers,
    Cohere,
    Ollama,
}

/// A usage block where it was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) shape: Shape,
    pub(crate) block: &'a Block,
    /// The object around the block, which may name the service tier and the searches made.
    pub(crate) around: &'a Block,
}

/// The usage in a provider's answer, in canonical form. What the provider left out stays `None`.
///
/// `provider_hint` is a provider's name (`openai`, `gemini`, `aws.bedrock`, …); without one the shape
/// of the answer decides. `body` may be a whole answer, one event of a stream, a list of chunks, the
/// usage block itself, or Bedrock's response headers as an object.
#[must_use]
pub fn extract_usage(provider_hint: Option<&str>, body: &Value) -> TokenUsage {
    let speaker = Speaker::of(provider_hint);
    let Some(found) = find(body, speaker) else {
        return TokenUsage::default();
    };
    let mut usage = read(found.shape, found.block, speaker);
    complete(
        &mut usage,
        service_tier(found.around),
        hosted_searches(found.around),
    );
    usage
}

/// Reads a block of a known shape.
pub(crate) fn read(shape: Shape, block: &Block, speaker: Speaker) -> TokenUsage {
    match shape {
        Shape::Chat => openai::chat(block, speaker),
        Shape::Responses => openai::responses(block),
        Shape::Anthropic => anthropic::messages(block),
        Shape::Gemini => gemini::generate_content(block),
        Shape::Converse => bedrock::converse(block),
        Shape::InvocationMetrics => bedrock::invocation_metrics(block),
        Shape::Headers => bedrock::headers(block),
        Shape::Cohere => cohere::chat(block),
        Shape::Ollama => ollama::native(block),
    }
}

/// Adds what stands around the block, where the block does not say it.
pub(crate) fn complete(usage: &mut TokenUsage, service_tier: Option<String>, searches: Option<u64>) {
    if usage.service_tier.is_none() {
        usage.service_tier = service_tier;
    }
    if usage.web_searches.is_none() {
        usage.web_searches = searches;
    }
}

/// The tier named beside the block.
pub(crate) fn service_tier(around: &Block) -> Option<String> {
    fields::text(around, "service_tier")
}

/// The web searches among the output items of OpenAI's Responses API: they are charged apart, and only
/// the items tell of them. Opening or reading a page that was found is not a search.
pub(crate) fn hosted_searches(around: &Block) -> Option<u64> {
    let items = around.get("output")?.as_array()?;
    let searches = items.iter().filter(|item| {
        let action = item.pointer("/action/type").and_then(Value::as_str);
        item.get("type").and_then(Value::as_str) == Some("web_search_call")
            && action.is_none_or(|action| action == "search")
    });
    Some(searches.count() as u64).filter(|count| *count > 0)
}

/// Finds the usage block: the model's native one first, Bedrock's own metrics only in its absence.
pub(crate) fn find(body: &Value, speaker: Speaker) -> Option<Found<'_>> {
    if let Value::Array(chunks) = body {
        return chunks
            .iter()
            .rev()
            .find_map(|chunk| find_in(chunk.as_object()?, speaker));
    }
    find_in(body.as_object()?, speaker)
}

fn find_in(body: &Block, speaker: Speaker) -> Option<Found<'_>> {
    const AROUND: [&str; 5] = ["message", "response", "delta", "metadata", "x_groq"];
    let inner = AROUND.iter().filter_map(|key| object(body, key));
    for around in std::iter::once(body).chain(inner) {
        for key in ["usage", "usageMetadata", "usage_metadata"] {
            let Some(block) = object(around, key) else {
                continue;
            };
            // A tier or an event type may stand either beside the block or one level further out.
            if let Some(shape) = shape_of(block, body, around, speaker) {
                return Some(Found { shape, block, around });
            }
        }
    }
    if let Some(block) = object(body, "meta").filter(|meta| meta.contains_key("billed_units")) {
        return Some(Found {
            shape: Shape::Cohere,
            block,
            around: body,
        });
    }
    if let Some(block) = object(body, "amazon-bedrock-invocationMetrics") {
        return Some(Found {
            shape: Shape::InvocationMetrics,
            block,
            around: body,
        });
    }
    if has_any(body, &bedrock::HEADERS) {
        return Some(Found {
            shape: Shape::Headers,
            block: body,
            around: body,
        });
    }
    shape_of(body, body, body, speaker).map(|shape| Found {
        shape,
        block: body,
        around: body,
    })
}

/// Tells the shape by its keys; the words around it and the hint decide only between two APIs that use
/// the same keys with different meanings.
fn shape_of(block: &Block, body: &Block, around: &Block, speaker: Speaker) -> Option<Shape> {
    const ANTHROPIC_ONLY: [&str; 4] = [
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "cache_creation",
        "inference_geo",
    ];
    if has_any(block, &["billed_units"]) || object(block, "tokens").is_some() {
        return Some(Shape::Cohere);
    }
    if has_any(
        block,
        &["prompt_tokens", "completion_tokens", "prompt_cache_hit_tokens"],
    ) {
        return Some(Shape::Chat);
    }
    if has_any(block, &["input_tokens", "output_tokens"]) {
        let named = |object: &Block| {
            object
                .get("type")
                .and_then(Value::as_str)
                .is_some_and(|kind| matches!(kind, "message" | "message_start" | "message_delta"))
        };
        let thinking = object(block, "output_tokens_details")
            .is_some_and(|details| details.contains_key("thinking_tokens"));
        let anthropic = has_any(block, &ANTHROPIC_ONLY) || thinking || named(around) || named(body);
        let openai = has_any(block, &["input_tokens_details", "total_tokens"]);
        return Some(if anthropic || (speaker == Speaker::Anthropic && !openai) {
            Shape::Anthropic
        } else {
            Shape::Responses
        });
    }
    if has_any(
        block,
        &[
            "promptTokenCount",
            "candidatesTokenCount",
            "totalTokenCount",
            "prompt_token_count",
        ],
    ) {
        return Some(Shape::Gemini);
    }
    if has_any(block, &["inputTokens", "outputTokens"]) {
        return Some(Shape::Converse);
    }
    if has_any(block, &["inputTokenCount", "outputTokenCount"]) {
        return Some(Shape::InvocationMetrics);
    }
    has_any(block, &["prompt_eval_count", "eval_count"]).then_some(Shape::Ollama)
}

#[cfg(test)]
mod tests;
