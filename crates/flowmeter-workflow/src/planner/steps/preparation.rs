//! The values in the types of the inputs, and which inputs have none.
//!
//! Never fills in a default: running does. Never drops a value that the user has given.

use std::sync::Arc;

use async_trait::async_trait;
use flowmeter::current;
use flowmeter_engine::{Action, Node, NodeContext, NodeError};
use flowmeter_model::LogLevel;
use serde_json::{Map, Value, json};

use super::{action, write};
use crate::inputs::coerce;
use crate::planner::setting::{Chosen, Setting};

pub(in crate::planner) struct Preparation {
    pub(in crate::planner) setting: Arc<Setting>,
    pub(in crate::planner) chosen: Chosen,
}

#[async_trait]
impl Node for Preparation {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let Some(document) = self.chosen.lock().clone() else {
            return Err(NodeError::permanent("there is no workflow to prepare inputs for"));
        };
        let empty = Map::new();
        let mapped = cx.params()["values"].as_object().unwrap_or(&empty);
        let mut values = Map::new();
        let mut missing = Vec::new();
        for input in &document.inputs {
            let name = input.name.as_str();
            if self.setting.gives(input) {
                continue;
            }
            match mapped
                .get(name)
                .map(|value| (value, coerce(value, input.value_type)))
            {
                Some((_, Some(value))) => {
                    values.insert(name.to_owned(), value);
                    continue;
                }
                Some((value, None)) => {
                    let wanted = input.value_type.as_str();
                    let message = format!("{value} is no value for the input `{name}` of type {wanted}");
                    current(cx).log(LogLevel::Warn, message);
                }
                None => {}
            }
            if input.required && input.default.is_none() {
                missing.push(Value::from(name));
            }
        }
        let next = if missing.is_empty() {
            Action::default()
        } else {
            Action::named(action::MISSING)
        };
        write(cx, json!({"values": values, "missing": missing}));
        Ok(next)
    }
}
