//! The demo model: a small, deterministic summariser that says what it is.
//!
//! Never random and never dependent on the time: the same prompt always gets the same answer.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Asked, Reply};

/// Words too common to say anything about a text.
const COMMON: [&str; 40] = [
    "about",
    "after",
    "also",
    "been",
    "before",
    "being",
    "could",
    "each",
    "every",
    "following",
    "from",
    "have",
    "into",
    "its",
    "just",
    "more",
    "most",
    "only",
    "other",
    "over",
    "please",
    "should",
    "some",
    "such",
    "summarise",
    "summarize",
    "text",
    "than",
    "that",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "what",
    "when",
    "which",
    "with",
];

/// How the demo model behaves.
#[derive(Clone, Debug, Default)]
pub struct DemoModel {
    latency: Duration,
    pace: Duration,
    failing_call: Option<usize>,
}

impl DemoModel {
    /// Answers at once and never fails.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits so long before the first token and between the pieces of a stream, so that there is something to see.
    #[must_use]
    pub fn latency(self, first_token: Duration, between_pieces: Duration) -> Self {
        Self {
            latency: first_token,
            pace: between_pieces,
            ..self
        }
    }

    /// Answers call `number` (from 1) with status 503, as an overloaded provider does.
    #[must_use]
    pub fn failing_call(self, number: usize) -> Self {
        Self {
            failing_call: Some(number),
            ..self
        }
    }

    /// The answer to a request.
    #[must_use]
    pub fn answer(&self, asked: &Asked) -> Reply {
        if self.failing_call == Some(asked.number) {
            return Reply::status(503, "the demo model is overloaded for a moment").delay(self.latency);
        }
        let reply = match &asked.schema {
            Some(schema) => Reply::json(&instance(schema, schema, &asked.prompt, 0)),
            None => Reply::text(summary(&asked.prompt)),
        };
        reply.delay(self.latency).pace(self.pace)
    }
}

/// The first sentences and the most frequent words.
fn summary(text: &str) -> String {
    let words = text.split_whitespace().count();
    let frequent = frequent_words(text, 5);
    let mut summary = format!("This is the demo model, which only counts words. The text has {words} words.");
    let opening = opening(text);
    if !opening.is_empty() {
        summary.push_str(&format!(" It begins: {opening}"));
    }
    if !frequent.is_empty() {
        summary.push_str(&format!(" Frequent words: {}.", frequent.join(", ")));
    }
    summary
}

/// Up to two sentences from the start, at most 240 characters.
fn opening(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let ends = flat
        .match_indices(['.', '!', '?'])
        .map(|(at, mark)| at + mark.len());
    let end = ends
        .filter(|end| flat[*end..].is_empty() || flat[*end..].starts_with(' '))
        .nth(1)
        .unwrap_or(flat.len());
    match flat[..end].char_indices().nth(240) {
        Some((cut, _)) => format!("{}…", flat[..cut].trim_end()),
        None => flat[..end].to_owned(),
    }
}

fn frequent_words(text: &str, count: usize) -> Vec<String> {
    let mut seen: HashMap<String, (usize, usize)> = HashMap::new();
    for (place, word) in text
        .split(|character: char| !character.is_alphanumeric())
        .enumerate()
    {
        let word = word.to_lowercase();
        if word.chars().count() > 3 && !COMMON.contains(&word.as_str()) {
            seen.entry(word).or_insert((0, place)).0 += 1;
        }
    }
    let mut words: Vec<(String, (usize, usize))> = seen.into_iter().collect();
    words.sort_by_key(|(_, (times, place))| (std::cmp::Reverse(*times), *place));
    words.into_iter().take(count).map(|(word, _)| word).collect()
}

/// The deepest nesting that an answer follows a schema to.
const DEPTH_MAX: usize = 16;

/// A value that follows the schema, with something of the text in it.
fn instance(schema: &Value, root: &Value, text: &str, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    let inner = |schema: &Value| instance(schema, root, text, depth + 1);
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let found = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return found.map_or(Value::Null, inner);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    if let Some(first) = ["anyOf", "oneOf", "allOf"]
        .iter()
        .find_map(|key| schema.get(key)?.get(0))
    {
        return inner(first);
    }
    let kind = schema
        .get("type")
        .and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    let lowest = schema.get("minimum").and_then(Value::as_i64).unwrap_or(0);
    match kind {
        Some("string") => Value::from(opening(text)),
        Some("integer" | "number") => {
            let words = text.split_whitespace().count() as i64;
            let highest = schema.get("maximum").and_then(Value::as_i64).unwrap_or(i64::MAX);
            Value::from(words.max(lowest).min(highest))
        }
        Some("boolean") => Value::Bool(true),
        Some("null") => Value::Null,
        Some("array") => {
            let items = schema.get("items");
            let plain = items.and_then(|items| items.get("type")).and_then(Value::as_str) == Some("string");
            if plain && items.and_then(|items| items.get("enum")).is_none() {
                return frequent_words(text, 3).into_iter().map(Value::from).collect();
            }
            items.map(inner).into_iter().collect()
        }
        _ => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let members = properties
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), inner(schema)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests;
