//! Tests of the tail rules.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const DOLLAR: Option<UsdNanos> = Some(UsdNanos::ONE_USD);

#[test]
fn without_rules_nothing_is_kept() {
    let rules = TailRules::default();
    assert!(rules.is_empty());
    assert!(!rules.decide(SpanStatus::Error, SECOND * 1000, DOLLAR));
}

#[test]
fn each_rule_keeps_by_itself() {
    let rules = TailRules {
        keep_errors: true,
        ..TailRules::default()
    };
    assert!(!rules.is_empty());
    assert!(rules.decide(SpanStatus::Error, SECOND, DOLLAR));
    assert!(rules.decide(SpanStatus::Cancelled, SECOND, DOLLAR));
    assert!(!rules.decide(SpanStatus::Ok, SECOND, DOLLAR));

    let rules = TailRules {
        slower_than: Some(SECOND),
        ..TailRules::default()
    };
    assert!(rules.decide(SpanStatus::Ok, SECOND + Duration::from_nanos(1), None));
    assert!(!rules.decide(SpanStatus::Error, SECOND, DOLLAR));

    let rules = TailRules {
        dearer_than: DOLLAR,
        ..TailRules::default()
    };
    assert!(rules.decide(SpanStatus::Ok, SECOND, Some(UsdNanos(1_000_000_001))));
    assert!(!rules.decide(SpanStatus::Ok, SECOND, DOLLAR));
    assert!(!rules.decide(SpanStatus::Error, SECOND, None));
}
