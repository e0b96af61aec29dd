//! The JSON Schema of workflow files, made from the table of node types.
//!
//! The one that `flowmeter schema` prints is the one that validates. Never looks at a document itself:
//! what a violation means in plain words is said in [`messages`].

pub(crate) mod messages;

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::nodes::node_types;
use crate::nodes::{NodeType, ParamSpec, ValueType};
use crate::response_cache::TTL_PATTERN;

/// What an id looks like: what a template can name.
const ID_PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_-]*$";

/// The JSON Schema (draft 2020-12) of workflow files.
#[must_use]
pub fn json_schema() -> Value {
    schema_for(|_| true)
}

/// The schema with the rules of those node types that `occurs` names. The rules of a type that stands nowhere in
/// a document cannot be broken by it, so the document is judged as by the whole schema, in a fraction of the time.
fn schema_for(occurs: impl Fn(&str) -> bool) -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Workflow",
        "description": "A workflow: nodes joined by edges. Texts may hold templates such as ${node.key} or ${input}.",
        "type": "object",
        "required": ["nodes"],
        "additionalProperties": false,
        "properties": {
            "$schema": {"type": "string", "description": "The schema that editors check the file with."},
            "title": {"type": "string", "description": "The title, for people."},
            "description": {"type": "string", "description": "What the workflow is for."},
            "ir_version": {
                "type": "string",
                "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$",
                "default": "0.1.0",
                "description": "The version of the format."
            },
            "nodes": {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": "#/$defs/node"},
                "description": "The nodes. The first one is the start unless start_node says otherwise."
            },
            "edges": {
                "type": "array",
                "default": [],
                "items": {"$ref": "#/$defs/edge"},
                "description": "Where the flow goes on. Several edges with one from and one action run side by side."
            },
            "start_node": {"type": "string", "description": "The id of the node to begin with."},
            "inputs": {
                "type": "object",
                "default": {},
                "propertyNames": {"pattern": ID_PATTERN},
                "additionalProperties": {"$ref": "#/$defs/input"},
                "description": "What the workflow takes, by name."
            },
            "outputs": {
                "type": "object",
                "default": {},
                "propertyNames": {"pattern": ID_PATTERN},
                "additionalProperties": {"$ref": "#/$defs/output"},
                "description": "What the workflow gives, by name."
            },
            "enable_namespacing": {
                "type": "boolean",
                "default": true,
                "description": "Whether each node writes under its own id."
            },
            "template_resolution_mode": {
                "enum": ["strict", "permissive"],
                "default": "strict",
                "description": "Whether a template that leads nowhere fails its node or stays as written."
            },
            "budget": {"$ref": "#/$defs/budget"}
        },
        "$defs": {"template": {"type": "string", "pattern": r"\$\{"}}
    });
    // Put in by hand: `json!` would copy each of them once for every level around it.
    let definitions = &mut schema["$defs"];
    for (name, definition) in [
        ("node", node_schema(occurs)),
        ("edge", edge_schema()),
        ("input", input_schema()),
        ("output", output_schema()),
        ("batch", batch_schema()),
        ("loop", loop_schema()),
        ("retry", retry_schema()),
        ("cache", cache_schema()),
        ("budget", budget_schema()),
    ] {
        definitions[name] = definition;
    }
    schema
}

/// The compiled schema for `document`.
pub(crate) fn validator_for(document: &Value) -> Result<jsonschema::Validator, String> {
    let nodes = document
        .get("nodes")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let types: HashSet<&str> = nodes
        .iter()
        .filter_map(|node| node.get("type")?.as_str())
        .collect();
    jsonschema::validator_for(&schema_for(|name| types.contains(name))).map_err(|error| error.to_string())
}

/// A value of this type, or a template that comes to one.
fn value_schema(value_type: ValueType) -> Value {
    match value_type {
        ValueType::Any => json!({}),
        ValueType::String => json!({"type": "string"}),
        other => json!({"anyOf": [{"type": other.as_str()}, {"$ref": "#/$defs/template"}]}),
    }
}

fn param_schema(spec: &ParamSpec) -> Value {
    let mut schema = value_schema(spec.value_type);
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), Value::from(spec.description));
        if let Some(default) = spec.default {
            let default = serde_json::from_str(default).unwrap_or_else(|_| Value::from(default));
            object.insert("default".to_owned(), default);
        }
    }
    schema
}

fn node_schema(occurs: impl Fn(&str) -> bool) -> Value {
    let names: Vec<&str> = node_types().iter().map(|node_type| node_type.name).collect();
    let mut rules = vec![
        json!({"not": {"required": ["batch", "loop"]}}),
        json!({"not": {"required": ["params", "parameters"]}}),
    ];
    rules.extend(
        node_types()
            .iter()
            .filter(|node_type| occurs(node_type.name))
            .map(type_rule),
    );
    let mut schema = json!({
        "type": "object",
        "required": ["id", "type"],
        "additionalProperties": false,
        "properties": {
            "id": {
                "type": "string",
                "pattern": ID_PATTERN,
                "not": {"enum": ["end", "__end__"]},
                "description": "Names the node in edges and templates."
            },
            "type": {"enum": names, "description": "What the node does."},
            "purpose": {"type": "string", "description": "What the node is for."},
            "params": {"type": "object", "description": "The parameters of the node's type."},
            "parameters": {"type": "object", "description": "Another name of params."},
            "batch": {"$ref": "#/$defs/batch"},
            "loop": {"$ref": "#/$defs/loop"},
            "retry": {"$ref": "#/$defs/retry"},
            "budget": {"$ref": "#/$defs/budget"},
            "cache": {"$ref": "#/$defs/cache"}
        }
    });
    schema["allOf"] = Value::Array(rules);
    schema
}

/// The parameters of one node type.
fn type_rule(node_type: &NodeType) -> Value {
    let properties: Map<String, Value> = node_type
        .params
        .iter()
        .map(|spec| (spec.name.to_owned(), param_schema(spec)))
        .collect();
    let required: Vec<&str> = node_type
        .params
        .iter()
        .filter(|spec| spec.required)
        .map(|spec| spec.name)
        .collect();
    let mut params = json!({});
    params["properties"] = Value::Object(properties);
    if !node_type.free_params {
        params["additionalProperties"] = Value::Bool(false);
    }
    if !required.is_empty() {
        params["required"] = json!(required);
    }
    let mut then = json!({"properties": {}});
    then["properties"]["parameters"] = params.clone();
    then["properties"]["params"] = params;
    if !required.is_empty() {
        then["anyOf"] = json!([{"required": ["params"]}, {"required": ["parameters"]}]);
    }
    if !BUDGETED_TYPES.contains(&node_type.name) {
        then["properties"]["budget"] = Value::Bool(false);
    }
    let mut rule = json!({"if": {"required": ["type"], "properties": {"type": {"const": node_type.name}}}});
    rule["then"] = then;
    rule
}

fn edge_schema() -> Value {
    json!({
        "type": "object",
        "required": ["from", "to"],
        "additionalProperties": false,
        "properties": {
            "from": {"type": "string", "description": "The node it leaves."},
            "to": {"type": "string", "description": "The node it leads to; `end` ends the flow."},
            "action": {
                "type": "string",
                "default": "default",
                "description": "The action it is for: `error` for failures."
            }
        }
    })
}

const VALUE_TYPES: [ValueType; 7] = [
    ValueType::String,
    ValueType::Number,
    ValueType::Integer,
    ValueType::Boolean,
    ValueType::Array,
    ValueType::Object,
    ValueType::Any,
];

fn type_names() -> Vec<&'static str> {
    VALUE_TYPES.iter().map(|value_type| value_type.as_str()).collect()
}

fn input_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "description": {"type": "string"},
            "required": {"type": "boolean", "default": true},
            "type": {"enum": type_names(), "default": "any"},
            "default": {"description": "The value where none is given."},
            "stdin": {"type": "boolean", "default": false, "description": "Whether piped standard input goes here; one input at most."}
        }
    })
}

fn output_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "source": {"type": "string", "description": "The template it comes from: ${node.key}."},
            "type": {"enum": type_names(), "default": "any"},
            "description": {"type": "string"},
            "stdout": {"type": "boolean", "default": false, "description": "Whether this one is printed; one output at most."}
        }
    })
}

fn batch_schema() -> Value {
    json!({
        "type": "object",
        "required": ["items"],
        "additionalProperties": false,
        "description": "Runs the node once for each item.",
        "properties": {
            "items": {"anyOf": [{"type": "array", "minItems": 1}, {"$ref": "#/$defs/template"}]},
            "as": {"type": "string", "pattern": ID_PATTERN, "default": "item"},
            "error_handling": {"enum": ["fail_fast", "continue"], "default": "fail_fast"},
            "parallel": {"type": "boolean", "default": false},
            "max_concurrent": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
            "max_retries": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1, "description": "Attempts at an item, in total."},
            "retry_wait": {"type": "number", "minimum": 0, "default": 0, "description": "Seconds between attempts."}
        }
    })
}

fn loop_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "description": "Runs the node in rounds, at least one.",
        "oneOf": [{"required": ["while"]}, {"required": ["until"]}],
        "properties": {
            "while": {"$ref": "#/$defs/template"},
            "until": {"$ref": "#/$defs/template"},
            "carry": {"type": "object", "description": "What the next round takes from this one: input and template."},
            "max_iterations": {"anyOf": [{"type": "integer", "minimum": 1}, {"$ref": "#/$defs/template"}], "default": 100}
        }
    })
}

fn retry_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "description": "Attempts at the node's work.",
        "properties": {
            "max": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1, "description": "Attempts in total."},
            "wait": {"type": "number", "minimum": 0, "default": 0, "description": "Seconds between attempts."},
            "backoff": {"enum": ["fixed", "exponential"], "default": "fixed", "description": "Whether the wait doubles, up to 60 s."}
        }
    })
}

fn cache_schema() -> Value {
    json!({
        "type": ["boolean", "object"],
        "additionalProperties": false,
        "description": "Whether an earlier answer to the same request may be used again: true, false, or for how long. Nodes of type llm only.",
        "properties": {
            "ttl": {
                "type": ["string", "number"],
                "pattern": TTL_PATTERN,
                "exclusiveMinimum": 0,
                "description": "How old the answer may be: \"30m\", \"12h\", \"7d\", or a number of seconds."
            }
        }
    })
}

/// The node types that call models, or run what does.
pub(crate) const BUDGETED_TYPES: [&str; 2] = ["llm", "workflow"];

fn budget_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "minProperties": 1,
        "description": "What may be spent in one run, attempts, items, rounds and nested nodes together. A call that might break a limit is not made.",
        "properties": {
            "max_cost": {"type": "number", "minimum": 0, "maximum": 9_000_000_000_u64, "description": "Dollars; 0 allows free models only."},
            "max_tokens": {"type": "integer", "minimum": 1, "description": "Input and output tokens."},
            "max_llm_calls": {"type": "integer", "minimum": 1, "description": "Calls to models, refused ones included."}
        }
    })
}

#[cfg(test)]
mod tests;
