//! Lists by what runs cost, how long they took, how many tokens they used: class by class, the highest first.
//!
//! Never reads more of a class than the amounts before somebody wants its runs.

use std::cmp::Reverse;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension};

use super::super::classes::{amount_of, class_of};
use super::super::run_lists::{Listed, RunList};
use super::super::run_row::count_to_column;
use super::newest::{Newest, visit_unlisted};
use crate::{RunFilter, StoreError};

/// Runs that are asked for at once in the beginning: mostly a page of a list, which is enough.
pub(super) const AT_FIRST: usize = 64;
/// And later.
pub(super) const AT_MOST: usize = 4_096;

/// What runs can be listed by that stands in classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Cost,
    Duration,
    Tokens,
}

/// The amounts that a condition holds for: this and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Least(i64);

impl Least {
    pub(super) fn from(amount: i64) -> Self {
        Self(amount)
    }

    /// Only what is more.
    pub(super) fn above(amount: i64) -> Self {
        Self(amount.saturating_add(1))
    }

    pub(super) fn holds_for(self, amount: i64) -> bool {
        amount >= self.0
    }
}

impl Amount {
    fn list(self) -> RunList {
        match self {
            Self::Cost => RunList::Cost,
            Self::Duration => RunList::Duration,
            Self::Tokens => RunList::Tokens,
        }
    }

    /// The next lower class that there is in the list.
    fn class_below(self, connection: &Connection, above: i64) -> Result<Option<i64>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT place FROM run_list WHERE list = ?1 AND place < ?2 ORDER BY place DESC LIMIT 1",
        )?;
        let below = statement.query_row([self.list().number(), above], |row| row.get(0));
        Ok(below.optional()?)
    }

    /// Hands out the numbers of runs down to a class, the highest amount first, some at a time.
    ///
    /// # Errors
    /// Those of reading, and those of `ask`, which says whether to go on.
    pub(super) fn ask_highest_first(
        self,
        connection: &Connection,
        lowest: i64,
        ask: &mut dyn FnMut(Value) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut unlisted: Vec<(i64, Listed)> = Vec::new();
        visit_unlisted(connection, self.list(), &mut |class, run| {
            if let ValueRef::Integer(class) = class {
                unlisted.push((class, run));
            }
        })?;
        unlisted.sort_unstable_by_key(|(class, _)| *class);
        let mut above = i64::MAX;
        loop {
            let listed = self.class_below(connection, above)?;
            let class = listed.max(unlisted.last().map(|(class, _)| *class));
            let Some(class) = class.filter(|class| *class >= lowest) else {
                return Ok(());
            };
            let of_class = unlisted.partition_point(|(other, _)| *other < class);
            let new = unlisted.drain(of_class..).map(|(_, run)| run).collect();
            if !self.ask_within(connection, class, new, ask)? {
                return Ok(());
            }
            above = class;
        }
    }

    /// Hands out the numbers of a class's runs, the highest amount first; the last answer is given back.
    fn ask_within(
        self,
        connection: &Connection,
        class: i64,
        unlisted: Vec<Listed>,
        ask: &mut dyn FnMut(Value) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let place = Newest::at(self.list(), vec![Value::Integer(class)]);
        if amount_of(class).is_some() {
            // All are equal.
            return place.ask_with(unlisted, connection, ask);
        }
        let mut runs = unlisted;
        place.add_listed(connection, &mut runs)?;
        runs.sort_unstable_by_key(|run| Reverse((run.amount, run.started, run.run)));
        let (mut rest, mut count) = (runs.as_slice(), AT_FIRST);
        while !rest.is_empty() {
            let (next, others) = rest.split_at(count.min(rest.len()));
            if !ask(numbers(next.iter().map(|run| run.run)))? {
                return Ok(false);
            }
            (rest, count) = (others, (count * 2).min(AT_MOST));
        }
        Ok(true)
    }

    /// The lowest class in which something can be that the filter holds for.
    pub(super) fn lowest(self, filter: &RunFilter) -> i64 {
        let least = match self {
            Self::Cost => filter.cost_min.map(|least| least.0),
            Self::Duration => filter.slower_than_ns.map(count_to_column),
            Self::Tokens => None,
        };
        least.map_or(i64::MIN, class_of)
    }

    /// The runs with at least some amount.
    ///
    /// # Errors
    /// When the classes that there are cannot be read.
    pub(super) fn newest_from(self, connection: &Connection, least: Least) -> Result<Newest, StoreError> {
        let mut classes = Vec::new();
        let mut above = i64::MAX;
        while let Some(class) = self.class_below(connection, above)? {
            if class < class_of(least.0) {
                break;
            }
            classes.push(Value::Integer(class));
            above = class;
        }
        Ok(Newest::at(self.list(), classes).with_least(least))
    }
}

/// Numbers of runs, as they are put into a statement that lists them.
pub(super) fn numbers(numbers: impl Iterator<Item = i64>) -> Value {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    Value::Text(format!("[{}]", numbers.join(",")))
}
