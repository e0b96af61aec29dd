//! Forecasts from the pace and from the past.

use super::*;
use crate::{BudgetId, BudgetPeriod, BudgetRule, BudgetScope};

const HOUR_NS: u64 = 3_600_000_000_000;

fn account(spent: i64) -> AccountState {
    AccountState {
        rule: BudgetRule {
            id: BudgetId(1),
            limit: UsdNanos(1_000),
            period: BudgetPeriod::Day,
            scope: BudgetScope::All,
            hard: false,
            utc_offset_seconds: 0,
        },
        begins: TimestampNs(0),
        ends: TimestampNs(24 * HOUR_NS),
        spent: UsdNanos(spent),
        withheld: UsdNanos(0),
        reserved: UsdNanos(0),
        calls: 1,
        unpriced_calls: 0,
        mark_passed: None,
    }
}

fn past(after: i64) -> PastPeriod {
    PastPeriod {
        begins: TimestampNs(0),
        before: UsdNanos(7),
        after: UsdNanos(after),
    }
}

#[test]
fn the_pace_counts_where_nothing_went_before() {
    let forecast = Forecast::of(&account(100), &[past(1), past(2)], TimestampNs(6 * HOUR_NS));
    assert_eq!(forecast.ground, ForecastGround::Pace);
    assert_eq!(
        (forecast.low, forecast.likely, forecast.high),
        (UsdNanos(100), UsdNanos(400), UsdNanos(700))
    );
}

#[test]
fn in_the_first_hour_of_a_day_nothing_is_said() {
    let forecast = Forecast::of(&account(100), &[], TimestampNs(HOUR_NS));
    assert_eq!(forecast.ground, ForecastGround::TooEarly);
    assert_eq!(forecast.likely, UsdNanos(100));
    // A clock that stands before the period says nothing either.
    let begins_later = AccountState {
        begins: TimestampNs(5 * HOUR_NS),
        ..account(100)
    };
    let forecast = Forecast::of(&begins_later, &[], TimestampNs(HOUR_NS));
    assert_eq!(forecast.ground, ForecastGround::TooEarly);
}

#[test]
fn what_usually_follows_goes_before_the_pace() {
    let days = [past(0), past(40), past(80), past(400), past(20)];
    let forecast = Forecast::of(&account(100), &days, TimestampNs(HOUR_NS));
    assert_eq!(forecast.ground, ForecastGround::Past(5));
    assert_eq!(
        (forecast.low, forecast.likely, forecast.high),
        (UsdNanos(120), UsdNanos(140), UsdNanos(180))
    );
}
