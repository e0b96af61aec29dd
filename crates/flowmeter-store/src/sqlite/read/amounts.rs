//! Lists by what runs cost, how long they took, how many tokens they used: statements along the classes of these.
//!
//! Never reads more of a class than the amounts before somebody wants its runs.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::super::classes::{amount_of, class_of};
use super::super::run_row::count_to_column;
use super::conditions::Clause;
use crate::{RunFilter, StoreError};

/// Stands in a statement for the runs of one class, in order.
pub(super) const WITHIN: &str = "{within}";

/// Runs that are asked for at once in the beginning: mostly a page of a list, which is enough.
pub(super) const AT_FIRST: usize = 64;
/// And later.
pub(super) const AT_MOST: usize = 4_096;
/// The numbers of runs, listed one by one.
pub(super) const LISTED: &str = "SELECT value AS number FROM json_each(?)";

/// What runs can be listed by that stands in classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    column: &'static str,
    table: &'static str,
}

/// The amounts that a condition holds for: this and more, or only what is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Least {
    amount: i64,
    comparison: &'static str,
}

impl Least {
    pub(super) fn from(amount: i64) -> Self {
        let comparison = ">=";
        Self { amount, comparison }
    }

    pub(super) fn above(amount: i64) -> Self {
        let comparison = ">";
        Self { amount, comparison }
    }
}

impl Amount {
    pub(super) const COST: Self = Self {
        column: "cost",
        table: "run INDEXED BY run_cost",
    };
    pub(super) const DURATION: Self = Self {
        column: "duration",
        table: "run INDEXED BY run_duration",
    };
    pub(super) const TOKENS: Self = Self {
        column: "tokens",
        table: "run INDEXED BY run_tokens",
    };

    /// Where it can be looked up.
    pub(super) fn table(self) -> &'static str {
        self.table
    }

    /// The next lower class that there is.
    fn class_below(self, connection: &Connection, above: i64) -> Result<Option<i64>, StoreError> {
        let Self { column, table } = self;
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {column}_class FROM {table} WHERE {column}_class < ? ORDER BY {column}_class DESC LIMIT 1"
        ))?;
        Ok(statement.query_row([above], |row| row.get(0)).optional()?)
    }

    /// Hands out the numbers of runs down to a class, the highest amount first, as a statement and what is put into it.
    ///
    /// # Errors
    /// Those of reading, and those of `ask`, which says whether to go on.
    pub(super) fn ask_highest_first(
        self,
        connection: &Connection,
        lowest: i64,
        ask: &mut dyn FnMut(&str, Value) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut above = i64::MAX;
        while let Some(class) = self.class_below(connection, above)? {
            if class < lowest || !self.ask_within(connection, class, ask)? {
                break;
            }
            above = class;
        }
        Ok(())
    }

    /// The classes in which something of at least some amount can be.
    pub(super) fn classes_from(self, connection: &Connection, least: Least) -> Result<Vec<i64>, StoreError> {
        let mut classes = Vec::new();
        let mut above = i64::MAX;
        while let Some(class) = self.class_below(connection, above)? {
            if class < class_of(least.amount) {
                break;
            }
            classes.push(class);
            above = class;
        }
        Ok(classes)
    }

    /// The column of the classes, and the condition that amounts of a class meet.
    pub(super) fn within_class(self, least: Least) -> (String, String) {
        let Self { column, .. } = self;
        let condition = format!("{column} {} {}", least.comparison, least.amount);
        (format!("{column}_class"), condition)
    }

    /// Hands out the numbers of a class's runs, the highest amount first, as a statement and what is put into it.
    ///
    /// # Errors
    /// Those of reading, and those of `ask`, which says whether to go on; the last answer is given back.
    fn ask_within(
        self,
        connection: &Connection,
        class: i64,
        ask: &mut dyn FnMut(&str, Value) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let Self { column, table } = self;
        if let Some(amount) = amount_of(class) {
            // All are equal: along the index.
            let sql = format!(
                "SELECT run.id AS number FROM {table} WHERE run.{column}_class = ? \
                 AND run.{column} = {amount} ORDER BY run.started DESC, run.id DESC LIMIT -1"
            );
            return ask(&sql, Value::Integer(class));
        }
        let mut runs: Vec<(i64, i64, i64)> = connection
            .prepare_cached(&format!(
                "SELECT {column}, started, id FROM {table} WHERE {column}_class = ?"
            ))?
            .query_map([class], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        runs.sort_unstable_by(|a, b| b.cmp(a));
        let (mut rest, mut count) = (runs.as_slice(), AT_FIRST);
        while !rest.is_empty() {
            let (next, others) = rest.split_at(count.min(rest.len()));
            if !ask(LISTED, list(next.iter().map(|(_, _, id)| *id)))? {
                return Ok(false);
            }
            (rest, count) = (others, (count * 2).min(AT_MOST));
        }
        Ok(true)
    }

    /// The lowest class in which something can be that the filter holds for.
    pub(super) fn lowest(self, filter: &RunFilter) -> i64 {
        let least = match self.column {
            "cost" => filter.cost_min.map(|least| least.0),
            "duration" => filter.slower_than_ns.map(count_to_column),
            _ => None,
        };
        least.map_or(i64::MIN, class_of)
    }

    /// Runs with at least some amount.
    pub(super) fn clause(self, least: Least) -> Clause {
        let column = self.column;
        Clause::new(
            format!("run.{column}_class >= ? AND run.{column} {} ?", least.comparison),
            vec![
                Value::Integer(class_of(least.amount)),
                Value::Integer(least.amount),
            ],
        )
    }
}

/// Numbers for [`LISTED`].
pub(super) fn list(numbers: impl Iterator<Item = i64>) -> Value {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    Value::Text(format!("[{}]", numbers.join(",")))
}
