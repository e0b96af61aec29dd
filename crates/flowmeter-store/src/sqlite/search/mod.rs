//! Search: words by the index, rows of characters by force, the newest first.
//!
//! What is found is verified by the rules that all backends share. Never decompresses more than it must: once there are
//! enough hits, what can only be older is not looked at.

mod buckets;
mod filter;
mod hits;
mod index;
mod look_up;
mod postings;
mod scan;
mod sources;
mod words;

use rusqlite::Connection;

pub(in crate::sqlite) use index::{WordIndexer, forget_batch, step, urgent_step, write_batch};
pub(in crate::sqlite) use look_up::check;

use self::filter::RawFilter;
use self::hits::Hits;
use self::scan::Wave;
use self::sources::Sources;
use super::SqliteConfig;
use super::names::NameTexts;
use crate::rules::patterns::Pattern;
use crate::{SearchHit, SearchQuery, StoreError};

/// Blocks that are looked at together, at first and at most: the first ones may be enough.
const WAVE_FIRST: usize = 2;
const WAVE_MAX: usize = 512;

/// Parts that could not be read: what is wrong with each.
type Unreadable = Vec<String>;

/// Where a text stands, newest first. What is damaged is passed by, and told to `unreadable`.
pub(in crate::sqlite) fn search(
    connection: &Connection,
    config: &SqliteConfig,
    texts: &NameTexts,
    query: &SearchQuery,
    unreadable: &mut dyn FnMut(String),
) -> Result<Vec<SearchHit>, StoreError> {
    let pattern = Pattern::of(query)?;
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let filter = RawFilter::of(&pattern);
    let mut hits = Hits::new(connection, config, texts, query, &pattern, &filter)?;
    let mut sources = Sources::of(connection, query, &pattern, hits.only_in()?)?;
    let mut size = WAVE_FIRST;
    let mut wave = Wave::read(connection, &mut sources, size)?;
    while !wave.is_empty() {
        size = (2 * size).min(WAVE_MAX);
        if hits.are_enough(wave.newest()) {
            break;
        }
        let (found, next, damaged) = wave.filtered(&filter, || {
            if hits.are_enough(sources.newest()) {
                Ok(Wave::default())
            } else {
                Wave::read(connection, &mut sources, size)
            }
        })?;
        damaged.into_iter().for_each(&mut *unreadable);
        for candidate in found {
            match hits.verify(&candidate) {
                Err(StoreError::Damaged { what }) => unreadable(what),
                verified => verified?,
            }
        }
        hits.trim();
        wave = next;
    }
    sources.unreadable.into_iter().for_each(&mut *unreadable);
    hits.finish()
}

#[cfg(test)]
mod tests;
