//! Reads what a provider answered, for calls that were made with a client of the user's own.
//!
//! Never fails: what a body does not say stays unknown.

use std::sync::Arc;

use flowmeter_pricing::{UsageStream, extract_usage};
use serde_json::Value;
use smol_str::SmolStr;

use super::LlmResponse;

impl LlmResponse {
    /// Reads the body of an answer: JSON, or the events of a stream that was collected whole. `provider` is a
    /// name such as `openai`, `anthropic`, `gemini` or `aws.bedrock`. A body that is neither keeps its text, and
    /// its usage is estimated.
    #[must_use]
    pub fn from_body(provider: &str, body: &[u8]) -> Self {
        if let Ok(body) = serde_json::from_slice::<Value>(body) {
            return Self::from_json(provider, &body);
        }
        Self::from_events(provider, &String::from_utf8_lossy(body))
    }

    /// The same for a body that was parsed already.
    #[must_use]
    pub fn from_json(provider: &str, body: &Value) -> Self {
        let mut response = Self {
            usage: extract_usage(Some(provider), body),
            ..Self::default()
        };
        let mut text = String::new();
        response.read(body, &mut text);
        if !text.is_empty() {
            response.text = Arc::new(Value::String(text));
        }
        response
    }

    /// A stream's events: `data:` lines, or lines of JSON.
    fn from_events(provider: &str, body: &str) -> Self {
        let mut response = Self::default();
        let mut usage = UsageStream::new(Some(provider));
        let mut text = String::new();
        let mut is_stream = false;
        for line in body.lines() {
            let frame = line.strip_prefix("data:").unwrap_or(line).trim();
            let Ok(event) = serde_json::from_str::<Value>(frame) else {
                continue;
            };
            is_stream = true;
            usage.frame(frame);
            response.read(&event, &mut text);
        }
        response.usage = usage.usage();
        response.text = Arc::new(Value::String(if is_stream { text } else { body.to_owned() }));
        response
    }

    /// Takes what one object says beside its usage.
    fn read(&mut self, body: &Value, text: &mut String) {
        let first = |places: &[&str]| {
            let mut found = places
                .iter()
                .filter_map(|place| body.pointer(place).and_then(Value::as_str));
            found.find(|text| !text.is_empty()).map(SmolStr::new)
        };
        if self.model.is_none() {
            self.model = first(&["/model", "/message/model", "/response/model", "/modelVersion"]);
        }
        if self.response_id.is_none() {
            self.response_id = first(&["/id", "/message/id", "/response/id", "/responseId"]);
        }
        let reason = first(&[
            "/choices/0/finish_reason",
            "/delta/stop_reason",
            "/stop_reason",
            "/candidates/0/finishReason",
            "/stopReason",
            "/done_reason",
            "/finish_reason",
        ]);
        if let Some(reason) = reason
            && !self.finish_reasons.contains(&reason)
        {
            self.finish_reasons.push(reason);
        }
        if self.raw_usage.is_none() {
            const PLACES: [&str; 5] = [
                "/usage",
                "/message/usage",
                "/response/usage",
                "/usageMetadata",
                "/meta/billed_units",
            ];
            let mut blocks = PLACES.iter().filter_map(|place| body.pointer(place));
            let block = blocks.find(|block| block.is_object());
            self.raw_usage = block.map(|block| Arc::new(block.clone()));
        }
        add_text(body, text);
    }
}

/// Where the text of an answer, or of a piece of it, stands: a text, or a list of parts that have one.
const TEXTS: [&str; 11] = [
    "/choices/0/message/content",
    "/choices/0/delta/content",
    "/choices/0/text",
    "/content",
    "/delta/text",
    "/candidates/0/content/parts",
    "/output/message/content",
    "/message/content",
    "/delta/message/content/text",
    "/output",
    "/response",
];

fn add_text(body: &Value, text: &mut String) {
    // OpenAI's Responses API repeats in its last event what the others said.
    let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind == "response.output_text.delta" {
        text.push_str(body.get("delta").and_then(Value::as_str).unwrap_or_default());
        return;
    }
    if kind.starts_with("response.") {
        return;
    }
    let found = TEXTS.iter().find_map(|place| body.pointer(place));
    match found {
        Some(Value::String(whole)) => text.push_str(whole),
        Some(Value::Array(parts)) => add_parts(parts, text),
        _ => {}
    }
}

fn add_parts(parts: &[Value], text: &mut String) {
    for part in parts {
        match (part.get("text"), part.get("content")) {
            (Some(Value::String(piece)), _) => text.push_str(piece),
            (_, Some(Value::Array(inner))) => add_parts(inner, text),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
