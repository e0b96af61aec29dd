//! Which models were called together: runs are listed by such sets, of which there are few, and not by single models.
//!
//! A run that called five models stands once in an index instead of five times. A set that no run has does no harm, and
//! stays until runs are removed. Never holds a run.

use rusqlite::Connection;
use rusqlite::types::Value;
use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use crate::StoreError;

/// Sets that the writer remembers at most.
const KNOWN_MAX: usize = 4_096;
/// Between two models of a set.
const BETWEEN: &str = "\n";

/// The set as it stands in a run's row; `None` where no model was called.
pub(super) fn set_of(models: &[SmolStr]) -> Option<String> {
    (!models.is_empty()).then(|| models.join(BETWEEN))
}

/// The models of a set.
pub(super) fn models_of(set: &str) -> Vec<SmolStr> {
    set.split(BETWEEN).map(SmolStr::new).collect()
}

/// A condition that holds for the sets with one of so many models, and those models are put into it.
pub(super) fn clause(models: usize) -> String {
    let one = "instr(char(10) || models || char(10), char(10) || ? || char(10)) > 0";
    format!(
        "SELECT models FROM model_set WHERE {}",
        vec![one; models].join(" OR ")
    )
}

/// The sets with a model.
pub(super) fn with(connection: &Connection, model: &str) -> Result<Vec<Value>, StoreError> {
    let mut statement = connection.prepare_cached(&clause(1))?;
    let sets = statement.query_map([model], |row| row.get(0))?;
    Ok(sets.collect::<Result<_, _>>()?)
}

/// Removes sets that no run has any more. Who does this tells the writers of all processes (`next_epoch`), or one of them
/// might take a set for known that is gone.
pub(super) fn sweep(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(
        "DELETE FROM model_set WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.models = model_set.models)",
        [],
    )?;
    Ok(())
}

/// The sets that the writer knows to be there.
#[derive(Debug, Default)]
pub(super) struct ModelSets {
    known: FxHashSet<String>,
}

impl ModelSets {
    /// Some run has this set.
    pub(super) fn note(&mut self, connection: &Connection, models: &[SmolStr]) -> Result<(), StoreError> {
        let Some(set) = set_of(models).filter(|set| !self.known.contains(set)) else {
            return Ok(());
        };
        connection
            .prepare_cached("INSERT OR IGNORE INTO model_set (models) VALUES (?1)")?
            .execute([&set])?;
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(set);
        Ok(())
    }

    /// Forgets all: a transaction was undone, or somebody else removed sets.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}
