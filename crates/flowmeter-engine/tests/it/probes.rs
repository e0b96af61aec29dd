//! Nodes and scopes that write down what is done to them.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowmeter_engine::{
    Action, Node, NodeContext, NodeError, RetryPolicy, Scope, SharedStore, Step, async_trait,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What happened, in the order in which it happened.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().push(what.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

/// A context over an empty store.
pub(crate) fn context() -> NodeContext {
    NodeContext::new(SharedStore::new().root())
}

/// A node that notes its phases and plays the outcomes of `exec` it was given, then succeeds.
pub(crate) struct Played {
    pub(crate) name: &'static str,
    pub(crate) diary: Diary,
    pub(crate) outcomes: Mutex<VecDeque<NodeError>>,
    pub(crate) policy: RetryPolicy,
    pub(crate) fallback: Option<Value>,
    pub(crate) action: &'static str,
}

impl Played {
    pub(crate) fn new(name: &'static str, diary: &Diary) -> Self {
        Self {
            name,
            diary: diary.clone(),
            outcomes: Mutex::default(),
            policy: RetryPolicy::once(),
            fallback: None,
            action: "default",
        }
    }

    pub(crate) fn failing(mut self, errors: impl IntoIterator<Item = NodeError>) -> Self {
        self.outcomes = Mutex::new(errors.into_iter().collect());
        self
    }

    pub(crate) fn retrying(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    pub(crate) fn leading(mut self, action: &'static str) -> Self {
        self.action = action;
        self
    }
}

#[async_trait]
impl Node for Played {
    async fn prep(&self, _cx: &NodeContext) -> Result<Value, NodeError> {
        self.diary.note(format!("{} prep", self.name));
        Ok(json!("prepared"))
    }

    async fn exec(&self, cx: &NodeContext, prepared: &Value) -> Result<Value, NodeError> {
        assert_eq!(prepared, "prepared");
        self.diary.note(format!("{} exec {}", self.name, cx.attempt()));
        tokio::task::yield_now().await;
        match self.outcomes.lock().pop_front() {
            Some(error) => Err(error),
            None => Ok(json!("done")),
        }
    }

    async fn exec_fallback(
        &self,
        _cx: &NodeContext,
        _prepared: &Value,
        error: NodeError,
    ) -> Result<Value, NodeError> {
        self.diary.note(format!("{} fallback: {error}", self.name));
        self.fallback.clone().ok_or(error)
    }

    async fn post(&self, _cx: &NodeContext, _prepared: Value, result: Value) -> Result<Action, NodeError> {
        self.diary.note(format!("{} post {result}", self.name));
        Ok(Action::named(self.action))
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.policy
    }
}

/// A node that waits for ever, and notes when it is dropped meanwhile.
pub(crate) struct Stuck {
    pub(crate) diary: Diary,
    pub(crate) reached: Arc<Notify>,
}

/// Notes its own end.
pub(crate) struct Bell(pub(crate) Diary, pub(crate) &'static str);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

#[async_trait]
impl Node for Stuck {
    async fn exec(&self, _cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
        let _bell = Bell(self.diary.clone(), "stuck dropped");
        self.diary.note("stuck reached");
        self.reached.notify_one();
        std::future::pending().await
    }
}

/// A node whose `run` is a function.
pub(crate) struct Run<F>(F);

#[async_trait]
impl<F> Node for Run<F>
where
    F: Fn(&NodeContext) -> Result<Action, NodeError> + Send + Sync + 'static,
{
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        (self.0)(cx)
    }
}

/// A node whose `run` is this function.
pub(crate) fn run_by<F>(run: F) -> Run<F>
where
    F: Fn(&NodeContext) -> Result<Action, NodeError> + Send + Sync + 'static,
{
    Run(run)
}

/// How many run at once, at most.
#[derive(Default)]
pub(crate) struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    pub(crate) fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    pub(crate) fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// A scope that notes the steps it is told of, and those that were dropped.
pub(crate) struct Watcher {
    diary: Diary,
    name: String,
    left: Mutex<bool>,
}

impl Watcher {
    pub(crate) fn root(diary: &Diary) -> Arc<Self> {
        Arc::new(Self {
            diary: diary.clone(),
            name: String::new(),
            left: Mutex::new(true),
        })
    }
}

impl Scope for Watcher {
    fn enter(&self, step: Step<'_>) -> Option<Arc<dyn Scope>> {
        let step = match step {
            Step::Attempt { number, attempts_max } => format!("attempt {number}/{attempts_max}"),
            Step::BatchItem {
                index, count, item, ..
            } => format!("item {index}/{count} = {item}"),
            Step::Iteration {
                number,
                iterations_max,
            } => format!("round {number}/{iterations_max}"),
        };
        let name = if self.name.is_empty() {
            step
        } else {
            format!("{} > {step}", self.name)
        };
        self.diary.note(format!("enter {name}"));
        Some(Arc::new(Self {
            diary: self.diary.clone(),
            name,
            left: Mutex::new(false),
        }))
    }

    fn leave(&self, outcome: Result<(), &NodeError>) {
        *self.left.lock() = true;
        let outcome = outcome.map_or_else(ToString::to_string, |()| "ok".to_owned());
        self.diary.note(format!("leave {}: {outcome}", self.name));
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if !*self.left.lock() {
            self.diary.note(format!("dropped {}", self.name));
        }
    }
}
