//! Lists of runs by the names of their workflows, and by time within each.
//!
//! Never reads a workflow before somebody wants its runs.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::super::run_lists::{Listed, RunList};
use super::newest::{Newest, visit_unlisted};
use crate::StoreError;

/// Hands out the numbers of all runs, some at a time.
///
/// # Errors
/// Those of reading, and those of `ask`, which says whether to go on.
pub(super) fn ask_in_order(
    connection: &Connection,
    ask: &mut dyn FnMut(Value) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let list = RunList::Workflow;
    let mut unlisted: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    visit_unlisted(connection, list, &mut |workflow, run| {
        if let Ok(workflow) = workflow.as_str() {
            unlisted.entry(workflow.to_owned()).or_default().push(run);
        }
    })?;
    let mut next = connection
        .prepare_cached("SELECT place FROM run_list WHERE list = ?1 AND place > ?2 ORDER BY place LIMIT 1")?;
    // Every number comes before every text.
    let mut last = Value::Integer(i64::MAX);
    loop {
        let listed: Option<String> = next
            .query_row((list.number(), &last), |row| row.get(0))
            .optional()?;
        let first_unlisted = unlisted.first_key_value().map(|(workflow, _)| workflow);
        let Some(workflow) = listed.as_ref().into_iter().chain(first_unlisted).min().cloned() else {
            return Ok(());
        };
        let new = unlisted.remove(&workflow).unwrap_or_default();
        let place = Value::Text(workflow);
        if !Newest::at(list, vec![place.clone()]).ask_with(new, connection, ask)? {
            return Ok(());
        }
        last = place;
    }
}
