//! Makes runs up and has them written.
//!
//! Never counts its own work: CPU time is that of the store's threads, and of appending.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flowmeter_model::{
    Attributes, Cost, CostStatus, CostTotal, Figure, IdSource, LogLevel, LogRecord, Span, SpanError, SpanId,
    SpanKind, SpanStatus, SystemClock, TelemetryEvent, TimestampNs, TokenUsage, UsdNanos,
};
use flowmeter_store::{
    Append, Origin, RunEnd, RunKey, RunStart, RunStatus, SqliteConfig, SqliteStore, Store, TokenSums,
};
use serde_json::json;

use crate::ceiling::Ceiling;
use crate::machine;
use crate::text::Prose;

/// Workflows.
const WORKFLOWS: u64 = 20;
/// A node's prompt begins with its instruction, and goes on with what it is given: some sixty words are always the same.
pub(crate) const INSTRUCTION_BYTES: usize = 400;
/// What the prose follows from.
pub(crate) const SEED: u64 = 1;
/// What that of log lines follows from.
pub(crate) const LINES_SEED: u64 = 3;
/// Spans of one run.
pub(crate) const SPANS_PER_RUN: u64 = 10;
/// Runs that are made up before they are appended: a few, as spans are appended when they have just ended.
const RUNS_AT_ONCE: usize = 5;
/// What zstd takes is measured again after so many runs.
const RUNS_BETWEEN_SAMPLES: usize = 200;
/// When the first run began, nanoseconds since the epoch.
pub(crate) const BEGINS: u64 = 1_780_000_000_000_000_000;
/// From one run to the next, nanoseconds.
pub(crate) const BETWEEN_NS: u64 = 20_000_000_000;
/// Stands in one of a thousand answers.
pub(crate) const CHINESE: &str = "请求超时，正在重试第二个模型";
const MODELS: &[(&str, &str)] = &[
    ("gpt-4o-mini", "openai"),
    ("gpt-4o", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("claude-haiku-4-5", "anthropic"),
    ("gemini-2.5-flash", "google"),
];

/// What writing came to.
pub(crate) struct Written {
    spans: u64,
    cpu_ns: u64,
    wall_s: f64,
    pub(crate) settled_s: f64,
    file_bytes: u64,
    otlp_bytes: u64,
}

impl Written {
    pub(crate) fn spans_per_cpu_second(&self) -> f64 {
        self.spans as f64 * 1e9 / self.cpu_ns.max(1) as f64
    }

    pub(crate) fn spans_per_second(&self) -> f64 {
        self.spans as f64 / self.wall_s
    }

    pub(crate) fn bytes_per_span(&self) -> f64 {
        self.file_bytes as f64 / self.spans as f64
    }

    pub(crate) fn otlp_bytes_per_span(&self) -> f64 {
        self.otlp_bytes as f64 / self.spans as f64
    }
}

/// Opens a file.
pub(crate) fn open(path: &Path, has_index: bool) -> SqliteStore {
    let mut config = SqliteConfig::new(Arc::new(SystemClock), Arc::new(|_| Some(true)));
    config.search_index = has_index;
    SqliteStore::open(path, config).unwrap()
}

/// Writes so many spans.
pub(crate) fn write(
    path: &Path,
    spans: u64,
    has_index: bool,
    mut made: Maker,
    ceiling: &mut Ceiling,
) -> Written {
    let store = open(path, has_index);
    let began = Instant::now();
    let mut appending_ns = 0;
    let runs = spans / SPANS_PER_RUN;
    for first in (0..runs).step_by(RUNS_AT_ONCE) {
        let end = runs.min(first + RUNS_AT_ONCE as u64);
        let together: Vec<Append> = (first..end)
            .flat_map(|number| made.run(number, SPANS_PER_RUN))
            .collect();
        let before = machine::cpu_ns_of_this_thread();
        for append in together {
            store.append(append).unwrap();
        }
        appending_ns += machine::cpu_ns_of_this_thread() - before;
        if (first as usize).is_multiple_of(RUNS_BETWEEN_SAMPLES) {
            ceiling.sample();
        }
    }
    store.flush().unwrap();
    let wall_s = began.elapsed().as_secs_f64();
    let cpu_ns =
        machine::cpu_ns_of_threads("flowmeter-store") + machine::cpu_ns_of_threads("flowmeter-check");
    let (settling, before) = (Instant::now(), machine::cpu_ns_of_this_thread());
    store.settle().unwrap();
    let settled_s = settling.elapsed().as_secs_f64();
    // Folding, merging and indexing are part of it, whenever they are done.
    let cpu_ns = cpu_ns + machine::cpu_ns_of_this_thread() - before;
    drop(store);
    let otlp_bytes = made.otlp_bytes;
    Written {
        spans,
        cpu_ns: cpu_ns + appending_ns,
        wall_s,
        settled_s,
        file_bytes: std::fs::metadata(path).unwrap().len(),
        otlp_bytes,
    }
}

/// Writes one run of so many spans; its key.
pub(crate) fn write_run(store: &SqliteStore, spans: u64) -> RunKey {
    let [began, events, ended] = Maker::new(SEED + 1).run(0, spans);
    let key = match &events {
        Append::Events(key, _) => *key,
        _ => unreachable!("a run's events come second"),
    };
    store.append(began).unwrap();
    if let Append::Events(_, events) = events {
        for some in events.chunks(1_000) {
            store.append(Append::Events(key, some.to_vec())).unwrap();
        }
    }
    store.append(ended).unwrap();
    store.settle().unwrap();
    key
}

/// Writes so many log lines, 500 to a run.
pub(crate) fn write_lines(store: &SqliteStore, lines: u64) {
    let mut maker = Maker::new(LINES_SEED);
    for number in 0..lines / 500 {
        let [began, events, ended] = maker.run(number, 1);
        let Append::Events(key, mut events) = events else {
            unreachable!("a run's events come second");
        };
        for line in 0..500 {
            let mut message = maker.prose.text(90);
            if maker.prose.below(10_000) == 0 {
                message.push_str(" content_filter");
            }
            let record = LogRecord {
                time: TimestampNs(BEGINS + number * BETWEEN_NS + line),
                level: LogLevel::Info,
                message,
                target: Some("workflow".into()),
                span_id: Some(key.root_span_id),
                attributes: Attributes::new(),
            };
            events.push(TelemetryEvent::Log(key.trace_id, Box::new(record)));
        }
        for append in [began, Append::Events(key, events), ended] {
            store.append(append).unwrap();
        }
    }
    store.settle().unwrap();
}

/// Makes runs up.
pub(crate) struct Maker {
    prose: Prose,
    ids: IdSource,
    /// What the prompts of each workflow begin with.
    instructions: Vec<String>,
    otlp_bytes: u64,
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_instructions(seed, INSTRUCTION_BYTES)
    }

    /// The same, with instructions of another length.
    pub(crate) fn with_instructions(seed: u64, bytes: usize) -> Self {
        let mut prose = Prose::new(seed);
        let instructions = (0..WORKFLOWS).map(|_| prose.text(bytes)).collect();
        Self {
            prose,
            ids: IdSource::from_seed(seed ^ 0x5eed),
            instructions,
            otlp_bytes: 0,
        }
    }

    /// A run of so many spans: its beginning, its spans, its end.
    pub(crate) fn run(&mut self, number: u64, spans: u64) -> [Append; 3] {
        let key = RunKey {
            trace_id: self.ids.trace_id(),
            root_span_id: self.ids.span_id(),
        };
        let number_of_workflow = self.prose.below(WORKFLOWS);
        let workflow = format!("workflow-{number_of_workflow}");
        let started = TimestampNs(BEGINS + number * BETWEEN_NS);
        let start = RunStart {
            key,
            parent_span_id: None,
            workflow: workflow.as_str().into(),
            started,
            sampled: true,
            origin: Origin {
                session: Some(format!("session-{}", number / 7)),
                tags: vec![("team".to_owned(), format!("team-{}", number % 11))],
                ..Origin::default()
            },
            resource: [
                ("service.name", "flowmeter"),
                ("host.name", "bench"),
                ("process.runtime.name", "rust"),
            ]
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect(),
            process: None,
        };
        let mut events = Vec::new();
        let (mut tokens, mut cost) = (TokenSums::default(), CostTotal::default());
        let mut failed = false;
        let mut at = started.0;
        for _ in 1..spans {
            let span = self.call(&key, at, number_of_workflow as usize);
            at = span.end.map_or(at, |end| end.0) + 1_000;
            failed |= span.error.is_some();
            tokens.add(&TokenSums::of(span.usage.as_ref().unwrap()));
            cost.add("", span.cost.as_ref().unwrap());
            events.push(TelemetryEvent::SpanEnded(Box::new(span)));
        }
        let mut root = Span::begin(
            key.trace_id,
            key.root_span_id,
            None,
            SpanKind::Run,
            "workflow.start",
            started,
        );
        root.end = Some(TimestampNs(at));
        root.status = Some(if failed { SpanStatus::Error } else { SpanStatus::Ok });
        root.attributes.set("workflow.name", workflow.as_str());
        events.push(TelemetryEvent::SpanEnded(Box::new(root)));
        let end = RunEnd {
            key,
            ended: TimestampNs(at),
            status: if failed { RunStatus::Error } else { RunStatus::Ok },
            error: None,
            sampled: true,
            nodes: 0,
            llm_calls: spans - 1,
            tokens,
            metrics: json!({
                "tokens": { "input": tokens.input, "output": tokens.output },
                "cost": cost.known.to_usd(),
                "llm_calls": spans - 1,
            }),
            cost,
            saved: CostTotal::default(),
        };
        [
            Append::Began(Box::new(start)),
            Append::Events(key, events),
            Append::Ended(Box::new(end)),
        ]
    }

    /// A call to a model, of about 2.7 KB as OTLP.
    fn call(&mut self, key: &RunKey, at: u64, workflow: usize) -> Span {
        let (model, provider) = MODELS[self.prose.below(MODELS.len() as u64) as usize];
        let span_id: SpanId = self.ids.span_id();
        let mut span = Span::begin(
            key.trace_id,
            span_id,
            Some(key.root_span_id),
            SpanKind::LlmCall,
            format!("chat {model}"),
            TimestampNs(at),
        );
        let prompt_bytes = 700 + self.prose.below(800) as usize;
        let answer_bytes = 600 + self.prose.below(700) as usize;
        let instruction = &self.instructions[workflow];
        let mut prompt = String::with_capacity(prompt_bytes + 32);
        prompt.push_str(instruction);
        self.prose.write_text(prompt_bytes, &mut prompt);
        let mut answer = self.prose.text(answer_bytes);
        // Of a thousand answers one has something in a script without spaces.
        if self.prose.below(1_000) == 0 {
            answer.push_str(CHINESE);
        }
        self.otlp_bytes += (prompt.len() + answer.len() + 750) as u64;
        let (input, output) = (prompt.len() as u64 / 4, answer.len() as u64 / 4);
        let duration = 200_000_000 + self.prose.below(4_000_000_000);
        span.end = Some(TimestampNs(at + duration));
        // Of a hundred calls one fails, of ten thousand one in a way of its own.
        let fails = self.prose.below(10_000);
        span.status = Some(if fails < 100 {
            SpanStatus::Error
        } else {
            SpanStatus::Ok
        });
        if fails < 100 {
            span.error = Some(SpanError {
                error_type: if fails == 0 { "content_filter" } else { "timeout" }.into(),
                message: "the provider did not answer in time".to_owned(),
                chain: Vec::new(),
            });
        }
        for (name, value) in [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", provider),
            ("gen_ai.request.model", model),
            ("gen_ai.response.model", model),
            ("gen_ai.output.type", "text"),
            ("server.address", "api.example.com"),
            ("flowmeter.node.path", "summarize"),
        ] {
            span.attributes.set(name, value);
        }
        span.attributes.set("gen_ai.request.temperature", 0.7);
        span.attributes.set("gen_ai.request.max_tokens", 1_024_i64);
        span.attributes.set("server.port", 443_i64);
        span.attributes.set(
            "gen_ai.response.id",
            format!("chatcmpl-{:016x}", self.prose.bits()),
        );
        span.attributes
            .set("gen_ai.response.finish_reasons", json!(["stop"]));
        span.attributes.set("gen_ai.usage.input_tokens", input);
        span.attributes.set("gen_ai.usage.output_tokens", output);
        span.attributes.set(
            "gen_ai.input.messages",
            json!([{"role": "user", "parts": [{"type": "text", "content": prompt}]}]),
        );
        span.attributes.set(
            "gen_ai.output.messages",
            json!([{"role": "assistant", "parts": [{"type": "text", "content": answer}], "finish_reason": "stop"}]),
        );
        span.usage = Some(TokenUsage {
            input: Some(Figure::provider(input)),
            output: Some(Figure::provider(output)),
            ..TokenUsage::default()
        });
        let amount = UsdNanos((input * 150 + output * 600) as i64);
        span.cost = Some(Cost::known(CostStatus::Priced, amount, None));
        span
    }
}
