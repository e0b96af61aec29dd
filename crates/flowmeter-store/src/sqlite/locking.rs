//! Waiting for other processes: the one lock of the file goes round, and nobody sees that it was taken.
//!
//! Never waits longer than it was told, and never in step with others.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::SqliteConfig;
use super::failure::is_busy;
use crate::StoreError;

/// The shortest and the longest pause between two attempts, microseconds.
const PAUSE_US: (u64, u64) = (300, 5_000);

/// How long to go on trying.
pub(super) struct Patience {
    began: Instant,
    wait_max: Duration,
    /// Random bits: two processes that try in step would meet again and again.
    noise: u64,
}

impl Patience {
    /// For so many milliseconds.
    pub(super) fn new(wait_ms_max: u64) -> Self {
        Self {
            began: Instant::now(),
            wait_max: Duration::from_millis(wait_ms_max),
            noise: RandomState::new().hash_one(std::process::id()) | 1,
        }
    }

    /// Pauses; `false` when there has been waiting enough.
    pub(super) fn wait(&mut self) -> bool {
        if self.began.elapsed() >= self.wait_max {
            return false;
        }
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        let pause_us = PAUSE_US.0 + self.noise % (PAUSE_US.1 - PAUSE_US.0);
        std::thread::sleep(Duration::from_micros(pause_us));
        true
    }

    /// Milliseconds since it began.
    pub(super) fn waited_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Begins a transaction that may write, when the others let it.
///
/// # Errors
/// [`StoreError::Busy`] after [`SqliteConfig::busy_ms_max`], and what SQLite says.
pub(super) fn begin<'c>(
    connection: &'c mut Connection,
    config: &SqliteConfig,
) -> Result<Transaction<'c>, StoreError> {
    // SQLite's own way of waiting has pauses of up to 100 ms, in which others overtake: too long for what must be
    // durable within 200.
    connection.busy_timeout(Duration::ZERO)?;
    let mut patience = Patience::new(config.busy_ms_max);
    let transaction = loop {
        match Transaction::new_unchecked(connection, TransactionBehavior::Immediate) {
            Ok(transaction) => break transaction,
            Err(error) if is_busy(&error) => {
                if !patience.wait() {
                    return Err(StoreError::Busy {
                        waited_ms: patience.waited_ms(),
                    });
                }
            }
            Err(error) => return Err(error.into()),
        }
    };
    transaction.busy_timeout(Duration::from_millis(config.busy_ms_max))?;
    Ok(transaction)
}
