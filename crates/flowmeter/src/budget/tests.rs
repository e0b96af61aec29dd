//! What errors and reports of budgets say.

use expect_test::expect;
use flowmeter_model::UsdNanos;
use serde_json::json;

use super::*;
use crate::formats::grouped;

fn call() -> BoundOfCall {
    BoundOfCall {
        provider: "openai".into(),
        model: "gpt-4o-mini".into(),
        input_tokens: 1_234,
        output_tokens: 4_096,
        input_rate_nanos: Some(150_000_000),
        output_rate_nanos: Some(600_000_000),
        cost: Some(UsdNanos(2_642_700)),
    }
}

fn refusal(budget: Budget, owner: BudgetOwner, spent: Amounts, wanted: Amounts) -> BudgetError {
    let account = Account::open(budget, owner, None);
    account.charge(spent, false);
    let Err(shortage) = account.reserve_now(wanted) else {
        panic!("granted");
    };
    OverBudget::error(&account, &shortage, OverBudgetKind::Refused, call())
}

#[test]
fn a_refusal_says_what_was_spent_what_the_call_could_cost_and_what_is_left() {
    let money = Budget {
        max_cost: Some(UsdNanos(50_000_000)),
        ..Budget::default()
    };
    let error = refusal(
        money,
        BudgetOwner::Run,
        Amounts::new(48_800_000, 0, 1),
        Amounts::new(2_642_700, 0, 1),
    );
    expect!["the call to `gpt-4o-mini` was not made: it could cost $0.0026427 (at most 1,234 input tokens at $0.15 and 4,096 output tokens at $0.60 per million), but $0.0012 is left of the budget of the run: $0.0488 of $0.05 is spent"].assert_eq(&error.to_string());
    assert_eq!(error.error_type(), "budget_exceeded");
    let tokens = Budget {
        max_tokens: Some(6_000),
        ..Budget::default()
    };
    let error = refusal(
        tokens,
        BudgetOwner::Node("outer/ask".into()),
        Amounts::new(0, 5_800, 1),
        Amounts::new(0, 5_330, 1),
    );
    expect!["the call to `gpt-4o-mini` was not made: it could take 5,330 tokens (at most 1,234 input tokens at $0.15 and 4,096 output tokens at $0.60 per million), but 200 tokens are left of the budget of node `outer/ask`: 5,800 of 6,000 tokens are spent"].assert_eq(&error.to_string());
    let calls = Budget {
        max_llm_calls: Some(1),
        ..Budget::default()
    };
    let error = refusal(
        calls,
        BudgetOwner::Workflow("inner".into()),
        Amounts::new(0, 0, 1),
        Amounts::new(0, 0, 1),
    );
    expect!["the call to `gpt-4o-mini` was not made: the budget of workflow `inner` allows 1 LLM call, and 1 went before"].assert_eq(&error.to_string());
}

#[test]
fn a_model_without_a_price_passes_only_where_nobody_minds() {
    let limited = Budget {
        max_cost: Some(UsdNanos(50_000_000)),
        ..Budget::default()
    };
    let strict = Account::open(limited, BudgetOwner::Run, None);
    let find = |account: &Account| UnpricedModel::find(account, &"openai".into(), &"nobody".into());
    let error = find(&strict).unwrap();
    expect!["the call to `nobody` was not made: no price is known for `openai/nobody`, so the budget of the run, $0.05, cannot be kept"].assert_eq(&error.to_string());
    assert_eq!(error.error_type(), "unpriced_model");
    let allowing = Budget {
        allow_unpriced: true,
        ..limited
    };
    let outer = Account::open(allowing, BudgetOwner::Run, None);
    assert!(find(&outer).is_none());
    let inner = Account::open(limited, BudgetOwner::Node("ask".into()), Some(&outer));
    assert!(find(&inner).is_none());
    let without_money = Account::open(Budget::default(), BudgetOwner::Run, None);
    assert!(find(&without_money).is_none());
}

#[test]
fn a_report_has_the_limits_that_there_are() {
    let account = Account::open(
        Budget {
            max_cost: Some(UsdNanos(50_000_000)),
            max_llm_calls: Some(3),
            ..Budget::default()
        },
        BudgetOwner::Run,
        None,
    );
    account.charge(Amounts::new(20_000_000, 700, 1), true);
    let report = BudgetReport::of(&account);
    assert_eq!(
        report.to_json(),
        json!({
            "max_cost_usd": 0.05, "spent_usd": 0.02, "left_usd": 0.03, "withheld_usd": 0.0, "reserved_high_usd": 0.0,
            "spent_tokens": 700,
            "max_llm_calls": 3, "spent_llm_calls": 1, "left_llm_calls": 2,
            "refused_calls": 0, "cut_streams": 0, "unpriced_calls": 1, "exceeded": false,
        })
    );
    account.charge(Amounts::new(40_000_000, 700, 1), false);
    let report = BudgetReport::of(&account);
    assert!(report.is_exceeded());
    assert_eq!(report.to_json()["left_usd"], json!(0.0));
}

#[test]
fn numbers_are_grouped_by_thousands() {
    let shown: Vec<String> = [0, 12, 999, 1_000, 123_456, 1_234_567]
        .into_iter()
        .map(grouped)
        .collect();
    assert_eq!(shown, ["0", "12", "999", "1,000", "123,456", "1,234,567"]);
}

#[test]
fn what_nobody_counted_is_told_beside_what_is_spent() {
    let budget = Budget {
        max_cost: Some(UsdNanos(50_000_000)),
        ..Budget::default()
    };
    let account = Account::open(budget, BudgetOwner::Run, None);
    let Ok(held) = account.reserve_now(Amounts::new(30_000_000, 0, 1)) else {
        panic!("refused");
    };
    held.settle(Settled {
        spent: Amounts::new(10_000_000, 0, 1),
        withheld: Amounts::new(20_000_000, 0, 0),
        is_unpriced: false,
    });
    let Err(shortage) = account.reserve_now(Amounts::new(20_000_001, 0, 1)) else {
        panic!("granted");
    };
    let error = OverBudget::error(&account, &shortage, OverBudgetKind::Refused, call());
    expect!["the call to `gpt-4o-mini` was not made: it could cost $0.0026427 (at most 1,234 input tokens at $0.15 and 4,096 output tokens at $0.60 per million), but $0.02 is left of the budget of the run: ~$0.01 of $0.05 is spent, and up to $0.02 more may be, for some calls were not counted by their providers"].assert_eq(&error.to_string());
    let told = BudgetReport::of(&account).to_json();
    assert_eq!(
        (&told["left_usd"], &told["withheld_usd"]),
        (&json!(0.02), &json!(0.02))
    );
}
