//! The spans of one run, put together step by step on a clock of its own.
//!
//! Never a span that the recorder would not make like it.

use std::sync::Arc;

use flowmeter_model::{
    AttributeValue, Cost, CostStatus, CostTotal, Figure, MutationRecord, Span, SpanError, SpanId, SpanKind,
    SpanStatus, TelemetryEvent, TemplateResolution, TimestampNs, TokenUsage, TraceId, UsdNanos,
};
use serde_json::{Value, json};
use smol_str::{SmolStr, format_smolstr};

use super::noise::Noise;
use crate::{Append, Origin, RunEnd, RunKey, RunStart, RunStatus, TokenSums};

/// An LLM call to be made.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) model: &'static str,
    pub(super) prompt: String,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) max_tokens: u64,
    pub(super) seconds: f64,
}

/// Nano-dollars per million input and output tokens.
pub(super) fn rates(model: &str) -> (i64, i64) {
    if model.ends_with("mini") {
        (150_000_000, 600_000_000)
    } else {
        (2_500_000_000, 10_000_000_000)
    }
}

/// A run in the making.
pub(super) struct Making {
    key: RunKey,
    workflow: &'static str,
    begins: u64,
    /// Where the run's clock stands.
    pub(super) now: u64,
    spans: Vec<Span>,
    nodes: u64,
    llm_calls: u64,
    tokens: TokenSums,
    cost: CostTotal,
    failed: Option<SpanError>,
    origin: Origin,
}

impl Making {
    pub(super) fn begin(workflow: &'static str, at: u64, origin: Origin, noise: &mut Noise) -> Self {
        let key = RunKey {
            trace_id: noise.ids.trace_id(),
            root_span_id: noise.ids.span_id(),
        };
        Self {
            key,
            workflow,
            begins: at,
            now: at + 2_000_000,
            spans: Vec::new(),
            nodes: 0,
            llm_calls: 0,
            tokens: TokenSums::default(),
            cost: CostTotal::default(),
            failed: None,
            origin,
        }
    }

    fn trace(&self) -> TraceId {
        self.key.trace_id
    }

    pub(super) fn wait(&mut self, seconds: f64) {
        self.now += (seconds * 1e9) as u64;
    }

    fn span(&self, id: SpanId, parent: SpanId, kind: SpanKind, operation: SmolStr, start: u64) -> Span {
        Span::begin(
            self.trace(),
            id,
            Some(parent),
            kind,
            operation,
            TimestampNs(start),
        )
    }

    fn close(&mut self, mut span: Span, error: Option<&SpanError>) {
        span.end = Some(TimestampNs(self.now));
        span.status = Some(if error.is_some() {
            SpanStatus::Error
        } else {
            SpanStatus::Ok
        });
        span.error = error.cloned();
        self.spans.push(span);
    }

    /// A node: `inside` is what happens in it, and says what it failed with. `writes`: what its output is, by key.
    pub(super) fn node(
        &mut self,
        name: &str,
        node_type: &str,
        reads: &[&str],
        noise: &mut Noise,
        inside: impl FnOnce(&mut Self, SpanId, &mut Noise) -> Result<Value, SpanError>,
    ) -> Result<(), SpanError> {
        let id = noise.ids.span_id();
        let mut span = self.span(
            id,
            self.key.root_span_id,
            SpanKind::Node,
            format_smolstr!("node.{node_type}"),
            self.now,
        );
        span.attributes.set("node.id", name);
        span.attributes.set("node.type", node_type);
        let templates: Vec<String> = reads.iter().map(|read| format!("${{{read}}}")).collect();
        span.attributes
            .set("node.config", json!({ "prompt": templates.join(" ") }));
        for template in templates {
            span.templates.push(TemplateResolution {
                template,
                value: Arc::new(json!("…")),
            });
        }
        self.nodes += 1;
        self.wait(0.000_5);
        let outcome = inside(self, id, noise);
        self.wait(0.000_5);
        if let Ok(value) = &outcome {
            let path = format!("{name}.response");
            let earlier = self.spans.iter().rev().flat_map(|span| &span.mutations);
            let before = earlier
                .filter(|write| write.path == path)
                .find_map(|write| write.after.clone());
            span.mutations.push(MutationRecord {
                path,
                before,
                after: Some(Arc::new(value.clone())),
                time: TimestampNs(self.now - 200_000),
            });
        }
        let outcome = outcome.map(drop);
        self.close(span, outcome.as_ref().err());
        outcome
    }

    /// An attempt with whatever happens in it.
    pub(super) fn attempt(
        &mut self,
        parent: SpanId,
        number: i64,
        noise: &mut Noise,
        inside: impl FnOnce(&mut Self, SpanId, &mut Noise) -> Result<(), SpanError>,
    ) -> Result<(), SpanError> {
        let id = noise.ids.span_id();
        let mut span = self.span(
            id,
            parent,
            SpanKind::Attempt,
            SmolStr::new_static("attempt"),
            self.now,
        );
        span.attributes.set("attempt.number", number);
        span.attributes.set("attempt.max", 3_i64);
        let outcome = inside(self, id, noise);
        self.close(span, outcome.as_ref().err());
        outcome
    }

    /// An LLM call that is answered, or fails with `error` at no cost.
    pub(super) fn call(&mut self, parent: SpanId, call: &Call, error: Option<&SpanError>, noise: &mut Noise) {
        let id = noise.ids.span_id();
        let mut span = self.span(
            id,
            parent,
            SpanKind::LlmCall,
            format_smolstr!("chat {}", call.model),
            self.now,
        );
        let attributes = &mut span.attributes;
        attributes.set("gen_ai.operation.name", "chat");
        attributes.set("gen_ai.provider.name", "openai");
        attributes.set("gen_ai.request.model", call.model);
        attributes.set("gen_ai.request.max_tokens", call.max_tokens);
        attributes.set(
            "gen_ai.input.messages",
            AttributeValue::from(
                json!([{ "role": "user", "parts": [{ "type": "text", "content": call.prompt }] }]),
            ),
        );
        self.wait(call.seconds);
        let (input_rate, output_rate) = rates(call.model);
        let (input, output) = if error.is_some() {
            (0, 0)
        } else {
            (call.input, call.output)
        };
        let nanos = (input as i64 * input_rate + output as i64 * output_rate) / 1_000_000;
        let cost = Cost::known(CostStatus::Priced, UsdNanos(nanos), None);
        if error.is_none() {
            span.attributes
                .set("gen_ai.response.finish_reasons", json!(["stop"]));
            let usage = TokenUsage {
                input: Some(Figure::provider(input)),
                output: Some(Figure::provider(output)),
                ..TokenUsage::default()
            };
            self.tokens.add(&TokenSums::of(&usage));
            span.usage = Some(usage);
        }
        self.cost.add(call.model, &cost);
        span.cost = Some(cost);
        self.llm_calls += 1;
        self.close(span, error);
    }

    /// Items, so many at a time, each taking as long as its call.
    pub(super) fn batch(&mut self, parent: SpanId, calls: &[Call], places: usize, noise: &mut Noise) {
        let ready = self.now;
        let mut free = vec![self.now; places.max(1)];
        for (index, call) in calls.iter().enumerate() {
            let place = (0..free.len()).min_by_key(|place| free[*place]).unwrap_or(0);
            self.now = free[place];
            let id = noise.ids.span_id();
            let mut span = self.span(
                id,
                parent,
                SpanKind::BatchItem,
                SmolStr::new_static("batch.item"),
                self.now,
            );
            span.attributes.set("batch.index", index as i64);
            span.attributes.set("batch.count", calls.len() as i64);
            span.attributes.set("batch.queue_ns", self.now - ready);
            self.call(id, call, None, noise);
            free[place] = self.now;
            self.close(span, None);
        }
        self.now = free.into_iter().max().unwrap_or(self.now);
    }

    /// The run ends as badly as its last node.
    pub(super) fn fail(&mut self, error: SpanError) {
        self.failed = Some(error);
    }

    /// What the store is told.
    pub(super) fn end(mut self, status: RunStatus) -> Vec<Append> {
        self.now += 1_000_000;
        let status = if self.failed.is_some() {
            RunStatus::Error
        } else {
            status
        };
        let began = RunStart {
            key: self.key,
            parent_span_id: None,
            workflow: SmolStr::new_static(self.workflow),
            started: TimestampNs(self.begins),
            sampled: true,
            origin: self.origin.clone(),
            resource: flowmeter_model::Attributes::new(),
            process: None,
        };
        let mut root = Span::begin(
            self.trace(),
            self.key.root_span_id,
            None,
            SpanKind::Run,
            "workflow.start",
            TimestampNs(self.begins),
        );
        root.attributes.set("workflow.name", self.workflow);
        root.end = Some(TimestampNs(self.now));
        root.status = Some(match status {
            RunStatus::Ok => SpanStatus::Ok,
            RunStatus::Error => SpanStatus::Error,
            _ => SpanStatus::Cancelled,
        });
        root.error = self.failed.clone();
        let mut spans = self.spans;
        spans.push(root);
        let events = spans
            .into_iter()
            .map(|span| TelemetryEvent::SpanEnded(Box::new(span)));
        let mut appends = vec![
            Append::Began(Box::new(began)),
            Append::Events(self.key, events.collect()),
        ];
        if status != RunStatus::Interrupted {
            appends.push(Append::Ended(Box::new(RunEnd {
                key: self.key,
                ended: TimestampNs(self.now),
                status,
                error: self.failed,
                sampled: true,
                nodes: self.nodes,
                llm_calls: self.llm_calls,
                tokens: self.tokens,
                cost: self.cost,
                saved: CostTotal::default(),
                metrics: json!({}),
            })));
        }
        appends
    }
}

/// An error of a class.
pub(super) fn error(class: &str) -> SpanError {
    SpanError {
        error_type: SmolStr::new(class),
        message: format!("the synthetic year planned {class} here"),
        chain: Vec::new(),
    }
}
