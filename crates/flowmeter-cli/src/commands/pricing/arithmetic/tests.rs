//! Unit tests of the columns.

use std::sync::Arc;

use expect_test::expect;

use super::*;

fn cost(status: CostStatus, lines: Vec<CostLine>) -> Cost {
    let why = CostExplanation {
        matched: "anthropic/claude-sonnet-4-5".into(),
        source: "genai-prices 0.2.1".into(),
        source_date: Some("2026-10-30".into()),
        rule: "exact model".into(),
        warnings: vec!["look here".to_owned()],
        lines,
        ..CostExplanation::default()
    };
    Cost::known(status, why.sum().rounded(), Some(Arc::new(why)))
}

#[test]
fn numbers_stand_below_each_other_and_add_up() {
    let golden = cost(
        CostStatus::Priced,
        vec![
            CostLine::tokens("input", 176, 3_000_000_000),
            CostLine::tokens("cache_read", 1_024, 300_000_000),
            CostLine::tokens("cache_write_5m", 150, 3_750_000_000),
            CostLine::tokens("cache_write_1h", 50, 6_000_000_000),
            CostLine::tokens("output", 300, 15_000_000_000),
            CostLine::units("web_search", 2, 10_000_000_000),
        ],
    );
    expect![[r#"
        input             176 ×  $3.00 per 1M = $0.000528
        cache_read      1,024 ×  $0.30 per 1M = $0.0003072
        cache_write_5m    150 ×  $3.75 per 1M = $0.0005625
        cache_write_1h     50 ×  $6.00 per 1M = $0.0003
        output            300 × $15.00 per 1M = $0.0045
        web_search          2 × $10.00 per 1K = $0.02
        sum                                     $0.0261977
        cost      $0.0261977  priced
        matched   anthropic/claude-sonnet-4-5 (exact model)
        source    genai-prices 0.2.1, of 2026-10-30
        warning   look here
    "#]]
    .assert_eq(&explained(&golden, ""));
}

#[test]
fn the_rounding_is_a_line_where_there_is_one() {
    let small = cost(
        CostStatus::Estimated,
        vec![CostLine::tokens("input", 1, 37_500_000)],
    );
    expect![[r#"
        input     1 × $0.0375 per 1M =  $0.0000000375
        sum                             $0.0000000375
        rounding                       +$0.0000000005
        rounded                         $0.000000038
        cost      ~$0.000000038  estimated: tokens were not counted
        matched   anthropic/claude-sonnet-4-5 (exact model)
        source    genai-prices 0.2.1, of 2026-10-30
        warning   look here
    "#]]
    .assert_eq(&explained(&small, ""));
}

#[test]
fn what_has_no_lines_says_where_the_figure_is_from() {
    let unpriced = explained(&Cost::unpriced(), "  ");
    assert_eq!(unpriced, "  cost      unpriced: no price is known\n");
    let bare = Cost::known(CostStatus::Reported, UsdNanos(5), None);
    assert_eq!(
        explained(&bare, ""),
        "cost      $0.000000005  reported: the provider said so\nsource    not recorded\n"
    );
    assert!(explained(&Cost::not_billed(), "").contains("nothing was billed"));
}
