//! The pipeline's thread: reads the journals, turns records into spans, cuts and masks them, writes them.
//!
//! The only reader of the recorder and the only writer of the trace file. Never holds up the run: it works
//! beside it, and what fails here is reported at the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flowmeter_engine::{TickClock, Ticks};
use flowmeter_model::{
    AttributeValue, Attributes, LogRecord, MutationRecord, Span, SpanId, SpanKind, TemplateResolution,
    TimestampNs, TraceId,
};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::capture::{Capture, ContentKind, is_secret_name};
use crate::details::{LogDraft, SpanDetails, kind_and_status};
use crate::genai;
use crate::meter::RunShared;
use crate::recorder::{Payload, RecordCopy, RecordKind, RecordRef, RecordedValue};
use crate::trace_file::{TraceEnding, TraceFile, TraceFileError};

/// How long an ended span may wait for the disk: with the pause below, less than the promised 200 ms.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// The pause when there is nothing to do.
const PAUSE: Duration = Duration::from_millis(40);

/// Turns records into spans and writes them.
pub(crate) struct Pipeline {
    shared: Arc<RunShared>,
    capture: Capture,
    trace_id: TraceId,
    file: Option<TraceFile>,
    clock: TickClock,
    /// Spans that began and have not ended, and whether that was written.
    open: FxHashMap<SpanId, OpenSpan>,
    /// Spans whose end was read before their start, from another thread's journal.
    early_ends: FxHashSet<SpanId>,
    errors: Vec<TraceFileError>,
}

struct OpenSpan {
    /// The record of its start: most spans end before anybody wants to see more of it.
    record: RecordCopy,
    written: bool,
}

/// What the pipeline leaves behind.
pub(crate) struct PipelineEnding {
    pub(crate) trace_file: Option<PathBuf>,
    pub(crate) errors: Vec<TraceFileError>,
}

struct Signals {
    stop: AtomicBool,
    ending: Mutex<Option<TraceEnding>>,
}

/// The running pipeline.
pub(crate) struct PipelineHandle {
    signals: Arc<Signals>,
    thread: Option<JoinHandle<PipelineEnding>>,
}

impl PipelineHandle {
    /// Has everything written that was recorded, and the trace file closed.
    pub(crate) fn finish(mut self, ending: TraceEnding) -> PipelineEnding {
        *self.signals.ending.lock() = Some(ending);
        self.signals.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else {
            return PipelineEnding {
                trace_file: None,
                errors: Vec::new(),
            };
        };
        thread.thread().unpark();
        thread.join().unwrap_or_else(|_| PipelineEnding {
            trace_file: None,
            errors: vec![TraceFileError::Internal(
                "the telemetry thread panicked".to_owned(),
            )],
        })
    }
}

impl Pipeline {
    pub(crate) fn new(
        shared: Arc<RunShared>,
        capture: Capture,
        trace_id: TraceId,
        file: Option<Result<TraceFile, TraceFileError>>,
    ) -> Self {
        let clock = shared.clock();
        let (file, errors) = match file {
            None => (None, Vec::new()),
            Some(Ok(file)) => (Some(file), Vec::new()),
            Some(Err(error)) => (None, vec![error]),
        };
        let (open, early_ends) = (FxHashMap::default(), FxHashSet::default());
        Self {
            shared,
            capture,
            trace_id,
            file,
            clock,
            open,
            early_ends,
            errors,
        }
    }

    pub(crate) fn spawn(self) -> std::io::Result<PipelineHandle> {
        let signals = Arc::new(Signals {
            stop: AtomicBool::new(false),
            ending: Mutex::new(None),
        });
        let theirs = Arc::clone(&signals);
        let recorder = self.shared.recorder.clone();
        let thread = std::thread::Builder::new()
            .name("flowmeter-pipeline".to_owned())
            .spawn(move || self.run(&theirs))?;
        let waked = thread.thread().clone();
        recorder.set_waker(Arc::new(move || waked.unpark()));
        Ok(PipelineHandle {
            signals,
            thread: Some(thread),
        })
    }

    fn run(mut self, signals: &Signals) -> PipelineEnding {
        let recorder = self.shared.recorder.clone();
        let mut flushed = Instant::now();
        loop {
            let stopping = signals.stop.load(Ordering::Acquire);
            self.clock.refresh();
            let count = recorder.drain_with_payloads(|record, payload| self.take(&record, payload));
            if stopping {
                // Whatever was recorded before the run ended has been read; who still records now is too late.
                break;
            }
            if flushed.elapsed() >= FLUSH_INTERVAL {
                self.write_open_spans();
                self.write(TraceFile::flush);
                flushed = Instant::now();
            }
            if count == 0 {
                std::thread::park_timeout(PAUSE);
            }
        }
        let ending = signals.ending.lock().take();
        self.close(ending)
    }

    /// Writes to the trace file; the first failure is kept and ends the writing.
    fn write(&mut self, work: impl FnOnce(&mut TraceFile) -> Result<(), TraceFileError>) {
        if let Some(file) = &mut self.file
            && let Err(error) = work(file)
        {
            self.errors.push(error);
            self.file = None;
        }
    }

    fn close(mut self, ending: Option<TraceEnding>) -> PipelineEnding {
        let mut trace_file = None;
        if let (Some(file), Some(mut ending)) = (self.file.take(), ending) {
            ending.error = ending.error.map(|error| self.capture.error(error));
            match file.finish(&ending, self.shared.recorder.dropped()) {
                Ok(path) => trace_file = path,
                Err(error) => self.errors.push(error),
            }
        }
        PipelineEnding {
            trace_file,
            errors: self.errors,
        }
    }

    fn take(&mut self, record: &RecordRef<'_>, payload: Option<Payload>) {
        match (record.kind(), payload) {
            (RecordKind::Start, _) => self.take_start(record),
            (RecordKind::End, payload) => self.take_end(record, payload),
            (RecordKind::Log, Some(Payload::Log(draft))) => self.take_log(*draft),
            (RecordKind::Log, _) => {}
        }
    }

    fn time(&self, at: Ticks) -> TimestampNs {
        TimestampNs(self.clock.unix_ns(at))
    }

    fn begin(&self, record: &RecordRef<'_>) -> Option<Span> {
        let (kind, _) = kind_and_status(record.tag());
        Some(Span::begin(
            self.trace_id,
            record.span_id()?,
            record.parent_span_id(),
            kind,
            record.name(),
            self.time(record.start()),
        ))
    }

    fn take_start(&mut self, record: &RecordRef<'_>) {
        let Some(span_id) = record.span_id() else {
            return;
        };
        if !self.early_ends.remove(&span_id) {
            let record = record.to_owned_words();
            self.open.insert(
                span_id,
                OpenSpan {
                    record,
                    written: false,
                },
            );
        }
    }

    fn take_end(&mut self, record: &RecordRef<'_>, payload: Option<Payload>) {
        let Some(mut span) = self.begin(record) else {
            return;
        };
        let (kind, status) = kind_and_status(record.tag());
        // A light span of a library user has no start of its own, and no details.
        let has_start = kind != SpanKind::Custom || payload.is_some();
        if self.open.remove(&span.span_id).is_none() && has_start {
            self.early_ends.insert(span.span_id);
        }
        span.end = Some(self.time(record.end()));
        span.status = Some(status);
        read_attributes(record, &mut span);
        // A library user's own attributes may hold anything; ours are ids and counts.
        if kind == SpanKind::Custom {
            mask_attributes(&self.capture, &mut span.attributes);
        }
        match payload {
            Some(Payload::Details(details)) => self.add_details(&mut span, *details),
            _ if kind != SpanKind::Custom => span.attributes.set("flowmeter.details_dropped", true),
            _ => {}
        }
        self.write(|file| file.write_span(&span));
    }

    fn add_details(&mut self, span: &mut Span, details: SpanDetails) {
        let mut attributes = details.attributes;
        mask_attributes(&self.capture, &mut attributes);
        for (key, value) in attributes.iter() {
            span.attributes.set(key.clone(), value.clone());
        }
        span.error = details.error.map(|error| self.capture.error(error));
        span.usage = details.usage;
        span.cost = details.cost;
        if !self.capture.keeps_content() {
            let writes = details.mutations.resolve();
            let paths: Vec<String> = writes.iter().map(flowmeter_engine::Mutation::path).collect();
            if !paths.is_empty() {
                span.attributes.set("node.writes", json!(paths));
            }
            return;
        }
        if let Some(config) = details.config.filter(|config| !config.is_null()) {
            span.attributes.set(
                "node.config",
                self.capture.value(None, &config, ContentKind::StoreValue),
            );
        }
        if let Some(params) = details.params {
            span.params = Some(self.capture.value(None, &params, ContentKind::StoreValue));
        }
        for (template, value) in details.templates {
            let name = telling_part(&template);
            let value = self.capture.value(name, &value, ContentKind::StoreValue);
            span.templates.push(TemplateResolution {
                template: self.capture.text(&template),
                value,
            });
        }
        for mutation in details.mutations.resolve() {
            let path = mutation.path();
            // The name of the node says nothing of its values.
            let inside = path.strip_prefix(mutation.namespace()).unwrap_or(&path);
            let name = telling_part(inside);
            let copy = |value: &Arc<Value>| self.capture.value(name, value, ContentKind::StoreValue);
            span.mutations.push(MutationRecord {
                before: mutation.before.as_ref().map(copy),
                after: mutation.after.as_ref().map(copy),
                path: self.capture.own_text(path),
                time: self.time(mutation.at),
            });
        }
        if let Some(messages) = details.messages.filter(|messages| !messages.is_null()) {
            span.attributes.set(
                genai::INPUT_MESSAGES,
                self.capture.value(None, &messages, ContentKind::Prompt),
            );
        }
        if let Some(response) = details.response {
            let part = match &*response {
                Value::String(text) => json!({ "type": "text", "content": text }),
                other => json!({ "type": "text", "content": other }),
            };
            let messages = Arc::new(json!([{ "role": "assistant", "parts": [part] }]));
            span.attributes.set(
                genai::OUTPUT_MESSAGES,
                self.capture.value(None, &messages, ContentKind::Response),
            );
        }
    }

    fn take_log(&mut self, draft: LogDraft) {
        let record = LogRecord {
            time: self.time(draft.at),
            level: draft.level,
            message: self.capture.text(&draft.message),
            target: draft.target,
            span_id: draft.span_id,
            attributes: Attributes::new(),
        };
        self.write(|file| file.write_log(&record));
    }

    /// Spans that take longer than a flush are named in the file before they end, so that a reader after a kill
    /// can tell what was going on.
    fn write_open_spans(&mut self) {
        let mut open = std::mem::take(&mut self.open);
        for open_span in open.values_mut().filter(|open_span| !open_span.written) {
            open_span.written = true;
            let record = open_span.record.as_record();
            if let Some(mut span) = self.begin(&record) {
                read_attributes(&record, &mut span);
                self.write(|file| file.write_open_span(&span));
            }
        }
        self.open = open;
    }
}

fn read_attributes(record: &RecordRef<'_>, span: &mut Span) {
    record.attributes(|key, value| {
        let value: AttributeValue = match value {
            RecordedValue::I64(number) => number.into(),
            RecordedValue::F64(number) => number.into(),
            RecordedValue::Bool(flag) => flag.into(),
            RecordedValue::Str(text) => text.into(),
        };
        span.attributes.set(key, value);
    });
}

/// Cuts and masks what the attributes hold.
fn mask_attributes(capture: &Capture, attributes: &mut Attributes) {
    for (key, value) in attributes.iter_mut() {
        match value {
            AttributeValue::Str(text) => {
                if let Some(masked) = capture.changed_text(key, text) {
                    *text = SmolStr::from(masked);
                }
            }
            AttributeValue::Json(json) => {
                let kind = match key.as_str() {
                    genai::INPUT_MESSAGES => ContentKind::Prompt,
                    genai::OUTPUT_MESSAGES => ContentKind::Response,
                    _ => ContentKind::StoreValue,
                };
                *value = AttributeValue::from(capture.value(Some(key), json, kind));
            }
            AttributeValue::Bool(_) | AttributeValue::I64(_) | AttributeValue::F64(_) => {}
        }
    }
}

/// The name in a template or path that says most about the value: one that means a secret, else the last.
fn telling_part(path: &str) -> Option<&str> {
    let parts = || {
        path.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')))
            .filter(|part| !part.is_empty())
    };
    parts()
        .find(|part| is_secret_name(part))
        .or_else(|| parts().next_back())
}
