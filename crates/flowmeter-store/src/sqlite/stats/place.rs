//! Where sums stand: half-hours, days and months, each by its number, in one table.
//!
//! The sections of one kind follow each other in the order of time, so that an interval is read as one row of rows.

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use super::super::failure::damaged;
use super::entry::Entry;
use super::section::{Conditions, Key, MODEL, NODE, PROVIDER, Section, WORKFLOW};
use crate::StoreError;
use crate::rules::calendar::{DAY_NS, date_of, first_day_of};
use crate::rules::sums::SLOT_NS;

/// Half-hours in a day.
pub(super) const SLOTS_A_DAY: u64 = DAY_NS / SLOT_NS;
/// Bits of a period's number.
const NUMBER_BITS: u32 = 40;

/// How long a period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Half an hour.
    Slot,
    /// A day of UTC.
    Day,
    /// A month of UTC.
    Month,
}

impl Level {
    /// The row of a section of a period.
    pub(super) fn id(self, section: Section, number: u64) -> i64 {
        ((self as i64) << 3 | section as i64) << NUMBER_BITS | number.cast_signed()
    }

    /// The number of a period, of its row's.
    pub(super) fn number_of(id: i64) -> u64 {
        (id & ((1 << NUMBER_BITS) - 1)).cast_unsigned()
    }

    /// The period that a half-hour lies in.
    pub(super) fn around(self, slot: u64) -> u64 {
        match self {
            Self::Slot => slot,
            Self::Day => slot / SLOTS_A_DAY,
            Self::Month => {
                let (year, month, _) = date_of(i64::try_from(slot / SLOTS_A_DAY).unwrap_or(0));
                (year * 12 + month - 1).cast_unsigned()
            }
        }
    }

    /// The half-hours of a period: the first, and the one behind the last.
    pub(super) fn slots(self, number: u64) -> (u64, u64) {
        match self {
            Self::Slot => (number, number + 1),
            Self::Day => (number * SLOTS_A_DAY, (number + 1) * SLOTS_A_DAY),
            Self::Month => {
                let begins = |number: u64| {
                    let number = number.cast_signed();
                    let day = first_day_of(number.div_euclid(12), number.rem_euclid(12) + 1);
                    u64::try_from(day).unwrap_or(0) * SLOTS_A_DAY
                };
                (begins(number), begins(number + 1))
            }
        }
    }

    /// The next shorter periods.
    pub(super) fn finer(self) -> Option<Self> {
        match self {
            Self::Slot => None,
            Self::Day => Some(Self::Slot),
            Self::Month => Some(Self::Day),
        }
    }

    /// The section to read at this level for what another section would answer: half-hours have but two.
    pub(super) fn section(self, section: Section) -> Section {
        match (self, section) {
            (Self::Slot, Section::Total) => Section::Total,
            (Self::Slot, _) => Section::Full,
            _ => section,
        }
    }

    /// The sections that periods of this length have.
    pub(super) fn sections(self) -> &'static [Section] {
        match self {
            Self::Slot => &[Section::Total, Section::Full],
            _ => &Section::ALL,
        }
    }
}

/// Reads one section of a period; nothing where there is none.
pub(super) fn read(
    connection: &Connection,
    level: Level,
    section: Section,
    number: u64,
) -> Result<FxHashMap<Key, Entry>, StoreError> {
    let body: Option<Vec<u8>> = connection
        .prepare_cached("SELECT body FROM rollup WHERE id = ?1")?
        .query_row([level.id(section, number)], |row| row.get(0))
        .optional()?;
    let mut entries = FxHashMap::default();
    if let Some(body) = body {
        section
            .visit(&body, &[], &mut |key, bytes| {
                entries.insert(*key, Entry::read(bytes)?);
                Some(())
            })
            .ok_or_else(|| damaged("a sum"))?;
    }
    Ok(entries)
}

/// Writes all sections of a period; of an empty one none.
pub(super) fn write(
    connection: &Connection,
    level: Level,
    number: u64,
    full: &FxHashMap<Key, Entry>,
) -> Result<(), StoreError> {
    if full.is_empty() {
        return remove(connection, level, number);
    }
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO rollup (id, body) VALUES (?1, ?2)")?;
    for section in level.sections() {
        let body = match section {
            Section::Full => section.write(full),
            _ => section.write(&super::section::gather(*section, full)),
        };
        statement.execute((level.id(*section, number), body))?;
    }
    Ok(())
}

/// Removes all sections of a period.
pub(super) fn remove(connection: &Connection, level: Level, number: u64) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("DELETE FROM rollup WHERE id = ?1")?;
    for section in level.sections() {
        statement.execute([level.id(*section, number)])?;
    }
    Ok(())
}

/// The newest half-hour that has sums.
pub(super) fn newest(connection: &Connection) -> Result<Option<u64>, StoreError> {
    let id: Option<i64> = connection
        .prepare_cached("SELECT id FROM rollup WHERE id < ?1 ORDER BY id DESC LIMIT 1")?
        .query_row([Level::Slot.id(Section::Workflow, 0)], |row| row.get(0))
        .optional()?;
    Ok(id.map(Level::number_of))
}

/// Hands out the numbers of all names that sums have, some of them often.
///
/// # Errors
/// When the file cannot be read.
pub(in crate::sqlite) fn visit_names(
    connection: &Connection,
    visit_name: &mut dyn FnMut(i64),
) -> Result<(), StoreError> {
    let all = (0, u64::MAX / SLOT_NS);
    visit(
        connection,
        Level::Month,
        Section::Full,
        all,
        &[],
        &mut |_, key, bytes| {
            for place in [WORKFLOW, NODE, MODEL, PROVIDER] {
                visit_name(key[place]);
            }
            Entry::skip(bytes)
        },
    )
}

/// Called with the half-hour that a period begins with, a key, and the bytes that its entry begins.
pub(super) type VisitSum<'v> = &'v mut dyn FnMut(u64, &Key, &mut &[u8]) -> Option<()>;

/// Hands out the sums of all half-hours from one to before another, in the longest periods that there are (and that
/// `longest` allows), in order within each length; only those whose keys are wanted. `visit` reads the entry whose bytes it
/// gets, or passes it by, and moves the bytes behind it; `None` where it is damaged.
pub(super) fn visit(
    connection: &Connection,
    longest: Level,
    section: Section,
    (from, to): (u64, u64),
    wanted: &Conditions,
    visit: VisitSum<'_>,
) -> Result<(), StoreError> {
    if from >= to {
        return Ok(());
    }
    let read = longest.section(section);
    // The periods that lie inside, all of each.
    let first = longest.around(from);
    let first = if longest.slots(first).0 < from {
        first + 1
    } else {
        first
    };
    let end = longest.around(to);
    let mut covered: Vec<(u64, u64)> = Vec::new();
    if first < end {
        let mut statement = connection
            .prepare_cached("SELECT id, body FROM rollup WHERE id >= ?1 AND id < ?2 ORDER BY id")?;
        let mut rows = statement.query([longest.id(read, first), longest.id(read, end)])?;
        while let Some(row) = rows.next()? {
            let number = Level::number_of(row.get(0)?);
            let slots = longest.slots(number);
            let body = row.get_ref(1)?.as_blob().map_err(|_| damaged("a sum"))?;
            read.visit(body, wanted, &mut |key, bytes| visit(slots.0, key, bytes))
                .ok_or_else(|| damaged("a sum"))?;
            covered.push(slots);
        }
    }
    if let Some(finer) = longest.finer() {
        let mut at = from;
        for (begins, ends) in covered.into_iter().chain([(to, to)]) {
            self::visit(connection, finer, section, (at, begins), wanted, visit)?;
            at = ends;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
