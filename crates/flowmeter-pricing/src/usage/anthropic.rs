//! Anthropic's usage block, where input leaves the cache out.
//!
//! The three input counts are added here and nowhere else; thinking is never added to output.

use flowmeter_model::TokenUsage;

use super::fields::{count, figure, nested, plus, sum, text};
use super::node::{Block, Node};

/// Messages API, streamed or not.
pub(super) fn messages(block: &Block<'_>) -> TokenUsage {
    let mut told = Parts::of(block);
    // Where the API shortened the conversation itself, the block leaves out what that took.
    let iterations = block
        .get("iterations")
        .and_then(Node::as_list)
        .unwrap_or_default();
    let compactions = iterations.iter().filter_map(Node::as_object);
    for compaction in compactions.filter(|pass| text(pass, "type") == Some("compaction")) {
        told = told.and(Parts::of(compaction));
    }
    let fast = text(block, "speed").filter(|speed| *speed == "fast");
    TokenUsage {
        input: figure(plus(told.input, [told.read, told.written])),
        cache_read: figure(told.read),
        // What the split does not cover was written at the default life of five minutes.
        cache_write_5m: figure(told.written.map(|written| written - told.hour.unwrap_or(0))),
        cache_write_1h: figure(told.hour),
        output: figure(told.output),
        reasoning: figure(nested(block, "output_tokens_details", "thinking_tokens")),
        web_searches: nested(block, "server_tool_use", "web_search_requests"),
        web_fetches: nested(block, "server_tool_use", "web_fetch_requests"),
        service_tier: fast.or_else(|| text(block, "service_tier")).map(str::to_owned),
        inference_geo: text(block, "inference_geo")
            .filter(|place| *place != "not_available")
            .map(str::to_owned),
        ..TokenUsage::default()
    }
}

/// The counts of one pass of the model.
#[derive(Clone, Copy)]
struct Parts {
    input: Option<u64>,
    read: Option<u64>,
    /// All that was written to the cache, never less than `hour`.
    written: Option<u64>,
    hour: Option<u64>,
    output: Option<u64>,
}

impl Parts {
    fn of(block: &Block<'_>) -> Self {
        let hour = nested(block, "cache_creation", "ephemeral_1h_input_tokens");
        let short = nested(block, "cache_creation", "ephemeral_5m_input_tokens");
        // The split stands only in the first event of a stream, the total in all.
        let written = count(block, "cache_creation_input_tokens").or_else(|| sum([hour, short]));
        Self {
            input: count(block, "input_tokens"),
            read: count(block, "cache_read_input_tokens"),
            written,
            hour: hour.map(|hour| hour.min(written.unwrap_or(hour))),
            output: count(block, "output_tokens"),
        }
    }

    fn and(self, more: Self) -> Self {
        Self {
            input: plus(self.input, [more.input]),
            read: sum([self.read, more.read]),
            written: sum([self.written, more.written]),
            hour: sum([self.hour, more.hour]),
            output: plus(self.output, [more.output]),
        }
    }
}
