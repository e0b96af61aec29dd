//! Newer price files: both formats, their prices, and what they change.

use flowmeter_model::{CostStatus, Figure, TokenUsage, UsdNanos};
use serde_json::json;

use super::*;
use crate::{BoundedCall, OutputLimitSource, Overrides, PricedCall};

/// 2026-11-20T00:00:00Z and the midnight after.
const YESTERDAY: TimestampNs = TimestampNs(1_795_132_800_000_000_000);
const TODAY: TimestampNs = TimestampNs(YESTERDAY.0 + 86_400_000_000_000);

fn tokens(input: u64, output: u64) -> TokenUsage {
    TokenUsage {
        input: Some(Figure::provider(input)),
        output: Some(Figure::provider(output)),
        ..TokenUsage::default()
    }
}

fn call<'a>(
    provider: Option<&'a str>,
    model: &'a str,
    usage: &'a TokenUsage,
    start: TimestampNs,
) -> PricedCall<'a> {
    PricedCall {
        provider,
        request_model: model,
        response_model: None,
        usage,
        start,
        service_tier: None,
    }
}

fn genai() -> RefreshedPrices {
    let file = json!([{
        "id": "openai", "name": "OpenAI", "api_pattern": "https://api\\.openai\\.com",
        "model_match": {"starts_with": "gpt-"},
        "models": [
            {"id": "gpt-4o", "match": {"equals": "gpt-4o"}, "prices": [
                {"prices": {"input_mtok": 1, "output_mtok": 2}},
                {"constraint": {"start_date": "2026-11-21"}, "prices": {"input_mtok": 3, "output_mtok": 4}},
            ]},
            {"id": "gpt-night", "match": {"equals": "gpt-night"}, "prices": [
                {"prices": {"input_mtok": 8, "output_mtok": 8}},
                {"constraint": {"start_time": "22:15:30Z", "end_time": "05:00:00Z"},
                 "prices": {"input_mtok": {"base": 1, "tiers": [{"start": 77_777, "price": 2}]}, "output_mtok": 1}},
            ]},
        ],
    }]);
    RefreshedPrices::new(file.to_string(), "genai-prices file of 2026-11-20")
}

fn litellm() -> RefreshedPrices {
    let file = json!({
        "sample_spec": {"input_cost_per_token": 0.0, "litellm_provider": "one of https://docs.litellm.ai/docs/providers",
                        "max_output_tokens": "max output tokens"},
        "gpt-4o": {"input_cost_per_token": 5e-6, "output_cost_per_token": 1.5e-5, "cache_read_input_token_cost": 2.5e-6,
                   "input_cost_per_token_batches": 2.5e-6, "output_cost_per_token_batches": 7.5e-6,
                   "input_cost_per_token_priority": 1e-5, "output_cost_per_token_priority": 3e-5,
                   "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128_000, "max_output_tokens": 12_345,
                   "search_context_cost_per_query": {"search_context_size_high": 0.05, "search_context_size_low": 0.03,
                                                     "search_context_size_medium": 0.035}},
        "claude-sonnet-4-5": {"input_cost_per_token": 3e-6, "output_cost_per_token": 1.5e-5,
            "cache_creation_input_token_cost": 3.75e-6, "cache_creation_input_token_cost_above_1hr": 6e-6,
            "cache_read_input_token_cost": 3e-7, "input_cost_per_token_above_200k_tokens": 6e-6,
            "output_cost_per_token_above_200k_tokens": 2.25e-5, "cache_creation_input_token_cost_above_200k_tokens": 7.5e-6,
            "cache_read_input_token_cost_above_200k_tokens": 6e-7, "litellm_provider": "anthropic", "mode": "chat",
            "search_context_cost_per_query": {"search_context_size_medium": 0.01}},
        "gemini/gemini-2.5-flash": {"input_cost_per_token": 3e-7, "output_cost_per_token": 2.5e-6,
            "cache_read_input_token_cost": 3e-8, "input_cost_per_audio_token": 1e-6, "output_cost_per_reasoning_token": 2.6e-6,
            "litellm_provider": "gemini", "mode": "chat"},
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0": {"input_cost_per_token": 3.3e-6, "output_cost_per_token": 1.65e-5,
            "litellm_provider": "bedrock_converse", "mode": "chat"},
        "bedrock/us-east-1/anthropic.claude-instant-v1": {"input_cost_per_token": 8e-7, "output_cost_per_token": 2.4e-6,
            "litellm_provider": "bedrock", "mode": "chat"},
        "groq/llama-3.3-70b-versatile": {"input_cost_per_token": 5.9e-7, "output_cost_per_token": 7.9e-7,
            "litellm_provider": "groq", "mode": "chat"},
        "openrouter/anthropic/claude-sonnet-4.5": {"input_cost_per_token": 3e-6, "output_cost_per_token": 1.5e-5,
            "litellm_provider": "openrouter", "mode": "chat"},
        "qwen/ranged": {"litellm_provider": "dashscope", "tiered_pricing": [
            {"input_cost_per_token": 5e-8, "output_cost_per_token": 4e-7, "range": [0, 256e3]},
            {"input_cost_per_token": 2.5e-7, "output_cost_per_token": 2e-6, "range": [256e3, 1e6]}]},
        "claude-quick": {"litellm_provider": "anthropic", "input_cost_per_token": 5e-6, "output_cost_per_token": 2.5e-5,
            "provider_specific_entry": {"fast": 6.0, "us": 1.1}},
        "unknown-price": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "litellm_provider": "openai"},
        "1024-x-1024/dall-e-2": {"input_cost_per_pixel": 1.9e-8, "litellm_provider": "openai", "mode": "image_generation"},
        "whisper-1": {"input_cost_per_second": 0.0001, "litellm_provider": "openai", "mode": "audio_transcription"},
        "odd": {"input_cost_per_token": -1.0, "output_cost_per_token": "free", "litellm_provider": "openai"},
    });
    RefreshedPrices::new(file.to_string(), "litellm file of 2026-11-20")
}

#[test]
fn a_price_that_changed_yesterday_holds_from_yesterday_on() {
    let book = PriceBook::bundled().refreshed_by(genai());
    let usage = tokens(1_000_000, 1_000_000);
    let amount = |start| {
        book.price(&call(Some("openai"), "gpt-4o", &usage, start))
            .amount
            .unwrap()
    };
    assert_eq!(amount(YESTERDAY), UsdNanos(3_000_000_000));
    assert_eq!(amount(TimestampNs(TODAY.0 - 1)), UsdNanos(3_000_000_000));
    assert_eq!(amount(TODAY), UsdNanos(7_000_000_000));
    let why = book
        .price(&call(Some("openai"), "gpt-4o", &usage, TODAY))
        .explanation
        .unwrap();
    assert_eq!(why.source, "genai-prices file of 2026-11-20");
}

#[test]
fn hours_and_sizes_of_a_file_hold_to_the_second_and_the_token() {
    let book = PriceBook::bundled().refreshed_by(genai());
    let night = 22 * 3_600 + 15 * 60 + 30;
    let rate = |second: u64, input: u64| {
        let usage = tokens(input, 0);
        let start = TimestampNs(YESTERDAY.0 + second * 1_000_000_000);
        let cost = book.price(&call(Some("openai"), "gpt-night", &usage, start));
        cost.explanation.unwrap().lines[0].rate_nanos / 1_000_000_000
    };
    assert_eq!([rate(night - 1, 1_000), rate(night, 1_000)], [8, 1]);
    assert_eq!([rate(night, 77_777), rate(night, 77_778)], [1, 2]);
    assert_eq!([rate(5 * 3_600 - 1, 10), rate(5 * 3_600, 10)], [1, 8]);
}

#[test]
fn sources_go_from_the_users_file_to_the_refreshed_to_the_bundled() {
    let (overrides, _) = Overrides::parse(r#"{"gpt-4o": {"unit": "1M", "input": 9, "output": 9}}"#).unwrap();
    let book = PriceBook::with_overrides(overrides).refreshed_by(genai());
    let usage = tokens(10, 10);
    let source = |model| {
        let cost = book.price(&call(Some("openai"), model, &usage, TODAY));
        cost.explanation.map(|why| why.source.to_string())
    };
    assert_eq!(source("gpt-4o").as_deref(), Some("pricing.json"));
    assert_eq!(
        source("gpt-night").as_deref(),
        Some("genai-prices file of 2026-11-20")
    );
    assert_eq!(source("gpt-4.1").as_deref(), Some("genai-prices 0.2.1"));
    assert_eq!(source("gpt-nobody"), None);
}

#[test]
fn the_text_is_neither_read_nor_decoded_before_it_is_needed() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let prices = RefreshedPrices::on_demand("file", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Err("it is gone".to_owned())
    });
    let book = PriceBook::bundled().refreshed_by(prices);
    assert_eq!(reads.load(Ordering::Relaxed), 0);
    let usage = tokens(10, 10);
    let cost = book.price(&call(Some("openai"), "gpt-4o", &usage, TODAY));
    assert_eq!(cost.status, CostStatus::Priced);
    assert!(cost.explanation.unwrap().warnings[0].contains("it is gone"));
    let _ = book.price(&call(Some("openai"), "gpt-4.1", &usage, TODAY));
    assert_eq!(reads.load(Ordering::Relaxed), 1);
}

#[test]
fn litellms_file_is_priced_with_all_its_kinds() {
    let prices = litellm();
    let file = prices.inspect().unwrap();
    assert_eq!(
        (file.format, file.models, file.skipped),
        (PriceFileFormat::Litellm, 9, 5)
    );
    let book = PriceBook::bundled().refreshed_by(prices);
    let price = |provider, model, usage: &TokenUsage| book.price(&call(provider, model, usage, TODAY));
    let golden = TokenUsage {
        cache_read: Some(Figure::provider(1024)),
        cache_write_5m: Some(Figure::provider(150)),
        cache_write_1h: Some(Figure::provider(50)),
        web_searches: Some(2),
        ..tokens(1400, 300)
    };
    let cost = price(Some("anthropic"), "claude-sonnet-4-5-20250929", &golden);
    assert_eq!(cost.amount, Some(UsdNanos(26_197_700)));
    assert_eq!(cost.explanation.unwrap().source, "litellm file of 2026-11-20");
    let long = price(None, "claude-sonnet-4-5", &tokens(200_001, 1_000_000));
    assert_eq!(long.amount, Some(UsdNanos(200_001 * 6_000 + 22_500_000_000)));
    let usage = tokens(1_000_000, 1_000_000);
    let batch = PricedCall {
        service_tier: Some("batch"),
        ..call(Some("openai"), "gpt-4o", &usage, TODAY)
    };
    assert_eq!(book.price(&batch).amount, Some(UsdNanos(10_000_000_000)));
    let searched = TokenUsage {
        web_searches: Some(1),
        ..tokens(0, 0)
    };
    assert_eq!(
        price(Some("openai"), "gpt-4o", &searched).amount,
        Some(UsdNanos(35_000_000))
    );
    let heard = TokenUsage {
        input_audio: Some(Figure::provider(400_000)),
        cache_read: Some(Figure::provider(300_000)),
        reasoning: Some(Figure::provider(500_000)),
        ..tokens(1_000_000, 1_000_000)
    };
    // 300,000 text at 0.30, 300,000 cached at 0.03, 400,000 audio at 1, 500,000 at 2.50 and 2.60.
    assert_eq!(
        price(Some("gemini"), "models/gemini-2.5-flash", &heard).amount,
        Some(UsdNanos(
            90_000_000 + 9_000_000 + 400_000_000 + 1_250_000_000 + 1_300_000_000
        ))
    );
    let whisper = TokenUsage {
        audio_ms: Some(10_000),
        ..TokenUsage::default()
    };
    assert_eq!(
        price(Some("openai"), "whisper-1", &whisper).amount,
        Some(UsdNanos(1_000_000))
    );
    for (provider, model, key) in [
        (
            Some("bedrock"),
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        (
            Some("groq"),
            "llama-3.3-70b-versatile",
            "groq/llama-3.3-70b-versatile",
        ),
        (
            Some("openrouter"),
            "anthropic/claude-sonnet-4.5",
            "openrouter/anthropic/claude-sonnet-4.5",
        ),
        (None, "gpt-4o-2024-08-06", "openai/gpt-4o"),
    ] {
        let why = price(provider, model, &tokens(1, 1)).explanation.unwrap();
        assert_eq!(
            (&*why.matched, &*why.source),
            (key, "litellm file of 2026-11-20"),
            "{model}"
        );
    }
    for (input, nanos) in [(256_000, 50), (256_001, 250)] {
        let ranged = price(Some("dashscope"), "qwen/ranged", &tokens(input, 0));
        assert_eq!(
            ranged.amount,
            Some(UsdNanos(i64::try_from(input).unwrap() * nanos))
        );
    }
    let quick = TokenUsage {
        service_tier: Some("fast".to_owned()),
        ..tokens(1_000, 1_000)
    };
    let quick = price(Some("anthropic"), "claude-quick", &quick);
    assert_eq!(
        (quick.status, quick.amount),
        (CostStatus::Priced, Some(UsdNanos(180_000_000)))
    );
    let unknown = price(Some("openai"), "unknown-price", &tokens(1, 1));
    assert_eq!(unknown.status, CostStatus::Unpriced, "zero for both is no price");
    let bound = book.bound(&BoundedCall {
        provider: Some("openai"),
        model: "gpt-4o",
        start: TODAY,
        ..BoundedCall::default()
    });
    let limit = bound.output().unwrap();
    assert_eq!(
        (limit.tokens, limit.source),
        (12_345, OutputLimitSource::Refreshed)
    );
}

#[test]
fn changes_are_told() {
    let book = PriceBook::bundled();
    let changes = book.changes_by(&genai(), TODAY).unwrap();
    assert_eq!(changes.added, ["openai/gpt-night"]);
    assert!(changes.missing.len() > 2_000);
    assert!(!changes.missing.iter().any(|model| model == "openai/gpt-4o"));
    let change = |kind, before: i64, after: i64| PriceChange {
        model: SmolStr::new("openai/gpt-4o"),
        kind,
        before: before * 100_000_000,
        after: after * 100_000_000,
    };
    assert_eq!(changes.dearer[0], change(RateKind::Input, 25, 30));
    assert_eq!(changes.cheaper[0], change(RateKind::Output, 100, 40));
    assert_eq!(changes.unchanged, 0);
}

#[test]
fn what_is_no_price_file_is_refused() {
    let refused = |text: &str| {
        let prices = RefreshedPrices::new(text.to_owned(), "x");
        prices.inspect().unwrap_err().to_string()
    };
    assert!(refused("").starts_with("line 1, column 1: this is no JSON"));
    assert!(refused("<html>").contains("this is no JSON"));
    assert!(refused("[{]").contains("line 1, column 3: this is no JSON"));
    assert!(refused("3").contains("neither a list of providers"));
    assert!(refused("{}").contains("is not LiteLLM's"));
    assert!(refused(r#"{"gpt-4o": {"input": 1}}"#).contains("is not LiteLLM's"));
    assert!(refused("[]").contains("no model"));
    assert!(refused("[{}]").contains("not right"));
    assert!(refused(r#"{"x": {"litellm_provider": "openai"}}"#).contains("no model"));
}

#[test]
fn no_file_breaks_the_reader() {
    arbtest::arbtest(|u| {
        let text: String = u.arbitrary()?;
        let _ = RefreshedPrices::new(text.clone(), "x").inspect();
        let key: &str = u.choose(&[
            "input_cost_per_token",
            "max_output_tokens",
            "cache_read_input_token_cost",
        ])?;
        let number: f64 = u.arbitrary()?;
        let file = json!({text: {"litellm_provider": "openai", "output_cost_per_token": 1e-6, key: number}});
        let _ = RefreshedPrices::new(file.to_string(), "x").inspect();
        Ok(())
    })
    .budget_ms(1_500);
}
