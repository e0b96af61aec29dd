//! The folder of saved traces: which file is meant, and which have had their time.
//!
//! Never removes the trace of a process that still runs, and nothing that is no trace of ours.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Result;
use flowmeter::TraceFollower;
use flowmeter_store::RunKey;
use serde::Deserialize;

use crate::exit::{BadUsage, MissingFile};
use crate::home::Home;

/// The newest trace, by this name.
const LAST: &str = "last";

/// The saved traces, oldest first: their names begin with the time.
fn saved(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_ours(path))
        .collect();
    files.sort();
    files
}

/// Whether the name is `<time>-<workflow>-<trace id>.json`, with or without a span id before the trace's.
fn is_ours(path: &Path) -> bool {
    trace_id(path).is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn trace_id(path: &Path) -> Option<&str> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
    Some(stem.rsplit_once('-')?.1)
}

/// The newest trace that is being written now; of a run that was started by another one, that other one's.
pub(crate) fn newest_going_on(home: &Home) -> Option<PathBuf> {
    let all = saved(&home.traces());
    let newest = all.iter().rev().find(|path| is_going_on(path))?;
    let outermost = all
        .iter()
        .find(|path| trace_id(path) == trace_id(newest) && is_going_on(path));
    outermost.cloned()
}

/// The saved traces, for who waits for a new one.
pub(crate) fn all(home: &Home) -> BTreeSet<PathBuf> {
    saved(&home.traces()).into_iter().collect()
}

/// The other files of the trace that `path` is a part of.
pub(crate) fn other_parts(path: &Path) -> Vec<PathBuf> {
    let (Some(id), Some(folder)) = (trace_id(path).filter(|_| is_ours(path)), path.parent()) else {
        return Vec::new();
    };
    let mut parts = saved(folder);
    parts.retain(|part| part != path && trace_id(part) == Some(id));
    parts
}

/// Whether a trace is being written: by the lock on it, or by its process where there are no locks.
pub(crate) fn is_going_on(path: &Path) -> bool {
    let follower = TraceFollower::open(path).ok().flatten();
    follower.is_some_and(|follower| is_written(&follower))
}

/// The same for one that is open.
pub(crate) fn is_written(follower: &TraceFollower) -> bool {
    follower
        .is_being_written()
        .unwrap_or_else(|| runs(follower.pid()))
}

/// The trace that is meant by a path, by the beginning of an id, or by `last`: all its files, oldest first, for runs
/// that other runs started have files of their own. A path means that file alone.
///
/// # Errors
/// When there is none, or several begin alike.
pub(crate) fn find(home: &Home, wanted: &str) -> Result<Vec<PathBuf>> {
    if wanted.trim().is_empty() {
        return Err(BadUsage(format!(
            "no trace is named: give a trace file, the beginning of a saved trace's id, or `{LAST}`"
        ))
        .into());
    }
    let path = PathBuf::from(wanted);
    if path.exists() {
        return Ok(vec![path]);
    }
    let folder = home.traces();
    let all = saved(&folder);
    let newest = all.last().and_then(|path| trace_id(path)).map(str::to_owned);
    let wanted = match (wanted, newest) {
        (LAST, Some(newest)) => newest,
        (LAST, None) => {
            let message = format!(
                "there is no run yet, and no saved trace in {}: `flowmeter run FILE` and `flowmeter demo` make one",
                folder.display()
            );
            return Err(MissingFile(message).into());
        }
        (wanted, _) => wanted.to_owned(),
    };
    let looks_like_id = wanted.len() >= 4 && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found: Vec<PathBuf> = all
        .into_iter()
        .filter(|path| looks_like_id && trace_id(path).is_some_and(|id| id.starts_with(&wanted)))
        .collect();
    let ids: BTreeSet<&str> = found.iter().filter_map(|path| trace_id(path)).collect();
    match ids.len() {
        0 if path.components().count() == 1 && path.extension().is_none() => Err(MissingFile(format!(
            "there is no run or trace file `{wanted}`: a run is named by at least 4 digits of its id, `last`, `last~1` \
             or `last-failed`; `flowmeter runs` lists them"
        ))
        .into()),
        0 => Err(crate::commands::no_such_file("trace file", &path).into()),
        1 => Ok(found),
        several => Err(BadUsage(format!(
            "{several} saved traces begin with `{wanted}`; give more of the id"
        ))
        .into()),
    }
}

/// The saved traces of runs that are forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ForgottenTraces {
    /// Files that went, or would go.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Files that could not be removed.
    pub(crate) left: u64,
}

/// What these runs have in the folder of saved traces. With each run stands whether it is a part of another one's
/// trace: its file bears its own id then.
pub(crate) fn count_of(home: &Home, runs: &[(RunKey, bool)]) -> ForgottenTraces {
    let mut found = ForgottenTraces::default();
    for path in files_of(&home.traces(), runs) {
        found.files += 1;
        found.bytes += fs::metadata(&path).map_or(0, |file| file.len());
    }
    found
}

/// Removes what these runs have in the folder of saved traces.
pub(crate) fn forget(home: &Home, runs: &[(RunKey, bool)]) -> ForgottenTraces {
    let mut gone = ForgottenTraces::default();
    for path in files_of(&home.traces(), runs) {
        let bytes = fs::metadata(&path).map_or(0, |file| file.len());
        if is_going_on(&path) || fs::remove_file(&path).is_err() {
            gone.left += 1;
        } else {
            gone.files += 1;
            gone.bytes += bytes;
        }
    }
    gone
}

/// The files of these runs, also those that killed processes left half-written.
fn files_of(folder: &Path, runs: &[(RunKey, bool)]) -> Vec<PathBuf> {
    let wanted: HashSet<(String, Option<String>)> = runs
        .iter()
        .map(|(key, is_part)| {
            let part = is_part.then(|| key.root_span_id.to_string());
            (key.trace_id.to_string(), part)
        })
        .collect();
    let is_wanted = |path: &Path| {
        let whole = match half_written_by(path) {
            Some(pid) if self::runs(pid) => return false,
            Some(_) => path.with_extension("").with_extension(""),
            None => path.to_owned(),
        };
        is_ours(&whole) && ids_of(&whole).is_some_and(|ids| wanted.contains(&ids))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| is_wanted(path))
        .collect()
}

/// The trace's id, and the span's id of a run that is a part of it.
fn ids_of(path: &Path) -> Option<(String, Option<String>)> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let (rest, trace) = stem.rsplit_once('-')?;
    let part = rest.rsplit_once('-').map(|(_, part)| part);
    let part = part.filter(|part| part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    Some((trace.to_owned(), part.map(str::to_owned)))
}

/// Removes the oldest traces until `keep` are left, and what killed processes left half-written. `own` stays
/// in any case.
pub(crate) fn prune(folder: &Path, keep: usize, own: Option<&Path>) {
    let files = saved(folder);
    let surplus = files.len().saturating_sub(keep);
    // The library says where the links on the way lead.
    let own = own.and_then(Path::file_name);
    let old = files.iter().take(surplus);
    for path in old.filter(|path| own.is_none() || path.file_name() != own) {
        if is_being_written(path) {
            continue;
        }
        // Another process may have removed it in the meantime.
        let _gone_is_as_good = fs::remove_file(path);
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if half_written_by(&path).is_some_and(|pid| !runs(pid)) {
            let _gone_is_as_good = fs::remove_file(&path);
        }
    }
}

/// The process that was turning the trace into its final form: `….json.<pid>.partial`.
fn half_written_by(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?.strip_suffix(".partial")?;
    let (trace, pid) = name.rsplit_once('.')?;
    is_ours(Path::new(trace)).then(|| pid.parse().ok()).flatten()
}

/// What the first line of an unfinished trace says.
#[derive(Deserialize)]
struct Header {
    pid: u32,
}

/// Whether a trace is unfinished and its process runs.
fn is_being_written(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let mut first = Vec::new();
    let read = BufReader::new(file.take(1 << 16)).read_until(b'\n', &mut first);
    // The first line of a finished trace is no complete JSON value, or has no process in it.
    read.is_ok() && serde_json::from_slice::<Header>(&first).is_ok_and(|header| runs(header.pid))
}

/// Whether this process runs.
pub(crate) fn runs(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| {
        // A process of somebody else's runs too.
        !matches!(
            rustix::process::test_kill_process(pid),
            Err(rustix::io::Errno::SRCH)
        )
    })
}

#[cfg(test)]
mod tests;
