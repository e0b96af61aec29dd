//! What calls cost, worked out by hand from the published prices: each provider, tier and kind.
//!
//! The figures are nano-dollars; a price of $1 per million tokens is 1,000 nanos a token.

use flowmeter_model::{CostStatus, Figure, TimestampNs, TokenUsage, UsdNanos};

use super::{call, golden, tokens};
use crate::PriceBook;

const fn second(second: u64) -> TimestampNs {
    TimestampNs(second * 1_000_000_000)
}

/// 2026-11-01T12:00:00Z.
const NOON: TimestampNs = second(1_793_534_400);

fn figure(tokens: u64) -> Option<Figure> {
    Some(Figure::provider(tokens))
}

#[track_caller]
fn costs_at(
    start: TimestampNs,
    tier: Option<&str>,
    provider: &str,
    model: &str,
    usage: &TokenUsage,
    nanos: i64,
) {
    let book = PriceBook::bundled();
    let mut priced = call(Some(provider), model, usage);
    priced.start = start;
    priced.service_tier = tier;
    let cost = book.price(&priced);
    assert_eq!(cost.amount, Some(UsdNanos(nanos)), "{cost:#?}");
    assert_eq!(cost.status, CostStatus::Priced, "{cost:#?}");
}

#[track_caller]
fn costs(provider: &str, model: &str, usage: &TokenUsage, nanos: i64) {
    costs_at(NOON, None, provider, model, usage, nanos);
}

fn cached(input: u64, read: u64, output: u64) -> TokenUsage {
    TokenUsage {
        cache_read: figure(read),
        ..tokens(input, output)
    }
}

#[test]
fn openai() {
    let usage = cached(1_000, 400, 500);
    costs(
        "openai",
        "gpt-4o",
        &usage,
        600 * 2_500 + 400 * 1_250 + 500 * 10_000,
    );
    costs_at(
        NOON,
        Some("priority"),
        "openai",
        "gpt-4o",
        &usage,
        600 * 4_250 + 400 * 2_125 + 500 * 17_000,
    );
    let plain = tokens(1_000, 500);
    costs_at(
        NOON,
        Some("batch"),
        "openai",
        "gpt-4o",
        &plain,
        1_000 * 1_250 + 500 * 5_000,
    );
    let thinking = TokenUsage {
        reasoning: figure(600),
        ..tokens(1_000, 800)
    };
    costs_at(
        NOON,
        Some("flex"),
        "openai",
        "gpt-5",
        &thinking,
        1_000 * 625 + 800 * 5_000,
    );
    costs(
        "openai",
        "gpt-5.4",
        &tokens(272_000, 10),
        272_000 * 2_500 + 10 * 15_000,
    );
    costs(
        "openai",
        "gpt-5.4",
        &tokens(272_001, 10),
        272_001 * 5_000 + 10 * 22_500,
    );
    costs(
        "openai",
        "ft:gpt-4o-mini-2024-07-18:acme::x",
        &tokens(1_000, 1_000),
        1_500_000,
    );
    let embedded = TokenUsage {
        output: None,
        ..tokens(1_000, 0)
    };
    costs("openai", "text-embedding-3-small", &embedded, 20_000);
    let searched = TokenUsage {
        web_searches: Some(3),
        file_searches: Some(2),
        ..tokens(100, 10)
    };
    costs(
        "openai",
        "gpt-4.1",
        &searched,
        100 * 2_000 + 10 * 8_000 + 3 * 10_000_000 + 2 * 2_500_000,
    );
    let heard = TokenUsage {
        audio_ms: Some(600_000),
        ..TokenUsage::default()
    };
    costs("openai", "whisper-1", &heard, 60_000_000);
}

#[test]
fn openai_speech_and_pictures() {
    let spoken = TokenUsage {
        input_audio: figure(600),
        cache_read_audio: figure(200),
        output_audio: figure(400),
        ..cached(1_000, 300, 500)
    };
    let text = 100 * 400 + 300 * 4_000 + 100 * 16_000;
    let audio = 200 * 400 + 400 * 32_000 + 400 * 64_000;
    costs("openai", "gpt-realtime", &spoken, text + audio);
    let drawn = TokenUsage {
        input_image: figure(300),
        cache_read_image: figure(100),
        output_image: figure(900),
        ..cached(500, 150, 1_000)
    };
    let text = 50 * 1_250 + 150 * 5_000 + 100 * 10_000;
    let images = 100 * 2_000 + 200 * 8_000 + 900 * 32_000;
    costs("openai", "gpt-image-1.5", &drawn, text + images);
}

#[test]
fn a_price_is_that_of_the_second() {
    // 2025-06-10T00:00:00Z, from when on o3 costs $2 and not $10.
    let change = 1_749_513_600;
    let usage = tokens(1_000_000, 0);
    costs_at(second(change - 1), None, "openai", "o3", &usage, 10_000_000_000);
    costs_at(second(change), None, "openai", "o3", &usage, 2_000_000_000);
    // 2026-03-13: long prompts of Opus 4.6 cost no more any longer.
    let change = 1_773_360_000;
    let usage = tokens(300_000, 0);
    costs_at(
        second(change - 1),
        None,
        "anthropic",
        "claude-opus-4-6",
        &usage,
        3_000_000_000,
    );
    costs_at(
        second(change),
        None,
        "anthropic",
        "claude-opus-4-6",
        &usage,
        1_500_000_000,
    );
    // DeepSeek's discount ends at 00:30 and begins at 16:30.
    let usage = cached(1_000, 600, 200);
    let midnight = 1_793_491_200;
    let (dear, cheap) = (
        400 * 270 + 600 * 70 + 200 * 1_100,
        400 * 135 + 600 * 35 + 200 * 550,
    );
    for (of_day, nanos) in [
        (0, cheap),
        (1_799, cheap),
        (1_800, dear),
        (59_399, dear),
        (59_400, cheap),
    ] {
        costs_at(
            second(midnight + of_day),
            None,
            "deepseek",
            "deepseek-chat",
            &usage,
            nanos,
        );
    }
}

#[test]
fn anthropic() {
    costs("anthropic", "claude-sonnet-4-5", &golden(), 26_197_700);
    let written = TokenUsage {
        cache_write_5m: figure(200),
        cache_write_1h: figure(100),
        ..cached(1_000, 300, 100)
    };
    let batch = 400 * 500 + 300 * 50 + 200 * 625 + 100 * 1_000 + 100 * 2_500;
    costs_at(
        NOON,
        Some("batch"),
        "anthropic",
        "claude-haiku-4-5",
        &written,
        batch,
    );
    costs(
        "anthropic",
        "claude-haiku-5-5",
        &cached(100_001, 50_000, 100),
        50_001 * 500 + 50_000 * 50 + 100 * 2_500,
    );
    let in_the_us = TokenUsage {
        inference_geo: Some("us".to_owned()),
        ..golden()
    };
    // Tokens cost 1.1 times as much, searches do not.
    costs(
        "anthropic",
        "claude-sonnet-4-5",
        &in_the_us,
        6_197_700 * 11 / 10 + 20_000_000,
    );
}

#[test]
fn google() {
    let heard = TokenUsage {
        input_audio: figure(300),
        cache_read_audio: figure(100),
        reasoning: figure(250),
        web_searches: Some(1),
        ..cached(1_000, 250, 400)
    };
    let input = 550 * 300 + 150 * 30 + 100 * 100 + 200 * 1_000;
    costs(
        "gcp.gemini",
        "models/gemini-2.5-flash-001",
        &heard,
        input + 400 * 2_500 + 35_000_000,
    );
    let drawn = TokenUsage {
        output_image: figure(1_290),
        ..tokens(100, 1_300)
    };
    costs(
        "gemini",
        "gemini-2.5-flash-image",
        &drawn,
        100 * 300 + 10 * 2_500 + 1_290 * 30_000,
    );
    costs(
        "vertex_ai",
        "gemini-2.5-pro",
        &tokens(200_001, 100),
        200_001 * 2_500 + 100 * 15_000,
    );
    costs_at(
        NOON,
        Some("batch"),
        "gemini",
        "gemini-2.5-pro",
        &tokens(200_001, 100),
        200_001 * 1_250 + 100 * 7_500,
    );
}

#[test]
fn bedrock() {
    let usage = TokenUsage {
        web_searches: None,
        ..golden()
    };
    let regional = 176 * 3_300 + 1_024 * 330 + 150 * 4_125 + 50 * 6_600 + 300 * 16_500;
    for model in [
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ] {
        costs("aws.bedrock", model, &usage, regional);
    }
    costs(
        "aws.bedrock",
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        &usage,
        6_197_700,
    );
    costs(
        "bedrock",
        "amazon.nova-pro-v1:0",
        &cached(1_000, 200, 100),
        800 * 800 + 200 * 200 + 100 * 3_200,
    );
}

#[test]
fn mistral_and_cohere() {
    costs("mistral", "mistral-large-2411", &tokens(1_000, 500), 5_000_000);
    let read = TokenUsage {
        document_pages: Some(10),
        ..TokenUsage::default()
    };
    costs("mistral_ai", "mistral-ocr-latest", &read, 40_000_000);
    let heard = TokenUsage {
        audio_ms: Some(30_000),
        ..tokens(100, 50)
    };
    costs(
        "mistral",
        "voxtral-small-24b-2507",
        &heard,
        100 * 100 + 50 * 400 + 2_000_000,
    );
    costs("cohere", "command-a-03-2025", &tokens(1_000, 500), 7_500_000);
}

#[test]
fn groq_xai_and_perplexity() {
    costs("groq", "llama-3.3-70b-versatile", &tokens(1_000, 100), 669_000);
    let heard = |audio_ms| TokenUsage {
        audio_ms: Some(audio_ms),
        ..TokenUsage::default()
    };
    costs("groq", "whisper-large-v3", &heard(3_600_000), 111_000_000);
    // At least ten seconds are billed.
    costs("groq", "whisper-large-v3", &heard(5_000), 308_333);
    costs(
        "xai",
        "grok-4.20",
        &tokens(199_999, 100),
        199_999 * 1_250 + 100 * 2_500,
    );
    costs(
        "x_ai",
        "grok-4.20",
        &tokens(200_000, 100),
        200_000 * 2_500 + 100 * 5_000,
    );
    let thinking = TokenUsage {
        reasoning: figure(300),
        ..tokens(1_000, 500)
    };
    costs("x-ai", "grok-3-mini", &thinking, 550_000);
    let researched = TokenUsage {
        reasoning: figure(500),
        citation: figure(300),
        web_searches: Some(20),
        ..tokens(100, 1_000)
    };
    let output = 200 * 8_000 + 500 * 3_000 + 300 * 2_000;
    costs(
        "perplexity",
        "sonar-deep-research",
        &researched,
        100 * 2_000 + output + 20 * 5_000_000,
    );
    costs(
        "perplexity",
        "sonar-pro",
        &tokens(100, 100),
        300_000 + 1_500_000 + 14_000_000,
    );
}

#[test]
fn openrouter_and_what_is_free() {
    let reported = TokenUsage {
        reported_cost: Some(UsdNanos(1_234_567)),
        ..tokens(1_000, 500)
    };
    let cost = PriceBook::bundled().price(&call(
        Some("openrouter"),
        "anthropic/claude-sonnet-4.5",
        &reported,
    ));
    assert_eq!(
        (cost.status, cost.amount),
        (CostStatus::Reported, Some(UsdNanos(1_234_567)))
    );
    costs("openrouter", "openai/gpt-4o", &tokens(1_000, 500), 7_500_000);
    costs(
        "openrouter",
        "meta-llama/llama-3.3-70b-instruct:free",
        &tokens(1_000, 500),
        0,
    );
}
