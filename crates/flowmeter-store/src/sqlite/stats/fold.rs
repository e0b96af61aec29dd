//! Folding: what batches came to goes into the sums, once, and comes out again when it is forgotten.
//!
//! Everything happens in a transaction of the caller: the sums and the mark of the batch change together, or not at all.

use rusqlite::Connection;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::super::names::NO_NAME;
use super::super::{SqliteConfig, locking};
use super::columns::BatchReader;
use super::entry::{Entry, Making};
use super::place::{self, Level};
use super::section::{Key, Makings, Section, WORKFLOW, finish};
use crate::rules::sums::{Figures, Parts, SLOT_NS};
use crate::{SpanRow, StoreError};

/// Batches that are folded in one transaction at most: more would hold up those who write.
pub(in crate::sqlite) const BATCHES_MAX: usize = 64;

/// What happens to the sums of half-hours.
#[derive(Default)]
struct Changes {
    /// By half-hour.
    slots: FxHashMap<u64, Makings>,
}

impl Changes {
    /// Adds the spans of a batch, those of some runs, each run under the workflow that `workflow` names.
    fn take(
        &mut self,
        reader: &mut BatchReader<'_>,
        batch: i64,
        mut workflow: impl FnMut(i64, i64) -> Option<i64>,
    ) -> Result<(), StoreError> {
        reader.visit(batch, |runs, counting| {
            let Some(name) = runs
                .get(counting.run)
                .and_then(|run| workflow(run.id, counting.key[WORKFLOW]))
            else {
                return Ok(());
            };
            let mut key = counting.key;
            key[WORKFLOW] = name;
            let slot = self.slots.entry(counting.start.0 / SLOT_NS).or_default();
            slot.entry(key)
                .or_default()
                .add(counting.parts, &counting.figures);
            Ok(())
        })
    }

    /// Changes the sums that are kept.
    fn apply(self, connection: &Connection, takes_away: bool) -> Result<(), StoreError> {
        if self.slots.is_empty() {
            return Ok(());
        }
        let newest_before = place::newest(connection)?;
        let mut touched: Vec<u64> = Vec::with_capacity(self.slots.len());
        for (slot, makings) in self.slots {
            touched.push(slot);
            let mut kept = place::read(connection, Level::Slot, Section::Full, slot)?;
            for (key, change) in finish(makings) {
                if takes_away {
                    take_away(&mut kept, key, &change);
                } else {
                    add(&mut kept, key, change);
                }
            }
            place::write(connection, Level::Slot, slot, &kept)?;
        }
        renew(connection, touched, newest_before)
    }
}

fn add(kept: &mut FxHashMap<Key, Entry>, key: Key, change: Entry) {
    match kept.get_mut(&key) {
        Some(entry) => {
            let mut making = Making::default();
            making.merge(super::section::ALL_PARTS, entry);
            making.merge(super::section::ALL_PARTS, &change);
            *entry = making.finish();
        }
        None => {
            kept.insert(key, change);
        }
    }
}

fn take_away(kept: &mut FxHashMap<Key, Entry>, key: Key, change: &Entry) {
    if let Some(entry) = kept.get_mut(&key) {
        entry.subtract(change);
        if entry.is_empty() {
            kept.remove(&key);
        }
    }
}

/// Makes the days and months around these half-hours anew. Those that are not over have none: they would be made anew
/// again and again, and are read from what they consist of.
fn renew(connection: &Connection, touched: Vec<u64>, newest_before: Option<u64>) -> Result<(), StoreError> {
    let newest = place::newest(connection)?.unwrap_or(0);
    for level in [Level::Day, Level::Month] {
        // What was the newest period before may be over now.
        let mut numbers: Vec<u64> = touched
            .iter()
            .copied()
            .chain(newest_before)
            .map(|slot| level.around(slot))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            let slots = level.slots(number);
            place::remove(connection, level, number)?;
            if slots.1 > newest {
                continue;
            }
            let mut makings = Makings::default();
            let finer = level.finer().unwrap_or(Level::Slot);
            place::visit(
                connection,
                finer,
                Section::Full,
                slots,
                &[],
                &mut |_, key, bytes| {
                    let making = makings.entry(*key).or_default();
                    making.merge_bytes(super::section::ALL_PARTS, bytes)
                },
            )?;
            place::write(connection, level, number, &finish(makings))?;
        }
    }
    Ok(())
}

/// Whether so many batches wait for being folded that it should not wait for idle times.
///
/// # Errors
/// When the file cannot be read.
pub(in crate::sqlite) fn has_much_to_fold(connection: &Connection) -> Result<bool, StoreError> {
    let waiting: i64 = connection
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM batch WHERE folded = 0 LIMIT ?1)")?
        .query_row([BATCHES_MAX as i64], |row| row.get(0))?;
    Ok(waiting >= BATCHES_MAX as i64)
}

/// Folds batches that are not folded, [`BATCHES_MAX`] of them at most, in a transaction of its own; whether there were
/// any.
///
/// # Errors
/// When the file cannot be read or written.
pub(in crate::sqlite) fn fold_some(
    connection: &mut Connection,
    config: &SqliteConfig,
) -> Result<bool, StoreError> {
    // Looked at without the lock first: mostly there is nothing to do.
    if waiting(connection)?.is_empty() {
        return Ok(false);
    }
    let transaction = locking::begin(connection, config)?;
    let batches = waiting(&transaction)?;
    fold(&transaction, &batches)?;
    transaction.commit()?;
    Ok(!batches.is_empty())
}

fn waiting(connection: &Connection) -> Result<Vec<i64>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM batch WHERE folded = 0 ORDER BY id LIMIT ?1")?;
    let batches = statement.query_map([BATCHES_MAX as i64], |row| row.get(0))?;
    Ok(batches.collect::<Result<_, _>>()?)
}

/// Folds a batch if it is not folded, in the caller's transaction: its spans are about to have had their time.
///
/// # Errors
/// When the file cannot be read or written: then the transaction must not be committed.
pub(in crate::sqlite) fn fold_batch(connection: &Connection, batch: i64) -> Result<(), StoreError> {
    if is_folded(connection, batch)? {
        return Ok(());
    }
    fold(connection, &[batch])
}

fn fold(connection: &Connection, batches: &[i64]) -> Result<(), StoreError> {
    let mut changes = Changes::default();
    {
        let mut reader = BatchReader::new(connection)?;
        let mut statement = connection.prepare_cached("UPDATE batch SET folded = 1 WHERE id = ?1")?;
        for batch in batches {
            changes.take(&mut reader, *batch, |_, workflow| Some(workflow))?;
            statement.execute([batch])?;
        }
    }
    changes.apply(connection, false)
}

/// Takes out what forgotten spans came to that were folded.
///
/// # Errors
/// When the file cannot be read or written: then the transaction must not be committed.
pub(in crate::sqlite) fn take_out(connection: &Connection, rows: &[SpanRow]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
    let mut known: FxHashMap<SmolStr, i64> = FxHashMap::default();
    known.insert(SmolStr::default(), NO_NAME);
    let mut number = |name: &SmolStr| -> Result<i64, StoreError> {
        if let Some(number) = known.get(name) {
            return Ok(*number);
        }
        let number = statement.query_row([name.as_str()], |row| row.get(0))?;
        known.insert(name.clone(), number);
        Ok(number)
    };
    let mut changes = Changes::default();
    for row in rows {
        let parts = Parts::of(row.kind, row.span_id == row.run.root_span_id);
        if parts.any() {
            let key = [
                number(&row.workflow)?,
                number(&row.node)?,
                number(&row.model)?,
                number(&row.provider)?,
                row.status as i64,
            ];
            let slot = changes.slots.entry(row.start.0 / SLOT_NS).or_default();
            slot.entry(key).or_default().add(parts, &Figures::of(row));
        }
    }
    changes.apply(connection, true)
}

/// A run turned out to be of another workflow: what it came to in folded batches goes to that one's sums.
///
/// Batches are named while they still have the old name; then, in the same transaction, comes [`Renaming::apply`].
#[derive(Default)]
pub(in crate::sqlite) struct Renaming {
    out: Changes,
    back: Changes,
}

impl Renaming {
    /// Notes what the run came to in a batch, if that is folded.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(in crate::sqlite) fn note(
        &mut self,
        connection: &Connection,
        batch: i64,
        run: i64,
        workflow: i64,
    ) -> Result<(), StoreError> {
        if is_folded(connection, batch)? {
            let mut reader = BatchReader::new(connection)?;
            self.out
                .take(&mut reader, batch, |id, old| (id == run).then_some(old))?;
            self.back
                .take(&mut reader, batch, |id, _| (id == run).then_some(workflow))?;
        }
        Ok(())
    }

    /// Corrects the sums.
    ///
    /// # Errors
    /// When the file cannot be read or written: then the transaction must not be committed.
    pub(in crate::sqlite) fn apply(self, connection: &Connection) -> Result<(), StoreError> {
        self.out.apply(connection, true)?;
        self.back.apply(connection, false)
    }
}

fn is_folded(connection: &Connection, batch: i64) -> Result<bool, StoreError> {
    let folded: i64 = connection
        .prepare_cached("SELECT folded FROM batch WHERE id = ?1")?
        .query_row([batch], |row| row.get(0))?;
    Ok(folded != 0)
}
