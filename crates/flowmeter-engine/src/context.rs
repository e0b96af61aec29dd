//! What is passed down to a node: its view of the shared store, the cancellation of the run, the
//! variables of the batch item or loop round it is in, and the scope around it.
//!
//! Never a global and never a shared stack: whoever starts a step makes the context of that step.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use smol_str::SmolStr;
use tokio_util::sync::CancellationToken;

use crate::halt::Halt;
use crate::{InScope, NodeError, StoreView, Ticks};

/// A step inside a node that a [`Scope`] may want to know of.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Attempt `number` (from 1) of at most `attempts_max` at a node's `exec`.
    Attempt {
        /// From 1.
        number: u32,
        /// The total that is allowed.
        attempts_max: u32,
    },
    /// Item `index` (from 0) of `count` in a batch.
    BatchItem {
        /// From 0.
        index: usize,
        /// How many items the batch has.
        count: usize,
        /// The item itself.
        item: &'a Arc<Value>,
        /// When it could have run, had there been a place for it.
        ready_since: Ticks,
    },
    /// Round `number` (from 1) of a loop.
    Iteration {
        /// From 1.
        number: u32,
        /// The total that is allowed.
        iterations_max: u32,
    },
}

/// What surrounds a running step. The engine hands it down, tells it of the steps inside, and looks into
/// nothing: tracing, progress bars and test probes live behind it.
pub trait Scope: Send + Sync + 'static {
    /// A step begins; what is returned surrounds it. `None` keeps the outer scope.
    fn enter(&self, step: Step<'_>) -> Option<Arc<dyn Scope>>;

    /// The step that this scope was made for has ended.
    fn leave(&self, outcome: Result<(), &NodeError>);

    /// The step that this scope was made for was dropped half-way. Others may still hold the scope: work that
    /// was carried elsewhere, for one.
    fn abandon(&self) {}

    /// Asked before a step inside this scope begins that can wait: what is returned is awaited first. So a layer
    /// that cannot keep up slows a run down instead of losing sight of it.
    fn ready(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        None
    }

    /// A thread begins to poll work inside this scope, or enters it by hand. Scopes nest: those around it were
    /// told before and are told afterwards.
    #[inline]
    fn poll_began(&self) {}

    /// The same thread is done with it for now.
    #[inline]
    fn poll_ended(&self) {}

    /// The way back to the concrete type, for the layer that made the scope.
    fn as_any(&self) -> &dyn Any;
}

/// Extra names a template may use: the batch alias, `__index__`, `__iteration__`. Inner ones hide outer ones.
#[derive(Clone, Debug, Default)]
pub struct Variables(Option<Arc<VariableLink>>);

#[derive(Debug)]
struct VariableLink {
    name: SmolStr,
    value: Arc<Value>,
    outer: Variables,
}

impl Variables {
    /// These variables and one more.
    #[must_use]
    pub fn with(&self, name: impl Into<SmolStr>, value: impl Into<Arc<Value>>) -> Self {
        Self(Some(Arc::new(VariableLink {
            name: name.into(),
            value: value.into(),
            outer: self.clone(),
        })))
    }

    /// The innermost variable of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Value>> {
        let mut link = self.0.as_deref();
        while let Some(variable) = link {
            if variable.name == name {
                return Some(&variable.value);
            }
            link = variable.outer.0.as_deref();
        }
        None
    }

    /// All names, innermost first.
    pub fn names(&self) -> impl Iterator<Item = &SmolStr> {
        std::iter::successors(self.0.as_deref(), |link| link.outer.0.as_deref()).map(|link| &link.name)
    }
}

/// The context of one running node.
#[derive(Clone)]
pub struct NodeContext {
    store: StoreView,
    /// Shared: cloning the token itself takes a lock.
    cancellation: Arc<CancellationToken>,
    scope: Option<Arc<dyn Scope>>,
    variables: Variables,
    params: Arc<Value>,
    attempt: u32,
    /// That of the innermost flow; `None` outside of any.
    halt: Option<Arc<Halt>>,
}

impl NodeContext {
    /// A context with this view of the store, nothing around it and nobody to cancel it.
    #[must_use]
    pub fn new(store: StoreView) -> Self {
        Self {
            store,
            cancellation: Arc::new(CancellationToken::new()),
            scope: None,
            variables: Variables::default(),
            params: Arc::new(Value::Null),
            attempt: 1,
            halt: None,
        }
    }

    /// The same with another view of the store.
    #[must_use]
    pub fn with_store(&self, store: StoreView) -> Self {
        Self {
            store,
            ..self.clone()
        }
    }

    /// The same inside another scope.
    #[must_use]
    pub fn with_scope(&self, scope: Arc<dyn Scope>) -> Self {
        Self {
            scope: Some(scope),
            ..self.clone()
        }
    }

    /// The same inside another scope and with another view of the store.
    #[must_use]
    pub fn inside(&self, scope: Arc<dyn Scope>, store: StoreView) -> Self {
        Self {
            store,
            cancellation: Arc::clone(&self.cancellation),
            scope: Some(scope),
            variables: self.variables.clone(),
            params: Arc::clone(&self.params),
            attempt: self.attempt,
            halt: self.halt.clone(),
        }
    }

    /// The same with another cancellation.
    #[must_use]
    pub fn with_cancellation(&self, cancellation: CancellationToken) -> Self {
        Self {
            cancellation: Arc::new(cancellation),
            ..self.clone()
        }
    }

    /// The same with other variables.
    #[must_use]
    pub fn with_variables(&self, variables: Variables) -> Self {
        Self {
            variables,
            ..self.clone()
        }
    }

    /// The same with these parameters for the node.
    #[must_use]
    pub fn with_params(&self, params: Arc<Value>) -> Self {
        Self {
            params,
            ..self.clone()
        }
    }

    /// The same for attempt `number`.
    #[must_use]
    pub fn with_attempt(&self, number: u32) -> Self {
        Self {
            attempt: number,
            ..self.clone()
        }
    }

    /// The same in a flow inside this one.
    pub(crate) fn with_halt(&self, halt: Arc<Halt>) -> Self {
        Self {
            halt: Some(halt),
            ..self.clone()
        }
    }

    pub(crate) fn halt(&self) -> Option<&Arc<Halt>> {
        self.halt.as_ref()
    }

    /// Whether nothing new may begin, because a branch beside this one cannot go on.
    #[must_use]
    pub fn is_halting(&self) -> bool {
        self.halt.as_ref().is_some_and(|halt| halt.is_set())
    }

    /// The shared store as this node sees it.
    #[must_use]
    pub fn store(&self) -> &StoreView {
        &self.store
    }

    /// Fires when the run is to stop.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    /// What surrounds this node.
    #[must_use]
    pub fn scope(&self) -> Option<&Arc<dyn Scope>> {
        self.scope.as_ref()
    }

    /// The extra names for templates.
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// The node's parameters, every template in them resolved; null where nobody set any.
    #[must_use]
    pub fn params(&self) -> &Arc<Value> {
        &self.params
    }

    /// The number of the running attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Waits for `work` unless the run is cancelled first; `work` is dropped then. Work that is complete counts,
    /// also when the run is cancelled at the same moment.
    ///
    /// # Errors
    /// [`NodeError::cancelled`] or whatever `work` fails with.
    pub async fn until_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        if self.cancellation.is_cancelled() {
            return Err(NodeError::cancelled());
        }
        tokio::select! {
            biased;
            outcome = work => outcome,
            () = self.cancellation.cancelled() => Err(NodeError::cancelled()),
        }
    }

    /// Waits this long unless the run is cancelled first.
    ///
    /// # Errors
    /// [`NodeError::cancelled`].
    pub async fn pause(&self, wait: std::time::Duration) -> Result<(), NodeError> {
        self.until_cancelled(async {
            // No wait needs no timer.
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            Ok(())
        })
        .await
    }

    /// The same for a step that can wait until the scope is ready for it.
    pub async fn enter_when_ready(&self, step: Step<'_>) -> EnteredStep {
        if let Some(ready) = self.scope.as_ref().and_then(|scope| scope.ready()) {
            ready.await;
        }
        self.enter(step)
    }

    /// Tells the scope that `step` begins and returns the context for what runs in it.
    #[must_use]
    pub fn enter(&self, step: Step<'_>) -> EnteredStep {
        match self.scope.as_ref().and_then(|scope| scope.enter(step)) {
            Some(scope) => EnteredStep {
                cx: self.with_scope(Arc::clone(&scope)),
                entered: Some(scope),
            },
            None => EnteredStep {
                cx: self.clone(),
                entered: None,
            },
        }
    }
}

/// A step that a scope was told of.
pub struct EnteredStep {
    /// The context for what runs in the step.
    pub cx: NodeContext,
    entered: Option<Arc<dyn Scope>>,
}

impl EnteredStep {
    /// `work` inside the step.
    #[inline]
    pub fn within<F: Future + Unpin>(&self, work: F) -> InScope<F> {
        InScope::new(self.entered.clone(), work)
    }

    /// Tells the scope that the step has ended.
    pub fn leave<T>(mut self, outcome: &Result<T, NodeError>) {
        if let Some(scope) = self.entered.take() {
            scope.leave(outcome.as_ref().map(|_| ()));
        }
    }
}

impl Drop for EnteredStep {
    fn drop(&mut self) {
        if let Some(scope) = self.entered.take() {
            scope.abandon();
        }
    }
}
