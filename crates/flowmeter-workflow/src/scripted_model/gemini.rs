//! Gemini's generateContent: requests read, answers written.
//!
//! The model stands in the path, thinking is not part of the candidates' count, and every frame of a stream tells
//! the usage so far.

use serde_json::{Value, json};

use super::reply::{Counts, TextReply};
use super::script::{Asked, content_text};

/// The model and whether the answer is to be streamed, where the path is one of Gemini's.
pub(super) fn place(path: &str) -> Option<(&str, bool)> {
    let (_, name) = path.rsplit_once("/models/")?;
    match name.split_once(':')? {
        (model, "generateContent") => Some((model, false)),
        (model, "streamGenerateContent") => Some((model, true)),
        _ => None,
    }
}

pub(super) fn asked(number: usize, path: &str, body: Value) -> Asked {
    let parts = |place: &str| content_text(body.pointer(place).unwrap_or(&Value::Null));
    let contents = body
        .get("contents")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let prompt: Vec<String> = contents
        .filter_map(|content| content.get("parts"))
        .map(content_text)
        .collect();
    let schema = body
        .pointer("/generationConfig/responseJsonSchema")
        .or_else(|| body.pointer("/generationConfig/responseSchema"));
    Asked {
        number,
        model: place(path).map_or("", |(model, _)| model).to_owned(),
        prompt: prompt.join("\n"),
        system: parts("/systemInstruction/parts"),
        schema: schema.cloned(),
        body,
    }
}

fn frame(asked: &Asked, reply: &TextReply, counts: &Counts, text: &str, output: u64, last: bool) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [{"text": text}]}});
    if last {
        let reason = match reply.finish.as_deref() {
            None | Some("stop") => "STOP",
            Some("length") => "MAX_TOKENS",
            Some(other) => other,
        };
        candidate["finishReason"] = Value::from(reason);
    }
    let mut frame = json!({
        "candidates": [candidate],
        "modelVersion": reply.model.as_deref().unwrap_or(&asked.model),
        "responseId": format!("gemini-scripted-{}", asked.number),
    });
    if reply.with_usage {
        frame["usageMetadata"] = json!({
            "promptTokenCount": counts.input,
            "cachedContentTokenCount": counts.cache_read,
            "candidatesTokenCount": output.saturating_sub(counts.reasoning),
            "thoughtsTokenCount": counts.reasoning,
            "totalTokenCount": counts.input + output,
        });
    }
    frame
}

pub(super) fn whole(asked: &Asked, reply: &TextReply, counts: &Counts) -> Value {
    frame(asked, reply, counts, &reply.text, counts.output, true)
}

/// The frames of a stream.
pub(super) fn frames(asked: &Asked, reply: &TextReply, counts: &Counts) -> Vec<String> {
    let pieces = reply.pieces();
    let last = pieces.len().saturating_sub(1);
    let texts = if pieces.is_empty() { vec![""] } else { pieces };
    let made = texts.iter().enumerate().map(|(index, text)| {
        let output = if index == last {
            counts.output
        } else {
            counts.reasoning + index as u64
        };
        let frame = frame(asked, reply, counts, text, output, index == last);
        format!("data: {frame}\n\n")
    });
    made.collect()
}

pub(super) fn error(code: u16, message: &str) -> Value {
    json!({"error": {"code": code, "message": message, "status": "SCRIPTED"}})
}
