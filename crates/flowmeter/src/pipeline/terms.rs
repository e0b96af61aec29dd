//! What a live pipeline is given, how it is told of the end, and what it leaves behind.
//!
//! Never does anything: `live` works by these terms.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use flowmeter_model::{SpanError, SpanId, SpanStatus};
use parking_lot::Mutex;

use super::flow::ExportOutcome;
use crate::backends::{Backend, BackendFailure, ExportError, RunIdentity};
use crate::capture::Capture;
use crate::meter::RunShared;
use crate::metrics::RunMetrics;
use crate::recorder::{DropCounts, Waker};
use crate::trace_file::{KeepTrace, TraceFileError, TraceHeader};

/// How the run ended, as its meter knows it.
pub(crate) struct Ending {
    pub(crate) status: SpanStatus,
    pub(crate) error: Option<SpanError>,
    pub(crate) metrics: Arc<RunMetrics>,
    /// When everything must be done.
    pub(crate) deadline: Instant,
}

/// How the run tells its pipeline that it is over.
#[derive(Default)]
pub(crate) struct Signals {
    pub(crate) stop: AtomicBool,
    pub(crate) ending: Mutex<Option<Ending>>,
}

/// A trace file that is wanted.
pub(crate) struct TraceFileWish {
    pub(crate) path: PathBuf,
    pub(crate) header: TraceHeader,
    pub(crate) keep: KeepTrace,
}

/// What the pipeline is to do.
pub(crate) struct LiveConfig {
    pub(crate) shared: Arc<RunShared>,
    pub(crate) capture: Capture,
    pub(crate) identity: Arc<RunIdentity>,
    /// The span of the whole run.
    pub(crate) root: SpanId,
    pub(crate) file: Option<TraceFileWish>,
    pub(crate) backends: Vec<Box<dyn Backend>>,
    pub(crate) signals: Arc<Signals>,
    /// The thread to wake when much is waiting.
    pub(crate) waker: Waker,
    /// Dropped when the pipeline listens: the run waits for that, so that its trace is there from the start.
    pub(crate) ready: SyncSender<()>,
}

/// What the pipeline leaves behind.
#[derive(Default)]
pub(crate) struct LiveReport {
    pub(crate) trace_file: Option<PathBuf>,
    pub(crate) failures: Vec<BackendFailure>,
    pub(crate) dropped: DropCounts,
    pub(crate) outcome: ExportOutcome,
}

impl BackendFailure {
    pub(super) fn of_trace_file(error: TraceFileError) -> Self {
        Self {
            backend: "trace file".to_owned(),
            error: ExportError::of(error),
            times: 1,
        }
    }
}
