//! Connections for asking: made when they are needed, used again, few.
//!
//! Never lends one connection to two threads.

use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::Path;

use super::SqliteConfig;
use super::connection::{self, Purpose};
use crate::StoreError;

/// Connections that wait for the next question at most.
const IDLE_MAX: usize = 4;

/// Connections that are not in use.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// Asks within one transaction: all that is read stood in the file at one moment.
    pub(super) fn ask<T>(
        &self,
        path: &Path,
        config: &SqliteConfig,
        ask: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connection::open(path, config, Purpose::Read)?,
        };
        let answer = {
            let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Deferred)?;
            let answer = ask(&transaction);
            transaction.finish()?;
            answer
        };
        // One that failed may be at fault itself.
        if answer.is_ok() {
            let mut idle = self.idle.lock();
            if idle.len() < IDLE_MAX {
                idle.push(connection);
            }
        }
        answer
    }
}
