//! What a question about sums needs: which numbers its names have, which section answers it, how fine.
//!
//! Never reads a sum.

use rusqlite::{Connection, OptionalExtension};
use smol_str::SmolStr;

use super::super::names::NO_NAME;
use super::place::Level;
use super::section::{self, Conditions, Key, MODEL, NODE, PROVIDER, Section, WORKFLOW};
use crate::rules::calendar::DAY_NS;
use crate::rules::sums::{self, Parts, SLOT_NS};
use crate::{GroupBy, StatsQuery, StoreError};

/// A question whose names are numbers.
pub(super) struct Plan<'q> {
    pub(super) query: &'q StatsQuery,
    /// What counts in the answer.
    pub(super) parts: Parts,
    /// The interval in nanoseconds: from, and before.
    pub(super) interval: (u64, u64),
    /// The conditions on keys: the place, and the numbers of which one must stand there.
    conditions: Vec<(usize, Vec<i64>)>,
    /// The smallest section that knows all that is asked.
    pub(super) section: Section,
}

impl<'q> Plan<'q> {
    /// Looks the names up.
    pub(super) fn of(connection: &Connection, query: &'q StatsQuery) -> Result<Self, StoreError> {
        let filter = &query.filter;
        let mut conditions = Vec::new();
        for (place, names) in [
            (WORKFLOW, &filter.runs.workflows),
            (NODE, &filter.nodes),
            (MODEL, &filter.models),
            (PROVIDER, &filter.providers),
        ] {
            if !names.is_empty() {
                conditions.push((place, numbers_of(connection, names)?));
            }
        }
        let mut known: Vec<usize> = conditions.iter().map(|(place, _)| *place).collect();
        known.extend(grouped_by(query.by.as_ref()));
        let parts = Parts {
            run: true,
            node: true,
            call: true,
        }
        .within(query);
        let section = Section::ALL
            .into_iter()
            .find(|section| {
                let knows = section.places();
                let counts = section.parts();
                known.iter().all(|place| knows.contains(place))
                    && (counts.run || !parts.run)
                    && (counts.node || !parts.node)
            })
            .unwrap_or(Section::Full);
        let runs = &filter.runs;
        Ok(Self {
            query,
            parts,
            interval: (
                runs.since.map_or(0, |since| since.0),
                // The last moment that there is has no moment behind it, and no span.
                runs.until.map_or(u64::MAX, |until| until.0),
            ),
            conditions,
            section,
        })
    }

    /// Whether the conditions hold for a key.
    #[inline]
    pub(super) fn holds_for(&self, key: &Key) -> bool {
        section::hold_for(&self.conditions, key)
    }

    /// The conditions on keys.
    pub(super) fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// The longest periods that the answer does not have to cut; `None` where it cuts half-hours.
    pub(super) fn longest(&self, trend: Option<Level>) -> Option<Level> {
        if !sums::is_of_roll_ups(self.query) || !sums::has_whole_slots(self.query) {
            return None;
        }
        let of_periods = match &self.query.by {
            Some(GroupBy::Hour) => Level::Slot,
            Some(GroupBy::Day) => {
                let is_of_utc =
                    i64::from(self.query.utc_offset_seconds) * 1_000_000_000 % DAY_NS.cast_signed() == 0;
                if is_of_utc { Level::Day } else { Level::Slot }
            }
            _ => Level::Month,
        };
        Some(of_periods.min(trend.unwrap_or(Level::Month)))
    }

    /// The half-hours that lie in the interval, all of each: the first, and the one behind the last.
    pub(super) fn whole_slots(&self) -> (u64, u64) {
        let (from, to) = self.interval;
        let first = from.div_ceil(SLOT_NS);
        // The very last one is cut by the end of all time.
        (first, (to / SLOT_NS).max(first))
    }
}

/// The places of a key that a grouping needs.
fn grouped_by(by: Option<&GroupBy>) -> &'static [usize] {
    match by {
        Some(GroupBy::Model) => &[MODEL],
        Some(GroupBy::Provider) => &[PROVIDER],
        Some(GroupBy::Workflow) => &[WORKFLOW],
        Some(GroupBy::Node) => &[WORKFLOW, NODE],
        None | Some(GroupBy::Hour | GroupBy::Day | GroupBy::Tag(_)) => &[],
    }
}

/// The numbers of names, as far as they have any.
fn numbers_of(connection: &Connection, names: &[String]) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
    let mut numbers = Vec::with_capacity(names.len());
    for name in names {
        if name.is_empty() {
            numbers.push(NO_NAME);
        } else if let Some(number) = statement.query_row([name], |row| row.get(0)).optional()? {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

/// The names of workflow and node, or whatever else groups are called by.
pub(super) type Named<'a> = &'a dyn Fn(i64) -> Result<SmolStr, StoreError>;
