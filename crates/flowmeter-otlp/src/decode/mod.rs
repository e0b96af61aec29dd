//! From OTLP to the model: what a receiver or an importer makes of others' telemetry and of our own.
//!
//! Never panics, whatever the bytes. What breaks OpenTelemetry's rules (no ids) is refused and counted; what is
//! merely unknown is kept as attributes.

mod attributes;
mod dialects;
mod logs;
mod spans;

use flowmeter_model::{Attributes, LogRecord, Span, SpanId, TraceId};
use smol_str::SmolStr;

use crate::json;
use crate::proto::common::InstrumentationScope;
use crate::proto::{self, ExportLogsServiceRequest, ExportTraceServiceRequest, decode_message};
use crate::request::InvalidOtlp;

/// What came in a request, by resource and scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Received<T> {
    /// One for each scope of each resource.
    pub batches: Vec<ReceivedBatch<T>>,
    /// Items that were refused because they have no valid ids.
    pub rejected: u64,
}

impl<T> Received<T> {
    /// All items, whatever they came under.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.batches.iter().flat_map(|batch| &batch.items)
    }
}

/// Items of one scope.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedBatch<T> {
    /// Who sent it.
    pub resource: Attributes,
    /// What made it: an instrumentation library, or a logger.
    pub scope_name: SmolStr,
    /// The version of that.
    pub scope_version: SmolStr,
    /// The items, in order.
    pub items: Vec<T>,
}

/// The kind of a span as OpenTelemetry has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtlpSpanKind {
    /// Not said.
    Unspecified,
    /// Inside a program.
    Internal,
    /// Answers a request.
    Server,
    /// Makes a request.
    Client,
    /// Sends a message.
    Producer,
    /// Receives one.
    Consumer,
}

/// A span with what the model has no place for.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedSpan {
    /// The span.
    pub span: Span,
    /// Its name on the wire; the model's operation differs for our own runs and workflows.
    pub name: SmolStr,
    /// Its kind.
    pub kind: OtlpSpanKind,
    /// The W3C tracestate.
    pub trace_state: String,
    /// W3C trace flags in the low byte, OTLP's own bits above.
    pub flags: u32,
    /// Other spans that it points to.
    pub links: Vec<ReceivedLink>,
}

/// A pointer to another span.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedLink {
    /// The trace it points to.
    pub trace_id: TraceId,
    /// The span it points to.
    pub span_id: SpanId,
    /// What the link says of itself.
    pub attributes: Attributes,
}

/// A log record with what the model has no place for.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedLog {
    /// The trace it belongs to, if any.
    pub trace_id: Option<TraceId>,
    /// The record.
    pub record: LogRecord,
}

/// Reads spans from a request in protobuf.
///
/// # Errors
/// [`InvalidOtlp::Protobuf`] for anything but such a request.
pub fn decode_traces(bytes: &[u8]) -> Result<Received<ReceivedSpan>, InvalidOtlp> {
    Ok(received_traces(decode_message(bytes)?))
}

/// Reads spans from a request in OTLP/JSON.
///
/// # Errors
/// [`InvalidOtlp::Json`] or [`InvalidOtlp::Shape`] for anything but such a request.
pub fn decode_traces_json(text: &[u8]) -> Result<Received<ReceivedSpan>, InvalidOtlp> {
    Ok(received_traces(json::read_traces(text)?))
}

/// Reads log records from a request in protobuf.
///
/// # Errors
/// [`InvalidOtlp::Protobuf`] for anything but such a request.
pub fn decode_logs(bytes: &[u8]) -> Result<Received<ReceivedLog>, InvalidOtlp> {
    Ok(received_logs(decode_message(bytes)?))
}

/// Reads log records from a request in OTLP/JSON.
///
/// # Errors
/// [`InvalidOtlp::Json`] or [`InvalidOtlp::Shape`] for anything but such a request.
pub fn decode_logs_json(text: &[u8]) -> Result<Received<ReceivedLog>, InvalidOtlp> {
    Ok(received_logs(json::read_logs(text)?))
}

fn received_traces(request: ExportTraceServiceRequest) -> Received<ReceivedSpan> {
    let mut received = Received {
        batches: Vec::new(),
        rejected: 0,
    };
    for group in request.resource_spans {
        let resource = resource_attributes(group.resource);
        for scope_spans in group.scope_spans {
            let wanted = scope_spans.spans.len();
            let items: Vec<ReceivedSpan> = scope_spans.spans.into_iter().filter_map(spans::read).collect();
            received.add(&resource, scope_spans.scope, items, wanted);
        }
    }
    received
}

fn received_logs(request: ExportLogsServiceRequest) -> Received<ReceivedLog> {
    let mut received = Received {
        batches: Vec::new(),
        rejected: 0,
    };
    for group in request.resource_logs {
        let resource = resource_attributes(group.resource);
        for scope_logs in group.scope_logs {
            let scope = scope_logs.scope.unwrap_or_default();
            let wanted = scope_logs.log_records.len();
            let records = scope_logs.log_records.into_iter();
            let items: Vec<ReceivedLog> = records
                .filter_map(|record| logs::read(record, &scope.name))
                .collect();
            received.add(&resource, Some(scope), items, wanted);
        }
    }
    received
}

fn resource_attributes(resource: Option<proto::resource::Resource>) -> Attributes {
    attributes::read(resource.unwrap_or_default().attributes)
}

impl<T> Received<T> {
    fn add(
        &mut self,
        resource: &Attributes,
        scope: Option<InstrumentationScope>,
        items: Vec<T>,
        wanted: usize,
    ) {
        let scope = scope.unwrap_or_default();
        self.rejected += (wanted - items.len()) as u64;
        self.batches.push(ReceivedBatch {
            resource: resource.clone(),
            scope_name: scope.name.into(),
            scope_version: scope.version.into(),
            items,
        });
    }
}

/// An id that is neither of a wrong length nor all zero.
fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    TraceId::from_bytes(bytes.try_into().ok()?)
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    SpanId::from_u64(u64::from_be_bytes(bytes.try_into().ok()?))
}
