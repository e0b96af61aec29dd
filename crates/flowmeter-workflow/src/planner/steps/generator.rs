//! The workflow itself.
//!
//! Never judges it: an answer that is no workflow goes to the validator like any other, and comes back from there.

use std::sync::Arc;

use flowmeter_engine::{Action, NodeContext, NodeError};
use serde_json::{Map, Value, json};

use super::{id, number_in, write};
use crate::document::{InputEntry, WorkflowDocument};
use crate::planner::asking::Step;
use crate::planner::setting::Setting;
use crate::planner::{components, schemas};

/// Members that models like to add to a workflow; its metadata is another step's work.
const CHATTER: [&str; 9] = [
    "name",
    "title",
    "description",
    "purpose",
    "explanation",
    "reason",
    "notes",
    "keywords",
    "metadata",
];
/// Members around a workflow.
const AROUND: [&str; 4] = ["workflow", "workflow_json", "workflow_ir", "answer"];

pub(in crate::planner) struct Generator {
    pub(in crate::planner) setting: Arc<Setting>,
}

impl Step for Generator {
    fn id(&self) -> &'static str {
        id::WORKFLOW_GENERATOR
    }

    fn read(&self, answer: Map<String, Value>) -> Result<Value, String> {
        Ok(json!({ "workflow": tidied(unwrapped(answer)) }))
    }

    fn unreadable(&self, answer: &Value, _problem: &str) -> Option<Value> {
        // The validator says where it breaks off.
        let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
        Some(json!({ "text": text }))
    }

    fn conclude(&self, cx: &NodeContext, mut made: Value) -> Result<Action, NodeError> {
        let workflow = made["workflow"].take();
        let text = match made["text"].take() {
            Value::String(text) => text,
            _ => serde_json::to_string_pretty(&workflow).unwrap_or_default(),
        };
        let document = WorkflowDocument::from_value(workflow.clone());
        let open: Vec<&InputEntry> = document
            .inputs
            .iter()
            .filter(|input| !self.setting.gives(input))
            .collect();
        let attempt = number_in(cx.store(), id::WORKFLOW_GENERATOR, "attempt") + 1;
        write(
            cx,
            json!({
                "workflow": workflow,
                "text": text,
                "attempt": attempt,
                "inputs": components::inputs(&open),
                "schema": schemas::parameter_mapping(&open),
            }),
        );
        Ok(Action::default())
    }
}

/// The workflow, where something is put around it.
fn unwrapped(mut answer: Map<String, Value>) -> Map<String, Value> {
    if answer.contains_key("nodes") {
        return answer;
    }
    for name in AROUND {
        match answer.get_mut(name).map(Value::take) {
            Some(Value::Object(inner)) => return inner,
            Some(Value::String(text)) => {
                if let Ok(inner) = crate::planner::answers::object_in(Value::String(text)) {
                    return inner;
                }
            }
            _ => {}
        }
    }
    answer
}

/// The workflow without what models add in all innocence: words about it, and nulls for what it does not have.
fn tidied(mut workflow: Map<String, Value>) -> Value {
    workflow.retain(|name, value| !CHATTER.contains(&name.as_str()) && !value.is_null());
    let lists = ["nodes", "edges"];
    for name in lists {
        for entry in workflow
            .get_mut(name)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            without_nulls(entry);
            for inner in ["params", "batch", "loop", "retry"] {
                if let Some(inner) = entry.get_mut(inner) {
                    without_nulls(inner);
                }
            }
        }
    }
    for name in ["inputs", "outputs"] {
        let entries = workflow.get_mut(name).and_then(Value::as_object_mut);
        for (_, entry) in entries.into_iter().flat_map(Map::iter_mut) {
            without_nulls(entry);
        }
    }
    let mut whole = Map::new();
    whole.insert("ir_version".to_owned(), Value::from("0.1.0"));
    whole.append(&mut workflow);
    Value::Object(whole)
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
    }
}
