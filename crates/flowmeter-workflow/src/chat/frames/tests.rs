//! Tests of the frame reader; never over a network.

use serde_json::json;

use super::*;

fn read(provider: &str, frames: &[Value]) -> Frames {
    let mut read = Frames::new(provider);
    for frame in frames {
        read.read(&frame.to_string());
    }
    read
}

#[test]
fn a_chat_completion_stream_tells_names_finish_and_usage() {
    let mut frames = read(
        "openai",
        &[
            json!({"id": "c1", "model": "m-1", "choices": [{"delta": {"content": "a"}, "finish_reason": null}], "usage": null}),
            json!({"id": "c1", "model": "m-1", "choices": [{"delta": {}, "finish_reason": "stop"}], "usage": null}),
            json!({"id": "c1", "model": "m-1", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}),
        ],
    );
    assert_eq!(frames.model.as_deref(), Some("m-1"));
    assert_eq!(frames.response_id.as_deref(), Some("c1"));
    assert_eq!(frames.finish_reason.as_deref(), Some("stop"));
    let usage = frames.usage(false);
    assert_eq!((usage.input_tokens(), usage.output_tokens()), (7, 3));
    assert_eq!(
        frames.raw_usage().as_deref(),
        Some(&json!({"prompt_tokens": 7, "completion_tokens": 3}))
    );
}

#[test]
fn anthropics_placeholder_is_no_count_when_the_stream_was_cut() {
    let start = json!({"type": "message_start", "message": {"id": "m", "model": "claude", "usage":
        {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}}});
    let cut = read("anthropic", std::slice::from_ref(&start)).usage(true);
    assert_eq!(cut.input_tokens(), 15);
    assert_eq!(cut.output, None);

    let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 42}});
    let mut whole = read("anthropic", &[start, end]);
    assert_eq!(whole.usage(false).output_tokens(), 42);
    assert_eq!(whole.finish_reason.as_deref(), Some("end_turn"));
    assert_eq!(
        whole.raw_usage().as_deref(),
        Some(&json!({"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 42}))
    );
}

#[test]
fn an_error_in_mid_stream_is_kept() {
    let frames = read(
        "anthropic",
        &[json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})],
    );
    assert_eq!(frames.error.as_deref(), Some("Overloaded"));
}

#[test]
fn ollama_counts_stand_beside_the_message() {
    let body = json!({"model": "m", "message": {"content": "x"}, "done": true, "done_reason": "stop",
        "prompt_eval_count": 4, "eval_count": 2, "eval_duration": 9});
    let whole = Whole::read("ollama", &body);
    assert_eq!((whole.usage.input_tokens(), whole.usage.output_tokens()), (4, 2));
    assert_eq!(
        whole.raw_usage.as_deref(),
        Some(&json!({"prompt_eval_count": 4, "eval_count": 2, "eval_duration": 9}))
    );
    assert_eq!(whole.finish_reason.as_deref(), Some("stop"));
}

#[test]
fn a_server_may_put_spaces_into_its_json() {
    let mut frames = Frames::new("openai");
    frames.read(r#"{"model": "m", "choices": [{"delta": {"content": "a"}, "finish_reason": null}]}"#);
    assert_eq!(frames.finish_reason, None);
    frames.read(r#"{"model": "m", "choices": [{"delta": {}, "finish_reason" : "stop"}]}"#);
    assert_eq!(frames.finish_reason.as_deref(), Some("stop"));
    let mut frames = Frames::new("anthropic");
    frames.read(r#"{"model": "m"}"#);
    frames.read(r#"{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}"#);
    assert_eq!(frames.finish_reason.as_deref(), Some("end_turn"));
}

#[test]
fn a_refusal_is_what_the_model_said() {
    let frames = read(
        "openai",
        &[
            json!({"model": "m", "choices": [{"delta": {"content": null, "refusal": "I cannot "}}]}),
            json!({"model": "m", "choices": [{"delta": {"refusal": "help."}}]}),
            json!({"model": "m", "choices": [{"delta": {"refusal": null}, "finish_reason": "stop"}]}),
        ],
    );
    assert_eq!(frames.refusal, "I cannot help.");
    let body = json!({"model": "m", "choices": [{"message": {"content": null, "refusal": "No."}}]});
    assert_eq!(Whole::read("openai", &body).refusal.as_deref(), Some("No."));
}
