//! What a span holds beyond its place in the tree: attributes, usage, cost, values, moments.
//!
//! Read only where a format shows it. A field that cannot be read is reported and left out.

use std::sync::Arc;

use flowmeter_model::{
    AttributeValue, Attributes, Cost, CostStatus, Figure, FigureSource, Span, SpanEvent, SpanId, SpanKind,
    TimestampNs, TokenUsage, TraceId, UsdNanos,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use smol_str::SmolStr;

use super::fields::{Field, Place, Shape};
use super::line::{ATTRIBUTES, Beginning, End, Line, Report, Subject};
use super::problem::EventProblemKind;
use crate::genai;
use crate::scope::LOGS_DROPPED;

/// What a span holds.
#[derive(Debug)]
pub(super) struct Content {
    /// All of it but ids and times: those of a line may have forms that the model does not know.
    pub(super) span: Span,
    /// Its id as a format writes it.
    pub(super) id: SmolStr,
    /// The id of the span around it.
    pub(super) parent_id: Option<SmolStr>,
    /// Bytes of the lines that it was read from: what it holds is about as large.
    pub(super) bytes: usize,
}

/// How much of a line's content a format wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What people are shown of a span: figures and numbers.
    Figures,
    /// What people are shown of a log: the attributes, and nothing that has no meaning of its own.
    Shown,
    /// Everything.
    All,
}

impl Wanted {
    pub(super) fn is_all(self) -> bool {
        self == Self::All
    }
}

impl Line<'_> {
    /// The attributes of the line, fields that have no meaning of their own among them.
    pub(super) fn attributes(&self, wanted: Wanted, report: Report<'_>) -> Attributes {
        // What is no object was reported when the line was read.
        let is_object = |place: &Place| place.shape == Shape::Object;
        let mut attributes: Attributes = match self.place(Field::Attributes).filter(is_object) {
            Some(_) => self
                .read(Field::Attributes, ATTRIBUTES, report)
                .unwrap_or_default(),
            None => Attributes::new(),
        };
        match wanted {
            Wanted::Figures => return figures_among(&attributes),
            Wanted::Shown => return attributes,
            Wanted::All => {}
        }
        for (name, place) in self.fields.others(self.text) {
            let value: Option<Value> = serde_json::from_str(place.json(self.text)).ok();
            if let Some(value) = value.filter(|_| attributes.get(name).is_none()) {
                attributes.set(name, attribute(value));
            }
        }
        attributes
    }

    /// A field by its model type.
    fn read<T: DeserializeOwned>(&self, field: Field, wanted: &'static str, report: Report<'_>) -> Option<T> {
        let json = self.json(field)?;
        match serde_json::from_str(json) {
            Ok(value) => Some(value),
            Err(error) => {
                let found = format!("something else ({error})");
                report(EventProblemKind::WrongField {
                    field: field.name(),
                    wanted,
                    found,
                });
                None
            }
        }
    }

    fn read_list<T: DeserializeOwned>(
        &self,
        field: Field,
        wanted: &'static str,
        report: Report<'_>,
    ) -> Vec<T> {
        self.read(field, wanted, report).unwrap_or_default()
    }

    /// Whether the line says anything of tokens or money.
    pub(super) fn has_figures(&self) -> bool {
        if self.place(Field::Usage).is_some() || self.place(Field::Cost).is_some() {
            return true;
        }
        self.place(Field::Attributes).is_some_and(|place| {
            // The shortest attribute of this kind is longer.
            place.end - place.start > 16 && {
                let text = place.text(self.text);
                ["gen_ai.usage.", "flowmeter.cost.", LOGS_DROPPED]
                    .iter()
                    .any(|name| text.contains(name))
            }
        })
    }
}

/// As an attribute, a text is a text and a number is a number.
fn attribute(value: Value) -> AttributeValue {
    match value {
        Value::Bool(flag) => flag.into(),
        Value::String(text) => text.into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(real)) if number.is_f64() => real.into(),
            _ => Value::Number(number).into(),
        },
        other => other.into(),
    }
}

/// The attributes that a line of the tree or a figure comes from: no prompts, no values.
fn figures_among(attributes: &Attributes) -> Attributes {
    let mut kept = Attributes::new();
    for (key, value) in attributes.iter() {
        let is_small = match value {
            AttributeValue::Str(text) => text.len() <= 256,
            AttributeValue::Json(_) => key == genai::USAGE_ESTIMATED,
            _ => true,
        };
        if is_small {
            kept.set(key.clone(), value.clone());
        }
    }
    kept
}

/// The trace id that spans carry where the real one has another form or is not asked for.
fn any_trace() -> TraceId {
    flowmeter_model::IdSource::from_seed(0).trace_id()
}

fn any_span() -> SpanId {
    flowmeter_model::IdSource::from_seed(0).span_id()
}

impl Content {
    /// What is known of any span.
    pub(super) fn bare(beginning: &Beginning<'_>, kind: SpanKind, start_ns: Option<u64>) -> Self {
        let operation: SmolStr = match beginning.subject {
            Subject::Node => smol_str::format_smolstr!("node.{}", beginning.operation.text),
            Subject::Workflow | Subject::Span => beginning.operation.text.as_ref().into(),
        };
        let start = TimestampNs(start_ns.unwrap_or(0));
        let mut span = Span::begin(any_trace(), any_span(), None, kind, operation, start);
        if beginning.subject == Subject::Node {
            let id = beginning.name.as_ref().map_or("?", |name| name.text.as_ref());
            span.attributes.set("node.id", id);
            span.attributes
                .set("node.type", beginning.operation.text.as_ref());
        }
        Self {
            span,
            id: SmolStr::default(),
            parent_id: None,
            bytes: 0,
        }
    }

    /// What the line of a beginning says.
    pub(super) fn begun(
        line: &Line<'_>,
        beginning: &Beginning<'_>,
        kind: SpanKind,
        start_ns: Option<u64>,
        wanted: Wanted,
        report: Report<'_>,
    ) -> Self {
        let mut content = Self::bare(beginning, kind, start_ns);
        if beginning.subject == Subject::Node {
            let named = line.place(Field::Operation).filter(|place| place.shape.is_text());
            if let Some(name) = named.and_then(|place| place.decoded(line.text)) {
                content.span.operation = name.into();
            }
            if wanted == Wanted::All {
                // The agreed shape has it on every node.
                let config = line.read::<Value>(Field::NodeConfig, "a value", report);
                content
                    .span
                    .attributes
                    .set("node.config", config.unwrap_or_else(|| serde_json::json!({})));
            }
        }
        if wanted == Wanted::All
            && beginning.subject == Subject::Workflow
            && let Some(name) = &beginning.name
        {
            content.span.attributes.set("workflow.id", name.text.as_ref());
        }
        content.add(line, wanted, report);
        content
    }

    /// What the line of its end adds.
    pub(super) fn ended(
        &mut self,
        line: &Line<'_>,
        end: &End<'_>,
        at_ns: Option<u64>,
        wanted: Wanted,
        report: Report<'_>,
    ) {
        if wanted == Wanted::All && self.span.kind == SpanKind::Node {
            let config = line.read::<Value>(Field::NodeConfig, "a value", report);
            if let Some(config) = config.filter(|config| *config != serde_json::json!({})) {
                self.span.attributes.set("node.config", config);
            }
        }
        self.add(line, wanted, report);
        if let Some(error) = &end.error {
            self.span.error = Some(error.clone());
        }
        self.span.end = at_ns.map(TimestampNs);
        let usage = line.read(Field::Usage, "token counts by kind", report);
        let cost = line.read(Field::Cost, "a cost with `status` and `amount`", report);
        self.span.usage = usage.or_else(|| usage_among(&self.span.attributes));
        self.span.cost = cost.or_else(|| cost_among(&self.span.attributes));
        if wanted == Wanted::All {
            self.span.params = line.read::<Arc<Value>>(Field::Params, "a value", report);
            self.span.templates = line.read_list(Field::Templates, "a list of templates and values", report);
            self.span.mutations = line.read_list(Field::Mutations, "a list of paths and values", report);
            let events = line.read_list::<SpanEvent>(Field::Events, "a list of names and times", report);
            self.span.events.extend(events);
        }
    }

    fn add(&mut self, line: &Line<'_>, wanted: Wanted, report: Report<'_>) {
        let attributes = line.attributes(wanted, report);
        for (key, value) in attributes.iter() {
            self.span.attributes.set(key.clone(), value.clone());
        }
        self.bytes += line.text.len();
    }

    /// Something happened in it that is no span; the line that told so was this long.
    pub(super) fn add_event(&mut self, event: SpanEvent, bytes: usize) {
        self.span.events.push(event);
        self.bytes += bytes;
    }

    /// Whether it says that a model was called.
    pub(super) fn is_call(&self) -> bool {
        self.span.kind == SpanKind::LlmCall || self.span.usage.is_some()
    }
}

fn whole(attributes: &Attributes, key: &str) -> Option<u64> {
    match attributes.get(key)? {
        AttributeValue::I64(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// The usage that the attributes of the GenAI conventions tell of.
fn usage_among(attributes: &Attributes) -> Option<TokenUsage> {
    let estimated = match attributes.get(genai::USAGE_ESTIMATED) {
        Some(AttributeValue::Json(list)) => list.as_array().cloned().unwrap_or_default(),
        _ => Vec::new(),
    };
    let figure = |key: &str, name: &str| {
        let source = if estimated.iter().any(|part| part.as_str() == Some(name)) {
            FigureSource::Estimate
        } else {
            FigureSource::Convention
        };
        whole(attributes, key).map(|tokens| Figure { tokens, source })
    };
    let usage = TokenUsage {
        input: figure(genai::INPUT_TOKENS, "input"),
        output: figure(genai::OUTPUT_TOKENS, "output"),
        cache_read: figure(genai::CACHE_READ_TOKENS, ""),
        cache_write_5m: figure(genai::CACHE_WRITE_TOKENS, ""),
        reasoning: figure(genai::REASONING_TOKENS, ""),
        ..TokenUsage::default()
    };
    (usage != TokenUsage::default()).then_some(usage)
}

/// The cost that our own attributes tell of.
fn cost_among(attributes: &Attributes) -> Option<Cost> {
    let status = match attributes.get_str(genai::COST_STATUS) {
        Some("reported") => CostStatus::Reported,
        Some("estimated") => CostStatus::Estimated,
        Some("partial") => CostStatus::Partial,
        Some("unpriced") => return Some(Cost::unpriced()),
        _ => CostStatus::Priced,
    };
    let usd = match attributes.get(genai::COST_USD)? {
        AttributeValue::F64(usd) => *usd,
        AttributeValue::I64(usd) => *usd as f64,
        _ => return None,
    };
    Some(Cost::known(status, UsdNanos::from_usd(usd).ok()?, None))
}
