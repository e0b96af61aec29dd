//! What is done about the history between runs: what has had its time goes, a little at a time.
//!
//! Never holds up an exit for longer than it is told.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use flowmeter_store::{Forgotten, Retention, SqliteStore, Store};

/// How long nothing is looked for once everything that had its time is gone.
const RETAIN_PAUSE: Duration = Duration::from_mins(10);
/// How long runs' ends leave the background's work alone once one has done some of it.
const TEND_PAUSE: Duration = Duration::from_mins(1);
/// Bytes that the file grows by until they do so all the same.
const GROWN_BYTES_MAX: u64 = 1 << 20;
/// Bytes of the log of changes from which on it is moved into the file: whoever opens the file first reads all of it.
const LOG_BYTES_MAX: u64 = 2 << 20;

/// Removes what has had its time, for `most` and a step; what is left is for the next run. `marker` is a file that says
/// when nothing was left.
pub(super) fn retain(store: &dyn Store, retention: &Retention, marker: &Path, most: Duration) {
    if *retention == Retention::default() || was_done_lately(marker, RETAIN_PAUSE) {
        return;
    }
    let began = Instant::now();
    while began.elapsed() < most {
        // What fails here is told where somebody looks: `flowmeter db retain`.
        if store.retain(retention).unwrap_or_default() == Forgotten::default() {
            let _a_look_too_many_does_no_harm = fs::write(marker, "");
            return;
        }
    }
}

fn was_done_lately(marker: &Path, pause: Duration) -> bool {
    let done = fs::metadata(marker).and_then(|file| file.modified());
    // A time to come is one of a clock that was set back since.
    done.is_ok_and(|done| {
        SystemTime::now()
            .duration_since(done)
            .is_ok_and(|ago| ago < pause)
    })
}

/// Does some of the background's work, for `most` and a piece, where that was not done a moment ago or much has come since;
/// and sees to it that the log of changes does not become long. `marker` is a file that says when that was.
pub(super) fn tend(store: &SqliteStore, marker: &Path, most: Duration) {
    let is_due = is_due(store.path(), marker);
    if !is_due && !is_log_long(store.path()) {
        return;
    }
    let most = if is_due { most } else { Duration::ZERO };
    // What fails here is told where somebody looks: `flowmeter db check`.
    let _the_next_run_tries_again = store.tend(most);
    if is_due {
        let _a_look_too_many_does_no_harm = fs::write(marker, bytes_of(store.path()).to_string());
    }
}

/// Whether the last run that did some of the background's work did so a while ago, or the file has grown much since: the
/// marker holds how large it was then.
fn is_due(file: &Path, marker: &Path) -> bool {
    let then = fs::read_to_string(marker).ok();
    let then: Option<u64> = then.and_then(|bytes| bytes.parse().ok());
    !was_done_lately(marker, TEND_PAUSE)
        || then.is_none_or(|then| bytes_of(file) >= then.saturating_add(GROWN_BYTES_MAX))
}

fn bytes_of(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

/// Whether the log of changes beside this file has become long.
fn is_log_long(file: &Path) -> bool {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    bytes_of(Path::new(&log)) > LOG_BYTES_MAX
}

#[cfg(test)]
mod tests;
