//! Nodes made of functions, runs of them, and trees of what was traced.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flowmeter::{
    LlmRequest, LlmResponse, NodeDescription, RunMeter, RunMeterBuilder, RunReport, TraceDocument, Traced,
    current, read_trace,
};
use flowmeter_engine::{
    Action, Backoff, BatchItems, BatchOutcome, Node, NodeContext, NodeError, RetryPolicy, SharedStore,
    async_trait,
};
use flowmeter_model::{Figure, Span, SpanId, SpanKind, TokenUsage};
use serde_json::{Value, json};

type Done<'a> = Pin<Box<dyn Future<Output = Result<Action, NodeError>> + Send + 'a>>;

/// A node whose `exec` is a function of its context, and which writes nothing else.
pub(crate) struct Exec<F> {
    run: F,
    policy: RetryPolicy,
}

pub(crate) fn exec<F>(run: F) -> Exec<F>
where
    F: for<'a> Fn(&'a NodeContext) -> Done<'a> + Send + Sync + 'static,
{
    Exec {
        run,
        policy: RetryPolicy::once(),
    }
}

/// The same for a function that waits for nothing.
pub(crate) fn quick<F>(run: F) -> Exec<impl for<'a> Fn(&'a NodeContext) -> Done<'a> + Send + Sync + 'static>
where
    F: Fn(&NodeContext) -> Result<Action, NodeError> + Send + Sync + 'static,
{
    exec(move |cx| {
        let outcome = run(cx);
        Box::pin(async move { outcome })
    })
}

impl<F> Exec<F> {
    pub(crate) fn attempts(mut self, total: u32) -> Self {
        self.policy = RetryPolicy::new(total, Duration::ZERO, Backoff::Fixed).unwrap();
        self
    }
}

#[async_trait]
impl<F> Node for Exec<F>
where
    F: for<'a> Fn(&'a NodeContext) -> Done<'a> + Send + Sync + 'static,
{
    async fn exec(&self, cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
        let action = (self.run)(cx).await?;
        Ok(json!(action.as_str()))
    }
    async fn post(&self, _cx: &NodeContext, _prepared: Value, result: Value) -> Result<Action, NodeError> {
        Ok(Action::named(result.as_str().unwrap()))
    }
    fn retry_policy(&self) -> RetryPolicy {
        self.policy
    }
}

/// A traced node of the type `test`.
pub(crate) fn traced<N: Node>(id: &str, node: N) -> Traced<N> {
    Traced::new(node, NodeDescription::node(id, "test"))
}

/// A node that does nothing.
pub(crate) fn idle() -> impl Node {
    quick(|_| Ok(Action::default()))
}

/// Items 0 to n - 1, each over its own layer.
pub(crate) struct Items(pub(crate) usize);

impl BatchItems for Items {
    fn items(&self, _cx: &NodeContext) -> Result<Vec<Arc<Value>>, NodeError> {
        Ok((0..self.0).map(|index| Arc::new(json!(index))).collect())
    }
    fn item_context(&self, cx: &NodeContext, _index: usize, item: &Arc<Value>) -> NodeContext {
        cx.with_store(cx.store().overlay())
            .with_variables(cx.variables().with("item", Arc::clone(item)))
    }
    fn item_result(&self, _item_cx: &NodeContext, _action: &Action) -> Result<Value, NodeError> {
        Ok(Value::Null)
    }
    fn finish(&self, _cx: &NodeContext, _outcome: BatchOutcome) -> Result<Action, NodeError> {
        Ok(Action::default())
    }
}

/// A run that has ended.
pub(crate) struct Ran {
    pub(crate) report: RunReport,
    pub(crate) trace: TraceDocument,
    /// The trace file as it is on disk.
    pub(crate) text: String,
    pub(crate) outcome: Result<Action, NodeError>,
    /// Held so that the trace file stays.
    pub(crate) _folder: tempfile::TempDir,
}

/// Runs `node` with a trace file.
pub(crate) async fn run_with(
    node: impl Node,
    settings: impl FnOnce(RunMeterBuilder) -> RunMeterBuilder,
) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let builder = RunMeter::builder("test").trace_file(&path).id_seed(11);
    let meter = settings(builder).start().unwrap();
    let cx = meter.context(SharedStore::new().root());
    let outcome = node.run(&cx).await;
    drop((node, cx));
    let report = meter.finish(outcome.as_ref());
    assert!(report.export_errors.is_empty(), "{:?}", report.export_errors);
    Ran {
        trace: read_trace(&path).unwrap(),
        text: std::fs::read_to_string(&path).unwrap(),
        report,
        outcome,
        _folder: folder,
    }
}

pub(crate) async fn run(node: impl Node) -> Ran {
    run_with(node, |builder| builder).await
}

impl Ran {
    pub(crate) fn spans(&self, kind: SpanKind) -> Vec<&Span> {
        self.trace.spans.iter().filter(|span| span.kind == kind).collect()
    }

    pub(crate) fn node(&self, id: &str) -> &Span {
        self.spans(SpanKind::Node)
            .into_iter()
            .find(|span| span.attributes.get_str("node.id") == Some(id))
            .unwrap()
    }

    /// The tree of spans: name and status, children sorted by their start.
    pub(crate) fn tree(&self) -> String {
        let mut children: HashMap<Option<SpanId>, Vec<&Span>> = HashMap::new();
        for span in &self.trace.spans {
            children.entry(span.parent_span_id).or_default().push(span);
        }
        for spans in children.values_mut() {
            spans.sort_by_key(|span| span.start);
        }
        let mut text = String::new();
        write_tree(&children, None, 0, &mut text);
        assert_eq!(
            text.lines().count(),
            self.trace.spans.len(),
            "a span hangs in the air"
        );
        text
    }
}

fn write_tree(
    children: &HashMap<Option<SpanId>, Vec<&Span>>,
    parent: Option<SpanId>,
    depth: usize,
    text: &mut String,
) {
    for span in children.get(&parent).into_iter().flatten() {
        let id = span.attributes.get_str("node.id").unwrap_or_default();
        let number = ["attempt.number", "batch.index", "loop.iteration"]
            .iter()
            .find_map(|key| span.attributes.get(key))
            .map(|value| serde_json::to_string(value).unwrap())
            .unwrap_or_default();
        let status = span.status.unwrap().as_str();
        let line = format!("{}{} {id}{number}", "  ".repeat(depth), span.operation);
        text.push_str(&format!("{} {status}\n", line.trim_end()));
        write_tree(children, Some(span.span_id), depth + 1, text);
    }
}

/// A request of a model whose price is known.
pub(crate) fn request(model: &str) -> LlmRequest {
    LlmRequest {
        operation: "chat".into(),
        provider: "openai".into(),
        model: model.into(),
        messages: Arc::new(json!([{"role": "user", "parts": [{"type": "text", "content": "hello"}]}])),
        input_text_bytes: 5,
        input_texts: Vec::new(),
        ..LlmRequest::default()
    }
}

pub(crate) fn response(input: u64, output: u64) -> LlmResponse {
    LlmResponse {
        text: Arc::new(json!("an answer")),
        usage: TokenUsage {
            input: Some(Figure::provider(input)),
            output: Some(Figure::provider(output)),
            ..TokenUsage::default()
        },
        ..LlmResponse::default()
    }
}

/// Calls a model once and gets an answer.
pub(crate) fn call(cx: &NodeContext, model: &str, input: u64, output: u64) {
    let _cost = current(cx)
        .llm_call(request(model))
        .succeed(response(input, output));
}
