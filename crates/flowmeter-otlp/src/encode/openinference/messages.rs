//! Messages of the GenAI conventions, flattened as OpenInference wants them.
//!
//! Never fails on a message of another shape: what is not understood stands as JSON in its content.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::spans::SPAN_ATTRIBUTES;
use crate::wire::Wire;

/// A key that grows and shrinks: `llm.input_messages.0.message.role`.
struct Key(String);

impl Key {
    fn with<T>(&mut self, part: std::fmt::Arguments<'_>, use_it: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        // Writing to a String does not fail.
        let _ = self.0.write_fmt(part);
        let result = use_it(self);
        self.0.truncate(length);
        result
    }

    fn text(&mut self, wire: &mut Wire, name: &str, text: &str) {
        self.with(format_args!(".{name}"), |key| {
            wire.text_attribute(SPAN_ATTRIBUTES, &key.0, text);
        });
    }

    /// A text as it is, anything else as JSON.
    fn json(&mut self, wire: &mut Wire, name: &str, value: &Value) {
        self.with(format_args!(".{name}"), |key| {
            wire.json_attribute(SPAN_ATTRIBUTES, &key.0, value);
        });
    }
}

/// Writes system instructions, if there are any, and messages under `prefix`.
pub(super) fn write(wire: &mut Wire, prefix: &str, system: Option<&Value>, messages: Option<&Value>) {
    let mut key = Key(prefix.to_owned());
    let mut index = 0;
    if let Some(system) = system {
        message(wire, &mut key, &mut index, "system", parts_of(system));
    }
    match messages {
        None | Some(Value::Null) => {}
        Some(Value::Array(messages)) => {
            for each in messages {
                let role = each.get("role").and_then(Value::as_str).unwrap_or("user");
                let parts = each.get("parts").or_else(|| each.get("content")).unwrap_or(each);
                message(wire, &mut key, &mut index, role, parts_of(parts));
            }
        }
        Some(other) => message(wire, &mut key, &mut index, "user", parts_of(other)),
    }
}

fn parts_of(parts: &Value) -> &[Value] {
    match parts {
        Value::Array(parts) => parts,
        other => std::slice::from_ref(other),
    }
}

/// The kind of a part; a bare text is one too.
fn part_type(part: &Value) -> &str {
    match part {
        Value::String(_) => "text",
        other => other.get("type").and_then(Value::as_str).unwrap_or_default(),
    }
}

fn part_text(part: &Value) -> Option<&str> {
    match part {
        Value::String(text) => Some(text),
        other => other
            .get("content")
            .or_else(|| other.get("text"))
            .and_then(Value::as_str),
    }
}

/// One message; each answer of a tool beyond the first makes one more, for OpenInference knows one per message.
fn message(wire: &mut Wire, key: &mut Key, index: &mut usize, role: &str, parts: &[Value]) {
    let (answers, others): (Vec<&Value>, Vec<&Value>) = parts
        .iter()
        .partition(|part| part_type(part) == "tool_call_response");
    if !others.is_empty() || answers.is_empty() {
        key.with(format_args!(".{index}.message"), |key| {
            key.text(wire, "role", role);
            let (calls, shown): (Vec<&Value>, Vec<&Value>) =
                others.iter().partition(|part| part_type(part) == "tool_call");
            content(wire, key, &shown);
            for (number, call) in calls.iter().enumerate() {
                key.with(format_args!(".tool_calls.{number}.tool_call"), |key| {
                    tool_call(wire, key, call);
                });
            }
        });
        *index += 1;
    }
    for answer in answers {
        key.with(format_args!(".{index}.message"), |key| {
            key.text(wire, "role", role);
            if let Some(id) = answer.get("id").and_then(Value::as_str) {
                key.text(wire, "tool_call_id", id);
            }
            let response = answer.get("response").or_else(|| answer.get("result"));
            if let Some(response) = response {
                key.json(wire, "content", response);
            }
        });
        *index += 1;
    }
}

fn tool_call(wire: &mut Wire, key: &mut Key, call: &Value) {
    for (name, place) in [("id", "id"), ("name", "function.name")] {
        if let Some(text) = call.get(name).and_then(Value::as_str) {
            key.text(wire, place, text);
        }
    }
    if let Some(arguments) = call.get("arguments").filter(|value| !value.is_null()) {
        key.json(wire, "function.arguments", arguments);
    }
}

/// One text stands as the message's content; more, or other parts, each by itself.
fn content(wire: &mut Wire, key: &mut Key, parts: &[&Value]) {
    if let [only] = parts
        && part_type(only) == "text"
    {
        return match (part_text(only), only.get("content")) {
            (Some(text), _) => key.text(wire, "content", text),
            (None, Some(value)) => key.json(wire, "content", value),
            (None, None) => key.json(wire, "content", only),
        };
    }
    for (number, part) in parts.iter().enumerate() {
        key.with(format_args!(".contents.{number}.message_content"), |key| {
            content_part(wire, key, part);
        });
    }
}

fn content_part(wire: &mut Wire, key: &mut Key, part: &Value) {
    let text = |name: &str| part.get(name).and_then(Value::as_str);
    let media_type = text("mime_type").unwrap_or_default();
    let is_image = text("modality") == Some("image") || media_type.starts_with("image/");
    match (part_type(part), part_text(part)) {
        (kind @ ("text" | "reasoning"), Some(text)) => {
            key.text(wire, "type", kind);
            key.text(wire, "text", text);
        }
        ("uri", _) if is_image => {
            key.text(wire, "type", "image");
            key.text(wire, "image.image.url", text("uri").unwrap_or_default());
        }
        ("blob", Some(base64)) if is_image => {
            key.text(wire, "type", "image");
            let url = format!("data:{media_type};base64,{base64}");
            key.text(wire, "image.image.url", &url);
        }
        _ => {
            key.text(wire, "type", "text");
            key.json(wire, "text", part);
        }
    }
}

/// The text of messages that are nothing but one text.
pub(super) fn only_text(messages: &Value) -> Option<&str> {
    match messages {
        Value::String(text) => Some(text),
        Value::Array(messages) => {
            let [message] = messages.as_slice() else {
                return None;
            };
            match parts_of(message.get("parts")?) {
                [part] if part_type(part) == "text" => part_text(part),
                _ => None,
            }
        }
        _ => None,
    }
}

/// All texts in messages, in order: what an embedding call embeds.
pub(super) fn texts(messages: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    for message in parts_of(messages) {
        let parts = message.get("parts").or_else(|| message.get("content"));
        let parts = parts_of(parts.unwrap_or(message));
        found.extend(parts.iter().filter_map(part_text));
    }
    found
}
