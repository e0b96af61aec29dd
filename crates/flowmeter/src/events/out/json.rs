//! The trace document, one a line for each trace, written while its spans end.
//!
//! Spans go straight to the output, the root last; logs wait on disk until all spans are written, and so does a
//! trace that began while another one was being written. What nobody knows is null.

use std::borrow::Cow;
use std::io::{self, Write};

use flowmeter_model::{
    Attributes, Cost, IdSource, LogLevel, MutationRecord, SpanError, SpanEvent, SpanKind, SpanStatus,
    TemplateResolution, TimestampNs, TokenUsage,
};
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

use super::scratch::{Scratch, Waiting};
use super::{Ending, Failure, Out, Remark, RemarkKind};
use crate::aggregate::snapshot::totals_object;
use crate::events::content::{Content, Wanted};
use crate::events::fields::Field;
use crate::events::line::{Line, Report};
use crate::events::nesting::{OpenSpan, SpanRef, Trace};
use crate::metrics::milliseconds;
use crate::trace_file::FORMAT;

/// A document whose trace goes on.
#[derive(Default)]
struct Document {
    /// Spans that wait, unless the document is being written.
    spans: Waiting,
    span_count: u64,
    logs: Waiting,
    log_count: u64,
    error: Option<SpanError>,
}

/// Writes documents.
pub(crate) struct JsonDocuments {
    ids: IdSource,
    scratch: Scratch,
    /// The trace whose document is being written.
    front: Option<u64>,
    documents: FxHashMap<u64, Document>,
    /// Documents that are complete and wait for the one that is being written.
    complete: Waiting,
}

/// A span of a document.
#[derive(Serialize)]
struct SpanOut<'a> {
    span_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<&'a str>,
    operation: &'a str,
    kind: SpanKind,
    start_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<u64>,
    duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<SpanStatus>,
    attributes: &'a Attributes,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a SpanError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    templates: &'a [TemplateResolution],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    mutations: &'a [MutationRecord],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<MomentOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a TokenUsage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<&'a Cost>,
}

/// A moment inside a span.
#[derive(Serialize)]
struct MomentOut<'a> {
    name: &'a str,
    time: Option<u64>,
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: &'a Attributes,
}

/// A log line of a document.
#[derive(Serialize)]
struct LogOut<'a> {
    timestamp: Option<u64>,
    level: LogLevel,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
}

impl JsonDocuments {
    pub(crate) fn new(ids: IdSource, scratch: fn() -> io::Result<std::fs::File>) -> Self {
        Self {
            ids,
            scratch: Scratch::new(scratch),
            front: None,
            documents: FxHashMap::default(),
            complete: Waiting::default(),
        }
    }

    pub(super) fn name_span(&mut self, content: &mut Content, given: Option<&str>, parent: Option<&str>) {
        content.id = match given {
            Some(id) => id.into(),
            None => smol_str::format_smolstr!("{}", self.ids.span_id()),
        };
        content.parent_id = parent.map(SmolStr::new);
    }

    /// Something of the trace is about to be written, or is known to come.
    pub(super) fn trace_goes_on<W: Write>(&mut self, out: &mut Out<W>, trace: &Trace) -> io::Result<()> {
        if self.documents.contains_key(&trace.number) {
            return Ok(());
        }
        self.documents.insert(trace.number, Document::default());
        if self.front.is_none() {
            self.front = Some(trace.number);
            write_head(&mut out.buffer, &trace.id)?;
        }
        Ok(())
    }

    pub(super) fn span_ends<W: Write>(
        &mut self,
        out: &mut Out<W>,
        trace: &Trace,
        span: OpenSpan,
        ending: &Ending,
    ) -> io::Result<()> {
        self.trace_goes_on(out, trace)?;
        let is_front = self.front == Some(trace.number);
        let (Some(document), Some(content)) = (self.documents.get_mut(&trace.number), span.content) else {
            return Ok(());
        };
        if span.kind == SpanKind::Run {
            document.error.clone_from(&content.span.error);
        }
        let target = if is_front {
            &mut out.buffer
        } else {
            document.spans.buffer()
        };
        if document.span_count > 0 {
            target.push(b',');
        }
        document.span_count += 1;
        let known = |time_ns: u64| (time_ns > 0).then_some(time_ns);
        let moments = content.span.events.iter().map(|event| MomentOut {
            name: &event.name,
            time: known(event.time.0),
            attributes: &event.attributes,
        });
        let line = SpanOut {
            span_id: &content.id,
            parent_span_id: content.parent_id.as_deref(),
            operation: &content.span.operation,
            kind: span.kind,
            start_time: span.start_ns,
            end_time: ending.at_ns,
            duration_ms: ending.duration_ns.map(milliseconds),
            status: ending.status,
            attributes: &content.span.attributes,
            error: content.span.error.as_ref(),
            params: content.span.params.as_deref(),
            templates: &content.span.templates,
            mutations: &content.span.mutations,
            events: moments.collect(),
            usage: content.span.usage.as_ref(),
            cost: content.span.cost.as_ref(),
        };
        serde_json::to_writer(&mut *target, &line)?;
        if is_front {
            out.relieve()
        } else {
            self.scratch.relieve(&mut document.spans)
        }
    }

    pub(super) fn remark<W: Write>(
        &mut self,
        out: &mut Out<W>,
        trace: &mut Trace,
        around: Option<SpanRef>,
        remark: &Remark<'_>,
        report: Report<'_>,
    ) -> io::Result<()> {
        self.trace_goes_on(out, trace)?;
        let attributes = remark.line.attributes(Wanted::All, report);
        let (level, message): (LogLevel, &str) = match remark.kind {
            RemarkKind::Log(level) => (level, &remark.text.text),
            RemarkKind::Custom => {
                let span = around
                    .filter(|_| remark.has_room)
                    .and_then(|around| trace.get_mut(around));
                if let Some(content) = span.and_then(|span| span.content.as_mut()) {
                    let name = remark.text.text.as_ref().into();
                    let time = TimestampNs(remark.at_ns.unwrap_or(0));
                    content.add_event(
                        SpanEvent {
                            name,
                            time,
                            attributes,
                        },
                        remark.line.text.len(),
                    );
                    return Ok(());
                }
                (LogLevel::Info, &remark.text.text)
            }
        };
        let target = target_of(remark.line);
        let log = LogOut {
            timestamp: remark.at_ns,
            level,
            message,
            span_id: remark.span_id_in(trace, around),
            target,
            attributes,
        };
        self.write_log(trace.number, &log)
    }

    pub(super) fn failure<W: Write>(
        &mut self,
        out: &mut Out<W>,
        trace: &mut Trace,
        around: Option<SpanRef>,
        failure: &Failure<'_>,
    ) -> io::Result<()> {
        self.trace_goes_on(out, trace)?;
        if failure.is_kept_by(trace) {
            return Ok(());
        }
        let mut attributes = Attributes::new();
        if let Some(node) = failure.elsewhere {
            attributes.set("node.id", node);
        }
        let log = LogOut {
            timestamp: failure.at_ns,
            level: LogLevel::Error,
            message: &failure.message.text,
            span_id: failure.span_id_in(trace, around),
            target: target_of(failure.line),
            attributes,
        };
        self.write_log(trace.number, &log)
    }

    fn write_log(&mut self, trace_number: u64, log: &LogOut<'_>) -> io::Result<()> {
        let Some(document) = self.documents.get_mut(&trace_number) else {
            return Ok(());
        };
        if document.log_count > 0 {
            document.logs.buffer().push(b',');
        }
        document.log_count += 1;
        serde_json::to_writer(document.logs.buffer(), log)?;
        self.scratch.relieve(&mut document.logs)
    }

    pub(super) fn trace_ends<W: Write>(&mut self, out: &mut Out<W>, trace: &Trace) -> io::Result<()> {
        self.trace_goes_on(out, trace)?;
        let Some(document) = self.documents.remove(&trace.number) else {
            return Ok(());
        };
        let foot = foot_of(trace, document.error.as_ref());
        if self.front == Some(trace.number) {
            self.front = None;
            out.buffer.extend_from_slice(b"],\"logs\":[");
            self.scratch.write(document.logs, out)?;
            out.buffer.extend_from_slice(&foot);
            let complete = std::mem::take(&mut self.complete);
            return self.scratch.write(complete, out);
        }
        let mut head = Vec::new();
        write_head(&mut head, &trace.id)?;
        if self.front.is_some() {
            self.complete.buffer().extend_from_slice(&head);
            self.scratch.append(document.spans, &mut self.complete)?;
            self.complete.buffer().extend_from_slice(b"],\"logs\":[");
            self.scratch.append(document.logs, &mut self.complete)?;
            self.complete.buffer().extend_from_slice(&foot);
            return self.scratch.relieve(&mut self.complete);
        }
        out.buffer.extend_from_slice(&head);
        self.scratch.write(document.spans, out)?;
        out.buffer.extend_from_slice(b"],\"logs\":[");
        self.scratch.write(document.logs, out)?;
        out.buffer.extend_from_slice(&foot);
        Ok(())
    }
}

fn target_of<'a>(line: &Line<'a>) -> Option<Cow<'a, str>> {
    let place = line.place(Field::Target).filter(|place| place.shape.is_text())?;
    place.decoded(line.text)
}

fn write_head(out: &mut Vec<u8>, trace_id: &str) -> io::Result<()> {
    write!(
        out,
        "{{\"format\":{},\"trace_id\":{},\"spans\":[",
        json!(FORMAT),
        json!(trace_id)
    )
}

/// What a document says behind its logs.
fn foot_of(trace: &Trace, error: Option<&SpanError>) -> Vec<u8> {
    let mut foot = Map::new();
    if let Some(workflow) = &trace.workflow {
        foot.insert("workflow".into(), json!(workflow.as_str()));
    }
    if let Some(first_ns) = trace.tally.first_ns {
        foot.insert("start_time".into(), json!(first_ns));
    }
    let status = match (&trace.root_end, trace.is_finished()) {
        (Some(end), true) => Some(end.status.as_str()),
        (_, false) => Some("unfinished"),
        (None, true) => None,
    };
    if let Some(status) = status {
        foot.insert("status".into(), json!(status));
    }
    if let Some(error) = error {
        foot.insert("error".into(), json!(error));
    }
    if !trace.is_sampled {
        foot.insert("sampled".into(), json!(false));
    }
    let tally = &trace.tally;
    let mut metrics = Map::new();
    metrics.insert(
        "total_duration_ms".into(),
        json!(trace.duration_ns().map(milliseconds)),
    );
    metrics.insert("node_count".into(), json!(tally.nodes_executed));
    metrics.insert("success_rate".into(), json!(tally.success_rate()));
    metrics.insert("error_count".into(), json!(tally.errors));
    if tally.llm.calls > 0 {
        metrics.extend(totals_object(&tally.llm));
    }
    foot.insert("metrics".into(), Value::Object(metrics));
    let mut text = b"],".to_vec();
    // The members without their opening brace.
    text.extend_from_slice(Value::Object(foot).to_string().trim_start_matches('{').as_bytes());
    text.push(b'\n');
    text
}
