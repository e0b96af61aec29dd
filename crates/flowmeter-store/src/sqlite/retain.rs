//! Retention: what has had its time goes, the oldest first, in steps that nobody notices.
//!
//! Never touches a run that goes on. Sums keep what the runs came to.

use std::time::Duration;

use flowmeter_model::TimestampNs;
use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashSet;

use super::connection::{self, Purpose};
use super::forget::used_bytes;
use super::model_sets;
use super::read::batches::blob;
use super::removal::{self, Removed};
use super::rewrite::hashes_of;
use super::run_row::{SELECT, StoredRun, time_to_column};
use super::{SqliteStore, blank, hooks, locking};
use crate::codec::content::ContentHash;
use crate::{Forgotten, Retention, RunStatus, StoreError};

/// Batches that one step rewrites.
const BATCHES_PER_STEP: usize = 1;
/// Blocks of lines that one step rewrites.
const LOG_BLOCKS_PER_STEP: usize = 4;
/// Runs that one step looks at.
const RUNS_PER_STEP: usize = 200;

/// What goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Going {
    /// Payloads, lines, open spans.
    Payloads,
    /// All of it.
    Runs,
}

/// Removes some of what has had its time.
pub(super) fn retain(store: &SqliteStore, retention: &Retention) -> Result<Forgotten, StoreError> {
    let mut connection = connection::open(&store.path, &store.config, Purpose::Write)?;
    // What has had its time is not secret: overwriting it would cost more than removing it.
    connection.pragma_update(None, "secure_delete", "OFF")?;
    let mut used_before = used_bytes(&connection)?;
    let now = store.config.clock.now();
    let mut plan = None;
    for (going, age) in [
        (Going::Runs, retention.runs),
        (Going::Payloads, retention.payloads),
    ] {
        if let (None, Some(age)) = (&plan, age) {
            plan = plan_of(&connection, store, going, before(now, age))?;
        }
    }
    let is_over = |used: u64| retention.size_bytes_max.is_some_and(|most| used > most);
    if plan.is_none() && is_over(used_before) {
        // What was kept apart goes with the last that refers to it: that may be enough.
        sweep(&mut connection, store)?;
        used_before = used_bytes(&connection)?;
    }
    if plan.is_none() && is_over(used_before) {
        let ever = i64::MAX;
        plan = plan_of(&connection, store, Going::Payloads, ever)?;
        if plan.is_none() {
            plan = plan_of(&connection, store, Going::Runs, ever)?;
        }
    }
    let mut forgotten = match plan {
        Some((going, runs)) => step(&mut connection, store, going, &runs)?,
        None => {
            sweep(&mut connection, store)?;
            Forgotten::default()
        }
    };
    forgotten.bytes = used_before.saturating_sub(used_bytes(&connection)?);
    Ok(forgotten)
}

/// What was last heard of before this is older than that.
fn before(now: TimestampNs, age: Duration) -> i64 {
    let age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
    time_to_column(TimestampNs(now.0.saturating_sub(age_ns)))
}

/// The oldest runs of which something can go: so many as one step takes.
fn plan_of(
    connection: &Connection,
    store: &SqliteStore,
    going: Going,
    before: i64,
) -> Result<Option<(Going, Vec<StoredRun>)>, StoreError> {
    let condition = match going {
        Going::Payloads => "payloads_gone = 0",
        Going::Runs => "payloads_gone IN (0, 1)",
    };
    let sql = format!("{SELECT}run WHERE {condition} AND seen < ?1 ORDER BY seen, id");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([before])?;
    let mut chosen: Vec<StoredRun> = Vec::new();
    let mut ids = FxHashSet::default();
    while let Some(row) = rows.next()? {
        let run = StoredRun::read(row)?;
        if run.clone().into_row(&store.config).status == RunStatus::Running {
            continue;
        }
        ids.insert(run.id);
        let is_much = removal::batches_of(connection, &ids)?.len() > BATCHES_PER_STEP
            || removal::log_blocks_of(connection, &ids)?.len() > LOG_BLOCKS_PER_STEP;
        if is_much && !chosen.is_empty() {
            break;
        }
        chosen.push(run);
        if is_much || chosen.len() >= RUNS_PER_STEP {
            break;
        }
    }
    Ok((!chosen.is_empty()).then_some((going, chosen)))
}

fn step(
    connection: &mut Connection,
    store: &SqliteStore,
    going: Going,
    runs: &[StoredRun],
) -> Result<Forgotten, StoreError> {
    let ids: FxHashSet<i64> = runs.iter().map(|run| run.id).collect();
    let transaction = locking::begin(connection, &store.config)?;
    let mut removed = Removed::default();
    let mut forgotten = Forgotten::default();
    let mut batches = removal::batches_of(&transaction, &ids)?;
    if going == Going::Payloads {
        let mut left = Vec::new();
        for batch in batches {
            if blank::has_payloads(&transaction, batch, &ids)? {
                left.push(batch);
            }
        }
        batches = left;
    }
    let blocks = removal::log_blocks_of(&transaction, &ids)?;
    let is_last = batches.len() <= BATCHES_PER_STEP && blocks.len() <= LOG_BLOCKS_PER_STEP;
    for batch in batches.into_iter().take(BATCHES_PER_STEP) {
        match going {
            Going::Payloads => {
                forgotten.payloads += blank::blank(&transaction, batch, &ids, &mut removed.hashes)?;
            }
            Going::Runs => {
                hooks::before_retiring(&transaction, batch)?;
                removal::remove_from_batch(&transaction, &store.texts, batch, &ids, &mut removed)?;
            }
        }
    }
    let blocks = &blocks[..blocks.len().min(LOG_BLOCKS_PER_STEP)];
    for block in blocks {
        removal::remove_from_log_block(&transaction, *block, &ids, &mut removed)?;
    }
    hooks::lines_gone(&transaction, blocks)?;
    if is_last {
        for run in runs {
            match going {
                Going::Payloads => payloads_gone(&transaction, run, &mut removed.hashes)?,
                Going::Runs => removal::remove_row(&transaction, run.id, &mut removed)?,
            }
        }
    }
    doubt(&transaction, &removed.hashes)?;
    transaction.commit()?;
    forgotten.runs = removed.runs;
    forgotten.spans = removed.spans.len() as u64;
    forgotten.logs = removed.logs;
    Ok(forgotten)
}

/// Notes that nothing is left of a run's payloads.
fn payloads_gone(
    connection: &Connection,
    run: &StoredRun,
    hashes: &mut FxHashSet<ContentHash>,
) -> Result<(), StoreError> {
    let open: Option<Vec<u8>> = connection
        .prepare_cached("SELECT hashes FROM run_open WHERE run = ?1")?
        .query_row([run.id], |row| row.get(0))
        .optional()?;
    hashes.extend(hashes_of(&open.unwrap_or_default()));
    connection
        .prepare_cached("DELETE FROM run_open WHERE run = ?1")?
        .execute([run.id])?;
    connection
        .prepare_cached("UPDATE run SET payloads_gone = 1, logs = 0 WHERE id = ?1")?
        .execute([run.id])?;
    Ok(())
}

/// What was referred to is looked after when all else is done: that needs a look at everything.
fn doubt(connection: &Connection, hashes: &FxHashSet<ContentHash>) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare_cached("INSERT OR IGNORE INTO content_doubt (hash) VALUES (?1)")?;
    for hash in hashes {
        statement.execute([hash.to_bytes().as_slice()])?;
    }
    Ok(())
}

/// Removes what nobody refers to since.
fn sweep(connection: &mut Connection, store: &SqliteStore) -> Result<(), StoreError> {
    let has_doubt = connection
        .prepare_cached("SELECT 1 FROM content_doubt LIMIT 1")?
        .exists([])?;
    if !has_doubt {
        return Ok(());
    }
    let transaction = locking::begin(connection, &store.config)?;
    let mut doubted = FxHashSet::default();
    {
        let mut statement = transaction.prepare("SELECT hash FROM content_doubt")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            doubted.extend(hashes_of(blob(row, 0)));
        }
    }
    removal::sweep_content(&transaction, &doubted)?;
    transaction.execute("DELETE FROM content_doubt", [])?;
    model_sets::sweep(&transaction)?;
    removal::next_epoch(&transaction)?;
    transaction.commit()?;
    Ok(())
}
