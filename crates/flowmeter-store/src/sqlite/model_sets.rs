//! Which models were called together: runs are listed by such sets, of which there are few, and not by single models.
//!
//! A run that called five models stands once in an index instead of five times. A set that no run has does no harm, and
//! stays until runs are removed. Never holds a run.

use rusqlite::Connection;
use rusqlite::types::Value;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::run_lists::{self, RunList};
use super::run_row::count_of_column;
use crate::StoreError;

/// Sets that the writer remembers at most.
const KNOWN_MAX: usize = 4_096;
/// Between two models of a set.
const BETWEEN: &str = "\n";

/// The set as it stands in the file; `None` where no model was called.
fn set_of(models: &[SmolStr]) -> Option<String> {
    (!models.is_empty()).then(|| models.join(BETWEEN))
}

/// The models of a set.
pub(super) fn models_of(set: &str) -> Vec<SmolStr> {
    set.split(BETWEEN).map(SmolStr::new).collect()
}

/// Asks for the numbers of the sets with one of so many models; those are put into it.
pub(super) fn numbers_with(models: usize) -> String {
    let one = "instr(char(10) || models || char(10), char(10) || ? || char(10)) > 0";
    format!(
        "SELECT id FROM model_set WHERE {}",
        vec![one; models].join(" OR ")
    )
}

/// The numbers of the sets with a model.
pub(super) fn with(connection: &Connection, model: &str) -> Result<Vec<Value>, StoreError> {
    let mut statement = connection.prepare_cached(&numbers_with(1))?;
    let sets = statement.query_map([model], |row| row.get(0))?;
    Ok(sets.collect::<Result<_, _>>()?)
}

/// Removes sets that no run has any more. Who does this tells the writers of all processes (`next_epoch`), or one of them
/// might take a set for known that is gone.
pub(super) fn sweep(connection: &Connection) -> Result<(), StoreError> {
    let (list, is_new) = (RunList::Models.number(), run_lists::IS_NEW);
    connection.execute(
        &format!(
            "DELETE FROM model_set WHERE NOT EXISTS (SELECT 1 FROM run_list WHERE list = {list} AND place = model_set.id) \
             AND id NOT IN (SELECT model_set FROM run WHERE {is_new} AND model_set IS NOT NULL)"
        ),
        [],
    )?;
    Ok(())
}

/// How many runs name a set that is not there.
pub(super) fn missing(connection: &Connection) -> Result<u64, StoreError> {
    let count = connection.query_row(
        "SELECT count(*) FROM run WHERE model_set IS NOT NULL AND model_set NOT IN (SELECT id FROM model_set)",
        [],
        |row| row.get(0).map(count_of_column),
    )?;
    Ok(count)
}

/// The sets that the writer knows to be there, with their numbers.
#[derive(Debug, Default)]
pub(super) struct ModelSets {
    known: FxHashMap<String, i64>,
}

impl ModelSets {
    /// The number of the set of these models, of which a run has called each; `None` where it has called none.
    pub(super) fn number(
        &mut self,
        connection: &Connection,
        models: &[SmolStr],
    ) -> Result<Option<i64>, StoreError> {
        let Some(set) = set_of(models) else {
            return Ok(None);
        };
        if let Some(number) = self.known.get(&set) {
            return Ok(Some(*number));
        }
        connection
            .prepare_cached("INSERT OR IGNORE INTO model_set (models) VALUES (?1)")?
            .execute([&set])?;
        let number = connection
            .prepare_cached("SELECT id FROM model_set WHERE models = ?1")?
            .query_row([&set], |row| row.get(0))?;
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(set, number);
        Ok(Some(number))
    }

    /// Forgets all: a transaction was undone, or somebody else removed sets.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests;
