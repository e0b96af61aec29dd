//! Small batches become large ones, in the background.
//!
//! Never holds the file's lock for longer than one batch takes; never merges what is large.

use rusqlite::Connection;

use super::SqliteConfig;
use super::locking;
use super::names::NameTexts;
use super::rewrite::{SEALED_SPANS_MIN, rewrite};
use super::writer::pack::BATCH_SPANS_MAX;
use crate::StoreError;

/// So many small batches wait before they are merged.
const SMALL_BATCHES: usize = 16;
/// A batch with so many spans is no longer of the smallest.
const TINY_SPANS: usize = 64;

/// A batch that may be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Small {
    id: i64,
    spans: usize,
    is_folded: bool,
}

/// Merges some batches in a transaction of its own; whether there was something to merge.
pub(super) fn step(
    connection: &mut Connection,
    config: &SqliteConfig,
    texts: &NameTexts,
) -> Result<bool, StoreError> {
    // Looked at without the lock first: mostly there is nothing to do.
    if choose(&small(connection)?).is_empty() {
        return Ok(false);
    }
    let transaction = locking::begin(connection, config)?;
    let chosen = choose(&small(&transaction)?);
    let Some(first) = chosen.first() else {
        return Ok(false);
    };
    let ids: Vec<i64> = chosen.iter().map(|batch| batch.id).collect();
    rewrite(&transaction, texts, &ids, first.is_folded, &|_| true)?;
    transaction.commit()?;
    Ok(true)
}

fn small(connection: &Connection) -> Result<Vec<Small>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id, spans, folded FROM batch WHERE sealed = 0 ORDER BY id LIMIT 4096")?;
    let found = statement.query_map([], |row| {
        Ok(Small {
            id: row.get(0)?,
            spans: row.get::<_, u32>(1)? as usize,
            is_folded: row.get(2)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The batches to merge now: of one size, so that no span is moved more often than sizes there are.
fn choose(small: &[Small]) -> Vec<Small> {
    for is_folded in [false, true] {
        for is_tiny in [true, false] {
            let of_size: Vec<Small> = small
                .iter()
                .filter(|batch| batch.is_folded == is_folded && (batch.spans < TINY_SPANS) == is_tiny)
                .copied()
                .collect();
            let spans: usize = of_size.iter().map(|batch| batch.spans).sum();
            if of_size.len() < SMALL_BATCHES && (is_tiny || spans < SEALED_SPANS_MIN) {
                continue;
            }
            let mut chosen = Vec::new();
            let mut taken = 0;
            for batch in of_size {
                if taken + batch.spans > BATCH_SPANS_MAX {
                    break;
                }
                taken += batch.spans;
                chosen.push(batch);
            }
            if chosen.len() > 1 {
                return chosen;
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests;
