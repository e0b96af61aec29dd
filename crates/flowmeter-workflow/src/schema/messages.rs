//! What a violation of the schema means, in plain words.
//!
//! Never validates: it puts the validator's findings into words, with the nearest valid name.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::{BUDGETED_TYPES, VALUE_TYPES, validator_for};
use crate::names;
use crate::nodes::node_types;
use crate::nodes::{NodeType, ValueType};
use crate::problem::{Anchor, Findings, Severity, pointer_step};
use crate::template::kind_of;

/// Adds a finding for everything in which the document departs from the schema.
pub(crate) fn check_shape(document: &Value, findings: &mut Findings) {
    match validator_for(document) {
        // Asking whether is much cheaper than asking why.
        Ok(validator) if validator.is_valid(document) => {}
        Ok(validator) => {
            for error in validator.iter_errors(document) {
                explain(document, &error, findings);
            }
        }
        Err(message) => findings.error(
            "",
            Anchor::Value,
            format!("the schema itself is invalid: {message}"),
        ),
    }
}

/// Which part of a document a pointer leads to.
enum Place<'a> {
    Top,
    Node,
    Params(Option<&'static NodeType>),
    Member(&'a str),
    Param(Option<&'static NodeType>, String),
    Named(&'static str, &'a str),
    Other(&'a str),
}

fn place_of<'a>(pointer: &'a str, document: &Value) -> Place<'a> {
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    match steps[..] {
        [] => Place::Top,
        ["nodes", _] => Place::Node,
        ["nodes", index, "params" | "parameters"] => Place::Params(type_at(document, index)),
        ["nodes", index, "params" | "parameters", name] => Place::Param(
            type_at(document, index),
            name.replace("~1", "/").replace("~0", "~"),
        ),
        ["inputs", name] => Place::Named("input", name),
        ["outputs", name] => Place::Named("output", name),
        ["edges", _] => Place::Named("edge", ""),
        ["nodes", _, section] => Place::Member(section),
        ["budget"] => Place::Member("budget"),
        _ => Place::Other(steps.last().copied().unwrap_or_default()),
    }
}

fn type_at(document: &Value, index: &str) -> Option<&'static NodeType> {
    let name = document.pointer(&format!("/nodes/{index}/type"))?.as_str()?;
    node_types().iter().find(|node_type| node_type.name == name)
}

/// The keys that an object at this place may have.
fn keys_at(place: &Place<'_>) -> Vec<&'static str> {
    match place {
        Place::Top => vec![
            "ir_version",
            "nodes",
            "edges",
            "start_node",
            "inputs",
            "outputs",
            "enable_namespacing",
            "template_resolution_mode",
            "budget",
            "title",
            "description",
        ],
        Place::Node => vec![
            "id", "type", "purpose", "params", "batch", "loop", "retry", "cache", "budget",
        ],
        Place::Params(Some(node_type)) => node_type.params.iter().map(|spec| spec.name).collect(),
        Place::Named("input", _) => vec!["description", "required", "type", "default", "stdin"],
        Place::Named("output", _) => vec!["source", "type", "description", "stdout"],
        Place::Named("edge", _) => vec!["from", "to", "action"],
        Place::Member("batch") => vec![
            "items",
            "as",
            "error_handling",
            "parallel",
            "max_concurrent",
            "max_retries",
            "retry_wait",
        ],
        Place::Member("loop") => vec!["while", "until", "carry", "max_iterations"],
        Place::Member("retry") => vec!["max", "wait", "backoff"],
        Place::Member("cache") => vec!["ttl"],
        Place::Member("budget") => vec!["max_cost", "max_tokens", "max_llm_calls"],
        _ => Vec::new(),
    }
}

/// What a message calls the object at this place.
fn title_of(place: &Place<'_>) -> String {
    match place {
        Place::Top => "a workflow".to_owned(),
        Place::Node => "a node".to_owned(),
        Place::Params(Some(node_type)) => format!("node type `{}`", node_type.name),
        Place::Params(None) => "`params`".to_owned(),
        Place::Named("edge", _) => "an edge".to_owned(),
        Place::Named(kind, name) => format!("{kind} `{name}`"),
        Place::Param(_, name) => format!("parameter `{name}`"),
        Place::Member(name) | Place::Other(name) => format!("`{name}`"),
    }
}

fn explain(document: &Value, error: &ValidationError<'_>, findings: &mut Findings) {
    let pointer = error.instance_path().as_str().to_owned();
    let place = place_of(&pointer, document);
    let found = error.instance();
    let mut say = |message: String, help: Option<String>| {
        findings.add(Severity::Error, pointer.clone(), Anchor::Value, message, help);
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for key in unexpected {
                let (message, help) = unknown_key(&place, key);
                let at = format!("{pointer}/{}", pointer_step(key));
                findings.add(Severity::Error, at, Anchor::Key, message, Some(help));
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            match &place {
                Place::Params(Some(node_type)) => {
                    let message = format!("node type `{}` needs the parameter `{name}`", node_type.name);
                    say(message, describe_param(node_type, name));
                }
                place => say(format!("{} needs `{name}`", title_of(place)), None),
            }
        }
        ValidationErrorKind::Type { kind } => {
            let message = wrong_type(&place, &expected_types(kind), found);
            say(message, None);
        }
        ValidationErrorKind::Enum { options } => enum_violation(&place, options, found, &mut say),
        ValidationErrorKind::Pattern { .. } => say(pattern_violation(&pointer, found), None),
        ValidationErrorKind::PropertyNames { .. } => {
            let names = found.as_object().into_iter().flat_map(|object| object.keys());
            for name in names.filter(|name| !is_identifier(name)) {
                let at = format!("{pointer}/{}", pointer_step(name));
                findings.add(Severity::Error, at, Anchor::Key, invalid_name("name", name), None);
            }
        }
        // Rules about members say nothing about a value that has none: its type is complained about already.
        ValidationErrorKind::Not { .. } if matches!(place, Place::Node) && !found.is_object() => {}
        ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::OneOfMultipleValid { .. }
            if !found.is_object() => {}
        ValidationErrorKind::Not { .. } => {
            if let Some(id) = found.as_str() {
                let help = "edges to `end` end the flow; give the node another id".to_owned();
                return say(format!("`{id}` is a reserved id"), Some(help));
            }
            let has = |key: &str| found.get(key).is_some();
            if has("batch") && has("loop") {
                say("a node cannot have both `batch` and `loop`".to_owned(), None);
            }
            if has("params") && has("parameters") {
                say(
                    "a node has either `params` or `parameters`, not both".to_owned(),
                    None,
                );
            }
        }
        ValidationErrorKind::AnyOf { .. } => any_of_violation(document, &pointer, &place, found, &mut say),
        ValidationErrorKind::OneOfNotValid { .. } => {
            say("a loop needs one of `while` and `until`".to_owned(), None);
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            say("a loop has either `while` or `until`, not both".to_owned(), None);
        }
        ValidationErrorKind::MinProperties { .. } => {
            let keys = names::list(keys_at(&place));
            say(format!("{} has at least one of {keys}", title_of(&place)), None);
        }
        ValidationErrorKind::FalseSchema => {
            let index = pointer.split('/').nth(2).unwrap_or_default();
            let name = type_at(document, index).map_or("this", |node_type| node_type.name);
            let help = format!("it belongs to nodes of type {}", names::list(BUDGETED_TYPES));
            say(
                format!("a node of type `{name}` calls no model, so it has no `budget`"),
                Some(help),
            );
        }
        ValidationErrorKind::MinItems { .. } => match &place {
            Place::Other("nodes") => say("a workflow has at least one node".to_owned(), None),
            place => say(format!("{} must not be empty", title_of(place)), None),
        },
        ValidationErrorKind::Minimum { limit } => {
            say(
                format!("{} is at least {limit}, not {found}", title_of(&place)),
                None,
            );
        }
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            say(
                format!("{} is more than {limit}, not {found}", title_of(&place)),
                None,
            );
        }
        ValidationErrorKind::Maximum { limit } => {
            say(
                format!("{} is at most {limit}, not {found}", title_of(&place)),
                None,
            );
        }
        _ => say(error.to_string(), None),
    }
}

fn unknown_key(place: &Place<'_>, key: &str) -> (String, String) {
    let keys = keys_at(place);
    let message = match place {
        Place::Params(Some(node_type)) => {
            format!("node type `{}` has no parameter `{key}`", node_type.name)
        }
        place => format!("unknown key `{key}` in {}", title_of(place)),
    };
    // A parameter beside `params` instead of in it is the most frequent mistake.
    let lifted = matches!(place, Place::Node)
        && node_types()
            .iter()
            .any(|node_type| node_type.params.iter().any(|spec| spec.name == key));
    let mut help = if lifted {
        format!("parameters belong into `params`: \"params\": {{\"{key}\": …}}")
    } else {
        names::suggestion(key, &keys, "valid").unwrap_or_default()
    };
    if help.is_empty() {
        "it takes none".clone_into(&mut help);
    }
    (message, help)
}

fn describe_param(node_type: &NodeType, name: &str) -> Option<String> {
    let spec = node_type.params.iter().find(|spec| spec.name == name)?;
    Some(format!(
        "`{name}` ({}): {}",
        spec.value_type.as_str(),
        spec.description
    ))
}

fn expected_types(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(single) => vec![*single],
        TypeKind::Multiple(several) => several.iter().collect(),
    }
}

/// With its article.
fn type_phrase(name: &str) -> String {
    match name {
        "array" | "integer" | "object" => format!("an {name}"),
        "null" => "null".to_owned(),
        other => format!("a {other}"),
    }
}

/// What was found, short.
fn found_phrase(value: &Value) -> String {
    let text = value.to_string();
    let kind = type_phrase(kind_of(value));
    match value {
        Value::Null => kind,
        Value::Array(_) | Value::Object(_) => kind,
        _ if text.chars().count() > 40 => kind,
        _ => format!("{kind}: {text}"),
    }
}

fn wrong_type(place: &Place<'_>, expected: &[JsonType], found: &Value) -> String {
    let expected: Vec<String> = expected
        .iter()
        .map(|json_type| type_phrase(json_type.as_str()))
        .collect();
    let expected = expected.join(" or ");
    let found = found_phrase(found);
    match place {
        Place::Top => format!("a workflow file is {expected}, not {found}"),
        Place::Node => format!("a node is {expected}, not {found}"),
        place => format!("{} is {expected}, not {found}", title_of(place)),
    }
}

fn enum_violation(
    place: &Place<'_>,
    options: &Value,
    found: &Value,
    say: &mut dyn FnMut(String, Option<String>),
) {
    let options: Vec<&str> = options
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match (place, found.as_str()) {
        (Place::Member("type"), Some(name)) => {
            let help = names::suggestion(name, &options, "node types");
            say(format!("there is no node type `{name}`"), help);
        }
        (place, Some(name)) => {
            let help = names::suggestion(name, &options, "valid");
            say(format!("{} cannot be `{name}`", title_of(place)), help);
        }
        (place, None) => {
            let message = format!("{} is a string, not {}", title_of(place), found_phrase(found));
            say(message, Some(format!("valid: {}", names::list(options))));
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|next| next.is_ascii_alphanumeric() || next == '_' || next == '-')
}

fn invalid_name(what: &str, name: &str) -> String {
    format!("`{name}` is no valid {what}: it begins with a letter or `_`, then letters, digits, `_` and `-`")
}

fn pattern_violation(pointer: &str, found: &Value) -> String {
    let text = found.as_str().unwrap_or_default();
    match pointer.rsplit('/').next() {
        Some("ir_version") => format!("`{text}` is no version: three numbers are wanted, as in \"0.1.0\""),
        Some("id") => invalid_name("id", text),
        Some("as") => invalid_name("name", text),
        Some("ttl") => format!("`ttl` must be a time such as \"30m\", \"12h\" or \"7d\", not \"{text}\""),
        Some(key) => format!("`{key}` must be a template such as `${{node.key}}`, not \"{text}\""),
        None => format!("`{text}` does not fit"),
    }
}

fn any_of_violation(
    document: &Value,
    pointer: &str,
    place: &Place<'_>,
    found: &Value,
    say: &mut dyn FnMut(String, Option<String>),
) {
    match place {
        // The rule that a type with required parameters needs `params` at all.
        Place::Node => {
            let index = pointer.rsplit('/').next().unwrap_or_default();
            if let Some(node_type) = type_at(document, index) {
                for spec in node_type.params.iter().filter(|spec| spec.required) {
                    let message = format!(
                        "node type `{}` needs the parameter `{}`",
                        node_type.name, spec.name
                    );
                    say(message, describe_param(node_type, spec.name));
                }
            }
        }
        Place::Param(Some(node_type), name) => {
            let expected = node_type
                .params
                .iter()
                .find(|spec| spec.name == name)
                .map_or(ValueType::Any, |spec| spec.value_type);
            debug_assert!(VALUE_TYPES.contains(&expected));
            let message = format!(
                "parameter `{name}` is {} or a template, not {}",
                type_phrase(expected.as_str()),
                found_phrase(found)
            );
            say(message, describe_param(node_type, name));
        }
        place => {
            let (title, expected) = match pointer.rsplit('/').next() {
                Some("items") if found.as_array().is_some_and(Vec::is_empty) => {
                    return say("`items` must not be empty".to_owned(), None);
                }
                Some("items") => ("`items`".to_owned(), "an array"),
                Some("max_iterations") => ("`max_iterations`".to_owned(), "an integer from 1"),
                _ => (title_of(place), "a value"),
            };
            say(
                format!("{title} is {expected} or a template, not {}", found_phrase(found)),
                None,
            );
        }
    }
}
