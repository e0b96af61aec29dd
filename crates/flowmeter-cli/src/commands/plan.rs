//! What a run would do: printed for `--dry-run`, and asked about where it may cost more than `warn_cost`.
//!
//! Never runs a node and never asks a model.

use std::io::{self, BufRead, IsTerminal};

use anyhow::Result;
use flowmeter_model::{Clock, SystemClock, UsdNanos};
use flowmeter_pricing::PriceBook;
use flowmeter_workflow::Workflow;
use flowmeter_workflow::plan::{Plan, PlanTerms};
use serde_json::{Map, Value, json};

use crate::args::OutputFormat;
use crate::budget;
use crate::execution::Execution;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::past_runs::PastOfRuns;
use crate::plan_view;

fn plan(execution: &Execution, home: &Home) -> Plan {
    plan_of(&execution.workflow, &execution.inputs, &execution.prices, home)
}

/// What a run of this workflow with these inputs would do.
pub(crate) fn plan_of(
    workflow: &Workflow,
    inputs: &Map<String, Value>,
    prices: &PriceBook,
    home: &Home,
) -> Plan {
    let past = PastOfRuns::of(home, workflow.name());
    let terms = PlanTerms {
        prices,
        start: SystemClock.now(),
        past: &past,
    };
    Plan::of(workflow, inputs, &terms)
}

/// Whether the budget is enough, and whether it can be kept at all.
fn against(plan: &Plan, execution: &Execution) -> Vec<String> {
    let budget = &execution.budget;
    let mut lines = plan_view::against(plan, budget);
    if let Err(unpriced) = budget::check(&execution.workflow, budget, &execution.prices) {
        lines.push(format!("Budget: the run would be refused: {unpriced}"));
    }
    lines
}

/// Prints the plan of a run.
pub(super) fn show(execution: &Execution, home: &Home, output: &Output) -> Result<Exit> {
    let plan = plan(execution, home);
    match execution.config.output_format {
        OutputFormat::Json => {
            let against = against(&plan, execution);
            output.json(&json!({ "plan": plan, "budget": against, "warnings": execution.warnings }))?;
        }
        OutputFormat::Text => output.text(&plan_view::text(&plan, &against(&plan, execution)))?,
    }
    if let Some(limit) = execution.config.warn_cost
        && let Some(warning) = dear(&plan, limit)
    {
        output.warn(&warning);
    }
    Ok(Exit::Success)
}

/// Whether the run may begin: asks where it may be dear and somebody sits at a terminal, says so elsewhere.
///
/// # Errors
/// When the terminal cannot be read.
pub(super) fn is_welcome(execution: &Execution, home: &Home, output: &Output) -> Result<bool> {
    let Some(limit) = execution.config.warn_cost else {
        return Ok(true);
    };
    let Some(warning) = dear(&plan(execution, home), limit) else {
        return Ok(true);
    };
    output.warn(&warning);
    if output.is_quiet() || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(true);
    }
    output.ask("Run it? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let welcome = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !welcome {
        output.say("nothing was run; --dry-run shows the plan, --yes goes on without asking");
    }
    Ok(welcome)
}

/// What to say of a run that may cost more than `limit`.
pub(crate) fn dear(plan: &Plan, limit: UsdNanos) -> Option<String> {
    let name = &plan.workflow;
    let expected = plan_view::money(plan.cost);
    match plan.cost.high {
        Some(high) if high <= limit => None,
        Some(_) => Some(format!(
            "{name} may cost {expected}, more than the {limit} of `warn_cost`"
        )),
        None if plan.cost.low > limit => Some(format!(
            "{name} is expected to cost {expected}, more than the {limit} of `warn_cost`"
        )),
        // Every workflow whose prompts come from its own nodes has no upper end: that alone is no news.
        None => None,
    }
}
