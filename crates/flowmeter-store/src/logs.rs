//! Log lines in the store.
//!
//! Never formats a line.

use flowmeter_model::{LogLevel, LogRecord, TimestampNs};

use crate::{RunFilter, RunKey};

/// Which log lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogFilter {
    /// Of these runs.
    pub runs: RunFilter,
    /// Of this run alone.
    pub run: Option<RunKey>,
    /// So grave at least.
    pub level_min: Option<LogLevel>,
    /// Written then or later.
    pub since: Option<TimestampNs>,
    /// Written before.
    pub until: Option<TimestampNs>,
    /// The message contains this row of characters, in any case.
    pub contains: Option<String>,
    /// The target begins so.
    pub target: Option<String>,
}

/// A log line and its run.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredLog {
    /// The run.
    pub run: RunKey,
    /// The line.
    pub record: LogRecord,
}
