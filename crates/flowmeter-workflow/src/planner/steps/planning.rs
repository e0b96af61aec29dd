//! How do the building blocks make up a workflow, and can they?
//!
//! Never writes the workflow itself.

use flowmeter_engine::{Action, NodeContext, NodeError};
use serde_json::{Map, Value, json};

use super::{action, id, write};
use crate::planner::answers::{flag, text};
use crate::planner::asking::Step;

pub(in crate::planner) struct Planning;

impl Step for Planning {
    fn id(&self) -> &'static str {
        id::PLANNING
    }

    fn read(&self, answer: Map<String, Value>) -> Result<Value, String> {
        let plan = text(&answer, "plan");
        let reason = text(&answer, "reason");
        let feasible = flag(&answer, "feasible").unwrap_or(!plan.is_empty());
        if feasible && plan.is_empty() {
            return Err("it has no `plan`".to_owned());
        }
        if !feasible && reason.is_empty() {
            return Err("the request is said not to be feasible, but there is no `reason`".to_owned());
        }
        Ok(json!({"feasible": feasible, "reason": reason, "plan": plan}))
    }

    fn conclude(&self, cx: &NodeContext, made: Value) -> Result<Action, NodeError> {
        let feasible = made["feasible"].as_bool().unwrap_or_default();
        write(cx, made);
        Ok(if feasible {
            Action::default()
        } else {
            Action::named(action::IMPOSSIBLE)
        })
    }
}
