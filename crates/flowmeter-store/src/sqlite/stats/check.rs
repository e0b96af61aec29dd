//! Whether the sums say what the spans say.
//!
//! Never repairs anything.

use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::super::failure::damaged;
use super::columns::BatchReader;
use super::entry::Entry;
use super::place::{self, Level};
use super::section::{Key, Makings, Section, finish};
use crate::StoreError;
use crate::rules::sums::SLOT_NS;

/// What is wrong with the sums, in words. Half-hours hold at least what the spans in folded batches come to (runs that have had
/// their time are in the sums alone); days and months are the sums of what they consist of.
///
/// # Errors
/// When the file cannot be read at all.
pub(in crate::sqlite) fn check(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut problems = Vec::new();
    for level in [Level::Slot, Level::Day, Level::Month] {
        for section in level.sections() {
            check_level(connection, level, *section, &mut problems)?;
        }
    }
    check_spans(connection, &mut problems)?;
    Ok(problems)
}

/// That each period of a level is the sum of the next shorter ones, or at half-hours that sections agree.
fn check_level(
    connection: &Connection,
    level: Level,
    section: Section,
    problems: &mut Vec<String>,
) -> Result<(), StoreError> {
    let ids: Vec<i64> = connection
        .prepare_cached("SELECT id FROM rollup WHERE id >= ?1 AND id < ?2")?
        .query_map((level.id(section, 0), level.id(section, 1 << 39)), |row| {
            row.get(0)
        })?
        .collect::<Result<_, _>>()?;
    for id in ids {
        let number = Level::number_of(id);
        let name = || format!("the sums of {level:?} {number} by {section:?}");
        let Ok(kept) = place::read(connection, level, section, number) else {
            problems.push(format!("{} cannot be read", name()));
            continue;
        };
        let mut parts = Makings::default();
        let finer = level.finer().unwrap_or(Level::Slot);
        let read = place::visit(
            connection,
            finer,
            Section::Full,
            level.slots(number),
            &[],
            &mut |_, key, bytes| {
                if !Entry::bytes_have(section.parts(), bytes) {
                    return Entry::skip(bytes);
                }
                let making = parts.entry(section.key_of(key)).or_default();
                making.merge_bytes(section.parts(), bytes)
            },
        );
        if read.is_ok() && !agree(&kept, &finish(parts)) {
            problems.push(format!("{} are not those of their parts", name()));
        }
    }
    Ok(())
}

fn agree(kept: &FxHashMap<Key, Entry>, parts: &FxHashMap<Key, Entry>) -> bool {
    kept.len() == parts.len()
        && kept.iter().all(|(key, entry)| {
            parts
                .get(key)
                .is_some_and(|part| entry.covers(part) && part.covers(entry))
        })
}

/// That half-hours hold what the spans of folded batches come to.
fn check_spans(connection: &Connection, problems: &mut Vec<String>) -> Result<(), StoreError> {
    let batches: Vec<i64> = connection
        .prepare_cached("SELECT id FROM batch WHERE folded <> 0")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut reader = BatchReader::new(connection)?;
    let mut slots: FxHashMap<u64, Makings> = FxHashMap::default();
    for batch in batches {
        let read = reader.visit(batch, |_, counting| {
            let slot = slots.entry(counting.start.0 / SLOT_NS).or_default();
            // Kept by the total alone: a million spans must not become a million keys.
            let making = slot.entry(Section::Total.key_of(&counting.key)).or_default();
            making.add(counting.parts, &counting.figures);
            Ok(())
        });
        if read.is_err() {
            problems.push(format!("the columns of batch {batch} cannot be read"));
        }
    }
    for (slot, makings) in slots {
        let kept = place::read(connection, Level::Slot, Section::Total, slot)
            .map_err(|_| damaged("a sum"))
            .unwrap_or_default();
        let holds_all = finish(makings)
            .iter()
            .all(|(key, entry)| kept.get(key).is_some_and(|kept| kept.covers(entry)));
        if !holds_all {
            problems.push(format!("the sums of half-hour {slot} lack spans that are there"));
        }
    }
    Ok(())
}
