//! Moves changes from their log into the file, beside the writer: syncing a disk may take longer than a span may wait.
//!
//! Never lets the log grow without end: when this thread cannot keep up, the writer waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::super::SqliteConfig;
use super::super::connection::{self, Purpose};
use crate::StoreError;

/// The log is moved when it has so many pages, 64 MiB: a page that was changed again and again is moved once.
const PAGES_MANY: i64 = 8_192;
/// With so many, the writer does it itself: 128 MiB.
const PAGES_MOST: i64 = 16_384;

/// The thread and what it is told by.
#[derive(Default)]
pub(super) struct Checkpoints {
    /// Pages in the log after the last commit of this process.
    pages: Arc<AtomicI64>,
    helper: Option<Helper>,
}

struct Helper {
    told: Arc<Told>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Told {
    state: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    Nothing,
    Move,
    End,
}

impl Checkpoints {
    /// Listens to the commits of a connection.
    pub(super) fn listen(&self, connection: &mut Connection) -> Result<(), StoreError> {
        let pages = Arc::clone(&self.pages);
        connection.wal_hook(Some(
            move |_: &mut rusqlite::hooks::Wal, count: std::ffi::c_int| {
                pages.store(i64::from(count), Ordering::Relaxed);
                Ok(())
            },
        ))?;
        Ok(())
    }

    /// After a commit: sees to it that the log is moved when it is long.
    pub(super) fn committed(&mut self, path: &Path, config: &SqliteConfig, connection: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < PAGES_MANY {
            return;
        }
        if self.helper.is_none() {
            self.helper = Helper::start(path, config);
        }
        if let Some(helper) = &self.helper {
            let mut wish = helper.told.state.lock();
            if *wish == Wish::Nothing {
                *wish = Wish::Move;
                helper.told.changed.notify_one();
            }
        }
        if pages >= PAGES_MOST || self.helper.is_none() {
            move_log(connection);
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        if let Some(helper) = self.helper.take() {
            *helper.told.state.lock() = Wish::End;
            helper.told.changed.notify_one();
            let _ended = helper.thread.join();
        }
    }
}

impl Helper {
    fn start(path: &Path, config: &SqliteConfig) -> Option<Self> {
        let told = Arc::new(Told::default());
        let (path, config, its_told) = (path.to_owned(), config.clone(), Arc::clone(&told));
        let thread = std::thread::Builder::new()
            .name("flowmeter-checkpoint".to_owned())
            .spawn(move || {
                let Ok(connection) = connection::open(&path, &config, Purpose::Write) else {
                    return;
                };
                loop {
                    let mut wish = its_told.state.lock();
                    while *wish == Wish::Nothing {
                        its_told.changed.wait(&mut wish);
                    }
                    if *wish == Wish::End {
                        return;
                    }
                    drop(wish);
                    move_log(&connection);
                    let mut wish = its_told.state.lock();
                    if *wish == Wish::Move {
                        *wish = Wish::Nothing;
                    }
                }
            });
        thread.ok().map(|thread| Self { told, thread })
    }
}

/// Moves what can be moved now. What cannot is moved later.
pub(super) fn move_log(connection: &Connection) {
    let _moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
}
