//! Rows of all spans that a filter holds for: batches are passed by as a whole, columns are looked at one by one, and a
//! row is made only of a span that all conditions hold for.
//!
//! Never reads a payload.

use std::ops::ControlFlow;

use flowmeter_model::{SpanKind, SpanStatus};
use rusqlite::{Connection, params_from_iter};
use smol_str::SmolStr;

use super::super::SqliteConfig;
use super::super::names::NameTexts;
use super::super::run_row::time_to_column;
use super::batches::{StoredBatch, with_columns};
use super::run_values::RunValues;
use super::runs;
use crate::codec::columns::{
    Column, DictionaryColumn, SpanClass, decode_integers, decode_money, decode_option,
};
use crate::rules::filters::{self, holds_for_span};
use crate::{RunFilter, RunOrder, SpanFilter, SpanRow, StoreError};

/// So few runs are looked up one by one.
const RUNS_FEW: usize = 500;

/// The runs that a filter is about.
pub(in crate::sqlite) enum RunSet {
    /// All.
    All,
    /// Those with these numbers, which have a value.
    These(Vec<i64>, RunValues),
}

impl RunSet {
    /// Runs that a filter holds for.
    pub(in crate::sqlite) fn of(
        connection: &Connection,
        config: &SqliteConfig,
        filter: &RunFilter,
    ) -> Result<Self, StoreError> {
        if filters::is_empty(filter) {
            return Ok(Self::All);
        }
        let mut ids = Vec::new();
        runs::visit(connection, config, filter, RunOrder::Started, &mut |id, _| {
            ids.push(id);
            Ok(true)
        })?;
        Ok(Self::these(ids))
    }

    /// Those with these numbers.
    pub(in crate::sqlite) fn these(ids: Vec<i64>) -> Self {
        let values = RunValues::of(ids.iter().map(|id| (*id, 1)).collect());
        Self::These(ids, values)
    }

    /// Whether this run is one of them.
    pub(in crate::sqlite) fn has(&self, run: i64) -> bool {
        match self {
            Self::All => true,
            Self::These(_, values) => values.get(run) != 0,
        }
    }
}

/// A condition on one column.
enum Condition {
    Class(Vec<SpanKind>, Vec<SpanStatus>),
    Started(u64, u64),
    Slower(u64),
    Cost(i64),
    Name(Column, Vec<i64>),
}

impl Condition {
    fn column(&self) -> Column {
        match self {
            Self::Class(..) => Column::Class,
            Self::Started(..) => Column::Start,
            Self::Slower(_) => Column::Duration,
            Self::Cost(_) => Column::Cost,
            Self::Name(column, _) => *column,
        }
    }

    /// Strikes out the spans that it does not hold for; whether any is left.
    fn apply(
        &self,
        bytes: &[u8],
        count: usize,
        values: &mut Vec<u64>,
        left: &mut Vec<u32>,
    ) -> Result<(), StoreError> {
        if let Self::Name(_, wanted) = self {
            let names = DictionaryColumn::names_of(bytes, count)?;
            if !names.iter().any(|name| wanted.contains(name)) {
                left.clear();
                return Ok(());
            }
            let column = DictionaryColumn::decode(bytes, count)?;
            let is_wanted: Vec<bool> = column.names.iter().map(|name| wanted.contains(name)).collect();
            keep(left, &column.indexes, |index| {
                usize::try_from(index)
                    .ok()
                    .and_then(|index| is_wanted.get(index).copied())
                    .unwrap_or(false)
            });
            return Ok(());
        }
        decode_integers(bytes, count, values)?;
        match self {
            Self::Class(kinds, statuses) => keep(left, values, |class| {
                let class = SpanClass(class);
                // One without a status is judged when its row is made.
                (kinds.is_empty() || kinds.contains(&class.kind()))
                    && (statuses.is_empty() || class.status().is_none_or(|status| statuses.contains(&status)))
            }),
            Self::Started(since, until) => keep(left, values, |start| start >= *since && start < *until),
            Self::Slower(limit) => keep(left, values, |duration| {
                decode_option(duration).unwrap_or(0) > *limit
            }),
            Self::Cost(least) => keep(left, values, |cost| {
                decode_money(cost).is_some_and(|cost| cost.0 >= *least)
            }),
            Self::Name(..) => {}
        }
        Ok(())
    }
}

fn keep(left: &mut Vec<u32>, values: &[u64], holds: impl Fn(u64) -> bool) {
    left.retain(|place| values.get(*place as usize).copied().is_some_and(&holds));
}

/// The conditions of a filter; `None` when none can meet them.
fn conditions(connection: &Connection, filter: &SpanFilter) -> Result<Option<Vec<Condition>>, StoreError> {
    let mut conditions = Vec::new();
    let names = [
        (Column::ErrorType, &filter.error_types),
        (Column::Model, &filter.models),
        (Column::Provider, &filter.providers),
        (Column::Node, &filter.nodes),
    ];
    for (column, wanted) in names {
        if wanted.is_empty() {
            continue;
        }
        let numbers = numbers_of(connection, wanted)?;
        if numbers.is_empty() {
            return Ok(None);
        }
        conditions.push(Condition::Name(column, numbers));
    }
    if !filter.kinds.is_empty() || !filter.statuses.is_empty() {
        conditions.push(Condition::Class(filter.kinds.clone(), filter.statuses.clone()));
    }
    if let Some(limit) = filter.slower_than_ns {
        conditions.push(Condition::Slower(limit));
    }
    if let Some(least) = filter.cost_min {
        conditions.push(Condition::Cost(least.0));
    }
    if filter.since.is_some() || filter.until.is_some() {
        let since = filter.since.map_or(0, |since| since.0);
        let until = filter.until.map_or(u64::MAX, |until| until.0);
        conditions.push(Condition::Started(since, until));
    }
    Ok(Some(conditions))
}

/// The numbers of names, as far as they have any.
fn numbers_of(connection: &Connection, names: &[String]) -> Result<Vec<i64>, StoreError> {
    let marks = vec!["?"; names.len()].join(", ");
    let sql = format!("SELECT id FROM name WHERE text IN ({marks})");
    let mut statement = connection.prepare(&sql)?;
    let numbers = statement.query_map(params_from_iter(names), |row| row.get(0))?;
    let mut numbers: Vec<i64> = numbers.collect::<Result<_, _>>()?;
    if names.iter().any(String::is_empty) {
        numbers.push(super::super::names::NO_NAME);
    }
    Ok(numbers)
}

/// The batches that may hold such spans, the newest first.
fn batches(
    connection: &Connection,
    filter: &SpanFilter,
    runs: &RunSet,
) -> Result<Vec<(i64, bool)>, StoreError> {
    let since = filter.since.map_or(i64::MIN, time_to_column);
    let until = filter.until.map_or(i64::MAX, time_to_column);
    let read = |row: &rusqlite::Row<'_>| {
        let (start_min, start_max): (i64, i64) = (row.get(1)?, row.get(2)?);
        // Whether all of it lies in the interval, so that no start need be looked at.
        Ok((row.get(0)?, start_min >= since && start_max < until))
    };
    let mut found: Vec<(i64, bool)> = match runs {
        RunSet::These(ids, _) if ids.len() <= RUNS_FEW => {
            let mut statement = connection.prepare_cached(
                "SELECT batch.id, batch.start_min, batch.start_max FROM batch_run \
                 CROSS JOIN batch ON batch.id = batch_run.batch \
                 WHERE batch_run.run = ?1 AND batch.start_max >= ?2 AND batch.start_min <= ?3",
            )?;
            let mut found = Vec::new();
            for id in ids {
                for batch in statement.query_map([*id, since, until], read)? {
                    found.push(batch?);
                }
            }
            found
        }
        _ => connection
            .prepare_cached(
                "SELECT id, start_min, start_max FROM batch WHERE start_max >= ?1 AND start_min <= ?2",
            )?
            .query_map([since, until], read)?
            .collect::<Result<_, _>>()?,
    };
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.dedup();
    Ok(found)
}

/// Hands out the row of each span that a filter holds for.
pub(in crate::sqlite) fn scan(
    connection: &Connection,
    config: &SqliteConfig,
    texts: &NameTexts,
    filter: &SpanFilter,
    visit: &mut dyn FnMut(&SpanRow) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let runs = RunSet::of(connection, config, &filter.runs)?;
    let Some(conditions) = conditions(connection, filter)? else {
        return Ok(());
    };
    let columns: Vec<Column> = conditions.iter().map(Condition::column).collect();
    let (mut values, mut left) = (Vec::new(), Vec::new());
    for (batch, is_inside) in batches(connection, filter, &runs)? {
        with_columns(connection, batch, &columns, |row| {
            left.clear();
            let mut count = 0_u32;
            for entry in &row.runs {
                let end = count + entry.count as u32;
                if runs.has(entry.id) {
                    left.extend(count..end);
                }
                count = end;
            }
            for (place, condition) in conditions.iter().enumerate() {
                if left.is_empty() {
                    break;
                }
                if !(is_inside && matches!(condition, Condition::Started(..))) {
                    condition.apply(row.bytes(place), row.spans, &mut values, &mut left)?;
                }
            }
            Ok(())
        })?;
        if left.is_empty() {
            continue;
        }
        let stored = StoredBatch::read(connection, batch)?;
        let mut workflow = (i64::MIN, SmolStr::default());
        for place in &left {
            let place = *place as usize;
            let found = stored.columns.span(place).zip(
                stored
                    .columns
                    .run(place)
                    .and_then(|run| stored.runs.get(usize::from(run))),
            );
            let Some((narrow, run)) = found else {
                return Err(super::super::failure::damaged(format!(
                    "span {place} of batch {batch}"
                )));
            };
            if workflow.0 != run.workflow {
                workflow = (run.workflow, texts.text(connection, run.workflow)?);
            }
            let narrow = narrow.with_names(|number| texts.text(connection, *number))?;
            let row = narrow.to_row(run.key, workflow.1.clone());
            if holds_for_span(filter, &row) && visit(&row).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}
