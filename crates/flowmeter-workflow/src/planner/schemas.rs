//! The JSON Schemas of the answers that the planner asks for.
//!
//! Plain enough for every provider. They say what is wanted; what is accepted is wider: see [`super::answers`].

use serde_json::{Map, Value, json};

use crate::document::InputEntry;
use crate::nodes::{ValueType, node_types};

/// The answer of a step: an object with these members, all of them required.
fn answer(step: &str, members: Value) -> Value {
    let required: Vec<&String> = members.as_object().into_iter().flat_map(Map::keys).collect();
    json!({
        "title": step,
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": members,
    })
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn text_or_null(description: &str) -> Value {
    json!({"type": ["string", "null"], "description": description})
}

fn flag(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

fn texts(description: &str) -> Value {
    json!({"type": "array", "items": {"type": "string"}, "description": description})
}

pub(super) fn discovery() -> Value {
    let members = json!({
        "found": flag("whether a saved workflow does what is asked"),
        "workflow": text_or_null("its name as it was listed; null where none fits"),
        "reason": text("one sentence"),
    });
    answer("discovery", members)
}

pub(super) fn parameter_discovery() -> Value {
    let parameter = json!({
        "type": "object",
        "required": ["name", "value", "description"],
        "additionalProperties": false,
        "properties": {
            "name": text("lower case, words joined by _"),
            "value": text("the value as a text"),
            "description": text("one short sentence"),
        },
    });
    let members = json!({
        "parameters": {"type": "array", "items": parameter, "description": "the values that the request names"},
    });
    answer("parameter_discovery", members)
}

pub(super) fn requirements() -> Value {
    let members = json!({
        "clear": flag("whether the request says what is wanted"),
        "question": text_or_null("what to ask the user where it is unclear; else null"),
        "steps": texts("what has to happen, in order"),
    });
    answer("requirements", members)
}

pub(super) fn component_browsing() -> Value {
    let members = json!({
        "node_types": texts("names of node types as they were listed"),
        "workflows": texts("names of saved workflows as they were listed; mostly empty"),
        "reason": text("one sentence"),
    });
    answer("component_browsing", members)
}

pub(super) fn planning() -> Value {
    let members = json!({
        "feasible": flag("whether these building blocks can do what is asked"),
        "reason": text_or_null("what is missing where they cannot; else null"),
        "plan": text("the outline of the workflow, several lines"),
    });
    answer("planning", members)
}

/// The plain members of a workflow. The validator of workflow files says what else is wrong with one.
pub(super) fn workflow_generator() -> Value {
    let names: Vec<&str> = node_types().iter().map(|node_type| node_type.name).collect();
    let node = json!({
        "type": "object",
        "required": ["id", "type", "params"],
        "properties": {
            "id": {"type": "string"},
            "type": {"type": "string", "enum": names},
            "purpose": {"type": "string"},
            "params": {"type": "object", "description": "the parameters of the node's type"},
            "batch": {"type": "object"},
            "loop": {"type": "object"},
            "retry": {"type": "object"},
        },
    });
    let edge = json!({
        "type": "object",
        "required": ["from", "to"],
        "properties": {
            "from": {"type": "string"},
            "to": {"type": "string"},
            "action": {"type": "string", "description": "only where it is not `default`"},
        },
    });
    json!({
        "title": "workflow_generator",
        "type": "object",
        "required": ["nodes", "edges", "inputs", "outputs"],
        "properties": {
            "nodes": {"type": "array", "items": node},
            "edges": {"type": "array", "items": edge},
            "inputs": {"type": "object", "description": "name to description, type, required, default"},
            "outputs": {"type": "object", "description": "name to description, source, type"},
        },
    })
}

/// A value, or null, for each of these inputs.
pub(super) fn parameter_mapping(inputs: &[&InputEntry]) -> Value {
    let members: Map<String, Value> = inputs
        .iter()
        .map(|input| (input.name.to_string(), input_schema(input)))
        .collect();
    let values = answer("inputs", Value::Object(members));
    answer("parameter_mapping", json!({ "inputs": values }))
}

fn input_schema(input: &InputEntry) -> Value {
    let types = match input.value_type {
        ValueType::Any => json!(["string", "number", "boolean", "null"]),
        other => json!([other.as_str(), "null"]),
    };
    let mut schema = json!({ "type": types });
    if input.value_type == ValueType::Array {
        schema["items"] = json!({"type": ["string", "number", "boolean"]});
    }
    if let Some(description) = &input.description {
        schema["description"] = Value::from(description.trim());
    }
    schema
}

pub(super) fn metadata_generation() -> Value {
    let members = json!({
        "name": text("two to five words in lower case, joined by -"),
        "description": text("one or two sentences"),
        "keywords": texts("three to eight words"),
    });
    answer("metadata_generation", members)
}
