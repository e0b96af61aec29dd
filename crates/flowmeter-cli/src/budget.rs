//! What a run may spend: from flags, settings and the workflow file; and whether that can be kept at all.
//!
//! Never counts anything: the meter's accounts do.

use std::fmt;

use flowmeter::{Budget, BudgetError, BudgetLimit, BudgetOwner, BudgetReport, OverBudgetKind};
use flowmeter_model::UsdNanos;
use flowmeter_pricing::PriceBook;
use flowmeter_workflow::{UnpricedCall, Workflow};
use serde_json::{Map, Value};

use crate::args::BudgetArgs;
use crate::output::Output;
use flowmeter::grouped;

/// The run's budget: what the command line says, else the tighter of what the settings and the workflow file say.
pub(crate) fn of_run(args: &BudgetArgs, settings: Budget, file: Option<Budget>) -> Budget {
    let file = file.unwrap_or_default();
    Budget {
        max_cost: args.max_cost.or(tighter(settings.max_cost, file.max_cost)),
        max_tokens: args.max_tokens.or(tighter(settings.max_tokens, file.max_tokens)),
        max_llm_calls: args
            .max_llm_calls
            .or(tighter(settings.max_llm_calls, file.max_llm_calls)),
        allow_unpriced: args.allow_unpriced || settings.allow_unpriced,
    }
}

fn tighter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Models without a price where money is limited: the run is not begun.
#[derive(Debug)]
pub(crate) struct UnpricedModels {
    calls: Vec<UnpricedCall>,
    /// Models with a price whose names are near, for each call.
    nearest: Vec<Vec<String>>,
}

impl UnpricedModels {
    /// What is wrong with each, as a line of its own.
    pub(crate) fn problems(&self) -> Vec<String> {
        let problem = |(call, nearest): (&UnpricedCall, &Vec<String>)| {
            let UnpricedCall {
                node,
                provider,
                model,
            } = call;
            let near = match nearest.first() {
                Some(near) => format!("; did you mean `{near}`?"),
                None => String::new(),
            };
            format!("node `{node}`: no price is known for `{provider}/{model}`{near}")
        };
        self.calls.iter().zip(&self.nearest).map(problem).collect()
    }
}

impl fmt::Display for UnpricedModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("money is limited, and the limit cannot be kept with models that have no price")?;
        for problem in self.problems() {
            write!(f, "\n  {problem}")?;
        }
        let model = self.calls.first().map_or("MODEL", |call| call.model.as_str());
        write!(
            f,
            "\n  give it a price: flowmeter pricing set {model} --input USD --output USD (per million tokens); \
             or run with --allow-unpriced"
        )
    }
}

impl std::error::Error for UnpricedModels {}

/// Checks that a limit on money can be kept.
///
/// # Errors
/// [`UnpricedModels`].
pub(crate) fn check(workflow: &Workflow, budget: &Budget, prices: &PriceBook) -> Result<(), UnpricedModels> {
    if budget.allow_unpriced {
        return Ok(());
    }
    refuse(workflow.unpriced_calls(prices, budget.max_cost.is_some()), prices)
}

/// Refuses a run with these calls.
///
/// # Errors
/// [`UnpricedModels`], unless there are none.
pub(crate) fn refuse(calls: Vec<UnpricedCall>, prices: &PriceBook) -> Result<(), UnpricedModels> {
    if calls.is_empty() {
        return Ok(());
    }
    let nearest = calls
        .iter()
        .map(|call| {
            let found = prices.nearest(&call.model);
            found.iter().map(ToString::to_string).collect()
        })
        .collect();
    Err(UnpricedModels { calls, nearest })
}

/// Which limit ended a run, and how far it reached. Money is in dollars.
pub(crate) fn error_json(error: &BudgetError) -> Value {
    let (owner, node) = match error.owner() {
        BudgetOwner::Run => ("run", None),
        BudgetOwner::Node(path) => ("node", Some(path.as_str())),
        BudgetOwner::Workflow(name) => ("workflow", Some(name.as_str())),
        BudgetOwner::Shared(name) => ("several_runs", Some(name.whose.as_str())),
    };
    let mut object = Map::new();
    object.insert("of".to_owned(), owner.into());
    if let Some(node) = node {
        object.insert("name".to_owned(), node.into());
    }
    let dollars = |nanos: u64| UsdNanos(i64::try_from(nanos).unwrap_or(i64::MAX)).to_usd();
    match error {
        BudgetError::Over(over) => {
            let call = &over.call;
            object.insert("limit".to_owned(), over.limit.as_str().into());
            let mut figures = vec![("max", over.max), ("spent", over.spent), ("left", over.left())];
            if over.withheld > 0 {
                figures.push(("withheld", over.withheld));
            }
            for (name, figure) in figures {
                let (name, figure) = match over.limit {
                    BudgetLimit::Cost => (format!("{name}_usd"), Value::from(dollars(figure))),
                    BudgetLimit::Tokens => (format!("{name}_tokens"), figure.into()),
                    BudgetLimit::LlmCalls => (format!("{name}_llm_calls"), figure.into()),
                };
                object.insert(name, figure);
            }
            let happened = match over.kind {
                OverBudgetKind::Refused => "not_made",
                OverBudgetKind::Cut => "cut_off",
                OverBudgetKind::Overrun => "overrun",
            };
            object.insert("call".to_owned(), happened.into());
            object.insert("call_model".to_owned(), call.model.as_str().into());
            object.insert("call_max_usd".to_owned(), call.cost.map(UsdNanos::to_usd).into());
            object.insert("call_max_input_tokens".to_owned(), call.input_tokens.into());
            object.insert("call_max_output_tokens".to_owned(), call.output_tokens.into());
        }
        BudgetError::Unchecked(unchecked) => {
            object.insert("limit".to_owned(), BudgetLimit::Cost.as_str().into());
            object.insert("call".to_owned(), "not_made".into());
            object.insert("call_model".to_owned(), unchecked.model.as_str().into());
        }
        BudgetError::Unpriced(unpriced) => {
            object.insert("limit".to_owned(), BudgetLimit::Cost.as_str().into());
            object.insert("max_usd".to_owned(), dollars(unpriced.max_cost_nanos).into());
            object.insert("call".to_owned(), "not_made".into());
            object.insert("call_model".to_owned(), unpriced.model.as_str().into());
        }
    }
    Value::Object(object)
}

/// One line: what was spent of what. `None` where there is no limit for the run as a whole.
pub(crate) fn summary(report: &BudgetReport, output: &Output) -> Option<String> {
    let budget = &report.budget;
    let mut parts = Vec::new();
    if let Some(max) = budget.max_cost {
        let share = share(
            u64::try_from(report.spent.0).unwrap_or(0),
            u64::try_from(max.0).unwrap_or(0),
        );
        let unpriced = report.unpriced_calls;
        let mut beside = String::new();
        let mut sign = "";
        if report.withheld.0 > 0 {
            sign = "~";
            beside = format!(", up to {} more may be", report.withheld);
        }
        if unpriced > 0 {
            sign = "≥ ";
            beside.push_str(&format!(", +{unpriced} unpriced"));
        }
        parts.push(format!("{sign}{} of {max} ({share}{beside})", report.spent));
    }
    let counts = [
        (
            "tokens",
            budget.max_tokens,
            report.spent_tokens,
            report.withheld_tokens,
        ),
        ("LLM calls", budget.max_llm_calls, report.spent_llm_calls, 0),
    ];
    for (what, max, spent, withheld) in counts {
        if let Some(max) = max {
            let (shown, of) = (grouped(spent), grouped(max));
            let (sign, beside) = if withheld > 0 {
                ("~", format!(", up to {} more may be", grouped(withheld)))
            } else {
                ("", String::new())
            };
            parts.push(format!(
                "{sign}{shown} of {of} {what} ({}{beside})",
                share(spent, max)
            ));
        }
    }
    if parts.is_empty() {
        return None;
    }
    let mut line = format!("Budget: {}", parts.join(", "));
    let mut happened = Vec::new();
    for (number, what) in [(report.refused_calls, "refused"), (report.cut_streams, "cut off")] {
        if number > 0 {
            let plural = if number == 1 { "" } else { "s" };
            happened.push(format!("{} call{plural} {what}", grouped(number)));
        }
    }
    if !happened.is_empty() {
        let style = owo_colors::Style::new().red();
        let text = format!("; {}", happened.join(", "));
        line.push_str(&output.paint(&text, style));
    }
    Some(line)
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return if part == 0 { "0 %" } else { "over" }.to_owned();
    }
    format!("{} %", u128::from(part) * 100 / u128::from(whole))
}

#[cfg(test)]
mod tests;
