//! What every kind of file goes through on its way into the history: what is there already is not added again.
//!
//! Never holds more than one batch of spans, and of a run that is in the history already the ids of its spans.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use anyhow::Result;
use flowmeter_model::{LogRecord, SpanId, TelemetryEvent, TraceId};
use flowmeter_store::{Append, LogFilter, RunEnd, RunFilter, RunKey, RunOrder, RunStart, Store, StoreError};

use super::prices::CallPrices;

pub(crate) use super::lines_in::import_lines;
pub(crate) use super::otlp_in::{import_otlp_document, import_otlp_lines, import_otlp_protobuf};
pub(crate) use super::trace_in::import_trace;

/// Events that are handed on together.
const BATCH_EVENTS: usize = 512;
/// Events after which the history has to keep up.
const FLUSH_EVENTS: u64 = 20_000;
/// Runs of one trace that are looked at.
const RUNS_OF_TRACE_MAX: usize = 1_000;

/// What came of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Runs that the history did not have.
    pub(crate) runs: u64,
    /// Runs that it had.
    pub(crate) runs_known: u64,
    /// Spans that were added.
    pub(crate) spans: u64,
    /// Spans that were there.
    pub(crate) spans_known: u64,
    /// Log lines that were added.
    pub(crate) logs: u64,
    /// Log lines that were there.
    pub(crate) logs_known: u64,
    /// Log lines that belong to no run.
    pub(crate) logs_astray: u64,
    /// Lines of other programs that say nothing about spans and logs.
    pub(crate) lines_passed: u64,
    /// Lines or spans that could not be read.
    pub(crate) problems: u64,
}

/// Hears of what is wrong, and how far it is.
pub(crate) trait ImportWatch {
    /// Something could not be read; the rest goes on.
    fn problem(&mut self, place: &Place, text: &str);
    /// So many bytes were read.
    fn read(&mut self, bytes: u64);
}

/// Where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// From 1 on.
    Line(u64),
    /// From 1 on.
    Message(u64),
    /// Nowhere in particular.
    File,
}

/// What the history has of a run, and what has come of it.
#[derive(Default)]
struct KnownRun {
    is_in_history: bool,
    has_ended: bool,
    spans: HashSet<SpanId>,
    /// Hashes of the log lines that the history has, and how often each occurs.
    logs: HashMap<u64, u32>,
    /// Hashes of those that have come, where one that comes twice was sent twice.
    logs_come: HashSet<u64>,
}

/// Puts runs into the history.
pub(crate) struct Importer<'s> {
    store: &'s dyn Store,
    /// Runs of this import that go on.
    runs: HashMap<RunKey, KnownRun>,
    /// Runs that were over in this import, and may come once more.
    over: HashSet<RunKey>,
    batch: Vec<TelemetryEvent>,
    batch_run: Option<RunKey>,
    unflushed: u64,
    /// Whether equal log lines are one: senders of OTLP send again what they do not know to have arrived.
    are_logs_sent_again: bool,
    pub(crate) prices: CallPrices,
    pub(crate) imported: Imported,
}

impl<'s> Importer<'s> {
    pub(crate) fn new(store: &'s dyn Store, prices: CallPrices) -> Self {
        Self {
            store,
            runs: HashMap::new(),
            over: HashSet::new(),
            batch: Vec::new(),
            batch_run: None,
            unflushed: 0,
            are_logs_sent_again: false,
            prices,
            imported: Imported::default(),
        }
    }

    /// Says whether equal log lines of a file are one, or as many as there are.
    pub(super) fn take_equal_logs_once(&mut self, once: bool) {
        self.are_logs_sent_again = once;
    }

    /// Counts something that could not be read, and says so.
    pub(super) fn problem(&mut self, watch: &mut dyn ImportWatch, place: &Place, text: &str) {
        self.imported.problems += 1;
        watch.problem(place, text);
    }

    /// A run, before its events. Said again it is taken once.
    pub(super) fn begin(&mut self, start: RunStart) -> Result<()> {
        let key = start.key;
        if self.runs.contains_key(&key) {
            return Ok(());
        }
        let is_again = self.over.contains(&key);
        if is_again {
            self.settle()?;
        }
        let known = self.known(&key)?;
        if !is_again {
            if known.is_in_history {
                self.imported.runs_known += 1;
            } else {
                self.imported.runs += 1;
            }
        }
        self.runs.insert(key, known);
        self.store.append(Append::Began(Box::new(start)))?;
        Ok(())
    }

    /// Whether the run was begun in this import and is not over.
    pub(super) fn has_begun(&self, key: &RunKey) -> bool {
        self.runs.contains_key(key)
    }

    fn known(&self, key: &RunKey) -> Result<KnownRun> {
        let Some(run) = self.store.run(key)? else {
            return Ok(KnownRun::default());
        };
        let mut known = KnownRun {
            is_in_history: true,
            has_ended: run.metrics.is_some(),
            ..KnownRun::default()
        };
        known.spans = self.store.span_rows(key)?.iter().map(|row| row.span_id).collect();
        let filter = LogFilter {
            run: Some(*key),
            ..LogFilter::default()
        };
        self.store.logs(&filter, &mut |log| {
            *known.logs.entry(hash_of(&log.record)).or_default() += 1;
            ControlFlow::Continue(())
        })?;
        Ok(known)
    }

    /// Something that happened in a run that was begun.
    pub(super) fn event(&mut self, key: RunKey, event: TelemetryEvent) -> Result<()> {
        if let Some(known) = self.runs.get_mut(&key) {
            let is_known = match &event {
                TelemetryEvent::SpanStarted(span) => known.spans.contains(&span.span_id) || known.has_ended,
                TelemetryEvent::SpanEnded(span) => {
                    let is_known = !known.spans.insert(span.span_id);
                    self.imported.spans_known += u64::from(is_known);
                    is_known
                }
                TelemetryEvent::Log(_, record) => {
                    let hash = hash_of(record);
                    let was_there = known.logs.get_mut(&hash).is_some_and(|left| {
                        let was_there = *left > 0;
                        *left = left.saturating_sub(1);
                        was_there
                    });
                    let is_known = self.are_logs_sent_again && !known.logs_come.insert(hash) || was_there;
                    self.imported.logs_known += u64::from(is_known);
                    is_known
                }
            };
            if is_known {
                return Ok(());
            }
        }
        match &event {
            TelemetryEvent::SpanStarted(_) => {}
            TelemetryEvent::SpanEnded(_) => self.imported.spans += 1,
            TelemetryEvent::Log(..) => self.imported.logs += 1,
        }
        if self.batch_run != Some(key) || self.batch.len() >= BATCH_EVENTS {
            self.hand_on()?;
            self.batch_run = Some(key);
        }
        self.batch.push(event);
        Ok(())
    }

    /// The run is over.
    pub(super) fn end(&mut self, end: RunEnd) -> Result<()> {
        let key = end.key;
        self.hand_on()?;
        let had_ended = self.runs.get(&key).is_some_and(|known| known.has_ended);
        if !had_ended {
            self.store.append(Append::Ended(Box::new(end)))?;
        }
        self.leave(&key)
    }

    /// Nothing more comes of the run for now.
    pub(super) fn leave(&mut self, key: &RunKey) -> Result<()> {
        self.hand_on()?;
        if self.runs.remove(key).is_some() {
            self.over.insert(*key);
        }
        Ok(())
    }

    /// The run of the history that a span or log of a trace belongs to, whose run is not in the file.
    pub(super) fn run_in_history(
        &mut self,
        trace_id: TraceId,
        span_id: Option<SpanId>,
    ) -> Result<Option<RunKey>> {
        self.settle()?;
        let filter = RunFilter {
            trace_prefix: Some(trace_id.to_string()),
            ..RunFilter::default()
        };
        let runs = self
            .store
            .runs(&filter, RunOrder::Started, RUNS_OF_TRACE_MAX, 0)?;
        if let (Some(span_id), true) = (span_id, runs.len() > 1) {
            for run in &runs {
                if run.key.root_span_id == span_id || self.store.span(&run.key, span_id)?.is_some() {
                    return Ok(Some(run.key));
                }
            }
        }
        // The outermost began first, and comes last.
        let Some(key) = runs.last().map(|run| run.key) else {
            return Ok(None);
        };
        Ok(Some(key))
    }

    /// Makes a run known that is in the history already, so that its events can be added.
    pub(super) fn join(&mut self, key: RunKey) -> Result<()> {
        if !self.runs.contains_key(&key) {
            if self.over.contains(&key) {
                self.settle()?;
            } else {
                self.imported.runs_known += 1;
            }
            let known = self.known(&key)?;
            self.runs.insert(key, known);
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<()> {
        let Some(key) = self.batch_run.take() else {
            return Ok(());
        };
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.unflushed += batch.len() as u64;
        self.store.append(Append::Events(key, batch))?;
        if self.unflushed >= FLUSH_EVENTS {
            self.unflushed = 0;
            self.store.flush()?;
        }
        Ok(())
    }

    /// Waits until the history has everything.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.hand_on()?;
        self.unflushed = 0;
        self.store.flush()?;
        Ok(())
    }

    /// Forgets which runs there were, between two files: the next one may go on with them.
    pub(crate) fn end_of_file(&mut self) -> Result<()> {
        self.hand_on()?;
        let begun: Vec<RunKey> = self.runs.keys().copied().collect();
        begun.iter().try_for_each(|key| self.leave(key))
    }
}

/// Whether an import cannot go on: the history cannot be written.
pub(crate) fn is_of_history(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error>::is::<StoreError>)
}

fn hash_of(record: &LogRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.time.hash(&mut hasher);
    record.level.hash(&mut hasher);
    record.message.hash(&mut hasher);
    record.span_id.hash(&mut hasher);
    record.target.hash(&mut hasher);
    hasher.finish()
}
