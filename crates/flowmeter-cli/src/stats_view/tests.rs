//! Amounts and costs as tables show them.

use expect_test::expect;
use flowmeter_model::CostStatus;

use super::table::{cost_text, usd_text};
use super::*;
use crate::sparkline::Glyphs;

#[test]
fn amounts_have_the_places_that_tell() {
    let shown = |nanos: i64| usd_text(UsdNanos(nanos));
    expect!["$0.00 $0.000000012 $0.000012 $0.0089 $1.2346 $12.35 $1,234,567.89 -$0.5000"].assert_eq(
        &[
            0,
            12,
            12_345,
            8_900_000,
            1_234_567_890,
            12_345_678_900,
            1_234_567_890_000_000,
            -500_000_000,
        ]
        .map(shown)
        .join(" "),
    );
}

#[test]
fn costs_say_what_is_not_known() {
    let mut total = CostTotal::default();
    let mut shown = vec![cost_text(&total, Glyphs::Blocks)];
    let known = |status, nanos| Cost::known(status, UsdNanos(nanos), None);
    total.add("a", &known(CostStatus::Priced, 20_000_000));
    shown.push(cost_text(&total, Glyphs::Blocks));
    total.add("a", &known(CostStatus::Estimated, 1_000_000));
    shown.push(cost_text(&total, Glyphs::Blocks));
    total.add("b", &known(CostStatus::Partial, 1_000_000));
    shown.push(cost_text(&total, Glyphs::Blocks));
    total.add("c", &Cost::unpriced());
    shown.push(cost_text(&total, Glyphs::Ascii));
    let mut unknown = CostTotal::default();
    unknown.add("c", &Cost::unpriced());
    shown.push(cost_text(&unknown, Glyphs::Blocks));
    expect!["$0.00 | $0.0200 | ~$0.0210 | ≥ ~$0.0220 | >= ~$0.0220 (+1 unpriced) | unpriced (1)"]
        .assert_eq(&shown.join(" | "));
}
