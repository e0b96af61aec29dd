//! Payloads that have had their time leave their blocks; the columns stay.
//!
//! Never changes a column.

use rusqlite::Connection;
use rustc_hash::FxHashSet;

use super::batch_runs::decode_runs;
use super::hooks;
use super::read::batches::{blob, firsts};
use super::rewrite::{hashes_of, open_block};
use crate::StoreError;
use crate::codec::block::{BlockWriter, Sealer};
use crate::codec::content::ContentHash;
use crate::codec::payload::visit_references;

/// For each span of a batch, whether its run is one of these.
fn is_meant(connection: &Connection, batch: i64, runs: &FxHashSet<i64>) -> Result<Vec<bool>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT runs FROM batch_columns WHERE batch = ?1")?;
    let mut rows = statement.query([batch])?;
    let entries = match rows.next()? {
        Some(row) => decode_runs(blob(row, 0))?,
        None => Vec::new(),
    };
    Ok(entries
        .iter()
        .flat_map(|entry| std::iter::repeat_n(runs.contains(&entry.id), entry.count))
        .collect())
}

/// Whether a batch holds payloads of these runs.
pub(super) fn has_payloads(
    connection: &Connection,
    batch: i64,
    runs: &FxHashSet<i64>,
) -> Result<bool, StoreError> {
    let meant = is_meant(connection, batch, runs)?;
    let firsts = firsts(connection, batch)?;
    let mut sealer = Sealer::new();
    for (number, first) in firsts.iter().enumerate() {
        let end = firsts.get(number + 1).copied().unwrap_or(meant.len());
        if !meant.get(*first..end).unwrap_or_default().contains(&true) {
            continue;
        }
        let Some(block) = open_block(connection, &mut sealer, batch * 64 + number as i64)? else {
            continue;
        };
        let held = block.payloads().enumerate().any(|(place, payload)| {
            !payload.is_empty() && meant.get(first + place).copied().unwrap_or(false)
        });
        if held {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes the payloads of some runs from a batch; how many they were.
pub(super) fn blank(
    connection: &Connection,
    batch: i64,
    runs: &FxHashSet<i64>,
    hashes: &mut FxHashSet<ContentHash>,
) -> Result<u64, StoreError> {
    hooks::batch_gone(connection, batch)?;
    let meant = is_meant(connection, batch, runs)?;
    let firsts = firsts(connection, batch)?;
    let (mut sealer, mut writer) = (Sealer::new(), BlockWriter::default());
    let mut still: Vec<ContentHash> = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    for (number, first) in firsts.iter().enumerate() {
        let id = batch * 64 + number as i64;
        let Some(block) = open_block(connection, &mut sealer, id)? else {
            continue;
        };
        let (mut taken, mut left) = (0, 0);
        for (place, payload) in block.payloads().enumerate() {
            if payload.is_empty() {
                writer.push(&[])?;
            } else if meant.get(first + place).copied().unwrap_or(false) {
                taken += 1;
                writer.push(&[])?;
            } else {
                left += 1;
                visit_references(payload, &mut |hash| still.push(hash))?;
                writer.push(payload)?;
            }
        }
        let body = writer.finish(&mut sealer)?;
        count += taken;
        if left == 0 {
            connection
                .prepare_cached("DELETE FROM payload WHERE id = ?1")?
                .execute([id])?;
        } else {
            bytes += body.len();
            if taken > 0 {
                connection
                    .prepare_cached("UPDATE payload SET body = ?2 WHERE id = ?1")?
                    .execute((id, body))?;
            }
        }
    }
    still.sort_unstable();
    still.dedup();
    {
        let mut statement = connection.prepare_cached("SELECT hashes FROM batch_content WHERE batch = ?1")?;
        let mut rows = statement.query([batch])?;
        if let Some(row) = rows.next()? {
            hashes.extend(hashes_of(blob(row, 0)));
        }
    }
    let still: Vec<u8> = still.iter().flat_map(|hash| hash.to_bytes()).collect();
    connection
        .prepare_cached("DELETE FROM recent_marks WHERE place = ?1 % 256 AND batch = ?1")?
        .execute([batch])?;
    if still.is_empty() {
        connection
            .prepare_cached("DELETE FROM batch_content WHERE batch = ?1")?
            .execute([batch])?;
    } else {
        connection
            .prepare_cached("UPDATE batch_content SET hashes = ?2 WHERE batch = ?1")?
            .execute((batch, still))?;
    }
    connection
        .prepare_cached("UPDATE batch SET payload_bytes = ?2, worded = 0 WHERE id = ?1")?
        .execute((batch, bytes as i64))?;
    Ok(count)
}
