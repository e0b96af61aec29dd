//! Which limit holds.

use flowmeter::Budget;
use flowmeter_model::UsdNanos;

use super::{of_run, share};
use crate::args::BudgetArgs;

#[test]
fn the_command_line_goes_before_and_else_the_tighter_limit_holds() {
    let limit = |usd: Option<i64>| Budget {
        max_cost: usd.map(UsdNanos),
        ..Budget::default()
    };
    let args = |usd: Option<i64>| BudgetArgs {
        max_cost: usd.map(UsdNanos),
        ..BudgetArgs::default()
    };
    for (flag, settings, file, holds) in [
        (None, None, None, None),
        (None, Some(3), None, Some(3)),
        (None, None, Some(4), Some(4)),
        (None, Some(3), Some(4), Some(3)),
        (None, Some(5), Some(4), Some(4)),
        (Some(9), Some(3), Some(4), Some(9)),
    ] {
        let budget = of_run(&args(flag), limit(settings), Some(limit(file)));
        assert_eq!(budget.max_cost, holds.map(UsdNanos));
    }
    let allowing = Budget {
        allow_unpriced: true,
        ..Budget::default()
    };
    assert!(of_run(&args(None), allowing, None).allow_unpriced);
    assert!(!of_run(&args(None), Budget::default(), Some(allowing)).allow_unpriced);
}

#[test]
fn a_share_of_nothing_is_no_division() {
    assert_eq!([share(0, 0), share(1, 0), share(1, 3)], ["0 %", "over", "33 %"]);
}
