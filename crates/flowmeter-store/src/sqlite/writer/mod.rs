//! The one thread of this process that writes.
//!
//! Never loses what it accepted without saying so; never holds the file's lock longer than one transaction.

mod checkpoint;
pub(super) mod commit;
mod contents;
mod encoded;
mod live_runs;
pub(super) mod pack;
mod queue;
pub(super) mod rows;
mod run_change;
pub(super) mod size;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use self::checkpoint::Checkpoints;
use self::contents::Contents;
use self::encoded::Encoded;
use self::live_runs::LiveRuns;
use self::pack::{BatchPacker, LogPacker};
use self::queue::{Gathered, Next, Queue, copy_of};
use super::SqliteConfig;
use super::connection::{self, Purpose};
use super::model_sets::ModelSets;
use super::names::{NameNumbers, NameTexts};
use super::{hooks, locking, merge};
use crate::codec::block::Sealer;
use crate::{Append, StoreError};

/// After so long without anything to write there is time for other work.
const IDLE_AFTER: Duration = Duration::from_millis(250);

/// After so many transactions a piece of the background's work is done although the next items may come at any time.
const WRITES_BEFORE_STEP: usize = 8;
/// Pieces of work that the end of the program waits for.
const STEPS_AT_END: usize = 2;

/// The writer's thread and its queue.
pub(super) struct WriterThread {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl WriterThread {
    /// Starts it. The file is opened in the thread.
    pub(super) fn start(path: &Path, config: &SqliteConfig) -> Result<Self, StoreError> {
        let queue = Arc::new(Queue::new(config.queue_events_max));
        let (path, config, its_queue) = (path.to_owned(), config.clone(), Arc::clone(&queue));
        let thread = std::thread::Builder::new()
            .name("flowmeter-store".to_owned())
            .spawn(move || run(&path, config, &its_queue))
            .map_err(StoreError::Io)?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    pub(super) fn append(&self, append: Append) -> Result<(), StoreError> {
        self.queue.push(Encoded::of(append))
    }

    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.queue.flush()
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to write.
            let _ended = thread.join();
        }
    }
}

fn run(path: &Path, config: SqliteConfig, queue: &Queue) {
    let mut opened: Option<(Connection, Writer)> = None;
    loop {
        let has_work = opened.as_ref().is_some_and(|(_, writer)| writer.has_work);
        match queue.next(has_work.then_some(IDLE_AFTER)) {
            Next::End => break,
            Next::Idle => {
                if let Some((connection, writer)) = &mut opened {
                    writer.tidy(connection, queue);
                }
            }
            Next::Write(Gathered { items, upto }) => {
                let written = match &mut opened {
                    Some((connection, writer)) => writer.write(connection, items),
                    none => match Writer::open(path, &config) {
                        Ok(fresh) => {
                            let (connection, writer) = none.insert(fresh);
                            writer.write(connection, items)
                        }
                        Err(error) => Err(error),
                    },
                };
                settle(queue, upto, written);
                if let Some((connection, writer)) = &mut opened {
                    writer.after_write(connection, queue);
                }
            }
        }
    }
    if let Some((connection, writer)) = &mut opened {
        writer.close(connection);
    }
}

fn settle(queue: &Queue, upto: u64, written: Result<(), StoreError>) {
    match written {
        Ok(()) => queue.settle(upto, None),
        // Others may let go of it later.
        Err(error @ StoreError::Busy { .. }) => queue.settle(upto, Some(error)),
        Err(error) => queue.stop(copy_of(&error), upto),
    }
}

/// What the writer keeps from one transaction to the next.
pub(super) struct Writer {
    config: SqliteConfig,
    names: NameNumbers,
    texts: NameTexts,
    model_sets: ModelSets,
    live: LiveRuns,
    contents: Contents,
    packer: BatchPacker,
    log_packer: LogPacker,
    sealer: Option<Sealer>,
    /// How often others removed things from the file, when it was last looked at.
    epoch: i64,
    /// Which version of the file this connection last saw.
    version: i64,
    /// Something was written since the last tidying.
    has_work: bool,
    /// Transactions since small batches were last merged.
    writes: usize,
    path: PathBuf,
    checkpoints: Checkpoints,
}

impl Writer {
    fn open(path: &Path, config: &SqliteConfig) -> Result<(Connection, Self), StoreError> {
        let mut connection = connection::open(path, config, Purpose::Write)?;
        let writer = Self::new(path, config);
        writer.checkpoints.listen(&mut connection)?;
        Ok((connection, writer))
    }

    fn new(path: &Path, config: &SqliteConfig) -> Self {
        Self {
            config: config.clone(),
            path: path.to_owned(),
            writes: 0,
            checkpoints: Checkpoints::default(),
            names: NameNumbers::default(),
            texts: NameTexts::default(),
            model_sets: ModelSets::default(),
            live: LiveRuns::default(),
            contents: Contents::default(),
            packer: BatchPacker::default(),
            log_packer: LogPacker::default(),
            sealer: None,
            epoch: 0,
            version: -1,
            has_work: false,
        }
    }

    /// Writes items in one transaction.
    fn write(&mut self, connection: &mut Connection, items: Vec<Encoded>) -> Result<(), StoreError> {
        let written = self.try_write(connection, items);
        if written.is_err() {
            // Nothing of it is in the file, so nothing may be remembered of it.
            self.forget_all();
        }
        self.has_work = true;
        written
    }

    fn try_write(&mut self, connection: &mut Connection, items: Vec<Encoded>) -> Result<(), StoreError> {
        let transaction = locking::begin(connection, &self.config)?;
        self.look_at_others(&transaction)?;
        self.write_items(&transaction, items)?;
        transaction.commit()?;
        Ok(())
    }

    /// What other connections did since: removed things, or left marks of texts that they wrote.
    fn look_at_others(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let version: i64 = connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if version == self.version {
            return Ok(());
        }
        let epoch = super::epoch_of(connection)?;
        if epoch != self.epoch {
            self.forget_all();
            self.epoch = epoch;
        }
        self.version = version;
        self.contents.catch_up(connection)
    }

    fn forget_all(&mut self) {
        self.names.clear();
        self.texts.clear();
        self.model_sets.clear();
        self.live.clear();
        self.contents.clear();
        self.packer.clear();
        self.log_packer.clear();
        self.version = -1;
    }

    /// Between two transactions: neither the log of changes nor what waits for the background is to grow without end.
    fn after_write(&mut self, connection: &mut Connection, queue: &Queue) {
        self.checkpoints.committed(&self.path, &self.config, connection);
        self.writes += 1;
        if self.writes >= WRITES_BEFORE_STEP {
            self.writes = 0;
            // What cannot be done now is done later.
            let _done = if queue.has_items() {
                hooks::urgent_step(connection, &self.config)
            } else {
                self.step(connection)
            };
        }
    }

    /// Work that can wait, piece by piece, while nothing is to be written.
    fn tidy(&mut self, connection: &mut Connection, queue: &Queue) {
        while !queue.has_items() {
            if !self.step(connection).unwrap_or(false) {
                self.has_work = false;
                checkpoint::move_log(connection);
                break;
            }
        }
    }

    /// One piece of it; whether there may be more.
    fn step(&self, connection: &mut Connection) -> Result<bool, StoreError> {
        Ok(merge::step(connection, &self.config, &self.texts)?
            || hooks::background_step(connection, &self.config)?)
    }

    /// At the end of the program: a few pieces, so that many short runs leave no more than one long one.
    fn close(&mut self, connection: &mut Connection) {
        for _ in 0..STEPS_AT_END {
            if !self.step(connection).unwrap_or(false) {
                break;
            }
        }
    }
}
