//! What is the new workflow called, and what is it for?
//!
//! Never takes a name that could be no file's.

use flowmeter_engine::{Action, NodeContext, NodeError};
use serde_json::{Map, Value, json};

use super::{id, write};
use crate::planner::answers::{text, texts};
use crate::planner::asking::Step;

/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 60;

pub(in crate::planner) struct Metadata;

impl Step for Metadata {
    fn id(&self) -> &'static str {
        id::METADATA_GENERATION
    }

    fn read(&self, answer: Map<String, Value>) -> Result<Value, String> {
        let name = as_name(&text(&answer, "name"));
        if name.is_empty() {
            return Err("it has no `name`".to_owned());
        }
        Ok(json!({
            "name": name,
            "description": text(&answer, "description"),
            "keywords": texts(&answer, "keywords"),
        }))
    }

    fn conclude(&self, cx: &NodeContext, made: Value) -> Result<Action, NodeError> {
        write(cx, made);
        Ok(Action::default())
    }
}

/// Words in lower case, joined by dashes.
fn as_name(text: &str) -> String {
    let text = text.trim().trim_end_matches(".json").to_lowercase();
    let words: Vec<&str> = text
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let mut name = String::new();
    for word in words {
        if name.len() + word.len() >= NAME_CHARS_MAX {
            break;
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(word);
    }
    name
}
