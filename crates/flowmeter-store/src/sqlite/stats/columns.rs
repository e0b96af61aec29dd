//! The columns of batches as sums need them: span by span, without making anything of a span.
//!
//! Never reads what spans are called, who they are, or what was said.

use flowmeter_model::{SpanStatus, TimestampNs};
use rusqlite::{CachedStatement, Connection};

use super::super::batch_runs::{BatchRun, decode_runs};
use super::super::failure::damaged;
use super::super::names::NO_NAME;
use super::super::read::batches::{blob, select};
use super::section::{ALL_PARTS, Key, MODEL, NODE, PROVIDER, STATUS, WORKFLOW};
use crate::codec::columns::{
    Column, DictionaryColumn, SpanClass, decode_cost_status, decode_integers, decode_money, decode_option,
};
use crate::rules::sums::{Figures, Parts};
use crate::{StoreError, TokenSums};

/// What sums are made of.
const COLUMNS: [Column; 15] = [
    Column::Start,
    Column::Class,
    Column::Run,
    Column::Duration,
    Column::CostStatus,
    Column::Cost,
    Column::Input,
    Column::Output,
    Column::CacheRead,
    Column::CacheWrite,
    Column::Reasoning,
    Column::SavedStatus,
    Column::Saved,
    Column::Model,
    Column::Provider,
];
/// Of these, the numbers that stand before the names.
const NUMBERS: usize = 13;
/// The names behind them: those of [`COLUMNS`], the node, and what tells of an error.
const NAMES: usize = 4;

/// Reads batches one after the other, into the same memory.
pub(super) struct BatchReader<'c> {
    statement: CachedStatement<'c>,
    columns: BatchColumns,
}

/// The columns of a batch, unpacked, as far as sums need them.
#[derive(Default)]
pub(super) struct BatchColumns {
    numbers: [Vec<u64>; NUMBERS],
    runs: Vec<BatchRun>,
}

/// The columns of a batch as they stand in the file, for another thread to unpack.
pub(super) struct PackedBatch {
    batch: i64,
    bytes: Vec<u8>,
    /// Where the list of runs and each column ends.
    ends: [usize; 1 + NUMBERS + NAMES],
}

/// A span that counts.
pub(super) struct Counting {
    pub(super) start: TimestampNs,
    /// Its run, as a place in the batch's list of runs.
    pub(super) run: usize,
    pub(super) key: Key,
    pub(super) parts: Parts,
    pub(super) figures: Figures,
}

impl<'c> BatchReader<'c> {
    pub(super) fn new(connection: &'c Connection) -> Result<Self, StoreError> {
        let columns: Vec<Column> = COLUMNS
            .into_iter()
            .chain([Column::Node, Column::ErrorType])
            .collect();
        Ok(Self {
            statement: connection.prepare_cached(&select(&columns))?,
            columns: BatchColumns::default(),
        })
    }

    /// Hands out the spans of a batch that count as anything, in order.
    pub(super) fn visit(
        &mut self,
        batch: i64,
        visit: impl FnMut(&[BatchRun], &Counting) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut rows = self.statement.query([batch])?;
        let row = rows.next()?.ok_or_else(|| broken(batch))?;
        self.columns
            .visit(batch, |place| blob(row, place), ALL_PARTS, visit)
    }

    /// The columns of a batch as they are.
    pub(super) fn packed(&mut self, batch: i64) -> Result<PackedBatch, StoreError> {
        let mut rows = self.statement.query([batch])?;
        let row = rows.next()?.ok_or_else(|| broken(batch))?;
        let mut packed = PackedBatch {
            batch,
            bytes: Vec::new(),
            ends: [0; 1 + NUMBERS + NAMES],
        };
        let lengths = (0..packed.ends.len()).map(|place| blob(row, place).len());
        packed.bytes.reserve(lengths.sum());
        for (place, end) in packed.ends.iter_mut().enumerate() {
            packed.bytes.extend_from_slice(blob(row, place));
            *end = packed.bytes.len();
        }
        Ok(packed)
    }
}

impl PackedBatch {
    fn column(&self, place: usize) -> &[u8] {
        let start = place
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        let end = self.ends.get(place).copied().unwrap_or(start);
        self.bytes.get(start..end).unwrap_or_default()
    }
}

fn broken(batch: i64) -> StoreError {
    damaged(format!("the columns of batch {batch}"))
}

impl BatchColumns {
    /// The same of columns that were read elsewhere; only spans that count as one of these parts.
    pub(super) fn visit_packed(
        &mut self,
        packed: &PackedBatch,
        wanted: Parts,
        visit: impl FnMut(&[BatchRun], &Counting) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.visit(packed.batch, |place| packed.column(place), wanted, visit)
    }

    fn visit<'b>(
        &mut self,
        batch: i64,
        bytes: impl Fn(usize) -> &'b [u8],
        wanted: Parts,
        mut visit: impl FnMut(&[BatchRun], &Counting) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let broken = || broken(batch);
        self.runs = decode_runs(bytes(0))?;
        let count: usize = self.runs.iter().map(|run| run.count).sum();
        for (place, numbers) in self.numbers.iter_mut().enumerate() {
            decode_integers(bytes(1 + place), count, numbers)?;
        }
        let names = |place: usize| DictionaryColumn::decode(bytes(1 + place), count);
        let (models, providers, nodes) = (names(NUMBERS)?, names(NUMBERS + 1)?, names(NUMBERS + 2)?);
        let [
            start,
            class,
            run,
            duration,
            cost_status,
            cost,
            input,
            output,
            cache_read,
            cache_write,
            reasoning,
            saved_status,
            saved,
        ] = &self.numbers;
        let mut errors: Option<DictionaryColumn> = None;
        let mut counting = Counting {
            start: TimestampNs(0),
            run: 0,
            key: Key::default(),
            parts: Parts::default(),
            figures: Figures::default(),
        };
        for place in 0..count {
            // All columns have `count` numbers: that was seen to when they were unpacked.
            let class = SpanClass(class[place]);
            let parts = Parts::of(class.kind(), class.is_root()).among(wanted);
            if !parts.any() {
                continue;
            }
            counting.parts = parts;
            counting.start = TimestampNs(start[place]);
            counting.run = run[place] as usize;
            let workflow = self.runs.get(counting.run).ok_or_else(broken)?.workflow;
            counting.key[WORKFLOW] = workflow;
            counting.key[NODE] = nodes.names[nodes.indexes[place] as usize];
            let figures = &mut counting.figures;
            figures.duration_ns = decode_option(duration[place]).unwrap_or(0);
            figures.status = match class.status() {
                Some(status) => status,
                // One that does not say how it ended failed if it has an error.
                None => {
                    let errors = match &mut errors {
                        Some(errors) => errors,
                        none => none.insert(names(NUMBERS + 3)?),
                    };
                    match errors.name(place) {
                        Some(NO_NAME) | None => SpanStatus::Ok,
                        Some(_) => SpanStatus::Error,
                    }
                }
            };
            counting.key[STATUS] = figures.status as i64;
            if parts.call {
                counting.key[MODEL] = models.names[models.indexes[place] as usize];
                counting.key[PROVIDER] = providers.names[providers.indexes[place] as usize];
                figures.cache_hit = class.is_cache_hit();
                figures.tokens = TokenSums {
                    input: input[place],
                    cache_read: cache_read[place],
                    cache_write: cache_write[place],
                    output: output[place],
                    reasoning: reasoning[place],
                };
                figures.cost_status = decode_cost_status(cost_status[place]);
                figures.cost = decode_money(cost[place]);
                figures.saved_status = decode_cost_status(saved_status[place]);
                figures.saved = decode_money(saved[place]);
                figures.provider_saved = figures.saved.filter(|_| !figures.cache_hit);
            } else {
                counting.key[MODEL] = 0;
                counting.key[PROVIDER] = 0;
            }
            visit(&self.runs, &counting)?;
        }
        Ok(())
    }
}
