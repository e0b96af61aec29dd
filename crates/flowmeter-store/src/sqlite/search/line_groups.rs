//! Log lines in the word index: so many blocks of lines are a group, which the index takes for a batch with a negative
//! number.
//!
//! Groups get their words in order, each when all its blocks are there; the lines behind the last one that has them are
//! searched by force. Never leaves words in the index of lines that are gone.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension};

use super::super::SqliteConfig;
use super::super::content_source::StoredContent;
use super::super::locking;
use super::super::read::batches::blob;
use super::index::{WordIndexer, forget_batch, write_batch};
use super::postings::BLOCKS_MAX;
use crate::StoreError;
use crate::codec::block::Sealer;
use crate::codec::log_block::LogBlock;

/// Blocks of a group.
const BLOCKS: i64 = BLOCKS_MAX as i64;

/// What the index calls a group.
fn batch_of(group: i64) -> i64 {
    -1 - group
}

/// Whether the index means a group of blocks of lines.
pub(super) fn is_group(batch: i64) -> bool {
    batch < 0
}

/// The blocks of what the index calls so.
pub(super) fn blocks_of(batch: i64) -> Range<i64> {
    let group = -1 - batch;
    group * BLOCKS..(group + 1) * BLOCKS
}

/// Hands out the blocks of lines with these numbers, and the latest time in each.
pub(super) fn visit_newest(
    connection: &Connection,
    blocks: Range<i64>,
    mut visit: impl FnMut(i64, i64),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, time_max FROM log_block INDEXED BY log_block_newest WHERE id >= ?1 AND id < ?2",
    )?;
    let mut rows = statement.query([blocks.start, blocks.end])?;
    while let Some(row) = rows.next()? {
        visit(row.get(0)?, row.get(1)?);
    }
    Ok(())
}

/// The latest time in a group; `None` where none of its blocks is left.
pub(super) fn newest_of(connection: &Connection, batch: i64) -> Result<Option<i64>, StoreError> {
    let mut newest: Option<i64> = None;
    visit_newest(connection, blocks_of(batch), |_, time| {
        newest = newest.max(Some(time));
    })?;
    Ok(newest)
}

/// The first block that no group with words has.
pub(super) fn first_without(connection: &Connection) -> Result<i64, StoreError> {
    Ok(next_group(connection)? * BLOCKS)
}

/// The group behind the last that has words.
fn next_group(connection: &Connection) -> Result<i64, StoreError> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT min(batch) FROM word_batch WHERE batch < 0")?
        .query_row([], |row| row.get(0))?;
    Ok(last.map_or(0, |batch| -batch))
}

/// Gives the next group its words, in a transaction of its own, when all its blocks are there; whether it did.
pub(super) fn step(connection: &mut Connection, config: &SqliteConfig) -> Result<bool, StoreError> {
    let group = next_group(connection)?;
    let batch = batch_of(group);
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(id) FROM log_block")?
        .query_row([], |row| row.get(0))?;
    if last.is_none_or(|last| last < blocks_of(batch).end) {
        return Ok(false);
    }
    // Read and cut into words without the lock.
    let (blocks, words) = words_of(connection, batch)?;
    let transaction = locking::begin(connection, config)?;
    let mut blocks_now = Vec::new();
    visit_newest(&transaction, blocks_of(batch), |block, _| blocks_now.push(block))?;
    // A block never changes: what is left of one gets another number.
    if next_group(&transaction)? == group && blocks == blocks_now {
        write_batch(&transaction, batch, &words)?;
        transaction.commit()?;
    }
    Ok(true)
}

/// The blocks of a group that are there, and their words.
fn words_of(connection: &Connection, batch: i64) -> Result<(Vec<i64>, Vec<u8>), StoreError> {
    let mut indexer = WordIndexer::default();
    let mut source = StoredContent::new(connection);
    let mut sealer = Sealer::new();
    let mut blocks = Vec::new();
    let range = blocks_of(batch);
    let mut statement =
        connection.prepare_cached("SELECT id, body FROM log_block WHERE id >= ?1 AND id < ?2 ORDER BY id")?;
    let mut rows = statement.query([range.start, range.end])?;
    while let Some(row) = rows.next()? {
        let block: i64 = row.get(0)?;
        let lines = LogBlock::open(&mut sealer, blob(row, 1))?;
        for place in 0..lines.len() {
            lines.visit_texts(place, &mut source, &mut |_, _, text| {
                indexer.add_text((block - range.start) as usize, text);
            })?;
        }
        blocks.push(block);
    }
    Ok((blocks, indexer.finish()))
}

/// Blocks of lines are gone: the index forgets their words. Needs a transaction that writes.
pub(in crate::sqlite) fn forget_lines(connection: &Connection, blocks: &[i64]) -> Result<(), StoreError> {
    let mut groups: Vec<i64> = blocks.iter().map(|block| block.div_euclid(BLOCKS)).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let batch = batch_of(group);
        let has_words = connection
            .prepare_cached("SELECT 1 FROM word_batch WHERE batch = ?1")?
            .query_row([batch], |_| Ok(()))
            .optional()?;
        if has_words.is_none() {
            continue;
        }
        forget_batch(connection, batch)?;
        let (left, words) = words_of(connection, batch)?;
        if !left.is_empty() {
            write_batch(connection, batch, &words)?;
        }
    }
    Ok(())
}
