//! The spans of a run: their rows, and with their payloads.
//!
//! Never holds more than some blocks of payloads.

use std::ops::ControlFlow;

use flowmeter_model::{Span, SpanId};
use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use super::super::content_source::StoredContent;
use super::super::failure::damaged;
use super::super::names::NameTexts;
use super::super::run_row::StoredRun;
use super::batches::{StoredBatch, blob, firsts, lacks_payloads, with_columns};
use crate::codec::block::{Block, Sealer};
use crate::codec::columns::{Column, decode_integers};
use crate::codec::narrow::NarrowSpan;
use crate::codec::payload;
use crate::rules::row::span_of_row;
use crate::{RunKey, SpanRow, StoreError};

/// Opened blocks that are held at most.
const BLOCKS_HELD_MAX: usize = 48;

/// Where a span stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    batch: i64,
    place: usize,
}

/// The spans of a run in one batch.
struct Slice {
    batch: i64,
    first: usize,
    count: usize,
}

/// Reads spans.
pub(in crate::sqlite) struct StoredSpans<'c> {
    connection: &'c Connection,
    texts: &'c NameTexts,
    source: StoredContent<'c>,
    sealer: Sealer,
    blocks: FxHashMap<i64, Option<Block>>,
    firsts: FxHashMap<i64, Vec<usize>>,
}

impl<'c> StoredSpans<'c> {
    pub(in crate::sqlite) fn new(connection: &'c Connection, texts: &'c NameTexts) -> Self {
        Self {
            connection,
            texts,
            source: StoredContent::new(connection),
            sealer: Sealer::new(),
            blocks: FxHashMap::default(),
            firsts: FxHashMap::default(),
        }
    }

    fn slices(&self, run: i64) -> Result<Vec<Slice>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT batch, first, count FROM batch_run WHERE run = ?1 ORDER BY batch")?;
        let slices = statement.query_map([run], |row| {
            Ok(Slice {
                batch: row.get(0)?,
                first: row.get::<_, u32>(1)? as usize,
                count: row.get::<_, u32>(2)? as usize,
            })
        })?;
        Ok(slices.collect::<Result<_, _>>()?)
    }

    fn named(&self, narrow: &NarrowSpan<i64>) -> Result<NarrowSpan, StoreError> {
        narrow.with_names(|number| self.texts.text(self.connection, *number))
    }

    /// The narrow parts of a run's spans, batch by batch.
    pub(in crate::sqlite) fn visit_narrow(
        &mut self,
        run: i64,
        visit: &mut dyn FnMut(&NarrowSpan) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for (_, narrow) in self.narrow(run)? {
            visit(&narrow)?;
        }
        Ok(())
    }

    fn narrow(&mut self, run: i64) -> Result<Vec<(Place, NarrowSpan)>, StoreError> {
        let mut found = Vec::new();
        for slice in self.slices(run)? {
            self.narrow_of(&slice, &mut found)?;
        }
        Ok(found)
    }

    fn narrow_of(&self, slice: &Slice, found: &mut Vec<(Place, NarrowSpan)>) -> Result<(), StoreError> {
        let batch = StoredBatch::read(self.connection, slice.batch)?;
        found.reserve(slice.count);
        for place in slice.first..slice.first + slice.count {
            let narrow = batch
                .columns
                .span(place)
                .ok_or_else(|| damaged(format!("span {place} of batch {}", slice.batch)))?;
            let at = Place {
                batch: slice.batch,
                place,
            };
            found.push((at, self.named(&narrow)?));
        }
        Ok(())
    }

    /// The rows of a run's spans, in the order of their start.
    pub(in crate::sqlite) fn rows(&mut self, run: &StoredRun) -> Result<Vec<SpanRow>, StoreError> {
        let mut rows: Vec<SpanRow> = self
            .narrow(run.id)?
            .into_iter()
            .map(|(_, narrow)| narrow.to_row(run.row.key, run.row.workflow.clone()))
            .collect();
        rows.sort_by_key(|row| (row.start, row.span_id));
        Ok(rows)
    }

    /// The spans of a run, in the order of their start.
    pub(in crate::sqlite) fn visit(
        &mut self,
        run: &StoredRun,
        visit: &mut dyn FnMut(Span) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut spans = self.narrow(run.id)?;
        spans.sort_by_key(|(_, narrow)| (narrow.start, narrow.span_id));
        for (place, narrow) in spans {
            let span = self.whole(run, place, &narrow)?;
            if visit(span).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// One span of a run.
    pub(in crate::sqlite) fn find(
        &mut self,
        run: &StoredRun,
        span_id: SpanId,
    ) -> Result<Option<Span>, StoreError> {
        for slice in self.slices(run.id)? {
            let ids = with_columns(self.connection, slice.batch, &[Column::SpanId], |row| {
                let mut ids = Vec::new();
                decode_integers(row.bytes(0), row.spans, &mut ids)?;
                Ok(ids)
            })?;
            let range = slice.first..(slice.first + slice.count).min(ids.len());
            let found = ids
                .get(range)
                .and_then(|ids| ids.iter().position(|id| *id == span_id.to_u64()));
            if let Some(offset) = found {
                let mut narrow = Vec::new();
                let one = Slice {
                    first: slice.first + offset,
                    count: 1,
                    ..slice
                };
                self.narrow_of(&one, &mut narrow)?;
                if let Some((place, narrow)) = narrow.first() {
                    return self.whole(run, *place, narrow).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// The span with its payload, or what its row tells when that has had its time.
    fn whole(&mut self, run: &StoredRun, at: Place, narrow: &NarrowSpan) -> Result<Span, StoreError> {
        if !self.firsts.contains_key(&at.batch) {
            self.firsts.insert(at.batch, firsts(self.connection, at.batch)?);
        }
        let firsts = self.firsts.get(&at.batch).map(Vec::as_slice).unwrap_or_default();
        let block = firsts.partition_point(|first| *first <= at.place);
        let Some(first) = block.checked_sub(1).and_then(|block| firsts.get(block)) else {
            return Err(damaged(format!("the blocks of batch {}", at.batch)));
        };
        let (place, id) = (at.place - first, at.batch * 64 + block as i64 - 1);
        let payload = match self.block(id)? {
            Some(block) => block
                .payload(place)
                .ok_or_else(|| damaged(format!("block {id} of payloads")))?,
            None => &[],
        };
        if payload.is_empty() {
            return Ok(span_of_row(&narrow.to_row(run.row.key, run.row.workflow.clone())));
        }
        let payload = payload.to_vec();
        Ok(payload::read(
            narrow,
            run.row.key.trace_id,
            &payload,
            &mut self.source,
        )?)
    }

    /// An opened block; `None` when it has had its time.
    fn block(&mut self, id: i64) -> Result<Option<&Block>, StoreError> {
        if !self.blocks.contains_key(&id) {
            if self.blocks.len() >= BLOCKS_HELD_MAX {
                self.blocks.clear();
            }
            let mut statement = self
                .connection
                .prepare_cached("SELECT body FROM payload WHERE id = ?1")?;
            let sealer = &mut self.sealer;
            let block = statement
                .query_row([id], |row| Ok(Block::open(sealer, blob(row, 0))))
                .optional()?
                .transpose()?;
            if block.is_none() && lacks_payloads(self.connection, id / 64)? {
                return Err(damaged(format!("block {id} of payloads is missing")));
            }
            self.blocks.insert(id, block);
        }
        Ok(self.blocks.get(&id).and_then(Option::as_ref))
    }
}

/// The run of a key, if it is there.
pub(in crate::sqlite) fn run_of(
    connection: &Connection,
    key: &RunKey,
) -> Result<Option<StoredRun>, StoreError> {
    StoredRun::find(connection, key)
}
