//! LiteLLM's `model_prices_and_context_window.json`, brought into the form of the price book.
//!
//! Never passes on a model that has no price per token or per use, and never takes 0 for both input and
//! output at its word: that is how the file writes what nobody told it.

use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use crate::bundled::MAKERS;
use crate::decimal::{decimal, scale};
use crate::host::{fold, known_id};

/// A LiteLLM file as the price book reads it.
#[derive(Debug, Default)]
pub(super) struct Converted {
    /// Providers with their models.
    pub(super) providers: Value,
    /// Maximum output tokens by `provider/model`.
    pub(super) output_limits: FxHashMap<String, u64>,
    /// Models that were taken over.
    pub(super) models: usize,
    /// Entries without a price that could be used.
    pub(super) skipped: usize,
}

/// LiteLLM's names of token prices, and the book's.
/// Where two stand for the same, the first one that is there counts.
const TOKEN_PRICES: [(&str, &str); 16] = [
    ("input_cost_per_token", "input_mtok"),
    ("output_cost_per_token", "output_mtok"),
    ("cache_read_input_token_cost", "cache_read_mtok"),
    ("input_cost_per_token_cache_hit", "cache_read_mtok"),
    ("cache_creation_input_token_cost", "cache_write_mtok"),
    ("cache_creation_input_token_cost_above_1hr", "cache_write_1h_mtok"),
    (
        "cache_creation_input_token_cost_above_12hr",
        "cache_write_1h_mtok",
    ),
    ("output_cost_per_reasoning_token", "output_reasoning_mtok"),
    ("input_cost_per_audio_token", "input_audio_mtok"),
    ("output_cost_per_audio_token", "output_audio_mtok"),
    ("input_cost_per_image_token", "input_image_mtok"),
    ("output_cost_per_image_token", "output_image_mtok"),
    ("cache_read_input_audio_token_cost", "cache_audio_read_mtok"),
    ("cache_read_input_image_token_cost", "cache_image_read_mtok"),
    ("citation_cost_per_token", "output_citation_mtok"),
    ("input_cost_per_video_token", "input_video_mtok"),
];

/// Prices of pieces, with the factor to the book's unit as a power of ten.
const UNIT_PRICES: [(&str, &str, i32); 4] = [
    ("input_cost_per_request", "requests_kcount", 3),
    ("input_cost_per_query", "rerank_searches_kcount", 3),
    ("file_search_cost_per_1k_calls", "storage_searches_kcount", 0),
    ("ocr_cost_per_page", "input_document_kpages", 3),
];

/// Endings of keys that mean a service tier, and how the book calls it.
const TIERS: [(&str, &str, &str); 3] = [
    ("_batches", "processing", "batch"),
    ("_flex", "service_tier", "flex"),
    ("_priority", "service_tier", "priority"),
];

/// Prices that the book wants where it has both of two others: the first two, the third, and which of the
/// first two stands in for it.
const JOINS: [(&str, &str, &str); 13] = [
    ("cache_read_mtok", "input_audio_mtok", "cache_audio_read_mtok"),
    ("cache_read_mtok", "input_image_mtok", "cache_image_read_mtok"),
    ("cache_write_mtok", "input_audio_mtok", "cache_audio_write_mtok"),
    (
        "cache_write_1h_mtok",
        "input_audio_mtok",
        "cache_audio_write_1h_mtok",
    ),
    ("cache_write_mtok", "input_image_mtok", "cache_image_write_mtok"),
    (
        "cache_write_1h_mtok",
        "input_image_mtok",
        "cache_image_write_1h_mtok",
    ),
    ("cache_read_mtok", "input_video_mtok", "cache_video_read_mtok"),
    ("cache_write_mtok", "input_video_mtok", "cache_video_write_mtok"),
    (
        "cache_write_1h_mtok",
        "input_video_mtok",
        "cache_video_write_1h_mtok",
    ),
    (
        "output_reasoning_mtok",
        "output_audio_mtok",
        "output_audio_reasoning_mtok",
    ),
    (
        "output_reasoning_mtok",
        "output_image_mtok",
        "output_image_reasoning_mtok",
    ),
    (
        "output_citation_mtok",
        "output_audio_mtok",
        "output_audio_citation_mtok",
    ),
    (
        "output_citation_mtok",
        "output_image_mtok",
        "output_image_citation_mtok",
    ),
];

/// Parts whose whole must have a price as well.
const WHOLES: [(&str, &str); 14] = [
    ("cache_read_mtok", "input_mtok"),
    ("cache_write_mtok", "input_mtok"),
    ("cache_write_1h_mtok", "cache_write_mtok"),
    ("input_audio_mtok", "input_mtok"),
    ("input_image_mtok", "input_mtok"),
    ("input_video_mtok", "input_mtok"),
    ("output_citation_mtok", "output_mtok"),
    ("cache_audio_read_mtok", "cache_read_mtok"),
    ("cache_audio_read_mtok", "input_audio_mtok"),
    ("cache_image_read_mtok", "cache_read_mtok"),
    ("cache_image_read_mtok", "input_image_mtok"),
    ("output_reasoning_mtok", "output_mtok"),
    ("output_audio_mtok", "output_mtok"),
    ("output_image_mtok", "output_mtok"),
];

/// Whether a JSON object looks like this file.
pub(super) fn is_litellm(file: &Map<String, Value>) -> bool {
    file.values()
        .filter_map(Value::as_object)
        .take(50)
        .any(|entry| entry.contains_key("litellm_provider") || entry.contains_key("input_cost_per_token"))
}

/// Converts the file.
pub(super) fn convert(file: &Map<String, Value>) -> Converted {
    let mut converted = Converted::default();
    let mut by_provider: Vec<(String, Map<String, Value>)> = Vec::new();
    for (key, entry) in file {
        let taken = entry
            .as_object()
            .filter(|_| key != "sample_spec")
            .and_then(|entry| Some((name_of(key, entry)?, prices_of(entry)?, entry)));
        let Some(((provider, model), (prices, variants), entry)) = taken else {
            converted.skipped += 1;
            continue;
        };
        let at = by_provider
            .iter()
            .position(|(id, _)| *id == provider)
            .unwrap_or_else(|| {
                by_provider.push((provider.clone(), Map::new()));
                by_provider.len() - 1
            });
        let Some((_, models)) = by_provider.get_mut(at) else {
            continue;
        };
        if models.contains_key(&model) {
            converted.skipped += 1;
            continue;
        }
        let mut described = json!({
            "id": model,
            "match": {"equals": model},
            "prices": prices,
            "price_variants": variants,
        });
        let limit = |key: &str| entry.get(key).and_then(Value::as_u64).filter(|limit| *limit > 0);
        if let Some(window) = limit("max_input_tokens") {
            described["context_window"] = json!(window);
        }
        if let Some(output) = limit("max_output_tokens") {
            converted
                .output_limits
                .insert(format!("{provider}/{model}"), output);
        }
        converted.models += 1;
        models.insert(model, described);
    }
    by_provider.sort_by_key(|(id, _)| {
        MAKERS
            .iter()
            .position(|maker| maker == id)
            .unwrap_or(MAKERS.len())
    });
    converted.providers = by_provider
        .into_iter()
        .map(|(id, models)| provider(&id, models))
        .collect();
    converted
}

fn provider(id: &str, models: Map<String, Value>) -> Value {
    let mut provider = json!({"id": id, "name": id, "api_pattern": "(?!)"});
    if MAKERS.contains(&id) {
        let names = models
            .keys()
            .filter(|name| !name.contains('/') && (id != "google" || name.starts_with("gem")));
        provider["model_match"] =
            json!({"or": names.map(|name| json!({"equals": name})).collect::<Vec<_>>()});
    }
    provider["models"] = models.into_iter().map(|(_, model)| model).collect();
    provider
}

/// The provider's id in the price book and the model's name there.
fn name_of(key: &str, entry: &Map<String, Value>) -> Option<(String, String)> {
    let said = entry
        .get("litellm_provider")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let said = fold(said);
    let provider = provider_id(&said);
    let key = fold(key);
    let mut name = &*key;
    if let Some((prefix, rest)) = key.split_once('/')
        && (prefix == said || (!provider.is_empty() && provider_id(prefix) == provider))
    {
        name = rest;
    }
    // Prices of one region or of reserved capacity: no call's model is called like that.
    let reserved = provider == "aws" && (name.contains('/') || name.contains("commitment"));
    let provider = if provider.is_empty() {
        name.split_once('/')?.0.to_owned()
    } else {
        provider
    };
    (!name.is_empty() && !reserved).then(|| (provider, name.to_owned()))
}

fn provider_id(said: &str) -> String {
    let known = match said {
        "text-completion-openai" => Some("openai"),
        "cohere_chat" => Some("cohere"),
        said if said.starts_with("vertex_ai") || said == "palm" => Some("google"),
        said if said.starts_with("bedrock") => Some("aws"),
        said if said.starts_with("azure") => Some("azure"),
        said if said.starts_with("fireworks_ai") => Some("fireworks"),
        said => known_id(said),
    };
    known.unwrap_or(said).to_owned()
}

type Prices = Map<String, Value>;

/// The prices of one entry and those of its service tiers; nothing where it has none.
fn prices_of(entry: &Map<String, Value>) -> Option<(Prices, Vec<Value>)> {
    let mut prices = token_prices(entry, "");
    if let Some(ranges) = entry.get("tiered_pricing").and_then(Value::as_array)
        && prices.is_empty()
    {
        prices = ranged_prices(ranges);
    }
    for (key, price_key, power) in UNIT_PRICES {
        insert_unit(&mut prices, price_key, entry.get(key), power);
    }
    let searches = entry.get("search_context_cost_per_query").and_then(|costs| {
        // What is not said is medium.
        ["medium", "low", "high"]
            .iter()
            .find_map(|size| costs.get(format!("search_context_size_{size}")))
    });
    insert_unit(&mut prices, "web_searches_kcount", searches, 3);
    if entry.get("mode").and_then(Value::as_str) == Some("audio_transcription")
        && let Some(second) = entry.get("input_cost_per_second")
        && let Some(nanos) = nanos(second, 9)
        && nanos > 0
    {
        prices.insert("audio_hours".to_owned(), number(nanos.saturating_mul(3_600)));
    }
    let paid = |key: &str| {
        prices
            .get(key)
            .is_some_and(|price| *price != json!(0) && *price != json!(0.0))
    };
    let any_paid = prices.keys().any(|key| paid(key));
    let per_token = prices.contains_key("input_mtok") || prices.contains_key("output_mtok");
    let per_piece = prices.keys().any(|key| {
        ["_hours", "_kcount", "_kpages"]
            .iter()
            .any(|end| key.ends_with(end))
    });
    if !any_paid || !(per_token || per_piece) {
        return None;
    }
    let mut variants = Vec::new();
    for (ending, context, tier) in TIERS {
        let tiered = token_prices(entry, ending);
        if !tiered.is_empty() {
            variants.push(json!({"when": {context: tier}, "prices": tiered}));
        }
    }
    if let Some(factor) = entry
        .get("provider_specific_entry")
        .and_then(|more| more.get("fast"))
    {
        let faster = scaled(&prices, factor);
        if !faster.is_empty() {
            variants.push(json!({"when": {"service_tier": "fast"}, "prices": faster}));
        }
    }
    Some((prices, variants))
}

/// The flat prices per token times a factor.
fn scaled(prices: &Prices, factor: &Value) -> Prices {
    let Some(thousandths) = nanos(factor, 3) else {
        return Prices::new();
    };
    let flat = prices.iter().filter(|(key, _)| key.ends_with("_mtok"));
    let times = flat.filter_map(|(key, price)| {
        let product = i128::from(nanos(price, 9)?) * i128::from(thousandths) / 1_000;
        Some((key.clone(), number(i64::try_from(product).ok()?)))
    });
    times.collect()
}

/// Prices by ranges of input tokens, which some entries have instead of one price.
fn ranged_prices(ranges: &[Value]) -> Prices {
    let mut prices = Prices::new();
    for (key, price_key) in TOKEN_PRICES {
        let mut steps: Vec<(u64, i64)> = Vec::new();
        for range in ranges {
            let start = range.pointer("/range/0").and_then(Value::as_f64);
            if let (Some(start), Some(price)) = (start, range.get(key).and_then(per_million)) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the cast holds odd sizes at the limits"
                )]
                steps.push((start as u64, price));
            }
        }
        steps.sort_unstable();
        let Some(((0, base), tiers)) = steps.split_first().filter(|_| !prices.contains_key(price_key)) else {
            continue;
        };
        prices.insert(price_key.to_owned(), tiered(*base, tiers));
    }
    complete(&mut prices);
    prices
}

/// A price that changes with the size of the request.
fn tiered(base: i64, tiers: &[(u64, i64)]) -> Value {
    if tiers.is_empty() {
        return number(base);
    }
    let tiers = tiers
        .iter()
        .map(|(start, price)| json!({"start": start, "price": number(*price)}));
    json!({"base": number(base), "tiers": tiers.collect::<Vec<_>>()})
}

fn insert_unit(prices: &mut Prices, key: &str, dollars: Option<&Value>, power: i32) {
    if let Some(nanos) = dollars.and_then(|dollars| nanos(dollars, 9 + power))
        && nanos > 0
    {
        prices.insert(key.to_owned(), number(nanos));
    }
}

/// The prices per token whose keys end like this, in dollars per million.
fn token_prices(entry: &Map<String, Value>, ending: &str) -> Prices {
    let mut prices = Prices::new();
    for (key, price_key) in TOKEN_PRICES {
        let Some(base) = entry.get(&format!("{key}{ending}")).and_then(per_million) else {
            continue;
        };
        if prices.contains_key(price_key) {
            continue;
        }
        let mut tiers: Vec<(u64, i64)> = Vec::new();
        for (candidate, value) in entry {
            let Some(thousands) = candidate
                .strip_prefix(key)
                .and_then(|rest| rest.strip_suffix(ending))
                .and_then(|rest| rest.strip_prefix("_above_")?.strip_suffix("k_tokens"))
            else {
                continue;
            };
            if let (Ok(thousands), Some(price)) = (thousands.parse::<u64>(), per_million(value)) {
                tiers.push((thousands.saturating_mul(1_000), price));
            }
        }
        tiers.sort_unstable();
        prices.insert(price_key.to_owned(), tiered(base, &tiers));
    }
    if ending.is_empty() {
        complete(&mut prices);
    }
    prices
}

/// Takes out parts without their whole and adds what the book wants beside two overlapping prices.
fn complete(prices: &mut Prices) {
    if let Some(long) = prices.get("cache_write_1h_mtok").cloned() {
        prices.entry("cache_write_mtok").or_insert(long);
    }
    // Twice, since a whole may itself be a part.
    for _ in 0..2 {
        for (part, whole) in WHOLES {
            if !prices.contains_key(whole) {
                prices.remove(part);
            }
        }
    }
    for (one, other, both) in JOINS {
        if prices.contains_key(one)
            && let Some(media) = prices.get(other).cloned()
            && !prices.contains_key(both)
        {
            // Nobody says what cached audio costs: not less than it is charged afresh.
            prices.insert(both.to_owned(), media);
        }
    }
}

fn per_million(dollars: &Value) -> Option<i64> {
    nanos(dollars, 15)
}

fn nanos(dollars: &Value, shift: i32) -> Option<i64> {
    let Value::Number(dollars) = dollars else {
        return None;
    };
    scale(&dollars.to_string(), shift).ok().map(|scaled| scaled.nanos)
}

/// Nano-dollars as the book's number of dollars.
fn number(nanos: i64) -> Value {
    serde_json::from_str(&decimal(nanos, 9)).unwrap_or(Value::Null)
}
