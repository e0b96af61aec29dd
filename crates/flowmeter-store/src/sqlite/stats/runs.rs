//! Which runs meet conditions, as numbers and nothing else: sums over many runs need no more of them.
//!
//! Never judges what only a look at processes can tell: such conditions go the way of the lists.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::super::read::scan::RunSet;
use super::super::run_row::status_to_column;
use super::super::{SqliteConfig, model_sets};
use crate::{RunFilter, RunStatus, StoreError};

/// The runs that a filter without times and workflows holds for.
pub(super) fn ids(
    connection: &Connection,
    config: &SqliteConfig,
    filter: &RunFilter,
) -> Result<RunSet, StoreError> {
    let needs_a_look = |status: &RunStatus| matches!(status, RunStatus::Running | RunStatus::Interrupted);
    if filter.statuses.iter().any(needs_a_look)
        || filter.trace_prefix.is_some()
        || filter.slower_than_ns.is_some()
    {
        return RunSet::of(connection, config, filter);
    }
    let mut conditions: Vec<String> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    for (key, value) in &filter.tags {
        conditions.push("id IN (SELECT run FROM run_tag WHERE key = ? AND value = ?)".to_owned());
        values.extend([Value::Text(key.clone()), Value::Text(value.clone())]);
    }
    if !filter.models.is_empty() {
        conditions.push(format!(
            "model_set IN ({})",
            model_sets::numbers_with(filter.models.len())
        ));
        values.extend(filter.models.iter().cloned().map(Value::Text));
    }
    for (column, wanted) in [
        ("session", &filter.session),
        ("user", &filter.user),
        ("version", &filter.workflow_version),
    ] {
        if let Some(wanted) = wanted {
            conditions.push(format!("{column} = ?"));
            values.push(Value::Text(wanted.clone()));
        }
    }
    if let Some(prefix) = &filter.git_commit {
        conditions.push("substr(CAST(git_commit AS BLOB), 1, ?) = CAST(? AS BLOB)".to_owned());
        values.extend([Value::Integer(prefix.len() as i64), Value::Text(prefix.clone())]);
    }
    if let Some(least) = filter.cost_min {
        conditions.push("cost >= ?".to_owned());
        values.push(Value::Integer(least.0));
    }
    if !filter.statuses.is_empty() {
        let marks = vec!["?"; filter.statuses.len()].join(", ");
        conditions.push(format!("status IN ({marks})"));
        let numbers = filter.statuses.iter().map(|status| status_to_column(*status));
        values.extend(numbers.map(Value::Integer));
    }
    let sql = format!("SELECT id FROM run WHERE {}", conditions.join(" AND "));
    let ids = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(RunSet::these(ids))
}
