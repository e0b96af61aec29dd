//! Periods in local time.

use super::*;

fn at(seconds: i64) -> TimestampNs {
    TimestampNs(u64::try_from(seconds).unwrap() * 1_000_000_000)
}

fn around(period: BudgetPeriod, seconds: i64, offset: i32) -> (i64, i64) {
    let (begin, end) = period.around(at(seconds), offset);
    ((begin.0 / 1_000_000_000) as i64, (end.0 / 1_000_000_000) as i64)
}

#[test]
fn known_days() {
    // 2024-02-29T12:34:56Z, a Thursday of a leap year.
    let noon = 1_709_210_096;
    assert_eq!(
        around(BudgetPeriod::Hour, noon, 0),
        (1_709_208_000, 1_709_211_600)
    );
    assert_eq!(around(BudgetPeriod::Day, noon, 0), (1_709_164_800, 1_709_251_200));
    assert_eq!(
        around(BudgetPeriod::Week, noon, 0),
        (1_708_905_600, 1_709_510_400)
    );
    assert_eq!(
        around(BudgetPeriod::Month, noon, 0),
        (1_706_745_600, 1_709_251_200)
    );
    // 2026-12-31T23:30:00Z: in Berlin the next year has begun, in New York the day has not ended.
    let eve = 1_798_759_800;
    assert_eq!(
        around(BudgetPeriod::Month, eve, 0),
        (1_796_083_200, 1_798_761_600)
    );
    assert_eq!(
        around(BudgetPeriod::Month, eve, 3_600),
        (1_798_761_600 - 3_600, 1_801_440_000 - 3_600)
    );
    assert_eq!(
        around(BudgetPeriod::Day, eve, -5 * 3_600),
        (1_798_675_200 + 18_000, 1_798_761_600 + 18_000)
    );
    // Hours begin at the half hour where local time does.
    assert_eq!(
        around(BudgetPeriod::Hour, noon, 19_800),
        (1_709_209_800, 1_709_213_400)
    );
}

#[test]
fn periods_follow_one_another_without_a_gap() {
    arbtest::arbtest(|u| {
        let seconds = u.int_in_range(0..=7_000_000_000i64)?;
        let offset = u.int_in_range(-14 * 3_600..=14 * 3_600i32)?;
        for period in BudgetPeriod::ALL {
            let (begin, end) = period.around(at(seconds), offset);
            assert!(
                begin <= at(seconds) && at(seconds) < end,
                "{period:?} {seconds} {offset}"
            );
            assert_eq!(period.around(TimestampNs(end.0 - 1), offset), (begin, end));
            let (next, _) = period.around(end, offset);
            assert_eq!(next, end);
            assert_eq!(BudgetPeriod::of_name(period.as_str()), Some(period));
        }
        Ok(())
    });
}
