//! Search: words by the index, rows of characters by force, the newest first.
//!
//! What is found is verified by the rules that all backends share. Never decompresses more than it must: once there are
//! enough hits, what can only be older is not looked at.

mod buckets;
mod filter;
mod hits;
mod index;
mod line_groups;
mod look_up;
mod postings;
mod scan;
mod sources;
mod words;

use rusqlite::Connection;

pub(in crate::sqlite) use index::{WordIndexer, forget_batch, step, urgent_step, write_batch};
pub(in crate::sqlite) use line_groups::forget_lines;
pub(in crate::sqlite) use look_up::check;

use self::filter::RawFilter;
use self::hits::Hits;
use self::scan::{Looker, Wave};
use self::sources::Sources;
use super::SqliteConfig;
use super::names::NameTexts;
use crate::rules::patterns::Pattern;
use crate::{SearchHit, SearchQuery, StoreError};

/// Blocks that are looked at together, at first and at most: the first ones may be enough.
const WAVE_FIRST: usize = 2;
const WAVE_MAX: usize = 512;
/// So many times as many are next at most.
const WAVE_GROWTH: usize = 4;
/// While so many are looked at, the next ones are read.
const WAVE_LARGE: usize = 128;

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
    let mut looker = Looker::default();
    let mut looked_at = 0;
    let mut wave = Wave::read(connection, &mut sources, WAVE_FIRST)?;
    while wave.len() > 0 && !hits.are_enough(wave.newest()) {
        let (found, next, damaged) = wave.filtered(&filter, &mut looker, || {
            if wave.len() < WAVE_LARGE || hits.are_enough(sources.newest()) {
                return Ok(None);
            }
            let size = (WAVE_GROWTH * wave.len()).min(WAVE_MAX);
            Wave::read(connection, &mut sources, size).map(Some)
        })?;
        damaged.into_iter().for_each(&mut *unreadable);
        for candidate in found {
            match hits.verify(&candidate) {
                Err(StoreError::Damaged { what }) => unreadable(what),
                verified => verified?,
            }
        }
        hits.trim();
        looked_at += wave.len();
        wave = match next {
            Some(next) => next,
            None if hits.are_enough(sources.newest()) => break,
            None => {
                let size = wanted_blocks(query.limit, hits.len(), looked_at);
                let size = size.min(WAVE_GROWTH * wave.len()).clamp(WAVE_FIRST, WAVE_MAX);
                Wave::read(connection, &mut sources, size)?
            }
        };
    }
    sources.unreadable.into_iter().for_each(&mut *unreadable);
    hits.finish()
}

/// How many more blocks should do, when so many of `limit` hits were found in so many blocks.
fn wanted_blocks(limit: usize, found: usize, looked_at: usize) -> usize {
    let missing = limit.saturating_sub(found);
    match missing.saturating_mul(looked_at).checked_div(found) {
        Some(blocks) => blocks + blocks / 8,
        None => usize::MAX,
    }
}

#[cfg(test)]
mod tests;
