//! Prompts and answers as people read them: who said what.
//!
//! Understands the message lists of the GenAI conventions; what has another form is shown as JSON.

use flowmeter_model::{AttributeValue, Span};
use flowmeter_otlp::names;
use serde_json::Value;

use super::value_words::text_lines;

/// What one message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// `system`, `user`, `assistant`, `tool`; empty where nobody is named.
    pub(crate) role: String,
    /// Its parts, one below the other.
    pub(crate) text: String,
}

/// What a model was sent: system instructions that stand apart, then the messages.
pub(crate) fn prompt_of(call: &Span) -> Vec<Message> {
    let system = attribute(call, names::SYSTEM_INSTRUCTIONS).map(|value| Message {
        role: "system".to_owned(),
        text: match value {
            Value::Array(parts) => parts.iter().map(part_text).collect::<Vec<_>>().join("\n"),
            other => part_text(other),
        },
    });
    let said = attribute(call, names::INPUT_MESSAGES)
        .map(messages)
        .unwrap_or_default();
    system.into_iter().chain(said).collect()
}

/// What a model answered.
pub(crate) fn response_of(call: &Span) -> Vec<Message> {
    attribute(call, names::OUTPUT_MESSAGES)
        .map(messages)
        .unwrap_or_default()
}

/// All of it as one text, for comparing. Who said nothing is left out.
pub(crate) fn joined(messages: &[Message]) -> String {
    let parts: Vec<String> = messages
        .iter()
        .filter(|message| !message.text.is_empty())
        .map(|message| format!("[{}]\n{}", message.role, message.text))
        .collect();
    parts.join("\n")
}

/// The lines of messages, each under its role.
pub(crate) fn message_lines(said: &[Message], is_full: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for message in said {
        lines.push(format!("[{}]", crate::printable::one_line(&message.role)));
        lines.extend(
            text_lines(&message.text, is_full)
                .into_iter()
                .map(|line| format!("  {line}")),
        );
    }
    lines
}

fn attribute<'a>(call: &'a Span, key: &str) -> Option<&'a Value> {
    match call.attributes.get(key)? {
        AttributeValue::Json(value) => Some(value),
        _ => None,
    }
}

fn messages(value: &Value) -> Vec<Message> {
    let Value::Array(messages) = value else {
        return vec![Message {
            role: String::new(),
            text: part_text(value),
        }];
    };
    messages
        .iter()
        .map(|message| {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            let parts = message.get("parts").or_else(|| message.get("content"));
            let text = match parts {
                Some(Value::Array(parts)) => parts.iter().map(part_text).collect::<Vec<_>>().join("\n"),
                Some(other) => part_text(other),
                None => part_text(message),
            };
            Message {
                role: role.to_owned(),
                text,
            }
        })
        .collect()
}

/// A part of a message. Source: GenAI conventions, schema of messages: `text`, `reasoning`, `tool_call`,
/// `tool_call_response`, `blob`, `uri`, `file`.
fn part_text(part: &Value) -> String {
    let member = |name: &str| part.get(name).filter(|value| !value.is_null());
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let of = |name: &str| member(name).map(text).unwrap_or_default();
    match part {
        Value::String(said) => said.clone(),
        Value::Object(_) => match part.get("type").and_then(Value::as_str).unwrap_or_default() {
            "text" => member("content")
                .or_else(|| member("text"))
                .map(text)
                .unwrap_or_default(),
            "reasoning" | "thinking" => format!("(reasoning) {}", of("content")),
            "tool_call" => format!("→ {}({})", of("name"), of("arguments")),
            "tool_call_response" => {
                let answer = member("response").or_else(|| member("result")).map(text);
                format!("← {}", answer.unwrap_or_default())
            }
            _ => part.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
