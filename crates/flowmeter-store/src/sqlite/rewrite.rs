//! Batches are never changed: they are read, and what is kept of them is written as new ones.
//!
//! Never encodes a payload again: its bytes are handed on.

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::failure::damaged;
use super::names::NameTexts;
use super::read::batches::{StoredBatch, blob, firsts};
use super::writer::commit::Placed;
use super::writer::pack::{BatchPacker, BatchSink, Mentions};
use super::writer::rows::{BatchState, MARKED_BATCHES, write_batch};
use crate::codec::block::{Block, Sealer};
use crate::codec::content::{ContentHash, NoSink};
use crate::codec::narrow::NarrowSpan;
use crate::codec::payload::visit_references;
use crate::{RunKey, SpanRow, StoreError};

/// A batch with so many spans is not merged any more.
pub(super) const SEALED_SPANS_MIN: usize = 512;

/// A span on its way from one batch to another.
struct Moving {
    run: i64,
    key: RunKey,
    workflow: i64,
    narrow: NarrowSpan<i64>,
    payload: Vec<u8>,
}

/// What became of the batches.
#[derive(Default)]
pub(super) struct Rewritten {
    /// Spans that were left out.
    pub(super) removed: Vec<SpanRow>,
    /// Numbers of names that those had.
    pub(super) names: Vec<i64>,
    /// What the old batches referred to, and the new ones may not.
    pub(super) hashes: Vec<ContentHash>,
}

/// Gathers what the new batches mention.
#[derive(Default)]
struct Gatherer(Mentions);

impl crate::codec::content::ContentSink for Gatherer {
    fn text(&mut self, hash: ContentHash, text: &[u8], at: usize) -> bool {
        NoSink.text(hash, text, at)
    }
    fn huge_text(&mut self, hash: ContentHash, text: &[u8]) {
        NoSink.huge_text(hash, text);
    }
    fn messages(&mut self, list: &crate::codec::content::MessageList<'_>, at: usize) -> usize {
        NoSink.messages(list, at)
    }
}

impl BatchSink for Gatherer {
    fn take_mentions(&mut self) -> Mentions {
        let mut mentions = std::mem::take(&mut self.0);
        mentions.hashes.sort_unstable();
        mentions.hashes.dedup();
        mentions
    }
}

/// Writes what is kept of some batches as new ones, and removes them. All were counted in sums, or none.
pub(super) fn rewrite(
    connection: &Connection,
    texts: &NameTexts,
    batches: &[i64],
    is_folded: bool,
    keep: &dyn Fn(i64) -> bool,
) -> Result<Rewritten, StoreError> {
    let mut rewritten = Rewritten::default();
    let mut moving: Vec<Moving> = Vec::new();
    let mut marks: Vec<u32> = Vec::new();
    for batch in batches {
        read(connection, texts, *batch, keep, &mut moving, &mut rewritten)?;
        let (its_marks, hashes) = mentions_of(connection, *batch)?;
        marks.extend(its_marks);
        rewritten.hashes.extend(hashes);
        delete(connection, *batch)?;
    }
    moving.sort_by_key(|span| (span.run, span.narrow.start, span.narrow.span_id));
    let mut packer = BatchPacker::default();
    // A mark says only that something was seen somewhere: the first of the new batches can keep them all.
    let mut gatherer = Gatherer(Mentions {
        marks,
        hashes: Vec::new(),
    });
    let mut placed: FxHashMap<RunKey, Placed> = FxHashMap::default();
    let mut packed = Vec::new();
    for span in &moving {
        if packer.is_full() {
            packed.extend(packer.finish(&mut gatherer)?);
        }
        placed.entry(span.key).or_insert(Placed {
            id: span.run,
            workflow: span.workflow,
        });
        packer.push_packed(span.key, &span.narrow, &span.payload)?;
        if !span.payload.is_empty() {
            visit_references(&span.payload, &mut |hash| gatherer.0.hashes.push(hash))?;
        }
    }
    packed.extend(packer.finish(&mut gatherer)?);
    for batch in &packed {
        let state = BatchState {
            is_sealed: batch.spans >= SEALED_SPANS_MIN,
            is_folded,
        };
        write_batch(connection, batch, state, &placed)?;
    }
    Ok(rewritten)
}

fn read(
    connection: &Connection,
    texts: &NameTexts,
    batch: i64,
    keep: &dyn Fn(i64) -> bool,
    moving: &mut Vec<Moving>,
    rewritten: &mut Rewritten,
) -> Result<(), StoreError> {
    let stored = StoredBatch::read(connection, batch)?;
    let firsts = firsts(connection, batch)?;
    let mut sealer = Sealer::new();
    let mut block: Option<Block> = None;
    let mut opened = usize::MAX;
    let lost = || damaged(format!("a span of batch {batch}"));
    for (place, (run, narrow)) in stored.columns.spans().enumerate() {
        let run = stored.runs.get(usize::from(run)).ok_or_else(lost)?;
        if !keep(run.id) {
            let named = narrow.with_names(|number| texts.text(connection, *number))?;
            rewritten.names.extend([
                narrow.operation,
                narrow.node,
                narrow.model,
                narrow.provider,
                narrow.error_type,
                run.workflow,
            ]);
            let workflow: SmolStr = texts.text(connection, run.workflow)?;
            rewritten.removed.push(named.to_row(run.key, workflow));
            continue;
        }
        let number = firsts
            .partition_point(|first| *first <= place)
            .checked_sub(1)
            .ok_or_else(lost)?;
        if number != opened {
            block = open_block(connection, &mut sealer, batch * 64 + number as i64)?;
            opened = number;
        }
        let first = firsts.get(number).copied().unwrap_or(0);
        let payload = block
            .as_ref()
            .map_or(Some(&[][..]), |block| block.payload(place - first));
        moving.push(Moving {
            run: run.id,
            key: run.key,
            workflow: run.workflow,
            narrow,
            payload: payload.ok_or_else(lost)?.to_vec(),
        });
    }
    Ok(())
}

/// An opened block; `None` when it has had its time.
pub(super) fn open_block(
    connection: &Connection,
    sealer: &mut Sealer,
    id: i64,
) -> Result<Option<Block>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT body FROM payload WHERE id = ?1")?;
    let block = statement
        .query_row([id], |row| Ok(Block::open(sealer, blob(row, 0))))
        .optional()?
        .transpose()?;
    Ok(block)
}

fn mentions_of(connection: &Connection, batch: i64) -> Result<(Vec<u32>, Vec<ContentHash>), StoreError> {
    let marks = connection
        .prepare_cached("SELECT marks FROM recent_marks WHERE place = ?1 AND batch = ?2")?
        .query_row([batch % MARKED_BATCHES, batch], |row| {
            let marks = blob(row, 0).as_chunks::<4>().0.iter();
            Ok(marks.map(|mark| u32::from_le_bytes(*mark)).collect())
        })
        .optional()?;
    let hashes = connection
        .prepare_cached("SELECT hashes FROM batch_content WHERE batch = ?1")?
        .query_row([batch], |row| Ok(hashes_of(blob(row, 0)).collect()))
        .optional()?;
    Ok((marks.unwrap_or_default(), hashes.unwrap_or_default()))
}

/// Hashes as a column has them.
pub(super) fn hashes_of(bytes: &[u8]) -> impl Iterator<Item = ContentHash> {
    bytes
        .as_chunks::<16>()
        .0
        .iter()
        .map(|hash| ContentHash::from_bytes(*hash))
}

/// Removes all rows of a batch.
fn delete(connection: &Connection, batch: i64) -> Result<(), StoreError> {
    super::hooks::batch_gone(connection, batch)?;
    let runs: Vec<i64> = super::batch_runs::decode_runs(
        &connection
            .prepare_cached("SELECT runs FROM batch_columns WHERE batch = ?1")?
            .query_row([batch], |row| row.get::<_, Vec<u8>>(0))?,
    )?
    .iter()
    .map(|run| run.id)
    .collect();
    for run in runs {
        connection
            .prepare_cached("DELETE FROM batch_run WHERE run = ?1 AND batch = ?2")?
            .execute([run, batch])?;
    }
    for sql in [
        "DELETE FROM batch WHERE id = ?1",
        "DELETE FROM batch_columns WHERE batch = ?1",
        "DELETE FROM batch_content WHERE batch = ?1",
        "DELETE FROM recent_marks WHERE place = ?1 % 256 AND batch = ?1",
        "DELETE FROM payload WHERE id >= ?1 * 64 AND id < ?1 * 64 + 64",
    ] {
        connection.prepare_cached(sql)?.execute([batch])?;
    }
    Ok(())
}
