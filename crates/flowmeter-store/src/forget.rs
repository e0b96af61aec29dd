//! What is removed from the store: on request, and when it has had its time.
//!
//! Never removes what a run that goes on has written, unless that run is named.

use std::time::Duration;

use crate::{RunFilter, RunKey};

/// What is to be forgotten for good.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one is made for each command")]
pub enum ForgetSelector {
    /// These runs.
    Runs(Vec<RunKey>),
    /// All runs that these conditions hold for. Without any condition nothing is forgotten.
    Matching(RunFilter),
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Runs.
    pub runs: u64,
    /// Spans.
    pub spans: u64,
    /// Log lines.
    pub logs: u64,
    /// Spans whose payload went while their row stayed.
    pub payloads: u64,
    /// Bytes by which the used part of the file became smaller.
    pub bytes: u64,
}

/// How long things are kept. `None`: for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Prompts, answers, attributes, mutations, logs, of runs that ended or were last heard of so long ago. Default: for
    /// ever.
    pub payloads: Option<Duration>,
    /// Runs and their spans; what they came to stays in the sums of [`crate::Store::stats`]. Default: for ever.
    pub runs: Option<Duration>,
    /// The used part of the file, bytes; the oldest payloads go first, then the oldest runs. Default: no limit.
    pub size_bytes_max: Option<u64>,
}

/// What a look after the file found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes in it that nothing uses.
    pub free_bytes: u64,
    /// Runs.
    pub runs: u64,
    /// Spans.
    pub spans: u64,
    /// What is wrong, in words; none: all is well.
    pub problems: Vec<String>,
}
