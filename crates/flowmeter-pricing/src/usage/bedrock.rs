//! Bedrock's own counts: the Converse block, the metrics at the end of an invocation stream, the headers.
//!
//! Input leaves the cache out in all three, so it is added, and never for a model's native body.

use flowmeter_model::TokenUsage;
use serde_json::Value;

use super::fields::{Block, count, figure, plus};

/// Keys of an HTTP response's headers, for those who hand the headers in as an object.
pub(super) const HEADERS: [&str; 4] = [
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-output-token-count",
    "x-amzn-bedrock-cache-read-input-token-count",
    "x-amzn-bedrock-cache-write-input-token-count",
];

/// `usage` of Converse and of the `metadata` event of ConverseStream.
pub(super) fn converse(block: &Block) -> TokenUsage {
    let written = count(block, "cacheWriteInputTokens").or_else(|| count(block, "cacheWriteInputTokenCount"));
    let read = count(block, "cacheReadInputTokens").or_else(|| count(block, "cacheReadInputTokenCount"));
    let hour = hour_writes(block).map(|hour| hour.min(written.unwrap_or(hour)));
    exclusive(
        count(block, "inputTokens"),
        count(block, "outputTokens"),
        read,
        written.or(hour),
        hour,
    )
}

/// `amazon-bedrock-invocationMetrics`.
pub(super) fn invocation_metrics(block: &Block) -> TokenUsage {
    exclusive(
        count(block, "inputTokenCount"),
        count(block, "outputTokenCount"),
        count(block, "cacheReadInputTokenCount"),
        count(block, "cacheWriteInputTokenCount"),
        None,
    )
}

/// `x-amzn-bedrock-…-token-count`.
pub(super) fn headers(block: &Block) -> TokenUsage {
    let [input, output, read, written] = HEADERS.map(|name| count(block, name));
    exclusive(input, output, read, written, None)
}

fn hour_writes(block: &Block) -> Option<u64> {
    let details = block.get("cacheDetails")?.as_array()?;
    let hours = details.iter().filter_map(Value::as_object).filter(|detail| {
        detail
            .get("ttl")
            .and_then(Value::as_str)
            .is_some_and(|ttl| ttl.eq_ignore_ascii_case("1h"))
    });
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
        cache_write_5m: figure(written.map(|written| written - hour.unwrap_or(0))),
        cache_write_1h: figure(hour),
        output: figure(output),
        ..TokenUsage::default()
    }
}
