//! Where telemetry goes: the trait that every backend implements, and what it is handed.
//!
//! A backend is synchronous and works on a thread of its own; it never holds up the run or another backend.

mod console;
mod deadline;
mod file;
pub(crate) mod otlp;
#[cfg(test)]
pub(crate) mod probes;
mod reader_facing;
mod stream;
mod worker;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use flowmeter_model::{Attributes, SpanError, SpanId, SpanStatus, TelemetryEvent, TimestampNs, TraceId};
use smol_str::SmolStr;

use crate::metrics::RunMetrics;
use crate::recorder::DropCounts;

pub use console::{ConsoleBackend, ConsoleConfig};
pub use deadline::Deadline;
pub use file::{FileBackend, FileConfig, FileFormat, FileMode, FileSync, InvalidFileConfig, Rotation};
pub(crate) use reader_facing::ReaderFacing;
pub use stream::{InvalidStreamTarget, StreamBackend, StreamConfig, StreamTarget};
pub use worker::BackendFailure;
pub(crate) use worker::BackendWorker;

/// Which run a batch belongs to, and what is the same for all of its telemetry.
#[derive(Clone, Debug)]
pub struct RunIdentity {
    /// The run's trace; several runs share one where one called the other.
    pub trace_id: TraceId,
    /// The span of the run as a whole; `None` where a file is read that does not say.
    pub root_span_id: Option<SpanId>,
    /// The span that called the run, in another process.
    pub parent_span_id: Option<SpanId>,
    /// The workflow's name.
    pub workflow: SmolStr,
    /// When it began.
    pub started: TimestampNs,
    /// The W3C `tracestate` that all spans carry, such as `ot=th:c`; empty where there is none.
    pub trace_state: String,
    /// Whether the whole trace is kept. Where not, only the root, errors and LLM calls' usage arrive.
    pub sampled: bool,
    /// What describes the process (OpenTelemetry: resource), such as `service.name`.
    pub resource: Attributes,
}

/// What happened, in the order in which it was read.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose telemetry it is.
    pub run: Arc<RunIdentity>,
    /// What happened.
    pub events: Vec<TelemetryEvent>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunEnding {
    /// Well, badly, or not at all.
    pub status: SpanStatus,
    /// Why not well.
    pub error: Option<SpanError>,
    /// When.
    pub ended: TimestampNs,
    /// What it came to. Counted for every run, sampled or not.
    pub metrics: Arc<RunMetrics>,
    /// Whether the whole trace was kept in the end; where not, only the root, errors and LLM calls' usage came.
    pub sampled: bool,
    /// What telemetry was lost up to now.
    pub dropped: DropCounts,
}

/// Which spans a backend is told of before they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StartsWanted {
    /// Those that stay open for a while, at the next flush; where another backend wants all, all.
    Lasting,
    /// All, as they begin.
    All,
}

/// A number that changes as long as something goes on.
pub type BackendProgress = Box<dyn FnMut() -> u64 + Send>;

/// A place that telemetry goes to.
///
/// All calls come from one thread, the backend's own, so that a slow one holds nobody up. A batch that fails is
/// not handed out again: a backend that wants to retry does so before it returns.
pub trait Backend: Send {
    /// Its name in messages, such as `otlp`.
    fn name(&self) -> &str;

    /// Whether it shows the run to somebody who watches, and so gets all of it, sampled or not. Default: no.
    fn sees_all(&self) -> bool {
        false
    }

    /// For a backend whose end may take longer than the exit timeout and comes by itself, such as one that waits for its
    /// turn among other programs: a number that changes as long as something goes on. It is asked from another thread.
    /// Such a backend is waited for while it changes, up to 30 s longer. Default: none.
    fn progress(&self) -> Option<BackendProgress> {
        None
    }

    /// Which spans it is told of before they end. Default: all.
    fn starts(&self) -> StartsWanted {
        StartsWanted::All
    }

    /// The run begins. `deadline` is set when it has ended: a backend that waits for others asks it, or waits for
    /// it, and saves in time what it could not send. Afterwards nobody waits for the backend.
    ///
    /// # Errors
    /// Why it cannot work; it is left out of this run then.
    fn begin(&mut self, run: &Arc<RunIdentity>, deadline: &Deadline) -> Result<(), ExportError> {
        let _ = (run, deadline);
        Ok(())
    }

    /// Takes a batch.
    ///
    /// # Errors
    /// What it could not do with it; the next batch comes all the same.
    fn export(&mut self, batch: &Batch) -> Result<(), ExportError>;

    /// Takes a batch that may be nobody else's: one that keeps the events need not copy them then. Called instead of
    /// [`Backend::export`].
    ///
    /// # Errors
    /// As [`Backend::export`].
    fn take(&mut self, batch: Arc<Batch>) -> Result<(), ExportError> {
        self.export(&batch)
    }

    /// Hands on what it has gathered. Called when no more has come for a tenth of a second.
    ///
    /// # Errors
    /// What it could not hand on.
    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }

    /// The run is over; nothing more will come.
    ///
    /// # Errors
    /// What was left undone.
    fn finish(&mut self, ending: &RunEnding) -> Result<(), ExportError> {
        let _ = ending;
        Ok(())
    }
}

/// Why telemetry did not get to where it should.
#[derive(Debug)]
pub struct ExportError {
    /// `None` where the cause says it all.
    message: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ExportError {
    /// An error with this message: lowercase, no full stop.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            source: None,
        }
    }

    /// An error that says what this one says.
    #[must_use]
    pub fn of(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            message: None,
            source: Some(error.into()),
        }
    }

    /// The same with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl Error for ExportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source: &(dyn Error + 'static) = self.source.as_deref()?;
        match self.message {
            Some(_) => Some(source),
            // It is the error itself; only what is beneath it is a cause.
            None => source.source(),
        }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.message, &self.source) {
            (Some(message), _) => f.write_str(message),
            (None, Some(source)) => source.fmt(f),
            (None, None) => f.write_str("unknown"),
        }
    }
}
