//! What may hold a text, the newest first: batches by the index, batches that have none, blocks of log lines.
//!
//! Asks the index for the newest segments first, and for no more of them than are needed.

use std::collections::BinaryHeap;
use std::fmt;

use flowmeter_model::TimestampNs;
use rusqlite::Connection;
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::batch_runs::decode_runs;
use super::super::failure::damaged;
use super::super::read::batches::{blob, firsts, select};
use super::super::run_row::time_to_column;
use super::Unreadable;
use super::look_up::{look_up_batch, look_up_segment};
use super::words::numbers_of;
use crate::codec::columns::{Column, decode_integers};
use crate::rules::patterns::Pattern;
use crate::{SearchPlace, SearchQuery, StoreError};

/// Something to be decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A block of a batch of spans, with when its spans began.
    Spans {
        batch: i64,
        block: usize,
        starts: Vec<i64>,
    },
    /// A block of log lines.
    Lines { block: i64 },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spans { batch, block, .. } => write!(f, "block {block} of batch {batch}"),
            Self::Lines { block } => write!(f, "block {block} of log lines"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    Block {
        batch: i64,
        block: usize,
    },
    Lines(i64),
    /// These blocks of a batch.
    Batch {
        batch: i64,
        blocks: u64,
    },
    /// A batch with a row of its own in the index.
    Loose(i64),
    Segment(i64),
}

/// Hands out sources, the newest first: by the latest time of what is in them.
pub(super) struct Sources<'c> {
    connection: &'c Connection,
    words: Vec<u32>,
    only_in: Option<FxHashSet<i64>>,
    waiting: BinaryHeap<(i64, Waiting)>,
    /// When the spans of the blocks that wait began.
    starts: FxHashMap<(i64, usize), Vec<i64>>,
    /// What could not be read.
    pub(super) unreadable: Unreadable,
}

impl<'c> Sources<'c> {
    /// Of a query; `only_in` names the batches that may hold spans of the runs that are asked for, where they are few.
    pub(super) fn of(
        connection: &'c Connection,
        query: &SearchQuery,
        pattern: &Pattern,
        only_in: Option<FxHashSet<i64>>,
    ) -> Result<Self, StoreError> {
        let mut sources = Self {
            connection,
            words: numbers_of(pattern),
            only_in,
            waiting: BinaryHeap::new(),
            starts: FxHashMap::default(),
            unreadable: Unreadable::new(),
        };
        let wants = |place: SearchPlace| query.places.is_empty() || query.places.contains(&place);
        let lines_only =
            !query.places.is_empty() && query.places.iter().all(|place| *place == SearchPlace::Log);
        if !lines_only {
            let all = |batch| Waiting::Batch {
                batch,
                blocks: u64::MAX,
            };
            if sources.words.is_empty() {
                sources.gather("SELECT id, start_max FROM batch", all)?;
            } else {
                sources.gather("SELECT id, start_max FROM batch WHERE worded = 0", all)?;
                sources.gather(
                    "SELECT batch.id, start_max FROM word_batch JOIN batch ON batch.id = word_batch.batch WHERE segment = 0",
                    Waiting::Loose,
                )?;
                sources.gather("SELECT id, start_max FROM word_segment", Waiting::Segment)?;
            }
        }
        if wants(SearchPlace::Log) {
            sources.gather("SELECT id, time_max FROM log_block", Waiting::Lines)?;
        }
        Ok(sources)
    }

    fn gather(&mut self, sql: &str, make: impl Fn(i64) -> Waiting) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (number, newest): (i64, i64) = (row.get(0)?, row.get(1)?);
            let waiting = make(number);
            let is_wanted = match (&self.only_in, waiting) {
                (Some(batches), Waiting::Loose(batch) | Waiting::Batch { batch, .. }) => {
                    batches.contains(&batch)
                }
                _ => true,
            };
            if is_wanted {
                self.waiting.push((newest, waiting));
            }
        }
        Ok(())
    }

    /// Nothing that is still to come is newer than this; `None` when there is nothing.
    pub(super) fn newest(&self) -> Option<i64> {
        self.waiting.peek().map(|(newest, _)| *newest)
    }

    /// The next source, with the time that nothing in it is newer than.
    pub(super) fn next(&mut self) -> Result<Option<(i64, Source)>, StoreError> {
        while let Some((newest, waiting)) = self.waiting.pop() {
            match waiting {
                Waiting::Lines(block) => return Ok(Some((newest, Source::Lines { block }))),
                Waiting::Block { batch, block } => {
                    let starts = self.starts.remove(&(batch, block)).unwrap_or_default();
                    return Ok(Some((newest, Source::Spans { batch, block, starts })));
                }
                Waiting::Batch { batch, blocks } => {
                    let waits = self.wait_for_blocks(batch, blocks);
                    self.note(waits)?;
                }
                Waiting::Loose(batch) => {
                    let blocks = look_up_batch(self.connection, batch, &self.words);
                    // Without its words, all of it may hold the text.
                    let blocks = self.note(blocks)?.unwrap_or(u64::MAX);
                    let waits = self.wait_for_blocks(batch, blocks);
                    self.note(waits)?;
                }
                Waiting::Segment(segment) => {
                    let found = look_up_segment(self.connection, segment, &self.words);
                    let found = match self.note(found)? {
                        Some(found) => found,
                        None => self.all_of_segment(segment)?,
                    };
                    for (batch, blocks) in found {
                        self.wait_for(batch, blocks)?;
                    }
                }
            }
        }
        Ok(None)
    }

    /// What was read; `None`, and a note of it, where it is damaged.
    fn note<T>(&mut self, read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(StoreError::Damaged { what }) => {
                self.unreadable.push(what);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// All blocks of all batches of a segment.
    fn all_of_segment(&self, segment: i64) -> Result<Vec<(i64, u64)>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT batch FROM word_batch WHERE segment = ?1")?;
        let batches = statement.query_map([segment], |row| Ok((row.get(0)?, u64::MAX)))?;
        Ok(batches.collect::<Result<_, _>>()?)
    }

    fn wait_for(&mut self, batch: i64, blocks: u64) -> Result<(), StoreError> {
        if self
            .only_in
            .as_ref()
            .is_some_and(|batches| !batches.contains(&batch))
        {
            return Ok(());
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT start_max FROM batch WHERE id = ?1")?;
        let mut rows = statement.query([batch])?;
        // One that is gone holds nothing.
        if let Some(row) = rows.next()? {
            self.waiting.push((row.get(0)?, Waiting::Batch { batch, blocks }));
        }
        Ok(())
    }

    /// The blocks of a batch, each as new as its newest span: the spans of a batch stand run by run.
    fn wait_for_blocks(&mut self, batch: i64, blocks: u64) -> Result<(), StoreError> {
        if blocks == 0 {
            return Ok(());
        }
        let firsts = firsts(self.connection, batch)?;
        let sql = select(&[Column::Start]);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([batch])?;
        let row = rows
            .next()?
            .ok_or_else(|| damaged(format!("the columns of batch {batch} are missing")))?;
        let count = decode_runs(blob(row, 0))?.iter().map(|run| run.count).sum();
        let mut starts = Vec::new();
        decode_integers(blob(row, 1), count, &mut starts)?;
        for (block, first) in firsts.iter().enumerate().take(64) {
            if blocks >> block & 1 == 0 {
                continue;
            }
            let end = firsts.get(block + 1).copied().unwrap_or(count);
            let starts = starts.get(*first..end).unwrap_or_default().iter();
            let starts: Vec<i64> = starts.map(|start| time_to_column(TimestampNs(*start))).collect();
            if let Some(newest) = starts.iter().max() {
                self.waiting.push((*newest, Waiting::Block { batch, block }));
                self.starts.insert((batch, block), starts);
            }
        }
        Ok(())
    }
}
