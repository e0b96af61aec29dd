//! Blocks are decompressed and looked at quickly, on all cores; what may hold the text is handed on.
//!
//! Of many, the next ones are read while the last ones are worked on. Never holds more than two waves of blocks.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::super::cores::cores;
use super::super::read::batches::{blob, lacks_payloads};
use super::super::run_row::time_to_column;
use super::Unreadable;
use super::filter::RawFilter;
use super::sources::{Source, Sources};
use crate::StoreError;
use crate::codec::Damaged;
use crate::codec::block::{Block, Sealer};
use crate::codec::content::ContentHash;
use crate::codec::log_block::LogBlock;
use crate::codec::payload::{self, LogHead, visit_references, visit_references_in_values};

/// Fewer blocks are not worth another thread.
const BLOCKS_A_THREAD: usize = 3;
/// More threads would wait for memory.
const THREADS_MAX: usize = 16;

/// Where a payload or a log line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A span: batch, block in it, place in the block.
    Span { batch: i64, block: usize, place: usize },
    /// A log line: block, place in it.
    Line { block: i64, place: usize },
}

/// What may hold the text.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) origin: Origin,
    /// When the span began or the line was written.
    pub(super) time: i64,
    /// The payload of the span, or the bytes of the log line.
    pub(super) bytes: Vec<u8>,
    /// Content that it refers to, where its own bytes do not hold the text.
    pub(super) references: Vec<ContentHash>,
}

struct Task {
    source: Source,
    body: Vec<u8>,
    /// Whether something in it refers to content that is kept apart.
    may_refer: bool,
}

/// Blocks that are looked at together.
#[derive(Default)]
pub(super) struct Wave {
    tasks: Vec<Task>,
    newest: Option<i64>,
    /// The last batch, and whether something in it refers to content kept apart.
    refers: Option<(i64, bool)>,
    /// The last batch of which a block was gone, and whether it is lost.
    lacks: Option<(i64, bool)>,
    /// Blocks that are lost.
    lost: Unreadable,
}

impl Wave {
    /// Reads the blocks of the next sources.
    pub(super) fn read(
        connection: &Connection,
        sources: &mut Sources<'_>,
        sources_max: usize,
    ) -> Result<Self, StoreError> {
        let mut wave = Self::default();
        let mut taken = 0;
        while taken < sources_max {
            let Some((newest, source)) = sources.next()? else {
                break;
            };
            wave.newest = wave.newest.or(Some(newest));
            let before = wave.tasks.len();
            match &source {
                Source::Spans { batch, block, .. } => wave.read_spans(connection, *batch, *block, &source)?,
                Source::Lines { block } => wave.read_lines(connection, *block, &source)?,
            }
            taken += usize::from(wave.tasks.len() > before);
        }
        sources.unreadable.append(&mut wave.lost);
        Ok(wave)
    }

    fn read_spans(
        &mut self,
        connection: &Connection,
        batch: i64,
        block: usize,
        source: &Source,
    ) -> Result<(), StoreError> {
        let may_refer = match self.refers {
            Some((known, may_refer)) if known == batch => may_refer,
            _ => connection
                .prepare_cached("SELECT 1 FROM batch_content WHERE batch = ?1 AND length(hashes) > 0")?
                .exists([batch])?,
        };
        self.refers = Some((batch, may_refer));
        let mut statement = connection.prepare_cached("SELECT body FROM payload WHERE id = ?1")?;
        let mut rows = statement.query([batch * 64 + block as i64])?;
        if let Some(row) = rows.next()? {
            self.tasks.push(Task {
                source: source.clone(),
                body: blob(row, 0).to_vec(),
                may_refer,
            });
            return Ok(());
        }
        // It has had its time, or it is lost.
        let lacks = match self.lacks {
            Some((known, lacks)) if known == batch => lacks,
            _ => lacks_payloads(connection, batch)?,
        };
        self.lacks = Some((batch, lacks));
        if lacks {
            self.lost.push(format!("{source}: it is missing"));
        }
        Ok(())
    }

    fn read_lines(&mut self, connection: &Connection, block: i64, source: &Source) -> Result<(), StoreError> {
        let mut statement =
            connection.prepare_cached("SELECT length(hashes), body FROM log_block WHERE id = ?1")?;
        let mut rows = statement.query([block])?;
        if let Some(row) = rows.next()? {
            self.tasks.push(Task {
                source: source.clone(),
                body: blob(row, 1).to_vec(),
                may_refer: row.get::<_, i64>(0)? > 0,
            });
        }
        Ok(())
    }

    /// How many blocks.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Nothing in it is newer than this.
    pub(super) fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// What of it may hold the text; `meanwhile` is done while others look.
    pub(super) fn filtered<T>(
        &self,
        filter: &RawFilter,
        looker: &mut Looker,
        meanwhile: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<(Vec<Candidate>, T, Unreadable), StoreError> {
        let cores = cores();
        let threads = (self.tasks.len() / BLOCKS_A_THREAD).min(cores).min(THREADS_MAX);
        let next_task = AtomicUsize::new(0);
        let found = Mutex::new((Vec::new(), Unreadable::new()));
        let work = |looker: &mut Looker| {
            let (mut mine, mut damaged) = (Vec::new(), Unreadable::new());
            while let Some(task) = self.tasks.get(next_task.fetch_add(1, Ordering::Relaxed)) {
                if let Err(Damaged(what)) = looker.look(task, filter, &mut mine) {
                    damaged.push(format!("{}: {what}", task.source));
                }
            }
            let mut found = found.lock();
            found.0.append(&mut mine);
            found.1.append(&mut damaged);
        };
        let done = std::thread::scope(|scope| -> Result<T, StoreError> {
            let workers: Vec<_> = (1..threads.max(1))
                .map(|_| scope.spawn(|| work(&mut Looker::default())))
                .collect();
            let done = meanwhile()?;
            work(looker);
            for worker in workers {
                worker
                    .join()
                    .map_err(|_| Damaged("a thread that searched has failed"))?;
            }
            Ok(done)
        })?;
        let (mut found, damaged) = found.into_inner();
        // The newest first: they may be enough.
        found.sort_unstable_by_key(|candidate: &Candidate| (Reverse(candidate.time), candidate.origin));
        Ok((found, done, damaged))
    }
}

/// Memory for looking at blocks.
#[derive(Default)]
pub(super) struct Looker {
    sealer: Sealer,
    block: Block,
    lower: Vec<u8>,
}

impl Looker {
    fn look(&mut self, task: &Task, filter: &RawFilter, found: &mut Vec<Candidate>) -> Result<(), Damaged> {
        match &task.source {
            Source::Spans { batch, block, starts } => {
                self.block.open_again(&mut self.sealer, &task.body)?;
                let payloads = (0..self.block.len()).map(|place| (place, self.block.payload(place)));
                look_at(
                    self.block.bytes(),
                    payloads,
                    &mut self.lower,
                    (filter, task.may_refer),
                    |payload, visit| visit_references(payload, visit),
                    |place, bytes, references| {
                        let (batch, block) = (*batch, *block);
                        found.push(Candidate {
                            origin: Origin::Span { batch, block, place },
                            time: starts.get(place).copied().unwrap_or(i64::MAX),
                            bytes,
                            references,
                        });
                        Ok(())
                    },
                )
            }
            Source::Lines { block } => {
                let lines = LogBlock::open(&mut self.sealer, &task.body)?;
                let records = (0..lines.len()).map(|place| (place, lines.bytes_of(place)));
                look_at(
                    lines.bytes(),
                    records,
                    &mut self.lower,
                    (filter, task.may_refer),
                    |record, visit| visit_references_in_values(record, visit),
                    |place, bytes, references| {
                        let time = time_to_column(LogHead::of(&bytes)?.time);
                        found.push(Candidate {
                            origin: Origin::Line { block: *block, place },
                            time,
                            bytes,
                            references,
                        });
                        Ok(())
                    },
                )
            }
        }
    }
}

/// Hands on what may hold the text, of parts that make up `all`.
fn look_at<'b>(
    all: &[u8],
    parts: impl Iterator<Item = (usize, Option<&'b [u8]>)>,
    lower: &mut Vec<u8>,
    (filter, may_refer): (&RawFilter, bool),
    references_of: impl Fn(&[u8], &mut dyn FnMut(ContentHash)) -> Result<(), Damaged>,
    mut hand_on: impl FnMut(usize, Vec<u8>, Vec<ContentHash>) -> Result<(), Damaged>,
) -> Result<(), Damaged> {
    let (may_hold, may_refer) = (
        filter.may_hold_many(all, lower),
        may_refer && payload::may_refer(all),
    );
    if !may_hold && !may_refer {
        return Ok(());
    }
    for (place, part) in parts {
        let part = part.unwrap_or_default();
        if part.is_empty() {
            continue;
        }
        if may_hold && filter.may_hold(part) {
            hand_on(place, part.to_vec(), Vec::new())?;
        } else if may_refer && payload::may_refer(part) {
            let mut references = Vec::new();
            references_of(part, &mut |hash| references.push(hash))?;
            if !references.is_empty() {
                hand_on(place, part.to_vec(), references)?;
            }
        }
    }
    Ok(())
}
