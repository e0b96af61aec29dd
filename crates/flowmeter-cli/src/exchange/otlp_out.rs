//! Runs as OTLP export requests: lines of OTLP/JSON, or protobuf.
//!
//! Protobuf requests of one signal written one after another are one larger request, for all they hold is a repeated
//! field; logs go to a place of their own then. Never writes metrics: they are made of these spans.

use std::io::{self, Write};

use flowmeter_model::{Attributes, LogRecord, Span, SpanKind, TraceId};
use flowmeter_otlp::{Encoder, EncoderConfig, Envelope, ExportRequest, SemanticConventions};
use flowmeter_store::RunDetail;

use super::RunWriter;
use crate::history::attributes_of;

/// Items in one request.
const ITEMS_MAX: usize = 512;
/// Bytes of content in one request, by estimate.
const BYTES_MAX: usize = 4 << 20;
/// The version of the instrumentation scope.
const SCOPE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// How requests are written.
pub(crate) enum OtlpForm<'w> {
    /// A request a line, spans and logs in one place.
    Json(&'w mut dyn Write),
    /// Spans in one place, logs in another.
    Protobuf {
        spans: &'w mut dyn Write,
        logs: &'w mut dyn Write,
    },
}

/// Writes OTLP.
pub(crate) struct OtlpWriter<'w> {
    form: OtlpForm<'w>,
    encoder: Encoder,
    resource: Attributes,
    spans: Vec<Span>,
    logs: Vec<(TraceId, LogRecord)>,
    bytes: usize,
    has_root: bool,
}

impl<'w> OtlpWriter<'w> {
    /// Writes with everything that was kept, prompts and answers too: the history holds what was captured.
    pub(crate) fn new(form: OtlpForm<'w>, conventions: SemanticConventions) -> Self {
        Self {
            form,
            encoder: Encoder::new(EncoderConfig {
                conventions,
                content: true,
                ..EncoderConfig::default()
            }),
            resource: Attributes::new(),
            spans: Vec::new(),
            logs: Vec::new(),
            bytes: 0,
            has_root: false,
        }
    }

    /// The root's attributes say which workflow it is.
    fn named(run: &RunDetail, mut span: Span) -> Span {
        if span.span_id == run.row.key.root_span_id && span.attributes.get("workflow.name").is_none() {
            span.attributes.set("workflow.name", run.row.workflow.clone());
        }
        span
    }

    fn hand_on(&mut self, run: &RunDetail) -> io::Result<()> {
        let envelope = Envelope {
            resource: &self.resource,
            trace_state: "",
            sampled: run.row.sampled,
            scope_version: SCOPE_VERSION,
        };
        if !self.spans.is_empty() {
            let request = self.encoder.traces(&envelope, &mut self.spans.iter());
            put(&mut self.form, &request, true)?;
        }
        if !self.logs.is_empty() {
            let mut records = self.logs.iter().map(|(trace_id, log)| (*trace_id, log));
            let request = self.encoder.logs(&envelope, &mut records);
            put(&mut self.form, &request, false)?;
        }
        self.spans.clear();
        self.logs.clear();
        self.bytes = 0;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.spans.len() + self.logs.len() >= ITEMS_MAX || self.bytes >= BYTES_MAX
    }
}

fn put(form: &mut OtlpForm<'_>, request: &ExportRequest, is_of_spans: bool) -> io::Result<()> {
    match form {
        OtlpForm::Json(output) => {
            output.write_all(&request.to_json())?;
            output.write_all(b"\n")
        }
        OtlpForm::Protobuf { spans, logs } => {
            let place = if is_of_spans { spans } else { logs };
            place.write_all(&request.to_protobuf())
        }
    }
}

/// What describes the run's process, and where the run came from.
fn resource_of(run: &RunDetail) -> Attributes {
    let mut resource = run.resource.clone();
    let mut say = |key: &str, value: &str| {
        if resource.get(key).is_none() {
            resource.set(key, value);
        }
    };
    say("service.name", "flowmeter");
    for (key, value) in attributes_of(&run.row.origin) {
        say(&key, value);
    }
    resource
}

/// About how long a span is: what is long in it is what somebody wrote or said.
fn length_of(span: &Span) -> usize {
    use flowmeter_model::AttributeValue;
    let attributes = span.attributes.iter().map(|(_, value)| match value {
        AttributeValue::Str(text) => text.len(),
        AttributeValue::Json(value) => json_length(value),
        _ => 8,
    });
    let values = span
        .mutations
        .iter()
        .flat_map(|write| [&write.before, &write.after]);
    let params = span.params.iter();
    attributes.sum::<usize>()
        + values
            .flatten()
            .chain(params)
            .map(|value| json_length(value))
            .sum::<usize>()
        + 256
}

fn json_length(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::String(text) => text.len(),
        Value::Array(members) => members.iter().map(json_length).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| key.len() + json_length(value))
            .sum(),
        _ => 8,
    }
}

impl RunWriter for OtlpWriter<'_> {
    fn begin(&mut self, run: &RunDetail) -> io::Result<()> {
        self.resource = resource_of(run);
        self.has_root = false;
        Ok(())
    }

    fn span(&mut self, run: &RunDetail, span: Span) -> io::Result<()> {
        self.has_root |= span.span_id == run.row.key.root_span_id;
        self.bytes += length_of(&span);
        self.spans.push(Self::named(run, span));
        if self.is_full() { self.hand_on(run) } else { Ok(()) }
    }

    fn log(&mut self, run: &RunDetail, log: LogRecord) -> io::Result<()> {
        self.bytes += log.message.len() + 128;
        self.logs.push((run.row.key.trace_id, log));
        if self.is_full() { self.hand_on(run) } else { Ok(()) }
    }

    fn end(&mut self, run: &RunDetail) -> io::Result<()> {
        // The encoder marks those without an end as unfinished.
        let root = run.row.key.root_span_id;
        self.has_root |= run.open.iter().any(|span| span.span_id == root);
        self.spans
            .extend(run.open.iter().cloned().map(|span| Self::named(run, span)));
        if !self.has_root {
            // OTLP knows a run by its root alone.
            let root = Span::begin(
                run.row.key.trace_id,
                root,
                run.row.parent_span_id,
                SpanKind::Run,
                "workflow.start",
                run.row.started,
            );
            self.spans.push(Self::named(run, root));
        }
        self.hand_on(run)
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.form {
            OtlpForm::Json(output) => output.flush(),
            OtlpForm::Protobuf { spans, logs } => spans.flush().and_then(|()| logs.flush()),
        }
    }
}
