//! Turns records into spans and logs: reads the words, adds what travelled beside them, cuts and masks.
//!
//! Never writes anything and never waits: whoever drains the recorder asks.

use std::sync::Arc;

use flowmeter_engine::{TickClock, Ticks};
use flowmeter_model::{
    AttributeValue, Attributes, LogRecord, MutationRecord, Span, SpanId, SpanKind, SpanStatus,
    TelemetryEvent, TemplateResolution, TimestampNs, TraceId,
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};

use super::masker::{Masker, Origin};
use crate::capture::{Capture, ContentKind, is_secret_name};
use crate::details::{MESSAGE, SpanDetails, has_start, kind_and_status, level_and_more};
use crate::genai;
use crate::recorder::{Payload, RecordCopy, RecordKind, RecordRef, RecordedValue};

/// Turns records into events.
pub(crate) struct Assembler {
    capture: Capture,
    masker: Masker,
    trace_id: TraceId,
    pub(crate) clock: TickClock,
    /// Whether somebody wants to see spans when they begin.
    tells_starts: bool,
    /// Spans that began and have not ended, and whether that was told.
    open: FxHashMap<SpanId, OpenSpan>,
    /// Spans whose end was read before their start, from another thread's journal.
    early_ends: FxHashSet<SpanId>,
}

struct OpenSpan {
    /// The record of its start: most spans end before anybody wants to see more of it.
    record: RecordCopy,
    told: bool,
}

impl Assembler {
    pub(crate) fn new(capture: Capture, trace_id: TraceId, clock: TickClock, tells_starts: bool) -> Self {
        Self {
            capture,
            masker: Masker::default(),
            trace_id,
            clock,
            tells_starts,
            open: FxHashMap::default(),
            early_ends: FxHashSet::default(),
        }
    }

    pub(crate) fn capture(&self) -> &Capture {
        &self.capture
    }

    /// What the record tells, if it tells anything by itself.
    pub(crate) fn take(
        &mut self,
        record: &RecordRef<'_>,
        payload: Option<Payload>,
    ) -> Option<TelemetryEvent> {
        match (record.kind(), payload) {
            (RecordKind::Start, _) => self.take_start(record),
            (RecordKind::End, payload) => self
                .take_end(record, payload)
                .map(|span| TelemetryEvent::SpanEnded(Box::new(span))),
            (RecordKind::Log, payload) => {
                let log = self.log_of(record, payload);
                Some(TelemetryEvent::Log(self.trace_id, Box::new(log)))
            }
        }
    }

    /// Passes over a record that nobody wants.
    pub(crate) fn skip(&mut self, record: &RecordRef<'_>) {
        if record.kind() == RecordKind::End
            && let Some(span_id) = record.span_id()
        {
            self.open.remove(&span_id);
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

    fn take_start(&mut self, record: &RecordRef<'_>) -> Option<TelemetryEvent> {
        let span_id = record.span_id()?;
        if !self.early_ends.remove(&span_id) {
            let open = OpenSpan {
                record: record.to_owned_words(),
                told: false,
            };
            self.open.insert(span_id, open);
        }
        if !self.tells_starts {
            return None;
        }
        let mut span = self.begin(record)?;
        read_attributes(record, &mut span);
        Some(TelemetryEvent::SpanStarted(Box::new(span)))
    }

    fn take_end(&mut self, record: &RecordRef<'_>, payload: Option<Payload>) -> Option<Span> {
        let mut span = self.begin(record)?;
        let (kind, status) = kind_and_status(record.tag());
        if has_start(record.tag()) && self.open.remove(&span.span_id).is_none() {
            self.early_ends.insert(span.span_id);
        }
        span.end = Some(self.time(record.end()));
        span.status = Some(status);
        // A library user's own attributes may hold anything; ours are ids and counts.
        if kind == SpanKind::Custom {
            record.attributes(|key, value| {
                let value = self.masker.recorded(&self.capture, key, value);
                span.attributes.set(key, value);
            });
        } else {
            read_attributes(record, &mut span);
        }
        match payload {
            Some(Payload::Details(details)) => self.add_details(&mut span, *details),
            _ if kind != SpanKind::Custom => span.attributes.set("flowmeter.details_dropped", true),
            _ => {}
        }
        Some(span)
    }

    fn add_details(&mut self, span: &mut Span, details: SpanDetails) {
        let mut attributes = details.attributes;
        self.masker.mask(&self.capture, &mut attributes, Origin::Ours);
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
            let mut message = json!({ "role": "assistant", "parts": [part] });
            // Readers that go by the schema refuse an answer without it. Source: GenAI conventions, schema of the
            // output messages.
            if let (Some(reason), Value::Object(message)) = (finish_reason(span), &mut message) {
                message.insert("finish_reason".to_owned(), reason);
            }
            let messages = Arc::new(Value::Array(vec![message]));
            span.attributes.set(
                genai::OUTPUT_MESSAGES,
                self.capture.value(None, &messages, ContentKind::Response),
            );
        }
    }

    fn log_of(&mut self, record: &RecordRef<'_>, payload: Option<Payload>) -> LogRecord {
        let (level, has_more) = level_and_more(record.tag());
        let mut message = String::new();
        let mut attributes = Attributes::new();
        record.attributes(|key, value| match value {
            RecordedValue::Str(text) if key == MESSAGE => {
                message = self
                    .masker
                    .changed(&self.capture, text)
                    .unwrap_or_else(|| text.to_owned());
            }
            value => attributes.set(key, self.masker.recorded(&self.capture, key, value)),
        });
        match payload {
            Some(Payload::Log(mut more)) => {
                self.masker.mask(&self.capture, &mut more, Origin::Others);
                for (key, value) in more.iter() {
                    match value {
                        AttributeValue::Str(text) if key == MESSAGE => text.as_str().clone_into(&mut message),
                        value => attributes.set(key.clone(), value.clone()),
                    }
                }
            }
            _ if has_more => attributes.set("flowmeter.details_dropped", true),
            _ => {}
        }
        let target = record.name();
        LogRecord {
            time: self.time(record.start()),
            level,
            message,
            target: (!target.is_empty()).then_some(target),
            span_id: record.span_id(),
            attributes,
        }
    }

    /// The spans that are open and were not named by this before.
    pub(crate) fn newly_open(&mut self, mut visit: impl FnMut(Span)) {
        let mut open = std::mem::take(&mut self.open);
        for open_span in open.values_mut().filter(|open_span| !open_span.told) {
            open_span.told = true;
            let record = open_span.record.as_record();
            if let Some(mut span) = self.begin(&record) {
                read_attributes(&record, &mut span);
                visit(span);
            }
        }
        self.open = open;
    }
}

fn read_attributes(record: &RecordRef<'_>, span: &mut Span) {
    record.attributes(|key, value| span.attributes.set(key, attribute_of(value)));
}

fn attribute_of(value: RecordedValue<'_>) -> AttributeValue {
    match value {
        RecordedValue::I64(number) => number.into(),
        RecordedValue::F64(number) => number.into(),
        RecordedValue::Bool(flag) => flag.into(),
        RecordedValue::Str(text) => text.into(),
    }
}

/// Why the answer of a call ended where it did, if that is known.
fn finish_reason(span: &Span) -> Option<Value> {
    let stated = span
        .attributes
        .get(genai::FINISH_REASONS)
        .and_then(|reasons| match reasons {
            AttributeValue::Json(reasons) => reasons.get(0).cloned(),
            AttributeValue::Str(reason) => Some(Value::from(reason.as_str())),
            _ => None,
        });
    // What there is of an answer that broke off. Source: GenAI conventions, `error` of the finish reasons.
    stated.or_else(|| (span.status == Some(SpanStatus::Error)).then(|| Value::from("error")))
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
