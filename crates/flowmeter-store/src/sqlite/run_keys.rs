//! Which run is meant by a trace and the root span: the newest apart from the others.
//!
//! Ids of traces are random, so that an index of them is written to all over. The newest stand in a small table, whose
//! pages are few, and go over to the large one many at a time, in order. Only a part of both ids stands there, so that
//! a page holds more of them; the run's row tells the rest. Never looks at anything else of a run.

use rusqlite::Connection;

use super::SqliteConfig;
use super::locking;
use super::run_row::{count_of_column, span_id_to_column};
use crate::{RunKey, StoreError};

/// So many of the newest go over at once.
const NEW_MANY: usize = 8_192;
/// The runs that may be meant.
const CANDIDATES: &str = "SELECT run.id, run.trace, run.root FROM run_key_new AS key \
       CROSS JOIN run ON run.id = key.run WHERE key.trace = ?1 AND key.root = ?2 \
     UNION ALL SELECT run.id, run.trace, run.root FROM run_key AS key \
       CROSS JOIN run ON run.id = key.run WHERE key.trace = ?1 AND key.root = ?2";

/// What stands of a trace's id: its first eight bytes, or where these are zero (ids of 64 bits, made longer) the others.
/// The numbers are ordered as the bytes are.
fn part_of_trace(trace: [u8; 16]) -> i64 {
    let number = u128::from_be_bytes(trace);
    let (first, last) = ((number >> 64) as u64, number as u64);
    ordered(if first == 0 { last } else { first })
}

/// Numbers with a sign in the order of those without.
fn ordered(number: u64) -> i64 {
    (number ^ (1 << 63)).cast_signed()
}

/// What stands of the root's id: its last two bytes.
fn part_of_root(root: i64) -> i64 {
    i64::from(root as i16)
}

/// Between which numbers those traces stand whose ids begin so, others among them; `None` when anywhere.
pub(super) fn parts_of_traces(prefix: &str) -> Option<(i64, i64)> {
    const DIGITS: usize = 16;
    let between = |digits: &str| -> Option<(u64, u64)> {
        let number = |filler: &str| {
            let filler = filler.repeat(DIGITS.checked_sub(digits.len())?);
            u64::from_str_radix(&format!("{digits}{filler}"), 16).ok()
        };
        Some((number("0")?, number("f")?))
    };
    let (first, last) = prefix.split_at_checked(DIGITS).unwrap_or((prefix, ""));
    let (from, to) = match (between(first)?, last) {
        ((0, _), "") => return None,
        ((0, _), last) => between(last)?,
        (first, _) => first,
    };
    Some((ordered(from), ordered(to)))
}

/// The run of this key, as the number of its row.
pub(super) fn find(connection: &Connection, key: &RunKey) -> Result<Option<i64>, StoreError> {
    let (trace, root) = (key.trace_id.to_bytes(), span_id_to_column(key.root_span_id));
    let mut statement = connection.prepare_cached(CANDIDATES)?;
    let mut candidates = statement.query((part_of_trace(trace), part_of_root(root)))?;
    while let Some(candidate) = candidates.next()? {
        let is_meant = candidate.get_ref(1)?.as_blob() == Ok(&trace) && candidate.get::<_, i64>(2)? == root;
        if is_meant {
            return Ok(Some(candidate.get(0)?));
        }
    }
    Ok(None)
}

/// A run has a row.
pub(super) fn add(connection: &Connection, key: &RunKey, run: i64) -> Result<(), StoreError> {
    let (trace, root) = (key.trace_id.to_bytes(), span_id_to_column(key.root_span_id));
    connection
        .prepare_cached("INSERT INTO run_key_new (trace, root, run) VALUES (?1, ?2, ?3)")?
        .execute((part_of_trace(trace), part_of_root(root), run))?;
    Ok(())
}

/// A run has none any more.
pub(super) fn remove(connection: &Connection, key: &RunKey, run: i64) -> Result<(), StoreError> {
    let (trace, root) = (key.trace_id.to_bytes(), span_id_to_column(key.root_span_id));
    for table in ["run_key_new", "run_key"] {
        connection
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE trace = ?1 AND root = ?2 AND run = ?3"
            ))?
            .execute((part_of_trace(trace), part_of_root(root), run))?;
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
        "INSERT OR FAIL INTO run_key (trace, root, run) SELECT trace, root, run FROM run_key_new ORDER BY trace, root, run; \
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
    let mut keyed = connection
        .prepare("SELECT 1 FROM run_keys WHERE key_trace = ?1 AND key_root = ?2 AND key_run = ?3")?;
    let mut statement = connection.prepare("SELECT id, trace, root FROM run")?;
    let mut rows = statement.query([])?;
    let (mut runs, mut keyless) = (0_u64, 0_u64);
    while let Some(row) = rows.next()? {
        runs += 1;
        let trace: Option<[u8; 16]> = row.get_ref(1)?.as_blob().ok().and_then(|id| id.try_into().ok());
        let (id, root): (i64, i64) = (row.get(0)?, row.get(2)?);
        let is_keyed = match trace {
            Some(trace) => keyed.exists((part_of_trace(trace), part_of_root(root), id))?,
            None => false,
        };
        keyless += u64::from(!is_keyed);
    }
    let keys = connection.query_row("SELECT count(*) FROM run_keys", [], |row| {
        row.get(0).map(count_of_column)
    })?;
    Ok(keyless + keys.saturating_sub(runs - keyless))
}

#[cfg(test)]
mod tests;
