//! The one thread of this process that writes.
//!
//! Never loses what it accepted without saying so; never holds the file's lock longer than one transaction.

pub(super) mod commit;
mod contents;
mod live_runs;
pub(super) mod pack;
mod queue;
pub(super) mod rows;
mod run_change;
pub(super) mod size;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use self::contents::Contents;
use self::live_runs::LiveRuns;
use self::pack::{BatchPacker, LogPacker};
use self::queue::{Gathered, Next, Queue, copy_of};
use super::SqliteConfig;
use super::connection::{self, Purpose};
use super::locking;
use super::names::{NameNumbers, NameTexts};
use crate::codec::block::Sealer;
use crate::{Append, StoreError};

/// After so long without anything to write there is time for other work.
const IDLE_AFTER: Duration = Duration::from_millis(250);

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
        self.queue.push(append)
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
        let idle = opened
            .as_ref()
            .is_some_and(|(_, writer)| writer.has_work)
            .then_some(IDLE_AFTER);
        match queue.next(idle) {
            Next::End => break,
            Next::Idle => {
                if let Some((connection, writer)) = &mut opened {
                    writer.has_work = false;
                    writer.tidy(connection);
                }
            }
            Next::Write(Gathered { items, upto }) => {
                let written = match &mut opened {
                    Some((connection, writer)) => writer.write(connection, &items),
                    none => match connection::open(path, &config, Purpose::Write) {
                        Ok(connection) => {
                            let (connection, writer) = none.insert((connection, Writer::new(&config)));
                            writer.write(connection, &items)
                        }
                        Err(error) => Err(error),
                    },
                };
                settle(queue, upto, written);
            }
        }
    }
    if let Some((connection, writer)) = &mut opened {
        writer.tidy(connection);
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
}

impl Writer {
    fn new(config: &SqliteConfig) -> Self {
        Self {
            config: config.clone(),
            names: NameNumbers::default(),
            texts: NameTexts::default(),
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
    fn write(&mut self, connection: &mut Connection, items: &[Append]) -> Result<(), StoreError> {
        let written = self.try_write(connection, items);
        if written.is_err() {
            // Nothing of it is in the file, so nothing may be remembered of it.
            self.forget_all();
        }
        self.has_work = true;
        written
    }

    fn try_write(&mut self, connection: &mut Connection, items: &[Append]) -> Result<(), StoreError> {
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
        self.live.clear();
        self.contents.clear();
        self.packer.clear();
        self.log_packer.clear();
        self.version = -1;
    }

    /// Work that can wait: moving changes from their log into the file.
    fn tidy(&mut self, connection: &mut Connection) {
        // What cannot be done now is done later.
        let _done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
}
