//! Runs from the newest to the oldest along the lists: by workflows, by sets of models, by classes of amounts.
//!
//! A list has many places, and a place many rows; the newest of each come first, and rows before them are read when
//! somebody wants what is in them. Never shows a run before one that began later.

use std::collections::BinaryHeap;
use std::ops::RangeInclusive;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::super::failure::damaged;
use super::super::run_lists::{self, IS_NEW, Listed, RunList};
use super::amounts::{AT_FIRST, AT_MOST, Least, numbers};
use crate::StoreError;

/// Rows of each place by which is judged how many runs stand there.
const ROWS_JUDGED: i64 = 3;
/// Bytes of a run in such a row, about.
const RUN_BYTES: usize = 10;

/// Runs that stand at some places of a list.
#[derive(Clone, Debug)]
pub(super) struct Newest {
    list: RunList,
    places: Vec<Value>,
    /// Which of them are wanted: those with some amount, and those that began then.
    least: Option<Least>,
    started: RangeInclusive<i64>,
}

/// How far a place has been read.
struct Reading<'a> {
    place: &'a Value,
    /// The rows from here on have been read.
    segment: i64,
    /// What has not been read began then or before; `None` where all has been read.
    newest_before: Option<i64>,
}

impl Newest {
    pub(super) fn at(list: RunList, places: Vec<Value>) -> Self {
        Self {
            list,
            places,
            least: None,
            started: i64::MIN..=i64::MAX,
        }
    }

    /// Only those with an amount.
    pub(super) fn with_least(self, least: Least) -> Self {
        let least = Some(least);
        Self { least, ..self }
    }

    /// Only those that began then.
    pub(super) fn started(self, started: RangeInclusive<i64>) -> Self {
        Self { started, ..self }
    }

    /// Hands out the numbers of the runs, the newest first, some at a time; whether `ask` wanted all of them.
    ///
    /// # Errors
    /// Those of reading, and those of `ask`, which says whether to go on.
    pub(super) fn ask(
        &self,
        connection: &Connection,
        ask: &mut dyn FnMut(Value) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let unlisted = self.unlisted(connection)?;
        self.ask_with(unlisted, connection, ask)
    }

    /// The same for those who know already which of them stand in no list yet.
    pub(super) fn ask_with(
        &self,
        unlisted: Vec<Listed>,
        connection: &Connection,
        ask: &mut dyn FnMut(Value) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut found: BinaryHeap<Listed> = unlisted.into();
        let mut row_before = row_before(connection)?;
        let mut places: Vec<Reading<'_>> = self.places.iter().map(Reading::of).collect();
        let (mut wanted, mut count) = (Vec::new(), AT_FIRST);
        loop {
            let unread = places.iter_mut().max_by_key(|place| place.newest_before);
            let newest_unread = unread.as_ref().and_then(|place| place.newest_before);
            while let Some(run) = found.peek()
                && wanted.len() < count
                && newest_unread.is_none_or(|newest| run.started > newest)
            {
                wanted.push(run.run);
                found.pop();
            }
            let is_end = newest_unread.is_none() && found.is_empty();
            if wanted.len() == count || (is_end && !wanted.is_empty()) {
                if !ask(numbers(wanted.drain(..)))? {
                    return Ok(false);
                }
                count = (count * 2).min(AT_MOST);
                continue;
            }
            match unread {
                Some(place) if newest_unread.is_some() => {
                    found.extend(self.go_back(place, &mut row_before)?);
                }
                _ => return Ok(true),
            }
        }
    }

    /// The numbers of all of them.
    pub(super) fn all(&self, connection: &Connection) -> Result<Value, StoreError> {
        let mut found = self.unlisted(connection)?;
        self.add_listed(connection, &mut found)?;
        Ok(numbers(found.into_iter().map(|run| run.run)))
    }

    /// Adds those that stand in the list.
    pub(super) fn add_listed(
        &self,
        connection: &Connection,
        found: &mut Vec<Listed>,
    ) -> Result<(), StoreError> {
        let mut statement =
            connection.prepare_cached("SELECT segment, runs FROM run_list WHERE list = ?1 AND place = ?2")?;
        for place in &self.places {
            let mut rows = statement.query(params![self.list.number(), place])?;
            while let Some(row) = rows.next()? {
                found.extend(self.wanted_of(row, row.get(0)?)?);
            }
        }
        Ok(())
    }

    /// When about so many of the newest of them began, the last of those, judged by a few rows of each place; `None`
    /// where there are hardly so many at all.
    pub(super) fn estimate_start_of(
        &self,
        connection: &Connection,
        count: usize,
    ) -> Result<Option<i64>, StoreError> {
        let segments = run_lists::segments(connection)?;
        let mut rows_of_place = connection.prepare_cached(&format!(
            "SELECT segment, runs FROM run_list WHERE list = ?1 AND place = ?2 ORDER BY segment DESC LIMIT {ROWS_JUDGED}"
        ))?;
        let mut of_segment = 0.0;
        for place in &self.places {
            let mut rows = rows_of_place.query(params![self.list.number(), place])?;
            let (mut judged, mut wanted, mut first) = (0, 0, 0);
            while let Some(row) = rows.next()? {
                let segment = row.get(0)?;
                let runs = self.wanted_of(row, segment)?;
                (judged, wanted, first) = (judged + 1, wanted + runs.count(), segment);
            }
            // Where there are not more rows, these stand for all the time that there was.
            let first = if judged < ROWS_JUDGED { 0 } else { first };
            of_segment += wanted as f64 / (segments - first).max(1) as f64;
        }
        let back = (count as f64 / of_segment).min(i64::MAX as f64) as i64;
        if back >= segments {
            // Few of late: there may be many from long ago.
            return Ok(self.are_listed_more_than(connection, count)?.then_some(i64::MIN));
        }
        let mut started =
            connection.prepare_cached("SELECT started FROM run WHERE id >= ?1 ORDER BY id LIMIT 1")?;
        let first = run_lists::first_of(segments - back);
        Ok(started.query_row([first], |row| row.get(0)).optional()?)
    }

    /// Whether about more runs than so many stand at the places, wanted or not.
    fn are_listed_more_than(&self, connection: &Connection, count: usize) -> Result<bool, StoreError> {
        let mut bytes_at = connection.prepare_cached(
            "SELECT coalesce(sum(length(runs)), 0) FROM run_list WHERE list = ?1 AND place = ?2",
        )?;
        let mut bytes = 0_usize;
        for place in &self.places {
            let at_place =
                bytes_at.query_row(params![self.list.number(), place], |row| row.get::<_, i64>(0))?;
            bytes = bytes.saturating_add(usize::try_from(at_place).unwrap_or(0));
        }
        Ok(bytes / RUN_BYTES > count)
    }

    /// What is wanted of a row with these columns: the segment, and then its runs.
    fn wanted_of(&self, row: &Row<'_>, segment: i64) -> Result<impl Iterator<Item = Listed>, StoreError> {
        let bytes = row.get_ref(1)?.as_blob().map_err(|_| damaged("a list of runs"))?;
        let runs = run_lists::decode(bytes, run_lists::first_of(segment))?;
        Ok(runs.into_iter().filter(|run| self.wants(run)))
    }

    fn wants(&self, run: &Listed) -> bool {
        self.started.contains(&run.started) && self.least.is_none_or(|least| least.holds_for(run.amount))
    }

    /// Reads the next row of a place; nothing more is to come when all before it began too early.
    fn go_back(
        &self,
        place: &mut Reading<'_>,
        row_before: &mut CachedStatement<'_>,
    ) -> Result<impl Iterator<Item = Listed>, StoreError> {
        let runs = place.go_back(self.list, row_before)?;
        place.newest_before = place
            .newest_before
            .filter(|newest| newest >= self.started.start());
        Ok(runs.into_iter().filter(|run| self.wants(run)))
    }

    /// Those that stand in no list yet.
    fn unlisted(&self, connection: &Connection) -> Result<Vec<Listed>, StoreError> {
        let mut found = Vec::new();
        visit_unlisted(connection, self.list, &mut |place, run| {
            // Those with at least some amount may be the first of their class.
            let is_there = self.least.is_some() || self.places.iter().any(|wanted| place == wanted.into());
            if is_there && self.wants(&run) {
                found.push(run);
            }
        })?;
        Ok(found)
    }
}

/// Hands out the runs that stand in no list yet, with their places.
pub(super) fn visit_unlisted(
    connection: &Connection,
    list: RunList,
    visit: &mut dyn FnMut(ValueRef<'_>, Listed),
) -> Result<(), StoreError> {
    let (place, amount) = (list.place_column(), list.amount_column());
    let sql = format!("SELECT started, id, {amount}, {place} FROM run WHERE {IS_NEW}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (started, run, amount) = (row.get(0)?, row.get(1)?, row.get(2)?);
        visit(row.get_ref(3)?, Listed { started, run, amount });
    }
    Ok(())
}

/// Gives, of a place, the row before a segment.
fn row_before(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    connection.prepare_cached(
        "SELECT segment, newest_before, runs FROM run_list WHERE list = ?1 AND place = ?2 AND segment < ?3 \
         ORDER BY segment DESC LIMIT 1",
    )
}

impl<'a> Reading<'a> {
    fn of(place: &'a Value) -> Self {
        Self {
            place,
            segment: i64::MAX,
            newest_before: Some(i64::MAX),
        }
    }

    /// Reads the row before those that have been read.
    fn go_back(
        &mut self,
        list: RunList,
        row_before: &mut CachedStatement<'_>,
    ) -> Result<Vec<Listed>, StoreError> {
        let key = params![list.number(), self.place, self.segment];
        let row = row_before
            .query_row(key, |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .optional()?;
        let Some((segment, newest_before, bytes)) = row else {
            self.newest_before = None;
            return Ok(Vec::new());
        };
        self.segment = segment;
        // There is nothing before the first row.
        self.newest_before = Some(newest_before).filter(|newest| *newest > i64::MIN);
        run_lists::decode(&bytes, run_lists::first_of(segment))
    }
}
