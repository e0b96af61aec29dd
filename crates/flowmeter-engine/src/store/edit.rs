//! Edits one part deep inside a JSON value.
//!
//! Moves the old part out instead of copying it.

use serde_json::{Map, Value};

use super::PathSegment;

/// Puts `value` at `path` inside `root` and returns what was there.
pub(super) fn replace_at(
    root: &mut Value,
    path: &[PathSegment],
    value: Value,
) -> Result<Option<Value>, String> {
    let mut place = root;
    let Some((last, way)) = path.split_last() else {
        return Ok(Some(std::mem::replace(place, value)));
    };
    for segment in way {
        place = step_into(place, segment)?;
    }
    match (last, place) {
        (PathSegment::Name(name), Value::Object(members)) => Ok(members.insert(name.clone(), value)),
        (PathSegment::Name(name), place @ Value::Null) => {
            *place = Value::Object(Map::from_iter([(name.clone(), value)]));
            Ok(None)
        }
        (PathSegment::Index(index), Value::Array(elements)) => {
            if *index < elements.len() {
                Ok(Some(std::mem::replace(&mut elements[*index], value)))
            } else if *index == elements.len() {
                elements.push(value);
                Ok(None)
            } else {
                Err(format!(
                    "index {index} is beyond the array's {} elements",
                    elements.len()
                ))
            }
        }
        (PathSegment::Name(name), other) => Err(format!("`{name}` is looked for in {}", kind_of(other))),
        (PathSegment::Index(index), other) => Err(format!("[{index}] is looked for in {}", kind_of(other))),
    }
}

fn step_into<'a>(place: &'a mut Value, segment: &PathSegment) -> Result<&'a mut Value, String> {
    match segment {
        PathSegment::Name(name) => {
            if place.is_null() {
                *place = Value::Object(Map::new());
            }
            match place {
                Value::Object(members) => Ok(members.entry(name.clone()).or_insert(Value::Null)),
                other => Err(format!("`{name}` is looked for in {}", kind_of(other))),
            }
        }
        PathSegment::Index(index) => match place {
            Value::Array(elements) => {
                let count = elements.len();
                elements
                    .get_mut(*index)
                    .ok_or_else(|| format!("index {index} is beyond the array's {count} elements"))
            }
            other => Err(format!("[{index}] is looked for in {}", kind_of(other))),
        },
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
