//! The `echo` type: gives back what it was given. For tests and for looking at templates.
//!
//! Never changes its message.

use async_trait::async_trait;
use flowmeter_engine::{NodeContext, NodeError, RetryPolicy};

use super::leaf::{self, Leaf, Outputs};
use super::params::Params;
use super::{ERROR, ERROR_TYPE, NodeType, ValueType, output, required};

pub(super) const TYPE: NodeType = NodeType {
    name: "echo",
    summary: "Gives its message back; for tests.",
    params: &[required(
        "message",
        ValueType::Any,
        "what to give back, of any type",
    )],
    free_params: false,
    outputs: &[output("echo", ValueType::Any, "the message"), ERROR, ERROR_TYPE],
    free_outputs: false,
    actions: &["error"],
    free_actions: false,
    default_retry: RetryPolicy::once,
    make: |setting| leaf::node(Echo, setting),
};

struct Echo;

#[async_trait]
impl Leaf for Echo {
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError> {
        // A null is a message too, where the parameter is there.
        let message = match cx.params().get("message") {
            Some(message) => message,
            None => Params::of(cx).required("message")?,
        };
        Ok(Outputs::from_iter([("echo".to_owned(), message.clone())]))
    }
}
