//! What is done in the background of long runs, for programs that are over before there was time for it.
//!
//! Never waits for other processes: what they hold up is done by another one.

use std::time::{Duration, Instant};

use super::connection::{self, Purpose};
use super::{SqliteConfig, SqliteStore, hooks, merge};
use crate::StoreError;

impl SqliteStore {
    /// Merges small batches, adds up sums and indexes words, piece by piece, for so long and one piece more at most;
    /// none for no time at all. Then moves the log of changes into the file, so that whoever opens it next has none to
    /// read.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn tend(&self, most: Duration) -> Result<(), StoreError> {
        let config = SqliteConfig {
            busy_ms_max: 0,
            ..self.config.clone()
        };
        let mut connection = connection::open(&self.path, &config, Purpose::Write)?;
        let began = Instant::now();
        while began.elapsed() < most
            && (hooks::urgent_step(&mut connection, &config)?
                || merge::step(&mut connection, &config, &self.texts)?
                || hooks::background_step(&mut connection, &config)?)
        {}
        connection.busy_timeout(Duration::ZERO)?;
        // Where others read or write, it is moved as far as can be.
        let _moved = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        Ok(())
    }
}
