//! Costs, tokens and statuses in words.

use flowmeter_model::Cost;

use super::*;

#[test]
fn amounts_show_the_digits_that_tell() {
    let words: Vec<String> = [
        0,
        1,
        19,
        188_900,
        8_900_000,
        26_197_700,
        999_999_999,
        1_000_000_000,
        12_345_678_901,
        -26_197_700,
    ]
    .into_iter()
    .map(|nanos| short_amount(UsdNanos(nanos)))
    .collect();
    assert_eq!(
        words,
        [
            "$0.00",
            "$0.000000001",
            "$0.000000019",
            "$0.00019",
            "$0.0089",
            "$0.0262",
            "$1.0000",
            "$1.00",
            "$12.35",
            "-$0.0262"
        ]
    );
}

#[test]
fn an_unknown_cost_is_never_zero() {
    let mut total = CostTotal::default();
    assert_eq!(short_cost(&total), "");
    total.add("m", &Cost::unpriced());
    assert_eq!(short_cost(&total), "unpriced");
    total.add(
        "m",
        &Cost::known(CostStatus::Estimated, UsdNanos(8_900_000), None),
    );
    assert_eq!(short_cost(&total), "≥ ~$0.0089");
    let mut members = Map::new();
    cost_members(&total, "cost", &mut members);
    assert_eq!(members["cost_nanos"], 8_900_000);
    assert_eq!(members["cost_status"], "partial");
}
