//! `flowmeter budget` on the command line: budgets that many runs share.
//!
//! Never acts on an argument.

use clap::{Args, Subcommand};
use flowmeter_model::UsdNanos;
use flowmeter_store::{BudgetPeriod, BudgetScope};

use super::history::tag;
use crate::amounts;

const EXAMPLES: &str = "\
Examples:
  flowmeter budget set 5.00/day                          warn at 50, 80 and 100 %
  flowmeter budget set 5.00/day --hard                   refuse LLM calls beyond it (exit code 3)
  flowmeter budget set '$20/week' --workflow report
  flowmeter budget status                                what is spent, what is left, where it leads
  flowmeter budget remove day

All runs of this user share the budgets, also those that go on at the same time.
A limit for a single run: flowmeter run --max-cost USD.";

/// `flowmeter budget`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BudgetRulesArgs {
    #[command(subcommand)]
    pub(crate) action: BudgetAction,
}

/// What to do with the budgets across runs.
#[derive(Debug, Subcommand)]
pub(crate) enum BudgetAction {
    /// Set a budget, in place of one for the same calls and period
    Set(SetBudgetArgs),
    /// List the budgets
    List(BudgetListArgs),
    /// Remove a budget
    Remove(RemoveBudgetArgs),
    /// Show what is spent of each budget, what is left, and a forecast to the end of its period
    Status(BudgetListArgs),
}

/// Whose calls count.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
pub(crate) struct ScopeArgs {
    /// Only runs of this workflow
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,
    /// Only calls to this model, such as gpt-4o-mini or openai/gpt-4o-mini
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Only runs with this tag
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tag: Option<(String, String)>,
}

impl ScopeArgs {
    /// Whether any is given.
    pub(crate) fn is_given(&self) -> bool {
        self.workflow.is_some() || self.model.is_some() || self.tag.is_some()
    }

    /// The scope that is meant.
    pub(crate) fn scope(&self) -> BudgetScope {
        match (&self.workflow, &self.model, &self.tag) {
            (Some(name), _, _) => BudgetScope::Workflow(name.into()),
            (_, Some(name), _) => BudgetScope::Model(name.into()),
            (_, _, Some((key, value))) => BudgetScope::Tag(key.clone(), value.clone()),
            _ => BudgetScope::All,
        }
    }
}

const SET_EXAMPLES: &str = "\
Examples:
  flowmeter budget set 5.00/day
  flowmeter budget set '$20/week' --workflow report --hard
  flowmeter budget set 0.50/hour --model openai/gpt-4o-mini
  flowmeter budget set 100/month --tag team=search

What was spent since the period began counts, as far as the history knows of it. Days begin at
midnight, weeks on Monday, in the local time of now; set a budget again after the clocks change.
Without --hard there are warnings only. With it, a call that might break the limit is not made:
the run ends with exit code 3 and with what there is by then.";

/// `flowmeter budget set`.
#[derive(Debug, Args)]
#[command(after_help = SET_EXAMPLES)]
pub(crate) struct SetBudgetArgs {
    /// Dollars per hour, day, week or month, such as 5.00/day
    #[arg(value_name = "USD/PERIOD", value_parser = amount, allow_hyphen_values = true)]
    pub(crate) amount: (UsdNanos, BudgetPeriod),
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Refuse LLM calls that might cost more than is left
    #[arg(long)]
    pub(crate) hard: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const LIST_EXAMPLES: &str = "\
Examples:
  flowmeter budget list
  flowmeter budget status
  flowmeter budget status --json | jq '.[].left_usd'";

/// `flowmeter budget list` and `flowmeter budget status`.
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct BudgetListArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const REMOVE_EXAMPLES: &str = "\
Examples:
  flowmeter budget remove 3                    the one with this number in `flowmeter budget list`
  flowmeter budget remove day                  everybody's budget of a day
  flowmeter budget remove week --workflow report
  flowmeter budget remove --workflow report    all of this workflow";

/// `flowmeter budget remove`.
#[derive(Debug, Args)]
#[command(after_help = REMOVE_EXAMPLES)]
pub(crate) struct RemoveBudgetArgs {
    /// Its number, or its period: hour, day, week or month
    #[arg(value_name = "NUMBER|PERIOD", required_unless_present_any = ["workflow", "model", "tag"])]
    pub(crate) which: Option<String>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads `5.00/day`, `$20/week`, `0.50/hour` or `100/month`.
///
/// # Errors
/// What would be welcome.
fn amount(text: &str) -> Result<(UsdNanos, BudgetPeriod), String> {
    let wanted = || "must be dollars per hour, day, week or month, such as 5.00/day or $20/week".to_owned();
    let (limit, period) = text.split_once('/').ok_or_else(wanted)?;
    let limit = amounts::usd(limit).map_err(|_| wanted())?;
    let period = BudgetPeriod::of_name(&period.trim().to_lowercase()).ok_or_else(wanted)?;
    Ok((limit, period))
}

#[cfg(test)]
mod tests;
