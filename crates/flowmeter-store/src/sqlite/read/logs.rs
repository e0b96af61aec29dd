//! Log lines, oldest first.
//!
//! Never opens a block that cannot hold a line that is asked for; never holds more lines than lie between blocks that
//! overlap in time.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::super::SqliteConfig;
use super::super::content_source::StoredContent;
use super::super::failure::damaged;
use super::super::run_row::{SELECT, StoredRun, time_of_column, time_to_column};
use super::batches::blob;
use super::scan::RunSet;
use crate::codec::block::Sealer;
use crate::codec::log_block::LogBlock;
use crate::rules::filters::{holds_for_log, holds_for_run};
use crate::{LogFilter, RunKey, StoreError, StoredLog};

/// A block that may hold lines.
struct Candidate {
    block: i64,
    time_min: i64,
}

/// Hands out the lines that a filter holds for.
pub(in crate::sqlite) fn visit(
    connection: &Connection,
    config: &SqliteConfig,
    filter: &LogFilter,
    visit: &mut dyn FnMut(StoredLog) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let Some((runs, candidates)) = candidates(connection, config, filter)? else {
        return Ok(());
    };
    let mut lines = Lines {
        connection,
        runs,
        keys: FxHashMap::default(),
        source: StoredContent::new(connection),
        sealer: Sealer::new(),
    };
    let mut waiting: BTreeMap<(u64, i64, usize), StoredLog> = BTreeMap::new();
    for candidate in candidates {
        let begins = time_of_column(candidate.time_min).0;
        // What is older than everything that is still to come can go.
        while let Some(first) = waiting.first_entry() {
            if first.key().0 >= begins {
                break;
            }
            if visit(first.remove()).is_break() {
                return Ok(());
            }
        }
        lines.read(&candidate, filter, &mut waiting)?;
    }
    for log in waiting.into_values() {
        if visit(log).is_break() {
            break;
        }
    }
    Ok(())
}

/// The blocks that may hold such lines, by when they begin; `None` when there can be none.
fn candidates(
    connection: &Connection,
    config: &SqliteConfig,
    filter: &LogFilter,
) -> Result<Option<(RunSet, Vec<Candidate>)>, StoreError> {
    let since = filter.since.map_or(i64::MIN, time_to_column);
    let until = filter.until.map_or(i64::MAX, time_to_column);
    let level = filter.level_min.map_or(0, |level| level as i64);
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Candidate {
            block: row.get(0)?,
            time_min: row.get(1)?,
        })
    };
    const OF_RUN: &str = "SELECT log_block.id, log_block.time_min FROM log_run \
         CROSS JOIN log_block ON log_block.id = log_run.block \
         WHERE log_run.run = ?4 AND time_max >= ?1 AND time_min <= ?2 AND level_max >= ?3";
    const OF_ALL: &str = "SELECT id, time_min FROM log_block \
         WHERE time_max >= ?1 AND time_min <= ?2 AND level_max >= ?3 ORDER BY time_min, id";
    let runs = match &filter.run {
        Some(key) => {
            let run = StoredRun::find(connection, key)?;
            let Some(run) = run else {
                return Ok(None);
            };
            let id = run.id;
            if !holds_for_run(&filter.runs, &run.into_row(config)) {
                return Ok(None);
            }
            RunSet::these(vec![id])
        }
        None => RunSet::of(connection, config, &filter.runs)?,
    };
    let mut found: Vec<Candidate> = match &runs {
        RunSet::These(ids, _) if ids.len() <= 500 => {
            let mut statement = connection.prepare_cached(OF_RUN)?;
            let mut found = Vec::new();
            for id in ids {
                for candidate in statement.query_map([since, until, level, *id], read)? {
                    found.push(candidate?);
                }
            }
            found
        }
        _ => connection
            .prepare_cached(OF_ALL)?
            .query_map([since, until, level], read)?
            .collect::<Result<_, _>>()?,
    };
    found.sort_by_key(|candidate| (candidate.time_min, candidate.block));
    found.dedup_by_key(|candidate| candidate.block);
    Ok(Some((runs, found)))
}

/// Reads blocks of lines.
struct Lines<'c> {
    connection: &'c Connection,
    runs: RunSet,
    keys: FxHashMap<i64, RunKey>,
    source: StoredContent<'c>,
    sealer: Sealer,
}

impl Lines<'_> {
    fn read(
        &mut self,
        candidate: &Candidate,
        filter: &LogFilter,
        found: &mut BTreeMap<(u64, i64, usize), StoredLog>,
    ) -> Result<(), StoreError> {
        let slices: Vec<(i64, usize, usize)> = self
            .connection
            .prepare_cached("SELECT run, first, count FROM log_run WHERE block = ?1")?
            .query_map([candidate.block], |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, u32>(1)? as usize,
                    row.get::<_, u32>(2)? as usize,
                ))
            })?
            .collect::<Result<_, _>>()?;
        let mut statement = self
            .connection
            .prepare_cached("SELECT body FROM log_block WHERE id = ?1")?;
        let mut rows = statement.query([candidate.block])?;
        let row = rows
            .next()?
            .ok_or_else(|| damaged(format!("block {} of log lines is missing", candidate.block)))?;
        let body = blob(row, 0);
        if let Some(level) = filter.level_min
            && !LogBlock::may_hold(body, level)?
        {
            return Ok(());
        }
        let block = LogBlock::open(&mut self.sealer, body)?;
        for (run, first, count) in slices {
            if !self.runs.has(run) {
                continue;
            }
            let key = self.key(run)?;
            for place in first..first + count {
                if filter.level_min > block.level(place) {
                    continue;
                }
                let record = block
                    .record(place, &mut self.source)?
                    .ok_or_else(|| damaged(format!("line {place} of block {}", candidate.block)))?;
                if holds_for_log(filter, &record) {
                    let at = (record.time.0, candidate.block, place);
                    found.insert(at, StoredLog { run: key, record });
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, run: i64) -> Result<RunKey, StoreError> {
        if let Some(key) = self.keys.get(&run) {
            return Ok(*key);
        }
        let sql = format!("{SELECT}run WHERE id = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([run])?;
        let row = rows
            .next()?
            .ok_or_else(|| damaged(format!("run {run} is missing")))?;
        let key = StoredRun::read(row)?.row.key;
        if self.keys.len() > 10_000 {
            self.keys.clear();
        }
        self.keys.insert(run, key);
        Ok(key)
    }
}
