//! Encoded items as OTLP/JSON.
//!
//! Reads back the encoder's own protobuf, so that both encodings of a request say the same by construction.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message;

use crate::json_text;
use crate::proto::common::any_value::Value as Any;
use crate::proto::common::{AnyValue, InstrumentationScope, KeyValue};
use crate::proto::{logs, metrics, resource, trace};
use crate::request::{ResourceGroup, Signal};

/// JSON text under construction: one object or array after another, members separated as needed.
pub(super) struct JsonText<'a> {
    bytes: &'a mut Vec<u8>,
}

impl<'a> JsonText<'a> {
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes }
    }

    fn separate(&mut self) {
        if !matches!(self.bytes.last(), None | Some(b'{' | b'[' | b':')) {
            self.bytes.push(b',');
        }
    }

    /// `{…}` as an array's member or a whole document.
    pub(super) fn object(&mut self, fill: impl FnOnce(&mut JsonText<'_>)) {
        self.separate();
        self.bytes.push(b'{');
        fill(self);
        self.bytes.push(b'}');
    }

    /// The name of a member; its value comes next. Names are ours and need no escapes.
    pub(super) fn name(&mut self, name: &str) {
        self.separate();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    /// `"name":{…}`.
    pub(super) fn object_field(&mut self, name: &str, fill: impl FnOnce(&mut JsonText<'_>)) {
        self.name(name);
        self.object(fill);
    }

    /// `"name":[…]` with one value for each item.
    pub(super) fn array_field<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut JsonText<'_>, T),
    ) {
        self.name(name);
        self.bytes.push(b'[');
        for item in items {
            write(self, item);
        }
        self.bytes.push(b']');
    }

    /// The same, left out when there are no items.
    pub(super) fn array_field_unless_empty<T>(
        &mut self,
        name: &str,
        items: &[T],
        mut write: impl FnMut(&mut JsonText<'_>, &T),
    ) {
        if !items.is_empty() {
            self.array_field(name, items, |json, item| write(json, item));
        }
    }

    /// A text.
    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        json_text::put_text(self.bytes, text);
    }

    /// A whole number as a JSON number.
    pub(super) fn number(&mut self, number: impl Into<i64>) {
        self.separate();
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *self.bytes, &number.into());
    }

    /// A 64-bit number as a text.
    pub(super) fn long(&mut self, number: impl std::fmt::Display) {
        use std::io::Write as _;
        self.separate();
        let _ = write!(self.bytes, "\"{number}\"");
    }

    /// A real number; those that JSON does not know are texts, as the protobuf JSON mapping says.
    pub(super) fn double(&mut self, number: f64) {
        if number.is_finite() {
            self.separate();
            let _ = serde_json::to_writer(&mut *self.bytes, &number);
        } else if number.is_nan() {
            self.text("NaN");
        } else if number > 0.0 {
            self.text("Infinity");
        } else {
            self.text("-Infinity");
        }
    }

    fn flag(&mut self, flag: bool) {
        self.separate();
        self.bytes
            .extend_from_slice(if flag { b"true" } else { b"false" });
    }

    /// `"name":"text"`, left out when empty.
    pub(super) fn text_field(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.name(name);
            self.text(text);
        }
    }

    /// `"name":"hex"`, left out when empty.
    pub(super) fn hex_field(&mut self, name: &str, id: &[u8]) {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        if id.is_empty() {
            return;
        }
        self.name(name);
        self.bytes.push(b'"');
        for byte in id {
            let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
            self.bytes.extend_from_slice(&digits);
        }
        self.bytes.push(b'"');
    }

    /// `"name":number`, left out when zero.
    pub(super) fn number_field(&mut self, name: &str, number: impl Into<i64>) {
        let number = number.into();
        if number != 0 {
            self.name(name);
            self.number(number);
        }
    }

    /// `"name":"number"`, left out when zero.
    pub(super) fn long_field(&mut self, name: &str, number: u64) {
        if number != 0 {
            self.name(name);
            self.long(number);
        }
    }

    /// `"name":number`, also when zero.
    pub(super) fn double_field(&mut self, name: &str, number: f64) {
        self.name(name);
        self.double(number);
    }

    /// `"name":true`, left out when false.
    pub(super) fn flag_field(&mut self, name: &str, flag: bool) {
        if flag {
            self.name(name);
            self.flag(flag);
        }
    }

    /// `"name":[{"key":…,"value":…}]`, left out when empty.
    pub(super) fn attributes_field(&mut self, name: &str, attributes: &[KeyValue]) {
        self.array_field_unless_empty(name, attributes, |json, pair| {
            json.object(|json| key_value(json, pair));
        });
    }
}

fn key_value(json: &mut JsonText<'_>, pair: &KeyValue) {
    json.name("key");
    json.text(&pair.key);
    if let Some(value) = &pair.value {
        json.name("value");
        any_value(json, value);
    }
}

pub(super) fn any_value(json: &mut JsonText<'_>, value: &AnyValue) {
    json.object(|json| match &value.value {
        Some(Any::StringValue(text)) => {
            json.name("stringValue");
            json.text(text);
        }
        Some(Any::BoolValue(flag)) => {
            json.name("boolValue");
            json.flag(*flag);
        }
        Some(Any::IntValue(number)) => {
            json.name("intValue");
            json.long(*number);
        }
        Some(Any::DoubleValue(number)) => json.double_field("doubleValue", *number),
        Some(Any::ArrayValue(array)) => json.object_field("arrayValue", |json| {
            json.array_field("values", &array.values, any_value);
        }),
        Some(Any::KvlistValue(list)) => json.object_field("kvlistValue", |json| {
            json.array_field("values", &list.values, |json, pair| {
                json.object(|json| key_value(json, pair));
            });
        }),
        Some(Any::BytesValue(bytes)) => {
            json.name("bytesValue");
            json.text(&BASE64.encode(bytes));
        }
        // Indices into the table of a profile: they mean nothing here.
        Some(Any::StringValueStrindex(_)) | None => {}
    });
}

/// The names of one signal's levels, from the outermost.
fn level_names(signal: Signal) -> (&'static str, &'static str, &'static str) {
    match signal {
        Signal::Traces => ("resourceSpans", "scopeSpans", "spans"),
        Signal::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
        Signal::Metrics => ("resourceMetrics", "scopeMetrics", "metrics"),
    }
}

/// Writes a whole export request.
pub(crate) fn write_request(signal: Signal, resources: &[ResourceGroup], bytes: &mut Vec<u8>) {
    let (resource_level, scope_level, item_level) = level_names(signal);
    JsonText::new(bytes).object(|json| {
        json.array_field(resource_level, resources, |json, group| {
            json.object(|json| {
                let resource = resource::Resource::decode(group.resource.as_slice()).unwrap_or_default();
                json.object_field("resource", |json| {
                    json.attributes_field("attributes", &resource.attributes);
                    json.number_field("droppedAttributesCount", resource.dropped_attributes_count);
                });
                json.array_field(scope_level, &group.scopes, |json, group| {
                    json.object(|json| {
                        let scope = InstrumentationScope::decode(group.scope.as_slice()).unwrap_or_default();
                        json.object_field("scope", |json| scope_fields(json, &scope));
                        json.array_field(item_level, group.messages(), |json, message| {
                            write_item(json, signal, message);
                        });
                        json.text_field("schemaUrl", &group.schema_url);
                    });
                });
                json.text_field("schemaUrl", &group.schema_url);
            });
        });
    });
}

fn scope_fields(json: &mut JsonText<'_>, scope: &InstrumentationScope) {
    json.text_field("name", &scope.name);
    json.text_field("version", &scope.version);
    json.attributes_field("attributes", &scope.attributes);
    json.number_field("droppedAttributesCount", scope.dropped_attributes_count);
}

/// One item. All items were written by the encoder or checked when they were read: they decode.
fn write_item(json: &mut JsonText<'_>, signal: Signal, message: &[u8]) {
    json.object(|json| match signal {
        Signal::Traces => span_fields(json, &trace::Span::decode(message).unwrap_or_default()),
        Signal::Logs => log_fields(json, &logs::LogRecord::decode(message).unwrap_or_default()),
        Signal::Metrics => {
            super::write_metrics::metric_fields(json, &metrics::Metric::decode(message).unwrap_or_default());
        }
    });
}

fn span_fields(json: &mut JsonText<'_>, span: &trace::Span) {
    json.hex_field("traceId", &span.trace_id);
    json.hex_field("spanId", &span.span_id);
    json.text_field("traceState", &span.trace_state);
    json.hex_field("parentSpanId", &span.parent_span_id);
    json.number_field("flags", span.flags);
    json.text_field("name", &span.name);
    json.number_field("kind", span.kind);
    json.long_field("startTimeUnixNano", span.start_time_unix_nano);
    json.long_field("endTimeUnixNano", span.end_time_unix_nano);
    json.attributes_field("attributes", &span.attributes);
    json.number_field("droppedAttributesCount", span.dropped_attributes_count);
    json.array_field_unless_empty("events", &span.events, |json, event| {
        json.object(|json| {
            json.long_field("timeUnixNano", event.time_unix_nano);
            json.text_field("name", &event.name);
            json.attributes_field("attributes", &event.attributes);
            json.number_field("droppedAttributesCount", event.dropped_attributes_count);
        });
    });
    json.number_field("droppedEventsCount", span.dropped_events_count);
    json.array_field_unless_empty("links", &span.links, |json, link| {
        json.object(|json| {
            json.hex_field("traceId", &link.trace_id);
            json.hex_field("spanId", &link.span_id);
            json.text_field("traceState", &link.trace_state);
            json.attributes_field("attributes", &link.attributes);
            json.number_field("droppedAttributesCount", link.dropped_attributes_count);
            json.number_field("flags", link.flags);
        });
    });
    json.number_field("droppedLinksCount", span.dropped_links_count);
    if let Some(status) = &span.status {
        json.object_field("status", |json| {
            json.text_field("message", &status.message);
            json.number_field("code", status.code);
        });
    }
}

fn log_fields(json: &mut JsonText<'_>, record: &logs::LogRecord) {
    json.long_field("timeUnixNano", record.time_unix_nano);
    json.long_field("observedTimeUnixNano", record.observed_time_unix_nano);
    json.number_field("severityNumber", record.severity_number);
    json.text_field("severityText", &record.severity_text);
    json.text_field("eventName", &record.event_name);
    if let Some(body) = &record.body {
        json.name("body");
        any_value(json, body);
    }
    json.attributes_field("attributes", &record.attributes);
    json.number_field("droppedAttributesCount", record.dropped_attributes_count);
    json.number_field("flags", record.flags);
    json.hex_field("traceId", &record.trace_id);
    json.hex_field("spanId", &record.span_id);
}

/// An answer to an export request.
pub(crate) fn write_partial_success(signal: Signal, partial: &crate::PartialSuccess) -> Vec<u8> {
    let mut bytes = Vec::new();
    let rejected = super::rejected_name(signal);
    JsonText::new(&mut bytes).object(|json| {
        if !partial.is_complete() {
            json.object_field("partialSuccess", |json| {
                if partial.rejected != 0 {
                    json.name(rejected);
                    json.long(partial.rejected);
                }
                json.text_field("errorMessage", &partial.message);
            });
        }
    });
    bytes
}

/// A `google.rpc.Status`.
pub(crate) fn write_status(status: &crate::Status, retry_info: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    JsonText::new(&mut bytes).object(|json| {
        json.number_field("code", status.code);
        json.text_field("message", &status.message);
        json.array_field_unless_empty("details", status.retry_delay.as_slice(), |json, delay| {
            json.object(|json| {
                json.text_field("@type", &format!("type.googleapis.com/{retry_info}"));
                json.text_field("retryDelay", &format!("{}s", delay.as_secs_f64()));
            });
        });
    });
    bytes
}
