//! Which run is meant by a trace and the root span: the newest apart from the others.
//!
//! Ids of traces are random, so that an index of them is written to all over. The newest stand in a small table, whose
//! pages are few, and go over to the large one many at a time, in order. Never looks at what a run is.

use rusqlite::{Connection, OptionalExtension};

use super::SqliteConfig;
use super::locking;
use super::run_row::{count_of_column, span_id_to_column};
use crate::{RunKey, StoreError};

/// So many of the newest go over at once.
const NEW_MANY: usize = 8_192;
const FIND: &str = "SELECT run FROM run_key_new WHERE trace = ?1 AND root = ?2 \
     UNION ALL SELECT run FROM run_key WHERE trace = ?1 AND root = ?2 LIMIT 1";

/// The run of this key, as the number of its row.
pub(super) fn find(connection: &Connection, key: &RunKey) -> Result<Option<i64>, StoreError> {
    let (trace, root) = (key.trace_id.to_bytes(), span_id_to_column(key.root_span_id));
    Ok(connection
        .prepare_cached(FIND)?
        .query_row((trace.as_slice(), root), |row| row.get(0))
        .optional()?)
}

/// A run has a row.
pub(super) fn add(connection: &Connection, key: &RunKey, run: i64) -> Result<(), StoreError> {
    let (trace, root) = (key.trace_id.to_bytes(), span_id_to_column(key.root_span_id));
    connection
        .prepare_cached("INSERT INTO run_key_new (trace, root, run) VALUES (?1, ?2, ?3)")?
        .execute((trace.as_slice(), root, run))?;
    Ok(())
}

/// A run has none any more.
pub(super) fn remove(connection: &Connection, key: &RunKey) -> Result<(), StoreError> {
    let (trace, root) = (key.trace_id.to_bytes(), span_id_to_column(key.root_span_id));
    for table in ["run_key_new", "run_key"] {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE trace = ?1 AND root = ?2"))?
            .execute((trace.as_slice(), root))?;
    }
    Ok(())
}

/// Has the newest go over when they are many, in a transaction of its own; whether they did.
pub(super) fn step(connection: &mut Connection, config: &SqliteConfig) -> Result<bool, StoreError> {
    if !are_many(connection)? {
        return Ok(false);
    }
    let transaction = locking::begin(connection, config)?;
    if !are_many(&transaction)? {
        return Ok(false);
    }
    // Were it to be undone, the whole transaction would be: the statement by itself need not keep, in memory, what the
    // pages held before.
    transaction.execute_batch(
        "INSERT OR FAIL INTO run_key (trace, root, run) SELECT trace, root, run FROM run_key_new ORDER BY trace, root; \
         DELETE FROM run_key_new;",
    )?;
    transaction.commit()?;
    Ok(true)
}

fn are_many(connection: &Connection) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT count(*) >= {NEW_MANY} FROM (SELECT 1 FROM run_key_new LIMIT {NEW_MANY})"
    ))?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// How many rows of runs and keys have no counterpart.
///
/// # Errors
/// When they cannot be read.
pub(super) fn unmatched(connection: &Connection) -> Result<u64, StoreError> {
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get(0).map(count_of_column));
    let keyless = count(
        "SELECT count(*) FROM run WHERE NOT EXISTS \
           (SELECT 1 FROM run_keys WHERE key_trace = run.trace AND key_root = run.root AND key_run = run.id)",
    )?;
    let (keys, runs) = (
        count("SELECT count(*) FROM run_keys")?,
        count("SELECT count(*) FROM run")?,
    );
    Ok(keyless + keys.saturating_sub(runs - keyless))
}

#[cfg(test)]
mod tests;
