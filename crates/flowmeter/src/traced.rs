//! The wrapper that meters a node: outermost, around any node, the user's own included.
//!
//! Passes the call straight through when nothing is metered. Nothing it records can make the run fail.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use flowmeter_engine::{Action, InScope, Journal, Node, NodeContext, NodeError, RetryPolicy, Ticks};
use flowmeter_model::{SpanError, SpanKind, SpanStatus};
use serde_json::Value;
use smallvec::SmallVec;
use smol_str::{SmolStr, format_smolstr};

use crate::aggregate::NodeSample;
use crate::budget::{Account, Budget, BudgetError, BudgetOwner, BudgetReport};
use crate::details::SpanDetails;
use crate::metrics::PLANNER_PATH;
use crate::performance::{MemoryChange, MemoryMark, names};
use crate::recorder::RecordedValue;
use crate::scope::{SpanOpening, SpanScope, status_of, unseen_end};

/// The shortest time in which the memory of a node is told.
const MEMORY_TIME_MIN_NS: u64 = 1_000_000;

/// What a traced node is.
#[derive(Clone, Debug)]
pub struct NodeDescription {
    /// Its id in the flow.
    pub id: SmolStr,
    /// Its type, such as `shell`.
    pub node_type: SmolStr,
    /// Its parameters as written, templates unresolved.
    pub config: Arc<Value>,
    /// [`SpanKind::Node`], or [`SpanKind::Workflow`] for the flow inside a nested workflow.
    pub kind: SpanKind,
}

impl NodeDescription {
    /// A plain node without parameters.
    #[must_use]
    pub fn node(id: impl Into<SmolStr>, node_type: impl Into<SmolStr>) -> Self {
        Self {
            id: id.into(),
            node_type: node_type.into(),
            config: Arc::new(Value::Null),
            kind: SpanKind::Node,
        }
    }
}

impl NodeDescription {
    /// What makes the span readable: id and type of a node, the name of a workflow twice.
    fn attributes(&self) -> [(&'static str, RecordedValue<'_>); 2] {
        if self.kind == SpanKind::Node {
            [
                ("node.id", self.id.as_str().into()),
                ("node.type", self.node_type.as_str().into()),
            ]
        } else {
            let name = ("workflow.name", self.id.as_str().into());
            [name, name]
        }
    }
}

/// A node with a span around it.
pub struct Traced<N> {
    node: N,
    description: NodeDescription,
    operation: SmolStr,
    is_planner: bool,
    budget: Option<Budget>,
}

impl<N: Node> Traced<N> {
    /// Wraps `node`.
    #[must_use]
    pub fn new(node: N, description: NodeDescription) -> Self {
        let operation = match description.kind {
            SpanKind::Workflow => format_smolstr!("workflow.{}", description.id),
            _ => format_smolstr!("node.{}", description.node_type),
        };
        Self {
            node,
            description,
            operation,
            is_planner: false,
            budget: None,
        }
    }

    /// Wraps the flow that plans a workflow: its span is `planner`, and what happens in it counts as the planner's
    /// part of the run.
    #[must_use]
    pub fn planner(node: N) -> Self {
        let operation = SmolStr::new_static("planner");
        let description = NodeDescription {
            kind: SpanKind::Workflow,
            ..NodeDescription::node(operation.clone(), operation.clone())
        };
        Self {
            operation,
            is_planner: true,
            ..Self::new(node, description)
        }
    }

    /// The same with a budget of its own, each time that it runs: for all its attempts, batch items and loop rounds
    /// together, and for the nodes inside a nested workflow. A node whose own budget is exceeded fails for good; the
    /// rest of the flow may go on.
    #[must_use]
    pub fn budget(mut self, budget: Option<Budget>) -> Self {
        self.budget = budget.filter(Budget::is_limited);
        self
    }

    async fn run_metered(&self, scope: &SpanScope, cx: &NodeContext) -> Result<Action, NodeError> {
        let run = &scope.run;
        run.relieve_pressure().await;
        let description = &self.description;
        let is_node = description.kind == SpanKind::Node;
        let node_path = match (is_node, scope.node_path.is_empty()) {
            (false, _) if self.is_planner => SmolStr::new_static(PLANNER_PATH),
            (false, _) => scope.node_path.clone(),
            (true, true) => description.id.clone(),
            (true, false) => format_smolstr!("{}/{}", scope.node_path, description.id),
        };
        let details = run.keeps_spans.then(|| {
            let config = is_node.then(|| Arc::clone(&description.config));
            Box::new(SpanDetails {
                config,
                ..SpanDetails::default()
            })
        });
        let own_account = self.budget.map(|budget| {
            let owner = if is_node {
                BudgetOwner::Node(node_path.clone())
            } else {
                BudgetOwner::Workflow(description.id.clone())
            };
            Account::open(budget, owner, scope.account.as_ref())
        });
        let attributes = description.attributes();
        let opening = SpanOpening {
            kind: description.kind,
            operation: self.operation.clone(),
            node_path,
            node_type: if is_node {
                description.node_type.clone()
            } else {
                scope.node_type.clone()
            },
            attributes: &attributes,
            details,
            step: None,
            tally: Arc::default(),
            account: own_account.clone().or_else(|| scope.account.clone()),
        };
        let span = SpanScope::open(run, Some(scope.innermost_id()), opening);
        let memory_before = run.memory.look_at_start(span.start());
        if self.is_planner {
            run.collector.planner_started();
        }
        if is_node {
            run.collector.node_started(span.span_id, &span.node_path);
        }
        let inner: Arc<dyn flowmeter_engine::Scope> = Arc::<SpanScope>::clone(&span);
        let (inside, journal) = if run.keeps_spans && is_node {
            let (view, journal) = cx.store().journaled();
            (cx.inside(inner, view), Some(journal))
        } else {
            (cx.with_scope(inner), None)
        };
        let ending = Ending {
            span,
            journal,
            description,
            is_node,
            is_planner: self.is_planner,
            memory_before,
            own_account,
        };
        let current = inside.scope().cloned();
        let outcome = InScope::new(current, self.node.run(&inside)).await;
        // Whose own budget it is ends here; beyond, it is a failure like any other.
        let outcome = outcome.map_err(|error| ending.contain(error));
        // The context holds the journal's view: it goes first, so that nobody writes to a closed journal.
        drop(inside);
        let (status, error) = match &outcome {
            // An action `error` is how node types fail where a workflow may go on.
            Ok(action) if is_node && *action == Action::error() => {
                let message = format!("returned the action `{action}`");
                (
                    SpanStatus::Error,
                    Some(SpanError {
                        error_type: "action_error".into(),
                        message,
                        chain: Vec::new(),
                    }),
                )
            }
            outcome => status_of(outcome.as_ref()),
        };
        ending.finish(status, error);
        outcome
    }
}

/// Ends a node's span once, also when the node is dropped half-way.
struct Ending<'a> {
    span: Arc<SpanScope>,
    journal: Option<Journal>,
    description: &'a NodeDescription,
    is_node: bool,
    is_planner: bool,
    memory_before: Option<MemoryMark>,
    /// The account of its own budget.
    own_account: Option<Arc<Account>>,
}

impl Ending<'_> {
    /// An error of the node's own budget is contained in it.
    fn contain(&self, error: NodeError) -> NodeError {
        let is_own = self.own_account.as_ref().is_some_and(|account| {
            BudgetError::find(&error).is_some_and(|cause| cause.account_id() == account.id)
        });
        if is_own { error.contained() } else { error }
    }

    fn finish(mut self, status: SpanStatus, error: Option<SpanError>) {
        self.end(status, error);
    }

    fn end(&mut self, status: SpanStatus, error: Option<SpanError>) {
        let span = &self.span;
        let [first, second] = self.description.attributes();
        let mut attributes: SmallVec<[(&'static str, RecordedValue<'_>); 6]> = SmallVec::new();
        attributes.push(first);
        let mut children = None;
        if self.is_planner {
            let duration_ns = span.run.ns_between(span.start(), Ticks::now());
            span.run.collector.planner_ended(duration_ns);
        }
        if self.is_node {
            let tally = &span.tally;
            let now = Ticks::now();
            let sample = NodeSample {
                failed: status != SpanStatus::Ok,
                attempts: u64::from(tally.attempts()),
                duration_ns: Some(now.to_raw().saturating_sub(span.start().to_raw())),
                cpu_ns: tally.cpu_ns(span.run.ns_per_tick()),
                memory: self.memory_since(now),
                children: tally.children(),
                ..NodeSample::new(&span.node_path, &self.description.node_type)
            };
            span.run.collector.node_ended(span.span_id, &sample);
            children = sample.children;
            let whole = |figure: u64| RecordedValue::I64(i64::try_from(figure).unwrap_or(i64::MAX));
            attributes.push(second);
            attributes.push((names::NODE_ATTEMPTS, whole(sample.attempts)));
            if let Some(cpu_ns) = sample.cpu_ns {
                attributes.push((names::NODE_CPU_NS, whole(cpu_ns)));
            }
            if let Some(memory) = sample.memory {
                attributes.push((
                    names::MEMORY_CHANGE_BYTES,
                    RecordedValue::I64(memory.change_bytes),
                ));
                attributes.push((names::MEMORY_PEAK_BYTES, whole(memory.peak_bytes)));
            }
        }
        let budget = self.own_account.take().map(|account| BudgetReport::of(&account));
        if let Some(report) = &budget {
            let path = if self.is_node || span.node_path.is_empty() {
                span.node_path.clone()
            } else {
                format_smolstr!("{}/{}", span.node_path, self.description.id)
            };
            span.run.budgets.node_ended(&path, report);
        }
        let mutations = self.journal.take().map(Journal::finish);
        span.end_with(status, &attributes, |details| {
            // A nested workflow has no journal: its inputs were noted when it began.
            if let Some(mutations) = mutations {
                details.mutations = mutations;
            }
            details.children = children;
            if let Some(report) = &budget {
                report.describe(&mut details.attributes);
            }
            if details.error.is_none() {
                details.error = error;
            }
        });
    }

    /// How the memory of the process went while the node ran. In a short time it cannot be told.
    fn memory_since(&self, now: Ticks) -> Option<MemoryChange> {
        let span = &self.span;
        if span.run.ns_between(span.start(), now) < MEMORY_TIME_MIN_NS {
            return None;
        }
        span.run.memory.since(self.memory_before?, now)
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.journal.is_some() || !self.span.has_ended() {
            let (status, error) = unseen_end("the node");
            self.end(status, error);
        }
    }
}

type RunFuture<'a> = Pin<Box<dyn Future<Output = Result<Action, NodeError>> + Send + 'a>>;

#[async_trait]
impl<N: Node> Node for Traced<N> {
    async fn prep(&self, cx: &NodeContext) -> Result<Value, NodeError> {
        self.node.prep(cx).await
    }

    async fn exec(&self, cx: &NodeContext, prepared: &Value) -> Result<Value, NodeError> {
        self.node.exec(cx, prepared).await
    }

    async fn exec_fallback(
        &self,
        cx: &NodeContext,
        prepared: &Value,
        error: NodeError,
    ) -> Result<Value, NodeError> {
        self.node.exec_fallback(cx, prepared, error).await
    }

    async fn post(&self, cx: &NodeContext, prepared: Value, result: Value) -> Result<Action, NodeError> {
        self.node.post(cx, prepared, result).await
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.node.retry_policy()
    }

    // Written by hand: without a meter the inner node's own future is handed on, with no box around it.
    fn run<'life0, 'life1, 'async_trait>(&'life0 self, cx: &'life1 NodeContext) -> RunFuture<'async_trait>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        match SpanScope::of(cx) {
            None => self.node.run(cx),
            Some(scope) => Box::pin(self.run_metered(scope, cx)),
        }
    }
}
