//! Decides what is kept apart while payloads are written: what was seen before, and what is huge.
//!
//! An index over everything that was ever written would cost more than all else; so the first time only a mark is kept,
//! in order, and at the second sighting the text gets a row of its own. Never holds more marks than its limit.

use rusqlite::Connection;

use super::super::read::batches::blob;
use super::super::recent::{RecentMarks, RecentSet};
use super::pack::{BatchSink, Mentions};
use super::rows::MARKED_BATCHES;
use crate::StoreError;
use crate::codec::block::Sealer;
use crate::codec::content::{ContentHash, ContentRow, ContentSink, MessageList};
use crate::codec::payload::visit_references_in_values;

/// Marks and known rows in memory, each; of marks up to twice as many.
const REMEMBERED_MAX: usize = 200_000;

/// In what texts are written that may be kept apart: each tells by itself what it refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mentioner {
    /// Payloads of spans that ended.
    Spans,
    /// Log lines.
    Lines,
    /// Whole spans by themselves.
    Single,
}

/// A row to be written.
struct NewRow {
    hash: ContentHash,
    body: Vec<u8>,
    /// What it refers to itself.
    needs: Vec<ContentHash>,
}

/// The sink of the writer.
pub(super) struct Contents {
    /// Rows that are there.
    known: RecentSet<ContentHash>,
    /// Marks of what stands in payloads.
    seen: RecentMarks,
    /// Rows to be written.
    rows: Vec<NewRow>,
    /// What each [`Mentioner`] mentioned.
    mentions: [Mentions; 3],
    mentioner: Mentioner,
    sealer: Sealer,
    /// Something was too large to be kept.
    failed: bool,
    /// The newest batch whose marks were read.
    read_to: i64,
}

/// Four bytes of a hash: a wrong guess costs a row and nothing else.
pub(in crate::sqlite) fn mark_of(hash: ContentHash) -> u32 {
    hash.fingerprint() as u32
}

impl Default for Contents {
    fn default() -> Self {
        Self {
            known: RecentSet::new(REMEMBERED_MAX),
            seen: RecentMarks::new(REMEMBERED_MAX),
            rows: Vec::new(),
            mentions: Default::default(),
            mentioner: Mentioner::Spans,
            sealer: Sealer::new(),
            failed: false,
            read_to: 0,
        }
    }
}

impl Contents {
    /// Reads the marks that others, or this program before, left.
    pub(super) fn catch_up(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut read_to = self.read_to;
        let mut statement =
            connection.prepare_cached("SELECT batch, marks FROM recent_marks WHERE batch > ?1")?;
        let mut rows = statement.query([self.read_to])?;
        while let Some(row) = rows.next()? {
            read_to = read_to.max(row.get(0)?);
            for mark in blob(row, 1).as_chunks::<4>().0 {
                self.seen.add(u32::from_le_bytes(*mark));
            }
        }
        let mut statement = connection.prepare_cached(
            "SELECT batch, hashes FROM batch_content WHERE batch > ?1 ORDER BY batch DESC LIMIT ?2",
        )?;
        let mut rows = statement.query([self.read_to, MARKED_BATCHES])?;
        while let Some(row) = rows.next()? {
            read_to = read_to.max(row.get(0)?);
            for hash in blob(row, 1).as_chunks::<16>().0 {
                self.known.add(ContentHash::from_bytes(*hash));
            }
        }
        self.read_to = read_to;
        Ok(())
    }

    /// This batch's marks need not be read again.
    pub(super) fn wrote(&mut self, batch: i64) {
        self.read_to = self.read_to.max(batch);
    }

    /// Forgets what it knows: rows may be gone.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes the rows that payloads refer to.
    pub(super) fn write(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if std::mem::take(&mut self.failed) {
            return Err(StoreError::Invalid("a text is too large to be kept".to_owned()));
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut insert =
            connection.prepare_cached("INSERT OR IGNORE INTO content (hash, body) VALUES (?1, ?2)")?;
        for row in self.rows.drain(..) {
            let hash = row.hash.to_bytes();
            let is_new = insert.execute((hash.as_slice(), row.body))? > 0;
            if is_new && !row.needs.is_empty() {
                let needs: Vec<u8> = row.needs.iter().flat_map(|need| need.to_bytes()).collect();
                connection
                    .prepare_cached("INSERT OR IGNORE INTO content_part (hash, needs) VALUES (?1, ?2)")?
                    .execute((hash.as_slice(), needs))?;
                for need in row.needs {
                    connection
                        .prepare_cached("INSERT OR IGNORE INTO content_need (needs, hash) VALUES (?1, ?2)")?
                        .execute((need.to_bytes().as_slice(), hash.as_slice()))?;
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, hash: ContentHash, row: &ContentRow<'_>) -> bool {
        let mut needs = Vec::new();
        if let ContentRow::Messages { parent, bytes, .. } = row {
            needs.extend(parent.map(|(hash, _)| hash));
            self.failed |= visit_references_in_values(bytes, &mut |hash| needs.push(hash)).is_err();
        }
        match row.seal(&mut self.sealer) {
            Ok(body) => {
                self.rows.push(NewRow { hash, body, needs });
                self.known.add(hash);
                true
            }
            Err(_) => {
                self.failed = true;
                false
            }
        }
    }

    /// These are going to be asked for: one look at them all takes hardly longer than one at the first.
    pub(super) fn look_ahead(&self, hashes: impl Iterator<Item = ContentHash>) {
        let glances = hashes.map(|hash| self.seen.glance(mark_of(hash)));
        // Nobody wants to know what was seen.
        std::hint::black_box(glances.fold(0, |seen, glance| seen ^ glance));
    }

    /// What comes now is written there.
    pub(super) fn write_in(&mut self, mentioner: Mentioner) -> &mut Self {
        self.mentioner = mentioner;
        self
    }

    fn refer(&mut self, hash: ContentHash) {
        self.mentions[self.mentioner as usize].hashes.push(hash);
    }

    fn mark(&mut self, hash: ContentHash) {
        self.seen.add(mark_of(hash));
        self.mentions[self.mentioner as usize].marks.push(mark_of(hash));
    }
}

impl ContentSink for Contents {
    fn text(&mut self, hash: ContentHash, text: &[u8], _at: usize) -> bool {
        let is_kept = self.known.has(hash)
            || (self.seen.has(mark_of(hash)) && self.keep(hash, &ContentRow::Text(text)));
        if is_kept {
            self.refer(hash);
        } else {
            self.mark(hash);
        }
        is_kept
    }

    fn huge_text(&mut self, hash: ContentHash, text: &[u8]) {
        if self.known.has(hash) || self.keep(hash, &ContentRow::Text(text)) {
            self.refer(hash);
        }
    }

    fn messages(&mut self, list: &MessageList<'_>, _at: usize) -> usize {
        let all = list.len();
        let longest_kept = (1..=all).rev().find(|count| self.known.has(list.hash(*count)));
        let kept = match longest_kept {
            Some(kept) => kept,
            None => {
                let seen = (1..=all)
                    .rev()
                    .find(|count| self.seen.has(mark_of(list.hash(*count))));
                match seen {
                    Some(count) if self.keep(list.hash(count), &list.row(0, count)) => count,
                    _ => {
                        self.mark(list.hash(all));
                        return 0;
                    }
                }
            }
        };
        // A list that goes on will go on again: what it has more is kept where the next one finds it.
        if kept < all && !self.keep(list.hash(all), &list.row(kept, all)) {
            self.refer(list.hash(kept));
            return kept;
        }
        self.refer(list.hash(all));
        all
    }
}

impl BatchSink for Contents {
    fn take_mentions(&mut self) -> Mentions {
        let mut mentions = std::mem::take(&mut self.mentions[self.mentioner as usize]);
        mentions.hashes.sort_unstable();
        mentions.hashes.dedup();
        mentions
    }
}
