//! Answers read from the bodies of providers.

use serde_json::json;

use crate::LlmResponse;

/// Provider, body, and what is to be read: text, input, output, finish reason.
#[test]
fn answers_of_all_dialects_are_read() {
    let bodies = [
        (
            "openai",
            json!({"id": "c-1", "model": "gpt-4o-2024", "choices": [{"message": {"content": "Hi"},
                "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}),
            "stop",
        ),
        (
            "openai",
            json!({"id": "r-1", "model": "gpt-5", "output": [{"type": "reasoning"}, {"type": "message",
                "content": [{"type": "output_text", "text": "Hi"}]}], "finish_reason": "stop",
                "usage": {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}}),
            "stop",
        ),
        (
            "anthropic",
            json!({"id": "m-1", "type": "message", "model": "claude-x", "content": [{"type": "text", "text": "Hi"}],
                "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 2}}),
            "end_turn",
        ),
        (
            "gemini",
            json!({"responseId": "g-1", "modelVersion": "gemini-x", "candidates": [{"content": {"parts":
                [{"text": "H"}, {"text": "i"}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2}}),
            "STOP",
        ),
        (
            "ollama",
            json!({"model": "llama", "message": {"content": "Hi"}, "done_reason": "stop",
                "prompt_eval_count": 9, "eval_count": 2}),
            "stop",
        ),
        (
            "aws.bedrock",
            json!({"output": {"message": {"content": [{"text": "Hi"}]}}, "stopReason": "end_turn",
                "usage": {"inputTokens": 9, "outputTokens": 2}}),
            "end_turn",
        ),
    ];
    for (provider, body, reason) in bodies {
        let response = LlmResponse::from_body(provider, body.to_string().as_bytes());
        assert_eq!(*response.text, json!("Hi"), "{provider}");
        assert_eq!(response.usage.input_tokens(), 9, "{provider}");
        assert_eq!(response.usage.output_tokens(), 2, "{provider}");
        assert_eq!(response.finish_reasons, [reason], "{provider}");
        let again = LlmResponse::from_json(provider, &body);
        assert_eq!(format!("{again:?}"), format!("{response:?}"));
    }
}

#[test]
fn a_stream_that_was_collected_is_read_as_one() {
    let openai = "data: {\"id\":\"c\",\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"content\":\"He\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"y\"},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: [DONE]\n";
    let anthropic = "event: message_start\n\
        data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"claude\",\"content\":[],\
        \"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\
        data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"He\"}}\n\n\
        data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"y\"}}\n\n\
        data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"stop\"},\"usage\":{\"output_tokens\":1}}\n";
    let responses = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"He\"}\n\
        data: {\"type\":\"response.output_text.delta\",\"delta\":\"y\"}\n\
        data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"model\":\"gpt-5\",\
        \"output\":[{\"content\":[{\"text\":\"Hey\"}]}],\
        \"usage\":{\"input_tokens\":3,\"output_tokens\":1,\"total_tokens\":4}}}\n";
    for (provider, body) in [
        ("openai", openai),
        ("anthropic", anthropic),
        ("openai", responses),
    ] {
        let response = LlmResponse::from_body(provider, body.as_bytes());
        assert_eq!(*response.text, json!("Hey"), "{provider}");
        assert_eq!(response.usage.input_tokens(), 3, "{provider}");
        assert_eq!(response.usage.output_tokens(), 1, "{provider}");
        assert!(response.model.is_some() && response.response_id.is_some());
    }
}

#[test]
fn what_is_no_answer_keeps_its_text_and_has_no_usage() {
    let response = LlmResponse::from_body("openai", b"<html>busy\xff</html>");
    assert_eq!(*response.text, json!("<html>busy\u{fffd}</html>"));
    assert!(!response.usage.is_known());
    let empty = LlmResponse::from_json("openai", &json!([]));
    assert!(empty.text.is_null() && !empty.usage.is_known());
}
