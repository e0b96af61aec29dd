//! Runs and spans for the clauses.
//!
//! Never random: see [`super::histories`].

use std::sync::Arc;

use flowmeter_model::{
    Attributes, Cost, CostStatus, CostTotal, Figure, IdSource, LogLevel, LogRecord, Span, SpanError, SpanId,
    SpanKind, SpanStatus, TelemetryEvent, TimestampNs, TokenUsage, UsdNanos,
};
use serde_json::{Value, json};

use crate::{
    Append, Origin, ProcessMark, RunEnd, RunFilter, RunKey, RunOrder, RunRow, RunStart, RunStatus, Store,
    StoredLog, TokenSums,
};

/// A second, nanoseconds.
pub const SECOND: u64 = 1_000_000_000;
/// An hour, nanoseconds.
pub const HOUR: u64 = 3_600 * SECOND;
/// A day, nanoseconds.
pub const DAY: u64 = 24 * HOUR;
/// 2026-03-01 00:00 UTC.
pub const MARCH: TimestampNs = TimestampNs(1_772_323_200 * SECOND);

/// So long after [`MARCH`].
pub fn after(duration_ns: u64) -> TimestampNs {
    TimestampNs(MARCH.0 + duration_ns)
}

/// A run in the making.
pub struct Sample {
    pub key: RunKey,
    pub ids: IdSource,
    pub start: RunStart,
    pub events: Vec<TelemetryEvent>,
    pub root: Span,
    pub status: RunStatus,
    pub nodes: u64,
    pub llm_calls: u64,
    pub tokens: TokenSums,
    pub cost: CostTotal,
    pub saved: CostTotal,
}

impl Sample {
    /// A run of a workflow that begins then. Equal seeds give equal ids.
    pub fn new(seed: u64, workflow: &str, started: TimestampNs) -> Self {
        let mut ids = IdSource::from_seed(seed.wrapping_mul(0x9e37_79b9) ^ 0x5eed);
        let (trace_id, root_span_id) = (ids.trace_id(), ids.span_id());
        let key = RunKey {
            trace_id,
            root_span_id,
        };
        let mut root = Span::begin(
            trace_id,
            root_span_id,
            None,
            SpanKind::Run,
            "workflow.start",
            started,
        );
        root.attributes.set("workflow.name", workflow);
        Self {
            key,
            ids,
            start: RunStart {
                key,
                parent_span_id: None,
                workflow: workflow.into(),
                started,
                sampled: true,
                origin: Origin::default(),
                resource: Attributes::new(),
                process: None,
            },
            events: Vec::new(),
            root,
            status: RunStatus::Ok,
            nodes: 0,
            llm_calls: 0,
            tokens: TokenSums::default(),
            cost: CostTotal::default(),
            saved: CostTotal::default(),
        }
    }

    /// The same recorded by a process of this machine.
    pub fn process(mut self, pid: u32) -> Self {
        self.start.process = Some(ProcessMark {
            host: "here".into(),
            pid,
            started: 7,
        });
        self
    }

    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.start.origin.tags.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn session(mut self, session: &str) -> Self {
        self.start.origin.session = Some(session.to_owned());
        self
    }

    /// A span beneath another one, without an end.
    pub fn span(&mut self, parent: SpanId, kind: SpanKind, operation: &str, start: TimestampNs) -> Span {
        let span_id = self.ids.span_id();
        Span::begin(self.key.trace_id, span_id, Some(parent), kind, operation, start)
    }

    /// A node beneath the root that ended; returns its id.
    pub fn node(&mut self, name: &str, start: TimestampNs, duration_ns: u64) -> SpanId {
        let mut span = self.span(self.key.root_span_id, SpanKind::Node, "node.llm", start);
        span.attributes.set("node.id", name);
        self.keep(ended(span, duration_ns))
    }

    /// An LLM call inside a node that ended; returns its id.
    pub fn call(&mut self, parent: SpanId, call: Call<'_>, start: TimestampNs, duration_ns: u64) -> SpanId {
        let operation = format!("chat {}", call.model);
        let mut span = self.span(parent, SpanKind::LlmCall, &operation, start);
        span.attributes.set("gen_ai.request.model", call.model);
        span.attributes.set("gen_ai.provider.name", call.provider);
        span.attributes
            .set("gen_ai.input.messages", message("user", call.prompt));
        span.attributes
            .set("gen_ai.output.messages", message("assistant", call.answer));
        span.usage = Some(TokenUsage {
            input: Some(Figure::provider(call.input)),
            output: Some(Figure::provider(call.output)),
            ..TokenUsage::default()
        });
        span.cost = Some(call.cost);
        self.keep(ended(span, duration_ns))
    }

    /// Keeps a span that ended, and counts it; returns its id.
    pub fn keep(&mut self, span: Span) -> SpanId {
        let span_id = span.span_id;
        match (span.kind, &span.cost) {
            (SpanKind::Node, _) => self.nodes += 1,
            (SpanKind::LlmCall, Some(cost)) => {
                self.llm_calls += 1;
                self.cost.add("", cost);
                self.cost.unpriced_models.clear();
                self.tokens
                    .add(&span.usage.as_ref().map(TokenSums::of).unwrap_or_default());
            }
            _ => {}
        }
        self.events.push(TelemetryEvent::SpanEnded(Box::new(span)));
        span_id
    }

    pub fn log(&mut self, time: TimestampNs, level: LogLevel, message: &str) {
        let record = Box::new(LogRecord {
            time,
            level,
            message: message.to_owned(),
            target: Some("probe::log".into()),
            span_id: Some(self.key.root_span_id),
            attributes: Attributes::new(),
        });
        self.events.push(TelemetryEvent::Log(self.key.trace_id, record));
    }

    /// The end of it.
    pub fn end(&self, ended: TimestampNs) -> RunEnd {
        RunEnd {
            key: self.key,
            ended,
            status: self.status,
            error: (self.status == RunStatus::Error).then(failure),
            sampled: true,
            nodes: self.nodes,
            llm_calls: self.llm_calls,
            tokens: self.tokens,
            cost: self.cost.clone(),
            saved: self.saved.clone(),
            metrics: json!({"nodes": self.nodes}),
        }
    }

    /// Appends all of it, with its end so long after its beginning.
    pub fn append(mut self, store: &dyn Store, duration_ns: u64) -> RunKey {
        let mut root = self.root.clone();
        root.status = Some(match self.status {
            RunStatus::Error => SpanStatus::Error,
            RunStatus::Cancelled => SpanStatus::Cancelled,
            _ => SpanStatus::Ok,
        });
        root.error = (self.status == RunStatus::Error).then(failure);
        let ends = TimestampNs(root.start.0 + duration_ns);
        root.end = Some(ends);
        store.append(Append::Began(Box::new(self.start.clone()))).unwrap();
        let mut events = std::mem::take(&mut self.events);
        events.push(TelemetryEvent::SpanEnded(Box::new(root)));
        store.append(Append::Events(self.key, events)).unwrap();
        store.append(Append::Ended(Box::new(self.end(ends)))).unwrap();
        self.key
    }
}

/// What an LLM call was.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub model: &'a str,
    pub provider: &'a str,
    pub prompt: &'a str,
    pub answer: &'a str,
    pub input: u64,
    pub output: u64,
    pub cost: Cost,
}

impl Default for Call<'_> {
    fn default() -> Self {
        Self {
            model: "gpt-4o",
            provider: "openai",
            prompt: "what is the capital of France",
            answer: "Paris",
            input: 100,
            output: 20,
            cost: priced(1_000_000),
        }
    }
}

/// A known cost.
pub fn priced(nanos: i64) -> Cost {
    Cost::known(CostStatus::Priced, UsdNanos(nanos), None)
}

/// One message as spans hold it.
pub fn message(role: &str, text: &str) -> Value {
    json!([{"role": role, "parts": [{"type": "text", "content": text}]}])
}

/// Why a run failed.
pub fn failure() -> SpanError {
    SpanError {
        error_type: "http_500".into(),
        message: "the server fell over".to_owned(),
        chain: vec!["connection reset by peer".to_owned()],
    }
}

/// The span with an end.
pub fn ended(mut span: Span, duration_ns: u64) -> Span {
    span.end = Some(TimestampNs(span.start.0.saturating_add(duration_ns)));
    span.status = Some(if span.error.is_some() {
        SpanStatus::Error
    } else {
        SpanStatus::Ok
    });
    span
}

/// All runs that a filter holds for, the newest first.
pub fn runs(store: &dyn Store, filter: &RunFilter) -> Vec<RunRow> {
    store.runs(filter, RunOrder::Started, usize::MAX, 0).unwrap()
}

/// The keys of these.
pub fn keys(rows: &[RunRow]) -> Vec<RunKey> {
    rows.iter().map(|row| row.key).collect()
}

/// All spans of a run.
pub fn spans(store: &dyn Store, key: &RunKey) -> Vec<Span> {
    let mut found = Vec::new();
    store
        .spans(key, &mut |span| {
            found.push(span);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    found
}

/// All log lines that a filter holds for.
pub fn logs(store: &dyn Store, filter: &crate::LogFilter) -> Vec<StoredLog> {
    let mut found = Vec::new();
    store
        .logs(filter, &mut |log| {
            found.push(log);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    found
}

/// All rows that a filter holds for, by their ids.
pub fn scan(store: &dyn Store, filter: &crate::SpanFilter) -> Vec<crate::SpanRow> {
    let mut found = Vec::new();
    store
        .scan(filter, &mut |row| {
            found.push(row.clone());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    found.sort_by_key(|row| (row.run, row.span_id));
    found
}

/// A span with something of everything.
pub fn rich_span(sample: &mut Sample, start: TimestampNs) -> Span {
    let root = sample.key.root_span_id;
    let mut span = sample.span(root, SpanKind::Node, "node.http", start);
    span.attributes.set("node.id", "fetch");
    span.attributes.set("flag", true);
    span.attributes.set("whole", -42_i64);
    span.attributes.set("real", 0.1);
    span.attributes.set("text", "naïve café");
    span.attributes.set("nothing", "");
    span.attributes.set(
        "tree",
        json!({"a": [1, 2.5, null, {"b": "c"}], "empty": {}, "big": u64::MAX}),
    );
    span.error = Some(failure());
    span.events.push(flowmeter_model::SpanEvent {
        name: "retry".into(),
        time: TimestampNs(start.0 + 5),
        attributes: [("attempt".into(), 2_i64.into())].into_iter().collect(),
    });
    span.params = Some(Arc::new(
        json!({"url": "https://example.org/path", "method": "GET"}),
    ));
    span.templates.push(flowmeter_model::TemplateResolution {
        template: "${input.url}".to_owned(),
        value: Arc::new(json!("https://example.org/path")),
    });
    let mutation =
        |path: &str, before: Option<Value>, after: Option<Value>| flowmeter_model::MutationRecord {
            path: path.to_owned(),
            before: before.map(Arc::new),
            after: after.map(Arc::new),
            time: TimestampNs(start.0 + 9),
        };
    span.mutations
        .push(mutation("fetch.response", None, Some(json!({"status": 200}))));
    span.mutations
        .push(mutation("fetch.old", Some(Value::Null), None));
    span.mutations
        .push(mutation("fetch.null", Some(json!(1)), Some(Value::Null)));
    ended(span, 3 * SECOND)
}

/// An LLM call whose usage and cost have every field.
pub fn rich_call(sample: &mut Sample, parent: SpanId, start: TimestampNs) -> Span {
    let mut span = sample.span(parent, SpanKind::LlmCall, "chat claude", start);
    span.attributes.set("gen_ai.request.model", "claude-sonnet-4-5");
    span.attributes.set("gen_ai.provider.name", "anthropic");
    span.attributes.set(
        "gen_ai.system_instructions",
        json!([{"type": "text", "content": "be brief"}]),
    );
    span.attributes
        .set("gen_ai.input.messages", message("user", "sum this up"));
    span.attributes
        .set("gen_ai.output.messages", message("assistant", "done"));
    span.usage = Some(TokenUsage {
        input: Some(Figure::provider(1_000)),
        cache_read: Some(Figure::provider(600)),
        cache_write_5m: Some(Figure::provider(100)),
        cache_write_1h: Some(Figure::provider(50)),
        output: Some(Figure::estimate(80)),
        reasoning: Some(Figure::tokenizer(30)),
        web_searches: Some(2),
        reported_cost: Some(UsdNanos(12)),
        service_tier: Some("priority".to_owned()),
        audio_ms: Some(1),
        ..TokenUsage::default()
    });
    let lines = vec![flowmeter_model::CostLine::tokens("input", 1_000, 3_000_000_000)];
    span.cost = Some(Cost::known(
        CostStatus::Estimated,
        UsdNanos(3_000_000),
        Some(Arc::new(flowmeter_model::CostExplanation {
            matched: "anthropic/claude-sonnet-4-5".into(),
            source: "genai-prices".into(),
            rule: "exact".into(),
            lines,
            warnings: vec!["odd".to_owned()],
            ..Default::default()
        })),
    ));
    ended(span, 2 * SECOND)
}
