//! How planning ended, whichever way led here.
//!
//! Never fails: why there is no workflow is a result as well, and whoever asked decides what it means.

use async_trait::async_trait;
use flowmeter_engine::{Action, Node, NodeContext, NodeError};
use serde_json::{Value, json};

use super::{id, write};

pub(in crate::planner) struct Conclusion;

#[async_trait]
impl Node for Conclusion {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let store = cx.store();
        let is = |step: &str, key: &str, wanted: bool| {
            store.get_in(step, key).as_deref().and_then(Value::as_bool) == Some(wanted)
        };
        let status = if is(id::REQUIREMENTS, "clear", false) {
            "unclear"
        } else if is(id::PLANNING, "feasible", false) {
            "impossible"
        } else if is(id::VALIDATOR, "valid", false) {
            "invalid"
        } else {
            let missing = store.get_in(id::PARAMETER_PREPARATION, "missing");
            let none_missing = missing
                .as_deref()
                .and_then(Value::as_array)
                .is_none_or(Vec::is_empty);
            if none_missing { "ready" } else { "inputs_missing" }
        };
        write(cx, json!({ "status": status }));
        Ok(Action::default())
    }
}
