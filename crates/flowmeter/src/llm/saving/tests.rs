//! What prompt caches save, worked out by hand.

use flowmeter_model::{Figure, TimestampNs};
use flowmeter_pricing::{OverrideRates, Overrides};

use super::*;

/// $3.00 of input, $0.30 of cache reads, $3.75 and $6.00 of cache writes, $15.00 of output per million.
fn book() -> PriceBook {
    let mut overrides = Overrides::default();
    let rates = OverrideRates {
        input: Some(3_000_000_000),
        output: Some(15_000_000_000),
        cache_read: Some(300_000_000),
        cache_write: Some(3_750_000_000),
        cache_write_1h: Some(6_000_000_000),
        ..OverrideRates::default()
    };
    overrides.insert("m", rates);
    PriceBook::with_overrides(overrides)
}

fn saved(usage: &TokenUsage) -> Option<UsdNanos> {
    let book = book();
    let call = PricedCall {
        provider: Some("anthropic"),
        request_model: "m",
        response_model: None,
        usage,
        start: TimestampNs(1_700_000_000_000_000_000),
        service_tier: None,
    };
    of_call(&book, &call, &book.price(&call))
}

fn usage(input: u64, read: u64, short: u64, long: u64) -> TokenUsage {
    TokenUsage {
        input: Some(Figure::provider(input)),
        cache_read: Some(Figure::provider(read)),
        cache_write_5m: Some(Figure::provider(short)),
        cache_write_1h: Some(Figure::provider(long)),
        output: Some(Figure::provider(10)),
        ..TokenUsage::default()
    }
}

#[test]
fn reads_save_and_writes_cost() {
    // 1,024 × ($3.00 − $0.30) − 150 × ($3.75 − $3.00) − 50 × ($6.00 − $3.00), per million.
    assert_eq!(
        saved(&usage(1_400, 1_024, 150, 50)),
        Some(UsdNanos(2_764_800 - 112_500 - 150_000))
    );
    assert_eq!(saved(&usage(1_400, 0, 1_000, 0)), Some(UsdNanos(-750_000)));
}

#[test]
fn where_all_input_was_cached_the_book_is_asked_for_the_plain_rate() {
    assert_eq!(saved(&usage(1_000, 1_000, 0, 0)), Some(UsdNanos(2_700_000)));
}

#[test]
fn without_a_cache_or_a_price_nothing_is_said() {
    assert_eq!(saved(&usage(1_000, 0, 0, 0)), None);
    assert_eq!(saved(&TokenUsage::default()), None);
    let reported = TokenUsage {
        reported_cost: Some(UsdNanos(5)),
        ..usage(1_000, 500, 0, 0)
    };
    assert_eq!(saved(&reported), None);
    let book = book();
    let usage = usage(1_000, 500, 0, 0);
    let call = PricedCall {
        provider: None,
        request_model: "nobody-knows-it",
        response_model: None,
        usage: &usage,
        start: TimestampNs(1),
        service_tier: None,
    };
    assert_eq!(of_call(&book, &call, &book.price(&call)), None);
}
