//! Lists and details of the built-in book.

use super::*;
use crate::Overrides;

/// 2026-11-01T00:00:00Z.
const NOVEMBER_2026: TimestampNs = TimestampNs(1_793_491_200_000_000_000);

fn shown(book: &PriceBook, provider: Option<&str>, model: &str) -> ShownModel {
    match book.show(provider, model, NOVEMBER_2026) {
        Shown::Priced(shown) => *shown,
        other => panic!("{model}: {other:?}"),
    }
}

fn rate(rates: &[Rate], kind: RateKind) -> Option<i64> {
    rates.iter().find(|rate| rate.kind == kind).map(|rate| rate.nanos)
}

#[test]
fn everything_about_a_model_is_shown() {
    let book = PriceBook::bundled();
    let sonnet = shown(&book, Some("anthropic"), "claude-sonnet-4-5-20250929");
    assert_eq!(sonnet.matched, "anthropic/claude-sonnet-4-5");
    assert_eq!(sonnet.rule, "version suffix stripped");
    assert_eq!(sonnet.source, "genai-prices 0.2.1");
    assert_eq!(rate(&sonnet.rates, RateKind::CacheRead), Some(300_000_000));
    assert_eq!(rate(&sonnet.rates, RateKind::CacheWrite5m), Some(3_750_000_000));
    assert_eq!(rate(&sonnet.rates, RateKind::CacheWrite1h), Some(6_000_000_000));
    assert_eq!(rate(&sonnet.rates, RateKind::WebSearch), Some(10_000_000_000));
    assert_eq!(
        rate(&sonnet.rates, RateKind::InputAudio),
        None,
        "what costs the same as the rest of the input has no line of its own"
    );
    assert_eq!(sonnet.size_tiers.len(), 1);
    assert_eq!(sonnet.size_tiers[0].above_tokens, 200_000);
    assert_eq!(
        rate(&sonnet.size_tiers[0].rates, RateKind::Output),
        Some(22_500_000_000)
    );
    let batch = sonnet
        .service_tiers
        .iter()
        .find(|tier| tier.name == "batch")
        .unwrap();
    assert_eq!(rate(&batch.rates, RateKind::Input), Some(1_500_000_000));
    assert_eq!(sonnet.output_limit.unwrap().tokens, 64_000);
    assert!(sonnet.day_windows.is_empty());
    assert_eq!(sonnet.history.len(), 1);
}

#[test]
fn prices_are_shown_with_their_dates_and_hours() {
    let book = PriceBook::bundled();
    let o3 = shown(&book, Some("openai"), "o3");
    let inputs: Vec<_> = o3
        .history
        .iter()
        .map(|dated| {
            (
                dated.from.map(|from| from.0 / DAY_NS),
                rate(&dated.rates, RateKind::Input),
            )
        })
        .collect();
    // 20,249 days after 1970 is 2025-06-10.
    assert_eq!(
        inputs,
        [(None, Some(10_000_000_000)), (Some(20_249), Some(2_000_000_000))]
    );
    let flash = shown(&book, Some("gemini"), "gemini-3-flash-preview");
    assert_eq!(flash.history.len(), 2, "only the price of searches changed");
    let announced = shown(&book, Some("gemini"), "gemini-4-argon");
    assert_eq!(announced.history.len(), 2, "a price that is announced is shown");
    let windowed = book
        .list(None, Some("deepseek"), NOVEMBER_2026)
        .into_iter()
        .map(|listed| shown(&book, Some("deepseek"), &listed.model))
        .filter(|shown| !shown.day_windows.is_empty())
        .count();
    assert!(windowed > 0, "DeepSeek is cheaper at some hours");
}

#[test]
fn pricing_json_goes_first_and_shows_what_it_hides() {
    let (overrides, _) = Overrides::parse(r#"{"gpt-4o": {"unit": "1M", "input": 1, "output": 2}}"#).unwrap();
    let book = PriceBook::with_overrides(overrides);
    let own = shown(&book, None, "gpt-4o-2024-08-06");
    assert_eq!((&*own.source, &*own.matched), ("pricing.json", "gpt-4o"));
    assert_eq!(rate(&own.rates, RateKind::Output), Some(2_000_000_000));
    assert_eq!(own.hidden.unwrap().matched, "openai/gpt-4o");
    let listed = book.list(Some("GPT-4o"), None, NOVEMBER_2026);
    assert_eq!(listed[0].source, "pricing.json");
    assert!(listed.len() > 5);
}

#[test]
fn a_list_can_be_narrowed() {
    let book = PriceBook::bundled();
    let all = book.list(None, None, NOVEMBER_2026);
    assert!(all.len() > 2_000);
    let named = book.list(Some("sonnet-4-5"), Some("anthropic"), NOVEMBER_2026);
    assert_eq!(named.len(), 1);
    assert_eq!(rate(&named[0].rates, RateKind::Input), Some(3_000_000_000));
    assert!(book.list(Some("no such thing"), None, NOVEMBER_2026).is_empty());
    let google = book.list(None, Some("Vertex_AI"), NOVEMBER_2026);
    assert!(google.iter().all(|listed| listed.provider == "google") && google.len() > 20);
}

#[test]
fn an_unknown_name_gets_the_nearest_ones() {
    let book = PriceBook::bundled();
    let nearest = |name| match book.show(None, name, NOVEMBER_2026) {
        Shown::Unpriced { nearest } => nearest,
        other => panic!("{other:?}"),
    };
    assert_eq!(nearest("gpt-4oo")[0], "openai/gpt-4o");
    assert_eq!(nearest("claude-sonnet-45")[0], "anthropic/claude-sonnet-4-5");
    assert_eq!(nearest("gemini-2.5-flsh")[0], "google/gemini-2.5-flash");
    assert_eq!(nearest("zzzzzz"), Vec::<SmolStr>::new());
    assert_eq!(book.show(Some("ollama"), "llama3", NOVEMBER_2026), Shown::Local);
}

#[test]
fn nearly_every_listed_model_has_its_rates() {
    let book = PriceBook::bundled();
    let listed = book.list(None, None, NOVEMBER_2026);
    let bare: Vec<_> = listed
        .iter()
        .filter(|listed| listed.rates.is_empty())
        .map(|listed| format!("{}/{}", listed.provider, listed.model))
        .collect();
    // Free models, and those charged by the picture, the page or the minute.
    assert!(bare.len() < listed.len() / 10, "{}: {bare:?}", bare.len());
}
