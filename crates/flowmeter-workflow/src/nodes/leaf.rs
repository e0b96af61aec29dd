//! What all leaf nodes have in common: one piece of work per attempt, outputs into the store, and a failure that
//! becomes the output `error` and the action `error`, so that a workflow may go on from it.
//!
//! Never swallows a cancellation: that ends the run.

use async_trait::async_trait;
use flowmeter_engine::{Action, Node, NodeContext, NodeError, RetryPolicy};
use flowmeter_model::LogLevel;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use thiserror::Error;

use super::{ERROR_OUTPUT, ERROR_TYPE_OUTPUT, NodeSetting};
use flowmeter::current;

/// The values that a node writes, by key.
pub(super) type Outputs = Map<String, Value>;

/// A root key beside which no output lives: where the work puts the action it chooses. Never written to the store.
const ACTION_KEY: &str = "\0action";

/// The work of a leaf node.
#[async_trait]
pub(super) trait Leaf: Send + Sync + 'static {
    /// One attempt. The parameters are in the context.
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError>;
}

/// A node around the work.
struct LeafNode<L> {
    leaf: L,
    retry: RetryPolicy,
}

/// Makes the node of a leaf.
pub(super) fn node<L: Leaf>(leaf: L, setting: &NodeSetting<'_>) -> Box<dyn Node> {
    Box::new(LeafNode {
        leaf,
        retry: setting.retry,
    })
}

/// Lets the work choose another action than `default`.
pub(super) fn choose_action(outputs: &mut Outputs, action: &str) {
    outputs.insert(ACTION_KEY.to_owned(), Value::from(action));
}

/// What a failed attempt has to show all the same: a command's output, the answer to a refused request.
#[derive(Debug, Error)]
#[error("{summary}")]
struct Remains {
    summary: String,
    outputs: Mutex<Outputs>,
}

/// Adds what a failed attempt has to show; `summary` is the cause in a line.
pub(super) fn with_outputs(error: NodeError, summary: impl Into<String>, outputs: Outputs) -> NodeError {
    error.with_source(Remains {
        summary: summary.into(),
        outputs: Mutex::new(outputs),
    })
}

/// Writes what there is although the flow ends here, so that nothing comes after the work to write it.
pub(super) fn keep(cx: &NodeContext, outputs: Outputs) {
    for (key, value) in outputs {
        cx.store().set(&key, value);
    }
}

/// What a failed attempt has to show; it is taken out of the error.
pub(crate) fn outputs_of(error: &NodeError) -> Outputs {
    let source = std::error::Error::source(error);
    let remains = source.and_then(|source| source.downcast_ref::<Remains>());
    remains
        .map(|remains| std::mem::take(&mut *remains.outputs.lock()))
        .unwrap_or_default()
}

#[async_trait]
impl<L: Leaf> Node for LeafNode<L> {
    async fn exec(&self, cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
        match self.leaf.work(cx).await {
            Ok(outputs) => Ok(Value::Object(outputs)),
            Err(error) if error.is_halted() => {
                let span = current(cx);
                span.log(LogLevel::Error, error.message());
                span.record_error(error.error_type(), error.message());
                Err(error)
            }
            Err(error) => {
                let (number, of) = (cx.attempt(), self.retry.attempts_max());
                // The only attempt's failure is the node's, which is told below.
                if error.is_retryable() && of > 1 {
                    let message = format!("Attempt {number} of {of} failed: {error}");
                    current(cx).log(LogLevel::Warn, message);
                }
                Err(error)
            }
        }
    }

    async fn exec_fallback(
        &self,
        cx: &NodeContext,
        _prepared: &Value,
        error: NodeError,
    ) -> Result<Value, NodeError> {
        if error.is_cancelled() {
            return Err(error);
        }
        let span = current(cx);
        span.log(LogLevel::Error, error.message());
        span.record_error(error.error_type(), error.message());
        let mut outputs = outputs_of(&error);
        outputs.insert(ERROR_OUTPUT.to_owned(), Value::from(error.message()));
        outputs.insert(ERROR_TYPE_OUTPUT.to_owned(), Value::from(error.error_type()));
        choose_action(&mut outputs, Action::error().as_str());
        Ok(Value::Object(outputs))
    }

    async fn post(&self, cx: &NodeContext, _prepared: Value, result: Value) -> Result<Action, NodeError> {
        let Value::Object(mut outputs) = result else {
            return Ok(Action::default());
        };
        let action = outputs.shift_remove(ACTION_KEY);
        let action = action
            .as_ref()
            .and_then(Value::as_str)
            .map_or_else(Action::default, Action::named);
        let store = cx.store();
        if !outputs.contains_key(ERROR_OUTPUT) && store.get_in(&store.namespace(), ERROR_OUTPUT).is_some() {
            // Left by an earlier visit of the same node, in a loop.
            store.remove(ERROR_OUTPUT);
            store.remove(ERROR_TYPE_OUTPUT);
        }
        for (key, value) in outputs {
            store.set(&key, value);
        }
        Ok(action)
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.retry
    }
}
