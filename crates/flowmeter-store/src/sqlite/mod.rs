//! History in one SQLite file: any number of processes write and read it at once.
//!
//! Only this module knows SQL.

mod budgets;
mod connection;
mod failure;
mod locking;

pub use budgets::Budgets;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowmeter_model::Clock;

use crate::{ProcessMark, StoreError};

/// Tells whether a process still lives; `None` where that cannot be known, such as on another machine.
pub type IsAlive = Arc<dyn Fn(&ProcessMark) -> Option<bool> + Send + Sync>;

/// How a store is opened.
#[derive(Clone)]
pub struct SqliteConfig {
    /// Makes the file when there is none. Default: yes.
    pub create: bool,
    /// Keeps the search index. Default: yes.
    pub search_index: bool,
    /// The time now.
    pub clock: Arc<dyn Clock>,
    /// Tells whether a process still lives.
    pub is_alive: IsAlive,
    /// How long a writer waits for other processes, milliseconds. Default: 30,000.
    pub busy_ms_max: u64,
    /// Items that wait for the writer at most. Default: 50,000 events, and 64 MiB by estimate.
    pub queue_events_max: usize,
}

impl SqliteConfig {
    /// The defaults.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, is_alive: IsAlive) -> Self {
        Self {
            create: true,
            search_index: true,
            clock,
            is_alive,
            busy_ms_max: 30_000,
            queue_events_max: 50_000,
        }
    }
}

/// The store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    config: SqliteConfig,
}

impl SqliteStore {
    /// Opens the file, makes it when there is none, and brings an older one to the present form.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Foreign`], [`StoreError::Absent`] and [`StoreError::Open`].
    pub fn open(path: &Path, config: SqliteConfig) -> Result<Self, StoreError> {
        connection::prepare(path, &config)?;
        Ok(Self {
            path: path.to_owned(),
            config,
        })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it was opened.
    #[must_use]
    pub fn config(&self) -> &SqliteConfig {
        &self.config
    }
}
