//! Which run of the history is meant: by the beginning of its id, `last`, `last~2`, `last-failed`, or its full key.
//!
//! Never guesses between two runs: it lists them.

use std::collections::HashMap;
use std::fmt;

use anyhow::Result;
use flowmeter_store::{RunFilter, RunKey, RunOrder, RunRow, RunStatus, Store};

use crate::exit::{BadUsage, MissingRun};
use crate::times::TimeWords;

/// The fewest digits of an id that name a run.
const DIGITS_MIN: usize = 4;
/// How many runs of one trace are looked at.
const RUNS_OF_TRACE_MAX: usize = 10_000;
/// How many runs are asked for at a time, where some are passed over.
const PAGE: usize = 64;
/// How many candidates are named.
const CANDIDATES_SHOWN: usize = 6;

/// How a run is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunSelector {
    /// The newest run, or so many before it.
    Last(usize),
    /// The newest run that failed, or so many before it.
    LastFailed(usize),
    /// The beginning of a trace's id, and of the id of a root span in it.
    Id {
        /// At least four lower-case hex digits.
        trace: String,
        /// Empty unless there was a `-`.
        root: String,
    },
}

/// The runs that a name stands for.
#[derive(Clone, Debug)]
pub(crate) struct SelectedRun {
    /// The run.
    pub(crate) row: RunRow,
    /// All runs of its trace, the run itself among them, oldest first: runs that it started have their own rows.
    /// Where the run was named by its full key, it stands alone.
    pub(crate) trace: Vec<RunRow>,
}

impl RunSelector {
    /// Reads a name; `None` where it cannot be one, such as a path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, back) = match text.split_once('~') {
            Some((name, "")) => (name, 1),
            Some((name, back)) => (name, back.parse().ok()?),
            None => (text, 0),
        };
        match name {
            "last" => return Some(Self::Last(back)),
            "last-failed" => return Some(Self::LastFailed(back)),
            _ => {}
        }
        let text = text.to_ascii_lowercase();
        let (trace, root) = text.split_once('-').unwrap_or((&text, ""));
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_id = trace.len() >= DIGITS_MIN && trace.len() <= 32 && root.len() <= 16;
        (is_id && is_hex(trace) && is_hex(root)).then(|| Self::Id {
            trace: trace.to_owned(),
            root: root.to_owned(),
        })
    }

    /// The run that is meant, if it is there.
    ///
    /// # Errors
    /// When several runs are meant alike, and when the store cannot be read.
    pub(crate) fn find(&self, store: &dyn Store, times: &TimeWords) -> Result<Option<SelectedRun>> {
        match self {
            Self::Last(back) => newest(store, &RunFilter::default(), *back),
            Self::LastFailed(back) => {
                let failed = RunFilter {
                    statuses: vec![RunStatus::Error],
                    ..RunFilter::default()
                };
                newest(store, &failed, *back)
            }
            Self::Id { trace, root } => by_id(store, trace, root, times),
        }
    }
}

impl fmt::Display for RunSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, back) = match self {
            Self::Last(back) => ("last", back),
            Self::LastFailed(back) => ("last-failed", back),
            Self::Id { trace, root } if root.is_empty() => return f.write_str(trace),
            Self::Id { trace, root } => return write!(f, "{trace}-{root}"),
        };
        match back {
            0 => f.write_str(name),
            back => write!(f, "{name}~{back}"),
        }
    }
}

/// The run that `text` names.
///
/// # Errors
/// When there is none, when several are meant alike, and when the store cannot be read.
pub(crate) fn select(store: &dyn Store, text: &str, times: &TimeWords) -> Result<SelectedRun> {
    let Some(selector) = RunSelector::parse(text) else {
        return Err(BadUsage(format!(
            "`{text}` names no run: give at least {DIGITS_MIN} digits of its id, `last`, `last~1` or `last-failed`; \
             `flowmeter runs` lists them"
        ))
        .into());
    };
    match selector.find(store, times)? {
        Some(run) => Ok(run),
        None => Err(missing(store, &selector)?.into()),
    }
}

/// Says that a run is not there, and what to do.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn missing(store: &dyn Store, selector: &RunSelector) -> Result<MissingRun> {
    let is_empty = store
        .runs(&RunFilter::default(), RunOrder::Started, 1, 0)?
        .is_empty();
    Ok(MissingRun(match selector {
        _ if is_empty => "the history has no run yet; `flowmeter run` and `flowmeter demo` make one".to_owned(),
        RunSelector::LastFailed(0) => {
            "no run in the history failed; `flowmeter runs --status cancelled,interrupted` lists those that were \
             stopped"
                .to_owned()
        }
        RunSelector::LastFailed(_) => {
            format!("there is no run `{selector}`; `flowmeter runs --status failed` lists those that failed")
        }
        RunSelector::Last(_) => format!("there is no run `{selector}`: the history has fewer; `flowmeter runs` lists them"),
        RunSelector::Id { .. } => {
            format!("there is no run whose id begins with `{selector}`; `flowmeter runs` lists them")
        }
    }))
}

/// The beginning of a run's id as lists show it.
pub(crate) fn short_id(key: &RunKey) -> String {
    let mut id = key.trace_id.to_string();
    id.truncate(8);
    id
}

/// Short ids for a list: as long as it takes to tell its runs apart.
pub(crate) fn short_ids(keys: &[RunKey]) -> Vec<String> {
    let ids: Vec<(String, String)> = keys
        .iter()
        .map(|key| (key.trace_id.to_string(), key.root_span_id.to_string()))
        .collect();
    let mut digits = 8;
    while digits < 32 && are_alike(ids.iter().map(|(trace, _)| (&trace[..digits], trace.as_str()))) {
        digits += 4;
    }
    let mut runs_of_trace = HashMap::<&str, Vec<&str>>::new();
    for (trace, root) in &ids {
        let roots = runs_of_trace.entry(trace).or_default();
        if !roots.contains(&root.as_str()) {
            roots.push(root);
        }
    }
    ids.iter()
        .map(|(trace, root)| match runs_of_trace.get(trace.as_str()) {
            Some(roots) if roots.len() > 1 => {
                let mut root_digits = 4;
                while root_digits < 16 && are_alike(roots.iter().map(|root| (&root[..root_digits], *root))) {
                    root_digits += 4;
                }
                format!("{}-{}", &trace[..digits], &root[..root_digits])
            }
            _ => trace[..digits].to_owned(),
        })
        .collect()
}

/// Whether two different ids begin alike, of pairs of a beginning and an id.
fn are_alike<'a>(mut ids: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
    let mut seen = HashMap::<&str, &str>::new();
    ids.any(|(begin, id)| seen.insert(begin, id).is_some_and(|other| other != id))
}

/// The newest run that a filter holds for, or so many before it. Runs that a run of the history started are parts of
/// that one and are passed over, unless that is not among those meant.
fn newest(store: &dyn Store, filter: &RunFilter, back: usize) -> Result<Option<SelectedRun>> {
    let (mut offset, mut left) = (0, back);
    loop {
        let rows = store.runs(filter, RunOrder::Started, PAGE, offset)?;
        offset += rows.len();
        let is_last_page = rows.len() < PAGE;
        for row in rows {
            let trace = runs_of_trace(store, &row.key)?;
            if is_started_by_one_of(store, &row, &trace)? {
                continue;
            }
            if left == 0 {
                return Ok(Some(SelectedRun { row, trace }));
            }
            left -= 1;
        }
        if is_last_page {
            return Ok(None);
        }
    }
}

fn by_id(store: &dyn Store, trace: &str, root: &str, times: &TimeWords) -> Result<Option<SelectedRun>> {
    if let Ok(key) = RunKey::parse(&format!("{trace}-{root}")) {
        return Ok(store.run(&key)?.map(|detail| SelectedRun {
            trace: vec![detail.row.clone()],
            row: detail.row,
        }));
    }
    let filter = RunFilter {
        trace_prefix: Some(trace.to_owned()),
        ..RunFilter::default()
    };
    let mut rows = store.runs(&filter, RunOrder::Started, RUNS_OF_TRACE_MAX, 0)?;
    rows.retain(|row| row.key.root_span_id.to_string().starts_with(root));
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    if rows.iter().any(|row| row.key.trace_id != first.key.trace_id) {
        return Err(ambiguous(trace, &rows, times).into());
    }
    let of_trace = runs_of_trace(store, &first.key)?;
    let mut outermost = Vec::new();
    for row in &rows {
        if rows.len() == 1 || !is_started_by_one_of(store, row, &of_trace)? {
            outermost.push(row.clone());
        }
    }
    match outermost.as_slice() {
        [row] => Ok(Some(SelectedRun {
            row: row.clone(),
            trace: of_trace,
        })),
        [] => Err(ambiguous(trace, &rows, times).into()),
        several => Err(ambiguous(trace, several, times).into()),
    }
}

/// All runs of a trace, oldest first.
fn runs_of_trace(store: &dyn Store, key: &RunKey) -> Result<Vec<RunRow>> {
    let filter = RunFilter {
        trace_prefix: Some(key.trace_id.to_string()),
        ..RunFilter::default()
    };
    let mut rows = store.runs(&filter, RunOrder::Started, RUNS_OF_TRACE_MAX, 0)?;
    rows.reverse();
    Ok(rows)
}

/// Whether a node of another run of the trace started this one.
fn is_started_by_one_of(store: &dyn Store, row: &RunRow, trace: &[RunRow]) -> Result<bool> {
    let Some(parent) = row.parent_span_id else {
        return Ok(false);
    };
    for other in trace.iter().filter(|other| other.key != row.key) {
        if other.key.root_span_id == parent || store.span(&other.key, parent)?.is_some() {
            return Ok(true);
        }
        // The caller of a run that goes on may go on, too.
        let is_open = other.status == RunStatus::Running || other.status == RunStatus::Interrupted;
        if is_open
            && store
                .run(&other.key)?
                .is_some_and(|detail| detail.open.iter().any(|span| span.span_id == parent))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ambiguous(prefix: &str, rows: &[RunRow], times: &TimeWords) -> BadUsage {
    let keys: Vec<RunKey> = rows.iter().map(|row| row.key).collect();
    let mut text = format!("{} runs begin with `{prefix}`; give more of the id:", rows.len());
    for (row, id) in rows.iter().zip(short_ids(&keys)).take(CANDIDATES_SHOWN) {
        text.push_str(&format!(
            "\n  {id}  {}, {}, {}",
            crate::printable::one_line(&row.workflow),
            times.relative(row.started),
            row.status.as_str()
        ));
    }
    if rows.len() > CANDIDATES_SHOWN {
        text.push_str(&format!("\n  … and {} more", rows.len() - CANDIDATES_SHOWN));
    }
    BadUsage(text)
}

#[cfg(test)]
mod tests;
