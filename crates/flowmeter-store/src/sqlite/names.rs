//! Names by number: nodes, models, providers, operations, classes of errors, workflows.
//!
//! Never holds the ids of runs, sessions or users; never more names in memory than its limit.

use parking_lot::RwLock;
use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::failure::damaged;
use crate::StoreError;

/// The number of the empty name, which has no row.
pub(super) const NO_NAME: i64 = 0;
/// Names in memory at most.
const NAMES_MAX: usize = 20_000;

/// The numbers of names, for whoever writes.
#[derive(Default)]
pub(super) struct NameNumbers {
    numbers: FxHashMap<SmolStr, i64>,
}

impl NameNumbers {
    /// The number of a name if it is known here or in the file.
    pub(super) fn known(
        &mut self,
        connection: &Connection,
        name: &SmolStr,
    ) -> Result<Option<i64>, StoreError> {
        if name.is_empty() {
            return Ok(Some(NO_NAME));
        }
        if let Some(number) = self.numbers.get(name) {
            return Ok(Some(*number));
        }
        let mut statement = connection.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
        let number = statement
            .query_row([name.as_str()], |row| row.get(0))
            .optional()?;
        if let Some(number) = number {
            self.remember(name, number);
        }
        Ok(number)
    }

    /// The number of a name, given to it if it has none. Needs a transaction that writes.
    pub(super) fn number(&mut self, connection: &Connection, name: &SmolStr) -> Result<i64, StoreError> {
        if let Some(number) = self.known(connection, name)? {
            return Ok(number);
        }
        connection
            .prepare_cached("INSERT INTO name (text) VALUES (?1)")?
            .execute([name.as_str()])?;
        let number = connection.last_insert_rowid();
        self.remember(name, number);
        Ok(number)
    }

    fn remember(&mut self, name: &SmolStr, number: i64) {
        if self.numbers.len() >= NAMES_MAX {
            self.numbers.clear();
        }
        self.numbers.insert(name.clone(), number);
    }

    /// Forgets all: a transaction that gave numbers was undone, or somebody else removed names.
    pub(super) fn clear(&mut self) {
        self.numbers.clear();
    }
}

/// The names of numbers, for whoever reads.
#[derive(Default)]
pub(super) struct NameTexts {
    texts: RwLock<FxHashMap<i64, SmolStr>>,
}

impl NameTexts {
    /// The name with this number.
    pub(super) fn text(&self, connection: &Connection, number: i64) -> Result<SmolStr, StoreError> {
        if number == NO_NAME {
            return Ok(SmolStr::default());
        }
        if let Some(text) = self.texts.read().get(&number) {
            return Ok(text.clone());
        }
        let mut statement = connection.prepare_cached("SELECT text FROM name WHERE id = ?1")?;
        let text = statement
            .query_row([number], |row| Ok(SmolStr::new(row.get_ref(0)?.as_str()?)))
            .optional()?
            .ok_or_else(|| damaged("a name is missing"))?;
        let mut texts = self.texts.write();
        if texts.len() >= NAMES_MAX {
            texts.clear();
        }
        texts.insert(number, text.clone());
        Ok(text)
    }

    /// Forgets all: names may have been removed.
    pub(super) fn clear(&self) {
        self.texts.write().clear();
    }
}
