//! The tracing pipeline: a flow on our own engine, with a thread to itself.
//!
//! `flow` is the graph; `live` is what its nodes do in a run, `lines` what they do with event lines; `assemble` turns
//! records into spans. Never holds up
//! the run and never fails it.

mod assemble;
mod buffer;
mod flow;
mod lines;
mod live;
mod masker;
mod selection;
mod terms;
mod weight;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvError, SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

pub use flow::{ExportOutcome, PipelineError, pipeline_flow};
pub use lines::{FormatEventsError, FormatWatch, format_events};
pub(crate) use terms::{Ending, LiveConfig, LiveReport, Signals, TraceFileWish};

use crate::backends::{BackendFailure, ExportError};
use crate::recorder::Waker;
use live::LiveTracing;

/// The running pipeline of a live run.
pub(crate) struct PipelineHandle {
    signals: Arc<Signals>,
    thread: Option<JoinHandle<LiveReport>>,
}

impl PipelineHandle {
    /// Starts the pipeline; `configure` gets the signals and the waker that belong to it, and what is to be dropped when it
    /// listens.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub(crate) fn spawn(
        configure: impl FnOnce(Arc<Signals>, Waker, SyncSender<()>) -> LiveConfig + Send + 'static,
    ) -> std::io::Result<Self> {
        let (ready, is_ready) = sync_channel(1);
        let signals = Arc::<Signals>::default();
        let theirs = Arc::clone(&signals);
        let thread = std::thread::Builder::new()
            .name("flowmeter-pipeline".to_owned())
            .spawn(move || {
                let own = std::thread::current();
                let waker: Waker = Arc::new(move || own.unpark());
                run(LiveTracing::new(configure(theirs, waker, ready)))
            })?;
        // Nothing is ever sent: the sender is dropped when the pipeline listens, or has failed to.
        let _listens: Result<(), RecvError> = is_ready.recv();
        Ok(Self {
            signals,
            thread: Some(thread),
        })
    }

    /// Has everything handed on that was recorded, and every place closed.
    pub(crate) fn finish(mut self, ending: Ending) -> LiveReport {
        *self.signals.ending.lock() = Some(ending);
        self.signals.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else {
            return LiveReport::default();
        };
        thread.thread().unpark();
        thread
            .join()
            .unwrap_or_else(|_| broken("the telemetry thread panicked"))
    }
}

fn run(tracing: LiveTracing) -> LiveReport {
    let tracing = Arc::new(Mutex::new(tracing));
    let outcome = flow::run(&tracing);
    let mut report = std::mem::take(&mut tracing.lock().report);
    if let Err(error) = outcome {
        report.failures.push(BackendFailure {
            backend: "pipeline".to_owned(),
            error: ExportError::of(error),
            times: 1,
        });
        report.outcome = ExportOutcome::Failure;
    }
    report
}

fn broken(message: &str) -> LiveReport {
    LiveReport {
        failures: vec![BackendFailure {
            backend: "pipeline".to_owned(),
            error: ExportError::new(message),
            times: 1,
        }],
        outcome: ExportOutcome::Failure,
        ..LiveReport::default()
    }
}
