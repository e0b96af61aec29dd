//! Bounds: exact where they can be worked out by hand, and never below the price.

use flowmeter_model::{Figure, TokenUsage};

use super::*;
use crate::{Overrides, PricedCall};

/// 2026-11-01T00:00:00Z.
const NOVEMBER_2026: TimestampNs = TimestampNs(1_793_491_200_000_000_000);

fn call<'a>(provider: Option<&'a str>, model: &'a str, input: u64, output: Option<u64>) -> BoundedCall<'a> {
    BoundedCall {
        provider,
        model,
        start: NOVEMBER_2026,
        input_tokens_max: input,
        output_tokens_max: output,
        ..BoundedCall::default()
    }
}

fn own(text: &str) -> PriceBook {
    PriceBook::with_overrides(Overrides::parse(text).unwrap().0)
}

#[test]
fn the_dearest_rates_count() {
    let book = PriceBook::bundled();
    let max = |call: BoundedCall<'_>| book.bound(&call).cost_max().unwrap();
    // One-hour writes at $6, output at $15; in the US 1.1 times as much.
    let sonnet = call(Some("anthropic"), "claude-sonnet-4-5", 1_000, Some(1_000));
    assert_eq!(max(sonnet), UsdNanos(23_100_000));
    let plain = BoundedCall {
        no_cache_writes: true,
        inference_geo: Some("global"),
        ..sonnet
    };
    assert_eq!(max(plain), UsdNanos(18_000_000));
    let searching = BoundedCall {
        searches_max: 2,
        ..plain
    };
    assert_eq!(max(searching), UsdNanos(38_000_000));
    // Beyond 200,000 tokens the whole request costs $6 and $22.50.
    let long = BoundedCall {
        input_tokens_max: 200_001,
        ..plain
    };
    assert_eq!(max(long), UsdNanos(200_001 * 6_000 + 22_500_000));
    let short = BoundedCall {
        input_tokens_max: 200_000,
        ..plain
    };
    assert_eq!(max(short), UsdNanos(200_000 * 3_000 + 15_000_000));
    let tiered = call(Some("openai"), "gpt-5", 1_000_000, Some(0));
    assert_eq!(max(tiered), UsdNanos(2_500_000_000), "`auto` may become priority");
    let standard = BoundedCall {
        service_tier: Some("default"),
        ..tiered
    };
    assert_eq!(max(standard), UsdNanos(1_250_000_000));
    let batch = BoundedCall {
        service_tier: Some("batch"),
        ..tiered
    };
    assert_eq!(max(batch), UsdNanos(625_000_000));
}

#[test]
fn the_dearest_time_within_the_hour_counts() {
    let book = PriceBook::bundled();
    // 2025-06-09T23:30:00Z: o3 becomes cheaper at midnight, and the call may start before.
    let night = BoundedCall {
        start: TimestampNs(1_749_511_800_000_000_000),
        service_tier: Some("default"),
        ..call(Some("openai"), "o3", 1_000_000, Some(0))
    };
    assert_eq!(book.bound(&night).cost_max(), Some(UsdNanos(10_000_000_000)));
    let next_day = BoundedCall {
        start: TimestampNs(night.start.0 + 1_801_000_000_000),
        ..night
    };
    assert_eq!(book.bound(&next_day).cost_max(), Some(UsdNanos(2_000_000_000)));
}

#[test]
fn the_output_is_bounded_by_the_first_that_knows() {
    let source = |book: &PriceBook, call: &BoundedCall<'_>| book.bound(call).output();
    let open = call(Some("openai"), "gpt-4o", 10, None);
    let published = OutputLimit {
        tokens: 16_384,
        source: OutputLimitSource::Published,
    };
    assert_eq!(source(&PriceBook::bundled(), &open), Some(published));
    let several = BoundedCall { answers: 3, ..open };
    assert_eq!(source(&PriceBook::bundled(), &several).unwrap().tokens, 49_152);
    let capped = call(Some("openai"), "gpt-4o", 10, Some(7));
    let own_limit = own(r#"{"gpt-4o": {"input": 1, "output": 1, "max_output_tokens": 5}}"#);
    assert_eq!(
        source(&own_limit, &capped).unwrap().source,
        OutputLimitSource::Request
    );
    assert_eq!(
        source(&own_limit, &open),
        Some(OutputLimit {
            tokens: 5,
            source: OutputLimitSource::PricingFile
        })
    );
    let window = call(Some("meta"), "muse-spark-1.1", 10, None);
    let limit = source(&PriceBook::bundled(), &window);
    assert_eq!(limit.unwrap().source, OutputLimitSource::ContextWindow);
}

#[test]
fn an_answer_without_limit_has_rates_to_compute_with() {
    let book = own(r#"{"mine": {"unit": "1M", "input": 1, "output": 10}}"#);
    let bound = book.bound(&call(None, "mine", 1_000, None));
    let CallBound::OutputUnknown {
        input_cost_max,
        rates,
    } = bound
    else {
        panic!("{bound:?}");
    };
    assert_eq!(input_cost_max, UsdNanos(1_000_000));
    assert_eq!(
        rates.output_tokens_within(UsdNanos(1_100_009), 1_000, 0),
        Some(10)
    );
    assert_eq!(rates.output_tokens_within(UsdNanos(999_999), 1_000, 0), None);
    assert_eq!(rates.cost_max(1_000, 10, 0), UsdNanos(1_100_000));
}

#[test]
fn what_has_no_price_has_no_bound() {
    let book = own(r#"{"half": {"input": 1}}"#);
    assert_eq!(
        book.bound(&call(None, "nobody-knows", 1, Some(1))),
        CallBound::Unpriced { missing: vec![] }
    );
    assert_eq!(
        book.bound(&call(None, "half", 1, Some(1))),
        CallBound::Unpriced {
            missing: vec!["output"]
        }
    );
    let searching = BoundedCall {
        searches_max: 1,
        ..call(None, "half", 1, Some(0))
    };
    assert_eq!(
        book.bound(&searching),
        CallBound::Unpriced {
            missing: vec!["web_search"]
        }
    );
}

#[test]
fn an_own_price_of_a_release_counts_for_the_alias() {
    let book = own(r#"{"m": {"unit": "1M", "input": 1, "output": 1},
                       "m-2026-01-01": {"unit": "1M", "input": 5, "output": 1}}"#);
    let bound = book.bound(&call(None, "m", 1_000_000, Some(0)));
    assert_eq!(bound.cost_max(), Some(UsdNanos(5_000_000_000)));
    let book = own(r#"{"openai/gpt-4o-2024-08-06": {"unit": "1M", "input": 50, "output": 1}}"#);
    let bound = book.bound(&call(Some("openai"), "gpt-4o", 1_000_000, Some(0)));
    assert_eq!(bound.cost_max(), Some(UsdNanos(50_000_000_000)));
}

#[test]
fn a_dearer_tier_without_a_price_has_no_bound() {
    let book = PriceBook::bundled();
    let fast = BoundedCall {
        service_tier: Some("fast"),
        ..call(Some("anthropic"), "claude-opus-4-6", 10, Some(10))
    };
    assert_eq!(
        book.bound(&fast),
        CallBound::Unpriced {
            missing: vec!["service_tier"]
        }
    );
    let usage = TokenUsage {
        input: Some(Figure::provider(10)),
        output: Some(Figure::provider(10)),
        service_tier: Some("fast".to_owned()),
        ..TokenUsage::default()
    };
    let cost = book.price(&PricedCall {
        provider: Some("anthropic"),
        request_model: "claude-opus-4-6",
        response_model: None,
        usage: &usage,
        start: NOVEMBER_2026,
        service_tier: None,
    });
    assert_eq!(cost.status, flowmeter_model::CostStatus::Partial);
    let known = BoundedCall {
        service_tier: Some("fast"),
        ..call(Some("openai"), "gpt-4.1", 1_000_000, Some(0))
    };
    assert_eq!(book.bound(&known).cost_max(), Some(UsdNanos(3_500_000_000)));
}

#[test]
fn a_local_model_costs_nothing_and_needs_no_book() {
    let book = PriceBook::bundled();
    let bound = book.bound(&call(Some("ollama"), "llama3.2", 1_000_000, None));
    assert_eq!(bound.cost_max(), Some(UsdNanos::ZERO));
    assert!(!book.is_decoded());
}

#[test]
fn no_call_within_its_bound_costs_more() {
    let book =
        own(r#"{"mine": {"unit": "1M", "input": 1.5, "output": 10, "reasoning": 11, "cache_write_1h": 4}}"#);
    let models = [
        (Some("anthropic"), "claude-sonnet-4-5"),
        (Some("anthropic"), "claude-opus-4-6"),
        (Some("openai"), "gpt-5"),
        (Some("openai"), "gpt-5.4"),
        (Some("openai"), "o3"),
        (Some("openai"), "gpt-realtime"),
        (Some("gemini"), "gemini-2.5-pro"),
        (Some("gemini"), "gemini-2.5-flash-image"),
        (Some("gemini"), "gemini-4-argon"),
        (Some("deepseek"), "deepseek-chat"),
        (Some("deepseek"), "deepseek-reasoner"),
        (Some("xai"), "grok-4.20"),
        (Some("perplexity"), "sonar"),
        (Some("perplexity"), "sonar-deep-research"),
        (Some("bedrock"), "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (Some("groq"), "llama-3.3-70b-versatile"),
        (None, "mine"),
    ];
    arbtest::arbtest(|u| {
        let (provider, model) = *u.choose(&models)?;
        let part = |u: &mut arbtest::arbitrary::Unstructured<'_>, whole: u64| {
            let most = if u.ratio(1, 2)? { whole } else { whole / 8 };
            Ok::<_, arbtest::arbitrary::Error>(Some(Figure::provider(u.int_in_range(0..=most)?)))
        };
        let input = u.int_in_range(0..=600_000_u64)?;
        let output = u.int_in_range(0..=100_000_u64)?;
        let searches = if u.ratio(1, 4)? {
            Some(u.int_in_range(0..=5)?)
        } else {
            None
        };
        let usage = TokenUsage {
            input: Some(Figure::provider(input)),
            cache_read: part(u, input)?,
            cache_write_5m: part(u, input)?,
            cache_write_1h: part(u, input)?,
            input_audio: part(u, input)?,
            input_image: part(u, input)?,
            cache_read_audio: part(u, input)?,
            output: Some(Figure::provider(output)),
            reasoning: part(u, output)?,
            output_audio: part(u, output)?,
            output_image: part(u, output)?,
            citation: part(u, output)?,
            web_searches: searches,
            service_tier: (*u.choose(&[None, Some("default"), Some("priority"), Some("flex")])?)
                .map(str::to_owned),
            inference_geo: (*u.choose(&[None, Some("us"), Some("global")])?).map(str::to_owned),
            ..TokenUsage::default()
        };
        // Between 2024 and 2027, down to the nanosecond.
        let expected = u.int_in_range(1_704_067_200_000_000_000..=1_830_000_000_000_000_000_u64)?;
        let start = TimestampNs(expected + u.int_in_range(0..=START_MARGIN_S * 1_000_000_000)?);
        let bound = book.bound(&BoundedCall {
            start: TimestampNs(expected),
            input_tokens_max: input + u.int_in_range(0..=10_000)?,
            output_tokens_max: Some(output),
            searches_max: searches.unwrap_or(0),
            ..call(provider, model, 0, None)
        });
        let cost = book.price(&PricedCall {
            provider,
            request_model: model,
            response_model: None,
            usage: &usage,
            start,
            service_tier: None,
        });
        match bound {
            CallBound::Bounded { cost_max, .. } => {
                assert!(
                    cost.amount.unwrap() <= cost_max,
                    "{model}: {cost:?} > {cost_max:?}"
                );
                assert_ne!(
                    cost.status,
                    flowmeter_model::CostStatus::Partial,
                    "{model}: {cost:?}"
                );
            }
            CallBound::Unpriced { .. } => {
                assert_ne!(
                    cost.status,
                    flowmeter_model::CostStatus::Priced,
                    "{model}: {usage:?}"
                );
            }
            CallBound::OutputUnknown { .. } => panic!("{model} has a limit"),
        }
        Ok(())
    })
    .budget_ms(2_500);
}
