//! Budgets across runs for people and for programs.
//!
//! Never computes a figure but shares.

use flowmeter::grouped;
use flowmeter_model::{TimestampNs, UsdNanos};
use flowmeter_store::{AccountState, BudgetRule, BudgetScope, Forecast, ForecastGround};
use owo_colors::{OwoColorize, Style};
use serde_json::{Value, json};

use crate::output::Output;
use crate::shared_budgets::{amount_of, ends_in_words};
use crate::table::{Column, Table, TableStyle};
use crate::times::rfc3339;

/// Columns of a bar.
const BAR: usize = 20;

/// All rules, as a table.
pub(super) fn rules_table(rules: &[BudgetRule], output: &Output) -> String {
    let mut table = Table::new(vec![
        Column::number("#"),
        Column::text("BUDGET"),
        Column::text("OF").cut_end(12),
        Column::text("BEYOND IT"),
    ]);
    for rule in rules {
        let beyond = if rule.hard { "refuses calls" } else { "warns" };
        table.row([
            rule.id.0.to_string(),
            amount_of(rule),
            rule.scope.to_string(),
            beyond.to_owned(),
        ]);
    }
    table.render(TableStyle {
        width: output.width_out(),
        colour: output.colour_out(),
        indent: 0,
    })
}

/// A few lines on how an account stands.
pub(super) fn status_text(
    state: &AccountState,
    forecast: &Forecast,
    now: TimestampNs,
    output: &Output,
) -> String {
    let rule = &state.rule;
    let hard = if rule.hard { ", hard" } else { "" };
    let mut lines = vec![format!(
        "{}  {} of {}{hard}",
        rule.id.0,
        amount_of(rule),
        rule.scope
    )];
    let percent = percent(state.spent + state.withheld, rule.limit);
    let style = match percent {
        Some(0..50) => Style::new().green(),
        Some(50..80) => Style::new().yellow(),
        _ => Style::new().red(),
    };
    let bar = bar(percent);
    let bar = if output.colour_out() {
        bar.style(style).to_string()
    } else {
        bar
    };
    let share = percent.map_or_else(|| "over".to_owned(), |percent| format!("{percent} %"));
    let mut parts = vec![format!("{} spent", state.spent)];
    if state.withheld > UsdNanos::ZERO {
        parts.push(format!("up to {} more may be", state.withheld));
    }
    if state.reserved > UsdNanos::ZERO {
        parts.push(format!("{} held by calls that go on", state.reserved));
    }
    let over = UsdNanos((state.spent - rule.limit).0);
    parts.push(if over > UsdNanos::ZERO {
        format!("{over} over")
    } else {
        format!("{} left", state.left())
    });
    let plural = if state.calls == 1 { "" } else { "s" };
    parts.push(format!("{} call{plural}", grouped(state.calls)));
    if state.unpriced_calls > 0 {
        parts.push(format!(
            "{} of them without a price, not in these sums",
            grouped(state.unpriced_calls)
        ));
    }
    lines.push(format!("   {bar} {share}: {}", parts.join(", ")));
    lines.push(format!("   begins anew {}", ends_in_words(state, now)));
    lines.push(format!("   {}", forecast_text(state, forecast)));
    lines.push(String::new());
    lines.join("\n")
}

/// The share in percent, rounded down so that 100 is said only when nothing is left; `None` of nothing that is over.
fn percent(part: UsdNanos, whole: UsdNanos) -> Option<u64> {
    if part.0 <= 0 {
        return Some(0);
    }
    let share = (i128::from(part.0) * 100).checked_div(i128::from(whole.0))?;
    u64::try_from(share).ok()
}

fn bar(percent: Option<u64>) -> String {
    let full = percent.map_or(BAR, |percent| {
        usize::try_from(percent).unwrap_or(BAR).min(100) * BAR / 100
    });
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

/// Where it leads, and how sure that is.
fn forecast_text(state: &AccountState, forecast: &Forecast) -> String {
    let limit = state.rule.limit;
    let verdict = if forecast.likely > limit {
        "over the limit"
    } else if forecast.high > limit {
        "within the limit, but not for certain"
    } else {
        "within the limit"
    };
    let (low, likely, high) = (cents(forecast.low), cents(forecast.likely), cents(forecast.high));
    match forecast.ground {
        ForecastGround::TooEarly => {
            "forecast: too early to tell; little of the period is over, and too few went before".to_owned()
        }
        ForecastGround::Pace => format!(
            "forecast: about {likely} at the end, {verdict}; from the pace of this period alone, which is a rough guess \
             ({low} to {high})"
        ),
        ForecastGround::Past(periods) => format!(
            "forecast: about {likely} at the end, {verdict}; from what followed at this time in {periods} periods before, \
             of which half came to {low} to {high}"
        ),
    }
}

/// A guess does not have more places than it deserves.
fn cents(amount: UsdNanos) -> UsdNanos {
    let place = match amount.0 {
        ..1_000_000 => 1,
        1_000_000..100_000_000 => 100_000,
        100_000_000.. => 10_000_000,
    };
    UsdNanos(amount.0.saturating_add(place / 2) / place * place)
}

/// A rule for programs. Money is in dollars.
pub(super) fn rule_json(rule: &BudgetRule) -> Value {
    let scope = match &rule.scope {
        BudgetScope::All => json!({ "of": "all" }),
        BudgetScope::Workflow(name) => json!({ "of": "workflow", "name": name.as_str() }),
        BudgetScope::Model(name) => json!({ "of": "model", "name": name.as_str() }),
        BudgetScope::Tag(key, value) => json!({ "of": "tag", "key": key, "value": value }),
    };
    json!({
        "id": rule.id.0,
        "limit_usd": rule.limit.to_usd(),
        "period": rule.period.as_str(),
        "scope": scope,
        "hard": rule.hard,
        "utc_offset_seconds": rule.utc_offset_seconds,
    })
}

/// An account for programs. Money is in dollars.
pub(super) fn state_json(state: &AccountState, forecast: Option<&Forecast>) -> Value {
    let mut object = rule_json(&state.rule);
    let more = json!({
        "begins": rfc3339(state.begins),
        "ends": rfc3339(state.ends),
        "spent_usd": state.spent.to_usd(),
        "withheld_usd": state.withheld.to_usd(),
        "reserved_usd": state.reserved.to_usd(),
        "left_usd": state.left().to_usd(),
        "spent_percent": percent(state.spent + state.withheld, state.rule.limit),
        "llm_calls": state.calls,
        "unpriced_calls": state.unpriced_calls,
        "forecast": forecast.map(|forecast| forecast_json(state, forecast)),
    });
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

fn forecast_json(state: &AccountState, forecast: &Forecast) -> Value {
    let (ground, periods) = match forecast.ground {
        ForecastGround::Past(periods) => ("past_periods", Some(periods)),
        ForecastGround::Pace => ("pace", None),
        ForecastGround::TooEarly => return json!({ "from": "too_early" }),
    };
    json!({
        "from": ground,
        "periods": periods,
        "likely_usd": forecast.likely.to_usd(),
        "low_usd": forecast.low.to_usd(),
        "high_usd": forecast.high.to_usd(),
        "over_limit": forecast.likely > state.rule.limit,
    })
}

#[cfg(test)]
mod tests;
