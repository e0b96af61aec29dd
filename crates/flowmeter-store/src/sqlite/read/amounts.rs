//! Lists by what runs cost, how long they took, how many tokens they used: statements along the classes of these.
//!
//! Never reads more of a class than the amounts before somebody wants its runs.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::super::classes::{amount_of, class_of};
use super::super::run_row::count_to_column;
use super::runs::Clause;
use crate::{RunFilter, StoreError};

/// Stands in a statement for the runs of one class, in order.
pub(super) const WITHIN: &str = "{within}";

/// Runs that are asked for at once in the beginning: mostly a page of a list, which is enough.
const AT_FIRST: usize = 64;

/// What runs can be listed by that stands in classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    column: &'static str,
    index: &'static str,
}

impl Amount {
    pub(super) const COST: Self = Self {
        column: "cost",
        index: "run_cost",
    };
    pub(super) const DURATION: Self = Self {
        column: "duration",
        index: "run_duration",
    };
    pub(super) const TOKENS: Self = Self {
        column: "tokens",
        index: "run_tokens",
    };

    /// Asks for the next lower class that there is.
    pub(super) fn next_class(self) -> String {
        let Self { column, index } = self;
        format!(
            "SELECT {column}_class FROM run INDEXED BY {index} WHERE {column}_class < ? \
             ORDER BY {column}_class DESC LIMIT 1"
        )
    }

    /// Hands out the numbers of a class's runs, the highest amount first, as a statement and what is put into it.
    ///
    /// # Errors
    /// Those of reading, and those of `ask`, which says whether to go on; the last answer is given back.
    pub(super) fn ask_within(
        self,
        connection: &Connection,
        class: i64,
        ask: &mut dyn FnMut(&str, Value) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let Self { column, index } = self;
        if let Some(amount) = amount_of(class) {
            // All are equal: along the index.
            let sql = format!(
                "SELECT run.id AS number FROM run INDEXED BY {index} WHERE run.{column}_class = ? \
                 AND run.{column} = {amount} ORDER BY run.started DESC, run.id DESC LIMIT -1"
            );
            return ask(&sql, Value::Integer(class));
        }
        let mut runs: Vec<(i64, i64, i64)> = connection
            .prepare_cached(&format!(
                "SELECT {column}, started, id FROM run INDEXED BY {index} WHERE {column}_class = ?"
            ))?
            .query_map([class], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        runs.sort_unstable_by(|a, b| b.cmp(a));
        let (mut rest, mut count) = (runs.as_slice(), AT_FIRST);
        while !rest.is_empty() {
            let (next, others) = rest.split_at(count.min(rest.len()));
            let numbers: Vec<String> = next.iter().map(|(_, _, id)| id.to_string()).collect();
            let list = Value::Text(format!("[{}]", numbers.join(",")));
            if !ask("SELECT value AS number FROM json_each(?)", list)? {
                return Ok(false);
            }
            (rest, count) = (others, count * 2);
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

    /// Runs with more than this, or at least so much.
    pub(super) fn clause(self, comparison: &str, amount: i64) -> Clause {
        let column = self.column;
        Clause::new(
            format!("run.{column}_class >= ? AND run.{column} {comparison} ?"),
            vec![Value::Integer(class_of(amount)), Value::Integer(amount)],
        )
    }
}
