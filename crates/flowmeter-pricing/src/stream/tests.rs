//! Streams as providers send them.

use serde_json::json;

use super::*;

#[track_caller]
fn read_all(hint: Option<&str>, frames: &[&str]) -> TokenUsage {
    let mut stream = UsageStream::new(hint);
    for frame in frames {
        stream.frame(frame);
    }
    stream.usage()
}

fn tokens(usage: &TokenUsage) -> (Option<u64>, Option<u64>) {
    (
        usage.input.map(|figure| figure.tokens),
        usage.output.map(|figure| figure.tokens),
    )
}

#[test]
fn anthropic_deltas_are_cumulative_and_the_split_comes_first() {
    let frames = [
        r#"{"type":"message_start","message":{"type":"message","usage":{"input_tokens":176,"cache_read_input_tokens":1024,"cache_creation_input_tokens":200,"cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50},"output_tokens":1,"service_tier":"standard"}}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"no usage here"}}"#,
        r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":120}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":176,"cache_read_input_tokens":1024,"cache_creation_input_tokens":200,"output_tokens":300,"server_tool_use":{"web_search_requests":2}}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    for hint in [None, Some("anthropic")] {
        let usage = read_all(hint, &frames);
        assert_eq!(tokens(&usage), (Some(1400), Some(300)));
        assert_eq!(usage.cache_write_5m.map(|figure| figure.tokens), Some(150));
        assert_eq!(usage.cache_write_1h.map(|figure| figure.tokens), Some(50));
        assert_eq!(usage.web_searches, Some(2));
        assert_eq!(usage.service_tier.as_deref(), Some("standard"));
    }
    // A stream that broke off tells what is known so far.
    assert_eq!(tokens(&read_all(None, &frames[..3])), (Some(1400), Some(120)));
}

#[test]
fn openai_sends_null_until_the_end() {
    let usage = read_all(
        None,
        &[
            r#"{"choices":[{"delta":{"content":"the \"usage\" of words"}}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":"hi"}}],"usage": null}"#,
            r#"{"choices":[],"service_tier":"priority","usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#,
            "[DONE]",
        ],
    );
    assert_eq!(tokens(&usage), (Some(9), Some(4)));
    assert_eq!(usage.service_tier.as_deref(), Some("priority"));
}

#[test]
fn a_responses_stream_ends_with_the_whole_response() {
    let usage = read_all(
        Some("openai"),
        &[
            r#"{"type":"response.created","response":{"usage":null,"output":[]}}"#,
            r#"{"type":"response.completed","response":{"service_tier":"default","output":[{"type":"web_search_call"}],"usage":{"input_tokens":7,"output_tokens":3}}}"#,
        ],
    );
    assert_eq!(tokens(&usage), (Some(7), Some(3)));
    assert_eq!(usage.web_searches, Some(1));
}

#[test]
fn the_last_chunk_of_gemini_counts() {
    let usage = read_all(
        Some("gemini"),
        &[
            r#"{"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":2,"totalTokenCount":10}}"#,
            r#"{"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":6,"thoughtsTokenCount":5,"totalTokenCount":19}}"#,
        ],
    );
    assert_eq!(tokens(&usage), (Some(8), Some(11)));
}

#[test]
fn other_dialects_in_a_stream() {
    let ollama = [
        r#"{"message":{"content":"a"},"done":false}"#,
        r#"{"done":true,"prompt_eval_count":5,"eval_count":6}"#,
    ];
    assert_eq!(tokens(&read_all(Some("ollama"), &ollama)), (Some(5), Some(6)));
    let groq = [r#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":2}}}"#];
    assert_eq!(tokens(&read_all(Some("groq"), &groq)), (Some(1), Some(2)));
    let llama = [
        r#"data: {"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4},"timings":{}}"#,
    ];
    assert_eq!(tokens(&read_all(None, &llama)), (Some(3), Some(4)));
    let bedrock = [
        r#"{"outputText":"x","amazon-bedrock-invocationMetrics":{"inputTokenCount":5,"outputTokenCount":6}}"#,
    ];
    assert_eq!(tokens(&read_all(Some("bedrock"), &bedrock)), (Some(5), Some(6)));
    // The model's own counts, which know of the one-hour cache, are not replaced by Bedrock's, but completed.
    let native = [
        r#"{"type":"message_start","message":{"usage":{"input_tokens":5,"cache_creation":{"ephemeral_1h_input_tokens":9}}}}"#,
        r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1,"outputTokenCount":1}}"#,
    ];
    assert_eq!(tokens(&read_all(Some("bedrock"), &native)), (Some(14), Some(1)));
}

#[test]
fn noise_is_passed_over() {
    let usage = read_all(
        None,
        &[
            "",
            "[DONE]",
            ": ping",
            "{\"usage\":",
            "data: \"usage\"",
            "\u{1f600} \"usage\":{}",
        ],
    );
    assert_eq!(usage, TokenUsage::default());
}

#[test]
fn no_frame_breaks_a_stream() {
    arbtest::arbtest(|u| {
        let mut stream = UsageStream::new(None);
        for _ in 0..u.int_in_range(0..=6)? {
            let text: String = u.arbitrary()?;
            let block = json!({"usage": {"input_tokens": u.arbitrary::<u64>()?, "output_tokens": text}});
            stream.frame(&text);
            stream.frame(&format!("{text}\"usage\":{text}"));
            stream.frame(&block.to_string());
        }
        let _ = stream.usage();
        Ok(())
    });
}
