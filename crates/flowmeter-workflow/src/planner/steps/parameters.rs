//! Which values does the request name?
//!
//! Never decides which of them become inputs.

use flowmeter_engine::{Action, NodeContext, NodeError};
use serde_json::{Map, Value, json};

use super::{id, write};
use crate::planner::answers::{bullets, text};
use crate::planner::asking::Step;

pub(in crate::planner) struct Parameters;

impl Step for Parameters {
    fn id(&self) -> &'static str {
        id::PARAMETER_DISCOVERY
    }

    fn read(&self, answer: Map<String, Value>) -> Result<Value, String> {
        let parameters: Vec<Value> = match answer.get("parameters") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(elements)) => elements
                .iter()
                .filter_map(|element| {
                    let members = element.as_object()?;
                    let name = text(members, "name");
                    let value = members.get("value").cloned().unwrap_or_default();
                    let description = text(members, "description");
                    (!name.is_empty())
                        .then(|| json!({"name": name, "value": value, "description": description}))
                })
                .collect(),
            // Names and values, plainly.
            Some(Value::Object(members)) => members
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value, "description": ""}))
                .collect(),
            Some(_) => return Err("`parameters` is no list".to_owned()),
        };
        Ok(json!({ "parameters": parameters }))
    }

    fn conclude(&self, cx: &NodeContext, mut made: Value) -> Result<Action, NodeError> {
        let parameters = made["parameters"].take();
        let lines: Vec<String> = parameters
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| {
                let name = parameter["name"].as_str().unwrap_or_default();
                let value = &parameter["value"];
                match parameter["description"].as_str().filter(|text| !text.is_empty()) {
                    Some(description) => format!("{name} = {value} ({description})"),
                    None => format!("{name} = {value}"),
                }
            })
            .collect();
        write(
            cx,
            json!({"parameters": parameters, "described": bullets(&lines)}),
        );
        Ok(Action::default())
    }
}
