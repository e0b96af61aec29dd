//! `flowmeter budget`: sets, lists and removes budgets across runs, and says how they stand.
//!
//! Never keeps a limit: the calls of each run do, in the history.

mod view;

use anyhow::Result;
use flowmeter_model::{Clock, SystemClock, TimestampNs, UsdNanos};
use flowmeter_store::{
    AccountState, BudgetPeriod, BudgetRule, BudgetScope, BudgetTerms, Budgets, Forecast, RunFilter,
    SqliteConfig, StatsFilter, StatsQuery, Store, StoreError,
};
use serde_json::{Value, json};

use crate::args::{BudgetAction, BudgetListArgs, BudgetRulesArgs, RemoveBudgetArgs, SetBudgetArgs};
use crate::commands::show::local_offset_seconds;
use crate::exit::{BadUsage, Exit};
use crate::history;
use crate::home::Home;
use crate::output::Output;
use crate::shared_budgets::{amount_of, owner};

/// Does what `flowmeter budget` was asked for.
pub(super) fn run(args: &BudgetRulesArgs, home: &Home, output: &Output) -> Result<Exit> {
    let now = SystemClock.now();
    match &args.action {
        BudgetAction::Set(args) => set(args, home, now, output),
        BudgetAction::List(args) => list(args, home, output),
        BudgetAction::Remove(args) => remove(args, home, output),
        BudgetAction::Status(args) => status(args, home, now, output),
    }
}

/// The budgets, for who does not add any; `None` where there is no history.
fn open(home: &Home) -> Result<Option<Budgets>> {
    let config = SqliteConfig {
        create: false,
        ..history::config()
    };
    match Budgets::open(&home.history(), &config) {
        Ok(budgets) => Ok(Some(budgets)),
        Err(StoreError::Absent { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn set(args: &SetBudgetArgs, home: &Home, now: TimestampNs, output: &Output) -> Result<Exit> {
    let (limit, period) = args.amount;
    let terms = BudgetTerms {
        limit,
        period,
        scope: args.scope.scope(),
        hard: args.hard,
        utc_offset_seconds: local_offset_seconds(),
    };
    let (begins, _) = period.around(now, terms.utc_offset_seconds);
    let spent_so_far = match known_spending(home, &terms.scope, begins) {
        Ok(spent) => spent,
        Err(error) => {
            output.warn(&format!(
                "what was spent before now does not count, for the history does not tell it: {error:#}"
            ));
            UsdNanos::ZERO
        }
    };
    let mut budgets = Budgets::open(&home.history(), &history::config())?;
    let state = budgets.set(&terms, spent_so_far, now)?;
    if args.json {
        output.json(&view::state_json(&state, None))?;
    } else {
        let hard = if terms.hard {
            "calls that have no room in it are refused"
        } else {
            "there will be warnings at 50, 80 and 100 %"
        };
        output.text(&format!(
            "budget {} of {} is set: {}; {hard}",
            state.rule.id.0,
            owner(&state.rule),
            amount_of(&state.rule)
        ))?;
        if state.spent > UsdNanos::ZERO {
            output.note(&format!("{} of it is spent already", state.spent));
        }
    }
    if state.mark_passed.is_some_and(|mark| mark >= 100) {
        output.warn("it is used up already");
    }
    Ok(Exit::Success)
}

/// What the history knows to have been spent since then; nothing where there is none.
fn known_spending(home: &Home, scope: &BudgetScope, since: TimestampNs) -> Result<UsdNanos> {
    if !home.has_history() {
        return Ok(UsdNanos::ZERO);
    }
    spent_since(&history::open(home)?, scope, since)
}

/// What LLM calls of this scope cost since then.
fn spent_since(store: &dyn Store, scope: &BudgetScope, since: TimestampNs) -> Result<UsdNanos> {
    let mut filter = StatsFilter {
        runs: RunFilter {
            since: Some(since),
            ..RunFilter::default()
        },
        ..StatsFilter::default()
    };
    match scope {
        BudgetScope::All => {}
        BudgetScope::Workflow(name) => filter.runs.workflows = vec![name.to_string()],
        BudgetScope::Model(name) => match name.split_once('/') {
            Some((provider, model)) => {
                filter.models = vec![model.to_owned(), name.to_string()];
                filter.providers = vec![provider.to_owned()];
            }
            None => filter.models = vec![name.to_string()],
        },
        BudgetScope::Tag(key, value) => filter.runs.tags = vec![(key.clone(), value.clone())],
    }
    let query = StatsQuery {
        filter,
        ..StatsQuery::default()
    };
    let rows = store.stats(&query)?;
    Ok(rows.iter().map(|row| row.sums.cost.known).sum())
}

fn list(args: &BudgetListArgs, home: &Home, output: &Output) -> Result<Exit> {
    let rules = match open(home)? {
        Some(budgets) => budgets.rules()?,
        None => Vec::new(),
    };
    if args.json {
        output.json(&rules.iter().map(view::rule_json).collect::<Value>())?;
    } else if rules.is_empty() {
        none(output);
    } else {
        output.text(&view::rules_table(&rules, output))?;
    }
    Ok(Exit::Success)
}

fn none(output: &Output) {
    output.note("there are no budgets across runs; set one, such as `flowmeter budget set 5.00/day`");
}

fn status(args: &BudgetListArgs, home: &Home, now: TimestampNs, output: &Output) -> Result<Exit> {
    let mut shown: Vec<(AccountState, Forecast)> = Vec::new();
    if let Some(mut budgets) = open(home)? {
        for state in budgets.status(now)? {
            let past = budgets.past(&state.rule, now)?;
            let forecast = Forecast::of(&state, &past, now);
            shown.push((state, forecast));
        }
    }
    if args.json {
        let states = shown
            .iter()
            .map(|(state, forecast)| view::state_json(state, Some(forecast)));
        output.json(&states.collect::<Value>())?;
    } else if shown.is_empty() {
        none(output);
    } else {
        let texts: Vec<String> = shown
            .iter()
            .map(|(state, forecast)| view::status_text(state, forecast, now, output))
            .collect();
        output.text(&texts.join("\n"))?;
    }
    Ok(Exit::Success)
}

fn remove(args: &RemoveBudgetArgs, home: &Home, output: &Output) -> Result<Exit> {
    let Some(mut budgets) = open(home)? else {
        return Err(BadUsage("there are no budgets across runs".to_owned()).into());
    };
    let rules = budgets.rules()?;
    let meant = meant(args, &rules)?;
    if meant.is_empty() {
        let message = "there is no such budget; `flowmeter budget list` shows all";
        return Err(BadUsage(message.to_owned()).into());
    }
    for rule in &meant {
        budgets.remove(rule.id)?;
    }
    if args.json {
        output.json(&json!({ "removed": meant.iter().map(view::rule_json).collect::<Value>() }))?;
    } else {
        for rule in &meant {
            output.text(&format!(
                "removed the budget of {}, {}",
                owner(rule),
                amount_of(rule)
            ))?;
        }
    }
    Ok(Exit::Success)
}

/// The rules that are to go.
fn meant(args: &RemoveBudgetArgs, rules: &[BudgetRule]) -> Result<Vec<BudgetRule>> {
    let of_scope = |rule: &&BudgetRule| rule.scope == args.scope.scope();
    let Some(which) = &args.which else {
        return Ok(rules.iter().filter(of_scope).cloned().collect());
    };
    if let Ok(number) = which.parse::<i64>() {
        if args.scope.is_given() {
            let message = "a number says which budget is meant; leave out --workflow, --model and --tag";
            return Err(BadUsage(message.to_owned()).into());
        }
        return Ok(rules.iter().filter(|rule| rule.id.0 == number).cloned().collect());
    }
    let period = BudgetPeriod::of_name(&which.to_lowercase()).ok_or_else(|| {
        BadUsage(format!(
            "`{which}` is neither the number of a budget nor hour, day, week or month"
        ))
    })?;
    let found = rules.iter().filter(of_scope).filter(|rule| rule.period == period);
    Ok(found.cloned().collect())
}

#[cfg(test)]
mod tests;
