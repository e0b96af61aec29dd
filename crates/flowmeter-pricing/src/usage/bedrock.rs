//! Bedrock's own counts: the Converse block, the metrics at the end of an invocation stream, the headers.
//!
//! Input leaves the cache out in all three, so it is added, and never for a model's native body.

use flowmeter_model::TokenUsage;

use super::fields::{any_count, count, figure, nested, plus, text};
use super::node::{Block, Node};

const HEADER_PREFIX: &str = "x-amzn-bedrock-";

/// Google names the tier in a header of its own.
const GEMINI_TIER: &str = "x-gemini-service-tier";

/// Whether a header of this name, in any case, says something of usage.
pub(super) fn is_header(name: &str) -> bool {
    field(name).is_some()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Input,
    Output,
    Read,
    Written,
    Tier,
}

fn field(name: &str) -> Option<Field> {
    if name.eq_ignore_ascii_case(GEMINI_TIER) {
        return Some(Field::Tier);
    }
    let (prefix, rest) = name.split_at_checked(HEADER_PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(HEADER_PREFIX) {
        return None;
    }
    let fields = [
        ("input-token-count", Field::Input),
        ("output-token-count", Field::Output),
        ("cache-read-input-token-count", Field::Read),
        ("cache-write-input-token-count", Field::Written),
        ("service-tier", Field::Tier),
    ];
    let found = fields
        .iter()
        .find(|(suffix, _)| rest.eq_ignore_ascii_case(suffix));
    found.map(|(_, field)| *field)
}

/// `usage` of Converse and of the `metadata` event of ConverseStream. The Vercel AI SDK writes the same
/// keys, but with the cached tokens in the input; it names them otherwise.
pub(super) fn converse(block: &Block<'_>) -> TokenUsage {
    let written = any_count(block, &["cacheWriteInputTokens", "cacheWriteInputTokenCount"]);
    let read = any_count(block, &["cacheReadInputTokens", "cacheReadInputTokenCount"]);
    let hour = hour_writes(block).map(|hour| hour.min(written.unwrap_or(hour)));
    let mut usage = exclusive(
        count(block, "inputTokens"),
        count(block, "outputTokens"),
        read,
        written.or(hour),
        hour,
    );
    usage.reasoning = figure(count(block, "reasoningTokens"));
    usage.cache_read = usage.cache_read.or(figure(count(block, "cachedInputTokens")));
    usage
}

/// `amazon-bedrock-invocationMetrics`.
pub(super) fn invocation_metrics(block: &Block<'_>) -> TokenUsage {
    exclusive(
        any_count(block, &["inputTokenCount", "input_token_count"]),
        any_count(block, &["outputTokenCount", "output_token_count"]),
        count(block, "cacheReadInputTokenCount"),
        count(block, "cacheWriteInputTokenCount"),
        None,
    )
}

/// `x-amzn-bedrock-…-token-count`, in any case.
pub(super) fn headers(block: &Block<'_>) -> TokenUsage {
    let named = |wanted| {
        let mut found = block
            .entries()
            .filter(move |(name, _)| field(name) == Some(wanted));
        found.next().map(|(name, _)| name)
    };
    let counted = |wanted| named(wanted).and_then(|name| count(block, name));
    let mut usage = exclusive(
        counted(Field::Input),
        counted(Field::Output),
        counted(Field::Read),
        counted(Field::Written),
        None,
    );
    let tier = named(Field::Tier).and_then(|name| text(block, name));
    usage.service_tier = tier.map(str::to_ascii_lowercase);
    usage
}

/// Titan's own body: the prompt beside the results, and their sum at the end of a stream.
pub(super) fn titan(block: &Block<'_>) -> TokenUsage {
    let results = block.get("results").and_then(Node::as_list).unwrap_or_default();
    let counts = results.iter().filter_map(Node::as_object);
    let counts = counts.filter_map(|result| count(result, "tokenCount"));
    TokenUsage {
        input: figure(count(block, "inputTextTokenCount")),
        output: figure(
            count(block, "totalOutputTextTokenCount").or_else(|| counts.reduce(u64::saturating_add)),
        ),
        ..TokenUsage::default()
    }
}

/// The body of Meta's models.
pub(super) fn llama(block: &Block<'_>) -> TokenUsage {
    TokenUsage {
        input: figure(count(block, "prompt_token_count")),
        output: figure(count(block, "generation_token_count")),
        ..TokenUsage::default()
    }
}

/// `usageEvent` of Nova Sonic, whose counts are the session's so far.
pub(super) fn sonic(block: &Block<'_>) -> TokenUsage {
    let total =
        super::fields::object(block, "details").and_then(|details| super::fields::object(details, "total"));
    let speech = |side| total.and_then(|total| nested(total, side, "speechTokens"));
    TokenUsage {
        input: figure(count(block, "totalInputTokens")),
        output: figure(count(block, "totalOutputTokens")),
        input_audio: figure(speech("input")),
        output_audio: figure(speech("output")),
        ..TokenUsage::default()
    }
}

fn hour_writes(block: &Block<'_>) -> Option<u64> {
    let details = block.get("cacheDetails")?.as_list()?;
    let hours = details.iter().filter_map(Node::as_object);
    let hours = hours.filter(|detail| text(detail, "ttl").is_some_and(|ttl| ttl.eq_ignore_ascii_case("1h")));
    hours
        .filter_map(|detail| count(detail, "inputTokens"))
        .reduce(u64::saturating_add)
}

fn exclusive(
    input: Option<u64>,
    output: Option<u64>,
    read: Option<u64>,
    written: Option<u64>,
    hour: Option<u64>,
) -> TokenUsage {
    TokenUsage {
        input: figure(plus(input, [read, written])),
        cache_read: figure(read),
        cache_write_5m: figure(written.map(|written| written.saturating_sub(hour.unwrap_or(0)))),
        cache_write_1h: figure(hour),
        output: figure(output),
        ..TokenUsage::default()
    }
}
