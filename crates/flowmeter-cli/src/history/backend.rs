//! The backend that keeps each run in the history, as it happens.
//!
//! Never holds up the run and never fails it: it works on a thread of its own, and the first failure ends the
//! recording, with one message.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::UNIX_EPOCH;

use flowmeter::{
    Backend, BackendProgress, Batch, Deadline, ExportError, RunEnding, RunIdentity, RunMetrics, StartsWanted,
};
use flowmeter_model::{SpanId, SpanStatus, TelemetryEvent, TimestampNs};
use flowmeter_store::{Append, RunEnd, RunKey, RunStart, RunStatus, Store, StoreError, TokenSums};

use super::{liveness, origin};

/// Nodes whose figures stand in the metrics of a run whose spans are kept: of all others the spans say the same, and of
/// a run of many thousand nodes these figures would cost more than everything else.
const NODES_NAMED_MAX: usize = 256;

/// Opens the store: on the backend's thread, for it may take a while.
pub(super) type Opener<S> = Box<dyn FnOnce() -> Result<S, StoreError> + Send>;

/// Where the store is left when the run is over, for who has more to do with it.
pub(super) type Left<S> = Arc<OnceLock<S>>;

/// Keeps one run in the history.
pub(super) struct HistoryBackend<S> {
    /// Where the history is.
    file: PathBuf,
    opener: Option<Opener<S>>,
    recording: Option<Recording<S>>,
    left: Left<S>,
}

/// A run that is being kept.
struct Recording<S> {
    store: S,
    key: RunKey,
    started: TimestampNs,
    /// How long the root span took, as soon as it ended.
    root_duration_ns: Option<u64>,
    /// Something could not be written: nothing more is tried.
    failed: bool,
    /// Events that found no room.
    unkept: u64,
}

impl<S: Store> HistoryBackend<S> {
    /// Keeps a run in what `opener` opens, which is in `file`, and leaves it in `left` at the end.
    pub(super) fn new(file: PathBuf, opener: Opener<S>, left: Left<S>) -> Self {
        Self {
            file,
            opener: Some(opener),
            recording: None,
            left,
        }
    }
}

impl<S: Store> Recording<S> {
    fn append(&mut self, append: Append) -> Result<(), ExportError> {
        if self.failed {
            return Ok(());
        }
        let events = match &append {
            Append::Events(_, events) => events.len() as u64,
            _ => 1,
        };
        match self.store.append(append) {
            Ok(()) => Ok(()),
            // It is busy, which may pass: what was lost is told in one sum.
            Err(StoreError::Full { .. }) => {
                self.unkept += events;
                Ok(())
            }
            Err(error) => Err(self.give_up(error)),
        }
    }

    fn give_up(&mut self, error: StoreError) -> ExportError {
        self.failed = true;
        ExportError::of(error)
    }

    fn finish(&mut self, ending: &RunEnding) -> Result<(), ExportError> {
        let mut end = end_of(self.key, ending);
        // A run takes as long as its summary, its tree and the statistics say: as its root, not as the preparations too.
        if let Some(duration_ns) = self.root_duration_ns {
            end.ended = TimestampNs(self.started.0.saturating_add(duration_ns));
        }
        self.append(Append::Ended(Box::new(end)))?;
        if !self.failed
            && let Err(error) = self.store.flush()
        {
            return Err(self.give_up(error));
        }
        match self.unkept {
            0 => Ok(()),
            unkept => Err(ExportError::new(format!(
                "the history was too busy: {unkept} events of this run are not in it"
            ))),
        }
    }
}

impl<S: Store> Backend for HistoryBackend<S> {
    fn name(&self) -> &str {
        "history"
    }

    fn progress(&self) -> Option<BackendProgress> {
        let mut log = self.file.as_os_str().to_owned();
        log.push("-wal");
        Some(Box::new(move || {
            // Whoever writes changes the log of changes: then this run's turn comes.
            let changed = std::fs::metadata(&log).and_then(|log| log.modified()).ok();
            let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            since.map_or(0, |since| since.as_nanos() as u64)
        }))
    }

    fn starts(&self) -> StartsWanted {
        StartsWanted::Lasting
    }

    fn begin(&mut self, run: &Arc<RunIdentity>, _: &Deadline) -> Result<(), ExportError> {
        let Some((opener, key)) = self.opener.take().zip(key_of(run)) else {
            return Err(ExportError::new(
                "the run has no root: the history cannot keep it",
            ));
        };
        let mut recording = Recording {
            store: opener().map_err(ExportError::of)?,
            key,
            started: run.started,
            root_duration_ns: None,
            failed: false,
            unkept: 0,
        };
        recording.append(Append::Began(Box::new(start_of(key, run))))?;
        self.recording = Some(recording);
        Ok(())
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.keep(batch.events.clone())
    }

    fn take(&mut self, batch: Arc<Batch>) -> Result<(), ExportError> {
        match Arc::try_unwrap(batch) {
            Ok(batch) => self.keep(batch.events),
            Err(shared) => self.export(&shared),
        }
    }

    fn finish(&mut self, ending: &RunEnding) -> Result<(), ExportError> {
        let Some(mut recording) = self.recording.take() else {
            return Ok(());
        };
        let outcome = recording.finish(ending);
        // There is one run, and so one end.
        let _is_left_once = self.left.set(recording.store);
        outcome
    }
}

impl<S: Store> HistoryBackend<S> {
    fn keep(&mut self, mut events: Vec<TelemetryEvent>) -> Result<(), ExportError> {
        let Some(recording) = &mut self.recording else {
            return Ok(());
        };
        leave_out_short_starts(&mut events);
        if events.is_empty() {
            return Ok(());
        }
        let key = recording.key;
        for event in &events {
            if let TelemetryEvent::SpanEnded(span) = event
                && span.span_id == key.root_span_id
            {
                recording.root_duration_ns = span.duration_ns();
            }
        }
        recording.append(Append::Events(key, events))
    }
}

/// Leaves out the starts of spans whose end is there, too: the end says it all.
fn leave_out_short_starts(events: &mut Vec<TelemetryEvent>) {
    let is_start = |event: &TelemetryEvent| matches!(event, TelemetryEvent::SpanStarted(_));
    if !events.iter().any(is_start) {
        return;
    }
    let ended: HashSet<SpanId> = events
        .iter()
        .filter_map(|event| match event {
            TelemetryEvent::SpanEnded(span) => Some(span.span_id),
            _ => None,
        })
        .collect();
    events.retain(|event| match event {
        TelemetryEvent::SpanStarted(span) => !ended.contains(&span.span_id),
        _ => true,
    });
}

fn key_of(run: &RunIdentity) -> Option<RunKey> {
    Some(RunKey {
        trace_id: run.trace_id,
        root_span_id: run.root_span_id?,
    })
}

fn start_of(key: RunKey, run: &RunIdentity) -> RunStart {
    RunStart {
        key,
        parent_span_id: run.parent_span_id,
        workflow: run.workflow.clone(),
        started: run.started,
        sampled: run.sampled,
        origin: origin::origin_of(&run.resource),
        resource: run.resource.clone(),
        process: Some(liveness::own_mark()),
    }
}

fn end_of(key: RunKey, ending: &RunEnding) -> RunEnd {
    let llm = &ending.metrics.llm;
    let nodes_max = if ending.sampled {
        NODES_NAMED_MAX
    } else {
        usize::MAX
    };
    let mut metrics = ending.metrics.to_json_naming(nodes_max);
    // So that `show` can print the trace as its file would have it.
    metrics["trace"] = ending.metrics.trace_json().into();
    if ending.dropped.total() > 0 {
        metrics["dropped"] = ending.dropped.to_json();
    }
    RunEnd {
        key,
        ended: ending.ended,
        status: match ending.status {
            SpanStatus::Ok => RunStatus::Ok,
            SpanStatus::Error => RunStatus::Error,
            SpanStatus::Cancelled => RunStatus::Cancelled,
        },
        error: ending.error.clone(),
        sampled: ending.sampled,
        nodes: ending.metrics.nodes_executed,
        llm_calls: llm.calls,
        tokens: tokens_of(&ending.metrics),
        cost: llm.cost.clone(),
        saved: llm.cache.saved_cost.clone(),
        metrics,
    }
}

fn tokens_of(metrics: &RunMetrics) -> TokenSums {
    let llm = &metrics.llm;
    TokenSums {
        input: llm.input_tokens,
        cache_read: llm.cache_read_tokens,
        cache_write: llm.cache_write_tokens,
        output: llm.output_tokens,
        reasoning: llm.reasoning_tokens,
    }
}

#[cfg(test)]
mod tests;
