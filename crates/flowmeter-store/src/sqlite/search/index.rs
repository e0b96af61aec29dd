//! The word index: which blocks of a batch hold which words, and the same of many batches together.
//!
//! A batch that is sealed gets one row of its own. When many have one, they become a segment: their words cut into
//! buckets, so that a look-up reads one bucket for some ten thousand spans. Never holds a word, and never answers by
//! itself: what it finds is verified.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashSet;

use super::super::SqliteConfig;
use super::super::content_source::StoredContent;
use super::super::locking;
use super::super::read::batches::blob;
use super::buckets::{BUCKET_BITS, BucketReader, BucketWriter, SEGMENT_BATCHES, bucket_of};
use super::line_groups;
use super::postings::{BatchWords, encode_batch};
use super::words::{WORD_BITS, visit_numbers};
use crate::StoreError;
use crate::codec::Damaged;
use crate::codec::block::{Block, Sealer};
use crate::codec::content::{ContentHash, ContentSource};
use crate::codec::payload::{Deferred, DeferredPayloads, visit_wanted_texts};

/// So many batches with rows of their own become segments even while others wait to be written.
const LOOSE_BATCHES_MAX: usize = 2 * SEGMENT_BATCHES;
/// Places for what was seen last in a block: most words of a block come again.
const SEEN_PLACES: usize = 1 << 13;

/// New pairs that are gathered before they are moved together.
const FEW: usize = 64;

/// Texts of so many bytes are compared with those of the payload before.
const LONG_BYTES: usize = 128;
/// So many of the long texts of a payload are.
const LONG_TEXTS: usize = 4;
/// Bytes of each that are kept for that.
const BEGINNING_BYTES: usize = 4 << 10;

/// How the long texts of the payload before in a block began: prompts of a node begin alike, and chats send again what
/// was sent before. Their words are known for this block.
#[derive(Default)]
struct Beginnings {
    texts: [Vec<u8>; LONG_TEXTS],
    /// The next long text's place in its payload.
    next: usize,
}

impl Beginnings {
    /// What of a text has not been seen with the payload before.
    fn rest<'t>(&mut self, text: &'t [u8]) -> &'t [u8] {
        if text.len() < LONG_BYTES {
            return text;
        }
        let place = self.next;
        self.next += 1;
        let Some(before) = self.texts.get_mut(place) else {
            return text;
        };
        let alike = bytes_alike(text, before);
        before.truncate(alike);
        let beginning = text.get(..BEGINNING_BYTES).unwrap_or(text);
        before.extend_from_slice(beginning.get(alike..).unwrap_or_default());
        // Words do not reach over a space that is followed by ASCII, which has to be alike, too.
        let known = text.get(..alike.saturating_sub(1)).unwrap_or_default();
        let space = memchr::memrchr(b' ', known).filter(|at| text.get(at + 1).is_some_and(u8::is_ascii));
        space.and_then(|at| text.get(at..)).unwrap_or(text)
    }

    fn begin_block(&mut self) {
        self.texts.iter_mut().for_each(Vec::clear);
        self.next = 0;
    }
}

/// With how many bytes both begin.
fn bytes_alike(one: &[u8], other: &[u8]) -> usize {
    const AT_ONCE: usize = 32;
    let many = one.as_chunks::<AT_ONCE>().0.iter().zip(other.as_chunks().0);
    let alike = AT_ONCE * many.take_while(|(a, b)| a == b).count();
    let rest = one.iter().skip(alike).zip(other.iter().skip(alike));
    alike + rest.take_while(|(a, b)| a == b).count()
}

/// Gathers the words of a batch.
pub(in crate::sqlite) struct WordIndexer {
    /// Word and block: `word << 8 | block`, some of them several times.
    pairs: Vec<u32>,
    seen: Vec<u32>,
    block: usize,
    /// Content whose words this block has already.
    contents: FxHashSet<ContentHash>,
    beginnings: Beginnings,
    /// Memory to sort in.
    sorted: Vec<u32>,
}

impl Default for WordIndexer {
    fn default() -> Self {
        Self {
            pairs: Vec::new(),
            seen: vec![u32::MAX; SEEN_PLACES],
            block: 0,
            contents: FxHashSet::default(),
            beginnings: Beginnings::default(),
            sorted: Vec::new(),
        }
    }
}

impl WordIndexer {
    /// Adds the words of a payload in this block of the batch. An empty payload has none.
    ///
    /// # Errors
    /// When the payload, or what it refers to, is damaged.
    pub(in crate::sqlite) fn add(
        &mut self,
        block: usize,
        payload: &[u8],
        source: &mut dyn ContentSource,
    ) -> Result<(), Damaged> {
        if payload.is_empty() {
            return Ok(());
        }
        self.begin_payload(block);
        let (pairs, seen, contents) = (&mut self.pairs, &mut self.seen, &mut self.contents);
        let beginnings = &mut self.beginnings;
        visit_wanted_texts(
            payload,
            source,
            &mut |hash| contents.insert(hash),
            &mut |_, _, text| gather(beginnings.rest(text.as_bytes()), block, pairs, seen),
        )
    }

    /// The same of a payload that is not settled yet: its texts need not be looked for.
    pub(in crate::sqlite) fn add_deferred(
        &mut self,
        block: usize,
        payloads: &DeferredPayloads,
        payload: &Deferred,
    ) {
        self.begin_payload(block);
        let (pairs, seen, contents) = (&mut self.pairs, &mut self.seen, &mut self.contents);
        let beginnings = &mut self.beginnings;
        payloads.visit_searched(payload, &mut |hash, text| {
            if hash.is_none_or(|hash| contents.insert(hash)) {
                gather(beginnings.rest(text), block, pairs, seen);
            }
        });
    }

    fn begin_payload(&mut self, block: usize) {
        if block != self.block {
            self.block = block;
            self.contents.clear();
            self.beginnings.begin_block();
        }
        self.beginnings.next = 0;
    }

    /// Adds the words of a text in this block.
    pub(super) fn add_text(&mut self, block: usize, text: &str) {
        gather(text.as_bytes(), block, &mut self.pairs, &mut self.seen);
    }

    /// The words of the batch as bytes, and begins anew.
    pub(in crate::sqlite) fn finish(&mut self) -> Vec<u8> {
        sort_by_word(&mut self.pairs, &mut self.sorted);
        self.pairs.dedup();
        let bytes = encode_batch(&self.pairs);
        self.clear();
        bytes
    }

    /// Throws away what was gathered.
    pub(in crate::sqlite) fn clear(&mut self) {
        self.pairs.clear();
        self.seen.fill(u32::MAX);
        self.contents.clear();
        self.beginnings.begin_block();
        self.block = 0;
    }
}

fn gather(text: &[u8], block: usize, pairs: &mut Vec<u32>, seen: &mut [u32]) {
    let block = block as u32;
    let mut few = [0; FEW];
    let mut count = 0;
    visit_numbers(text, &mut |word| {
        let pair = word << 8 | block;
        // Whether it was seen is a coin's throw: it is written down anyway, and stays if it is new.
        few[count % FEW] = pair;
        if let Some(place) = seen.get_mut(word as usize % SEEN_PLACES) {
            count += usize::from(*place != pair);
            *place = pair;
        }
        if count == FEW {
            pairs.extend_from_slice(&few);
            count = 0;
        }
    });
    pairs.extend_from_slice(few.get(..count).unwrap_or_default());
}

/// Sorts pairs by word. Pairs of a word stay in the order of their blocks, in which they were gathered.
fn sort_by_word(pairs: &mut Vec<u32>, sorted: &mut Vec<u32>) {
    const DIGIT_BITS: u32 = WORD_BITS / 2;
    sorted.clear();
    sorted.resize(pairs.len(), 0);
    for shift in [8, 8 + DIGIT_BITS] {
        let digit = |pair: u32| (pair >> shift) as usize & ((1 << DIGIT_BITS) - 1);
        let mut begins = vec![0_u32; 1 << DIGIT_BITS];
        for pair in pairs.iter() {
            begins[digit(*pair)] += 1;
        }
        let mut sum = 0;
        for begin in &mut begins {
            sum += std::mem::replace(begin, sum);
        }
        for pair in pairs.iter() {
            let place = &mut begins[digit(*pair)];
            sorted[*place as usize] = *pair;
            *place += 1;
        }
        std::mem::swap(pairs, sorted);
    }
}

/// One piece of the index's work, in a transaction of its own: the words of one batch, or a segment. Whether it did
/// something: then there may be more.
pub(in crate::sqlite) fn step(
    connection: &mut Connection,
    config: &SqliteConfig,
) -> Result<bool, StoreError> {
    if !config.search_index {
        return Ok(false);
    }
    const NEXT: &str = "SELECT id FROM batch WHERE worded = 0 AND sealed = 1 ORDER BY id LIMIT 1";
    let next: Option<i64> = connection
        .prepare_cached(NEXT)?
        .query_row([], |row| row.get(0))
        .optional()?;
    if let Some(batch) = next {
        // Read and cut into words without the lock.
        let words = words_of(connection, batch)?;
        let transaction = locking::begin(connection, config)?;
        let is_same = transaction
            .prepare_cached("SELECT 1 FROM batch WHERE id = ?1 AND worded = 0")?
            .exists([batch])?;
        if is_same {
            write_batch(&transaction, batch, &words)?;
            transaction.commit()?;
        }
        return Ok(true);
    }
    if line_groups::step(connection, config)? {
        return Ok(true);
    }
    if loose(connection)? < SEGMENT_BATCHES {
        return Ok(false);
    }
    make_segment(connection, config)
}

/// The piece that must not wait for quiet times for ever: what is not in a segment is looked up batch by batch.
pub(in crate::sqlite) fn urgent_step(
    connection: &mut Connection,
    config: &SqliteConfig,
) -> Result<bool, StoreError> {
    Ok(config.search_index && loose(connection)? >= LOOSE_BATCHES_MAX && make_segment(connection, config)?)
}

/// Batches with rows of their own.
fn loose(connection: &Connection) -> Result<usize, StoreError> {
    let count: u32 = connection
        .prepare_cached("SELECT count(*) FROM word_batch WHERE segment = 0")?
        .query_row([], |row| row.get(0))?;
    Ok(count as usize)
}

fn make_segment(connection: &mut Connection, config: &SqliteConfig) -> Result<bool, StoreError> {
    let transaction = locking::begin(connection, config)?;
    let is_merged = merge(&transaction)?;
    transaction.commit()?;
    Ok(is_merged)
}

/// The words of a batch, from its payloads.
fn words_of(connection: &Connection, batch: i64) -> Result<Vec<u8>, StoreError> {
    let mut indexer = WordIndexer::default();
    let mut source = StoredContent::new(connection);
    let (mut sealer, mut block) = (Sealer::new(), Block::default());
    let mut statement = connection
        .prepare_cached("SELECT id, body FROM payload WHERE id >= ?1 * 64 AND id < ?1 * 64 + 64")?;
    let mut rows = statement.query([batch])?;
    while let Some(row) = rows.next()? {
        let place = usize::try_from(row.get::<_, i64>(0)? - batch * 64).unwrap_or(0);
        block.open_again(&mut sealer, blob(row, 1))?;
        for payload in block.payloads() {
            indexer.add(place, payload, &mut source)?;
        }
    }
    Ok(indexer.finish())
}

/// Writes the words of a batch. From then on the batch is looked up and no longer searched by force.
pub(in crate::sqlite) fn write_batch(
    connection: &Connection,
    batch: i64,
    words: &[u8],
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO word_batch (batch, segment, body) VALUES (?1, 0, ?2)")?
        .execute((batch, words))?;
    connection
        .prepare_cached("UPDATE batch SET worded = 1 WHERE id = ?1")?
        .execute([batch])?;
    Ok(())
}

/// Joins batches with rows of their own to a segment, when there are enough. Whether it did: then there may be more.
/// Needs a transaction that writes.
fn merge(connection: &Connection) -> Result<bool, StoreError> {
    let batches: Vec<(i64, Vec<u8>)> = connection
        .prepare_cached("SELECT batch, body FROM word_batch WHERE segment = 0 ORDER BY batch LIMIT ?1")?
        .query_map([SEGMENT_BATCHES as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    if batches.len() < SEGMENT_BATCHES {
        return Ok(false);
    }
    let numbers: Vec<i64> = batches.iter().map(|(batch, _)| *batch).collect();
    let start_max = numbers
        .iter()
        .try_fold(i64::MIN, |start_max, batch| -> Result<i64, StoreError> {
            let start = if line_groups::is_group(*batch) {
                line_groups::newest_of(connection, *batch)?
            } else {
                let mut statement = connection.prepare_cached("SELECT start_max FROM batch WHERE id = ?1")?;
                statement.query_row([batch], |row| row.get(0)).optional()?
            };
            Ok(start.map_or(start_max, |start| start_max.max(start)))
        })?;
    let segment = insert_segment(connection, &numbers, start_max)?;
    let mut words = batches
        .iter()
        .map(|(_, body)| BatchWords::open(body).map(Iterator::peekable))
        .collect::<Result<Vec<_>, _>>()?;
    write_buckets(connection, segment, |bucket, entries| {
        for (place, words) in words.iter_mut().enumerate() {
            let is_here = |entry: &Result<(u32, u64), Damaged>| {
                entry
                    .as_ref()
                    .map_or(true, |(word, _)| bucket_of(*word) == bucket)
            };
            while let Some(entry) = words.next_if(is_here) {
                let (word, blocks) = entry?;
                entries.push((word, place as u8, blocks));
            }
        }
        Ok(())
    })?;
    let mut update =
        connection.prepare_cached("UPDATE word_batch SET segment = ?2, body = x'' WHERE batch = ?1")?;
    for batch in numbers {
        update.execute((batch, segment))?;
    }
    Ok(true)
}

/// A word, the place of a batch in its segment, and the blocks of the batch.
type Entry = (u32, u8, u64);

/// Writes the buckets of a segment from what `gather` finds for each.
fn write_buckets(
    connection: &Connection,
    segment: i64,
    mut gather: impl FnMut(u32, &mut Vec<Entry>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached("INSERT INTO word_bucket (id, body) VALUES (?1, ?2)")?;
    let mut writer = BucketWriter::default();
    let (mut entries, mut places) = (Vec::new(), Vec::new());
    for bucket in 0..1 << BUCKET_BITS {
        entries.clear();
        gather(bucket, &mut entries)?;
        // Batch by batch they are in order already, and the sort makes use of that.
        entries.sort_by_key(|(word, place, _)| (*word, *place));
        for of_word in entries.chunk_by(|a, b| a.0 == b.0) {
            places.clear();
            places.extend(of_word.iter().map(|(_, place, blocks)| (*place, *blocks)));
            writer.push(of_word.first().map_or(0, |entry| entry.0), &places);
        }
        let body = writer.finish()?;
        if !body.is_empty() {
            insert.execute((bucket_id(segment, bucket), body))?;
        }
    }
    Ok(())
}

fn insert_segment(connection: &Connection, batches: &[i64], start_max: i64) -> Result<i64, StoreError> {
    connection
        .prepare_cached("INSERT INTO word_segment (batches, start_max) VALUES (?1, ?2)")?
        .execute((batch_bytes(batches), start_max))?;
    Ok(connection.last_insert_rowid())
}

fn delete_segment(connection: &Connection, segment: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM word_bucket WHERE id >= ?1 AND id < ?2")?
        .execute((bucket_id(segment, 0), bucket_id(segment + 1, 0)))?;
    connection
        .prepare_cached("DELETE FROM word_segment WHERE id = ?1")?
        .execute([segment])?;
    Ok(())
}

/// Removes what the index has of a batch. Needs a transaction that writes.
pub(in crate::sqlite) fn forget_batch(connection: &Connection, batch: i64) -> Result<(), StoreError> {
    let segment: Option<i64> = connection
        .prepare_cached("SELECT segment FROM word_batch WHERE batch = ?1")?
        .query_row([batch], |row| row.get(0))
        .optional()?;
    for sql in [
        "DELETE FROM word_batch WHERE batch = ?1",
        // One that stays with less in it is indexed again.
        "UPDATE batch SET worded = 0 WHERE id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([batch])?;
    }
    let Some(segment) = segment.filter(|segment| *segment != 0) else {
        return Ok(());
    };
    let mut batches = batches_of(connection, segment)?;
    let Some(place) = batches.iter().position(|there| *there == batch) else {
        return Ok(());
    };
    batches[place] = 0;
    if batches.iter().all(|there| *there == 0) {
        return delete_segment(connection, segment);
    }
    connection
        .prepare_cached("UPDATE word_segment SET batches = ?2 WHERE id = ?1")?
        .execute((segment, batch_bytes(&batches)))?;
    for bucket in 0..1 << BUCKET_BITS {
        drop_from_bucket(connection, bucket_id(segment, bucket), place)?;
    }
    Ok(())
}

fn drop_from_bucket(connection: &Connection, id: i64, batch: usize) -> Result<(), StoreError> {
    let Some(body) = bucket_body(connection, id)? else {
        return Ok(());
    };
    let (mut reader, mut writer) = (BucketReader::default(), BucketWriter::default());
    let mut is_changed = false;
    let mut left: Vec<(u8, u64)> = Vec::new();
    reader.open(&body)?.visit(&mut |word, places| {
        left.clear();
        left.extend(places.iter().filter(|(place, _)| usize::from(*place) != batch));
        is_changed |= left.len() != places.len();
        writer.push(word, &left);
        ControlFlow::Continue(())
    })?;
    if is_changed {
        connection
            .prepare_cached("UPDATE word_bucket SET body = ?2 WHERE id = ?1")?
            .execute((id, writer.finish()?))?;
    }
    Ok(())
}

pub(super) fn bucket_id(segment: i64, bucket: u32) -> i64 {
    (segment << BUCKET_BITS) + i64::from(bucket)
}

pub(super) fn bucket_body(connection: &Connection, id: i64) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT body FROM word_bucket WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

fn batch_bytes(batches: &[i64]) -> Vec<u8> {
    batches.iter().flat_map(|batch| batch.to_le_bytes()).collect()
}

/// The batches of a segment by their places; 0 for one that is gone.
pub(super) fn batches_of(connection: &Connection, segment: i64) -> Result<Vec<i64>, StoreError> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT batches FROM word_segment WHERE id = ?1")?
        .query_row([segment], |row| row.get(0))
        .optional()?;
    let bytes = bytes.unwrap_or_default();
    let (batches, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() || batches.len() > SEGMENT_BATCHES {
        return Err(Damaged("the list of a segment's batches is damaged").into());
    }
    Ok(batches.iter().map(|batch| i64::from_le_bytes(*batch)).collect())
}

#[cfg(test)]
mod tests;
