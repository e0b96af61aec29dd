//! A plan for the eye: what `run --dry-run` prints.
//!
//! Never computes an amount: the plan has them all.

use flowmeter::{Budget, format_duration};
use flowmeter_model::UsdNanos;
use flowmeter_workflow::plan::{
    Between, CacheForecast, Certainty, Plan, PlannedCall, PlannedStep, PriceKnown,
};

use flowmeter::grouped;

/// Above this many steps only the first and the dearest are worth a line.
const STEPS_MAX: usize = 200;

/// The plan as lines of text, and what the budget means for it.
pub(crate) fn text(plan: &Plan, against: &[String]) -> String {
    let count = plan.steps.len();
    let nodes = if count == 1 { "node" } else { "nodes" };
    let mut text = format!(
        "Plan of {}: {} {nodes}; nothing was run\n\n",
        plan.workflow,
        grouped(count as u64)
    );
    let rows: Vec<[String; 7]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(plan.steps.iter().take(STEPS_MAX).map(row))
        .collect();
    let mut widths = [0; 7];
    for (column, width) in widths.iter_mut().enumerate() {
        // A column without anything below its head is left out.
        if rows.iter().skip(1).any(|row| !row[column].is_empty()) {
            *width = rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0);
        }
    }
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            if width == 0 {
                continue;
            }
            let gap = " ".repeat(width - cell.chars().count());
            let padded = if RIGHT[column] {
                format!("{gap}{cell}")
            } else {
                format!("{cell}{gap}")
            };
            line.push_str("  ");
            line.push_str(&padded);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if count > STEPS_MAX {
        text.push_str(&format!(
            "  … and {} more; --output-format json has them all\n",
            grouped((count - STEPS_MAX) as u64)
        ));
    }
    text.push('\n');
    text.push_str(&totals(plan));
    for line in remarks(plan).into_iter().chain(against.iter().cloned()) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

const HEAD: [&str; 7] = ["node", "type", "runs", "model", "tokens in → out", "cost", "time"];
const RIGHT: [bool; 7] = [false, false, true, false, false, false, false];

fn row(step: &PlannedStep) -> [String; 7] {
    let id = step.path.rsplit('/').next().unwrap_or(&step.path);
    let mark = match step.certainty {
        Certainty::Always => "",
        Certainty::Perhaps => " (perhaps)",
        Certainty::OnError => " (on failure)",
    };
    let (model, tokens) = match &step.call {
        None => (String::new(), String::new()),
        Some(call) => (
            model(call),
            format!("{} → {}", range(call.input_tokens), range(call.output_tokens)),
        ),
    };
    let cost = match (&step.call, step.cost) {
        (None, _) => String::new(),
        (Some(_), Some(cost)) => money(cost),
        (Some(call), None) => match call.price {
            PriceKnown::InRun => "known in the run".to_owned(),
            _ => "no price".to_owned(),
        },
    };
    [
        format!("{}{id}{mark}", "  ".repeat(step.depth)),
        step.node_type.to_string(),
        range(step.executions),
        model,
        tokens,
        cost,
        step.duration_ns.map_or_else(String::new, time),
    ]
}

fn model(call: &PlannedCall) -> String {
    let name = call.model.as_deref().unwrap_or("known in the run");
    match call.cache {
        CacheForecast::Off => name.to_owned(),
        CacheForecast::Hit => format!("{name} (cached)"),
        CacheForecast::Partly => format!("{name} (partly cached)"),
        CacheForecast::Miss => format!("{name} (will be cached)"),
        CacheForecast::InRun => format!("{name} (cached if known)"),
    }
}

fn range(amount: Between<u64>) -> String {
    match amount.high {
        Some(high) if high == amount.low => grouped(high),
        Some(high) => format!("{}–{}", grouped(amount.low), grouped(high)),
        None => format!("≥ {}", grouped(amount.low)),
    }
}

/// From the least to the most that something may cost.
pub(crate) fn money(cost: Between<UsdNanos>) -> String {
    match cost.high {
        Some(high) if high == cost.low => high.to_string(),
        Some(high) => format!("{}–{}", rounded(cost.low), rounded(high)),
        None => format!("≥ {}", rounded(cost.low)),
    }
}

/// Four digits that count: ranges are no place for nano-dollars.
fn rounded(amount: UsdNanos) -> String {
    let mut step = 1_i64;
    while amount.0 / step >= 10_000 {
        step *= 10;
    }
    UsdNanos((amount.0 / step).saturating_mul(step)).to_string()
}

fn time(taken: Between<u64>) -> String {
    match taken.high {
        Some(high) if high == taken.low => format_duration(high),
        Some(high) => format!("{}–{}", format_duration(taken.low), format_duration(high)),
        None => format!("≥ {}", format_duration(taken.low)),
    }
}

fn totals(plan: &Plan) -> String {
    let calls = range(plan.llm_calls);
    if plan.llm_calls.high == Some(0) {
        return format!("No model is asked.{}\n", duration(plan));
    }
    let unpriced = match plan.unpriced_calls {
        0 => String::new(),
        count => format!(" (+{count} unpriced)"),
    };
    let word = if plan.llm_calls.high == Some(1) {
        "LLM call"
    } else {
        "LLM calls"
    };
    format!(
        "{calls} {word}, {} tokens, {}{unpriced}{}\n",
        range(plan.tokens),
        money(plan.cost),
        duration(plan)
    )
}

fn duration(plan: &Plan) -> String {
    plan.duration_ns
        .map_or_else(String::new, |taken| format!(", {}", time(taken)))
}

fn remarks(plan: &Plan) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.push(match plan.past_runs {
        0 if plan.llm_calls.high == Some(0) => return remarks,
        0 => "From prompt sizes and the longest answers: no earlier run is known. Further attempts \
              after failures are not in it."
            .to_owned(),
        _ if plan.steps.iter().all(|step| step.past.is_none()) => "From prompt sizes and the longest answers: earlier \
             runs had none of these nodes. Further attempts after failures are not in it."
            .to_owned(),
        1 => "Nodes that an earlier run had are taken from it, the others from prompt sizes and the longest answers."
            .to_owned(),
        runs => format!(
            "Nodes that {runs} earlier runs had are taken from them, the others from prompt sizes and the longest answers."
        ),
    });
    let mut unknown: Vec<String> = Vec::new();
    for step in &plan.steps {
        if let Some(call) = &step.call
            && !call.unknown.is_empty()
        {
            unknown.push(format!("{} of {}", call.unknown.join(", "), step.path));
        }
    }
    if !unknown.is_empty() {
        let more = unknown.len().saturating_sub(5);
        unknown.truncate(5);
        let more = if more > 0 {
            format!(", and {more} more")
        } else {
            String::new()
        };
        remarks.push(format!("Known in the run only: {}{more}", unknown.join("; ")));
    }
    let mut problems: Vec<String> = Vec::new();
    for step in &plan.steps {
        let problem = step.call.as_ref().and_then(|call| call.problem.as_ref());
        if let Some(problem) = problem.map(|problem| format!("Missing for {}: {problem}", step.path))
            && problems.len() < 5
        {
            problems.push(problem);
        }
    }
    remarks.extend(problems);
    remarks
}

/// Whether the budget is enough, one line for each of its limits.
pub(crate) fn against(plan: &Plan, budget: &Budget) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(max) = budget.max_cost {
        let dearest = plan
            .steps
            .iter()
            .filter_map(|step| Some((step.call.as_ref()?.reserved?, &step.path)))
            .max();
        let verdict = match (plan.cost.high, dearest) {
            (_, Some((reserved, path))) if reserved > max => format!(
                "is not enough for a call of {path}, which reserves {}: set `max_tokens` there, or raise the limit",
                rounded_up(reserved)
            ),
            (Some(high), _) if high <= max => "is enough".to_owned(),
            _ if plan.cost.low > max => "is not enough".to_owned(),
            _ => "may not be enough; a call that could break it is not made".to_owned(),
        };
        lines.push(format!("Budget: {max} {verdict}"));
    }
    let counts = [
        (budget.max_tokens, plan.tokens, "tokens"),
        (budget.max_llm_calls, plan.llm_calls, "LLM calls"),
    ];
    for (max, expected, what) in counts {
        let Some(max) = max else { continue };
        let verdict = match expected.high {
            Some(high) if high <= max => "are enough",
            _ if expected.low > max => "are not enough",
            _ => "may not be enough; a call that could break the limit is not made",
        };
        lines.push(format!("Budget: {} {what} {verdict}", grouped(max)));
    }
    lines
}

/// The same number of digits, and never less than the amount.
fn rounded_up(amount: UsdNanos) -> String {
    let mut step = 1_i64;
    while amount.0 / step >= 10_000 {
        step *= 10;
    }
    let up = amount.0.saturating_add(step - 1) / step;
    UsdNanos(up.saturating_mul(step)).to_string()
}
