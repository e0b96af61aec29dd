//! What describes one run, and its open spans.
//!
//! Never reads a span that ended.

use flowmeter_model::Span;
use rusqlite::{Connection, OptionalExtension};

use super::super::SqliteConfig;
use super::super::content_source::StoredContent;
use super::super::run_row::StoredRun;
use super::super::whole_span;
use crate::codec::block::Sealer;
use crate::{RunDetail, RunKey, StoreError};

/// Everything about one run but its spans and logs.
pub(in crate::sqlite) fn run(
    connection: &Connection,
    config: &SqliteConfig,
    key: &RunKey,
) -> Result<Option<RunDetail>, StoreError> {
    let Some(run) = StoredRun::find(connection, key)? else {
        return Ok(None);
    };
    let mut source = StoredContent::new(connection);
    let described = read(connection, &run, &mut source)?;
    let mut open = read_open(connection, &run, &mut source)?;
    open.sort_by_key(|span| (span.start, span.span_id));
    let (resource, metrics) = described
        .map(|span| (span.attributes, span.params))
        .unwrap_or_default();
    let process = run.process.clone();
    Ok(Some(RunDetail {
        row: run.into_row(config),
        resource,
        metrics: metrics.map(|metrics| serde_json::Value::clone(&metrics)),
        open,
        process,
    }))
}

/// What describes the run, in the form of a span.
pub(in crate::sqlite) fn read(
    connection: &Connection,
    run: &StoredRun,
    source: &mut StoredContent<'_>,
) -> Result<Option<Span>, StoreError> {
    let found = spans_of(
        connection,
        "SELECT body FROM run_detail WHERE run = ?1",
        run,
        source,
    )?;
    Ok(found.into_iter().next())
}

/// The spans of the run that are open, as they were when they were last written.
pub(in crate::sqlite) fn read_open(
    connection: &Connection,
    run: &StoredRun,
    source: &mut StoredContent<'_>,
) -> Result<Vec<Span>, StoreError> {
    spans_of(
        connection,
        "SELECT body FROM run_open WHERE run = ?1",
        run,
        source,
    )
}

fn spans_of(
    connection: &Connection,
    sql: &str,
    run: &StoredRun,
    source: &mut StoredContent<'_>,
) -> Result<Vec<Span>, StoreError> {
    let body: Option<Vec<u8>> = connection
        .prepare_cached(sql)?
        .query_row([run.id], |row| row.get(0))
        .optional()?;
    let Some(body) = body else {
        return Ok(Vec::new());
    };
    let mut sealer = Sealer::new();
    Ok(whole_span::unpack(run.row.key, &body, source, &mut sealer)?)
}
