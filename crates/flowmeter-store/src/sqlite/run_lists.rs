//! The lists of runs that questions go along: by workflow, by set of models, by classes of amounts.
//!
//! An index of its own for each would be written to at as many pages as there are workflows, or classes, with every
//! transaction. Here the newest some hundred runs are in no list, and go over many at a time: who asks looks at their rows.
//! What went over stands in one row for each place and 512 runs. Never decides which list a question goes along.

mod entries;

use std::ops::Range;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row};

pub(super) use self::entries::{Listed, decode, newest_of};
use super::SqliteConfig;
use super::failure::damaged;
use super::locking;
use super::run_row::count_of_column;
use crate::StoreError;

/// So many bits of a run's number tell it from the others of its segment.
const SEGMENT_BITS: u32 = 9;
/// So many of the newest go over when nothing else is to be done.
const NEW_MANY: i64 = 16;
/// Runs that go over in one transaction at most.
const RUNS_AT_ONCE: i64 = 8_192;

/// Holds for the rows of `run` that stand in no list yet.
pub(super) const IS_NEW: &str = "run.id >= (SELECT value FROM meta WHERE key = 'runs_listed')";

/// By what runs are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunList {
    Workflow = 1,
    Models = 2,
    Duration = 3,
    Cost = 4,
    Tokens = 5,
}

impl RunList {
    const ALL: [Self; 5] = [
        Self::Workflow,
        Self::Models,
        Self::Duration,
        Self::Cost,
        Self::Tokens,
    ];

    /// Its number in the table.
    pub(super) fn number(self) -> i64 {
        self as i64
    }

    /// The column of `run` with what is a place of the list.
    pub(super) fn place_column(self) -> &'static str {
        match self {
            Self::Workflow => "run.workflow",
            Self::Models => "run.model_set",
            Self::Duration => "run.duration_class",
            Self::Cost => "run.cost_class",
            Self::Tokens => "run.tokens_class",
        }
    }

    /// The column of `run` with the amount; a number where there is none.
    pub(super) fn amount_column(self) -> &'static str {
        match self {
            Self::Workflow | Self::Models => "0",
            Self::Duration => "run.duration",
            Self::Cost => "run.cost",
            Self::Tokens => "run.tokens",
        }
    }
}

/// Where a run stands in a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    list: RunList,
    place: Value,
    listed: Listed,
}

/// The columns that [`entries_of_row`] takes.
fn columns() -> String {
    let of_lists = RunList::ALL.map(|list| format!("{}, {}", list.place_column(), list.amount_column()));
    format!("run.id, run.started, {}", of_lists.join(", "))
}

fn entries_of_row(row: &Row<'_>) -> Result<Vec<Entry>, StoreError> {
    let (run, started) = (row.get(0)?, row.get(1)?);
    let mut entries = Vec::with_capacity(RunList::ALL.len());
    for (number, list) in RunList::ALL.into_iter().enumerate() {
        let place: Value = row.get(2 + 2 * number)?;
        if place != Value::Null {
            let amount = row.get(3 + 2 * number)?;
            let listed = Listed { started, run, amount };
            entries.push(Entry { list, place, listed });
        }
    }
    Ok(entries)
}

/// Where a run stands, by its row; nowhere while it is one of the newest.
pub(super) fn entries_of(connection: &Connection, run: i64) -> Result<Vec<Entry>, StoreError> {
    let sql = format!("SELECT {} FROM run WHERE id = ?1 AND NOT {IS_NEW}", columns());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([run])?;
    rows.next()?.map_or_else(|| Ok(Vec::new()), entries_of_row)
}

/// The row of a run has changed, or is gone: it stood in lists at some places, and is to stand at others.
pub(super) fn replace(connection: &Connection, before: &[Entry], after: &[Entry]) -> Result<(), StoreError> {
    for entry in before.iter().filter(|entry| !after.contains(entry)) {
        let run = entry.listed.run;
        change(connection, entry, |listed| {
            listed.retain(|other| other.run != run);
        })?;
    }
    for entry in after.iter().filter(|entry| !before.contains(entry)) {
        change(connection, entry, |listed| listed.push(entry.listed))?;
        let mut later = connection.prepare_cached(
            "UPDATE run_list SET newest_before = ?4 \
             WHERE list = ?1 AND place = ?2 AND segment > ?3 AND newest_before < ?4",
        )?;
        let segment = entry.listed.run >> SEGMENT_BITS;
        later.execute((entry.list.number(), &entry.place, segment, entry.listed.started))?;
    }
    Ok(())
}

/// Changes what stands at the place of an entry.
fn change(
    connection: &Connection,
    entry: &Entry,
    change: impl FnOnce(&mut Vec<Listed>),
) -> Result<(), StoreError> {
    let segment = entry.listed.run >> SEGMENT_BITS;
    let key = (entry.list.number(), &entry.place, segment);
    let found: Option<Vec<u8>> = connection
        .prepare_cached("SELECT runs FROM run_list WHERE list = ?1 AND place = ?2 AND segment = ?3")?
        .query_row(key, |row| row.get(0))
        .optional()?;
    let mut listed = decode(found.as_deref().unwrap_or_default(), segment << SEGMENT_BITS)?;
    change(&mut listed);
    if listed.is_empty() {
        connection
            .prepare_cached("DELETE FROM run_list WHERE list = ?1 AND place = ?2 AND segment = ?3")?
            .execute(key)?;
    } else if found.is_some() {
        connection
            .prepare_cached("UPDATE run_list SET runs = ?4 WHERE list = ?1 AND place = ?2 AND segment = ?3")?
            .execute((
                key.0,
                key.1,
                key.2,
                entries::encode(&mut listed, segment << SEGMENT_BITS),
            ))?;
    } else {
        insert(connection, entry.list, &entry.place, segment, &mut listed)?;
    }
    Ok(())
}

/// Writes the first row for a place and a segment.
fn insert(
    connection: &Connection,
    list: RunList,
    place: &Value,
    segment: i64,
    listed: &mut [Listed],
) -> Result<(), StoreError> {
    let first = segment << SEGMENT_BITS;
    let before = connection
        .prepare_cached(
            "SELECT newest_before, runs, segment FROM run_list WHERE list = ?1 AND place = ?2 AND segment < ?3 \
             ORDER BY segment DESC LIMIT 1",
        )?
        .query_row((list.number(), place, segment), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?))
        })
        .optional()?;
    let newest_before = match before {
        Some((before, runs, segment)) => {
            let newest = newest_of(&runs, segment << SEGMENT_BITS)?;
            newest.map_or(before, |newest| before.max(newest.started))
        }
        None => i64::MIN,
    };
    connection
        .prepare_cached(
            "INSERT INTO run_list (list, place, segment, newest_before, runs) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            list.number(),
            place,
            segment,
            newest_before,
            entries::encode(listed, first),
        ))?;
    Ok(())
}

/// How many segments are listed, or begun to be.
pub(super) fn segments(connection: &Connection) -> Result<i64, StoreError> {
    let listed: i64 = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'runs_listed'")?
        .query_row([], |row| row.get(0))?;
    Ok((listed + (1 << SEGMENT_BITS) - 1) >> SEGMENT_BITS)
}

/// The number of the first run of a segment.
pub(super) fn first_of(segment: i64) -> i64 {
    segment << SEGMENT_BITS
}

/// How many go over at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// As soon as there are some, all of them: there is time.
    Idle,
    /// Segment by segment, which is least to write.
    Urgent,
}

/// Has the newest go over when they are many, in a transaction of its own; whether they did.
pub(super) fn step(
    connection: &mut Connection,
    config: &SqliteConfig,
    pace: Pace,
) -> Result<bool, StoreError> {
    if waiting(connection, pace)?.is_empty() {
        return Ok(false);
    }
    let transaction = locking::begin(connection, config)?;
    let waiting = waiting(&transaction, pace)?;
    if waiting.is_empty() {
        return Ok(false);
    }
    let mut from = waiting.start;
    while from < waiting.end {
        let to = first_of((from >> SEGMENT_BITS) + 1).min(waiting.end);
        list(&transaction, from..to)?;
        from = to;
    }
    transaction
        .prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'runs_listed'")?
        .execute([waiting.end])?;
    transaction.commit()?;
    Ok(true)
}

/// The numbers of runs that are to be listed next.
fn waiting(connection: &Connection, pace: Pace) -> Result<Range<i64>, StoreError> {
    let (listed, last): (i64, Option<i64>) = connection
        .prepare_cached("SELECT value, (SELECT max(id) FROM run) FROM meta WHERE key = 'runs_listed'")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let end = last.map_or(listed, |last| last + 1);
    let end = match pace {
        Pace::Urgent => first_of(end >> SEGMENT_BITS),
        Pace::Idle if end - listed < NEW_MANY => listed,
        Pace::Idle => end,
    };
    Ok(listed..end.min(listed + RUNS_AT_ONCE))
}

/// Lists runs of one segment.
fn list(connection: &Connection, runs: Range<i64>) -> Result<(), StoreError> {
    let sql = format!("SELECT {} FROM run WHERE id >= ?1 AND id < ?2", columns());
    let mut entries = Vec::with_capacity(RunList::ALL.len() << SEGMENT_BITS);
    {
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([runs.start, runs.end])?;
        while let Some(row) = rows.next()? {
            entries.extend(entries_of_row(row)?);
        }
    }
    entries.sort_by(|a, b| (a.list.number(), sort_key(&a.place)).cmp(&(b.list.number(), sort_key(&b.place))));
    let segment = runs.start >> SEGMENT_BITS;
    let is_begun = runs.start != first_of(segment);
    for of_place in entries.chunk_by(|a, b| a.list == b.list && a.place == b.place) {
        let Some(first) = of_place.first() else { continue };
        let listed = of_place.iter().map(|entry| entry.listed);
        if is_begun {
            change(connection, first, |there| there.extend(listed))?;
        } else {
            insert(
                connection,
                first.list,
                &first.place,
                segment,
                &mut listed.collect::<Vec<_>>(),
            )?;
        }
    }
    Ok(())
}

/// Places in the order in which SQLite has them.
fn sort_key(place: &Value) -> (i64, &[u8]) {
    match place {
        Value::Integer(number) => (*number, &[]),
        Value::Text(text) => (i64::MAX, text.as_bytes()),
        _ => (i64::MAX, &[]),
    }
}

/// How many runs and entries of lists have no counterpart.
///
/// # Errors
/// When they cannot be read.
pub(super) fn unmatched(connection: &Connection) -> Result<u64, StoreError> {
    let mut unmatched = 0;
    for list in RunList::ALL {
        let (number, place, amount) = (list.number(), list.place_column(), list.amount_column());
        let runs: u64 = connection.query_row(
            &format!("SELECT count(*) FROM run WHERE NOT {IS_NEW} AND {place} IS NOT NULL"),
            [],
            |row| row.get(0).map(count_of_column),
        )?;
        let mut is_listed = connection.prepare(&format!(
            "SELECT 1 FROM run WHERE id = ?1 AND started = ?2 AND {amount} = ?3 AND {place} = ?4"
        ))?;
        let mut statement =
            connection.prepare("SELECT place, segment, runs FROM run_list WHERE list = ?1")?;
        let mut rows = statement.query([number])?;
        let (mut right, mut wrong) = (0, 0);
        while let Some(row) = rows.next()? {
            let (place, segment): (Value, i64) = (row.get(0)?, row.get(1)?);
            let bytes = row.get_ref(2)?.as_blob().map_err(|_| damaged("a list of runs"))?;
            for Listed { started, run, amount } in decode(bytes, first_of(segment))? {
                let holds = is_listed.exists((run, started, amount, &place))?;
                *(if holds { &mut right } else { &mut wrong }) += 1;
            }
        }
        unmatched += wrong + runs.saturating_sub(right);
    }
    Ok(unmatched)
}

#[cfg(test)]
mod tests;
