//! Attributes of other conventions than OpenTelemetry's, under the names that everything else here reads.
//!
//! OpenInference (Phoenix), OpenLLMetry (Traceloop) and older GenAI names are known. What is there under its proper name
//! is never changed; what is read is left where it stands, except for messages that were taken apart into an attribute
//! for each field: these are put together again.
//!
//! Source: OpenInference semantic conventions; OpenLLMetry semantic conventions; the GenAI conventions' list of renamed
//! attributes.

use std::collections::BTreeMap;

use flowmeter_model::{AttributeValue, Attributes};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

use crate::names::{self, openinference};

/// A proper name, and those that others have for it; the first one that is there counts.
const OTHER_NAMES: &[(&str, &[&str])] = &[
    (
        names::PROVIDER_NAME,
        &["gen_ai.system", openinference::PROVIDER, openinference::SYSTEM],
    ),
    (
        names::REQUEST_MODEL,
        &[
            openinference::REQUEST_MODEL_NAME,
            openinference::MODEL_NAME,
            openinference::EMBEDDING_MODEL_NAME,
            "llm.request.model",
        ],
    ),
    (
        names::RESPONSE_MODEL,
        &[openinference::RESPONSE_MODEL_NAME, "llm.response.model"],
    ),
    (
        names::INPUT_TOKENS,
        &[
            "gen_ai.usage.prompt_tokens",
            openinference::TOKENS_PROMPT,
            "llm.usage.prompt_tokens",
        ],
    ),
    (
        names::OUTPUT_TOKENS,
        &[
            "gen_ai.usage.completion_tokens",
            openinference::TOKENS_COMPLETION,
            "llm.usage.completion_tokens",
        ],
    ),
    (
        names::CACHE_READ_TOKENS,
        &[
            "gen_ai.usage.cache_read_input_tokens",
            openinference::TOKENS_CACHE_READ,
        ],
    ),
    (
        names::CACHE_WRITE_TOKENS,
        &[
            names::CACHE_WRITE_TOKENS_V1_41,
            "gen_ai.usage.cache_creation_input_tokens",
            openinference::TOKENS_CACHE_WRITE,
        ],
    ),
    (
        names::REASONING_TOKENS,
        &["gen_ai.usage.reasoning_tokens", openinference::TOKENS_REASONING],
    ),
];

/// A cost in dollars as others say it.
const COSTS: &[&str] = &[
    openinference::COST_TOTAL,
    "gen_ai.usage.cost",
    "gen_ai.usage.total_cost",
];

/// Adds what is said under other names; puts messages together that were taken apart.
pub(super) fn settle(attributes: &mut Attributes) {
    if !speaks_of_models(attributes) {
        return;
    }
    if attributes.get(names::OPERATION_NAME).is_none()
        && let Some(operation) = operation(attributes)
    {
        attributes.set(names::OPERATION_NAME, operation);
    }
    for (name, others) in OTHER_NAMES {
        // The conventions' older name is read where it stands.
        let is_told = attributes.get(name).is_some()
            || (*name == names::CACHE_WRITE_TOKENS
                && attributes.get(names::CACHE_WRITE_TOKENS_V1_41).is_some());
        if is_told {
            continue;
        }
        let found = others.iter().find_map(|other| attributes.get(other).cloned());
        match found {
            // `OpenAI` and `openai` are one.
            Some(AttributeValue::Str(provider)) if *name == names::PROVIDER_NAME => {
                attributes.set(*name, names::provider_name(&provider.to_ascii_lowercase()));
            }
            Some(value) => attributes.set(*name, value),
            None => {}
        }
    }
    include_cached(attributes);
    for (name, prefix) in [
        (names::INPUT_MESSAGES, openinference::INPUT_MESSAGES),
        (names::OUTPUT_MESSAGES, openinference::OUTPUT_MESSAGES),
    ] {
        put_together(attributes, name, prefix);
    }
}

/// What the call cost, where its sender said so under a name that is not ours.
pub(super) fn told_usd(attributes: &Attributes) -> Option<f64> {
    COSTS.iter().find_map(|key| match attributes.get(key)? {
        AttributeValue::F64(usd) if usd.is_finite() && *usd >= 0.0 => Some(*usd),
        AttributeValue::I64(usd) if *usd >= 0 => Some(*usd as f64),
        _ => None,
    })
}

fn speaks_of_models(attributes: &Attributes) -> bool {
    attributes.iter().any(|(key, _)| {
        key.starts_with("gen_ai.") || key.starts_with("llm.") || *key == openinference::SPAN_KIND
    })
}

/// What the span does, by OpenInference's kind or OpenLLMetry's type.
fn operation(attributes: &Attributes) -> Option<&'static str> {
    match attributes.get_str(openinference::SPAN_KIND) {
        Some("LLM") => return Some("chat"),
        Some("EMBEDDING") => return Some(names::EMBEDDINGS),
        Some("TOOL") => return Some("execute_tool"),
        Some("AGENT") => return Some("invoke_agent"),
        Some(_) => return None,
        None => {}
    }
    match attributes.get_str("llm.request.type") {
        Some("chat") => Some("chat"),
        Some("completion") => Some("text_completion"),
        Some("embedding") => Some(names::EMBEDDINGS),
        _ => None,
    }
}

/// The conventions count cached tokens as input. Where there are more of them than of all, somebody has not.
fn include_cached(attributes: &mut Attributes) {
    let tokens = |key: &str| match attributes.get(key) {
        Some(AttributeValue::I64(tokens)) => *tokens,
        _ => 0,
    };
    let cached = tokens(names::CACHE_READ_TOKENS)
        .saturating_add(tokens(names::CACHE_WRITE_TOKENS).max(tokens(names::CACHE_WRITE_TOKENS_V1_41)));
    let input = tokens(names::INPUT_TOKENS);
    if attributes.get(names::INPUT_TOKENS).is_some() && cached > input {
        attributes.set(names::INPUT_TOKENS, input.saturating_add(cached));
    }
}

/// `llm.input_messages.0.message.role` and its like as one list of messages.
fn put_together(attributes: &mut Attributes, name: &str, prefix: &str) {
    if attributes.get(name).is_some() {
        return;
    }
    let mut messages: BTreeMap<u32, Message> = BTreeMap::new();
    let mut rest: Vec<(SmolStr, AttributeValue)> = Vec::new();
    for (key, value) in attributes.iter() {
        let is_taken = field_of(key, prefix)
            .is_some_and(|(index, field)| messages.entry(index).or_default().take(field, value));
        if !is_taken {
            rest.push((key.clone(), value.clone()));
        }
    }
    if messages.is_empty() {
        return;
    }
    let list: Vec<Value> = messages.into_values().map(Message::into_json).collect();
    *attributes = rest.into_iter().collect();
    attributes.set(name, Value::Array(list));
}

/// The number and the field in `llm.input_messages.0.message.content`.
fn field_of<'k>(key: &'k str, prefix: &str) -> Option<(u32, &'k str)> {
    let rest = key.strip_prefix(prefix)?.strip_prefix('.')?;
    let (index, field) = rest.split_once('.')?;
    Some((index.parse().ok()?, field.strip_prefix("message.")?))
}

/// A message that is being put together.
#[derive(Default)]
struct Message {
    role: Option<String>,
    texts: BTreeMap<u32, String>,
    /// Name, arguments and id of each call of a tool.
    calls: BTreeMap<u32, Map<String, Value>>,
}

impl Message {
    /// Takes a field; false for one that there is no place for.
    fn take(&mut self, field: &str, value: &AttributeValue) -> bool {
        let AttributeValue::Str(text) = value else {
            return false;
        };
        if field == "role" {
            self.role = Some(text.to_string());
        } else if field == "content" {
            self.texts.insert(0, text.to_string());
        } else if let Some(rest) = field.strip_prefix("contents.") {
            let Some((index, "message_content.text")) = rest.split_once('.') else {
                return false;
            };
            let Ok(index) = index.parse() else { return false };
            self.texts.insert(index, text.to_string());
        } else if let Some(rest) = field.strip_prefix("tool_calls.") {
            let Some((index, of_call)) = rest.split_once(".tool_call.") else {
                return false;
            };
            let Ok(index) = index.parse() else { return false };
            let (key, value) = match of_call {
                "id" => ("id", Value::from(text.as_str())),
                "function.name" => ("name", Value::from(text.as_str())),
                "function.arguments" => (
                    "arguments",
                    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())),
                ),
                _ => return false,
            };
            self.calls.entry(index).or_default().insert(key.to_owned(), value);
        } else {
            return false;
        }
        true
    }

    fn into_json(self) -> Value {
        let texts = self
            .texts
            .into_values()
            .map(|text| json!({"type": "text", "content": text}));
        let calls = self.calls.into_values().map(|call| {
            let mut part = Map::new();
            part.insert("type".to_owned(), "tool_call".into());
            part.extend(call);
            Value::Object(part)
        });
        json!({"role": self.role.unwrap_or_default(), "parts": texts.chain(calls).collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests;
