//! The trace file: JSON Lines while the run goes on, the agreed JSON document when it has ended.
//!
//! A kill loses nothing that was flushed; the end replaces the file in one step. Reading accepts both forms.
//! Never keeps a trace in memory: the document is streamed from the lines.

mod calls;
mod follow;
mod joined;
mod place;
mod reader;
mod reduce;
mod sequence;
mod wire;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use flowmeter_model::{SpanError, SpanId, SpanStatus, TimestampNs, TraceId};
use smol_str::SmolStr;
use thiserror::Error;

pub use calls::{TracedCall, total_of_calls};
pub use follow::{TraceFollower, TraceProgress};
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
    /// Whether the whole trace is kept, as far as is known at the start.
    pub(crate) sampled: bool,
    /// The root span of a run that is only part of its trace: other runs of the trace have files of their own.
    pub(crate) part: Option<SpanId>,
}

impl TraceHeader {
    pub(crate) fn new(trace_id: TraceId, workflow: SmolStr, started: TimestampNs) -> Self {
        Self {
            trace_id,
            workflow,
            started,
            sampled: true,
            part: None,
        }
    }

    /// The same for a run whose root span has this id and that joined the trace of somebody else.
    pub(crate) fn part_of_trace(mut self, root: Option<SpanId>) -> Self {
        self.part = root;
        self
    }
}

/// What is known of a trace at its end.
pub(crate) struct TraceEnding {
    pub(crate) status: SpanStatus,
    pub(crate) error: Option<SpanError>,
    pub(crate) metrics: Arc<RunMetrics>,
    /// Whether the whole trace is kept.
    pub(crate) sampled: bool,
    /// The root span, where only the minimal trace of what was written is to stay.
    pub(crate) reduced_to: Option<SpanId>,
}

#[cfg(test)]
mod tests;
