//! Where the search index, the sums, the keys and the lists of runs take part in what becomes of batches.
//!
//! Never does anything by itself: it is the one place that the writer, merging and removing call, so that none of them
//! knows who else keeps something about a batch. All but [`background_step`] run inside the caller's transaction.

use rusqlite::Connection;
use rustc_hash::FxHashSet;

use super::run_lists::Pace;
use super::{SqliteConfig, run_keys, run_lists, search, stats};
use crate::{SpanRow, StoreError, Upkeep};

/// A batch is gone, or what it held has changed: what an index holds of it is to go for good.
pub(super) fn batch_gone(connection: &Connection, batch: i64) -> Result<(), StoreError> {
    search::forget_batch(connection, batch)
}

/// Blocks of log lines are gone: what an index holds of them is to go for good.
pub(super) fn lines_gone(connection: &Connection, blocks: &[i64]) -> Result<(), StoreError> {
    search::forget_lines(connection, blocks)
}

/// Spans of a batch that was counted in sums are forgotten: the sums shall not hold them.
pub(super) fn spans_forgotten(connection: &Connection, rows: &[SpanRow]) -> Result<(), StoreError> {
    stats::take_out(connection, rows)
}

/// Spans of a batch have had their time: what they came to shall be in the sums before they go.
pub(super) fn before_retiring(connection: &Connection, batch: i64) -> Result<(), StoreError> {
    stats::fold_batch(connection, batch)
}

/// One short piece of work in the background, in transactions of its own; whether there may be more.
pub(super) fn background_step(
    connection: &mut Connection,
    config: &SqliteConfig,
) -> Result<bool, StoreError> {
    Ok(run_keys::step(connection, config)?
        || run_lists::step(connection, config, Pace::Idle)?
        || stats::fold_some(connection, config)?
        || search::step(connection, config)?)
}

/// The pieces that must not wait for quiet times for ever: questions sum what is not folded span by span, look up what is
/// in no segment batch by batch, and read the rows of runs that are in no list.
pub(super) fn urgent_step(connection: &mut Connection, config: &SqliteConfig) -> Result<bool, StoreError> {
    run_keys::step(connection, config)?;
    run_lists::step(connection, config, Pace::Urgent)?;
    let has_folded = stats::has_much_to_fold(connection)? && stats::fold_some(connection, config)?;
    Ok(search::urgent_step(connection, config)? || has_folded)
}

/// Whether the sums and the index are those of the batches; what is wrong is added to the problems.
pub(super) fn check(connection: &Connection, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    upkeep.problems.extend(stats::check(connection)?);
    search::check(connection, upkeep)
}

/// Names may be used by nobody: those that sums of runs that are no more still have are struck out.
pub(super) fn names_in_use(connection: &Connection, unused: &mut FxHashSet<i64>) -> Result<(), StoreError> {
    if unused.is_empty() {
        return Ok(());
    }
    stats::visit_names(connection, &mut |name| {
        unused.remove(&name);
    })
}
