//! Forgetting: runs leave the file for good, with everything that only they had.
//!
//! Never forgets what was not named. Freed pages are overwritten, and the log of changes is emptied.

use rusqlite::Connection;
use rustc_hash::FxHashSet;

use super::connection::{self, Purpose};
use super::locking::{self, Patience};
use super::model_sets;
use super::read::runs;
use super::removal::{self, Removed};
use super::run_row::StoredRun;
use super::{SqliteStore, hooks};
use crate::rules::filters;
use crate::{ForgetSelector, Forgotten, RunOrder, RunStatus, Store, StoreError};

/// Batches, or blocks of lines, that one transaction rewrites: others wait so long.
const BATCHES_AT_ONCE: usize = 6;
/// How long to wait for others who still read the log of changes, milliseconds.
const EMPTY_WAIT_MS_MAX: u64 = 2_000;

/// Removes runs for good.
pub(super) fn forget(store: &SqliteStore, selector: &ForgetSelector) -> Result<Forgotten, StoreError> {
    store.flush()?;
    let mut connection = connection::open(&store.path, &store.config, Purpose::Write)?;
    let ids = chosen(&connection, store, selector)?;
    if ids.is_empty() {
        return Ok(Forgotten::default());
    }
    let used_before = used_bytes(&connection)?;
    let mut removed = Removed::default();
    for batches in removal::batches_of(&connection, &ids)?.chunks(BATCHES_AT_ONCE) {
        let transaction = locking::begin(&mut connection, &store.config)?;
        for batch in batches {
            // Merging may have put it into another one since.
            if removal::is_there(&transaction, *batch)? {
                remove_batch(&transaction, store, *batch, &ids, &mut removed)?;
            }
        }
        transaction.commit()?;
    }
    for blocks in removal::log_blocks_of(&connection, &ids)?.chunks(BATCHES_AT_ONCE) {
        let transaction = locking::begin(&mut connection, &store.config)?;
        for block in blocks {
            removal::remove_from_log_block(&transaction, *block, &ids, &mut removed)?;
        }
        hooks::lines_gone(&transaction, blocks)?;
        transaction.commit()?;
    }
    let transaction = locking::begin(&mut connection, &store.config)?;
    // What came in the meantime.
    for batch in removal::batches_of(&transaction, &ids)? {
        remove_batch(&transaction, store, batch, &ids, &mut removed)?;
    }
    let blocks = removal::log_blocks_of(&transaction, &ids)?;
    for block in &blocks {
        removal::remove_from_log_block(&transaction, *block, &ids, &mut removed)?;
    }
    hooks::lines_gone(&transaction, &blocks)?;
    for run in &ids {
        removal::remove_row(&transaction, *run, &mut removed)?;
    }
    removal::sweep_content(&transaction, &removed.hashes)?;
    removal::sweep_names(&transaction, &removed.names)?;
    model_sets::sweep(&transaction)?;
    removal::next_epoch(&transaction)?;
    transaction.commit()?;
    store.texts.clear();
    empty_log(&connection);
    let used_after = used_bytes(&connection)?;
    Ok(Forgotten {
        runs: removed.runs,
        spans: removed.spans.len() as u64,
        logs: removed.logs,
        payloads: 0,
        bytes: used_before.saturating_sub(used_after),
    })
}

fn remove_batch(
    connection: &Connection,
    store: &SqliteStore,
    batch: i64,
    ids: &FxHashSet<i64>,
    removed: &mut Removed,
) -> Result<(), StoreError> {
    let first = removed.spans.len();
    if removal::remove_from_batch(connection, &store.texts, batch, ids, removed)? {
        let rows = removed.spans.get(first..).unwrap_or_default();
        hooks::spans_forgotten(connection, rows)?;
    }
    Ok(())
}

/// The numbers of the runs that are meant.
fn chosen(
    connection: &Connection,
    store: &SqliteStore,
    selector: &ForgetSelector,
) -> Result<FxHashSet<i64>, StoreError> {
    let mut ids = FxHashSet::default();
    match selector {
        ForgetSelector::Runs(keys) => {
            for key in keys {
                ids.extend(StoredRun::find(connection, key)?.map(|run| run.id));
            }
        }
        ForgetSelector::Matching(filter) if filters::is_empty(filter) => {}
        ForgetSelector::Matching(filter) => {
            runs::visit(
                connection,
                &store.config,
                filter,
                RunOrder::Started,
                &mut |id, row| {
                    if row.status != RunStatus::Running {
                        ids.insert(id);
                    }
                    Ok(true)
                },
            )?;
        }
    }
    Ok(ids)
}

/// Bytes of the file that something uses.
pub(super) fn used_bytes(connection: &Connection) -> Result<u64, StoreError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(u64::try_from(pages * number("page_size")?).unwrap_or(0))
}

/// Moves all changes into the file and cuts their log to nothing: it may hold pages as they were.
pub(super) fn empty_log(connection: &Connection) {
    let mut patience = Patience::new(EMPTY_WAIT_MS_MAX);
    let emptied = || {
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        busy.is_ok_and(|busy| busy == 0)
    };
    while !emptied() && patience.wait() {}
}

#[cfg(test)]
mod tests;
