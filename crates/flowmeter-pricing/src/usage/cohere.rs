//! Cohere's usage block, which tells the billed counts apart from all tokens.
//!
//! Only what is billed counts; the plain token counts serve where no billed ones are given.

use flowmeter_model::TokenUsage;

use super::fields::{Block, count, figure, object};

/// Chat, v1 (`meta`) and v2 (`usage`).
pub(super) fn chat(block: &Block) -> TokenUsage {
    let counted = object(block, "billed_units").or_else(|| object(block, "tokens"));
    let part = |key| counted.and_then(|units| count(units, key));
    TokenUsage {
        input: figure(part("input_tokens")),
        cache_read: figure(count(block, "cached_tokens")),
        output: figure(part("output_tokens")),
        ..TokenUsage::default()
    }
}
