//! The history in `~/.flowmeter`: how it is opened, by those who read it and by the runs that write it.
//!
//! Never creates the file for who only reads.

mod backend;
mod git;
mod liveness;
mod origin;
mod upkeep;

pub(crate) use origin::attributes_of;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use flowmeter::Backend;
use flowmeter_model::SystemClock;
use flowmeter_store::{MemoryConfig, MemoryStore, Retention, SqliteConfig, SqliteStore, Store, StoreError};

use crate::exit::MissingFile;
use crate::home::Home;
use backend::{HistoryBackend, Left};
pub(crate) use origin::{RunOrigin, origin_of};

/// So long the removal of what has had its time may hold up an exit.
const RETAIN_MAX: Duration = Duration::from_millis(50);
/// So long what else is done in the background may hold up an exit.
const TEND_MAX: Duration = Duration::from_millis(20);

/// How the history is opened, by the clock and the process table of this machine.
pub(crate) fn config() -> SqliteConfig {
    SqliteConfig::new(Arc::new(SystemClock), Arc::new(liveness::is_alive))
}

/// The mark of this process.
pub(crate) fn own_process() -> flowmeter_store::ProcessMark {
    liveness::own_mark()
}

/// Opens the history for who looks at it.
///
/// # Errors
/// [`MissingFile`] when there is none yet; and when the file cannot be read.
pub(crate) fn open(home: &Home) -> Result<SqliteStore> {
    open_file(&home.history())
}

/// Opens the history for who lists or sums: where there is none yet, there is nothing to list, which is no failure.
///
/// # Errors
/// When the file is there and cannot be read.
pub(crate) fn open_or_empty(home: &Home) -> Result<Box<dyn Store>> {
    if home.has_history() {
        return Ok(Box::new(open(home)?));
    }
    let SqliteConfig { clock, is_alive, .. } = config();
    Ok(Box::new(MemoryStore::new(MemoryConfig { clock, is_alive })))
}

/// Opens the history for who means runs with these names, or, without any, those that fit conditions.
///
/// # Errors
/// As [`open`] with names, and as [`open_or_empty`] without.
pub(crate) fn open_for(names: &[String], home: &Home) -> Result<Box<dyn Store>> {
    if names.is_empty() {
        return open_or_empty(home);
    }
    Ok(Box::new(open(home)?))
}

/// Opens the history for who brings runs of elsewhere, and makes it when there is none.
///
/// # Errors
/// When the file cannot be opened or made.
pub(crate) fn open_or_create(home: &Home) -> Result<SqliteStore> {
    Ok(SqliteStore::open(&home.history(), config())?)
}

fn open_file(path: &Path) -> Result<SqliteStore> {
    let config = SqliteConfig {
        create: false,
        ..config()
    };
    match SqliteStore::open(path, config) {
        Err(StoreError::Absent { .. }) => {
            let message = "there is no history yet: run a workflow first";
            Err(MissingFile(message.to_owned()).into())
        }
        opened => Ok(opened?),
    }
}

/// Where a run leaves the history that it was kept in.
pub(crate) struct KeptRun {
    left: Left<SqliteStore>,
    retained: PathBuf,
    tended: PathBuf,
}

/// What keeps a run in the history. The file is opened when the run begins, beside it.
pub(crate) fn keep(home: &Home) -> (Box<dyn Backend>, KeptRun) {
    let left = Left::default();
    let path = home.history();
    let file = path.clone();
    let opener = Box::new(move || SqliteStore::open(&path, config()));
    let backend = HistoryBackend::new(file, opener, Arc::clone(&left));
    let kept = KeptRun {
        left,
        retained: home.history_retained(),
        tended: home.history_tended(),
    };
    (Box::new(backend), kept)
}

impl KeptRun {
    /// What is done about the history when a run is over, beside its report: some of what has had its time goes, and now
    /// and then some of what longer runs do while they wait.
    pub(crate) fn leave(self, retention: &Retention) -> Leaving {
        let Some(store) = Arc::into_inner(self.left).and_then(OnceLock::into_inner) else {
            return Leaving(None);
        };
        let (retained, tended, retention) = (self.retained, self.tended, retention.clone());
        let thread = std::thread::Builder::new().name("flowmeter-leave".to_owned());
        let leaving = thread.spawn(move || {
            upkeep::retain(&store, &retention, &retained, RETAIN_MAX);
            upkeep::tend(&store, &tended, TEND_MAX);
            // Everything is durable in the log of changes. Closing would do more of what can wait for longer runs, and
            // wait for the disk.
            std::mem::forget(store);
        });
        // Without a thread it is left to the next run.
        Leaving(leaving.ok())
    }
}

/// The history while a run leaves it.
pub(crate) struct Leaving(Option<JoinHandle<()>>);

impl Leaving {
    /// Waits for the end of it.
    pub(crate) fn wait(self) {
        if let Some(thread) = self.0 {
            // What a panic left undone is done by the next run.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
