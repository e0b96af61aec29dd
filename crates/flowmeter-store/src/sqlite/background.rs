//! What can wait: merging small batches, folding batches into sums, indexing words. One short piece at a time.
//!
//! Never holds the file's lock for longer than a piece takes.

use rusqlite::Connection;

use super::names::NameTexts;
use super::{SqliteConfig, locking, merge, search, stats};
use crate::StoreError;

/// One piece of work, in a transaction of its own; whether it did something: then there may be more.
pub(super) fn step(
    connection: &mut Connection,
    config: &SqliteConfig,
    texts: &NameTexts,
) -> Result<bool, StoreError> {
    Ok(merge::step(connection, config, texts)?
        || fold(connection, config)?
        || search::step(connection, config)?)
}

/// Folds some batches into the sums.
fn fold(connection: &mut Connection, config: &SqliteConfig) -> Result<bool, StoreError> {
    let has_some = connection
        .prepare_cached("SELECT 1 FROM batch WHERE folded = 0 LIMIT 1")?
        .exists([])?;
    if !has_some {
        return Ok(false);
    }
    let transaction = locking::begin(connection, config)?;
    stats::fold(&transaction, config.clock.now())?;
    transaction.commit()?;
    Ok(true)
}

/// The piece that must not wait for quiet times for ever: questions sum what is not folded span by span.
pub(super) fn urgent_step(connection: &mut Connection, config: &SqliteConfig) -> Result<bool, StoreError> {
    Ok(stats::has_much_to_fold(connection)? && fold(connection, config)?)
}
