//! Which values go to which inputs?
//!
//! Asks only where inputs are open, and once only where they stay the same. Never takes a value over one that the
//! user has given.

use std::sync::Arc;

use flowmeter::{PlannerPath, current};
use flowmeter_engine::{Action, NodeContext, NodeError};
use serde_json::{Map, Value, json};

use super::{action, id, object_in, write};
use crate::planner::asking::Step;
use crate::planner::setting::Setting;

pub(in crate::planner) struct Mapping {
    pub(in crate::planner) setting: Arc<Setting>,
}

/// The names of the inputs that a schema asks for.
fn names_in(schema: &Value) -> Vec<String> {
    let inputs = schema.pointer("/properties/inputs/properties");
    let names = inputs.and_then(Value::as_object).into_iter().flat_map(Map::keys);
    names.cloned().collect()
}

/// The schema that asks for the inputs of the workflow in question.
fn schema(cx: &NodeContext) -> Value {
    let store = cx.store();
    store
        .get_in(id::DISCOVERY, "schema")
        .or_else(|| store.get_in(id::WORKFLOW_GENERATOR, "schema"))
        .map(|schema| Value::clone(&schema))
        .unwrap_or_default()
}

impl Step for Mapping {
    fn id(&self) -> &'static str {
        id::PARAMETER_MAPPING
    }

    fn known(&self, cx: &NodeContext) -> Option<Value> {
        let open = names_in(&schema(cx));
        let before = cx.store().get_in(id::PARAMETER_MAPPING, "asked");
        let asked = before.as_deref().and_then(Value::as_array);
        let is_asked = |name: &String| asked.is_some_and(|asked| asked.iter().any(|known| known == name));
        open.iter()
            .all(is_asked)
            .then(|| json!({ "values": object_in(cx.store(), id::PARAMETER_MAPPING, "values") }))
    }

    fn read(&self, mut answer: Map<String, Value>) -> Result<Value, String> {
        let values = ["inputs", "parameters", "values"]
            .iter()
            .find_map(|name| answer.remove(*name));
        let values = match values {
            Some(Value::Object(values)) => values,
            // A list of names and values.
            Some(Value::Array(elements)) => elements
                .iter()
                .filter_map(|element| {
                    Some((
                        element.get("name")?.as_str()?.to_owned(),
                        element.get("value")?.clone(),
                    ))
                })
                .collect(),
            Some(Value::Null) => Map::new(),
            Some(_) => return Err("`inputs` is no object".to_owned()),
            // The inputs themselves, without anything around them.
            None => answer,
        };
        Ok(json!({ "values": values }))
    }

    fn conclude(&self, cx: &NodeContext, mut made: Value) -> Result<Action, NodeError> {
        let open = names_in(&schema(cx));
        let mut values = match made["values"].take() {
            Value::Object(values) => values,
            _ => Map::new(),
        };
        values.retain(|name, value| {
            !value.is_null() && (open.contains(name) || self.setting.given.contains_key(name))
        });
        let before = cx.store().get_in(id::PARAMETER_MAPPING, "asked");
        let mut asked: Vec<Value> = before
            .as_deref()
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        asked.extend(open.into_iter().map(Value::from));
        asked.dedup();
        write(cx, json!({"values": values, "asked": asked}));
        current(cx).planner_took(PlannerPath::A);
        let is_saved = cx.store().get_in(id::DISCOVERY, "schema").is_some();
        Ok(Action::named(if is_saved {
            action::FOUND
        } else {
            action::GENERATED
        }))
    }
}
