//! The statements that write: batches, blocks of lines, lists of tags.
//!
//! Never begins or ends a transaction.

use rusqlite::{Connection, params_from_iter};
use rustc_hash::FxHashMap;

use super::super::batch_runs::{BatchRun, decode_runs, encode_runs};
use super::super::run_row::{StoredRun, time_to_column};
use super::super::stats::Renaming;
use super::commit::{Placed, started_of};
use super::pack::{Mentions, PackedBatch, PackedLogs};
use crate::codec::columns::Column;
use crate::{RunKey, StoreError};

const INSERT_BATCH: &str = "INSERT INTO batch (spans, start_min, start_max, payload_bytes, firsts, sealed, folded) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// The newest batches of which the marks of long texts are kept: what comes again later than so is found by its block.
pub(in crate::sqlite) const MARKED_BATCHES: i64 = 256;

/// What is known of a batch when it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sqlite) struct BatchState {
    /// It is large enough to stay as it is.
    pub(in crate::sqlite) is_sealed: bool,
    /// It is counted in sums.
    pub(in crate::sqlite) is_folded: bool,
}

/// The statement that writes the columns of a batch.
fn insert_columns() -> String {
    let names: Vec<String> = Column::ALL
        .iter()
        .map(|column| format!("\"{}\"", column.as_str()))
        .collect();
    let marks = vec!["?"; names.len() + 2].join(", ");
    format!(
        "INSERT INTO batch_columns (batch, runs, {}) VALUES ({marks})",
        names.join(", ")
    )
}

/// Hashes as one column.
pub(in crate::sqlite) fn hash_bytes(mentions: &Mentions) -> Vec<u8> {
    mentions.hashes.iter().flat_map(|hash| hash.to_bytes()).collect()
}

/// Writes a batch; its number.
pub(in crate::sqlite) fn write_batch(
    connection: &Connection,
    batch: &PackedBatch,
    state: BatchState,
    placed: &FxHashMap<RunKey, Placed>,
) -> Result<i64, StoreError> {
    let payload_bytes = batch.blocks.bytes();
    let firsts: Vec<u8> = batch
        .firsts
        .iter()
        .flat_map(|first| first.to_le_bytes())
        .collect();
    connection.prepare_cached(INSERT_BATCH)?.execute((
        batch.spans as i64,
        time_to_column(batch.start_min),
        time_to_column(batch.start_max),
        payload_bytes as i64,
        firsts,
        state.is_sealed,
        state.is_folded,
    ))?;
    let id = connection.last_insert_rowid();
    let runs: Vec<BatchRun> = batch
        .runs
        .iter()
        .filter_map(|slice| {
            let placed = placed.get(&slice.key)?;
            Some(BatchRun {
                id: placed.id,
                key: slice.key,
                workflow: placed.workflow,
                count: slice.count,
            })
        })
        .collect();
    {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        let runs = encode_runs(&runs);
        let columns = Column::ALL
            .iter()
            .map(|column| ToSqlOutput::Borrowed(ValueRef::Blob(batch.columns.bytes(*column))));
        let values = [
            ToSqlOutput::Borrowed(ValueRef::Integer(id)),
            ToSqlOutput::Borrowed(ValueRef::Blob(&runs)),
        ];
        connection
            .prepare_cached(&insert_columns())?
            .execute(params_from_iter(values.into_iter().chain(columns)))?;
    }
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO batch_run (run, batch, first, count) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (slice, run) in batch.runs.iter().zip(&runs) {
        statement.execute((run.id, id, slice.first as i64, slice.count as i64))?;
    }
    if let Some(words) = &batch.words {
        super::super::search::write_batch(connection, id, words)?;
    }
    let mut statement = connection.prepare_cached("INSERT INTO payload (id, body) VALUES (?1, ?2)")?;
    for (place, block) in batch.blocks.iter().enumerate() {
        statement.execute((id * 64 + place as i64, block))?;
    }
    write_mentions(connection, id, &batch.mentions)?;
    Ok(id)
}

fn write_mentions(connection: &Connection, batch: i64, mentions: &Mentions) -> Result<(), StoreError> {
    if !mentions.hashes.is_empty() {
        connection
            .prepare_cached("INSERT INTO batch_content (batch, hashes) VALUES (?1, ?2)")?
            .execute((batch, hash_bytes(mentions)))?;
    }
    if !mentions.marks.is_empty() {
        let marks: Vec<u8> = mentions
            .marks
            .iter()
            .flat_map(|mark| mark.to_le_bytes())
            .collect();
        connection
            .prepare_cached("INSERT OR REPLACE INTO recent_marks (place, batch, marks) VALUES (?1, ?2, ?3)")?
            .execute((batch % MARKED_BATCHES, batch, marks))?;
    }
    Ok(())
}

/// Writes a block of log lines.
pub(in crate::sqlite) fn write_logs(
    connection: &Connection,
    logs: &PackedLogs,
    placed: &FxHashMap<RunKey, Placed>,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO log_block (lines, time_min, time_max, level_max, hashes, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            logs.lines as i64,
            time_to_column(logs.time_min),
            time_to_column(logs.time_max),
            logs.level_max,
            hash_bytes(&logs.mentions),
            &logs.body,
        ))?;
    let block = connection.last_insert_rowid();
    let mut statement = connection
        .prepare_cached("INSERT INTO log_run (run, block, first, count) VALUES (?1, ?2, ?3, ?4)")?;
    for slice in &logs.runs {
        if let Some(placed) = placed.get(&slice.key) {
            statement.execute((placed.id, block, slice.first as i64, slice.count as i64))?;
        }
    }
    Ok(())
}

/// Keeps the list of tags as the run's row has them.
pub(super) fn write_tags(
    connection: &Connection,
    before: &StoredRun,
    run: &StoredRun,
) -> Result<(), StoreError> {
    let has_moved = before.id != 0 && started_of(before) != started_of(run);
    let old_tags = &before.row.origin.tags;
    if has_moved && !old_tags.is_empty() {
        let mut statement = connection.prepare_cached(
            "DELETE FROM run_tag WHERE key = ?1 AND value = ?2 AND run_started = ?3 AND run = ?4",
        )?;
        for (key, value) in old_tags {
            statement.execute((key, value, started_of(before), run.id))?;
        }
    }
    if has_moved || run.row.origin.tags != *old_tags {
        let mut statement = connection.prepare_cached(
            "INSERT OR IGNORE INTO run_tag (key, value, run_started, run) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (key, value) in &run.row.origin.tags {
            statement.execute((key, value, started_of(run), run.id))?;
        }
    }
    Ok(())
}

/// Gives a run's spans in earlier batches the name that its workflow turned out to have.
pub(super) fn rename(connection: &Connection, run: i64, workflow: i64) -> Result<(), StoreError> {
    let batches: Vec<i64> = connection
        .prepare_cached("SELECT batch FROM batch_run WHERE run = ?1")?
        .query_map([run], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut sums = Renaming::default();
    for batch in batches {
        sums.note(connection, batch, run, workflow)?;
        let bytes: Vec<u8> = connection
            .prepare_cached("SELECT runs FROM batch_columns WHERE batch = ?1")?
            .query_row([batch], |row| row.get(0))?;
        let mut runs = decode_runs(&bytes)?;
        for entry in runs.iter_mut().filter(|entry| entry.id == run) {
            entry.workflow = workflow;
        }
        connection
            .prepare_cached("UPDATE batch_columns SET runs = ?2 WHERE batch = ?1")?
            .execute((batch, encode_runs(&runs)))?;
    }
    sums.apply(connection)
}
