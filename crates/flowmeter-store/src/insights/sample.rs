//! One run with as much of its payloads as insights need.
//!
//! Never holds a prompt whole: its beginning and its length.

use std::ops::ControlFlow;

use flowmeter_model::{AttributeValue, Span, SpanId, SpanKind, SpanStatus};
use rustc_hash::FxHashMap;
use serde_json::Value;
use smol_str::SmolStr;

use crate::{RunKey, Store, StoreError};

/// So much of the beginning of a prompt is held, in bytes.
const BEGINNING_MAX: usize = 64 << 10;
/// Of longer runs only so many spans are looked at.
pub(super) const SPANS_MAX: usize = 20_000;

/// A write to the shared store.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) namespace: SmolStr,
    pub(super) time: u64,
    /// Whether the value became another one.
    pub(super) changes: bool,
}

/// A prompt.
#[derive(Clone, Debug, Default)]
pub(super) struct Prompt {
    pub(super) beginning: String,
    pub(super) len: usize,
}

/// One span.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) kind: SpanKind,
    /// `outer/inner`, as in rows.
    pub(super) node: SmolStr,
    pub(super) node_type: SmolStr,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) is_ok: bool,
    pub(super) cost: Option<i64>,
    pub(super) model: SmolStr,
    pub(super) provider: SmolStr,
    pub(super) prompt: Prompt,
    pub(super) input: u64,
    pub(super) cache_read: u64,
    pub(super) max_tokens: Option<u64>,
    /// The answer was cut off at its limit.
    pub(super) is_cut_off: bool,
    pub(super) queue_ns: u64,
    /// What its templates name; `None` where its parameters were not recorded.
    pub(super) reads: Option<Vec<SmolStr>>,
    pub(super) writes: Vec<Write>,
    own_name: SmolStr,
}

impl Step {
    pub(super) fn duration_ns(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) key: RunKey,
    pub(super) duration_ns: u64,
    pub(super) steps: Vec<Step>,
    /// Whether anything was seen of what steps wrote.
    pub(super) has_writes: bool,
}

impl Sample {
    /// Reads a run.
    pub(super) fn read(store: &dyn Store, key: &RunKey) -> Result<Self, StoreError> {
        let mut steps = Vec::new();
        store.spans(key, &mut |span| {
            steps.push(step_of(&span));
            if steps.len() >= SPANS_MAX {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        name_nodes(&mut steps);
        let root = steps.iter().find(|step| step.id == key.root_span_id);
        Ok(Self {
            key: *key,
            duration_ns: root.map_or(0, Step::duration_ns),
            has_writes: steps.iter().any(|step| !step.writes.is_empty()),
            steps,
        })
    }
}

/// Puts the ids of the nodes around before each one's own.
fn name_nodes(steps: &mut [Step]) {
    let by_id: FxHashMap<SpanId, usize> = steps
        .iter()
        .enumerate()
        .map(|(place, step)| (step.id, place))
        .collect();
    for place in 0..steps.len() {
        let mut names: Vec<&str> = Vec::new();
        let mut next = Some(place);
        // A file that somebody else wrote may go in a circle.
        for _ in 0..1_000 {
            let Some(step) = next.map(|place| &steps[place]) else {
                break;
            };
            if !step.own_name.is_empty() {
                names.push(&step.own_name);
            }
            next = step.parent.and_then(|parent| by_id.get(&parent).copied());
        }
        names.reverse();
        steps[place].node = SmolStr::new(names.join("/"));
    }
}

fn step_of(span: &Span) -> Step {
    let attributes = &span.attributes;
    let text = |key: &str| SmolStr::new(attributes.get_str(key).unwrap_or_default());
    let number = |key: &str| match attributes.get(key) {
        Some(AttributeValue::I64(number)) => u64::try_from(*number).ok(),
        Some(AttributeValue::Json(value)) => value.as_u64(),
        _ => None,
    };
    let tokens = |figure: Option<flowmeter_model::Figure>| figure.map_or(0, |figure| figure.tokens);
    let usage = span.usage.as_ref();
    let is_node = span.kind == SpanKind::Node;
    Step {
        id: span.span_id,
        parent: span.parent_span_id,
        kind: span.kind,
        node: SmolStr::default(),
        node_type: if is_node {
            text("node.type")
        } else {
            SmolStr::default()
        },
        start: span.start.0,
        end: span.end.map_or(span.start.0, |end| end.0.max(span.start.0)),
        is_ok: span.status == Some(SpanStatus::Ok),
        cost: span
            .cost
            .as_ref()
            .and_then(|cost| cost.amount)
            .map(|amount| amount.0),
        model: text("gen_ai.request.model"),
        provider: text("gen_ai.provider.name"),
        prompt: prompt_of(span),
        input: usage.map_or(0, |usage| tokens(usage.input)),
        cache_read: usage.map_or(0, |usage| tokens(usage.cache_read)),
        max_tokens: number("gen_ai.request.max_tokens"),
        is_cut_off: match attributes.get("gen_ai.response.finish_reasons") {
            Some(AttributeValue::Json(reasons)) => {
                let reasons = reasons.as_array().into_iter().flatten().filter_map(Value::as_str);
                reasons
                    .into_iter()
                    .any(|reason| matches!(reason, "length" | "max_tokens" | "MAX_TOKENS"))
            }
            _ => false,
        },
        queue_ns: number("batch.queue_ns").unwrap_or(0),
        reads: is_node.then(|| reads_of(span)).flatten(),
        writes: span
            .mutations
            .iter()
            .map(|write| Write {
                namespace: head(&write.path),
                time: write.time.0,
                changes: write.before != write.after,
            })
            .collect(),
        own_name: if is_node {
            text("node.id")
        } else {
            SmolStr::default()
        },
    }
}

/// The first part of a path, also of one in a template: `fetch` of `fetch.response[0]`.
fn head(path: &str) -> SmolStr {
    let end = path
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
        .unwrap_or(path.len());
    SmolStr::new(&path[..end])
}

/// The namespaces that a node's templates name, as written in its parameters and as they were resolved.
fn reads_of(span: &Span) -> Option<Vec<SmolStr>> {
    let config = match span.attributes.get("node.config") {
        Some(AttributeValue::Json(config)) => Some(config.to_string()),
        Some(AttributeValue::Str(config)) => Some(config.to_string()),
        _ => None,
    };
    if config.is_none() && span.templates.is_empty() && span.params.is_none() {
        return None;
    }
    let mut reads: Vec<SmolStr> = Vec::new();
    let templates = span.templates.iter().map(|template| template.template.as_str());
    for text in templates.chain(config.as_deref()) {
        for part in text.split("${").skip(1) {
            // `${a.b ?? c.d}` reads both.
            let inside = part.split('}').next().unwrap_or(part);
            reads.extend(inside.split("??").map(|path| head(path.trim())));
        }
    }
    reads.retain(|read| !read.is_empty());
    reads.sort();
    reads.dedup();
    Some(reads)
}

/// System instructions and messages in a row, as a provider's cache would see them.
fn prompt_of(span: &Span) -> Prompt {
    let mut prompt = Prompt::default();
    if span.kind != SpanKind::LlmCall {
        return prompt;
    }
    for key in ["gen_ai.system_instructions", "gen_ai.input.messages"] {
        match span.attributes.get(key) {
            Some(AttributeValue::Json(value)) => add_text(value, &mut prompt, 0),
            Some(AttributeValue::Str(text)) => prompt.add(text),
            _ => {}
        }
    }
    prompt
}

fn add_text(value: &Value, prompt: &mut Prompt, depth: usize) {
    if depth > 16 {
        return;
    }
    match value {
        Value::String(text) => prompt.add(text),
        Value::Array(items) => items.iter().for_each(|item| add_text(item, prompt, depth + 1)),
        Value::Object(fields) => {
            for key in ["role", "content", "parts", "text"] {
                if let Some(value) = fields.get(key) {
                    add_text(value, prompt, depth + 1);
                }
            }
        }
        _ => {}
    }
}

impl Prompt {
    fn add(&mut self, text: &str) {
        self.len += text.len() + 1;
        let room = BEGINNING_MAX.saturating_sub(self.beginning.len());
        let mut end = text.len().min(room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.beginning.push_str(&text[..end]);
        // Whatever begins next is another part.
        if end == text.len() && room > end {
            self.beginning.push('\n');
        }
    }
}

/// How many bytes all prompts have in common at their beginning.
pub(super) fn common_beginning<'a>(mut prompts: impl Iterator<Item = &'a Prompt>) -> usize {
    let Some(first) = prompts.next() else { return 0 };
    prompts.fold(first.beginning.len(), |common, prompt| {
        let pairs = first.beginning.bytes().zip(prompt.beginning.bytes());
        pairs.take(common).take_while(|(a, b)| a == b).count()
    })
}

#[cfg(test)]
impl Step {
    /// A step with nothing in it.
    pub(super) fn of_test(id: SpanId, parent: Option<SpanId>, kind: SpanKind) -> Self {
        let mut span = Span::begin(
            flowmeter_model::TraceId::from_bytes([1; 16]).expect("an id"),
            id,
            parent,
            kind,
            "",
            flowmeter_model::TimestampNs(0),
        );
        span.status = Some(SpanStatus::Ok);
        step_of(&span)
    }
}
