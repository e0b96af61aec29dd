//! Finds the usage block in what a provider answered, tells whose shape it has, and reads it.
//!
//! Never panics, never sums two blocks, and leaves unknown what the provider left out.

mod anthropic;
mod bedrock;
mod cohere;
mod fields;
mod gemini;
mod local;
mod node;
mod openai;
mod prune;
pub(crate) mod told;

use std::borrow::Cow;

use flowmeter_model::TokenUsage;
use serde::de::{DeserializeSeed, Deserializer};
use serde_json::Value;

use crate::UsageStream;
use crate::host::{Host, host};
use fields::{count, has_any, object, text};
use node::{Block, Node};
use prune::Absorb;
use told::Told;

/// Whose dialect a block is in, where the hint tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    Anthropic,
    Google,
    Xai,
    Perplexity,
    /// A provider whose blocks need no special treatment, or nobody we know.
    Other,
}

impl Speaker {
    pub(crate) fn of(hint: Option<&str>) -> Self {
        match hint.map(host) {
            Some(Host::Known("anthropic")) => Self::Anthropic,
            Some(Host::Known("google")) => Self::Google,
            Some(Host::Known("x-ai")) => Self::Xai,
            Some(Host::Known("perplexity")) => Self::Perplexity,
            _ => Self::Other,
        }
    }
}

/// The shapes in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Chat,
    Responses,
    Duration,
    Anthropic,
    Gemini,
    Predict,
    Converse,
    InvocationMetrics,
    Headers,
    Sonic,
    Titan,
    Llama,
    Cohere,
    Pages,
    Watsonx,
    Ollama,
    LlamaCpp,
}

impl Shape {
    /// Whether a later block of a stream adds to this one instead of taking its place: these tell some
    /// counts only at the start.
    fn takes_more_from(self, later: Self) -> bool {
        match self {
            // A late event of Anthropic's with output alone cannot be told from OpenAI's by itself.
            Self::Anthropic => matches!(later, Self::Anthropic | Self::Responses),
            Self::Titan | Self::Llama => self == later,
            _ => false,
        }
    }
}

/// A usage block where it was found.
#[derive(Debug)]
pub(crate) struct Found<'b, 'a> {
    pub(crate) shape: Shape,
    pub(crate) block: &'b Block<'a>,
    /// The object around the block, which may name the service tier and the searches made.
    pub(crate) around: &'b Block<'a>,
}

/// The usage in a provider's answer, in canonical form. What the provider left out stays `None`.
///
/// `provider_hint` is a provider's name (`openai`, `gemini`, `aws.bedrock`, …); without one the shape
/// of the answer decides. `body` may be a whole answer, one event of a stream, a list of either, a line of
/// a batch's results, the usage block itself, or an answer with Bedrock's response headers merged into it.
///
/// Bytes are read faster with [`extract_usage_from_slice`], headers with [`extract_usage_from_headers`],
/// streams with [`UsageStream`].
#[must_use]
pub fn extract_usage(provider_hint: Option<&str>, body: &Value) -> TokenUsage {
    let mut told = Told::new(Speaker::of(provider_hint));
    // A parsed value always reads.
    let _ = absorb(body, |node| told.take(node));
    told.usage()
}

/// The usage in a provider's answer as it came: the same as [`extract_usage`] says of the parsed body, but
/// without building what does not matter.
///
/// Also reads a recorded stream: server-sent events, or JSON values one after another. What is neither says
/// nothing of usage.
#[must_use]
pub fn extract_usage_from_slice(provider_hint: Option<&str>, body: &[u8]) -> TokenUsage {
    let body = body.strip_prefix(BOM).unwrap_or(body);
    let mut told = Told::new(Speaker::of(provider_hint));
    if read_whole(body, |node| told.take(node)) {
        return told.usage();
    }
    let mut stream = UsageStream::new(provider_hint);
    stream.frame(&String::from_utf8_lossy(body));
    stream.usage()
}

/// The usage in an HTTP response's headers, whose names may be in any case: Bedrock's token counts and tier,
/// and Gemini's tier. Values are texts; anything else about them is passed over.
///
/// A body that tells the counts itself is finer, and goes first; see
/// [`UsageStream::headers`] for both at once.
#[must_use]
pub fn extract_usage_from_headers<'h>(
    provider_hint: Option<&str>,
    headers: impl IntoIterator<Item = (&'h str, &'h str)>,
) -> TokenUsage {
    let mut told = Told::new(Speaker::of(provider_hint));
    told.take(header_node(headers));
    told.usage()
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Hands on what may matter of an answer, or of each chunk in a list of them, as soon as it is read.
pub(crate) fn absorb<'de, D: Deserializer<'de>>(
    deserializer: D,
    take: impl FnMut(Node<'de>),
) -> Result<(), D::Error> {
    Absorb(take).deserialize(deserializer)
}

/// The same from bytes that must be one JSON value and nothing else.
fn read_whole<'de>(json: &'de [u8], take: impl FnMut(Node<'de>)) -> bool {
    let mut reader = serde_json::Deserializer::from_slice(json);
    absorb(&mut reader, take).and_then(|()| reader.end()).is_ok()
}

/// The headers that tell of usage.
pub(crate) fn header_node<'h>(headers: impl IntoIterator<Item = (&'h str, &'h str)>) -> Node<'h> {
    let mut block = Block::default();
    for (name, value) in headers {
        if bedrock::is_header(name) {
            block.set(Cow::Borrowed(name), Node::Text(Cow::Borrowed(value)));
        }
    }
    Node::Object(block)
}

/// Reads a block of a known shape. `is_list` tells of an answer that is a list, as of embeddings.
pub(crate) fn read(shape: Shape, block: &Block<'_>, speaker: Speaker, is_list: bool) -> TokenUsage {
    match shape {
        Shape::Chat => openai::chat(block, speaker, is_list),
        Shape::Responses => openai::responses(block),
        Shape::Duration => openai::duration(block),
        Shape::Anthropic => anthropic::messages(block),
        Shape::Gemini => gemini::generate_content(block),
        Shape::Predict => gemini::predict(block, object(block, "metadata")),
        Shape::Converse => bedrock::converse(block),
        Shape::InvocationMetrics => bedrock::invocation_metrics(block),
        Shape::Headers => bedrock::headers(block),
        Shape::Sonic => bedrock::sonic(block),
        Shape::Titan => bedrock::titan(block),
        Shape::Llama => bedrock::llama(block),
        Shape::Cohere => cohere::chat(block),
        Shape::Pages => TokenUsage {
            document_pages: count(block, "pages_processed"),
            ..TokenUsage::default()
        },
        Shape::Watsonx => watsonx(block),
        Shape::Ollama => local::ollama(block),
        Shape::LlamaCpp => local::llama_cpp(block),
    }
}

/// Finds the usage block: under its own name first, beside the answer's other members only then.
pub(crate) fn find<'b, 'a>(body: &'b Block<'a>, speaker: Speaker) -> Option<Found<'b, 'a>> {
    named(body, body, speaker)
        .or_else(|| bare(body, speaker))
        .or_else(|| {
            let inner = ["body", "modelOutput", "result", "response", "chunk"];
            let mut inner = inner.iter().filter_map(|key| object(body, key));
            inner.find_map(|around| bare(around, speaker).or_else(|| bare(object(around, "body")?, speaker)))
        })
}

/// A block under the name of one, here or further in.
fn named<'b, 'a>(around: &'b Block<'a>, outer: &'b Block<'a>, speaker: Speaker) -> Option<Found<'b, 'a>> {
    const AROUND: [&str; 12] = [
        "message",
        "response",
        "delta",
        "metadata",
        "x_groq",
        "body",
        "result",
        "modelOutput",
        "chunk",
        "event",
        "item",
        "data",
    ];
    for (key, member) in around.entries() {
        let Some(block) = member.as_object() else {
            continue;
        };
        let shape = match key {
            // A tier or an event type may stand either beside the block or one level further out.
            "usage" | "usageMetadata" | "usage_metadata" => shape_of(block, outer, around, speaker),
            "usageEvent" => Some(Shape::Sonic),
            "usage_info" => Some(Shape::Pages),
            _ => None,
        };
        if let Some(shape) = shape {
            return Some(Found { shape, block, around });
        }
    }
    let choices = around.get("choices").and_then(Node::as_list).unwrap_or_default();
    let in_choice = choices.iter().rev().find_map(|choice| {
        let block = object(choice.as_object()?, "usage")?;
        let shape = shape_of(block, outer, around, speaker)?;
        Some(Found { shape, block, around })
    });
    let inner = AROUND.iter().filter_map(|key| object(around, key));
    in_choice.or_else(|| inner.filter_map(|inner| named(inner, around, speaker)).next())
}

/// Counts that stand under no name of their own.
fn bare<'b, 'a>(body: &'b Block<'a>, speaker: Speaker) -> Option<Found<'b, 'a>> {
    let found = |shape, block| Found {
        shape,
        block,
        around: body,
    };
    if let Some(block) = object(body, "meta").filter(|meta| meta.contains_key("billed_units")) {
        return Some(found(Shape::Cohere, block));
    }
    if has_any(body, &["inputTextTokenCount", "totalOutputTextTokenCount"]) {
        return Some(found(Shape::Titan, body));
    }
    if has_any(body, &["generation_token_count"]) {
        return Some(found(Shape::Llama, body));
    }
    if object(body, "timings").is_some_and(|timings| has_any(timings, &["predicted_n", "prompt_n"]))
        || has_any(body, &["tokens_evaluated", "tokens_predicted"])
    {
        return Some(found(Shape::LlamaCpp, body));
    }
    if let Some(shape) = shape_of(body, body, body, speaker) {
        return Some(found(shape, body));
    }
    if body.entries().any(|(name, _)| bedrock::is_header(name)) {
        return Some(found(Shape::Headers, body));
    }
    if let Some(block) = object(body, "metrics")
        && has_any(block, &["input_token_count", "output_token_count"])
    {
        return Some(found(Shape::InvocationMetrics, block));
    }
    let results = body.get("results").and_then(Node::as_list).unwrap_or_default();
    let counts = |result: &Node<'_>| {
        result
            .as_object()
            .is_some_and(|result| has_any(result, &["generated_token_count"]))
    };
    if results.iter().any(counts) {
        return Some(found(Shape::Watsonx, body));
    }
    let summed = object(body, "metadata").is_some_and(|metadata| metadata.contains_key("tokenMetadata"));
    (summed || body.contains_key("predictions")).then_some(found(Shape::Predict, body))
}

/// Tells the shape by its keys; the words around it and the hint decide only between two APIs that use
/// the same keys with different meanings.
fn shape_of(block: &Block<'_>, body: &Block<'_>, around: &Block<'_>, speaker: Speaker) -> Option<Shape> {
    const ANTHROPIC_ONLY: [&str; 5] = [
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "cache_creation",
        "inference_geo",
        "iterations",
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
    if has_any(block, &["input_tokens", "output_tokens"]) || has_any(block, &ANTHROPIC_ONLY[..2]) {
        let named = |object: &Block<'_>| {
            text(object, "type")
                .is_some_and(|kind| matches!(kind, "message" | "message_start" | "message_delta"))
        };
        let thinking = object(block, "output_tokens_details")
            .is_some_and(|details| details.contains_key("thinking_tokens"));
        let anthropic = has_any(block, &ANTHROPIC_ONLY) || thinking || named(around) || named(body);
        let openai = has_any(
            block,
            &["input_tokens_details", "input_token_details", "total_tokens"],
        );
        return Some(if anthropic || (speaker == Speaker::Anthropic && !openai) {
            Shape::Anthropic
        } else {
            Shape::Responses
        });
    }
    if has_any(block, &["seconds", "billable_audio_seconds"]) && !std::ptr::eq(block, around) {
        return Some(Shape::Duration);
    }
    if has_any(block, &["total_tokens"]) && text(around, "object") == Some("list") {
        return Some(Shape::Chat);
    }
    if has_any(
        block,
        &[
            "promptTokenCount",
            "candidatesTokenCount",
            "responseTokenCount",
            "totalTokenCount",
            "prompt_token_count",
            "candidates_token_count",
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

/// IBM watsonx: the tokens of each result.
fn watsonx(body: &Block<'_>) -> TokenUsage {
    let results = body.get("results").and_then(Node::as_list).unwrap_or_default();
    let each = |key| {
        let results = results.iter().filter_map(Node::as_object);
        results
            .filter_map(|result| count(result, key))
            .reduce(u64::saturating_add)
    };
    TokenUsage {
        input: fields::figure(each("input_token_count")),
        output: fields::figure(each("generated_token_count")),
        ..TokenUsage::default()
    }
}

#[cfg(test)]
mod tests;
