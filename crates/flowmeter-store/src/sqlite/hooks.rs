//! Where the search index and the sums take part in what becomes of batches.
//!
//! Never does anything by itself: it is the one place that the writer, merging and removing call, so that none of them
//! knows who else keeps something about a batch. All but [`background_step`] run inside the caller's transaction.

use rusqlite::Connection;

use super::{SqliteConfig, search};
use crate::{SpanRow, StoreError, Upkeep};

/// A batch is gone, or what it held has changed: what an index holds of it is to go for good.
pub(super) fn batch_gone(connection: &Connection, batch: i64) -> Result<(), StoreError> {
    search::forget_batch(connection, batch)
}

/// Spans of a batch that was counted in sums are forgotten: the sums shall not hold them.
pub(super) fn spans_forgotten(_connection: &Connection, _rows: &[SpanRow]) -> Result<(), StoreError> {
    Ok(())
}

/// Spans of a batch have had their time: what they came to shall be in the sums before they go.
pub(super) fn before_retiring(_connection: &Connection, _batch: i64) -> Result<(), StoreError> {
    Ok(())
}

/// One short piece of work in the background, in transactions of its own; whether there may be more.
pub(super) fn background_step(
    connection: &mut Connection,
    config: &SqliteConfig,
) -> Result<bool, StoreError> {
    search::step(connection, config)
}

/// Whether the sums and the index are those of the batches; what is wrong is added to the problems.
pub(super) fn check(connection: &Connection, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    search::check(connection, upkeep)
}
