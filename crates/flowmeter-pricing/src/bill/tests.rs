//! The arithmetic of one call.

use flowmeter_model::Figure;

use super::*;

fn figure(tokens: u64) -> Option<Figure> {
    Some(Figure::provider(tokens))
}

fn flat(rate: i64) -> RateCard {
    let mut card = RateCard::default();
    for kind in RateKind::ALL {
        if kind != RateKind::Request {
            card.set(kind, Some(rate));
        }
    }
    card
}

fn bill(usage: &TokenUsage, card: &RateCard) -> Bill {
    super::bill(usage, &Parts::of(usage), card)
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
    let counts = parts.counts;
    assert_eq!(
        (counts.get(RateKind::Input), counts.get(RateKind::CacheRead)),
        (0, 10)
    );
}

#[test]
fn what_has_no_rate_is_missing_and_not_free() {
    let usage = TokenUsage {
        input: figure(10),
        output: figure(10),
        web_searches: Some(2),
        ..TokenUsage::default()
    };
    let mut card = RateCard::default();
    card.set(RateKind::Input, Some(1_000_000));
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

#[test]
fn cached_audio_is_no_fresh_audio() {
    let usage = TokenUsage {
        input: figure(100),
        cache_read: figure(60),
        input_audio: figure(70),
        cache_read_audio: figure(50),
        output: figure(40),
        output_image: figure(30),
        ..TokenUsage::default()
    };
    let parts = Parts::of(&usage);
    let count = |kind| parts.counts.get(kind);
    assert_eq!(
        (
            count(RateKind::CacheRead),
            count(RateKind::CacheReadAudio),
            count(RateKind::InputAudio)
        ),
        (10, 50, 20)
    );
    assert_eq!(
        (
            count(RateKind::Input),
            count(RateKind::OutputImage),
            count(RateKind::Output)
        ),
        (20, 30, 10)
    );
    assert!(!parts.clipped);
}

#[test]
fn an_hour_of_audio_costs_its_hourly_rate() {
    let usage = TokenUsage {
        audio_ms: Some(3_600_000),
        ..TokenUsage::default()
    };
    let mut card = RateCard::default();
    card.set(RateKind::AudioMs, Some(111_000_000));
    assert_eq!(bill(&usage, &card).total, UsdNanos(111_000_000));
    let second = TokenUsage {
        audio_ms: Some(1_000),
        ..TokenUsage::default()
    };
    assert_eq!(
        bill(&second, &card).total,
        UsdNanos(30_833),
        "30,833.3 rounds down"
    );
}

#[test]
fn every_kind_has_a_name_of_its_own_and_is_found_by_it() {
    for kind in RateKind::ALL {
        assert_eq!(RateKind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(RateKind::parse("tokens"), None);
}
