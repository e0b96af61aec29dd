//! The trace file: JSON Lines while the run goes on, the agreed JSON document when it has ended.
//!
//! A kill loses nothing that was flushed; the end replaces the file in one step. Reading accepts both forms.
//! Never keeps a trace in memory: the document is streamed from the lines.

mod place;
mod reader;
mod wire;
mod writer;

use std::path::PathBuf;

use flowmeter_model::{SpanError, SpanStatus, TimestampNs, TraceId};
use smol_str::SmolStr;
use thiserror::Error;

pub use place::KeepTrace;
pub(crate) use place::TracePlace;
pub use reader::{ReadError, TraceDocument, read_trace};
pub use wire::FORMAT;
pub use writer::write_trace_json;
pub(crate) use writer::{TraceFile, TraceLine, write_document};

use crate::metrics::RunMetrics;

/// Why a trace could not be written.
#[derive(Debug, Error)]
pub enum TraceFileError {
    /// The file or its folder could not be made.
    #[error("the trace file {} could not be made", path.display())]
    Create {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is there already is no file.
    #[error("the trace cannot be written to {}: it is neither a file nor a device", path.display())]
    NoFile {
        /// Where.
        path: PathBuf,
    },
    /// A line could not be written.
    #[error("the trace file {} could not be written; spans up to here are kept", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The lines could not be turned into the document; they are still there.
    #[error("the trace file {} could not be completed; it stays readable as JSON Lines", path.display())]
    Complete {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A fault of the program.
    #[error("{0}")]
    Internal(String),
}

/// What is known of a trace from the start.
#[derive(Clone, Debug)]
pub(crate) struct TraceHeader {
    pub(crate) trace_id: TraceId,
    pub(crate) workflow: SmolStr,
    pub(crate) started: TimestampNs,
}

impl TraceHeader {
    pub(crate) fn new(trace_id: TraceId, workflow: SmolStr, started: TimestampNs) -> Self {
        Self {
            trace_id,
            workflow,
            started,
        }
    }
}

/// What is known of a trace at its end.
pub(crate) struct TraceEnding {
    pub(crate) status: SpanStatus,
    pub(crate) error: Option<SpanError>,
    pub(crate) metrics: RunMetrics,
}

#[cfg(test)]
mod tests;
