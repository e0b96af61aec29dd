//! How a provider is told the JSON Schema of an answer: held to it, asked for it, or in words.
//!
//! Never changes a schema.

use serde_json::Value;

/// How a schema is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemaWay {
    /// The provider holds the answer to it. Every member is named, and there are no others.
    Strict,
    /// The provider takes it and does its best: objects in it have members that it does not name.
    Loose,
    /// The model is told in words.
    Words,
}

impl SchemaWay {
    /// The way for the protocol with this name.
    pub(super) fn of(adapter: &str, schema: &Value) -> Self {
        match adapter {
            "ollama" | "deepseek" | "cohere" | "bedrock_api" | "minimax" => Self::Words,
            _ if !is_open(schema) => Self::Strict,
            // These speak OpenAI's chat completions, where `strict` can be off.
            "openai" | "groq" | "mistral" | "xai" | "open_router" | "together" | "fireworks" | "zai"
            | "moonshot" | "kimi" | "nebius" | "aliyun" => Self::Loose,
            _ => Self::Words,
        }
    }
}

/// Whether an answer may have members that the schema does not name: constrained decoding knows no such thing.
fn is_open(schema: &Value) -> bool {
    let Value::Object(members) = schema else {
        return schema.as_bool() == Some(true);
    };
    let is_object = match members.get("type") {
        Some(Value::String(name)) => name == "object",
        Some(Value::Array(names)) => names.iter().any(|name| name == "object"),
        Some(_) => false,
        // A schema that says nothing of the type and points nowhere takes anything.
        None => {
            let narrowing = ["enum", "const", "$ref", "anyOf", "oneOf", "allOf"];
            if !narrowing.iter().any(|key| members.contains_key(*key)) {
                return true;
            }
            false
        }
    };
    let properties = members.get("properties").and_then(Value::as_object);
    if is_object && properties.is_none_or(serde_json::Map::is_empty) {
        return true;
    }
    if is_object
        && !matches!(
            members.get("additionalProperties"),
            None | Some(Value::Bool(false))
        )
    {
        return true;
    }
    let groups = ["properties", "$defs", "definitions"];
    let named = groups
        .iter()
        .filter_map(|key| members.get(*key)?.as_object())
        .flat_map(serde_json::Map::values);
    let listed = ["anyOf", "oneOf", "allOf", "prefixItems"]
        .iter()
        .filter_map(|key| members.get(*key)?.as_array())
        .flatten();
    named.chain(listed).chain(members.get("items")).any(is_open)
}

#[cfg(test)]
mod tests;
