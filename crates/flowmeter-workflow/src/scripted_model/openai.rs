//! OpenAI's chat completions: requests read, answers written.
//!
//! Usage comes in the last chunk of a stream, and only to those who ask for it.

use serde_json::{Map, Value, json};

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
        schema: body.pointer("/response_format/json_schema/schema").cloned(),
        body,
    }
}

fn usage(counts: &Counts) -> Value {
    let mut usage = json!({
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
    });
    if let Value::Object(usage) = &mut usage {
        if counts.cache_read > 0 {
            usage.insert(
                "prompt_tokens_details".to_owned(),
                json!({"cached_tokens": counts.cache_read}),
            );
        }
        if counts.reasoning > 0 {
            usage.insert(
                "completion_tokens_details".to_owned(),
                json!({"reasoning_tokens": counts.reasoning}),
            );
        }
    }
    usage
}

fn finish(reply: &TextReply) -> &str {
    reply.finish.as_deref().unwrap_or("stop")
}

pub(super) fn whole(asked: &Asked, reply: &TextReply, counts: &Counts) -> Value {
    let mut body = json!({
        "id": format!("chatcmpl-scripted-{}", asked.number),
        "object": "chat.completion",
        "created": 0,
        "model": reply.model.as_deref().unwrap_or(&asked.model),
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": reply.text},
            "finish_reason": finish(reply),
        }],
    });
    if reply.with_usage
        && let Value::Object(body) = &mut body
    {
        body.insert("usage".to_owned(), usage(counts));
    }
    body
}

/// The frames of a stream.
pub(super) fn frames(asked: &Asked, reply: &TextReply, counts: &Counts) -> Vec<String> {
    let with_usage = asked.body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let chunk = |choices: Value, counted: Option<Value>| {
        let mut chunk = Map::from_iter([
            (
                "id".to_owned(),
                Value::from(format!("chatcmpl-scripted-{}", asked.number)),
            ),
            ("object".to_owned(), Value::from("chat.completion.chunk")),
            ("created".to_owned(), Value::from(0)),
            (
                "model".to_owned(),
                Value::from(reply.model.as_deref().unwrap_or(&asked.model)),
            ),
            ("choices".to_owned(), choices),
        ]);
        if with_usage && reply.with_usage {
            chunk.insert("usage".to_owned(), counted.unwrap_or(Value::Null));
        }
        format!("data: {}\n\n", Value::Object(chunk))
    };
    let delta = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut frames = Vec::new();
    for piece in reply.pieces() {
        frames.push(chunk(
            delta(json!({"role": "assistant", "content": piece}), Value::Null),
            None,
        ));
    }
    frames.push(chunk(delta(json!({}), Value::from(finish(reply))), None));
    if with_usage && reply.with_usage {
        frames.push(chunk(json!([]), Some(usage(counts))));
    }
    frames.push("data: [DONE]\n\n".to_owned());
    frames
}

pub(super) fn error(code: u16, message: &str) -> Value {
    json!({"error": {"message": message, "type": "scripted_error", "param": null, "code": code}})
}

pub(super) fn models() -> Value {
    json!({"object": "list", "data": [{"id": "demo-small", "object": "model", "created": 0, "owned_by": "flowmeter"}]})
}
