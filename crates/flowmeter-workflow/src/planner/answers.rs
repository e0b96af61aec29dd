//! Reads what models answer: JSON with things around it, members left out, texts for flags.
//!
//! Wider than the schemas that are sent, for not every model holds to them; never guesses what an answer without
//! its main member may have meant.

use serde_json::{Map, Value};

/// The longest piece of an answer that a message quotes, in characters.
const QUOTED_CHARS_MAX: usize = 200;

/// The JSON object in an answer.
///
/// # Errors
/// What is wrong with the answer, for whoever gave it.
pub(super) fn object_in(answer: Value) -> Result<Map<String, Value>, String> {
    match answer {
        Value::Object(members) => Ok(members),
        Value::String(text) => object_in_text(&text),
        _ => Err("it is no JSON object".to_owned()),
    }
}

/// The JSON object in a text: the whole text, or the first object in it that can be read.
fn object_in_text(text: &str) -> Result<Map<String, Value>, String> {
    let text = text.trim().trim_start_matches('\u{feff}');
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let first_error = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) => return Ok(members),
        // A model that puts its JSON into a text once more.
        Ok(Value::String(inner)) if inner.trim_start().starts_with('{') => return object_in_text(&inner),
        Ok(_) => "it is JSON, but no object".to_owned(),
        Err(error) => format!("it is no JSON ({error})"),
    };
    let mut cut_off = None;
    for (start, _) in text.match_indices('{').take(STARTS_MAX) {
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(Value::Object(members))) if !members.is_empty() => return Ok(members),
            Some(Err(error)) if error.is_eof() && cut_off.is_none() => {
                cut_off = Some("it breaks off before the JSON object ends".to_owned());
            }
            _ => {}
        }
    }
    Err(cut_off.unwrap_or(first_error))
}

/// How many `{` are tried as the beginning of an object.
const STARTS_MAX: usize = 64;

/// The beginning of an answer, for messages.
pub(super) fn quoted(answer: &Value) -> String {
    let text = match answer {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= QUOTED_CHARS_MAX {
        return text;
    }
    let beginning: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    format!("{beginning}…")
}

/// The text of a member; empty where there is none.
pub(super) fn text(members: &Map<String, Value>, name: &str) -> String {
    match members.get(name) {
        Some(Value::String(text)) => text.trim().to_owned(),
        None | Some(Value::Null) => String::new(),
        Some(Value::Array(lines)) => lines.iter().map(line_of).collect::<Vec<_>>().join("\n"),
        Some(other) => other.to_string(),
    }
}

/// A flag, also one that is written as a text; `None` where there is none.
pub(super) fn flag(members: &Map<String, Value>, name: &str) -> Option<bool> {
    match members.get(name)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" => Some(true),
            "false" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The texts of a list; a single text is a list of one, lines of a text are several.
pub(super) fn texts(members: &Map<String, Value>, name: &str) -> Vec<String> {
    let lines: Vec<String> = match members.get(name) {
        Some(Value::Array(elements)) => elements.iter().map(line_of).collect(),
        Some(Value::String(text)) => text.lines().map(|line| line.trim().to_owned()).collect(),
        _ => Vec::new(),
    };
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}

/// An element of a list as one text; of an object the member that names or says it.
fn line_of(element: &Value) -> String {
    match element {
        Value::String(text) => text.trim().to_owned(),
        Value::Object(members) => ["name", "type", "step", "description", "text"]
            .iter()
            .find_map(|key| members.get(*key)?.as_str())
            .map_or_else(|| element.to_string(), |text| text.trim().to_owned()),
        other => other.to_string(),
    }
}

/// Lines with dashes before them; `(none)` where there are none.
pub(super) fn bullets(lines: &[String]) -> String {
    if lines.is_empty() {
        return "(none)".to_owned();
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("- {line}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
