//! Blocks of log records, packed without loss.
//!
//! The levels that occur in a block can be told without decompressing it. Never keeps more than one block in memory.

use flowmeter_model::{LogLevel, LogRecord, TimestampNs};

use super::Damaged;
use super::block::{Sealed, Sealer, Tag};
use super::content::{ContentSink, ContentSource};
use super::pack::Reader;
use super::payload::{PayloadWriter, read_log, visit_log_texts};
use crate::SearchPlace;

/// Records in one block at most.
pub(crate) const RECORDS_MAX: usize = 256;

/// Gathers log records for one block.
#[derive(Debug, Default)]
pub(crate) struct LogBlockWriter {
    raw: Vec<u8>,
    ends: Vec<u32>,
    levels: u8,
}

/// The bit of a level.
fn level_bit(level: LogLevel) -> u8 {
    1 << level as u8
}

impl LogBlockWriter {
    /// How many records it holds.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds all that fit.
    pub(crate) fn is_full(&self) -> bool {
        self.ends.len() >= RECORDS_MAX
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When it does not fit; then nothing is added.
    pub(crate) fn push(
        &mut self,
        writer: &mut PayloadWriter,
        record: &LogRecord,
        sink: &mut dyn ContentSink,
    ) -> Result<(), Damaged> {
        let start = self.raw.len();
        if !self.is_full() {
            writer.write_log(record, TimestampNs(0), sink, &mut self.raw);
            if let Ok(end) = u32::try_from(self.raw.len()) {
                self.ends.push(end);
                self.levels |= level_bit(record.level);
                return Ok(());
            }
        }
        self.raw.truncate(start);
        Err(Damaged("a log line does not fit into its block"))
    }

    /// Compresses what was added, and begins anew.
    ///
    /// # Errors
    /// When it is too large.
    pub(crate) fn finish(&mut self, sealer: &mut Sealer) -> Result<Vec<u8>, Damaged> {
        for end in &self.ends {
            self.raw.extend_from_slice(&end.to_le_bytes());
        }
        self.raw
            .extend_from_slice(&(self.ends.len() as u16).to_le_bytes());
        let sealed = sealer.seal(Tag::Logs, self.levels, &self.raw);
        *self = Self {
            raw: std::mem::take(&mut self.raw),
            ..Self::default()
        };
        self.raw.clear();
        sealed
    }
}

/// A decompressed block of log records.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogBlock {
    raw: Vec<u8>,
    ends: Vec<usize>,
}

impl LogBlock {
    /// Whether a block can hold records so grave; told without decompressing.
    ///
    /// # Errors
    /// When it is damaged.
    pub(crate) fn may_hold(bytes: &[u8], level_min: LogLevel) -> Result<bool, Damaged> {
        Ok(Sealed::read(bytes)?.note >= level_bit(level_min))
    }

    /// Opens a block.
    ///
    /// # Errors
    /// When it is damaged.
    pub(crate) fn open(sealer: &mut Sealer, bytes: &[u8]) -> Result<Self, Damaged> {
        let sealed = Sealed::read(bytes)?;
        if sealed.tag != Tag::Logs {
            return Err(Damaged(
                "something else stands where a block of log lines belongs",
            ));
        }
        let mut raw = sealer.open(&sealed)?;
        let damaged = Damaged("a block of log lines has lengths that do not fit");
        let (rest, count) = raw.split_last_chunk::<2>().ok_or(damaged)?;
        let count = usize::from(u16::from_le_bytes(*count));
        let bytes = rest
            .len()
            .checked_sub(count * 4)
            .filter(|_| count <= RECORDS_MAX)
            .ok_or(damaged)?;
        let (ends, _) = rest.get(bytes..).ok_or(damaged)?.as_chunks::<4>();
        let ends: Vec<usize> = ends.iter().map(|end| u32::from_le_bytes(*end) as usize).collect();
        if !ends.is_sorted() || ends.last().is_some_and(|end| *end > bytes) {
            return Err(damaged);
        }
        raw.truncate(bytes);
        Ok(Self { raw, ends })
    }

    /// How many records.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of all records, one after the other: for a search by force.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.raw
    }

    /// The bytes of the record at this place; `None` behind the last.
    pub(crate) fn bytes_of(&self, place: usize) -> Option<&[u8]> {
        let start = place
            .checked_sub(1)
            .map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.raw.get(start..*self.ends.get(place)?)
    }

    /// The level of the record at this place, without reading the rest.
    pub(crate) fn level(&self, place: usize) -> Option<LogLevel> {
        let levels = [
            LogLevel::Trace,
            LogLevel::Debug,
            LogLevel::Info,
            LogLevel::Warn,
            LogLevel::Error,
        ];
        levels
            .get(usize::from(self.bytes_of(place)?.first()? & 7))
            .copied()
    }

    /// The record at this place; `None` behind the last.
    ///
    /// # Errors
    /// When it is damaged.
    pub(crate) fn record(
        &self,
        place: usize,
        source: &mut dyn ContentSource,
    ) -> Result<Option<LogRecord>, Damaged> {
        let Some(bytes) = self.bytes_of(place) else {
            return Ok(None);
        };
        let mut reader = Reader::new(bytes);
        let record = read_log(&mut reader, TimestampNs(0), source)?;
        if !reader.is_empty() {
            return Err(Damaged("a log line is longer than what it holds"));
        }
        Ok(Some(record))
    }

    /// Visits the texts of the record at this place.
    ///
    /// # Errors
    /// When it is damaged.
    pub(crate) fn visit_texts(
        &self,
        place: usize,
        source: &mut dyn ContentSource,
        visit: &mut dyn FnMut(SearchPlace, &str, &str),
    ) -> Result<(), Damaged> {
        match self.bytes_of(place) {
            Some(bytes) => visit_log_texts(bytes, source, visit),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
