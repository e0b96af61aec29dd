//! What may hold a text, the newest first: batches by the index, batches that have none, blocks of log lines.
//!
//! Asks the index for the newest segments first, and for no more of them than are needed.

use std::collections::BinaryHeap;

use rusqlite::Connection;
use rustc_hash::FxHashSet;

use super::index::{look_up_batch, look_up_segment};
use super::words::numbers_of;
use crate::rules::patterns::Pattern;
use crate::{SearchPlace, SearchQuery, StoreError};

/// Something to be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// These blocks of a batch of spans.
    Batch { batch: i64, blocks: u64 },
    /// A block of log lines.
    Lines { block: i64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    Known(Source),
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
        };
        let wants = |place: SearchPlace| query.places.is_empty() || query.places.contains(&place);
        let lines_only =
            !query.places.is_empty() && query.places.iter().all(|place| *place == SearchPlace::Log);
        if !lines_only {
            let all = |batch| {
                Waiting::Known(Source::Batch {
                    batch,
                    blocks: u64::MAX,
                })
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
            sources.gather("SELECT id, time_max FROM log_block", |block| {
                Waiting::Known(Source::Lines { block })
            })?;
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
                (Some(batches), Waiting::Loose(batch) | Waiting::Known(Source::Batch { batch, .. })) => {
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
                Waiting::Known(source) => return Ok(Some((newest, source))),
                Waiting::Loose(batch) => {
                    let blocks = look_up_batch(self.connection, batch, &self.words)?;
                    if blocks != 0 {
                        return Ok(Some((newest, Source::Batch { batch, blocks })));
                    }
                }
                Waiting::Segment(segment) => {
                    for (batch, blocks) in look_up_segment(self.connection, segment, &self.words)? {
                        self.wait_for(batch, blocks)?;
                    }
                }
            }
        }
        Ok(None)
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
            self.waiting
                .push((row.get(0)?, Waiting::Known(Source::Batch { batch, blocks })));
        }
        Ok(())
    }
}
