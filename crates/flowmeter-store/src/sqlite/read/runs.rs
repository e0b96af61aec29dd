//! Lists of runs: which index a list is read along, so that it takes as long as it is and not as the history is.
//!
//! Never trusts its SQL with what a filter means: each row is judged by the rules that all backends share.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::super::run_lists::RunList;
use super::super::run_row::{SELECT, StoredRun, count_to_column, time_to_column};
use super::super::{SqliteConfig, model_sets, run_keys};
use super::amounts::{Amount, Least};
use super::conditions::{Clause, commit_range, conditions, marks, status_columns, text};
use super::newest::Newest;
use super::workflows;
use crate::rules::filters::holds_for_run;
use crate::{RunFilter, RunOrder, RunRow, StoreError};

/// A condition that so few runs meet is worth gathering them all and sorting them.
const FEW: i64 = 2_000;

/// Runs that a filter holds for, in order.
pub(in crate::sqlite) fn runs(
    connection: &Connection,
    config: &SqliteConfig,
    filter: &RunFilter,
    order: RunOrder,
    limit: usize,
    offset: usize,
) -> Result<Vec<RunRow>, StoreError> {
    let mut found = Vec::new();
    let mut skipped = 0;
    if limit > 0 {
        visit(connection, config, filter, order, &mut |_, row| {
            if skipped < offset {
                skipped += 1;
            } else {
                found.push(row);
            }
            Ok(found.len() < limit)
        })?;
    }
    Ok(found)
}

/// Hands out each run that a filter holds for, with its number, until `visit` says that it is enough.
pub(in crate::sqlite) fn visit(
    connection: &Connection,
    config: &SqliteConfig,
    filter: &RunFilter,
    order: RunOrder,
    visit: &mut dyn FnMut(i64, RunRow) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let Some(query) = Query::of(connection, filter, order)? else {
        return Ok(());
    };
    let mut ask = |sql: &str, values: &mut dyn Iterator<Item = &Value>| -> Result<bool, StoreError> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let run = StoredRun::read(row)?;
            let (id, row) = (run.id, run.into_row(config));
            if holds_for_run(filter, &row) && !visit(id, row)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let Some(along) = &query.along else {
        return ask(&query.sql, &mut query.values.iter()).map(drop);
    };
    let mut ask_some = |numbers: Value| ask(&query.sql, &mut std::iter::once(&numbers).chain(&query.values));
    match along {
        Along::Highest(amount) => {
            let lowest = amount.lowest(filter);
            amount.ask_highest_first(connection, lowest, &mut ask_some)
        }
        Along::Newest(newest) => newest.ask(connection, &mut ask_some).map(drop),
        Along::Workflows => workflows::ask_in_order(connection, &mut ask_some),
    }
}

/// A statement and what is put into it.
struct Query {
    sql: String,
    values: Vec<Value>,
    /// To be asked again and again, for some runs in this order, whose numbers come first among the values.
    along: Option<Along>,
}

/// An order that stands in lists.
#[derive(Clone, Debug)]
enum Along {
    /// By an amount.
    Highest(Amount),
    /// By time.
    Newest(Newest),
    /// By workflow.
    Workflows,
}

/// Runs of which the numbers are put in.
const LISTED: &str =
    "(SELECT value AS number FROM json_each(?)) AS way CROSS JOIN run ON run.id = way.number";

/// A way to the runs that meet one condition.
enum Path {
    /// Along a table or an index of it.
    Table(TablePath),
    /// Along lists.
    Listed(Newest),
}

/// A way along a table or an index of it.
struct TablePath {
    /// Where the condition can be looked up, and the condition.
    from: &'static str,
    clause: Clause,
    /// The column with the time of the start there, when the way leads from the newest to the oldest.
    started: Option<&'static str>,
    /// Whether the time of the start stands there all the same.
    can_sort: bool,
    /// How the statement gets from there to the run.
    join: &'static str,
}

impl Query {
    /// `None` when no run can meet the conditions.
    fn of(connection: &Connection, filter: &RunFilter, order: RunOrder) -> Result<Option<Self>, StoreError> {
        let Some(conditions) = conditions(filter) else {
            return Ok(None);
        };
        let path = choose(connection, paths(connection, filter)?, order)?;
        let mut values = Vec::new();
        let mut wheres = Vec::new();
        let mut is_sorted = false;
        let mut along = None;
        let (from, started) = match path {
            Some(Path::Listed(newest)) => {
                is_sorted = order == RunOrder::Started;
                if is_sorted {
                    along = Some(Along::Newest(newest));
                } else {
                    values.push(newest.all(connection)?);
                }
                (LISTED.to_owned(), None)
            }
            Some(Path::Table(path)) if path.can_sort && order == RunOrder::Started => {
                // Sorted where the condition is looked up, so that only rows that are shown are read. The limit, which
                // is none, keeps the order of what stands in brackets, and the join goes along it.
                values.extend(path.clause.values);
                is_sorted = true;
                let from = format!(
                    "(SELECT run.id AS number FROM {} WHERE {} ORDER BY run.started DESC, run.id DESC LIMIT -1) AS way \
                     CROSS JOIN run ON run.id = way.number",
                    path.from, path.clause.sql
                );
                (from, None)
            }
            Some(Path::Table(path)) => {
                wheres.push(path.clause.sql);
                values.extend(path.clause.values);
                let started = path.started.filter(|_| order == RunOrder::Started);
                (format!("{} {}", path.from, path.join), started)
            }
            None if order == RunOrder::Started => ("run INDEXED BY run_started".to_owned(), None),
            None => {
                is_sorted = true;
                along = Some(match order {
                    RunOrder::Duration => Along::Highest(Amount::Duration),
                    RunOrder::Cost => Along::Highest(Amount::Cost),
                    RunOrder::Tokens => Along::Highest(Amount::Tokens),
                    RunOrder::Workflow | RunOrder::Started => Along::Workflows,
                });
                (LISTED.to_owned(), None)
            }
        };
        for condition in conditions {
            wheres.push(condition.sql);
            values.extend(condition.values);
        }
        let wheres = if wheres.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", wheres.join(" AND "))
        };
        let started = started.unwrap_or("run.started");
        let id = match started {
            "run_tag.run_started" => "run_tag.run",
            _ => "run.id",
        };
        let order = match order {
            RunOrder::Started => format!("{started} DESC, {id} DESC"),
            RunOrder::Duration => "run.duration DESC, run.started DESC, run.id DESC".to_owned(),
            RunOrder::Cost => "run.cost DESC, run.started DESC, run.id DESC".to_owned(),
            RunOrder::Tokens => "run.tokens DESC, run.started DESC, run.id DESC".to_owned(),
            RunOrder::Workflow => "run.workflow, run.started DESC, run.id DESC".to_owned(),
        };
        let order = if is_sorted {
            String::new()
        } else {
            format!(" ORDER BY {order}")
        };
        Ok(Some(Self {
            sql: format!("{SELECT}{from}{wheres}{order}"),
            values,
            along,
        }))
    }
}

/// The way with the fewest runs on it; `None`: along the order itself.
fn choose(connection: &Connection, paths: Vec<Path>, order: RunOrder) -> Result<Option<Path>, StoreError> {
    let mut fewest: Option<(i64, Path)> = None;
    // What is on a way from the newest to the oldest: the later its runs end, the more there are of them.
    let mut sparsest: Option<(i64, Path)> = None;
    let is_only = paths.len() == 1 && order == RunOrder::Started;
    for path in paths {
        let last = match &path {
            Path::Listed(_) if is_only => return Ok(Some(path)),
            Path::Listed(newest) => newest.estimate_start_of(connection, FEW as usize)?,
            Path::Table(TablePath { started: Some(_), .. }) if is_only => return Ok(Some(path)),
            Path::Table(TablePath {
                from,
                clause,
                started: Some(started),
                ..
            }) => {
                let sql = format!(
                    "SELECT {started} FROM {from} WHERE {} ORDER BY {started} DESC LIMIT 1 OFFSET {FEW}",
                    clause.sql
                );
                first_number(connection, &sql, &clause.values)?
            }
            Path::Table(TablePath { from, clause, .. }) => {
                let most = FEW * 10;
                let sql = format!(
                    "SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {} LIMIT {most})",
                    clause.sql
                );
                let count = first_number(connection, &sql, &clause.values)?.unwrap_or(0);
                if count < most && fewest.as_ref().is_none_or(|(other, _)| count < *other) {
                    fewest = Some((count, path));
                }
                continue;
            }
        };
        let Some(last) = last else {
            return Ok(Some(path));
        };
        if sparsest.as_ref().is_none_or(|(other, _)| last < *other) {
            sparsest = Some((last, path));
        }
    }
    Ok(match (fewest, sparsest) {
        (Some((count, path)), None) if count < FEW * 10 => Some(path),
        (Some((count, path)), _) if count < FEW => Some(path),
        (_, Some((_, path))) if order == RunOrder::Started => Some(path),
        (Some((_, path)), _) => Some(path),
        _ => None,
    })
}

fn first_number(connection: &Connection, sql: &str, values: &[Value]) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_row(params_from_iter(values), |row| row.get(0))
        .optional()?)
}

/// The ways that a filter's conditions open.
fn paths(connection: &Connection, filter: &RunFilter) -> Result<Vec<Path>, StoreError> {
    const JOIN_TAG: &str = "CROSS JOIN run ON run.id = run_tag.run";
    let mut paths = Vec::new();
    let mut add = |from: &'static str, clause, started: Option<&'static str>, join| {
        paths.push(Path::Table(TablePath {
            from,
            clause,
            started,
            can_sort: started.is_none() && from != "run_keys",
            join,
        }));
    };
    if let Some((from, to)) = filter.trace_prefix.as_deref().and_then(run_keys::parts_of_traces) {
        let clause = Clause::new(
            "run_keys.key_trace BETWEEN ? AND ?",
            vec![Value::Integer(from), Value::Integer(to)],
        );
        add(
            "run_keys",
            clause,
            None,
            "CROSS JOIN run ON run.id = run_keys.key_run",
        );
    }
    if let Some(session) = &filter.session {
        let clause = Clause::new("run.session = ?", vec![text(session)]);
        add("run INDEXED BY run_session", clause, Some("run.started"), "");
    }
    for (key, value) in &filter.tags {
        let clause = Clause::new(
            "run_tag.key = ? AND run_tag.value = ?",
            vec![text(key), text(value)],
        );
        add("run_tag", clause, Some("run_tag.run_started"), JOIN_TAG);
    }
    if let Some(user) = &filter.user {
        let clause = Clause::new("run.user = ?", vec![text(user)]);
        add("run INDEXED BY run_user", clause, Some("run.started"), "");
    }
    if let Some(commit) = filter.git_commit.as_deref().and_then(commit_range) {
        add("run INDEXED BY run_commit", commit, None, "");
    }
    let statuses = status_columns(filter);
    if !statuses.is_empty() && !statuses.contains(&1) {
        let values: Vec<Value> = statuses.iter().map(|status| Value::Integer(*status)).collect();
        let is_one = values.len() == 1;
        let sql = if is_one {
            "run.status = ? AND run.status <> 1".to_owned()
        } else {
            format!("run.status IN ({}) AND run.status <> 1", marks(values.len()))
        };
        let started = is_one.then_some("run.started");
        add("run INDEXED BY run_unwell", Clause::new(sql, values), started, "");
    }
    if filter.since.is_some() && filter.until.is_some() {
        let clause = Clause::new(
            "run.started >= ? AND run.started < ?",
            [filter.since, filter.until]
                .into_iter()
                .flatten()
                .map(|time| Value::Integer(time_to_column(time)))
                .collect(),
        );
        add("run INDEXED BY run_started", clause, None, "");
    }
    // A moment that there is no number for stands for all behind it.
    let started =
        filter.since.map_or(i64::MIN, time_to_column)..=filter.until.map_or(i64::MAX, time_to_column);
    let mut add_listed = |newest: Newest| paths.push(Path::Listed(newest.started(started.clone())));
    if !filter.workflows.is_empty() {
        let mut workflows: Vec<&String> = filter.workflows.iter().collect();
        workflows.sort_unstable();
        workflows.dedup();
        let places = workflows.into_iter().map(|workflow| text(workflow)).collect();
        add_listed(Newest::at(RunList::Workflow, places));
    }
    let least_cost = filter.cost_min.map(|least| (Amount::Cost, Least::from(least.0)));
    let limit = filter.slower_than_ns.map(count_to_column);
    let least_duration = limit.map(|limit| (Amount::Duration, Least::above(limit)));
    for (amount, least) in [least_cost, least_duration].into_iter().flatten() {
        add_listed(amount.newest_from(connection, least)?);
    }
    if let [model] = filter.models.as_slice() {
        let sets = model_sets::with(connection, model)?;
        add_listed(Newest::at(RunList::Models, sets));
    }
    Ok(paths)
}
