//! What `flowmeter budget status` prints.

use expect_test::expect;
use flowmeter_store::{BudgetId, BudgetPeriod};

use super::*;

const HOUR_NS: u64 = 3_600_000_000_000;

fn state(spent: i64) -> AccountState {
    AccountState {
        rule: BudgetRule {
            id: BudgetId(3),
            limit: UsdNanos(5_000_000_000),
            period: BudgetPeriod::Day,
            scope: BudgetScope::Model("gpt-4o".into()),
            hard: true,
            utc_offset_seconds: 3_600,
        },
        begins: TimestampNs(1_772_405_999_999_999_999 / HOUR_NS * HOUR_NS),
        ends: TimestampNs(1_772_405_999_999_999_999 / HOUR_NS * HOUR_NS + 24 * HOUR_NS),
        spent: UsdNanos(spent),
        withheld: UsdNanos(100_000_000),
        reserved: UsdNanos(250_000_000),
        calls: 1_234,
        unpriced_calls: 0,
        mark_passed: None,
    }
}

fn told(state: &AccountState, forecast: &Forecast, elapsed_ns: u64) -> String {
    let now = TimestampNs(state.begins.0 + elapsed_ns);
    let output = Output::new(false);
    status_text(state, forecast, now, &output)
}

#[test]
fn a_status_says_what_is_spent_and_where_it_leads() {
    let state = state(3_100_000_000);
    let forecast = Forecast::of(&state, &[], TimestampNs(state.begins.0 + 16 * HOUR_NS));
    expect![[r#"
        3  $5.00/day of model `gpt-4o`, hard
           ████████████░░░░░░░░ 64 %: $3.10 spent, up to $0.10 more may be, $0.25 held by calls that go on, $1.55 left, 1,234 calls
           begins anew at 2026-03-02 23:00 (in 8 h 0 min)
           forecast: about $4.80 at the end, within the limit, but not for certain; from the pace of this period alone, which is a rough guess ($3.20 to $6.40)
    "#]]
    .assert_eq(&told(&state, &forecast, 16 * HOUR_NS));
}

#[test]
fn early_in_a_period_no_forecast_is_made() {
    let state = state(0);
    let forecast = Forecast::of(&state, &[], TimestampNs(state.begins.0 + HOUR_NS));
    assert!(told(&state, &forecast, HOUR_NS).contains("too early to tell"));
    assert_eq!(forecast_json(&state, &forecast), json!({ "from": "too_early" }));
}

#[test]
fn bars_are_as_long_as_they_are() {
    assert_eq!(bar(Some(0)), "░".repeat(20));
    assert_eq!(bar(Some(99)).matches('█').count(), 19);
    assert_eq!(bar(Some(250)), "█".repeat(20));
    assert_eq!(bar(None), "█".repeat(20));
    assert_eq!(percent(UsdNanos(999), UsdNanos(1_000)), Some(99));
    assert_eq!(percent(UsdNanos(0), UsdNanos(0)), Some(0));
    assert_eq!(percent(UsdNanos(1), UsdNanos(0)), None);
}

#[test]
fn guesses_are_rounded() {
    assert_eq!(cents(UsdNanos(1_234_567_890)), UsdNanos(1_230_000_000));
    assert_eq!(cents(UsdNanos(12_345_678)), UsdNanos(12_300_000));
    assert_eq!(cents(UsdNanos(999)), UsdNanos(999));
}
