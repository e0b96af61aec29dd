//! Edits one part deep inside a JSON value.
//!
//! Moves the old part out instead of copying it, and changes nothing when the path leads nowhere.

use serde_json::{Map, Value};

use super::PathSegment;

/// Whether [`replace_at`] can follow `path` inside `root`; says where it cannot.
pub(super) fn check(root: Option<&Value>, path: &[PathSegment]) -> Result<(), String> {
    let mut place = root;
    for (depth, segment) in path.iter().enumerate() {
        place = match (segment, place) {
            // Objects are made on the way, arrays are not.
            (PathSegment::Name(_), None | Some(Value::Null)) => None,
            (PathSegment::Name(name), Some(Value::Object(members))) => members.get(name),
            (PathSegment::Index(index), Some(Value::Array(elements))) => {
                let appends = depth + 1 == path.len() && *index == elements.len();
                if *index >= elements.len() && !appends {
                    return Err(format!(
                        "index {index} is beyond the array's {} elements",
                        elements.len()
                    ));
                }
                elements.get(*index)
            }
            (PathSegment::Name(name), Some(other)) => {
                return Err(format!("`{name}` is looked for in {}", kind_of(other)));
            }
            (PathSegment::Index(index), other) => {
                let kind = other.map_or("nothing", kind_of);
                return Err(format!("[{index}] is looked for in {kind}"));
            }
        };
    }
    Ok(())
}

/// Puts `value` at `path`, which [`check`] has found to lead somewhere, and returns what was there.
pub(super) fn replace_at(root: &mut Value, path: &[PathSegment], value: Value) -> Option<Value> {
    let Some((first, rest)) = path.split_first() else {
        return Some(std::mem::replace(root, value));
    };
    match first {
        PathSegment::Name(name) => {
            if root.is_null() {
                *root = Value::Object(Map::new());
            }
            let members = root.as_object_mut()?;
            if rest.is_empty() {
                return members.insert(name.clone(), value);
            }
            replace_at(members.entry(name.clone()).or_insert(Value::Null), rest, value)
        }
        PathSegment::Index(index) => {
            let elements = root.as_array_mut()?;
            if *index == elements.len() {
                elements.push(value);
                return None;
            }
            replace_at(elements.get_mut(*index)?, rest, value)
        }
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
