//! Taking runs out of batches and blocks, and what nobody refers to any more out of the file.
//!
//! Never leaves a part of a run that it says it removed. What is deleted is overwritten (`secure_delete`).

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::{FxHashMap, FxHashSet};

use super::content_source::StoredContent;
use super::failure::damaged;
use super::names::{NO_NAME, NameTexts};
use super::read::batches::blob;
use super::rewrite::{hashes_of, rewrite};
use super::run_row::{SELECT, StoredRun};
use super::writer::commit::Placed;
use super::writer::pack::{BatchSink, LogPacker, Mentions};
use super::writer::rows::write_logs;
use crate::codec::block::Sealer;
use crate::codec::columns::{Column, DictionaryColumn};
use crate::codec::content::{ContentHash, ContentSink, MessageList};
use crate::codec::log_block::LogBlock;
use crate::{RunKey, SpanRow, StoreError};

/// What was removed.
#[derive(Default)]
pub(super) struct Removed {
    pub(super) runs: u64,
    pub(super) spans: Vec<SpanRow>,
    pub(super) logs: u64,
    /// What may be referred to by nobody now.
    pub(super) hashes: FxHashSet<ContentHash>,
    /// Names that may be used by nobody now.
    pub(super) names: FxHashSet<i64>,
}

/// The batches that hold spans of these runs.
pub(super) fn batches_of(connection: &Connection, runs: &FxHashSet<i64>) -> Result<Vec<i64>, StoreError> {
    numbers_of(connection, "SELECT batch FROM batch_run WHERE run = ?1", runs)
}

/// The blocks that hold log lines of these runs.
pub(super) fn log_blocks_of(connection: &Connection, runs: &FxHashSet<i64>) -> Result<Vec<i64>, StoreError> {
    numbers_of(connection, "SELECT block FROM log_run WHERE run = ?1", runs)
}

fn numbers_of(connection: &Connection, sql: &str, runs: &FxHashSet<i64>) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = Vec::new();
    for run in runs {
        for number in statement.query_map([*run], |row| row.get(0))? {
            found.push(number?);
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Whether a batch is counted in sums.
pub(super) fn is_folded(connection: &Connection, batch: i64) -> Result<bool, StoreError> {
    let folded = connection
        .prepare_cached("SELECT folded FROM batch WHERE id = ?1")?
        .query_row([batch], |row| row.get(0))
        .optional()?;
    folded.ok_or_else(|| damaged(format!("batch {batch} is missing")))
}

/// Whether there is such a batch.
pub(super) fn is_there(connection: &Connection, batch: i64) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM batch WHERE id = ?1")?;
    Ok(statement.exists([batch])?)
}

/// Takes the spans of some runs out of a batch.
pub(super) fn remove_from_batch(
    connection: &Connection,
    texts: &NameTexts,
    batch: i64,
    runs: &FxHashSet<i64>,
    removed: &mut Removed,
) -> Result<bool, StoreError> {
    let is_folded = is_folded(connection, batch)?;
    let rewritten = rewrite(connection, texts, &[batch], is_folded, &|run| {
        !runs.contains(&run)
    })?;
    let mut counts: FxHashMap<RunKey, i64> = FxHashMap::default();
    for row in &rewritten.removed {
        *counts.entry(row.run).or_default() += 1;
    }
    // Were this the last that is done, all counts would still agree.
    for (key, count) in counts {
        let run = super::run_keys::find(connection, &key)?;
        connection
            .prepare_cached("UPDATE run SET spans = spans - ?2 WHERE id = ?1")?
            .execute((run, count))?;
    }
    removed.spans.extend(rewritten.removed);
    removed.names.extend(rewritten.names);
    removed.hashes.extend(rewritten.hashes);
    Ok(is_folded)
}

/// Keeps apart what was kept apart before, and nothing else.
struct Unchanged {
    known: FxHashSet<ContentHash>,
    mentions: Mentions,
}

impl ContentSink for Unchanged {
    fn text(&mut self, hash: ContentHash, _text: &[u8], _at: usize) -> bool {
        let is_known = self.known.contains(&hash);
        if is_known {
            self.mentions.hashes.push(hash);
        }
        is_known
    }

    fn huge_text(&mut self, hash: ContentHash, _text: &[u8]) {
        self.mentions.hashes.push(hash);
    }

    fn messages(&mut self, list: &MessageList<'_>, _at: usize) -> usize {
        let kept = (1..=list.len())
            .rev()
            .find(|count| self.known.contains(&list.hash(*count)));
        if let Some(count) = kept {
            self.mentions.hashes.push(list.hash(count));
        }
        kept.unwrap_or(0)
    }
}

impl BatchSink for Unchanged {
    fn take_mentions(&mut self) -> Mentions {
        let mut mentions = std::mem::take(&mut self.mentions);
        mentions.hashes.sort_unstable();
        mentions.hashes.dedup();
        mentions
    }
}

/// Takes the lines of some runs out of a block.
pub(super) fn remove_from_log_block(
    connection: &Connection,
    block: i64,
    runs: &FxHashSet<i64>,
    removed: &mut Removed,
) -> Result<(), StoreError> {
    let slices: Vec<(i64, usize, usize)> = connection
        .prepare_cached("SELECT run, first, count FROM log_run WHERE block = ?1 ORDER BY first")?
        .query_map([block], |row| {
            Ok((
                row.get(0)?,
                row.get::<_, u32>(1)? as usize,
                row.get::<_, u32>(2)? as usize,
            ))
        })?
        .collect::<Result<_, _>>()?;
    let (opened, hashes) = connection
        .prepare_cached("SELECT body, hashes FROM log_block WHERE id = ?1")?
        .query_row([block], |row| {
            let hashes: FxHashSet<ContentHash> = hashes_of(blob(row, 1)).collect();
            Ok((LogBlock::open(&mut Sealer::new(), blob(row, 0)), hashes))
        })
        .optional()?
        .ok_or_else(|| damaged(format!("block {block} of log lines is missing")))?;
    let opened = opened?;
    let mut source = StoredContent::new(connection);
    let mut packer = LogPacker::default();
    let mut sink = Unchanged {
        known: hashes.clone(),
        mentions: Mentions::default(),
    };
    let mut placed: FxHashMap<RunKey, Placed> = FxHashMap::default();
    for (run, first, count) in slices {
        if runs.contains(&run) {
            removed.logs += count as u64;
            connection
                .prepare_cached("UPDATE run SET logs = logs - ?2 WHERE id = ?1")?
                .execute((run, count as i64))?;
            continue;
        }
        let key = key_of(connection, run)?;
        let workflow = NO_NAME;
        placed.insert(key, Placed { id: run, workflow });
        for place in first..first + count {
            let record = opened
                .record(place, &mut source)?
                .ok_or_else(|| damaged(format!("line {place} of block {block}")))?;
            packer.push(key, &record, &mut sink)?;
        }
    }
    removed.hashes.extend(hashes);
    for sql in [
        "DELETE FROM log_run WHERE block = ?1",
        "DELETE FROM log_block WHERE id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([block])?;
    }
    if let Some(packed) = packer.finish(&mut sink)? {
        write_logs(connection, &packed, &placed)?;
    }
    Ok(())
}

fn key_of(connection: &Connection, run: i64) -> Result<RunKey, StoreError> {
    Ok(run_of(connection, run)?
        .ok_or_else(|| damaged(format!("run {run} is missing")))?
        .row
        .key)
}

/// The run with this number.
pub(super) fn run_of(connection: &Connection, run: i64) -> Result<Option<StoredRun>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT}run WHERE id = ?1"))?;
    let mut rows = statement.query([run])?;
    rows.next()?.map(StoredRun::read).transpose()
}

/// Removes the row of a run, whose spans and lines are gone, and what belongs to the row.
pub(super) fn remove_row(connection: &Connection, run: i64, removed: &mut Removed) -> Result<(), StoreError> {
    let Some(stored) = run_of(connection, run)? else {
        return Ok(());
    };
    for sql in [
        "SELECT hashes FROM run_detail WHERE run = ?1",
        "SELECT hashes FROM run_open WHERE run = ?1",
    ] {
        let hashes: Option<Vec<u8>> = connection
            .prepare_cached(sql)?
            .query_row([run], |row| row.get(0))
            .optional()?;
        removed.hashes.extend(hashes_of(&hashes.unwrap_or_default()));
    }
    if let Some(name) = connection
        .prepare_cached("SELECT id FROM name WHERE text = ?1")?
        .query_row([stored.row.workflow.as_str()], |row| row.get(0))
        .optional()?
    {
        removed.names.insert(name);
    }
    let started = super::run_row::time_to_column(stored.row.started);
    for (key, value) in &stored.row.origin.tags {
        connection
            .prepare_cached(
                "DELETE FROM run_tag WHERE key = ?1 AND value = ?2 AND run_started = ?3 AND run = ?4",
            )?
            .execute((key, value, started, run))?;
    }
    let listed = super::run_lists::entries_of(connection, run)?;
    super::run_lists::replace(connection, &listed, &[])?;
    for sql in [
        "DELETE FROM run_detail WHERE run = ?1",
        "DELETE FROM run_open WHERE run = ?1",
        "DELETE FROM run WHERE id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([run])?;
    }
    super::run_keys::remove(connection, &stored.row.key, run)?;
    removed.runs += 1;
    Ok(())
}

/// Tells other processes that what they remember may be gone.
pub(super) fn next_epoch(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('epoch', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1",
        [],
    )?;
    Ok(())
}

/// Removes what nobody refers to any more.
pub(super) fn sweep_content(
    connection: &Connection,
    doubted: &FxHashSet<ContentHash>,
) -> Result<(), StoreError> {
    if doubted.is_empty() {
        return Ok(());
    }
    // What a row that may go refers to may go, too.
    let mut dead = FxHashSet::default();
    let mut waiting: Vec<ContentHash> = doubted.iter().copied().collect();
    while let Some(hash) = waiting.pop() {
        if dead.insert(hash) {
            waiting.extend(needs_of(connection, hash)?);
        }
    }
    let mut alive: Vec<ContentHash> = Vec::new();
    for table in ["batch_content", "log_block", "run_detail", "run_open"] {
        let mut statement =
            connection.prepare(&format!("SELECT hashes FROM {table} WHERE length(hashes) > 0"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            alive.extend(hashes_of(blob(row, 0)).filter(|hash| dead.contains(hash)));
        }
    }
    let mut statement = connection.prepare_cached("SELECT hash FROM content_need WHERE needs = ?1")?;
    for hash in &dead {
        let mut rows = statement.query([hash.to_bytes().as_slice()])?;
        while let Some(row) = rows.next()? {
            if hashes_of(blob(row, 0)).any(|parent| !dead.contains(&parent)) {
                alive.push(*hash);
            }
        }
    }
    while let Some(hash) = alive.pop() {
        if dead.remove(&hash) {
            alive.extend(needs_of(connection, hash)?);
        }
    }
    for hash in dead {
        let bytes = hash.to_bytes();
        connection
            .prepare_cached("DELETE FROM content WHERE hash = ?1")?
            .execute([bytes.as_slice()])?;
        for need in needs_of(connection, hash)? {
            connection
                .prepare_cached("DELETE FROM content_need WHERE needs = ?1 AND hash = ?2")?
                .execute([need.to_bytes().as_slice(), bytes.as_slice()])?;
        }
        connection
            .prepare_cached("DELETE FROM content_part WHERE hash = ?1")?
            .execute([bytes.as_slice()])?;
    }
    Ok(())
}

/// What a row of content refers to itself.
fn needs_of(connection: &Connection, hash: ContentHash) -> Result<Vec<ContentHash>, StoreError> {
    let needs: Option<Vec<u8>> = connection
        .prepare_cached("SELECT needs FROM content_part WHERE hash = ?1")?
        .query_row([hash.to_bytes().as_slice()], |row| row.get(0))
        .optional()?;
    Ok(hashes_of(&needs.unwrap_or_default()).collect())
}

/// Removes names that no batch and no run uses any more: they may hold what somebody wants forgotten.
pub(super) fn sweep_names(connection: &Connection, doubted: &FxHashSet<i64>) -> Result<(), StoreError> {
    let mut unused = doubted.clone();
    unused.remove(&NO_NAME);
    super::hooks::names_in_use(connection, &mut unused)?;
    if unused.is_empty() {
        return Ok(());
    }
    let columns = [
        Column::Operation,
        Column::Node,
        Column::Model,
        Column::Provider,
        Column::ErrorType,
    ];
    let mut statement = connection.prepare(&super::read::batches::select_of_all(&columns))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let runs = super::batch_runs::decode_runs(blob(row, 0))?;
        let count = runs.iter().map(|run| run.count).sum();
        for run in runs {
            unused.remove(&run.workflow);
        }
        for column in 0..columns.len() {
            for name in DictionaryColumn::names_of(blob(row, 1 + column), count)? {
                unused.remove(&name);
            }
        }
        if unused.is_empty() {
            return Ok(());
        }
    }
    for name in unused {
        connection
            .prepare_cached("DELETE FROM name WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM run WHERE workflow = name.text)")?
            .execute([name])?;
    }
    Ok(())
}
