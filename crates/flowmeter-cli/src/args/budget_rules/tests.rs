//! Amounts per period.

use super::*;

#[test]
fn amounts_per_period() {
    let dollars = |nanos: i64, period: BudgetPeriod| Ok((UsdNanos(nanos), period));
    assert_eq!(amount("5.00/day"), dollars(5_000_000_000, BudgetPeriod::Day));
    assert_eq!(amount("$20/week"), dollars(20_000_000_000, BudgetPeriod::Week));
    assert_eq!(amount("0.50 / Hour"), dollars(500_000_000, BudgetPeriod::Hour));
    assert_eq!(amount("100/month"), dollars(100_000_000_000, BudgetPeriod::Month));
    assert_eq!(amount("0/day"), dollars(0, BudgetPeriod::Day));
    for wrong in [
        "5.00",
        "5/fortnight",
        "/day",
        "-1/day",
        "inf/day",
        "5€/day",
        "5/",
        "",
    ] {
        assert!(amount(wrong).is_err(), "{wrong}");
    }
}
