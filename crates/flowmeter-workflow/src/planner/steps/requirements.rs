//! What has to happen, in plain steps, and is that clear?
//!
//! Never names a node type.

use flowmeter_engine::{Action, NodeContext, NodeError};
use serde_json::{Map, Value, json};

use super::{action, id, write};
use crate::planner::answers::{bullets, flag, text, texts};
use crate::planner::asking::Step;

pub(in crate::planner) struct Requirements;

impl Step for Requirements {
    fn id(&self) -> &'static str {
        id::REQUIREMENTS
    }

    fn read(&self, answer: Map<String, Value>) -> Result<Value, String> {
        let steps = texts(&answer, "steps");
        let question = text(&answer, "question");
        // Whoever leaves the flag out says by the steps whether it was clear.
        let clear = flag(&answer, "clear").unwrap_or(!steps.is_empty());
        if clear && steps.is_empty() {
            return Err("it has no `steps`".to_owned());
        }
        if !clear && question.is_empty() {
            return Err("the request is said to be unclear, but there is no `question`".to_owned());
        }
        Ok(json!({"clear": clear, "question": question, "steps": steps}))
    }

    fn conclude(&self, cx: &NodeContext, made: Value) -> Result<Action, NodeError> {
        let clear = made["clear"].as_bool().unwrap_or_default();
        let steps = made
            .as_object()
            .map(|made| texts(made, "steps"))
            .unwrap_or_default();
        write(cx, made);
        write(cx, json!({"described": bullets(&steps)}));
        Ok(if clear {
            Action::default()
        } else {
            Action::named(action::UNCLEAR)
        })
    }
}
