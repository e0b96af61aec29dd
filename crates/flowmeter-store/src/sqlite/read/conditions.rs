//! What a filter of runs asks for, as conditions of a statement.
//!
//! Never says more than SQL can: each row is judged again by the rules that all backends share.

use rusqlite::types::Value;

use super::super::model_sets;
use super::super::run_row::{count_to_column, status_to_column, time_to_column};
use crate::RunFilter;

/// Part of a statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Clause {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Clause {
    pub(super) fn new(sql: impl Into<String>, values: Vec<Value>) -> Self {
        Self {
            sql: sql.into(),
            values,
        }
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(super) fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

pub(super) fn list(column: &str, values: &[String]) -> Clause {
    Clause::new(
        format!("{column} IN ({})", marks(values.len())),
        values.iter().map(|value| text(value)).collect(),
    )
}

/// The wanted statuses as the table has them.
pub(super) fn status_columns(filter: &RunFilter) -> Vec<i64> {
    let mut statuses: Vec<i64> = filter
        .statuses
        .iter()
        .map(|status| status_to_column(*status))
        .collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

/// The conditions as SQL, as far as it can say them; `None` when nothing can meet them.
pub(super) fn conditions(filter: &RunFilter) -> Option<Vec<Clause>> {
    let mut clauses = Vec::new();
    if let Some(since) = filter.since {
        let values = vec![Value::Integer(time_to_column(since))];
        clauses.push(Clause::new("run.started >= ?", values));
    }
    if let Some(until) = filter.until {
        // The last moment that there is stands for all behind it.
        let values = vec![Value::Integer(time_to_column(until))];
        clauses.push(Clause::new("run.started <= ?", values));
    }
    if !filter.workflows.is_empty() {
        clauses.push(list("run.workflow", &filter.workflows));
    }
    if !filter.statuses.is_empty() {
        let statuses = status_columns(filter);
        let values: Vec<Value> = statuses.iter().map(|status| Value::Integer(*status)).collect();
        clauses.push(Clause::new(
            format!("run.status IN ({})", marks(values.len())),
            values,
        ));
    }
    if !filter.models.is_empty() {
        clauses.push(Clause::new(
            format!(
                "run.model_set IN ({})",
                model_sets::numbers_with(filter.models.len())
            ),
            filter.models.iter().map(|model| text(model)).collect(),
        ));
    }
    if let Some(least) = filter.cost_min {
        clauses.push(Clause::new("run.cost >= ?", vec![Value::Integer(least.0)]));
    }
    if let Some(limit) = filter.slower_than_ns {
        let values = vec![Value::Integer(count_to_column(limit))];
        clauses.push(Clause::new("run.duration > ?", values));
    }
    for (key, value) in &filter.tags {
        clauses.push(Clause::new(
            "EXISTS (SELECT 1 FROM run_tag AS t WHERE t.key = ? AND t.value = ? \
             AND t.run_started = run.started AND t.run = run.id)",
            vec![text(key), text(value)],
        ));
    }
    let texts = [
        ("run.session = ?", &filter.session),
        ("run.user = ?", &filter.user),
        ("run.version = ?", &filter.workflow_version),
    ];
    for (sql, wanted) in texts {
        if let Some(wanted) = wanted {
            clauses.push(Clause::new(sql, vec![text(wanted)]));
        }
    }
    if let Some(prefix) = &filter.git_commit {
        clauses.push(
            commit_range(prefix).unwrap_or_else(|| Clause::new("run.git_commit IS NOT NULL", Vec::new())),
        );
    }
    if let Some(prefix) = &filter.trace_prefix
        && !prefix.is_empty()
    {
        clauses.push(trace_range(prefix)?);
    }
    Some(clauses)
}

/// Commits that begin so, as a range.
pub(super) fn commit_range(prefix: &str) -> Option<Clause> {
    let last = char::MAX;
    (!prefix.is_empty()).then(|| {
        Clause::new(
            "run.git_commit >= ? AND run.git_commit <= ?",
            vec![text(prefix), Value::Text(format!("{prefix}{last}"))],
        )
    })
}

/// Traces whose ids begin so, as a range; `None` when there can be none.
fn trace_range(prefix: &str) -> Option<Clause> {
    let is_hex = prefix
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if prefix.is_empty() || prefix.len() > 32 || !is_hex {
        return None;
    }
    let bound = |filler: &str| -> Option<Value> {
        let digits = format!("{prefix}{}", filler.repeat(32 - prefix.len()));
        let number = u128::from_str_radix(&digits, 16).ok()?;
        Some(Value::Blob(number.to_be_bytes().to_vec()))
    };
    Some(Clause::new(
        "run.trace BETWEEN ? AND ?",
        vec![bound("0")?, bound("f")?],
    ))
}
