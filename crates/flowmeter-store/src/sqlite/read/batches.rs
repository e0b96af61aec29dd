//! Batches as they stand in their tables.
//!
//! Never decodes a column that nobody asked for.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::super::batch_runs::{BatchRun, decode_runs};
use super::super::failure::damaged;
use crate::StoreError;
use crate::codec::columns::{Column, DecodedColumns};

/// A batch, all of it but its payloads.
pub(in crate::sqlite) struct StoredBatch {
    pub(in crate::sqlite) runs: Vec<BatchRun>,
    pub(in crate::sqlite) columns: DecodedColumns,
}

/// A column of a row; nothing where something else stands.
pub(in crate::sqlite) fn blob<'r>(row: &'r Row<'_>, column: usize) -> &'r [u8] {
    match row.get_ref(column) {
        Ok(ValueRef::Blob(bytes)) => bytes,
        _ => &[],
    }
}

impl StoredBatch {
    /// Reads the batch with this number.
    pub(in crate::sqlite) fn read(connection: &Connection, batch: i64) -> Result<Self, StoreError> {
        with_columns(connection, batch, &Column::ALL, |row| {
            let columns = DecodedColumns::decode(row.spans, |column| row.bytes(column as usize))?;
            Ok(Self {
                runs: row.runs,
                columns,
            })
        })
    }
}

/// Columns of a batch as they stand in the file, and its runs.
pub(in crate::sqlite) struct ColumnsRow<'r> {
    row: &'r Row<'r>,
    /// One after the other: so their spans stand.
    pub(in crate::sqlite) runs: Vec<BatchRun>,
    /// How many spans.
    pub(in crate::sqlite) spans: usize,
}

impl ColumnsRow<'_> {
    /// The column that was the one at this place among those that were asked for.
    pub(in crate::sqlite) fn bytes(&self, place: usize) -> &[u8] {
        blob(self.row, 1 + place)
    }
}

/// Reads some columns of a batch, and no others.
///
/// # Errors
/// When they are missing or damaged, and what `read` says.
pub(in crate::sqlite) fn with_columns<T>(
    connection: &Connection,
    batch: i64,
    columns: &[Column],
    read: impl FnOnce(ColumnsRow<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut statement = connection.prepare_cached(&select(columns))?;
    let mut rows = statement.query([batch])?;
    let row = rows
        .next()?
        .ok_or_else(|| damaged(format!("the columns of batch {batch} are missing")))?;
    let runs = decode_runs(blob(row, 0))?;
    let spans = runs.iter().map(|run| run.count).sum();
    read(ColumnsRow { row, runs, spans })
}

/// The first span of each block of a batch.
pub(in crate::sqlite) fn firsts(connection: &Connection, batch: i64) -> Result<Vec<usize>, StoreError> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT firsts FROM batch WHERE id = ?1")?
        .query_row([batch], |row| row.get(0))
        .optional()?;
    let bytes = bytes.ok_or_else(|| damaged(format!("batch {batch} is missing")))?;
    let (firsts, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(damaged(format!("the blocks of batch {batch}")));
    }
    Ok(firsts
        .iter()
        .map(|first| usize::from(u16::from_le_bytes(*first)))
        .collect())
}

/// Whether blocks of a batch are lost: those that have had their time are no longer counted in its bytes.
pub(in crate::sqlite) fn lacks_payloads(connection: &Connection, batch: i64) -> Result<bool, StoreError> {
    const LACKS: &str = "SELECT payload_bytes > (SELECT coalesce(sum(length(body)), 0) FROM payload \
         WHERE id BETWEEN ?1 * 64 AND ?1 * 64 + 63) FROM batch WHERE id = ?1";
    let lacks: Option<bool> = connection
        .prepare_cached(LACKS)?
        .query_row([batch], |row| row.get(0))
        .optional()?;
    Ok(lacks.unwrap_or(true))
}

/// The statement for some columns of a batch, and no others.
pub(in crate::sqlite) fn select(columns: &[Column]) -> String {
    let names: Vec<String> = columns
        .iter()
        .map(|column| format!(", \"{}\"", column.as_str()))
        .collect();
    format!(
        "SELECT runs{} FROM batch_columns WHERE batch = ?1",
        names.concat()
    )
}

/// The same of all batches.
pub(in crate::sqlite) fn select_of_all(columns: &[Column]) -> String {
    select(columns).replace(" WHERE batch = ?1", "")
}
