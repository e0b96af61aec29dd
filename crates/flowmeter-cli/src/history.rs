//! The history in `~/.flowmeter`: how it is opened, by those who read it and by the runs that write it.
//!
//! Never creates the file for who only reads.

mod backend;
mod git;
mod liveness;
mod origin;

pub(crate) use origin::{attributes_of, origin_of};

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use flowmeter_model::SystemClock;
use flowmeter_store::{SqliteConfig, SqliteStore, StoreError};

use crate::exit::MissingFile;
use crate::home::Home;

/// How the history is opened, by the clock and the process table of this machine.
pub(crate) fn config() -> SqliteConfig {
    SqliteConfig::new(Arc::new(SystemClock), Arc::new(liveness::is_alive))
}

/// Opens the history for who looks at it.
///
/// # Errors
/// [`MissingFile`] when there is none yet; and when the file cannot be read.
#[allow(dead_code, reason = "the commands that look at it come one by one")]
pub(crate) fn open(home: &Home) -> Result<SqliteStore> {
    open_file(&home.history())
}

pub(crate) fn temporary(_home: &Home) -> Box<dyn flowmeter_store::Store> {
    Box::new(flowmeter_store::MemoryStore::new(flowmeter_store::MemoryConfig {
        clock: Arc::new(SystemClock),
        is_alive: Arc::new(liveness::is_alive),
    }))
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

#[cfg(test)]
mod tests;
