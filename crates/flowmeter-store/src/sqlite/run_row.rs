//! A run's row: how it stands in its table, how it is read and written.
//!
//! Never decides what a run came to; the writer does.

use flowmeter_model::{CostTotal, SpanError, SpanId, TimestampNs, TraceId, UsdNanos};
use rusqlite::{CachedStatement, Connection, Row, params};
use smol_str::SmolStr;

use super::SqliteConfig;
use super::classes::class_of;
use super::failure::damaged;
use super::{model_sets, run_keys, run_lists};
use crate::{Origin, ProcessMark, RunKey, RunRow, RunStatus, StoreError, TokenSums};

/// The columns, in the order in which [`StoredRun::read`] takes them and [`StoredRun::execute`] gives them; what is given
/// for the models is the number of their set.
macro_rules! columns {
    ($models:literal) => {
        concat!(
            "id, trace, root, parent, begun, started, ended, seen, status, workflow, spans, logs, nodes, \
             llm_calls, input, cache_read, cache_write, output, reasoning, cost, cost_calls, saved, \
             saved_calls, sampled, payloads_gone, ",
            $models,
            ", error, version, session, user, git_commit, tags, host, pid, pid_started, closed"
        )
    };
}

macro_rules! read_columns {
    () => {
        columns!("(SELECT models FROM model_set WHERE model_set.id = run.model_set)")
    };
}

const FIND: &str = concat!("SELECT ", read_columns!(), " FROM run WHERE id = ?1");
const INSERT: &str = concat!(
    "INSERT INTO run (",
    columns!("model_set"),
    ", duration, tokens, duration_class, tokens_class, cost_class) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, \
         ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41)"
);
const UPDATE: &str = "UPDATE run SET trace = ?2, root = ?3, parent = ?4, begun = ?5, started = ?6, ended = ?7, seen = ?8, status = ?9, \
         workflow = ?10, spans = ?11, logs = ?12, nodes = ?13, llm_calls = ?14, input = ?15, \
         cache_read = ?16, cache_write = ?17, output = ?18, reasoning = ?19, cost = ?20, cost_calls = ?21, \
         saved = ?22, saved_calls = ?23, sampled = ?24, payloads_gone = ?25, model_set = ?26, error = ?27, \
         version = ?28, session = ?29, user = ?30, git_commit = ?31, tags = ?32, host = ?33, pid = ?34, \
         pid_started = ?35, closed = ?36, duration = ?37, tokens = ?38, duration_class = ?39, \
         tokens_class = ?40, cost_class = ?41 WHERE id = ?1";

/// Asks for [`StoredRun::read`]; `WHERE` and what follows is to be added.
pub(super) const SELECT: &str = concat!("SELECT ", read_columns!(), " FROM ");

/// How the beginning or the end of a run is known. What is known better holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    /// Things of the run were heard of.
    Heard,
    /// Its root span tells.
    Root,
    /// It was said.
    Said,
}

impl Known {
    fn of_column(column: i64) -> Self {
        match column {
            1 => Self::Root,
            2 => Self::Said,
            _ => Self::Heard,
        }
    }
}

/// Of a process that cannot be looked at, a run without a word for so long is over: one day, nanoseconds.
const SILENCE_NS_MAX: u64 = 86_400_000_000_000;

/// A run as its row has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoredRun {
    /// The number of its row; 0 while it has none.
    pub(super) id: i64,
    /// How its beginning is known.
    pub(super) begun: Known,
    /// How its end is known.
    pub(super) closed: Known,
    /// What lists show; its status is [`RunStatus::Running`] while it has no end.
    pub(super) row: RunRow,
    /// When it was last heard of.
    pub(super) seen: TimestampNs,
    /// Who records it.
    pub(super) process: Option<ProcessMark>,
}

/// Times are whole numbers with a sign in the file; none before 2262 is changed by that.
pub(super) fn time_to_column(time: TimestampNs) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

pub(super) fn time_of_column(time: i64) -> TimestampNs {
    TimestampNs(u64::try_from(time).unwrap_or(0))
}

pub(super) fn count_to_column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn count_of_column(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Ids are written bit by bit.
pub(super) fn span_id_to_column(span_id: SpanId) -> i64 {
    span_id.to_u64().cast_signed()
}

pub(super) fn span_id_of_column(span_id: i64) -> Option<SpanId> {
    SpanId::from_u64(span_id.cast_unsigned())
}

/// The number that stands for a status; 0 while there is no end.
pub(super) fn status_to_column(status: RunStatus) -> i64 {
    match status {
        RunStatus::Running | RunStatus::Interrupted => 0,
        RunStatus::Ok => 1,
        RunStatus::Error => 2,
        RunStatus::Cancelled => 3,
    }
}

fn status_of_column(status: i64) -> RunStatus {
    match status {
        1 => RunStatus::Ok,
        2 => RunStatus::Error,
        3 => RunStatus::Cancelled,
        _ => RunStatus::Running,
    }
}

/// The counts beside a sum of costs; nothing where there are none but calls that were simply priced.
fn counts_to_column(total: &CostTotal) -> Vec<u8> {
    let counts = [
        total.calls,
        total.unpriced_calls,
        total.partial_calls,
        total.estimated_calls,
        total.reported_calls,
    ];
    let used = counts
        .iter()
        .rposition(|count| *count > 0)
        .map_or(0, |last| last + 1);
    let mut bytes = Vec::with_capacity(used * 2);
    for count in counts.iter().take(used) {
        let mut rest = *count;
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    bytes
}

fn total_of_columns(known: i64, bytes: &[u8]) -> CostTotal {
    let mut counts = [0_u64; 5];
    let mut bytes = bytes.iter();
    for count in &mut counts {
        let mut shift = 0;
        for byte in bytes.by_ref() {
            if shift < 64 {
                *count |= u64::from(byte & 0x7f) << shift;
            }
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    let [
        calls,
        unpriced_calls,
        partial_calls,
        estimated_calls,
        reported_calls,
    ] = counts;
    CostTotal {
        known: UsdNanos(known),
        calls,
        unpriced_calls,
        partial_calls,
        estimated_calls,
        reported_calls,
        ..CostTotal::default()
    }
}

fn json_of<T: serde::Serialize>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}

impl StoredRun {
    /// A run of which nothing is known.
    pub(super) fn unknown(key: RunKey) -> Self {
        Self {
            id: 0,
            begun: Known::Heard,
            closed: Known::Heard,
            row: RunRow {
                key,
                parent_span_id: None,
                workflow: SmolStr::default(),
                status: RunStatus::Running,
                started: TimestampNs(0),
                ended: None,
                spans: 0,
                logs: 0,
                nodes: 0,
                llm_calls: 0,
                tokens: TokenSums::default(),
                cost: CostTotal::default(),
                saved: CostTotal::default(),
                error: None,
                models: Vec::new(),
                origin: Origin::default(),
                sampled: true,
                payloads_gone: false,
            },
            seen: TimestampNs(0),
            process: None,
        }
    }

    /// Nanoseconds from its start to its end, or to when it was last heard of.
    pub(super) fn duration_ns(&self) -> u64 {
        self.row.ended.unwrap_or(self.seen).since(self.row.started)
    }

    /// Reads the columns of [`SELECT`].
    pub(super) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let broken = || damaged("the row of a run");
        let blob = |column: usize| -> Result<&[u8], StoreError> {
            row.get_ref(column)?.as_blob().map_err(|_| broken())
        };
        let count = |column: usize| row.get::<_, i64>(column).map(count_of_column);
        let text = |column: usize| -> Result<Option<&str>, StoreError> {
            row.get_ref(column)?.as_str_or_null().map_err(|_| broken())
        };
        let trace: [u8; 16] = blob(1)?.try_into().map_err(|_| broken())?;
        let key = RunKey {
            trace_id: TraceId::from_bytes(trace).ok_or_else(broken)?,
            root_span_id: span_id_of_column(row.get(2)?).ok_or_else(broken)?,
        };
        let error = text(26)?
            .map(|error| serde_json::from_str::<SpanError>(error).map_err(|_| broken()))
            .transpose()?;
        let tags = text(31)?
            .map(|tags| serde_json::from_str(tags).map_err(|_| broken()))
            .transpose()?;
        let process = match (
            text(32)?,
            row.get::<_, Option<i64>>(33)?,
            row.get::<_, Option<i64>>(34)?,
        ) {
            (Some(host), Some(pid), Some(started)) => Some(ProcessMark {
                host: SmolStr::new(host),
                pid: u32::try_from(pid).unwrap_or(0),
                started: started.cast_unsigned(),
            }),
            _ => None,
        };
        Ok(Self {
            id: row.get(0)?,
            begun: Known::of_column(row.get(4)?),
            closed: Known::of_column(row.get(35)?),
            seen: time_of_column(row.get(7)?),
            process,
            row: RunRow {
                key,
                parent_span_id: row.get::<_, Option<i64>>(3)?.and_then(span_id_of_column),
                workflow: SmolStr::new(text(9)?.unwrap_or_default()),
                status: status_of_column(row.get(8)?),
                started: time_of_column(row.get(5)?),
                ended: row.get::<_, Option<i64>>(6)?.map(time_of_column),
                spans: count(10)?,
                logs: count(11)?,
                nodes: count(12)?,
                llm_calls: count(13)?,
                tokens: TokenSums {
                    input: count(14)?,
                    cache_read: count(15)?,
                    cache_write: count(16)?,
                    output: count(17)?,
                    reasoning: count(18)?,
                },
                cost: total_of_columns(row.get(19)?, blob(20)?),
                saved: total_of_columns(row.get(21)?, blob(22)?),
                error,
                models: text(25)?.map(model_sets::models_of).unwrap_or_default(),
                origin: Origin {
                    workflow_version: text(27)?.map(SmolStr::new),
                    session: text(28)?.map(str::to_owned),
                    user: text(29)?.map(str::to_owned),
                    git_commit: text(30)?.map(str::to_owned),
                    tags: tags.unwrap_or_default(),
                },
                sampled: row.get(23)?,
                payloads_gone: row.get(24)?,
            },
        })
    }

    /// The run of this key.
    pub(super) fn find(connection: &Connection, key: &RunKey) -> Result<Option<Self>, StoreError> {
        let Some(id) = run_keys::find(connection, key)? else {
            return Ok(None);
        };
        let mut statement = connection.prepare_cached(FIND)?;
        let mut rows = statement.query([id])?;
        rows.next()?.map(Self::read).transpose()
    }

    /// Writes the row anew, or for the first time; then it has a number. `model_set` is that of its models.
    pub(super) fn write(
        &mut self,
        connection: &Connection,
        model_set: Option<i64>,
    ) -> Result<(), StoreError> {
        if self.id == 0 {
            self.execute(connection.prepare_cached(INSERT)?, model_set)?;
            self.id = connection.last_insert_rowid();
            return run_keys::add(connection, &self.row.key, self.id);
        }
        let before = run_lists::entries_of(connection, self.id)?;
        self.execute(connection.prepare_cached(UPDATE)?, model_set)?;
        if before.is_empty() {
            return Ok(());
        }
        run_lists::replace(connection, &before, &run_lists::entries_of(connection, self.id)?)
    }

    fn execute(&self, mut statement: CachedStatement<'_>, model_set: Option<i64>) -> Result<(), StoreError> {
        let row = &self.row;
        let tags = (!row.origin.tags.is_empty())
            .then(|| json_of(&row.origin.tags))
            .flatten();
        let process = self.process.as_ref();
        let (duration, tokens) = (
            count_to_column(self.duration_ns()),
            count_to_column(row.tokens.total()),
        );
        statement.execute(params![
            (self.id != 0).then_some(self.id),
            row.key.trace_id.to_bytes().as_slice(),
            span_id_to_column(row.key.root_span_id),
            row.parent_span_id.map(span_id_to_column),
            self.begun as i64,
            time_to_column(row.started),
            row.ended.map(time_to_column),
            time_to_column(self.seen),
            status_to_column(row.status),
            row.workflow.as_str(),
            count_to_column(row.spans),
            count_to_column(row.logs),
            count_to_column(row.nodes),
            count_to_column(row.llm_calls),
            count_to_column(row.tokens.input),
            count_to_column(row.tokens.cache_read),
            count_to_column(row.tokens.cache_write),
            count_to_column(row.tokens.output),
            count_to_column(row.tokens.reasoning),
            row.cost.known.0,
            counts_to_column(&row.cost),
            row.saved.known.0,
            counts_to_column(&row.saved),
            row.sampled,
            row.payloads_gone,
            model_set,
            row.error.as_ref().and_then(json_of),
            row.origin.workflow_version.as_deref(),
            row.origin.session,
            row.origin.user,
            row.origin.git_commit,
            tags,
            process.map(|process| process.host.as_str()),
            process.map(|process| process.pid),
            process.map(|process| process.started.cast_signed()),
            self.closed as i64,
            duration,
            tokens,
            class_of(duration),
            class_of(tokens),
            class_of(row.cost.known.0),
        ])?;
        Ok(())
    }

    /// What lists show, with the status as it is now.
    pub(super) fn into_row(self, config: &SqliteConfig) -> RunRow {
        let mut row = self.row;
        if self.closed == Known::Heard {
            let lives = self.process.as_ref().is_some_and(|process| {
                (config.is_alive)(process)
                    .unwrap_or_else(|| config.clock.now().since(self.seen) < SILENCE_NS_MAX)
            });
            row.status = if lives {
                RunStatus::Running
            } else {
                RunStatus::Interrupted
            };
            row.ended = Some(self.seen);
        }
        row
    }
}

#[cfg(test)]
mod tests;
