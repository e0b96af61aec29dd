//! Lists from the newest run to the oldest where these stand in several places of an index: in classes of amounts, or in
//! sets of models. The newest of each place, put together, and then those before.
//!
//! Never reads more than the newest of each before somebody wants the others.

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::amounts::{AT_FIRST, AT_MOST, Amount, LISTED, Least, list};
use crate::StoreError;

/// Runs of each place that are asked for at once in the beginning, where there are many places.
const OF_EACH_MIN: usize = 8;

/// Runs that stand in several places.
#[derive(Clone, Debug)]
pub(super) enum Newest {
    /// Those with at least some amount, in classes.
    OfAmount(Amount, Least),
    /// Those with one of these sets of models.
    OfSets(Vec<Value>),
}

/// When a run began, and the number of its row.
type Begun = (i64, i64);

impl Newest {
    /// Hands out the numbers of the runs, the newest first, as a statement and what is put into it.
    ///
    /// # Errors
    /// Those of reading, and those of `ask`, which says whether to go on.
    pub(super) fn ask(
        &self,
        connection: &Connection,
        ask: &mut dyn FnMut(&str, Value) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Self::OfAmount(amount, least) => {
                let (column, condition) = amount.within_class(*least);
                let mut newest = connection.prepare_cached(&format!(
                    "SELECT started, id FROM {} WHERE {column} = ?1 AND {condition} \
                     AND (started, id) < (?2, ?3) ORDER BY started DESC, id DESC LIMIT ?4",
                    amount.table()
                ))?;
                let classes = amount.classes_from(connection, *least)?;
                let places: Vec<Value> = classes.into_iter().map(Value::Integer).collect();
                ask_in_turn(&places, &mut newest, ask)
            }
            Self::OfSets(sets) => {
                let mut newest = connection.prepare_cached(
                    "SELECT started, id FROM run INDEXED BY run_models WHERE model_set = ?1 \
                     AND (started, id) < (?2, ?3) ORDER BY started DESC, id DESC LIMIT ?4",
                )?;
                ask_in_turn(sets, &mut newest, ask)
            }
        }
    }
}

/// `newest` gives, of one place, so many runs that began before some moment.
fn ask_in_turn(
    places: &[Value],
    newest: &mut CachedStatement<'_>,
    ask: &mut dyn FnMut(&str, Value) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let of_each = 2 * AT_FIRST / places.len().max(1);
    let (mut before, mut count) = ((i64::MAX, i64::MAX), of_each.clamp(OF_EACH_MIN, AT_FIRST));
    loop {
        let mut found: Vec<Begun> = Vec::new();
        // What is older is not all there yet.
        let mut complete_from: Option<Begun> = None;
        for place in places {
            let known = found.len();
            let mut rows = newest.query(params![place, before.0, before.1, count as i64])?;
            while let Some(row) = rows.next()? {
                found.push((row.get(0)?, row.get(1)?));
            }
            if found.len() - known == count {
                complete_from = complete_from.max(found.last().copied());
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(complete_from) = complete_from {
            found.truncate(found.partition_point(|begun| *begun >= complete_from));
        }
        if found.is_empty() || !ask(LISTED, list(found.iter().map(|(_, id)| *id)))? {
            return Ok(());
        }
        match complete_from {
            Some(complete_from) => before = complete_from,
            None => return Ok(()),
        }
        count = (count * 2).min(AT_MOST);
    }
}

/// When about so many of the newest runs with one of these sets of models began, the last of them; `None` where there
/// are not so many.
pub(super) fn nth_of_sets(
    connection: &Connection,
    sets: &[Value],
    count: i64,
) -> Result<Option<i64>, StoreError> {
    let of_each = count / i64::try_from(sets.len().max(1)).unwrap_or(count);
    let mut statement = connection.prepare_cached(
        "SELECT started FROM run INDEXED BY run_models WHERE model_set = ?1 \
         ORDER BY started DESC LIMIT 1 OFFSET ?2",
    )?;
    let mut last = None;
    for set in sets {
        let started: Option<i64> = statement
            .query_row(params![set, of_each], |row| row.get(0))
            .optional()?;
        last = last.max(started);
    }
    Ok(last)
}
