//! The pipeline of a live run: drains the recorder, writes the trace file, hands batches to the backends.
//!
//! The only reader of the recorder and the only writer of the trace file. Never holds up the run: it works
//! beside it, and what fails here is reported at the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use flowmeter_engine::Ticks;
use flowmeter_model::{SpanId, TelemetryEvent, TimestampNs};

use super::assemble::Assembler;
use super::buffer::EventBuffer;
use super::flow::{Collected, ExportOutcome, StageError, Tracing};
use super::selection::Selection;
use super::terms::{Ending, LiveConfig, LiveReport, Signals, TraceFileWish};
use crate::backends::{Backend, BackendFailure, BackendWorker, Batch, RunEnding, RunIdentity, StartsWanted};
use crate::meter::RunShared;
use crate::recorder::{DropCounts, Waker};
use crate::trace_file::{TraceEnding, TraceFile, TraceFileError};

/// How long an ended span may wait for the disk: with the pause below, less than the promised 200 ms.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// The pause when there is nothing to do.
const PAUSE: Duration = Duration::from_millis(40);
/// Events after which backends get what there is, so that they work beside the run and not after it.
const HAND_ON_EVENTS: usize = 1_000;
/// Events that are collected before they are handed on.
pub(crate) const BUFFER_EVENTS_MAX: usize = 10_000;
/// A record is written this long after what it tells, at most: threads are read one after another, and what they
/// tell goes on in the order in which it happened.
const UNREAD_NS: u64 = 2_000_000;
/// Bytes that are collected before they are handed on, by estimate.
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// How backends that see all of a run get it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watching {
    /// The others get all of it, too.
    WithTheOthers,
    /// The others get less, or later.
    Apart,
    /// They have seen all there was.
    Done,
}

/// The work of the pipeline's nodes in a live run.
pub(crate) struct LiveTracing {
    shared: Arc<RunShared>,
    identity: Arc<RunIdentity>,
    signals: Arc<Signals>,
    waker: Waker,
    ready: Option<SyncSender<()>>,
    assembler: Assembler,
    selection: Selection,
    root: SpanId,
    file_wish: Option<TraceFileWish>,
    file: Option<TraceFile>,
    backends: Vec<Box<dyn Backend>>,
    workers: Vec<BackendWorker>,
    /// Places that were wanted.
    places: usize,
    /// Places that failed.
    failed_places: usize,
    buffer: EventBuffer,
    /// Backends are told of spans that stay open for a while, and of no others.
    tells_lasting: bool,
    watching: Watching,
    /// Events since the last flush, kept or not.
    collected: usize,
    flushed: Instant,
    /// Everything that happened before has been read, whichever thread it happened on.
    read_until: TimestampNs,
    ending: Option<Ending>,
    /// Whether the file holds more of the run than is to be kept.
    reduces_file: bool,
    /// Events that are not whole although they should be, for want of room while the end was not known.
    lost_while_held: u64,
    ended_at: TimestampNs,
    pub(crate) report: LiveReport,
}

impl LiveTracing {
    pub(crate) fn new(config: LiveConfig) -> Self {
        let LiveConfig {
            shared,
            capture,
            identity,
            root,
            file,
            backends,
            signals,
            waker,
            ready,
        } = config;
        let selection = Selection::new(identity.sampled, !shared.tail_rules.is_empty(), root);
        let is_watched = backends.iter().any(|backend| backend.sees_all());
        let watching = if is_watched && !matches!(selection, Selection::Whole) {
            Watching::Apart
        } else {
            Watching::WithTheOthers
        };
        let clock = shared.clock();
        let wants_all = backends
            .iter()
            .any(|backend| backend.starts() == StartsWanted::All);
        let tells_starts = wants_all || selection.wants_starts();
        let assembler = Assembler::new(capture, identity.trace_id, clock, tells_starts);
        let tells_lasting = !tells_starts && !backends.is_empty();
        Self {
            places: usize::from(file.is_some()) + backends.len(),
            failed_places: 0,
            assembler,
            selection,
            root,
            file_wish: file,
            file: None,
            workers: Vec::with_capacity(backends.len()),
            backends,
            buffer: EventBuffer::default(),
            tells_lasting,
            watching,
            collected: 0,
            flushed: Instant::now(),
            read_until: TimestampNs(0),
            ending: None,
            reduces_file: false,
            lost_while_held: 0,
            ended_at: identity.started,
            report: LiveReport::default(),
            shared,
            identity,
            signals,
            waker,
            ready: Some(ready),
        }
    }

    /// Writes to the trace file; the first failure is kept and ends the writing.
    fn write(&mut self, work: impl FnOnce(&mut TraceFile) -> Result<(), TraceFileError>) {
        if let Some(file) = &mut self.file
            && let Err(error) = work(file)
        {
            self.file_failed(error);
            self.file = None;
        }
    }

    fn file_failed(&mut self, error: TraceFileError) {
        self.failed_places += 1;
        self.report.failures.push(BackendFailure::of_trace_file(error));
    }

    /// Takes the records that are complete by now; says how many there were.
    fn drain(&mut self, records_wanted: usize) -> usize {
        let recorder = self.shared.recorder.clone();
        self.assembler.clock.refresh();
        let now = self.assembler.clock.unix_ns(Ticks::now());
        self.read_until = TimestampNs(now.saturating_sub(UNREAD_NS));
        // A look now and then, so that what a long node holds at its height is seen.
        self.shared.memory.look(Ticks::now());
        if self.file.is_none() && self.workers.iter().all(BackendWorker::is_full) {
            // Nobody wants any of it, or nobody can take it: it need not be put together. The figures were counted
            // where they arose.
            let count =
                recorder.drain_with_payloads(records_wanted, |record, _| self.assembler.skip(&record));
            for worker in &mut self.workers {
                worker.drop_events(count as u64);
            }
            self.collected += count;
            return count;
        }
        recorder.drain_with_payloads(records_wanted, |record, payload| {
            if let Some(event) = self.assembler.take(&record, payload) {
                self.keep(event);
            }
        })
    }

    fn keep(&mut self, event: TelemetryEvent) {
        self.collected += 1;
        match &self.selection {
            Selection::Whole => {
                self.write_event(&event);
                if self.workers.iter().any(|worker| !worker.is_full()) {
                    self.buffer.push(event);
                } else {
                    // Nobody could take it: it need not be weighed and put into order.
                    self.workers.iter_mut().for_each(|worker| worker.drop_events(1));
                }
            }
            // What is left of it is known when it has come into order.
            Selection::Minimal(_) => self.buffer.push(event),
            Selection::Held(_) => {
                // The file has it whole until the end decides.
                self.write_event(&event);
                self.buffer.push(event);
            }
        }
    }

    /// What goes on of these events, which are in order.
    fn select(&mut self, events: Vec<TelemetryEvent>) -> Vec<TelemetryEvent> {
        match &mut self.selection {
            Selection::Whole => events,
            Selection::Minimal(minimal) => {
                let kept: Vec<TelemetryEvent> = events
                    .into_iter()
                    .filter_map(|event| minimal.take(event))
                    .collect();
                for event in &kept {
                    self.write_event(event);
                }
                kept
            }
            Selection::Held(held) => {
                if !self.workers.is_empty() {
                    events.into_iter().for_each(|event| held.hold(event));
                }
                Vec::new()
            }
        }
    }

    fn write_event(&mut self, event: &TelemetryEvent) {
        match event {
            TelemetryEvent::SpanEnded(span) => self.write(|file| file.write_span(span)),
            TelemetryEvent::Log(_, log) => self.write(|file| file.write_log(log)),
            // The file names spans that are open only if they stay so for a while.
            TelemetryEvent::SpanStarted(_) => {}
        }
    }

    /// Whether the trace of the run is kept whole after all, now that it is over.
    fn is_kept_at_last(&self, ending: &Ending) -> bool {
        let metrics = &ending.metrics;
        let duration = Duration::from_nanos(metrics.duration_ns);
        let rules = &self.shared.tail_rules;
        rules.decide(ending.status, duration, Some(metrics.llm.cost.known))
    }

    /// Lets go what waited for the end of the run.
    fn release(&mut self) {
        let Selection::Held(held) = std::mem::replace(&mut self.selection, Selection::Whole) else {
            return;
        };
        if self.watching == Watching::Apart {
            self.watching = Watching::Done;
        }
        let kept = self
            .ending
            .as_ref()
            .is_some_and(|ending| self.is_kept_at_last(ending));
        self.reduces_file = !kept;
        let (events, lost) = held.release(kept);
        self.lost_while_held = lost;
        if kept {
            // Nobody can say any more of how many runs this one is one.
            let identity = RunIdentity {
                sampled: true,
                trace_state: self.shared.trace_context.trace_state_kept_at_last().to_string(),
                ..(*self.identity).clone()
            };
            self.identity = Arc::new(identity);
        }
        for event in events {
            self.buffer.push(event);
            if self.buffer.bytes() >= BUFFER_BYTES_MAX {
                self.hand_on(None);
            }
        }
    }

    /// Hands the buffer to the backends, as far as everything before that moment has been read.
    fn hand_on(&mut self, until: Option<TimestampNs>) {
        let (events, weight) = self.buffer.take(until);
        if self.watching == Watching::Apart {
            self.offer(events.clone(), weight, BackendWorker::sees_all);
        }
        let events = self.select(events);
        let is_apart = self.watching != Watching::WithTheOthers;
        self.offer(events, weight, |worker| !(is_apart && worker.sees_all()));
    }

    fn offer(&mut self, events: Vec<TelemetryEvent>, weight: usize, to: impl Fn(&BackendWorker) -> bool) {
        if events.is_empty() || self.workers.is_empty() {
            return;
        }
        let batch = Arc::new(Batch {
            run: Arc::clone(&self.identity),
            events,
        });
        let mut takers = self.workers.iter_mut().filter(|worker| to(worker)).peekable();
        // Whoever takes it last may have it for its own: nothing is held here any more.
        while let Some(taker) = takers.next() {
            if takers.peek().is_none() {
                taker.offer(batch, weight);
                break;
            }
            taker.offer(Arc::clone(&batch), weight);
        }
    }

    /// What was lost up to now, by reason.
    fn dropped(&self) -> DropCounts {
        DropCounts {
            backend_full: self
                .workers
                .iter()
                .map(BackendWorker::dropped_events)
                .sum::<u64>()
                + self.lost_while_held,
            ..self.shared.dropped()
        }
    }

    /// Tells the backends how the run ended: what they still have to do is done beside the trace file.
    fn tell_ending(&mut self) {
        let Some(ending) = &self.ending else { return };
        let dropped = self.dropped();
        for worker in &mut self.workers {
            let ending_for_it = RunEnding {
                sampled: self.identity.sampled,
                status: ending.status,
                error: ending.error.clone(),
                ended: self.ended_at,
                metrics: Arc::clone(&ending.metrics),
                dropped,
            };
            worker.end(ending_for_it, ending.deadline);
        }
    }

    /// Spans that take longer than a flush are named before they end, so that a reader after a kill can tell what
    /// was going on.
    fn tell_open_spans(&mut self) {
        let mut file = self.file.take();
        if file.is_none() && !self.tells_lasting {
            return;
        }
        let mut outcome = Ok(());
        let only = matches!(self.selection, Selection::Minimal(_)).then_some(self.root);
        self.assembler.newly_open(|span| {
            if let Some(file) = &mut file
                && outcome.is_ok()
                && only.is_none_or(|root| span.span_id == root)
            {
                outcome = file.write_open_span(&span);
            }
            if self.tells_lasting {
                self.buffer.push(TelemetryEvent::SpanStarted(Box::new(span)));
            }
        });
        match outcome {
            Ok(()) => self.file = file,
            Err(error) => self.file_failed(error),
        }
    }
}

impl Tracing for LiveTracing {
    fn init(&mut self) -> Result<(), StageError> {
        self.flushed = Instant::now();
        Ok(())
    }

    fn configure_handlers(&mut self) -> Result<(), StageError> {
        if let Some(wish) = self.file_wish.take() {
            match TraceFile::create(wish.path, &wish.header, wish.keep) {
                Ok(file) => self.file = Some(file),
                Err(error) => self.file_failed(error),
            }
        }
        for backend in self.backends.drain(..) {
            match BackendWorker::start(backend, Arc::clone(&self.identity)) {
                Ok(worker) => self.workers.push(worker),
                Err(failure) => {
                    self.failed_places += 1;
                    self.report.failures.push(failure);
                }
            }
        }
        Ok(())
    }

    fn attach(&mut self) -> Result<(), StageError> {
        self.shared.recorder.set_waker(Arc::clone(&self.waker));
        self.ready = None;
        Ok(())
    }

    fn collect(&mut self) -> Result<Collected, StageError> {
        loop {
            if self.signals.stop.load(Ordering::Acquire) {
                // Whatever was recorded before the run ended is read; who still records now is too late.
                self.drain(usize::MAX);
                return Ok(Collected::Ended);
            }
            let count = self.drain(BUFFER_EVENTS_MAX);
            if self.buffer.len() >= HAND_ON_EVENTS {
                self.hand_on(Some(self.read_until));
            }
            if self.collected >= BUFFER_EVENTS_MAX || self.buffer.bytes() >= BUFFER_BYTES_MAX {
                return Ok(Collected::BufferFull);
            }
            if self.flushed.elapsed() >= FLUSH_INTERVAL {
                return Ok(Collected::BufferFull);
            }
            if count == 0 {
                let until_flush = FLUSH_INTERVAL.saturating_sub(self.flushed.elapsed());
                std::thread::park_timeout(PAUSE.min(until_flush));
            }
        }
    }

    fn flush(&mut self) -> Result<(), StageError> {
        let is_due = self.flushed.elapsed() >= FLUSH_INTERVAL;
        if is_due {
            self.tell_open_spans();
        }
        self.hand_on(Some(self.read_until));
        if is_due {
            self.write(TraceFile::flush);
            self.flushed = Instant::now();
        }
        self.collected = 0;
        Ok(())
    }

    fn aggregate(&mut self) -> Result<(), StageError> {
        let ending = self.signals.ending.lock().take();
        self.ending = ending.map(|mut ending| {
            ending.error = ending.error.map(|error| self.assembler.capture().error(error));
            ending
        });
        self.hand_on(None);
        self.release();
        self.hand_on(None);
        self.ended_at = TimestampNs(self.assembler.clock.unix_ns(Ticks::now()));
        Ok(())
    }

    fn format(&mut self) -> Result<(), StageError> {
        self.tell_ending();
        // Nobody said how the run ended: the lines stay, readable and unfinished.
        if let (Some(file), Some(ending)) = (self.file.take(), &self.ending) {
            let ending = TraceEnding {
                status: ending.status,
                error: ending.error.clone(),
                metrics: Arc::clone(&ending.metrics),
                sampled: self.identity.sampled,
                reduced_to: self.reduces_file.then_some(self.root),
            };
            match file.finish(&ending, self.dropped()) {
                Ok(path) => self.report.trace_file = path,
                Err(error) => self.file_failed(error),
            }
        }
        Ok(())
    }

    fn export(&mut self) -> ExportOutcome {
        let dropped = self.dropped();
        for worker in std::mem::take(&mut self.workers) {
            let failures = worker.finish();
            self.failed_places += usize::from(!failures.is_empty());
            self.report.failures.extend(failures);
        }
        self.report.dropped = dropped;
        self.report.outcome = match self.failed_places {
            0 => ExportOutcome::Success,
            failed if failed < self.places => ExportOutcome::PartialSuccess,
            _ => ExportOutcome::Failure,
        };
        self.report.outcome
    }
}
