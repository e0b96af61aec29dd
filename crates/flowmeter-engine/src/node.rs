//! The node: the unit of work of a flow.
//!
//! Never runs itself: [`crate::drive`] does, or a wrapper around it.

use async_trait::async_trait;
use serde_json::Value;

use crate::{Action, NodeContext, NodeError, RetryPolicy, drive};

/// A step of a flow, as in PocketFlow: `prep` reads the shared store, `exec` works and may be tried again,
/// `post` writes the store and returns the action that leads on.
#[async_trait]
pub trait Node: Send + Sync + 'static {
    /// Reads what `exec` needs from the shared store.
    async fn prep(&self, _cx: &NodeContext) -> Result<Value, NodeError> {
        Ok(Value::Null)
    }

    /// Does the work. Called once per attempt; must not touch the shared store.
    async fn exec(&self, _cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
        Ok(Value::Null)
    }

    /// Stands in for `exec` when the last attempt failed. Passes the failure on unless overridden.
    async fn exec_fallback(
        &self,
        _cx: &NodeContext,
        _prepared: &Value,
        error: NodeError,
    ) -> Result<Value, NodeError> {
        Err(error)
    }

    /// Writes the result to the shared store and chooses the edge that leads on.
    async fn post(&self, _cx: &NodeContext, _prepared: Value, _result: Value) -> Result<Action, NodeError> {
        Ok(Action::default())
    }

    /// How often and how patiently `exec` is attempted.
    fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy::once()
    }

    /// Runs the node from `prep` to `post`. Flows and wrappers override it.
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        drive(self, cx).await
    }
}

#[async_trait]
impl<N: Node + ?Sized> Node for Box<N> {
    async fn prep(&self, cx: &NodeContext) -> Result<Value, NodeError> {
        (**self).prep(cx).await
    }
    async fn exec(&self, cx: &NodeContext, prepared: &Value) -> Result<Value, NodeError> {
        (**self).exec(cx, prepared).await
    }
    async fn exec_fallback(
        &self,
        cx: &NodeContext,
        prepared: &Value,
        error: NodeError,
    ) -> Result<Value, NodeError> {
        (**self).exec_fallback(cx, prepared, error).await
    }
    async fn post(&self, cx: &NodeContext, prepared: Value, result: Value) -> Result<Action, NodeError> {
        (**self).post(cx, prepared, result).await
    }
    fn retry_policy(&self) -> RetryPolicy {
        (**self).retry_policy()
    }
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        (**self).run(cx).await
    }
}
