//! Ollama's counts, which stand in the body itself, beside durations.
//!
//! Never takes an absent prompt count for zero: Ollama leaves it out when the prompt was cached.

use flowmeter_model::TokenUsage;

use super::fields::{Block, count, figure};

/// `/api/chat`, `/api/generate` and `/api/embed`.
pub(super) fn native(block: &Block) -> TokenUsage {
    TokenUsage {
        input: figure(count(block, "prompt_eval_count")),
        output: figure(count(block, "eval_count")),
        ..TokenUsage::default()
    }
}
