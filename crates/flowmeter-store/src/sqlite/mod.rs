//! History in one SQLite file: any number of processes write and read it at once.
//!
//! Only this module knows SQL.

mod batch_runs;
mod blank;
mod budgets;
mod classes;
mod connection;
mod content_source;
mod cores;
mod failure;
mod forget;
mod hooks;
mod locking;
mod merge;
mod model_sets;
mod names;
mod pool;
mod read;
mod recent;
mod removal;
mod retain;
mod rewrite;
mod run_keys;
mod run_lists;
mod run_row;
mod search;
mod stats;
mod store;
mod tend;
mod upkeep;
mod whole_span;
mod writer;

pub use budgets::Budgets;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowmeter_model::Clock;
use parking_lot::RwLock;
use rusqlite::{Connection, OptionalExtension};

use self::names::NameTexts;
use self::pool::Pool;
use self::writer::WriterThread;
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
    /// Items that wait for the writer at most. Default: 50,000 events, and 24 MiB by estimate.
    pub queue_events_max: usize,
    /// Pages of 8 KiB that the file may have; what does not fit is refused as on a full disk. Default: no limit.
    pub pages_max: Option<u32>,
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
            pages_max: None,
        }
    }
}

/// The store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    config: SqliteConfig,
    pool: Pool,
    texts: NameTexts,
    /// Started with the first thing to be written.
    writer: RwLock<Option<WriterThread>>,
    /// An answer lacks what could not be read.
    is_damaged: AtomicBool,
}

impl SqliteStore {
    /// Opens the file, makes it when there is none, and brings an older one to the present form. Holds on to nothing:
    /// connections are made when they are needed.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Foreign`], [`StoreError::Absent`] and [`StoreError::Open`].
    pub fn open(path: &Path, config: SqliteConfig) -> Result<Self, StoreError> {
        connection::prepare(path, &config)?;
        Ok(Self {
            path: path.to_owned(),
            config,
            pool: Pool::default(),
            texts: NameTexts::default(),
            writer: RwLock::new(None),
            is_damaged: AtomicBool::new(false),
        })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether runs may be missing from a list, or hits from a search, because the file is damaged: answers hold what
    /// can be read.
    #[must_use]
    pub fn lacks_parts(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    /// How it was opened.
    #[must_use]
    pub fn config(&self) -> &SqliteConfig {
        &self.config
    }

    /// Does at once what is else done in the background. For tests.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[doc(hidden)]
    pub fn settle(&self) -> Result<(), StoreError> {
        crate::Store::flush(self)?;
        let mut connection = connection::open(&self.path, &self.config, connection::Purpose::Write)?;
        while merge::step(&mut connection, &self.config, &self.texts)?
            || hooks::background_step(&mut connection, &self.config)?
        {}
        Ok(())
    }

    /// Asks within one transaction.
    pub(crate) fn ask<T>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.pool.ask(&self.path, &self.config, ask)
    }
}

/// How often things were removed from the file.
fn epoch_of(connection: &Connection) -> Result<i64, StoreError> {
    let epoch = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'epoch'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(epoch.unwrap_or(0))
}
