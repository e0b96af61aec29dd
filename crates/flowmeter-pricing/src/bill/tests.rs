//! The arithmetic of one call.

use flowmeter_model::Figure;

use super::*;

fn figure(tokens: u64) -> Option<Figure> {
    Some(Figure::provider(tokens))
}

fn flat(rate: i64) -> RateCard {
    let rate = Some(rate);
    RateCard {
        input: rate,
        cache_read: rate,
        cache_write_5m: rate,
        cache_write_1h: rate,
        input_audio: rate,
        input_image: rate,
        output: rate,
        reasoning: rate,
        output_audio: rate,
        web_search: rate,
        request: None,
    }
}

#[test]
fn a_call_is_rounded_once_half_away_from_zero() {
    let usage = TokenUsage {
        input: figure(1),
        output: figure(1),
        ..TokenUsage::default()
    };
    assert_eq!(
        bill(&usage, &flat(250_000)).total,
        UsdNanos(1),
        "two quarters make a half, which rounds up"
    );
    assert_eq!(bill(&usage, &flat(249_999)).total, UsdNanos(0));
}

#[test]
fn no_token_is_paid_twice() {
    let usage = TokenUsage {
        input: figure(100),
        cache_read: figure(40),
        cache_write_5m: figure(10),
        cache_write_1h: figure(5),
        input_audio: figure(90),
        output: figure(30),
        reasoning: figure(20),
        ..TokenUsage::default()
    };
    let bill = bill(&usage, &flat(1_000_000));
    assert_eq!(bill.lines.iter().map(|line| line.quantity).sum::<u64>(), 130);
    assert_eq!(bill.total, UsdNanos(130));
    assert!(!Parts::of(&usage).clipped);
}

#[test]
fn counts_that_contradict_each_other_are_clipped() {
    let usage = TokenUsage {
        input: figure(10),
        cache_read: figure(50),
        ..TokenUsage::default()
    };
    let parts = Parts::of(&usage);
    assert!(parts.clipped);
    assert_eq!((parts.input, parts.cache_read), (0, 10));
}

#[test]
fn what_has_no_rate_is_missing_and_not_free() {
    let usage = TokenUsage {
        input: figure(10),
        output: figure(10),
        web_searches: Some(2),
        ..TokenUsage::default()
    };
    let card = RateCard {
        input: Some(1_000_000),
        ..RateCard::default()
    };
    assert_eq!(bill(&usage, &card).missing, ["output", "web_search"]);
    let half_told = TokenUsage {
        input: figure(10),
        ..TokenUsage::default()
    };
    assert_eq!(bill(&half_told, &flat(1)).missing, ["output"]);
}

#[test]
fn sums_hold_at_the_limits() {
    let usage = TokenUsage {
        input: figure(u64::MAX),
        output: figure(u64::MAX),
        ..TokenUsage::default()
    };
    assert_eq!(bill(&usage, &flat(i64::MAX)).total, UsdNanos(i64::MAX));
}
