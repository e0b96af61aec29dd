//! Spans: name, kind, attributes, events and status, as the GenAI conventions want them.
//!
//! Writes each span once, in the order of the fields' numbers. Never makes up what nobody said: no
//! conversation id, no provider, no figure.

use flowmeter_model::{AttributeValue, Cost, Span, SpanError, SpanEvent, SpanKind, SpanStatus, TokenUsage};

use super::attributes::{write, write_shaped};
use super::{Encoder, Envelope, openinference};
use crate::conventions::{Known, Slot, Slots};
use crate::names;
use crate::wire::Wire;

/// Numbers of fields that take attributes.
pub(super) const SPAN_ATTRIBUTES: u32 = 9;
const EVENT_ATTRIBUTES: u32 = 3;

const KIND_INTERNAL: u64 = 1;
const KIND_CLIENT: u64 = 3;
const STATUS_ERROR: u64 = 2;
const FLAG_SAMPLED: u32 = 1;
const FLAG_HAS_IS_REMOTE: u32 = 0x100;
const FLAG_IS_REMOTE: u32 = 0x200;

/// What a span is to the GenAI conventions.
pub(super) struct Role<'a> {
    /// `gen_ai.operation.name`; `None` for a span that is no GenAI operation.
    pub(super) operation: Option<&'a str>,
    /// What stands behind the operation in the span's name: a model, a workflow, a tool.
    subject: &'a str,
    kind: u64,
}

impl<'a> Role<'a> {
    pub(super) fn of(span: &'a Span) -> Self {
        let text = |key: &str| span.attributes.get_str(key);
        let given = text(names::OPERATION_NAME);
        let role = |operation: &'a str, subject: Option<&'a str>, kind: u64| Role {
            operation: Some(operation),
            subject: subject.unwrap_or_default(),
            kind,
        };
        match span.kind {
            SpanKind::Run | SpanKind::Workflow => {
                let name = text(names::WORKFLOW_NAME)
                    .or_else(|| text("workflow.name"))
                    .or_else(|| match span.kind {
                        SpanKind::Workflow => span.operation.strip_prefix("workflow."),
                        _ => None,
                    });
                return role(names::INVOKE_WORKFLOW, name, KIND_INTERNAL);
            }
            SpanKind::LlmCall => {
                let operation = given.unwrap_or_else(|| operation_in(&span.operation));
                return role(operation, text(names::REQUEST_MODEL), KIND_CLIENT);
            }
            _ => {}
        }
        match given {
            Some(operation @ "execute_tool") => role(operation, text(names::TOOL_NAME), KIND_INTERNAL),
            Some(operation @ ("invoke_agent" | "create_agent")) => {
                let is_remote = text(names::SERVER_ADDRESS).is_some();
                let kind = if is_remote { KIND_CLIENT } else { KIND_INTERNAL };
                role(operation, text(names::AGENT_NAME), kind)
            }
            Some(operation @ names::INVOKE_WORKFLOW) => {
                role(operation, text(names::WORKFLOW_NAME), KIND_INTERNAL)
            }
            Some(operation @ ("chat" | "generate_content" | "text_completion" | names::EMBEDDINGS)) => {
                role(operation, text(names::REQUEST_MODEL), KIND_CLIENT)
            }
            _ => Role {
                operation: None,
                subject: "",
                kind: KIND_INTERNAL,
            },
        }
    }
}

/// The operation in `chat gpt-4o`, for a call whose attributes are lost.
fn operation_in(name: &str) -> &str {
    match name.split(' ').next() {
        Some(word @ ("chat" | "generate_content" | "text_completion" | names::EMBEDDINGS)) => word,
        _ => "chat",
    }
}

impl Encoder {
    pub(super) fn write_span(&self, wire: &mut Wire, envelope: &Envelope<'_>, span: &Span) {
        let role = Role::of(span);
        let message = wire.open(2, 2);
        wire.bytes(1, &span.trace_id.to_bytes());
        wire.bytes(2, &span.span_id.to_u64().to_be_bytes());
        wire.bytes(3, envelope.trace_state.as_bytes());
        if let Some(parent) = span.parent_span_id {
            wire.bytes(4, &parent.to_u64().to_be_bytes());
        }
        match role.operation {
            Some(operation) => wire.words(5, operation, role.subject),
            None => wire.bytes(5, span.operation.as_bytes()),
        }
        wire.uint(6, role.kind);
        wire.fixed64(7, span.start.0);
        wire.fixed64(8, span.end.map_or(span.start.0, |end| end.0.max(span.start.0)));
        self.write_attributes(wire, span, &role);
        self.write_events(wire, span);
        write_status(wire, span);
        let mut flags = FLAG_HAS_IS_REMOTE;
        if envelope.sampled {
            flags |= FLAG_SAMPLED;
        }
        // The run joins what called it; everything else has its parent in this process.
        if span.kind == SpanKind::Run && span.parent_span_id.is_some() {
            flags |= FLAG_IS_REMOTE;
        }
        wire.fixed32(16, flags);
        wire.close(message);
    }

    fn write_attributes(&self, wire: &mut Wire, span: &Span, role: &Role<'_>) {
        let mut slots = Slots::default();
        if let Some(operation) = role.operation {
            slots.insert(Slot::Operation);
            wire.text_attribute(SPAN_ATTRIBUTES, names::OPERATION_NAME, operation);
            if operation == names::INVOKE_WORKFLOW && !role.subject.is_empty() {
                slots.insert(Slot::Workflow);
                wire.text_attribute(SPAN_ATTRIBUTES, names::WORKFLOW_NAME, role.subject);
            }
        }
        for (key, value) in span.attributes.iter() {
            self.write_attribute(wire, SPAN_ATTRIBUTES, key, value, &mut slots);
        }
        self.write_what_is_missing(wire, span, &mut slots);
        for (key, value) in &self.config.span_attributes {
            if span.attributes.get(key).is_none() {
                wire.text_attribute(SPAN_ATTRIBUTES, key, value);
            }
        }
        if self.config.openinference && !slots.contains(Slot::OpenInference) {
            openinference::write(wire, span, role, self.config.content);
        }
    }

    /// Writes one attribute under the name and in the type of the conventions, unless it is content and content
    /// is off, or it is written already.
    pub(super) fn write_attribute(
        &self,
        wire: &mut Wire,
        field: u32,
        key: &str,
        value: &AttributeValue,
        slots: &mut Slots,
    ) {
        let Some(known) = Known::of(key) else {
            return write(wire, field, key, value);
        };
        if (known.is_content && !self.config.content) || !slots.insert(known.slot) {
            return;
        }
        match known.slot {
            Slot::CacheWrite => self.for_each_cache_write_name(|name| {
                write_shaped(wire, field, name, value, known.shape);
            }),
            Slot::NodeConfig => write_shaped(wire, field, names::NODE_CONFIG, value, known.shape),
            _ => write_shaped(wire, field, key, value, known.shape),
        }
    }

    /// The one name that changed after 1.41.
    fn for_each_cache_write_name(&self, mut write: impl FnMut(&'static str)) {
        if self.config.conventions.writes_latest() {
            write(names::CACHE_WRITE_TOKENS);
        }
        if self.config.conventions.writes_v1_41() {
            write(names::CACHE_WRITE_TOKENS_V1_41);
        }
    }

    fn write_what_is_missing(&self, wire: &mut Wire, span: &Span, slots: &mut Slots) {
        if slots.insert(Slot::SpanKind) {
            wire.text_attribute(SPAN_ATTRIBUTES, names::SPAN_KIND, span.kind.as_str());
        }
        if let Some(usage) = &span.usage {
            self.write_usage(wire, usage, slots);
        }
        if let Some(cost) = &span.cost {
            write_cost(wire, cost, slots);
        }
        if let Some(error_type) = error_type(span)
            && slots.insert(Slot::ErrorType)
        {
            wire.text_attribute(SPAN_ATTRIBUTES, names::ERROR_TYPE, error_type);
        }
        if span.end.is_none() {
            wire.bool_attribute(SPAN_ATTRIBUTES, names::SPAN_UNFINISHED, true);
        }
        if self.config.content {
            if let Some(params) = &span.params
                && slots.insert(Slot::NodeParams)
            {
                wire.value_attribute(SPAN_ATTRIBUTES, names::NODE_PARAMS, params);
            }
            if !span.templates.is_empty() && slots.insert(Slot::NodeTemplates) {
                wire.serialized_attribute(SPAN_ATTRIBUTES, names::NODE_TEMPLATES, &span.templates);
            }
            if !span.mutations.is_empty() && slots.insert(Slot::NodeMutations) {
                wire.serialized_attribute(SPAN_ATTRIBUTES, names::NODE_MUTATIONS, &span.mutations);
            }
        }
    }

    fn write_usage(&self, wire: &mut Wire, usage: &TokenUsage, slots: &mut Slots) {
        let figures = [
            (Slot::InputTokens, names::INPUT_TOKENS, usage.input),
            (Slot::OutputTokens, names::OUTPUT_TOKENS, usage.output),
            (Slot::CacheRead, names::CACHE_READ_TOKENS, usage.cache_read),
            (Slot::Reasoning, names::REASONING_TOKENS, usage.reasoning),
        ];
        for (slot, name, figure) in figures {
            if let Some(figure) = figure
                && slots.insert(slot)
            {
                wire.int_attribute(SPAN_ATTRIBUTES, name, whole(figure.tokens));
            }
        }
        if let Some(written) = cache_write(usage)
            && slots.insert(Slot::CacheWrite)
        {
            self.for_each_cache_write_name(|name| {
                wire.int_attribute(SPAN_ATTRIBUTES, name, whole(written));
            });
        }
        if usage.is_estimated() && slots.insert(Slot::UsageEstimated) {
            let estimated = [("input", usage.input), ("output", usage.output)];
            let estimated = estimated
                .iter()
                .filter(|(_, figure)| figure.is_some_and(|figure| figure.source.is_estimate()));
            wire.texts_attribute(
                SPAN_ATTRIBUTES,
                names::USAGE_ESTIMATED,
                estimated.map(|(name, _)| *name),
            );
        }
    }

    fn write_events(&self, wire: &mut Wire, span: &Span) {
        let mut has_exception = false;
        for SpanEvent {
            name,
            time,
            attributes,
        } in &span.events
        {
            has_exception |= name == names::EXCEPTION_EVENT;
            let event = wire.open(11, 1);
            wire.fixed64(1, time.0);
            wire.bytes(2, name.as_bytes());
            for (key, value) in attributes.iter() {
                self.write_attribute(wire, EVENT_ATTRIBUTES, key, value, &mut Slots::default());
            }
            wire.close(event);
        }
        if let Some(error) = &span.error
            && !has_exception
        {
            let time = span.end.unwrap_or(span.start).max(span.start);
            let event = wire.open(11, 2);
            wire.fixed64(1, time.0);
            wire.bytes(2, names::EXCEPTION_EVENT.as_bytes());
            write_exception(wire, error);
            wire.close(event);
        }
    }
}

/// The conventions' attributes of an error. Rust has no stack to show: the chain of causes says as much.
fn write_exception(wire: &mut Wire, error: &SpanError) {
    wire.text_attribute(EVENT_ATTRIBUTES, names::EXCEPTION_TYPE, &error.error_type);
    wire.text_attribute(EVENT_ATTRIBUTES, names::EXCEPTION_MESSAGE, &error.message);
    if !error.chain.is_empty() {
        let mut causes = error.message.clone();
        for cause in &error.chain {
            causes.push_str(CAUSED_BY);
            causes.push_str(cause);
        }
        wire.text_attribute(EVENT_ATTRIBUTES, names::EXCEPTION_STACKTRACE, &causes);
    }
}

/// What joins the chain of causes in `exception.stacktrace`.
pub(crate) const CAUSED_BY: &str = "\ncaused by: ";

/// Error or nothing: instrumentations leave the status of what went well unset.
/// Source: OpenTelemetry trace API, "Set Status".
fn write_status(wire: &mut Wire, span: &Span) {
    let message = match span.status {
        Some(SpanStatus::Error) => span.error.as_ref().map_or("", |error| error.message.as_str()),
        Some(SpanStatus::Cancelled) => SpanStatus::Cancelled.as_str(),
        Some(SpanStatus::Ok) | None => return,
    };
    let status = wire.open(15, 1);
    wire.bytes(2, message.as_bytes());
    wire.uint(3, STATUS_ERROR);
    wire.close(status);
}

fn error_type(span: &Span) -> Option<&str> {
    let given = span.error.as_ref().map(|error| error.error_type.as_str());
    match span.status {
        Some(SpanStatus::Error) => Some(given.unwrap_or(names::ERROR_TYPE_OTHER)),
        Some(SpanStatus::Cancelled) => Some(given.unwrap_or(SpanStatus::Cancelled.as_str())),
        Some(SpanStatus::Ok) | None => given,
    }
}

fn write_cost(wire: &mut Wire, cost: &Cost, slots: &mut Slots) {
    if let Some(amount) = cost.amount {
        if slots.insert(Slot::CostUsd) {
            wire.double_attribute(SPAN_ATTRIBUTES, names::COST_USD, amount.to_usd());
        }
        if slots.insert(Slot::CostNanos) {
            wire.int_attribute(SPAN_ATTRIBUTES, names::COST_NANOS, amount.0);
        }
    }
    if slots.insert(Slot::CostStatus) {
        wire.text_attribute(SPAN_ATTRIBUTES, names::COST_STATUS, cost.status.as_str());
    }
}

/// Tokens as OTLP's int: what does not fit is as good as its limit.
pub(super) fn whole(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

/// Tokens written to the cache, for whichever time.
pub(super) fn cache_write(usage: &TokenUsage) -> Option<u64> {
    match (usage.cache_write_5m, usage.cache_write_1h) {
        (None, None) => None,
        (five, hour) => {
            let tokens = |figure: Option<flowmeter_model::Figure>| figure.map_or(0, |figure| figure.tokens);
            Some(tokens(five).saturating_add(tokens(hour)))
        }
    }
}
