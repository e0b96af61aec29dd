//! Gemini's `usageMetadata`, where tool prompts stand beside the prompt and thoughts beside the candidates.
//!
//! Never adds the cached count: the prompt includes it.

use flowmeter_model::TokenUsage;

use super::fields::{any_count, count, figure, plus, sum, text};
use super::node::{Block, Node};

/// `generateContent`, streamed or not, and the Live API, in the spelling of the wire or of Google's libraries.
pub(super) fn generate_content(block: &Block<'_>) -> TokenUsage {
    let tool_prompt = any_count(block, &["toolUsePromptTokenCount", "tool_use_prompt_token_count"]);
    let prompt = any_count(block, &["promptTokenCount", "prompt_token_count"]);
    let thoughts = any_count(block, &["thoughtsTokenCount", "thoughts_token_count"]);
    let candidates = any_count(
        block,
        &[
            "candidatesTokenCount",
            "candidates_token_count",
            "responseTokenCount",
            "response_token_count",
        ],
    );
    let total = any_count(block, &["totalTokenCount", "total_token_count"]);
    // Counts of zero are left out of the block; the total proves which.
    let input = plus(prompt, [tool_prompt]);
    let nothing_said = (total.is_some() && total == input).then_some(0);
    let prompts = [
        "promptTokensDetails",
        "prompt_tokens_details",
        "toolUsePromptTokensDetails",
        "tool_use_prompt_tokens_details",
    ];
    let cached = ["cacheTokensDetails", "cache_tokens_details"];
    let answers = [
        "candidatesTokensDetails",
        "candidates_tokens_details",
        "responseTokensDetails",
        "response_tokens_details",
    ];
    let of = |keys: &[&str], kinds: &[&str]| figure(modality(block, keys, kinds));
    TokenUsage {
        input: figure(input),
        cache_read: figure(any_count(
            block,
            &["cachedContentTokenCount", "cached_content_token_count"],
        )),
        output: figure(sum([candidates, thoughts]).or(nothing_said)),
        reasoning: figure(thoughts),
        input_audio: of(&prompts, &["AUDIO"]),
        // The pages of a document are seen as images.
        input_image: of(&prompts, &["IMAGE", "DOCUMENT"]),
        input_video: of(&prompts, &["VIDEO"]),
        cache_read_audio: of(&cached, &["AUDIO"]),
        cache_read_image: of(&cached, &["IMAGE", "DOCUMENT"]),
        cache_read_video: of(&cached, &["VIDEO"]),
        output_audio: of(&answers, &["AUDIO"]),
        output_image: of(&answers, &["IMAGE", "DOCUMENT"]),
        output_video: of(&answers, &["VIDEO"]),
        service_tier: tier(block).map(str::to_owned),
        ..TokenUsage::default()
    }
}

/// Vertex AI's `predict`: the tokens of each text that was embedded, or the sums beside the predictions.
pub(super) fn predict(body: &Block<'_>, metadata: Option<&Block<'_>>) -> TokenUsage {
    let side = |key| {
        let sums = metadata.and_then(|metadata| super::fields::object(metadata, "tokenMetadata"))?;
        super::fields::nested(sums, key, "totalTokens")
    };
    let predictions = body
        .get("predictions")
        .and_then(Node::as_list)
        .unwrap_or_default();
    let embedded = predictions.iter().filter_map(|prediction| {
        let embedded = super::fields::object(prediction.as_object()?, "embeddings")?;
        super::fields::nested(embedded, "statistics", "token_count")
    });
    TokenUsage {
        input: figure(side("inputTokenCount").or_else(|| embedded.reduce(u64::saturating_add))),
        output: figure(side("outputTokenCount")),
        ..TokenUsage::default()
    }
}

/// Google Searches that this answer's candidates name. Up to Gemini 2.5 a request that searched is charged
/// once, however often it did; from Gemini 3 on each search is.
pub(super) fn searches(candidates: &[Node<'_>], model: Option<&str>) -> Option<u64> {
    let queries = candidates.iter().filter_map(|candidate| {
        let grounding = super::fields::object(candidate.as_object()?, "groundingMetadata")?;
        let queries = grounding.get("webSearchQueries")?.as_list()?.iter();
        let asked = queries.filter(|query| !query.as_text().is_none_or(|query| query.trim().is_empty()));
        Some(asked.count() as u64)
    });
    let queries: u64 = queries.sum();
    let by_request = model.is_some_and(|model| {
        let version = model
            .rsplit('/')
            .next()
            .and_then(|name| name.strip_prefix("gemini-"));
        version.is_some_and(|version| version.starts_with("1.") || version.starts_with("2."))
    });
    (queries > 0).then_some(if by_request { 1 } else { queries })
}

fn modality(block: &Block<'_>, keys: &[&str], kinds: &[&str]) -> Option<u64> {
    let lists = keys.iter().filter_map(|key| block.get(key)?.as_list());
    let parts = lists.flatten().filter_map(Node::as_object);
    let matching = parts.filter(|part| {
        text(part, "modality").is_some_and(|name| kinds.iter().any(|kind| name.eq_ignore_ascii_case(kind)))
    });
    matching
        .filter_map(|part| count(part, "tokenCount").or_else(|| count(part, "token_count")))
        .reduce(u64::saturating_add)
}

fn tier<'b>(block: &'b Block<'_>) -> Option<&'b str> {
    let named = text(block, "serviceTier").or_else(|| text(block, "service_tier"));
    let named = named.and_then(|name| {
        ["standard", "priority", "flex", "batch"]
            .into_iter()
            .find(|tier| name.eq_ignore_ascii_case(tier))
    });
    let traffic = text(block, "trafficType").or_else(|| text(block, "traffic_type"));
    named.or_else(|| match traffic? {
        "ON_DEMAND_PRIORITY" => Some("priority"),
        "ON_DEMAND_FLEX" => Some("flex"),
        "PROVISIONED_THROUGHPUT" => Some("provisioned"),
        _ => None,
    })
}
