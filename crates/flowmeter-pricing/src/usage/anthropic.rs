//! Anthropic's usage block, where input leaves the cache out.
//!
//! The three input counts are added here and nowhere else; thinking is never added to output.

use flowmeter_model::TokenUsage;

use super::fields::{Block, count, figure, nested, plus, sum, text};

/// Messages API, streamed or not.
pub(super) fn messages(block: &Block) -> TokenUsage {
    let read = count(block, "cache_read_input_tokens");
    let hour_part = nested(block, "cache_creation", "ephemeral_1h_input_tokens");
    let short_part = nested(block, "cache_creation", "ephemeral_5m_input_tokens");
    let written = count(block, "cache_creation_input_tokens").or_else(|| sum([hour_part, short_part]));
    // The split stands only in the first event of a stream, the total in all: what the split does not
    // cover was written at the default life of five minutes.
    let hour = hour_part.map(|hour| hour.min(written.unwrap_or(hour)));
    let short = written.map(|written| written - hour.unwrap_or(0));
    let fast = text(block, "speed").filter(|speed| speed == "fast");
    TokenUsage {
        input: figure(plus(count(block, "input_tokens"), [read, written])),
        cache_read: figure(read),
        cache_write_5m: figure(short),
        cache_write_1h: figure(hour),
        output: figure(count(block, "output_tokens")),
        reasoning: figure(nested(block, "output_tokens_details", "thinking_tokens")),
        web_searches: nested(block, "server_tool_use", "web_search_requests"),
        service_tier: fast.or_else(|| text(block, "service_tier")),
        ..TokenUsage::default()
    }
}
