//! Breakdowns: nothing is lost, whatever their bounds leave out; amounts add up exactly.

use std::sync::Arc;

use arbtest::arbtest;
use flowmeter_model::{CostLine, UsdNanos};
use serde_json::Value;

use super::*;

fn priced(matched: &str, lines: Vec<CostLine>) -> Cost {
    let why = CostExplanation {
        matched: matched.into(),
        lines,
        ..CostExplanation::default()
    };
    Cost::known(CostStatus::Priced, why.sum().rounded(), Some(Arc::new(why)))
}

fn nanos_of(lines: &Value) -> i64 {
    let lines = lines.as_array().unwrap();
    lines
        .iter()
        .map(|line| line["amount_nanos"].as_i64().unwrap())
        .sum()
}

fn exact_of(lines: &Value) -> UsdFemtos {
    let lines = lines.as_array().unwrap();
    let amounts = lines.iter().map(|line| line["amount"].as_str().unwrap());
    amounts.map(|text| UsdFemtos::parse(text).unwrap()).sum()
}

#[test]
fn equal_rates_are_summed_and_every_rounding_is_kept() {
    let mut breakdown = CostBreakdown::default();
    // A call is 37.5 nano-dollars and is rounded to 38.
    let cost = priced("openai/small", vec![CostLine::tokens("input", 1, 37_500_000)]);
    for _ in 0..3 {
        breakdown.add("ask", &LlmSample::new("small", &cost));
    }
    let written = Value::from(breakdown.to_json_with_calls());
    assert_eq!(written["cost_nanos"], 114);
    let lines = &written["lines"];
    assert_eq!(lines[0]["quantity"], 3);
    assert_eq!(lines[0]["amount"], "0.0000001125");
    assert_eq!(lines[1]["kind"], "rounding");
    assert_eq!((nanos_of(lines), exact_of(lines)), (114, UsdNanos(114).into()));
    assert_eq!(written["calls"].as_array().unwrap().len(), 3);
    assert_eq!(written["calls"][0]["rounding"], "0.0000000005");
    assert_eq!(nanos_of(&written["calls"][0]["lines"]), 38);
}

#[test]
fn what_was_reported_or_is_not_explained_is_a_line_of_its_own() {
    let mut breakdown = CostBreakdown::default();
    let reported = Cost::known(CostStatus::Reported, UsdNanos(500), None);
    let bare = Cost::known(CostStatus::Priced, UsdNanos(7), None);
    breakdown.add("a", &LlmSample::new("m", &reported));
    breakdown.add("b", &LlmSample::new("m", &bare));
    breakdown.add("c", &LlmSample::new("m", &Cost::unpriced()));
    let written = Value::from(breakdown.to_json());
    let kinds: Vec<&str> = written["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["reported", "unexplained"]);
    assert_eq!(
        (nanos_of(&written["lines"]), &written["cost_nanos"]),
        (507, &507.into())
    );
    assert_eq!(
        (&written["cost_status"], &written["unpriced_calls"]),
        (&"partial".into(), &1.into())
    );
}

#[test]
fn nothing_is_lost_beyond_the_bounds() {
    arbtest(|u| {
        let mut breakdowns = [CostBreakdown::default(), CostBreakdown::default()];
        let mut expected = 0;
        let calls = u.int_in_range(0..=700)?;
        for number in 0..calls {
            let rate = u.int_in_range(0..=5_000_000_000)?;
            let line = CostLine::tokens("input", u.int_in_range(0..=100_000)?, rate);
            let cost = priced(
                "key",
                vec![line, CostLine::units("web_search", 1, 10_000_000_000)],
            );
            expected += cost.amount.unwrap().0;
            // Many models, and many rates of one model.
            let model = if number % 2 == 0 {
                "one".to_owned()
            } else {
                format!("model-{number}")
            };
            breakdowns[usize::from(u.arbitrary::<bool>()?)].add("n", &LlmSample::new(&model, &cost));
        }
        let [mut all, second] = breakdowns;
        all.merge(&second);
        assert!(all.prices.len() <= PRICES_MAX && all.calls.len() <= CALLS_MAX);
        assert!(all.all_prices().all(|price| price.lines.len() <= LINES_MAX + 1));
        assert_eq!(all.calls.len() as u64 + all.calls_omitted, calls);
        let written = Value::from(all.to_json());
        assert_eq!(written["cost_nanos"], expected);
        assert_eq!(
            (nanos_of(&written["lines"]), exact_of(&written["lines"])),
            (expected, UsdNanos(expected).into())
        );
        for model in written["by_model"].as_object().unwrap().values() {
            assert_eq!(nanos_of(&model["lines"]), model["cost_nanos"].as_i64().unwrap());
            for price in model["prices"].as_array().unwrap() {
                assert_eq!(nanos_of(&price["lines"]), price["cost_nanos"].as_i64().unwrap());
            }
        }
        Ok(())
    });
}
