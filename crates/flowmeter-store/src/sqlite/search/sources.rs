//! What may hold a text, the newest first: batches by the index, batches that have none, blocks of log lines.
//!
//! Asks the index for the newest segments first, and for no more of them than are needed.

use std::collections::BinaryHeap;
use std::fmt;
use std::ops::Range;

use flowmeter_model::TimestampNs;
use rusqlite::Connection;
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::read::batches::{firsts, with_columns};
use super::super::run_row::time_to_column;
use super::Unreadable;
use super::buckets::BucketReader;
use super::line_groups;
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
    /// A batch, or a group of blocks of lines, with a row of its own in the index.
    Loose(i64),
    Segment(i64),
}

/// Where the runs that are asked for stand, when they are few.
pub(super) struct OnlyIn {
    /// Batches with spans of them.
    pub(super) batches: FxHashSet<i64>,
    /// Blocks with lines of them.
    pub(super) lines: FxHashSet<i64>,
}

/// Hands out sources, the newest first: by the latest time of what is in them.
pub(super) struct Sources<'c> {
    connection: &'c Connection,
    words: Vec<u32>,
    reader: BucketReader,
    only_in: Option<OnlyIn>,
    wants_spans: bool,
    wants_lines: bool,
    waiting: BinaryHeap<(i64, Waiting)>,
    /// When the spans of the blocks that wait began.
    starts: FxHashMap<(i64, usize), Vec<i64>>,
    /// What could not be read.
    pub(super) unreadable: Unreadable,
}

impl<'c> Sources<'c> {
    /// Of a query; `only_in` says where the runs that are asked for stand, where they are few.
    pub(super) fn of(
        connection: &'c Connection,
        query: &SearchQuery,
        pattern: &Pattern,
        only_in: Option<OnlyIn>,
    ) -> Result<Self, StoreError> {
        let places = &query.places;
        let mut sources = Self {
            connection,
            words: numbers_of(pattern),
            reader: BucketReader::default(),
            only_in,
            wants_spans: places.is_empty() || places.iter().any(|place| *place != SearchPlace::Log),
            wants_lines: places.is_empty() || places.contains(&SearchPlace::Log),
            waiting: BinaryHeap::new(),
            starts: FxHashMap::default(),
            unreadable: Unreadable::new(),
        };
        if sources.wants_spans {
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
            }
        }
        if sources.wants_lines {
            let mut first = 0;
            if !sources.words.is_empty() {
                first = line_groups::first_without(connection)?;
                sources.gather_groups()?;
            }
            sources.wait_for_lines(first..i64::MAX, u64::MAX)?;
        }
        if !sources.words.is_empty() {
            sources.gather("SELECT id, start_max FROM word_segment", Waiting::Segment)?;
        }
        Ok(sources)
    }

    /// Groups of blocks of lines with rows of their own.
    fn gather_groups(&mut self) -> Result<(), StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT batch FROM word_batch WHERE segment = 0 AND batch < 0")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let group = row.get(0)?;
            if let Some(newest) = line_groups::newest_of(self.connection, group)? {
                self.waiting.push((newest, Waiting::Loose(group)));
            }
        }
        Ok(())
    }

    /// Blocks of lines, each as new as its newest line; of the first 64, those whose bits are set.
    fn wait_for_lines(&mut self, range: Range<i64>, bits: u64) -> Result<(), StoreError> {
        let (waiting, only_in) = (&mut self.waiting, &self.only_in);
        let first = range.start;
        line_groups::visit_newest(self.connection, range, |block, newest| {
            let is_set = bits == u64::MAX || block - first < 64 && bits >> (block - first) & 1 == 1;
            let is_wanted = only_in
                .as_ref()
                .is_none_or(|only_in| only_in.lines.contains(&block));
            if is_set && is_wanted {
                waiting.push((newest, Waiting::Lines(block)));
            }
        })
    }

    fn gather(&mut self, sql: &str, make: impl Fn(i64) -> Waiting) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (number, newest): (i64, i64) = (row.get(0)?, row.get(1)?);
            let waiting = make(number);
            let is_wanted = match (&self.only_in, waiting) {
                (Some(only_in), Waiting::Loose(batch) | Waiting::Batch { batch, .. }) => {
                    only_in.batches.contains(&batch)
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
                    if line_groups::is_group(batch) {
                        self.wait_for_lines(line_groups::blocks_of(batch), blocks)?;
                        continue;
                    }
                    let waits = self.wait_for_blocks(batch, blocks);
                    self.note(waits)?;
                }
                Waiting::Segment(segment) => {
                    let found = look_up_segment(self.connection, &mut self.reader, segment, &self.words);
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
        if line_groups::is_group(batch) {
            if self.wants_lines {
                self.wait_for_lines(line_groups::blocks_of(batch), blocks)?;
            }
            return Ok(());
        }
        let is_in = |only_in: &OnlyIn| only_in.batches.contains(&batch);
        if !self.wants_spans || !self.only_in.as_ref().is_none_or(is_in) {
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
        let mut starts = Vec::new();
        let count = with_columns(self.connection, batch, &[Column::Start], |row| {
            decode_integers(row.bytes(0), row.spans, &mut starts)?;
            Ok(row.spans)
        })?;
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
