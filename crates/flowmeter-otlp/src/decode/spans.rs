//! Spans from the wire: the encoder's work backwards, and a first reading of others' GenAI spans.
//!
//! Never prices anything and never guesses usage: figures come from `gen_ai.usage.*` as they stand.

use std::sync::Arc;

use flowmeter_model::{
    AttributeValue, Attributes, Cost, CostStatus, Figure, FigureSource, Span, SpanError, SpanEvent, SpanKind,
    SpanStatus, TimestampNs, TokenUsage, UsdNanos,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};

use super::{OtlpSpanKind, ReceivedLink, ReceivedSpan, attributes, dialects, span_id, trace_id};
use crate::conventions::{Known, Shape};
use crate::encode::CAUSED_BY;
use crate::names;
use crate::proto::trace;

const STATUS_ERROR: i32 = 2;

/// What attributes say that the model keeps elsewhere.
#[derive(Default)]
struct Told {
    kind: Option<SpanKind>,
    workflow: Option<SmolStr>,
    operation: Option<SmolStr>,
    is_unfinished: bool,
    error_type: Option<SmolStr>,
    cost_status: Option<CostStatus>,
    cost_nanos: Option<i64>,
    cost_usd: Option<f64>,
    params: Option<Arc<Value>>,
    templates: Vec<flowmeter_model::TemplateResolution>,
    mutations: Vec<flowmeter_model::MutationRecord>,
}

/// The span; `None` if its ids are none.
pub(super) fn read(wire: trace::Span) -> Option<ReceivedSpan> {
    let parent = match wire.parent_span_id.as_slice() {
        [] => None,
        // All zeros is how some write that there is none.
        bytes if bytes.iter().all(|byte| *byte == 0) => None,
        bytes => Some(span_id(bytes)?),
    };
    let name = SmolStr::from(wire.name);
    let mut span = Span::begin(
        trace_id(&wire.trace_id)?,
        span_id(&wire.span_id)?,
        parent,
        SpanKind::Custom,
        name.clone(),
        TimestampNs(wire.start_time_unix_nano),
    );
    let mut told = Told::default();
    let pairs = attributes::read_pairs(wire.attributes);
    span.attributes = pairs
        .filter_map(|(key, value)| told.take(&key, value).map(|value| (key, value)))
        .collect();
    span.events = wire.events.into_iter().map(event).collect();
    if !told.is_unfinished {
        span.end = Some(TimestampNs(wire.end_time_unix_nano));
        let status = wire.status.unwrap_or_default();
        let is_cancelled = status.message == SpanStatus::Cancelled.as_str();
        span.status = Some(match (status.code, is_cancelled) {
            (STATUS_ERROR, true) => SpanStatus::Cancelled,
            (STATUS_ERROR, false) => SpanStatus::Error,
            _ => SpanStatus::Ok,
        });
        if status.code == STATUS_ERROR {
            span.error = error(&mut span.events, told.error_type.take(), status.message);
        }
    }
    if let Some(error_type) = told.error_type.take() {
        span.attributes.set(names::ERROR_TYPE, error_type);
    }
    told.finish(&mut span);
    Some(ReceivedSpan {
        name,
        kind: kind(wire.kind),
        trace_state: wire.trace_state,
        flags: wire.flags,
        links: wire.links.into_iter().filter_map(link).collect(),
        span,
    })
}

impl Told {
    /// Takes what has a place of its own in the model; gives back what is an attribute.
    fn take(&mut self, key: &str, value: AttributeValue) -> Option<AttributeValue> {
        match (key, &value) {
            (names::SPAN_KIND, AttributeValue::Str(text)) => match kind_named(text) {
                Some(kind) => self.kind = Some(kind),
                None => return Some(value),
            },
            (names::SPAN_UNFINISHED, AttributeValue::Bool(flag)) => self.is_unfinished = *flag,
            (names::ERROR_TYPE, AttributeValue::Str(text)) => self.error_type = Some(text.clone()),
            (names::COST_NANOS, AttributeValue::I64(nanos)) => self.cost_nanos = Some(*nanos),
            (names::NODE_PARAMS, AttributeValue::Str(text)) => match from_json(text) {
                Some(params) => self.params = Some(params),
                None => return Some(value),
            },
            (names::NODE_TEMPLATES, AttributeValue::Str(text)) => match from_json(text) {
                Some(templates) => self.templates = templates,
                None => return Some(value),
            },
            (names::NODE_MUTATIONS, AttributeValue::Str(text)) => match from_json(text) {
                Some(mutations) => self.mutations = mutations,
                None => return Some(value),
            },
            _ => {
                self.note(key, &value);
                return Some(parsed(key, value));
            }
        }
        None
    }

    /// Attributes that stay where they are and say something all the same.
    fn note(&mut self, key: &str, value: &AttributeValue) {
        match (key, value) {
            (names::OPERATION_NAME, AttributeValue::Str(text)) => self.operation = Some(text.clone()),
            (names::WORKFLOW_NAME, AttributeValue::Str(text)) => self.workflow = Some(text.clone()),
            (names::COST_USD, AttributeValue::F64(usd)) => self.cost_usd = Some(*usd),
            (names::COST_STATUS, AttributeValue::Str(text)) => self.cost_status = cost_status(text),
            _ => {}
        }
    }

    fn finish(mut self, span: &mut Span) {
        // Ours say everything under its proper name.
        if self.kind.is_none() {
            dialects::settle(&mut span.attributes);
            let operation = span.attributes.get_str(names::OPERATION_NAME);
            self.operation = operation.map(SmolStr::from).or(self.operation);
        }
        let operation = self.operation.as_deref();
        span.kind = self
            .kind
            .unwrap_or_else(|| kind_of_operation(operation, span.parent_span_id.is_some()));
        if self.kind.is_some() && matches!(span.kind, SpanKind::Run | SpanKind::Workflow) {
            // Our own: back to how the model calls it.
            let workflow = self.workflow.unwrap_or_default();
            span.operation = match span.kind {
                SpanKind::Run => SmolStr::new_static("workflow.start"),
                _ => format_smolstr!("workflow.{workflow}"),
            };
            let kept = std::mem::take(&mut span.attributes);
            span.attributes = kept
                .iter()
                .filter(|(key, _)| *key != names::OPERATION_NAME)
                .map(|(key, value)| match key.as_str() {
                    names::WORKFLOW_NAME => (SmolStr::new_static("workflow.name"), value.clone()),
                    _ => (key.clone(), value.clone()),
                })
                .collect();
        }
        span.usage = usage(&span.attributes);
        let amount = self.cost_nanos.map(UsdNanos);
        let amount = amount.or_else(|| UsdNanos::from_usd(self.cost_usd?).ok());
        span.cost = match (self.cost_status, amount) {
            (Some(CostStatus::Unpriced), _) => Some(Cost::unpriced()),
            (Some(status), Some(amount)) => Some(Cost::known(status, amount, None)),
            (None, None) if self.kind.is_none() => dialects::told_usd(&span.attributes)
                .and_then(|usd| UsdNanos::from_usd(usd).ok())
                .map(|amount| Cost::known(CostStatus::Reported, amount, None)),
            _ => None,
        };
        span.params = self.params;
        span.templates = self.templates;
        span.mutations = self.mutations;
    }
}

/// What a span stands for, by its operation alone.
fn kind_of_operation(operation: Option<&str>, has_parent: bool) -> SpanKind {
    match operation {
        Some(names::INVOKE_WORKFLOW) if !has_parent => SpanKind::Run,
        Some(names::INVOKE_WORKFLOW) => SpanKind::Workflow,
        Some("chat" | "generate_content" | "text_completion" | names::EMBEDDINGS) => SpanKind::LlmCall,
        _ => SpanKind::Custom,
    }
}

fn kind_named(name: &str) -> Option<SpanKind> {
    [
        SpanKind::Run,
        SpanKind::Node,
        SpanKind::Attempt,
        SpanKind::BatchItem,
        SpanKind::Iteration,
        SpanKind::Workflow,
        SpanKind::LlmCall,
        SpanKind::Custom,
    ]
    .into_iter()
    .find(|kind| kind.as_str() == name)
}

fn cost_status(name: &str) -> Option<CostStatus> {
    [
        CostStatus::Reported,
        CostStatus::Priced,
        CostStatus::Estimated,
        CostStatus::Partial,
        CostStatus::Unpriced,
    ]
    .into_iter()
    .find(|status| status.as_str() == name)
}

fn from_json<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// JSON that conventions put into a text is JSON again.
fn parsed(key: &str, value: AttributeValue) -> AttributeValue {
    match (Known::of(key), &value) {
        (Some(known), AttributeValue::Str(text)) if known.shape == Shape::Json => {
            match from_json::<Value>(text) {
                Some(json) => AttributeValue::from(json),
                None => value,
            }
        }
        _ => value,
    }
}

fn usage(attributes: &Attributes) -> Option<TokenUsage> {
    let is_estimated = |name: &str| match attributes.get(names::USAGE_ESTIMATED) {
        Some(AttributeValue::Json(list)) => list
            .as_array()
            .is_some_and(|list| list.iter().any(|entry| entry == name)),
        _ => false,
    };
    let figure = |key: &str, name: &str| match attributes.get(key) {
        Some(AttributeValue::I64(tokens)) => u64::try_from(*tokens).ok().map(|tokens| Figure {
            tokens,
            source: if is_estimated(name) {
                FigureSource::Estimate
            } else {
                FigureSource::Convention
            },
        }),
        _ => None,
    };
    let usage = TokenUsage {
        input: figure(names::INPUT_TOKENS, "input"),
        output: figure(names::OUTPUT_TOKENS, "output"),
        cache_read: figure(names::CACHE_READ_TOKENS, ""),
        // Nobody says for how long; the shorter time is the common one.
        cache_write_5m: figure(names::CACHE_WRITE_TOKENS, "")
            .or_else(|| figure(names::CACHE_WRITE_TOKENS_V1_41, "")),
        reasoning: figure(names::REASONING_TOKENS, ""),
        ..TokenUsage::default()
    };
    (usage != TokenUsage::default()).then_some(usage)
}

/// The error of a failed span: from its exception event, which then is no event of its own any more.
fn error(events: &mut Vec<SpanEvent>, error_type: Option<SmolStr>, message: String) -> Option<SpanError> {
    let at = events
        .iter()
        .rposition(|event| event.name == names::EXCEPTION_EVENT);
    let Some(event) = at.map(|at| events.remove(at)) else {
        let says_nothing = message.is_empty() || message == SpanStatus::Cancelled.as_str();
        let error_type = match error_type.as_deref() {
            None | Some(names::ERROR_TYPE_OTHER | "cancelled") if says_nothing => return None,
            None => SmolStr::new_static(names::ERROR_TYPE_OTHER),
            Some(error_type) => error_type.into(),
        };
        return Some(SpanError {
            error_type,
            message,
            chain: Vec::new(),
        });
    };
    let text = |key: &str| event.attributes.get_str(key);
    let message = text(names::EXCEPTION_MESSAGE).map_or(message, str::to_owned);
    let chain = text(names::EXCEPTION_STACKTRACE)
        .and_then(|stack| stack.strip_prefix(message.as_str())?.strip_prefix(CAUSED_BY))
        .map(|causes| causes.split(CAUSED_BY).map(str::to_owned).collect());
    let given = text(names::EXCEPTION_TYPE).map(SmolStr::from).or(error_type);
    Some(SpanError {
        error_type: given.unwrap_or_else(|| SmolStr::new_static(names::ERROR_TYPE_OTHER)),
        message,
        chain: chain.unwrap_or_default(),
    })
}

fn event(event: trace::span::Event) -> SpanEvent {
    SpanEvent {
        name: event.name.into(),
        time: TimestampNs(event.time_unix_nano),
        attributes: attributes::read(event.attributes),
    }
}

fn link(link: trace::span::Link) -> Option<ReceivedLink> {
    Some(ReceivedLink {
        trace_id: trace_id(&link.trace_id)?,
        span_id: span_id(&link.span_id)?,
        attributes: attributes::read(link.attributes),
    })
}

fn kind(number: i32) -> OtlpSpanKind {
    match number {
        1 => OtlpSpanKind::Internal,
        2 => OtlpSpanKind::Server,
        3 => OtlpSpanKind::Client,
        4 => OtlpSpanKind::Producer,
        5 => OtlpSpanKind::Consumer,
        _ => OtlpSpanKind::Unspecified,
    }
}
