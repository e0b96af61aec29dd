//! Why the store could not do what it was asked for.
//!
//! Never an empty answer: nothing found is no error.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What went wrong with the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be opened or made.
    #[error("the history {} cannot be opened", path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is none, and it was not to be made.
    #[error("there is no history at {}: it begins with the first run", path.display())]
    Absent {
        /// Where.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("the history {} has format {found}, and this program knows formats up to {known}: a newer flowmeter wrote it; update flowmeter, or set FLOWMETER_HOME to another folder", path.display())]
    Newer {
        /// Where.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that is known here.
        known: i64,
    },
    /// The file is something else.
    #[error("{} is no history of flowmeter", path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
    },
    /// A part of it cannot be read.
    #[error("the history is damaged: {what}; `flowmeter db check` says more")]
    Damaged {
        /// What could not be read.
        what: String,
    },
    /// There is no room on the disk.
    #[error("the disk is full: the history records nothing more")]
    DiskFull,
    /// Others held the file for too long.
    #[error("the history was busy with other processes for {waited_ms} ms")]
    Busy {
        /// Milliseconds.
        waited_ms: u64,
    },
    /// The writer cannot keep up, and its queue is full.
    #[error("the history's queue is full: {dropped} items were not kept")]
    Full {
        /// How many.
        dropped: u64,
    },
    /// The file cannot be read or written.
    #[error("the history cannot be read or written")]
    Io(#[source] io::Error),
    /// The database says no.
    #[error("the history's database failed")]
    Sqlite(#[source] rusqlite::Error),
    /// What was asked makes no sense.
    #[error("{0}")]
    Invalid(String),
}
