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

/// Does some of the background's work, for `most` and a piece, where that was not done a moment ago; and sees to it that
/// the log of changes does not become long. `marker` is a file that says when that was.
pub(super) fn tend(store: &SqliteStore, marker: &Path, most: Duration) {
    let is_due = !was_done_lately(marker, TEND_PAUSE);
    if !is_due && !is_log_long(store.path()) {
        return;
    }
    let most = if is_due { most } else { Duration::ZERO };
    // What fails here is told where somebody looks: `flowmeter db check`.
    let _the_next_run_tries_again = store.tend(most);
    if is_due {
        let _a_look_too_many_does_no_harm = fs::write(marker, "");
    }
}

/// Whether the log of changes beside this file has become long.
fn is_log_long(file: &Path) -> bool {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|log| log.len() > LOG_BYTES_MAX)
}

#[cfg(test)]
mod tests;
