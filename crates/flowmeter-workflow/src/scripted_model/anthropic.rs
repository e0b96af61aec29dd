//! Anthropic's messages: requests read, answers written.
//!
//! Its input count leaves out what was cached, and the counts of a stream are cumulative.

use serde_json::{Value, json};

use super::reply::{Counts, TextReply};
use super::script::{Asked, content_text, message_texts};

pub(super) fn asked(number: usize, body: Value) -> Asked {
    let (_, prompt) = message_texts(&body);
    let schema = body
        .pointer("/output_config/format/schema")
        .or_else(|| body.pointer("/output_format/schema"));
    Asked {
        number,
        model: body
            .get("model")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        prompt,
        system: content_text(body.get("system").unwrap_or(&Value::Null)),
        schema: schema.cloned(),
        body,
    }
}

fn usage(counts: &Counts, output: u64) -> Value {
    let written = counts.cache_write_5m + counts.cache_write_1h;
    json!({
        "input_tokens": counts.input.saturating_sub(counts.cache_read + written),
        "cache_read_input_tokens": counts.cache_read,
        "cache_creation_input_tokens": written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.cache_write_5m,
            "ephemeral_1h_input_tokens": counts.cache_write_1h,
        },
        "output_tokens": output,
    })
}

fn stop_reason(reply: &TextReply) -> &str {
    match reply.finish.as_deref() {
        None | Some("stop") => "end_turn",
        Some("length") => "max_tokens",
        Some(other) => other,
    }
}

fn message(asked: &Asked, reply: &TextReply) -> Value {
    json!({
        "id": format!("msg_scripted_{}", asked.number),
        "type": "message",
        "role": "assistant",
        "model": reply.model.as_deref().unwrap_or(&asked.model),
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    })
}

pub(super) fn whole(asked: &Asked, reply: &TextReply, counts: &Counts) -> Value {
    let mut body = message(asked, reply);
    body["content"] = json!([{"type": "text", "text": reply.text}]);
    body["stop_reason"] = Value::from(stop_reason(reply));
    if reply.with_usage {
        body["usage"] = usage(counts, counts.output);
    }
    body
}

/// The frames of a stream.
pub(super) fn frames(asked: &Asked, reply: &TextReply, counts: &Counts) -> Vec<String> {
    let frame = |body: Value| {
        let kind = body["type"].as_str().unwrap_or_default().to_owned();
        format!("event: {kind}\ndata: {body}\n\n")
    };
    let mut start = message(asked, reply);
    if reply.with_usage {
        start["usage"] = usage(counts, 1);
    }
    let mut frames = vec![
        frame(json!({"type": "message_start", "message": start})),
        frame(
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        frame(json!({"type": "ping"})),
    ];
    for piece in reply.pieces() {
        let delta = json!({"type": "text_delta", "text": piece});
        frames.push(frame(
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        ));
    }
    frames.push(frame(json!({"type": "content_block_stop", "index": 0})));
    let delta = json!({"stop_reason": stop_reason(reply), "stop_sequence": null});
    let mut last = json!({"type": "message_delta", "delta": delta});
    if reply.with_usage {
        last["usage"] = json!({"output_tokens": counts.output});
    }
    frames.push(frame(last));
    frames.push(frame(json!({"type": "message_stop"})));
    frames
}

pub(super) fn error(code: u16, message: &str) -> Value {
    let kind = match code {
        400 => "invalid_request_error",
        401 => "authentication_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
}
