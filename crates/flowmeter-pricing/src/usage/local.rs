//! The counts of servers that run on the user's own machine: Ollama's body and llama.cpp's timings.
//!
//! Never takes an absent prompt count for zero: Ollama leaves it out when the prompt was cached.

use flowmeter_model::TokenUsage;

use super::fields::{count, figure, nested, object, plus};
use super::node::Block;

/// Ollama's `/api/chat`, `/api/generate` and `/api/embed`.
pub(super) fn ollama(block: &Block<'_>) -> TokenUsage {
    TokenUsage {
        input: figure(count(block, "prompt_eval_count")),
        output: figure(count(block, "eval_count")),
        ..TokenUsage::default()
    }
}

/// llama.cpp's `timings` and its own `/completion`, where an answer has no usage block. What was read from
/// the cache stands beside what was processed.
pub(super) fn llama_cpp(body: &Block<'_>) -> TokenUsage {
    let empty = Block::default();
    let timings = object(body, "timings").unwrap_or(&empty);
    let cached = count(timings, "cache_n");
    let processed = plus(count(timings, "prompt_n"), [cached]);
    TokenUsage {
        input: figure(count(body, "tokens_evaluated").or(processed)),
        cache_read: figure(cached),
        output: figure(nested(body, "timings", "predicted_n").or_else(|| count(body, "tokens_predicted"))),
        ..TokenUsage::default()
    }
}
