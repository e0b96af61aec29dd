//! Which texts of a span are searched, and what they are called.
//!
//! Never searches numbers: token counts and times would be most of the words.

use flowmeter_model::{AttributeValue, Span};
use serde_json::Value;

use super::row::{INPUT_MESSAGES, OUTPUT_MESSAGES, SYSTEM_INSTRUCTIONS};
use crate::SearchPlace;

/// The tools that a model was offered.
const TOOL_DEFINITIONS: &str = "gen_ai.tool.definitions";
/// What stands in every message and is nobody's text.
const MARKS: &[&str] = &["role", "type", "finish_reason"];
/// The field of a log line.
pub(crate) const LOG_FIELD: &str = "message";

/// Hands out each text of a span with its place and its field, places in the order of [`SearchPlace`] only as far as the
/// span has them in that order. The texts of one place are those of one hit.
pub(crate) fn visit_texts(span: &Span, visit: &mut dyn FnMut(SearchPlace, &str, &str)) {
    for (key, value) in span.attributes.iter() {
        visit_attribute(place_of(key), key, value, visit);
    }
    if let Some(error) = &span.error {
        visit(SearchPlace::Error, "error.type", &error.error_type);
        visit(SearchPlace::Error, "error.message", &error.message);
        for cause in &error.chain {
            visit(SearchPlace::Error, "error.chain", cause);
        }
    }
    if let Some(params) = &span.params {
        match params.as_object() {
            Some(members) => {
                for (key, value) in members {
                    visit_json(
                        SearchPlace::Attribute,
                        &format!("params.{key}"),
                        value,
                        &[],
                        visit,
                    );
                }
            }
            None => visit_json(SearchPlace::Attribute, "params", params, &[], visit),
        }
    }
    for template in &span.templates {
        let field = format!("template {}", template.template);
        visit_json(SearchPlace::Attribute, &field, &template.value, &[], visit);
    }
    for event in &span.events {
        visit(SearchPlace::Attribute, "event", &event.name);
        for (key, value) in event.attributes.iter() {
            visit_attribute(SearchPlace::Attribute, &format!("event.{key}"), value, visit);
        }
    }
    for mutation in &span.mutations {
        if let Some(after) = &mutation.after {
            visit_json(SearchPlace::Mutation, &mutation.path, after, &[], visit);
        }
    }
}

/// What stands in a span's attribute of this name.
pub(crate) fn place_of(attribute: &str) -> SearchPlace {
    match attribute {
        INPUT_MESSAGES | SYSTEM_INSTRUCTIONS | TOOL_DEFINITIONS => SearchPlace::Prompt,
        OUTPUT_MESSAGES => SearchPlace::Response,
        _ => SearchPlace::Attribute,
    }
}

/// Whether the text of this key in an object is nobody's text.
pub(crate) fn is_mark(place: SearchPlace, key: &str) -> bool {
    matches!(place, SearchPlace::Prompt | SearchPlace::Response) && MARKS.contains(&key)
}

fn visit_attribute(
    place: SearchPlace,
    key: &str,
    value: &AttributeValue,
    visit: &mut dyn FnMut(SearchPlace, &str, &str),
) {
    match value {
        AttributeValue::Str(text) => visit(place, key, text),
        AttributeValue::Json(value) => {
            let marks = if place == SearchPlace::Attribute {
                &[]
            } else {
                MARKS
            };
            visit_json(place, key, value, marks, visit);
        }
        AttributeValue::Bool(_) | AttributeValue::I64(_) | AttributeValue::F64(_) => {}
    }
}

/// The texts in a JSON value, without its keys and without the texts of `marks`.
fn visit_json(
    place: SearchPlace,
    field: &str,
    value: &Value,
    marks: &[&str],
    visit: &mut dyn FnMut(SearchPlace, &str, &str),
) {
    match value {
        Value::String(text) => visit(place, field, text),
        Value::Array(items) => {
            for item in items {
                visit_json(place, field, item, marks, visit);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                if !(marks.contains(&key.as_str()) && member.is_string()) {
                    visit_json(place, field, member, marks, visit);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
