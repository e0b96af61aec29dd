//! OTLP/JSON into messages: traces, logs, and the answers of receivers.
//!
//! Lenient where the specification allows it: unknown fields are ignored, 64-bit integers may be numbers or
//! texts, ids may be in capitals, null is absent. Enums are taken by name too, as the protobuf mapping has them.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use crate::proto::common::any_value::Value as Any;
use crate::proto::common::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use crate::proto::{ExportLogsServiceRequest, ExportTraceServiceRequest, logs, resource, trace};
use crate::request::{InvalidOtlp, Signal};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A JSON object whose fields are taken out one by one.
pub(super) struct Fields(Map<String, Value>);

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

pub(super) fn wrong(field: &str, value: &Value, wanted: &'static str) -> InvalidOtlp {
    InvalidOtlp::Shape {
        field: field.to_owned(),
        found: found(value),
        wanted,
    }
}

impl Fields {
    pub(super) fn of(field: &str, value: Value) -> Result<Self, InvalidOtlp> {
        match value {
            Value::Object(map) => Ok(Self(map)),
            other => Err(wrong(field, &other, "an object")),
        }
    }

    /// The whole text, which must be an object.
    pub(super) fn parse(text: &[u8]) -> Result<Self, InvalidOtlp> {
        Self::of("(document)", serde_json::from_slice(text)?)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, InvalidOtlp> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(wrong(name, &other, "a text")),
        }
    }

    pub(super) fn array<T>(
        &mut self,
        name: &str,
        read: impl Fn(Value) -> Result<T, InvalidOtlp>,
    ) -> Result<Vec<T>, InvalidOtlp> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(members)) => members.into_iter().map(read).collect(),
            Some(other) => Err(wrong(name, &other, "an array")),
        }
    }

    /// An array of objects.
    pub(super) fn objects<T>(
        &mut self,
        name: &str,
        read: impl Fn(Self) -> Result<T, InvalidOtlp>,
    ) -> Result<Vec<T>, InvalidOtlp> {
        self.array(name, |member| read(Self::of(name, member)?))
    }

    pub(super) fn object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Self) -> Result<T, InvalidOtlp>,
    ) -> Result<Option<T>, InvalidOtlp> {
        self.take(name)
            .map(|value| read(Self::of(name, value)?))
            .transpose()
    }

    pub(super) fn u64(&mut self, name: &str) -> Result<u64, InvalidOtlp> {
        self.take(name).map_or(Ok(0), |value| u64_of(name, value))
    }

    pub(super) fn i64(&mut self, name: &str) -> Result<i64, InvalidOtlp> {
        self.take(name).map_or(Ok(0), |value| i64_of(name, value))
    }

    pub(super) fn u32(&mut self, name: &str) -> Result<u32, InvalidOtlp> {
        match self.take(name) {
            None => Ok(0),
            Some(value) => u32::try_from(u64_of(name, value.clone())?)
                .map_err(|_| wrong(name, &value, "a 32-bit number")),
        }
    }

    pub(super) fn i32(&mut self, name: &str) -> Result<i32, InvalidOtlp> {
        self.enumeration(name, |_| None)
    }

    /// A number, or a name that `by_name` knows.
    pub(super) fn enumeration(
        &mut self,
        name: &str,
        by_name: impl Fn(&str) -> Option<i32>,
    ) -> Result<i32, InvalidOtlp> {
        match self.take(name) {
            None => Ok(0),
            Some(Value::String(text)) if by_name(&text).is_some() => Ok(by_name(&text).unwrap_or_default()),
            Some(value) => i32::try_from(i64_of(name, value.clone())?)
                .map_err(|_| wrong(name, &value, "a 32-bit number")),
        }
    }

    pub(super) fn f64(&mut self, name: &str) -> Result<Option<f64>, InvalidOtlp> {
        self.take(name).map(|value| f64_of(name, value)).transpose()
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, InvalidOtlp> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(wrong(name, &other, "a boolean")),
        }
    }

    /// An id in hex.
    pub(super) fn hex(&mut self, name: &str) -> Result<Vec<u8>, InvalidOtlp> {
        let text = self.text(name)?;
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes: Option<Vec<u8>> = pairs
            .iter()
            .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
            .collect();
        match bytes.filter(|_| rest.is_empty()) {
            Some(bytes) => Ok(bytes),
            None => Err(wrong(name, &Value::String(text), "an even number of hex digits")),
        }
    }

    pub(super) fn attributes(&mut self, name: &str) -> Result<Vec<KeyValue>, InvalidOtlp> {
        self.objects(name, key_value)
    }
}

pub(super) fn u64_of(name: &str, value: Value) -> Result<u64, InvalidOtlp> {
    let number = match &value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let real = number.as_f64()?;
            (real.fract() == 0.0 && (0.0..1.8e19).contains(&real)).then_some(real as u64)
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| wrong(name, &value, "a whole number that is not negative"))
}

pub(super) fn i64_of(name: &str, value: Value) -> Result<i64, InvalidOtlp> {
    let number = match &value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let real = number.as_f64()?;
            (real.fract() == 0.0 && real.abs() < 9.2e18).then_some(real as i64)
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| wrong(name, &value, "a whole number"))
}

pub(super) fn f64_of(name: &str, value: Value) -> Result<f64, InvalidOtlp> {
    let number = match &value {
        Value::Number(number) => number.as_f64(),
        // `NaN`, `Infinity` and `-Infinity` among them.
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| wrong(name, &value, "a number"))
}

fn key_value(mut fields: Fields) -> Result<KeyValue, InvalidOtlp> {
    Ok(KeyValue {
        key: fields.text("key")?,
        value: fields.object("value", any_value)?,
        ..KeyValue::default()
    })
}

fn any_value(mut fields: Fields) -> Result<AnyValue, InvalidOtlp> {
    let value = if let Some(value) = fields.take("stringValue") {
        match value {
            Value::String(text) => Some(Any::StringValue(text)),
            other => return Err(wrong("stringValue", &other, "a text")),
        }
    } else if let Some(value) = fields.take("intValue") {
        Some(Any::IntValue(i64_of("intValue", value)?))
    } else if let Some(value) = fields.take("doubleValue") {
        Some(Any::DoubleValue(f64_of("doubleValue", value)?))
    } else if let Some(value) = fields.take("boolValue") {
        match value {
            Value::Bool(flag) => Some(Any::BoolValue(flag)),
            other => return Err(wrong("boolValue", &other, "a boolean")),
        }
    } else if let Some(value) = fields.take("bytesValue") {
        let bytes = value.as_str().and_then(|text| BASE64.decode(text).ok());
        Some(Any::BytesValue(
            bytes.ok_or_else(|| wrong("bytesValue", &value, "a text in base64"))?,
        ))
    } else if let Some(array) = fields.object("arrayValue", |mut array| array.objects("values", any_value))? {
        Some(Any::ArrayValue(ArrayValue { values: array }))
    } else {
        let list = fields.object("kvlistValue", |mut list| list.attributes("values"))?;
        list.map(|values| Any::KvlistValue(KeyValueList { values }))
    };
    Ok(AnyValue { value })
}

pub(super) fn resource_of(mut fields: Fields) -> Result<resource::Resource, InvalidOtlp> {
    Ok(resource::Resource {
        attributes: fields.attributes("attributes")?,
        dropped_attributes_count: fields.u32("droppedAttributesCount")?,
        ..resource::Resource::default()
    })
}

pub(super) fn scope_of(mut fields: Fields) -> Result<InstrumentationScope, InvalidOtlp> {
    Ok(InstrumentationScope {
        name: fields.text("name")?,
        version: fields.text("version")?,
        attributes: fields.attributes("attributes")?,
        dropped_attributes_count: fields.u32("droppedAttributesCount")?,
    })
}

/// Reads an export request of spans.
pub(crate) fn read_traces(text: &[u8]) -> Result<ExportTraceServiceRequest, InvalidOtlp> {
    let resource_spans = Fields::parse(text)?.objects("resourceSpans", |mut group| {
        Ok(trace::ResourceSpans {
            resource: group.object("resource", resource_of)?,
            scope_spans: group.objects("scopeSpans", |mut group| {
                Ok(trace::ScopeSpans {
                    scope: group.object("scope", scope_of)?,
                    spans: group.objects("spans", span)?,
                    schema_url: group.text("schemaUrl")?,
                })
            })?,
            schema_url: group.text("schemaUrl")?,
        })
    })?;
    Ok(ExportTraceServiceRequest { resource_spans })
}

fn span(mut fields: Fields) -> Result<trace::Span, InvalidOtlp> {
    Ok(trace::Span {
        trace_id: fields.hex("traceId")?,
        span_id: fields.hex("spanId")?,
        trace_state: fields.text("traceState")?,
        parent_span_id: fields.hex("parentSpanId")?,
        flags: fields.u32("flags")?,
        name: fields.text("name")?,
        kind: fields.enumeration("kind", |name| {
            trace::span::SpanKind::from_str_name(name).map(i32::from)
        })?,
        start_time_unix_nano: fields.u64("startTimeUnixNano")?,
        end_time_unix_nano: fields.u64("endTimeUnixNano")?,
        attributes: fields.attributes("attributes")?,
        dropped_attributes_count: fields.u32("droppedAttributesCount")?,
        events: fields.objects("events", |mut event| {
            Ok(trace::span::Event {
                time_unix_nano: event.u64("timeUnixNano")?,
                name: event.text("name")?,
                attributes: event.attributes("attributes")?,
                dropped_attributes_count: event.u32("droppedAttributesCount")?,
            })
        })?,
        dropped_events_count: fields.u32("droppedEventsCount")?,
        links: fields.objects("links", |mut link| {
            Ok(trace::span::Link {
                trace_id: link.hex("traceId")?,
                span_id: link.hex("spanId")?,
                trace_state: link.text("traceState")?,
                attributes: link.attributes("attributes")?,
                dropped_attributes_count: link.u32("droppedAttributesCount")?,
                flags: link.u32("flags")?,
            })
        })?,
        dropped_links_count: fields.u32("droppedLinksCount")?,
        status: fields.object("status", |mut status| {
            Ok(trace::Status {
                message: status.text("message")?,
                code: status.enumeration("code", |name| {
                    trace::status::StatusCode::from_str_name(name).map(i32::from)
                })?,
            })
        })?,
    })
}

/// Reads an export request of log records.
pub(crate) fn read_logs(text: &[u8]) -> Result<ExportLogsServiceRequest, InvalidOtlp> {
    let resource_logs = Fields::parse(text)?.objects("resourceLogs", |mut group| {
        Ok(logs::ResourceLogs {
            resource: group.object("resource", resource_of)?,
            scope_logs: group.objects("scopeLogs", |mut group| {
                Ok(logs::ScopeLogs {
                    scope: group.object("scope", scope_of)?,
                    log_records: group.objects("logRecords", log_record)?,
                    schema_url: group.text("schemaUrl")?,
                })
            })?,
            schema_url: group.text("schemaUrl")?,
        })
    })?;
    Ok(ExportLogsServiceRequest { resource_logs })
}

fn log_record(mut fields: Fields) -> Result<logs::LogRecord, InvalidOtlp> {
    Ok(logs::LogRecord {
        time_unix_nano: fields.u64("timeUnixNano")?,
        observed_time_unix_nano: fields.u64("observedTimeUnixNano")?,
        severity_number: fields.enumeration("severityNumber", |name| {
            logs::SeverityNumber::from_str_name(name).map(i32::from)
        })?,
        severity_text: fields.text("severityText")?,
        body: fields.object("body", any_value)?,
        attributes: fields.attributes("attributes")?,
        dropped_attributes_count: fields.u32("droppedAttributesCount")?,
        flags: fields.u32("flags")?,
        trace_id: fields.hex("traceId")?,
        span_id: fields.hex("spanId")?,
        event_name: fields.text("eventName")?,
    })
}

/// Reads what a receiver answered: rejected items and why.
pub(crate) fn read_partial_success(signal: Signal, text: &[u8]) -> Result<(i64, String), InvalidOtlp> {
    let rejected = super::rejected_name(signal);
    let partial = Fields::parse(text)?.object("partialSuccess", |mut partial| {
        Ok((partial.i64(rejected)?, partial.text("errorMessage")?))
    })?;
    Ok(partial.unwrap_or_default())
}

/// Reads a `google.rpc.Status`: code, message, and the seconds of a `RetryInfo`, as text (`1.5s`).
pub(crate) fn read_status(text: &[u8]) -> Result<(i32, String, Option<String>), InvalidOtlp> {
    let mut fields = Fields::parse(text)?;
    let delays = fields.array("details", |detail| {
        // Details of other kinds may be anything.
        let is_retry = detail
            .get("@type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.ends_with("google.rpc.RetryInfo"));
        let delay = detail.get("retryDelay").filter(|_| is_retry);
        Ok(delay.and_then(Value::as_str).map(str::to_owned))
    })?;
    Ok((
        fields.i32("code")?,
        fields.text("message")?,
        delays.into_iter().flatten().next(),
    ))
}
