//! Asking the word index, and looking whether it is whole.
//!
//! Never changes it.

use std::ops::ControlFlow;

use rusqlite::Connection;

use super::super::read::batches::blob;
use super::buckets::{BucketReader, bucket_of};
use super::index::{batches_of, bucket_body, bucket_id};
use super::postings::BatchWords;
use super::words::WORD_BITS;
use crate::{StoreError, Upkeep};

/// The batches of a segment that may hold all of these words, with the blocks that may.
pub(super) fn look_up_segment(
    connection: &Connection,
    segment: i64,
    words: &[u32],
) -> Result<Vec<(i64, u64)>, StoreError> {
    let mut reader = BucketReader::default();
    let mut found: Option<Vec<(u8, u64)>> = None;
    for word in words {
        debug_assert!(word >> WORD_BITS == 0);
        let body = bucket_body(connection, bucket_id(segment, bucket_of(*word)))?.unwrap_or_default();
        let there = reader.open(&body)?.find(*word)?;
        let both = match found {
            None => there,
            Some(before) => both_of(&before, &there),
        };
        if both.is_empty() {
            return Ok(Vec::new());
        }
        found = Some(both);
    }
    let batches = batches_of(connection, segment)?;
    let found = found.unwrap_or_default().into_iter();
    let numbered = found.filter_map(|(place, blocks)| {
        let batch = batches
            .get(usize::from(place))
            .copied()
            .filter(|batch| *batch != 0)?;
        Some((batch, blocks))
    });
    Ok(numbered.collect())
}

fn both_of(a: &[(u8, u64)], b: &[(u8, u64)]) -> Vec<(u8, u64)> {
    let both = a.iter().filter_map(|(batch, blocks)| {
        let place = b.binary_search_by_key(batch, |(batch, _)| *batch).ok()?;
        let common = blocks & b[place].1;
        (common != 0).then_some((*batch, common))
    });
    both.collect()
}

/// The blocks of a batch with a row of its own that may hold all of these words.
pub(super) fn look_up_batch(connection: &Connection, batch: i64, words: &[u32]) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT body FROM word_batch WHERE batch = ?1")?;
    let mut rows = statement.query([batch])?;
    let Some(row) = rows.next()? else {
        return Ok(0);
    };
    let body = row.get_ref(0)?.as_blob().unwrap_or_default();
    Ok(BatchWords::open(body)?.blocks_with_all(words)?)
}

/// Whether the index is whole: every batch that is marked so has its words, and they can be read.
pub(in crate::sqlite) fn check(connection: &Connection, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let lost = count(
        "SELECT count(*) FROM batch WHERE worded = 1 AND NOT EXISTS (SELECT 1 FROM word_batch WHERE batch = batch.id)",
    )?;
    let left = count(
        "SELECT count(*) FROM word_batch WHERE batch >= 0 AND NOT EXISTS (SELECT 1 FROM batch WHERE id = word_batch.batch)",
    )?;
    if lost > 0 {
        upkeep.problems.push(format!(
            "the words of {lost} batches are missing from the search index"
        ));
    }
    if left > 0 {
        upkeep.problems.push(format!(
            "the search index holds the words of {left} batches that are gone"
        ));
    }
    let mut damaged = 0;
    let mut statement = connection.prepare("SELECT body FROM word_batch WHERE segment = 0")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let is_whole = BatchWords::open(blob(row, 0)).is_ok_and(|mut words| words.all(|entry| entry.is_ok()));
        damaged += usize::from(!is_whole);
    }
    let mut reader = BucketReader::default();
    let mut statement = connection.prepare("SELECT body FROM word_bucket")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let opened = reader.open(blob(row, 0));
        let read = opened.and_then(|bucket| bucket.visit(&mut |_, _| ControlFlow::Continue(())));
        damaged += usize::from(read.is_err());
    }
    if damaged > 0 {
        upkeep
            .problems
            .push(format!("{damaged} parts of the search index are damaged"));
    }
    Ok(())
}
