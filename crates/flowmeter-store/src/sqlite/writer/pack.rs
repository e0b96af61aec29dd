//! Spans become a batch: columns, and payloads in compressed blocks.
//!
//! Never touches the database; what is to be written is handed on.

use flowmeter_model::{LogRecord, TimestampNs};
use smol_str::SmolStr;

use super::super::rewrite::SEALED_SPANS_MIN;
use super::super::search::WordIndexer;
use super::encoded::EncodedSpan;
use crate::codec::Damaged;
use crate::codec::block::{BlockWriter, SealedBlocks, Sealer};
use crate::codec::columns::{ColumnsWriter, EncodedColumns};
use crate::codec::content::{ContentHash, ContentSink};
use crate::codec::log_block::LogBlockWriter;
use crate::codec::narrow::NarrowSpan;
use crate::codec::payload::{DeferredPayloads, PayloadWriter};
use crate::{RunKey, StoreError};

/// Blocks of a batch at most: what its number leaves room for.
pub(in crate::sqlite) const BLOCKS_MAX: usize = 64;
/// Spans of a batch at most.
pub(in crate::sqlite) const BATCH_SPANS_MAX: usize = 1_024;
/// A block with so many bytes takes no further payload.
const BLOCK_BYTES_MAX: usize = 512 << 10;
/// A block with so many payloads takes no further run's: most runs then stand in one block.
const BLOCK_SPANS_NEAR_FULL: usize = 39;
/// The same for a block of log lines, bytes.
const LOG_BLOCK_BYTES_MAX: usize = 256 << 10;
/// So many batches' blocks have their memory used again at most.
const BATCHES_SPARE_MAX: usize = 4;
/// Those of a batch whose blocks are so large do not, bytes.
const BLOCKS_BYTES_SPARE_MAX: usize = 2 << 20;

/// What the content sink gathered for one batch.
#[derive(Clone, Debug, Default)]
pub(in crate::sqlite) struct Mentions {
    /// Marks of long texts that stand in payloads.
    pub(in crate::sqlite) marks: Vec<u32>,
    /// What payloads refer to.
    pub(in crate::sqlite) hashes: Vec<ContentHash>,
}

/// A sink that can tell what a batch mentioned.
pub(in crate::sqlite) trait BatchSink: ContentSink {
    /// What was mentioned since the last time.
    fn take_mentions(&mut self) -> Mentions;
}

/// A batch that is ready to be written.
pub(in crate::sqlite) struct PackedBatch {
    /// Its runs, each with where its spans stand: first and count.
    pub(in crate::sqlite) runs: Vec<RunSlice>,
    pub(in crate::sqlite) columns: EncodedColumns,
    /// The payloads, compressed.
    pub(in crate::sqlite) blocks: SealedBlocks,
    /// The first span of each block.
    pub(in crate::sqlite) firsts: Vec<u16>,
    pub(in crate::sqlite) spans: usize,
    pub(in crate::sqlite) start_min: TimestampNs,
    pub(in crate::sqlite) start_max: TimestampNs,
    pub(in crate::sqlite) mentions: Mentions,
    /// Its words for the index, where they were gathered.
    pub(in crate::sqlite) words: Option<Vec<u8>>,
}

/// The spans of one run in a batch.
#[derive(Clone, Debug)]
pub(in crate::sqlite) struct RunSlice {
    pub(in crate::sqlite) key: RunKey,
    pub(in crate::sqlite) first: usize,
    pub(in crate::sqlite) count: usize,
}

/// Gathers spans, run by run.
#[derive(Default)]
pub(in crate::sqlite) struct BatchPacker {
    sealer: Sealer,
    columns: ColumnsWriter,
    block: BlockWriter,
    block_bytes: usize,
    raw: Vec<u8>,
    runs: Vec<RunSlice>,
    blocks: SealedBlocks,
    /// Memory for blocks to come.
    spare: Vec<SealedBlocks>,
    firsts: Vec<u16>,
    start_min: Option<TimestampNs>,
    start_max: TimestampNs,
    /// Gathers words, where the batch is going to be large enough for the index.
    words: Option<WordIndexer>,
}

impl BatchPacker {
    /// Gathers the words of what comes, or does not. For a batch that stays small it would be in vain.
    pub(in crate::sqlite) fn gather_words(&mut self, gathers: bool) {
        match (&mut self.words, gathers) {
            (Some(words), true) => words.clear(),
            (none @ None, true) => *none = Some(WordIndexer::default()),
            (words, false) => *words = None,
        }
    }

    /// How many spans it holds.
    pub(in crate::sqlite) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether the next span needs another batch.
    pub(in crate::sqlite) fn is_full(&self) -> bool {
        self.len() >= BATCH_SPANS_MAX || self.blocks.len() + 1 >= BLOCKS_MAX
    }

    /// Adds a span. The spans of a run come one after the other.
    pub(super) fn push(
        &mut self,
        key: RunKey,
        span: &EncodedSpan,
        payloads: &DeferredPayloads,
        node: &SmolStr,
        sink: &mut dyn ContentSink,
        number: &mut dyn FnMut(&SmolStr) -> Result<i64, StoreError>,
    ) -> Result<(), StoreError> {
        let numbered = NarrowSpan {
            node: number(node)?,
            ..span.narrow.with_names(&mut *number)?
        };
        let mut raw = std::mem::take(&mut self.raw);
        let payload = payloads.settle(&span.payload, sink, &mut raw)?;
        let pushed = self.push_packed(key, &numbered, payload);
        self.raw = raw;
        pushed?;
        if let Some(words) = &mut self.words {
            words.add_deferred(self.blocks.len(), payloads, &span.payload);
        }
        Ok(())
    }

    /// Adds a span whose payload is written; an empty payload is one that has had its time.
    pub(in crate::sqlite) fn push_packed(
        &mut self,
        key: RunKey,
        narrow: &NarrowSpan<i64>,
        payload: &[u8],
    ) -> Result<(), Damaged> {
        let is_next_run = self.runs.last().is_none_or(|run| run.key != key);
        let ends_block = self.block.is_full()
            || (self.block_bytes > 0 && self.block_bytes + payload.len() > BLOCK_BYTES_MAX)
            || (is_next_run && self.block.len() > BLOCK_SPANS_NEAR_FULL);
        if ends_block {
            self.end_block()?;
        }
        if self.block.len() == 0 {
            let first =
                u16::try_from(self.columns.len()).map_err(|_| Damaged("a batch holds too many spans"))?;
            self.firsts.push(first);
        }
        if is_next_run {
            self.runs.push(RunSlice {
                key,
                first: self.columns.len(),
                count: 0,
            });
        }
        let run = u16::try_from(self.runs.len() - 1).map_err(|_| Damaged("a batch holds too many runs"))?;
        let is_root = narrow.span_id == key.root_span_id;
        self.columns.push(run, is_root, narrow)?;
        self.block.push(payload)?;
        self.block_bytes += payload.len();
        if let Some(last) = self.runs.last_mut() {
            last.count += 1;
        }
        self.start_min = Some(self.start_min.map_or(narrow.start, |min| min.min(narrow.start)));
        self.start_max = self.start_max.max(narrow.start);
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), Damaged> {
        if self.block.len() > 0 {
            self.blocks.add(&mut self.block, &mut self.sealer)?;
            self.block_bytes = 0;
        }
        Ok(())
    }

    /// What was gathered, and begins anew; `None` when there is nothing.
    pub(in crate::sqlite) fn finish(
        &mut self,
        sink: &mut dyn BatchSink,
    ) -> Result<Option<PackedBatch>, Damaged> {
        if self.len() == 0 {
            return Ok(None);
        }
        self.end_block()?;
        let spans = self.len();
        let words = self.words.as_mut().and_then(|words| {
            let is_worth_it = spans >= SEALED_SPANS_MIN;
            let packed = is_worth_it.then(|| words.finish());
            words.clear();
            packed
        });
        Ok(Some(PackedBatch {
            words,
            runs: std::mem::take(&mut self.runs),
            columns: self.columns.finish(),
            blocks: std::mem::replace(&mut self.blocks, self.spare.pop().unwrap_or_default()),
            firsts: std::mem::take(&mut self.firsts),
            spans,
            start_min: self.start_min.take().unwrap_or_default(),
            start_max: std::mem::take(&mut self.start_max),
            mentions: sink.take_mentions(),
        }))
    }

    /// Takes back the memory of blocks that are written.
    pub(super) fn reuse(&mut self, mut blocks: SealedBlocks) {
        if self.spare.len() < BATCHES_SPARE_MAX && blocks.bytes() <= BLOCKS_BYTES_SPARE_MAX {
            blocks.clear();
            self.spare.push(blocks);
        }
    }

    /// Throws away what was gathered.
    pub(in crate::sqlite) fn clear(&mut self) {
        *self = Self {
            sealer: std::mem::take(&mut self.sealer),
            ..Self::default()
        };
    }
}

/// Log lines that are ready to be written.
pub(in crate::sqlite) struct PackedLogs {
    pub(in crate::sqlite) runs: Vec<RunSlice>,
    pub(in crate::sqlite) body: Vec<u8>,
    pub(in crate::sqlite) lines: usize,
    pub(in crate::sqlite) time_min: TimestampNs,
    pub(in crate::sqlite) time_max: TimestampNs,
    pub(in crate::sqlite) level_max: u8,
    pub(in crate::sqlite) mentions: Mentions,
}

/// Gathers log lines, run by run.
#[derive(Default)]
pub(in crate::sqlite) struct LogPacker {
    payloads: PayloadWriter,
    sealer: Sealer,
    block: LogBlockWriter,
    bytes: usize,
    runs: Vec<RunSlice>,
    times: Option<(TimestampNs, TimestampNs)>,
    level_max: u8,
}

impl LogPacker {
    /// Whether the next line needs another block.
    pub(in crate::sqlite) fn is_full(&self) -> bool {
        self.block.is_full() || self.bytes >= LOG_BLOCK_BYTES_MAX
    }

    /// Adds a line. The lines of a run come one after the other.
    pub(in crate::sqlite) fn push(
        &mut self,
        key: RunKey,
        record: &LogRecord,
        sink: &mut dyn ContentSink,
    ) -> Result<(), Damaged> {
        if self.runs.last().is_none_or(|run| run.key != key) {
            self.runs.push(RunSlice {
                key,
                first: self.block.len(),
                count: 0,
            });
        }
        self.block.push(&mut self.payloads, record, sink)?;
        if let Some(last) = self.runs.last_mut() {
            last.count += 1;
        }
        self.bytes += record.message.len() + 64;
        let (min, max) = self.times.unwrap_or((record.time, record.time));
        self.times = Some((min.min(record.time), max.max(record.time)));
        self.level_max = self.level_max.max(record.level as u8);
        Ok(())
    }

    /// What was gathered, and begins anew; `None` when there is nothing.
    pub(in crate::sqlite) fn finish(
        &mut self,
        sink: &mut dyn BatchSink,
    ) -> Result<Option<PackedLogs>, Damaged> {
        let lines = self.block.len();
        let Some((time_min, time_max)) = self.times.take() else {
            return Ok(None);
        };
        self.bytes = 0;
        Ok(Some(PackedLogs {
            runs: std::mem::take(&mut self.runs),
            body: self.block.finish(&mut self.sealer)?,
            lines,
            time_min,
            time_max,
            level_max: std::mem::take(&mut self.level_max),
            mentions: sink.take_mentions(),
        }))
    }

    /// Throws away what was gathered.
    pub(in crate::sqlite) fn clear(&mut self) {
        *self = Self::default();
    }
}
