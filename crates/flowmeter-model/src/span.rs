//! Spans: one timed step of a run, with what it was given, what it wrote and how it ended.
//!
//! Model types, not wire types: every format that leaves the program is written by the library.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use smol_str::SmolStr;

use crate::{Cost, LogRecord, SpanId, TimestampNs, TokenUsage, TraceId};

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// The whole run: the root.
    Run,
    /// One node, from `prep` to `post`.
    Node,
    /// One attempt at a node's `exec`.
    Attempt,
    /// One item of a batch.
    BatchItem,
    /// One round of a loop.
    Iteration,
    /// A workflow run inside another one.
    Workflow,
    /// One inference or embedding request.
    LlmCall,
    /// Anything a library user marks.
    Custom,
}

impl SpanKind {
    /// The name as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Node => "node",
            Self::Attempt => "attempt",
            Self::BatchItem => "batch_item",
            Self::Iteration => "iteration",
            Self::Workflow => "workflow",
            Self::LlmCall => "llm_call",
            Self::Custom => "custom",
        }
    }
}

/// How a span ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanStatus {
    /// It did what it should.
    Ok,
    /// It failed.
    Error,
    /// It was stopped from outside.
    Cancelled,
}

impl SpanStatus {
    /// The name as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A typed attribute value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A real number.
    F64(f64),
    /// A text.
    Str(SmolStr),
    /// Anything else; `Arc`, so that capture never copies a value.
    Json(Arc<Value>),
}

impl From<bool> for AttributeValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for AttributeValue {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}
impl From<u64> for AttributeValue {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Self::Str(SmolStr::new(value.to_string())), Self::I64)
    }
}
impl From<u32> for AttributeValue {
    fn from(value: u32) -> Self {
        Self::I64(i64::from(value))
    }
}
impl From<f64> for AttributeValue {
    fn from(value: f64) -> Self {
        Self::F64(value)
    }
}
impl From<&str> for AttributeValue {
    fn from(value: &str) -> Self {
        Self::Str(SmolStr::new(value))
    }
}
impl From<String> for AttributeValue {
    fn from(value: String) -> Self {
        Self::Str(SmolStr::from(value))
    }
}
impl From<SmolStr> for AttributeValue {
    fn from(value: SmolStr) -> Self {
        Self::Str(value)
    }
}
impl From<Value> for AttributeValue {
    fn from(value: Value) -> Self {
        Self::from(Arc::new(value))
    }
}
impl From<Arc<Value>> for AttributeValue {
    fn from(value: Arc<Value>) -> Self {
        Self::Json(value)
    }
}

/// Attributes in the order in which they were set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(Vec<(SmolStr, AttributeValue)>);

impl Attributes {
    /// No attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key`, in place if it is there already.
    pub fn set(&mut self, key: impl Into<SmolStr>, value: impl Into<AttributeValue>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(present, _)| *present == key) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((key, value)),
        }
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&AttributeValue> {
        self.0
            .iter()
            .find(|(present, _)| present == key)
            .map(|(_, value)| value)
    }

    /// The text of `key`, if it is a text.
    #[must_use]
    pub fn get_str(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(AttributeValue::Str(text)) => Some(text),
            Some(AttributeValue::Json(value)) => value.as_str(),
            _ => None,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&SmolStr, &AttributeValue)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All values for changing, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&SmolStr, &mut AttributeValue)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }
}

/// Of a key that comes twice, the last value stands at the first place. Takes time in proportion to the number of
/// pairs, where [`Attributes::set`] in a loop would take its square.
impl FromIterator<(SmolStr, AttributeValue)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (SmolStr, AttributeValue)>>(pairs: I) -> Self {
        let mut places: HashMap<SmolStr, usize> = HashMap::new();
        let mut attributes: Vec<(SmolStr, AttributeValue)> = Vec::new();
        for (key, value) in pairs {
            match places.entry(key) {
                Entry::Occupied(place) => {
                    if let Some((_, slot)) = attributes.get_mut(*place.get()) {
                        *slot = value;
                    }
                }
                Entry::Vacant(place) => {
                    attributes.push((place.key().clone(), value));
                    place.insert(attributes.len() - 1);
                }
            }
        }
        Self(attributes)
    }
}

impl Serialize for Attributes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = serde_json::Map::deserialize(deserializer)?;
        let pairs = object.into_iter().map(|(key, value)| {
            let value = match value {
                Value::Bool(flag) => AttributeValue::Bool(flag),
                Value::String(text) => AttributeValue::from(text),
                Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                    (Some(whole), _) => AttributeValue::I64(whole),
                    (None, Some(real)) if number.is_f64() => AttributeValue::F64(real),
                    _ => AttributeValue::from(Value::Number(number)),
                },
                other => AttributeValue::from(other),
            };
            (SmolStr::from(key), value)
        });
        Ok(Self(pairs.collect()))
    }
}

/// One write to the shared store, as a span shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MutationRecord {
    /// `namespace.key` or deeper; a root key stands alone.
    pub path: String,
    /// The value before; absent when there was none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub before: Option<Arc<Value>>,
    /// The value after; absent when it was removed.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub after: Option<Arc<Value>>,
    /// When.
    pub time: TimestampNs,
}

/// A value that is there is some value, also when it is null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<Value>>, D::Error> {
    Value::deserialize(deserializer).map(|value| Some(Arc::new(value)))
}

/// What a template became.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateResolution {
    /// As written, such as `${fetch.response}`.
    pub template: String,
    /// What it became.
    pub value: Arc<Value>,
}

/// Why a span failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanError {
    /// A short, stable class, such as `timeout` or `http_500` (OpenTelemetry: `error.type`).
    #[serde(rename = "type")]
    pub error_type: SmolStr,
    /// The outermost message.
    pub message: String,
    /// The causes, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

/// A named moment inside a span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpanEvent {
    /// What happened.
    pub name: SmolStr,
    /// When.
    pub time: TimestampNs,
    /// More.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

/// One timed step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The run.
    pub trace_id: TraceId,
    /// This step.
    pub span_id: SpanId,
    /// The step around it; `None` for the root.
    pub parent_span_id: Option<SpanId>,
    /// What it stands for.
    pub kind: SpanKind,
    /// `node.shell`, `workflow.start`, `chat gpt-4o`, ….
    pub operation: SmolStr,
    /// When it began.
    pub start: TimestampNs,
    /// When it ended; `None` while it runs, or when nobody saw the end.
    pub end: Option<TimestampNs>,
    /// How it ended; `None` while it runs.
    pub status: Option<SpanStatus>,
    /// Why it failed.
    pub error: Option<SpanError>,
    /// Typed attributes.
    pub attributes: Attributes,
    /// Moments inside it.
    pub events: Vec<SpanEvent>,
    /// Log lines written in it, where the carrier keeps them with the span.
    pub logs: Vec<LogRecord>,
    /// Resolved parameters of a node.
    pub params: Option<Arc<Value>>,
    /// What the node's templates became.
    pub templates: Vec<TemplateResolution>,
    /// What it wrote to the shared store.
    pub mutations: Vec<MutationRecord>,
    /// Usage of an LLM call.
    pub usage: Option<TokenUsage>,
    /// Cost of an LLM call.
    pub cost: Option<Cost>,
}

impl Span {
    /// A span that has just begun, with everything else empty.
    #[must_use]
    pub fn begin(
        trace_id: TraceId,
        span_id: SpanId,
        parent_span_id: Option<SpanId>,
        kind: SpanKind,
        operation: impl Into<SmolStr>,
        start: TimestampNs,
    ) -> Self {
        Self {
            trace_id,
            span_id,
            parent_span_id,
            kind,
            operation: operation.into(),
            start,
            end: None,
            status: None,
            error: None,
            attributes: Attributes::new(),
            events: Vec::new(),
            logs: Vec::new(),
            params: None,
            templates: Vec::new(),
            mutations: Vec::new(),
            usage: None,
            cost: None,
        }
    }

    /// Nanoseconds from start to end; `None` while it runs.
    #[must_use]
    pub fn duration_ns(&self) -> Option<u64> {
        self.end.map(|end| end.since(self.start))
    }
}
