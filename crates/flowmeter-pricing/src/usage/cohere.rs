//! Cohere's usage block, which tells the billed counts apart from all tokens.
//!
//! Only what is billed counts; the plain token counts serve where no billed ones are given.

use flowmeter_model::TokenUsage;

use super::fields::{any_object, count, figure};
use super::node::Block;

/// Chat, embed and rerank, v1 (`meta`) and v2 (`usage`).
pub(super) fn chat(block: &Block<'_>) -> TokenUsage {
    let counted = any_object(block, &["billed_units", "tokens"]);
    let part = |key| counted.and_then(|units| count(units, key));
    let input = part("input_tokens");
    let cached = count(block, "cached_tokens");
    TokenUsage {
        input: figure(input),
        // Of all tokens more may have been cached than are billed.
        cache_read: figure(cached.map(|cached| input.map_or(cached, |input| cached.min(input)))),
        output: figure(part("output_tokens")),
        input_image: figure(part("image_tokens")),
        search_units: part("search_units"),
        ..TokenUsage::default()
    }
}
