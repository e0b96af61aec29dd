//! Ollama's chat: requests read, answers written, streams as lines of JSON.
//!
//! It streams unless it is told not to.

use serde_json::{Value, json};

use super::reply::{Counts, TextReply};
use super::script::{Asked, message_texts};

pub(super) fn asked(number: usize, body: Value) -> Asked {
    let (system, prompt) = message_texts(&body);
    Asked {
        number,
        model: body
            .get("model")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        prompt,
        system,
        schema: body.get("format").filter(|format| format.is_object()).cloned(),
        body,
    }
}

fn last(asked: &Asked, reply: &TextReply, counts: &Counts, text: &str) -> Value {
    let mut body = json!({
        "model": reply.model.as_deref().unwrap_or(&asked.model),
        "created_at": "1970-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": true,
        "done_reason": reply.finish.as_deref().unwrap_or("stop"),
        "total_duration": 1_000_000,
    });
    if reply.with_usage {
        body["prompt_eval_count"] = Value::from(counts.input);
        body["eval_count"] = Value::from(counts.output);
    }
    body
}

pub(super) fn whole(asked: &Asked, reply: &TextReply, counts: &Counts) -> Value {
    last(asked, reply, counts, &reply.text)
}

/// The lines of a stream.
pub(super) fn frames(asked: &Asked, reply: &TextReply, counts: &Counts) -> Vec<String> {
    let mut frames: Vec<String> = reply
        .pieces()
        .into_iter()
        .map(|piece| {
            let line = json!({
                "model": reply.model.as_deref().unwrap_or(&asked.model),
                "created_at": "1970-01-01T00:00:00Z",
                "message": {"role": "assistant", "content": piece},
                "done": false,
            });
            format!("{line}\n")
        })
        .collect();
    frames.push(format!("{}\n", last(asked, reply, counts, "")));
    frames
}

pub(super) fn error(_code: u16, message: &str) -> Value {
    json!({"error": message})
}
