//! A small history in memory for tests: two runs of one workflow, one that goes on, one that was killed.
//!
//! Always the same: ids and times are constants.

use std::sync::Arc;

use flowmeter_model::{
    Cost, CostStatus, CostTotal, Figure, FigureSource, LogLevel, LogRecord, ManualClock, MutationRecord,
    Span, SpanError, SpanId, SpanKind, SpanStatus, TelemetryEvent, TemplateResolution, TimestampNs,
    TokenUsage, UsdNanos,
};
use flowmeter_store::{
    Append, MemoryConfig, MemoryStore, Origin, ProcessMark, RunEnd, RunKey, RunStart, RunStatus, Store,
    TokenSums,
};
use serde_json::{Value, json};

use crate::times::{LocalZone, TimeWords};

/// Saturday, 2026-11-21 12:00:00 UTC.
pub(crate) const NOON: u64 = 1_795_262_400_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// The first run: yesterday, all went well.
pub(crate) const FIRST: &str = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba90001";
/// The second run: with another model, an hour ago; it failed.
pub(crate) const SECOND_RUN: &str = "00aa11bb77b34da6a3ce929d0e0e4736-00f067aa0ba90002";
/// A run that goes on.
pub(crate) const RUNNING: &str = "4bf9aaaa77b34da6a3ce929d0e0e4736-00f067aa0ba90003";
/// A run whose process is gone.
pub(crate) const KILLED: &str = "deadbeef77b34da6a3ce929d0e0e4736-00f067aa0ba90004";

/// As seen at noon, in UTC.
pub(crate) fn times() -> TimeWords {
    TimeWords::new(TimestampNs(NOON), LocalZone::fixed(0))
}

/// The history.
pub(crate) fn store() -> MemoryStore {
    let store = empty();
    first(&store);
    second(&store);
    open(&store, RUNNING, "summarize", NOON - 95 * SECOND, 1);
    open(&store, KILLED, "nightly", NOON - 3 * 86_400 * SECOND, 2);
    store
}

/// A history without runs, where only process 1 lives.
pub(crate) fn empty() -> MemoryStore {
    MemoryStore::new(MemoryConfig {
        clock: Arc::new(ManualClock::new(TimestampNs(NOON))),
        is_alive: Arc::new(|process| Some(process.pid == 1)),
    })
}

/// A run's key.
pub(crate) fn key(text: &str) -> RunKey {
    RunKey::parse(text).expect("it is a key")
}

/// Puts a run together, span by span.
pub(crate) struct Recorder<'a> {
    store: &'a dyn Store,
    pub(crate) key: RunKey,
    pub(crate) began: u64,
    next: u64,
}

impl<'a> Recorder<'a> {
    /// A run that began then.
    pub(crate) fn begin(
        store: &'a dyn Store,
        run: &str,
        workflow: &str,
        began: u64,
        origin: Origin,
        pid: u32,
    ) -> Self {
        let key = key(run);
        let start = RunStart {
            key,
            parent_span_id: None,
            workflow: workflow.into(),
            started: TimestampNs(began),
            sampled: true,
            origin,
            resource: [("service.name".into(), "flowmeter".into())]
                .into_iter()
                .collect(),
            process: Some(ProcessMark {
                host: "here".into(),
                pid,
                started: 7,
            }),
        };
        store.append(Append::Began(Box::new(start))).expect("it is kept");
        Self {
            store,
            key,
            began,
            next: key.root_span_id.to_u64() * 0x100,
        }
    }

    /// The root span, as it ends.
    pub(crate) fn root(&self) -> Span {
        Span::begin(
            self.key.trace_id,
            self.key.root_span_id,
            None,
            SpanKind::Run,
            "workflow.start",
            TimestampNs(self.began),
        )
    }

    /// A span inside another one, so many milliseconds after the run began and so long.
    pub(crate) fn span(
        &mut self,
        parent: SpanId,
        kind: SpanKind,
        operation: &str,
        after_ms: u64,
        ms: u64,
    ) -> Span {
        self.next += 1;
        let id = SpanId::from_u64(self.next).expect("it is not zero");
        let start = TimestampNs(self.began + after_ms * 1_000_000);
        let mut span = Span::begin(self.key.trace_id, id, Some(parent), kind, operation, start);
        span.end = Some(TimestampNs(start.0 + ms * 1_000_000));
        span.status = Some(SpanStatus::Ok);
        span
    }

    /// A node.
    pub(crate) fn node(&mut self, parent: SpanId, id: &str, node_type: &str, after_ms: u64, ms: u64) -> Span {
        let mut span = self.span(parent, SpanKind::Node, &format!("node.{node_type}"), after_ms, ms);
        span.attributes.set("node.id", id);
        span.attributes.set("node.type", node_type);
        span.attributes.set("node.attempts", 1_i64);
        span
    }

    /// Keeps an ended span.
    pub(crate) fn keep(&self, span: &Span) {
        let event = TelemetryEvent::SpanEnded(Box::new(span.clone()));
        self.store
            .append(Append::Events(self.key, vec![event]))
            .expect("it is kept");
    }

    /// Keeps a span that goes on.
    pub(crate) fn start(&self, mut span: Span) {
        (span.end, span.status) = (None, None);
        let event = TelemetryEvent::SpanStarted(Box::new(span));
        self.store
            .append(Append::Events(self.key, vec![event]))
            .expect("it is kept");
    }

    /// Keeps a log line.
    pub(crate) fn log(&self, span: SpanId, after_ms: u64, level: LogLevel, message: &str) {
        let record = LogRecord {
            time: TimestampNs(self.began + after_ms * 1_000_000),
            level,
            message: message.to_owned(),
            target: Some("shell".into()),
            span_id: Some(span),
            attributes: flowmeter_model::Attributes::new(),
        };
        let event = TelemetryEvent::Log(self.key.trace_id, Box::new(record));
        self.store
            .append(Append::Events(self.key, vec![event]))
            .expect("it is kept");
    }

    /// Ends the run.
    pub(crate) fn end(&self, ms: u64, status: RunStatus, calls: &[&Span], nodes: u64) {
        let mut root = self.root();
        root.end = Some(TimestampNs(self.began + ms * 1_000_000));
        root.status = Some(if status == RunStatus::Ok {
            SpanStatus::Ok
        } else {
            SpanStatus::Error
        });
        self.end_with(&root, status, calls, nodes);
    }

    /// Ends the run with this root span.
    pub(crate) fn end_with(&self, root: &Span, status: RunStatus, calls: &[&Span], nodes: u64) {
        self.keep(root);
        let (mut tokens, mut cost) = (TokenSums::default(), CostTotal::default());
        for call in calls {
            tokens.add(&TokenSums::of(call.usage.as_ref().expect("it used something")));
            cost.add("m", call.cost.as_ref().expect("it cost something"));
        }
        let end = RunEnd {
            key: self.key,
            ended: root.end.expect("it ended"),
            status,
            error: (status == RunStatus::Error).then(|| SpanError {
                error_type: "http_500".into(),
                message: "openai answered with HTTP 500".to_owned(),
                chain: Vec::new(),
            }),
            sampled: true,
            nodes,
            llm_calls: calls.len() as u64,
            tokens,
            cost,
            saved: CostTotal::default(),
            metrics: json!({"node_count": nodes, "total_duration_ms": 1.0}),
        };
        self.store
            .append(Append::Ended(Box::new(end)))
            .expect("it is kept");
        self.store.flush().expect("it is durable");
    }
}

/// A write so many milliseconds after a run began.
pub(crate) fn write(
    began: u64,
    after_ms: u64,
    path: &str,
    before: Option<Value>,
    after: Option<Value>,
) -> MutationRecord {
    MutationRecord {
        path: path.to_owned(),
        before: before.map(Arc::new),
        after: after.map(Arc::new),
        time: TimestampNs(began + after_ms * 1_000_000),
    }
}

/// An LLM call that asked and was answered.
pub(crate) fn converse(
    call: &mut Span,
    model: &str,
    prompt: &str,
    answer: &str,
    tokens: (u64, u64),
    cost: i64,
) {
    let figure = |tokens| {
        Some(Figure {
            tokens,
            source: FigureSource::Provider,
        })
    };
    call.attributes.set("gen_ai.provider.name", "openai");
    call.attributes.set("gen_ai.request.model", model);
    call.attributes.set("gen_ai.request.temperature", 0.2);
    call.attributes.set(
        "gen_ai.input.messages",
        json!([
            {"role": "system", "parts": [{"type": "text", "content": "Be short."}]},
            {"role": "user", "parts": [{"type": "text", "content": prompt}]},
        ]),
    );
    call.attributes.set(
        "gen_ai.output.messages",
        json!([{"role": "assistant", "parts": [{"type": "text", "content": answer}]}]),
    );
    call.usage = Some(TokenUsage {
        input: figure(tokens.0),
        output: figure(tokens.1),
        ..TokenUsage::default()
    });
    call.cost = Some(Cost::known(CostStatus::Priced, UsdNanos(cost), None));
}

fn origin(env: &str) -> Origin {
    Origin {
        session: Some("s-17".to_owned()),
        user: Some("ada".to_owned()),
        git_commit: Some("1a2b3c4d5e6f".to_owned()),
        tags: vec![("env".to_owned(), env.to_owned())],
        ..Origin::default()
    }
}

fn first(store: &dyn Store) {
    let began = NOON - 22 * 3600 * SECOND;
    let mut run = Recorder::begin(store, FIRST, "summarize", began, origin("test"), 1);
    let root = run.key.root_span_id;
    let mut fetch = run.node(root, "fetch", "shell", 10, 500);
    fetch.params = Some(Arc::new(json!({"command": "curl notes"})));
    fetch.mutations = vec![
        write(
            began,
            500,
            "fetch.stdout",
            None,
            Some(json!("会议记录: 三点开会")),
        ),
        write(began, 501, "fetch.exit_code", None, Some(json!(0))),
    ];
    run.keep(&fetch);
    run.log(fetch.span_id, 20, LogLevel::Info, "Running command: curl notes");
    run.log(fetch.span_id, 400, LogLevel::Warn, "slow\nserver");
    let mut summarize = run.node(root, "summarize", "llm", 520, 2_100);
    let mut call = run.span(summarize.span_id, SpanKind::LlmCall, "chat gpt-4o", 530, 2_000);
    converse(
        &mut call,
        "gpt-4o",
        "Summarise: 会议记录: 三点开会",
        "A meeting at three.",
        (120, 30),
        3_000_000,
    );
    run.keep(&call);
    summarize.params = Some(Arc::new(
        json!({"model": "gpt-4o", "prompt": "Summarise: …", "temperature": 0.2}),
    ));
    summarize.templates = vec![TemplateResolution {
        template: "${fetch.stdout}".to_owned(),
        value: Arc::new(json!("会议记录: 三点开会")),
    }];
    summarize.mutations = vec![
        write(
            began,
            2_600,
            "summarize.response",
            None,
            Some(json!("A meeting at three.")),
        ),
        write(began, 2_601, "key", Some(json!("k-1")), Some(json!("[REDACTED]"))),
    ];
    run.keep(&summarize);
    let mut nested = run.node(root, "check", "workflow", 2_700, 300);
    let workflow = {
        let mut span = run.span(nested.span_id, SpanKind::Workflow, "workflow.checker", 2_710, 280);
        span.mutations = vec![write(
            began,
            2_711,
            "text",
            None,
            Some(json!("A meeting at three.")),
        )];
        span
    };
    for (round, after) in [(1, 2_720), (2, 2_850)] {
        let mut look = run.node(workflow.span_id, "look", "echo", after, 100);
        let before = (round == 2).then(|| json!(1));
        look.mutations = vec![write(began, after + 90, "look.round", before, Some(json!(round)))];
        run.keep(&look);
    }
    run.keep(&workflow);
    nested.mutations = vec![write(began, 2_999, "check.ok", None, Some(json!(true)))];
    run.keep(&nested);
    let mut end = run.root();
    end.end = Some(TimestampNs(began + 3_100_000_000));
    end.status = Some(SpanStatus::Ok);
    end.mutations = vec![write(began, 1, "who", None, Some(json!("ada")))];
    run.end_with(&end, RunStatus::Ok, &[&call], 5);
}

fn second(store: &dyn Store) {
    let began = NOON - 3600 * SECOND;
    let mut run = Recorder::begin(store, SECOND_RUN, "summarize", began, origin("prod"), 1);
    let root = run.key.root_span_id;
    let mut fetch = run.node(root, "fetch", "shell", 10, 480);
    fetch.params = Some(Arc::new(json!({"command": "curl notes"})));
    fetch.mutations = vec![
        write(
            began,
            500,
            "fetch.stdout",
            None,
            Some(json!("会议纪要: 四点开会")),
        ),
        write(began, 501, "fetch.exit_code", None, Some(json!(0))),
    ];
    run.keep(&fetch);
    let mut summarize = run.node(root, "summarize", "llm", 520, 4_800);
    let mut failed = run.span(summarize.span_id, SpanKind::LlmCall, "chat gpt-5", 530, 1_000);
    converse(
        &mut failed,
        "gpt-5",
        "Summarise: 会议纪要: 四点开会",
        "",
        (130, 0),
        0,
    );
    failed.status = Some(SpanStatus::Error);
    failed.error = Some(SpanError {
        error_type: "http_503".into(),
        message: "overloaded".to_owned(),
        chain: Vec::new(),
    });
    failed.cost = Some(Cost::unpriced());
    let mut call = run.span(summarize.span_id, SpanKind::LlmCall, "chat gpt-5", 1_600, 3_000);
    converse(
        &mut call,
        "gpt-5",
        "Summarise: 会议纪要: 四点开会",
        "A meeting at four.",
        (130, 60),
        12_500_000,
    );
    run.keep(&failed);
    run.keep(&call);
    summarize.params = Some(Arc::new(json!({"model": "gpt-5", "prompt": "Summarise: …"})));
    summarize.mutations = vec![write(
        began,
        5_300,
        "summarize.response",
        None,
        Some(json!("A meeting at four.")),
    )];
    run.keep(&summarize);
    let mut publish = run.node(root, "publish", "http", 5_400, 200);
    publish.status = Some(SpanStatus::Error);
    publish.error = Some(SpanError {
        error_type: "http_500".into(),
        message: "the server answered 500\nInternal Server Error".to_owned(),
        chain: vec!["connection closed".to_owned()],
    });
    run.keep(&publish);
    run.log(
        publish.span_id,
        5_500,
        LogLevel::Error,
        "publishing failed: connection refused",
    );
    run.end(5_700, RunStatus::Error, &[&failed, &call], 3);
}

fn open(store: &dyn Store, run: &str, workflow: &str, began: u64, pid: u32) {
    let mut run = Recorder::begin(store, run, workflow, began, Origin::default(), pid);
    let root = run.root();
    run.start(root.clone());
    let mut fetch = run.node(root.span_id, "fetch", "shell", 10, 500);
    fetch.mutations = vec![write(began, 500, "fetch.stdout", None, Some(json!("so far")))];
    run.keep(&fetch);
    let waiting = run.node(root.span_id, "wait", "shell", 520, 1);
    run.start(waiting);
    store.flush().expect("it is durable");
}
