//! Runs of a damaged file: those whose rows can still be read, found without an index and around what is damaged.
//!
//! Never says that the file is whole: who asks is told that something is missing.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension};

use super::super::SqliteConfig;
use super::super::run_row::{SELECT, StoredRun};
use crate::rules::filters::{self, holds_for_run};
use crate::{RunFilter, RunOrder, RunRow, StoreError};

/// Rows that cannot be read, after which nothing more is looked for.
const FAILURES_MAX: u32 = 200_000;

/// Runs that a filter holds for, in order, as far as they can be read. Slow: looks at every row.
///
/// # Errors
/// `damage` where no row can be read at all.
pub(in crate::sqlite) fn runs(
    connection: &Connection,
    config: &SqliteConfig,
    filter: &RunFilter,
    order: RunOrder,
    (limit, offset): (usize, usize),
    damage: StoreError,
) -> Result<Vec<RunRow>, StoreError> {
    let (mut found, mut any) = (Vec::new(), false);
    visit(connection, &mut |run| {
        any = true;
        let (id, row) = (run.id, run.into_row(config));
        if filters::is_empty(filter) || holds_for_run(filter, &row) {
            found.push((id, row));
        }
    });
    if !any {
        return Err(damage);
    }
    found.sort_by_key(|(id, row)| Reverse((row.started, *id)));
    match order {
        RunOrder::Started => {}
        RunOrder::Duration => found.sort_by_key(|(_, row)| Reverse(row.duration_ns())),
        RunOrder::Cost => found.sort_by_key(|(_, row)| Reverse(row.cost.known)),
        RunOrder::Tokens => found.sort_by_key(|(_, row)| Reverse(row.tokens.total())),
        RunOrder::Workflow => found.sort_by(|a, b| a.1.workflow.cmp(&b.1.workflow)),
    }
    let rows = found.into_iter().map(|(_, row)| row);
    Ok(rows.skip(offset).take(limit).collect())
}

/// Hands out each row that can be read, the one that was written last first.
fn visit(connection: &Connection, visit: &mut dyn FnMut(StoredRun)) {
    let Some(mut next) = highest(connection) else {
        return;
    };
    let sql = format!("{SELECT}run NOT INDEXED WHERE run.id <= ?1 ORDER BY run.id DESC");
    let mut failures = 0;
    while next > 0 && failures < FAILURES_MAX {
        let outcome = read_from(connection, &sql, &mut next, visit);
        if outcome.is_ok() {
            return;
        }
        // This one, or the page that it stands on.
        failures += 1;
        next -= 1;
    }
}

/// Reads from the row `next` on; that is then the first that was not read.
fn read_from(
    connection: &Connection,
    sql: &str,
    next: &mut i64,
    visit: &mut dyn FnMut(StoredRun),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([*next])?;
    while let Some(row) = rows.next()? {
        let run = StoredRun::read(row)?;
        // A damaged page may lead back to where it was.
        if run.id > *next || run.id < 1 {
            return Err(super::super::failure::damaged("rows of runs are out of order"));
        }
        *next = run.id - 1;
        visit(run);
    }
    Ok(())
}

/// The highest number that a run can have.
fn highest(connection: &Connection) -> Option<i64> {
    let given = "SELECT seq FROM sqlite_sequence WHERE name = 'run'";
    let there = "SELECT max(id) FROM run NOT INDEXED";
    [given, there].into_iter().find_map(|sql| {
        let number = connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        number.optional().ok()??
    })
}
