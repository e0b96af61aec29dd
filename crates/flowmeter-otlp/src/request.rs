//! An export request of any signal: encoded items, grouped by resource and scope, that can be cut into parts.
//!
//! Never holds an unencoded span: cutting and joining move bytes.

use thiserror::Error;

use crate::json;
use crate::proto::{self, decode_message};
use crate::wire::{field_len, put_varint};

/// What an export request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metrics.
    Metrics,
}

impl Signal {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    /// `traces`, `logs`, `metrics`: as in paths (`/v1/traces`) and in the names of settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }

    /// The path of the gRPC method that takes such a request.
    #[must_use]
    pub fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }
}

/// Why bytes are no OTLP message.
#[derive(Debug, Error)]
pub enum InvalidOtlp {
    /// Not protobuf, or protobuf of another message.
    #[error("the bytes are no OTLP protobuf message")]
    Protobuf(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not JSON.
    #[error("the text is no JSON")]
    Json(#[from] serde_json::Error),
    /// JSON of another shape.
    #[error("`{field}` in OTLP/JSON is {found}, but {wanted} is wanted")]
    Shape {
        /// The field, in lowerCamelCase.
        field: String,
        /// What is there.
        found: &'static str,
        /// What should be there.
        wanted: &'static str,
    },
}

/// Items under one resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ResourceGroup {
    /// The encoded `Resource`.
    pub(crate) resource: Vec<u8>,
    pub(crate) schema_url: String,
    pub(crate) scopes: Vec<ScopeGroup>,
}

/// Items under one instrumentation scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ScopeGroup {
    /// The encoded `InstrumentationScope`.
    pub(crate) scope: Vec<u8>,
    pub(crate) schema_url: String,
    /// The encoded items, each with its tag and length in front.
    pub(crate) items: Vec<u8>,
    /// Where in `items` each ends.
    pub(crate) ends: Vec<usize>,
}

impl ScopeGroup {
    fn encoded_len(&self) -> usize {
        field_len(self.scope.len()) + self.items.len() + optional_len(&self.schema_url)
    }

    /// The items, each with its tag and length.
    fn item_slices(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| self.items.get(start..end).unwrap_or_default())
    }

    /// The items without tag and length.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.item_slices().map(|item| {
            let mut content = item.get(1..).unwrap_or_default();
            while let [0x80..=0xff, rest @ ..] = content {
                content = rest;
            }
            content.get(1..).unwrap_or_default()
        })
    }

    fn empty_copy(&self) -> Self {
        Self {
            scope: self.scope.clone(),
            schema_url: self.schema_url.clone(),
            ..Self::default()
        }
    }
}

impl ResourceGroup {
    fn encoded_len(&self) -> usize {
        let scopes: usize = self
            .scopes
            .iter()
            .map(|scope| field_len(scope.encoded_len()))
            .sum();
        field_len(self.resource.len()) + scopes + optional_len(&self.schema_url)
    }

    fn empty_copy(&self) -> Self {
        Self {
            resource: self.resource.clone(),
            schema_url: self.schema_url.clone(),
            scopes: Vec::new(),
        }
    }
}

fn optional_len(text: &str) -> usize {
    if text.is_empty() { 0 } else { field_len(text.len()) }
}

/// One OTLP export request, ready to be written in either encoding.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportRequest {
    signal: Signal,
    resources: Vec<ResourceGroup>,
}

impl ExportRequest {
    pub(crate) fn new(signal: Signal, resources: Vec<ResourceGroup>) -> Self {
        Self { signal, resources }
    }

    /// What it carries.
    #[must_use]
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// How many spans, log records or metrics.
    #[must_use]
    pub fn item_count(&self) -> usize {
        let scopes = self.resources.iter().flat_map(|resource| &resource.scopes);
        scopes.map(|scope| scope.ends.len()).sum()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.item_count() == 0
    }

    /// Bytes of [`ExportRequest::to_protobuf`].
    #[must_use]
    pub fn protobuf_len(&self) -> usize {
        self.resources
            .iter()
            .map(|resource| field_len(resource.encoded_len()))
            .sum()
    }

    /// The request as protobuf.
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.protobuf_len());
        self.write_protobuf(&mut bytes);
        bytes
    }

    /// Appends the request as protobuf, after a frame's head for example.
    pub fn write_protobuf(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(self.protobuf_len());
        for resource in &self.resources {
            put_head(bytes, 1, resource.encoded_len());
            put_bytes(bytes, 1, &resource.resource);
            for scope in &resource.scopes {
                put_head(bytes, 2, scope.encoded_len());
                put_bytes(bytes, 1, &scope.scope);
                bytes.extend_from_slice(&scope.items);
                put_optional(bytes, 3, &scope.schema_url);
            }
            put_optional(bytes, 3, &resource.schema_url);
        }
    }

    /// The request as OTLP/JSON in one line, without the line's end.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.protobuf_len() * 2);
        json::write_request(self.signal, &self.resources, &mut bytes);
        bytes
    }

    /// Reads a request from protobuf, such as one that was kept on disk.
    ///
    /// # Errors
    /// [`InvalidOtlp::Protobuf`] for anything but a whole export request of this signal.
    pub fn from_protobuf(signal: Signal, bytes: &[u8]) -> Result<Self, InvalidOtlp> {
        Ok(match signal {
            Signal::Traces => proto::group_traces(decode_message(bytes)?),
            Signal::Logs => proto::group_logs(decode_message(bytes)?),
            Signal::Metrics => proto::group_metrics(decode_message(bytes)?),
        })
    }

    /// Reads a request from OTLP/JSON.
    ///
    /// # Errors
    /// [`InvalidOtlp::Json`] or [`InvalidOtlp::Shape`] for anything but an export request of this signal.
    pub fn from_json(signal: Signal, text: &[u8]) -> Result<Self, InvalidOtlp> {
        Ok(match signal {
            Signal::Traces => proto::group_traces(json::read_traces(text)?),
            Signal::Logs => proto::group_logs(json::read_logs(text)?),
            Signal::Metrics => proto::group_metrics(json::read_metrics(text)?),
        })
    }

    /// Cuts the request into two of about equally many items, for a receiver that finds it too large.
    /// One item cannot be cut: then the request comes back alone.
    #[must_use]
    pub fn split(self) -> (Self, Option<Self>) {
        let count = self.item_count();
        if count < 2 {
            return (self, None);
        }
        let half = count.div_ceil(2);
        let mut parts = self.cut(|items, _| items >= half);
        let second = parts.pop();
        match parts.pop() {
            Some(first) => (first, second),
            None => (self, None),
        }
    }

    /// Cuts the request into parts of at most `bytes_max` bytes of protobuf each. A single item that is larger
    /// makes a part of its own.
    #[must_use]
    pub fn into_parts(self, bytes_max: usize) -> Vec<Self> {
        if self.protobuf_len() <= bytes_max {
            return if self.is_empty() { Vec::new() } else { vec![self] };
        }
        // Lengths in front of the groups grow with the part; ten bytes cover each of the two.
        self.cut(|_, bytes| bytes + 20 > bytes_max)
    }

    /// Cuts before each item for which `is_full(items so far, bytes with this item)` says so.
    fn cut(&self, is_full: impl Fn(usize, usize) -> bool) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        let mut part = Self::new(self.signal, Vec::new());
        let (mut items, mut bytes) = (0, 0);
        for resource in &self.resources {
            let mut is_new_resource = true;
            for scope in &resource.scopes {
                let mut is_new_scope = true;
                for item in scope.item_slices() {
                    let heads = heads_len(resource, scope);
                    let with_item = bytes + item.len() + if is_new_scope { heads } else { 0 };
                    if items > 0 && is_full(items, with_item) {
                        let full = std::mem::replace(&mut part, Self::new(self.signal, Vec::new()));
                        parts.push(full);
                        (items, bytes) = (0, 0);
                        (is_new_resource, is_new_scope) = (true, true);
                    }
                    if is_new_resource {
                        part.resources.push(resource.empty_copy());
                        is_new_resource = false;
                    }
                    if let Some(group) = part.resources.last_mut() {
                        if is_new_scope {
                            group.scopes.push(scope.empty_copy());
                            bytes += heads;
                            is_new_scope = false;
                        }
                        if let Some(group) = group.scopes.last_mut() {
                            group.items.extend_from_slice(item);
                            group.ends.push(group.items.len());
                        }
                    }
                    items += 1;
                    bytes += item.len();
                }
            }
        }
        if items > 0 {
            parts.push(part);
        }
        parts
    }
}

/// What a scope group takes beside its items: an upper bound.
fn heads_len(resource: &ResourceGroup, scope: &ScopeGroup) -> usize {
    field_len(resource.resource.len())
        + optional_len(&resource.schema_url)
        + field_len(scope.scope.len())
        + optional_len(&scope.schema_url)
        + 20
}

fn put_head(bytes: &mut Vec<u8>, field: u8, length: usize) {
    bytes.push(field << 3 | 2);
    put_varint(bytes, length as u64);
}

fn put_bytes(bytes: &mut Vec<u8>, field: u8, content: &[u8]) {
    put_head(bytes, field, content.len());
    bytes.extend_from_slice(content);
}

fn put_optional(bytes: &mut Vec<u8>, field: u8, text: &str) {
    if !text.is_empty() {
        put_bytes(bytes, field, text.as_bytes());
    }
}

#[cfg(test)]
mod tests;
