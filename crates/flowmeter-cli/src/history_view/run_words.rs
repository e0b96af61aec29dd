//! How a run is told in a word, in a cell and in JSON.
//!
//! Never shows an unknown cost as zero.

use flowmeter_model::{CostStatus, CostTotal, UsdNanos};
use flowmeter_store::{RunRow, RunStatus, TokenSums};
use owo_colors::Style;
use serde_json::{Map, Value, json};

use crate::times::{TimeWords, rfc3339};

/// A sign and a word for how a run stands.
pub(crate) fn status_words(status: RunStatus) -> (&'static str, Style) {
    match status {
        RunStatus::Ok => ("✓ ok", Style::new().green()),
        RunStatus::Error => ("✗ error", Style::new().red()),
        RunStatus::Cancelled => ("■ cancelled", Style::new().yellow()),
        RunStatus::Running => ("● running", Style::new().cyan()),
        RunStatus::Interrupted => ("◌ interrupted", Style::new().yellow()),
    }
}

/// How long a run took; of one that goes on, how long so far; of one that was interrupted, until it was last heard
/// of.
pub(crate) fn duration_so_far(row: &RunRow, times: &TimeWords) -> Option<u64> {
    match row.status {
        RunStatus::Running => Some(times.now().since(row.started)),
        _ => row.duration_ns(),
    }
}

/// A cost for a cell: rounded to what tells, with the marks of [`CostTotal::display`]; empty without calls.
pub(crate) fn short_cost(total: &CostTotal) -> String {
    if total.calls == 0 {
        return String::new();
    }
    let mark = match total.status() {
        CostStatus::Unpriced => return "unpriced".to_owned(),
        CostStatus::Partial if total.estimated_calls > 0 => "≥ ~",
        CostStatus::Partial => "≥ ",
        CostStatus::Estimated => "~",
        CostStatus::Reported | CostStatus::Priced => "",
    };
    format!("{mark}{}", short_amount(total.known))
}

/// An amount with the digits that tell: `$12.35`, `$0.0262`, `$0.00019`.
pub(crate) fn short_amount(amount: UsdNanos) -> String {
    let nanos = amount.0.unsigned_abs();
    let sign = if amount.0 < 0 { "-" } else { "" };
    // Four places; below a thousandth of a dollar as many as it takes for two digits.
    let places = match nanos {
        1_000_000_000.. => 2,
        1_000_000.. => 4,
        0 => 2,
        small => 9 - (small.ilog10() as usize).max(1) + 1,
    };
    let places = places.min(9);
    let step = 10_u64.pow(9 - u32::try_from(places).unwrap_or(0));
    let rounded = (nanos + step / 2) / step * step;
    let fraction = format!("{:09}", rounded % 1_000_000_000);
    format!("{sign}${}.{}", rounded / 1_000_000_000, &fraction[..places])
}

/// Tokens by kind as JSON.
pub(crate) fn tokens_json(tokens: &TokenSums) -> Value {
    json!({
        "input": tokens.input,
        "output": tokens.output,
        "total": tokens.total(),
        "cache_read": tokens.cache_read,
        "cache_write": tokens.cache_write,
        "reasoning": tokens.reasoning,
    })
}

/// A cost as JSON: `<prefix>_usd` for the eye, `<prefix>_nanos` exact, `<prefix>_status`. Both amounts are null where
/// nothing could be priced.
pub(crate) fn cost_members(total: &CostTotal, prefix: &str, object: &mut Map<String, Value>) {
    let amount = total.amount();
    object.insert(format!("{prefix}_usd"), json!(amount.map(UsdNanos::to_usd)));
    object.insert(format!("{prefix}_nanos"), json!(amount.map(|amount| amount.0)));
    object.insert(format!("{prefix}_status"), total.status().as_str().into());
}

/// A run as JSON: the same members wherever a run is told of.
pub(crate) fn run_json(row: &RunRow, times: &TimeWords) -> Value {
    let has_end = !matches!(row.status, RunStatus::Running | RunStatus::Interrupted);
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    set("run", row.key.to_string().into());
    set("trace_id", row.key.trace_id.to_string().into());
    set("root_span_id", row.key.root_span_id.to_string().into());
    set(
        "parent_span_id",
        json!(row.parent_span_id.map(|id| id.to_string())),
    );
    set("workflow", row.workflow.as_str().into());
    set("workflow_version", json!(row.origin.workflow_version));
    set("status", row.status.as_str().into());
    set("started", rfc3339(row.started).into());
    set("ended", json!(row.ended.filter(|_| has_end).map(rfc3339)));
    if !has_end {
        set("last_seen", json!(row.ended.map(rfc3339)));
    }
    set(
        "duration_ms",
        json!(duration_so_far(row, times).map(flowmeter::milliseconds)),
    );
    set("nodes", row.nodes.into());
    set("llm_calls", row.llm_calls.into());
    set("tokens", tokens_json(&row.tokens));
    cost_members(&row.cost, "cost", &mut object);
    object.insert("unpriced_calls".to_owned(), row.cost.unpriced_calls.into());
    cost_members(&row.saved, "saved", &mut object);
    let mut set = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    set("error", json!(row.error));
    set("models", json!(row.models));
    set("session", json!(row.origin.session));
    set("user", json!(row.origin.user));
    set("git_commit", json!(row.origin.git_commit));
    let tags = row.origin.tags.iter();
    set(
        "tags",
        Value::Object(
            tags.map(|(key, value)| (key.clone(), Value::from(value.as_str())))
                .collect(),
        ),
    );
    set("spans", row.spans.into());
    set("logs", row.logs.into());
    set("sampled", row.sampled.into());
    set("payloads_gone", row.payloads_gone.into());
    object.into()
}

#[cfg(test)]
mod tests;
