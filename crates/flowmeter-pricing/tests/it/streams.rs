//! Streams as providers send them.

use crate::told::{line, stream};
use flowmeter_pricing::UsageStream;

#[test]
fn openai() {
    stream(
        Some("openai"),
        &[
            r#"{"id":"c","object":"chat.completion.chunk","service_tier":"default","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
            r#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"the \"usage\": {\"prompt_tokens\":1}"},"logprobs":{"content":[{"token":"a","bytes":[97]}]},"finish_reason":null}],"usage":null}"#,
            r#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
            r#"{"id":"c","object":"chat.completion.chunk","service_tier":"flex","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":8},"completion_tokens_details":{"reasoning_tokens":4}}}"#,
            "[DONE]",
        ],
        "in 19 read 8 out 10 think 4 tier flex",
    );
    // Azure's filter chunk comes first, without usage.
    stream(
        Some("azure"),
        &[
            r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}"#,
            r#"{"choices":[{"delta":{"content":"x"}}],"usage":null}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#,
        ],
        "in 5 out 1",
    );
    // vLLM counts in every chunk; llama.cpp in that of the finish reason.
    stream(
        Some("vllm"),
        &[
            r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":5,"total_tokens":6,"completion_tokens":1}}"#,
            r#"{"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"total_tokens":7,"completion_tokens":2}}"#,
        ],
        "in 5 out 2",
    );
    stream(
        None,
        &[
            r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"x"}}]}"#,
            r#"{"choices":[{"finish_reason":"length","index":0,"delta":{}}],"usage":{"completion_tokens":10,"prompt_tokens":12,"total_tokens":22},"timings":{"prompt_n":12,"predicted_n":10}}"#,
            "[DONE]",
        ],
        "in 12 out 10",
    );
    // A block of nulls or zeros behind the counts takes nothing back; alone, zeros are what was counted.
    for empty in [
        r#"{"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":null,"total_tokens":null}}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"prompt_tokens_details":{"cached_tokens":0}}}"#,
        r#"{"choices":[],"usage":{}}"#,
    ] {
        let counted = r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#;
        stream(Some("openai"), &[empty, counted, empty, "[DONE]"], "in 5 out 1");
    }
    stream(
        None,
        &[r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#],
        "in 0 out 0",
    );
    // Without `stream_options.include_usage` nobody counts.
    stream(
        Some("openai"),
        &[r#"{"choices":[{"delta":{"content":"x"}}]}"#, "[DONE]"],
        "",
    );
}

#[test]
fn openai_responses() {
    let searched = r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"x"}}}"#;
    let opened = r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"ws_2","type":"web_search_call","status":"completed","action":{"type":"open_page"}}}"#;
    let created = r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress","service_tier":"auto","usage":null,"output":[]}}"#;
    stream(
        Some("openai"),
        &[
            created,
            searched,
            opened,
            r#"{"type":"response.output_text.delta","delta":"usage"}"#,
            r#"{"type":"response.completed","response":{"service_tier":"default","output":[{"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},{"type":"message"}],"usage":{"input_tokens":70,"input_tokens_details":{"cached_tokens":0},"output_tokens":30,"output_tokens_details":{"reasoning_tokens":16},"total_tokens":100}}}"#,
        ],
        "in 70 read 0 out 30 think 16 web 1 tier default",
    );
    // Broken off: the search was made all the same.
    stream(Some("openai"), &[created, searched, searched], "web 2");
    stream(
        Some("openai"),
        &[
            created,
            r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"},"output":[],"usage":{"input_tokens":7,"output_tokens":16,"total_tokens":23}}}"#,
        ],
        "in 7 out 16",
    );
    stream(
        Some("openai"),
        &[
            r#"{"type":"image_generation.partial_image","b64_json":"AAAA","partial_image_index":0}"#,
            r#"{"type":"image_generation.completed","b64_json":"BBBB","usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#,
        ],
        "in 50 out 50 image 40",
    );
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"usage":{"input_tokens":176,"cache_creation_input_tokens":200,"cache_read_input_tokens":1024,"cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50},"output_tokens":8,"service_tier":"standard","inference_geo":"global"}}}"#;

#[test]
fn anthropic() {
    let whole = "in 1400 read 1024 w5m 150 w1h 50 out 300 web 2 fetch 0 tier standard geo global";
    let text = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\"usage\":{\"output_tokens\":9}"}}"#;
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":176,"cache_creation_input_tokens":200,"cache_read_input_tokens":1024,"output_tokens":300,"server_tool_use":{"web_search_requests":2,"web_fetch_requests":0}}}"#;
    for hint in [None, Some("anthropic"), Some("vertex_ai"), Some("bedrock")] {
        // The split stands only at the start; the total at the end does not undo it.
        stream(
            hint,
            &[
                START,
                r#"{"type":"ping"}"#,
                text,
                end,
                r#"{"type":"message_stop"}"#,
            ],
            whole,
        );
    }
    // Deltas are cumulative, and a later one may say less than the placeholder at the start.
    let deltas = [
        START,
        r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":100}}"#,
        r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":250}}"#,
    ];
    let so_far = "in 1400 read 1024 w5m 150 w1h 50 out 250 tier standard geo global";
    stream(None, &deltas, so_far);
    stream(
        None,
        &[START, r#"{"type":"message_delta","usage":{"output_tokens":3}}"#],
        &so_far.replace("250", "3"),
    );
    // An error in the middle takes nothing back.
    stream(
        None,
        &[
            START,
            text,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        ],
        &so_far.replace("250", "8"),
    );
    // A search loop adds to what is written and read; what the split does not cover has the default life.
    stream(
        Some("anthropic"),
        &[
            START,
            r#"{"type":"message_delta","usage":{"input_tokens":200,"cache_creation_input_tokens":260,"cache_read_input_tokens":2048,"output_tokens":40}}"#,
        ],
        "in 2508 read 2048 w5m 210 w1h 50 out 40 tier standard geo global",
    );
    // Servers that only speak the dialect: zeros at the start, or at the end.
    stream(
        Some("anthropic"),
        &[
            r#"{"type":"message_start","message":{"usage":{"input_tokens":0,"output_tokens":0}}}"#,
            r#"{"type":"message_delta","usage":{"input_tokens":11,"output_tokens":5,"cache_read_input_tokens":4}}"#,
        ],
        "in 15 read 4 out 5",
    );
    stream(
        Some("anthropic"),
        &[
            r#"{"type":"message_start","message":{"usage":{"input_tokens":11,"output_tokens":0}}}"#,
            r#"{"type":"message_delta","usage":{"input_tokens":0,"output_tokens":5,"cache_creation":null}}"#,
        ],
        "in 11 out 5",
    );
    // Bedrock repeats the counts at the end, without the one-hour cache.
    stream(
        Some("bedrock"),
        &[
            START,
            end,
            r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":176,"outputTokenCount":300,"invocationLatency":1,"firstByteLatency":1,"cacheReadInputTokenCount":1024,"cacheWriteInputTokenCount":200}}"#,
        ],
        whole,
    );
}

#[test]
fn gemini() {
    let chunks = [
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":8,"totalTokenCount":108,"thoughtsTokenCount":100},"modelVersion":"gemini-2.5-pro"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"groundingMetadata":{"webSearchQueries":["x","y"]}}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":3,"totalTokenCount":111,"thoughtsTokenCount":100},"modelVersion":"gemini-2.5-pro"}"#,
        r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":6,"totalTokenCount":114,"thoughtsTokenCount":100,"trafficType":"ON_DEMAND"},"modelVersion":"gemini-2.5-pro"}"#,
    ];
    stream(Some("gemini"), &chunks, "in 8 out 106 think 100 web 1");
    // Vertex AI tells the traffic in every chunk, the counts only in the last.
    stream(
        Some("vertex_ai"),
        &[
            r#"{"candidates":[{}],"usageMetadata":{"trafficType":"ON_DEMAND"}}"#,
            r#"{"candidates":[{}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":6,"totalTokenCount":14,"trafficType":"ON_DEMAND"}}"#,
        ],
        "in 8 out 6",
    );
    // A list that is streamed: the pieces between the chunks stay on either side.
    let mut pieces = UsageStream::new(Some("gemini"));
    pieces.frame(&format!("[{}", chunks[0]));
    pieces.frame(&format!(",\r\n{}", chunks[1]));
    pieces.frame(&format!(",\r\n{}\n]", chunks[2]));
    assert_eq!(line(&pieces.usage()), "in 8 out 106 think 100 web 1");
}

#[test]
fn bedrock() {
    stream(
        Some("bedrock"),
        &[
            r#"{"messageStart":{"role":"assistant"}}"#,
            r#"{"contentBlockDelta":{"delta":{"text":"x"},"contentBlockIndex":0}}"#,
            r#"{"messageStop":{"stopReason":"end_turn"}}"#,
            r#"{"metadata":{"usage":{"inputTokens":10,"outputTokens":5,"totalTokens":75,"cacheReadInputTokens":20,"cacheWriteInputTokens":40},"metrics":{"latencyMs":1275}}}"#,
        ],
        "in 70 read 20 w5m 40 out 5",
    );
    // Meta's models name the prompt only at the start.
    stream(
        Some("bedrock"),
        &[
            r#"{"generation":"a","prompt_token_count":13,"generation_token_count":1,"stop_reason":null}"#,
            r#"{"generation":"b","prompt_token_count":null,"generation_token_count":2,"stop_reason":null}"#,
            r#"{"generation":"","prompt_token_count":null,"generation_token_count":3,"stop_reason":"stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":13,"outputTokenCount":3}}"#,
        ],
        "in 13 out 3",
    );
    stream(
        Some("bedrock"),
        &[
            r#"{"outputText":"a","index":0,"totalOutputTextTokenCount":null,"completionReason":null,"inputTextTokenCount":5}"#,
            r#"{"outputText":"b","index":0,"totalOutputTextTokenCount":118,"completionReason":"FINISH","inputTextTokenCount":null}"#,
        ],
        "in 5 out 118",
    );
    // Models that say nothing themselves, in raw chunks.
    stream(
        Some("bedrock"),
        &[
            r#"{"bytes":"eyJvdXRwdXRzIjpbeyJ0ZXh0IjoiaGkiLCJzdG9wX3JlYXNvbiI6bnVsbH1dfQ==","p":"abcd"}"#,
            r#"{"chunk":{"bytes":"eyJvdXRwdXRzIjpbeyJ0ZXh0IjoiIn1dLCJhbWF6b24tYmVkcm9jay1pbnZvY2F0aW9uTWV0cmljcyI6eyJpbnB1dFRva2VuQ291bnQiOjEyLCJvdXRwdXRUb2tlbkNvdW50IjozfX0="}}"#,
        ],
        "in 12 out 3",
    );
    let mut with_headers = UsageStream::new(Some("bedrock"));
    with_headers.headers([("X-Amzn-Bedrock-Input-Token-Count", "12")]);
    with_headers.frame(r#"{"outputs":[{"text":"hi"}]}"#);
    assert_eq!(line(&with_headers.usage()), "in 12");
    stream(
        Some("bedrock"),
        &[
            r#"{"event":{"usageEvent":{"details":{"delta":{"input":{"speechTokens":4}},"total":{"input":{"speechTokens":40,"textTokens":2},"output":{"speechTokens":30,"textTokens":5}}},"totalInputTokens":42,"totalOutputTokens":35,"totalTokens":77}}}"#,
        ],
        "in 42 out 35 audio 40 out-audio 30",
    );
}

#[test]
fn the_others() {
    stream(
        Some("cohere"),
        &[
            r#"{"type":"message-start","id":"a","delta":{"message":{"role":"assistant"}}}"#,
            r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"x"}}}}"#,
            r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":5,"output_tokens":3},"tokens":{"input_tokens":71,"output_tokens":3}}}}"#,
        ],
        "in 5 out 3",
    );
    stream(
        Some("cohere"),
        &[
            r#"{"is_finished":false,"event_type":"text-generation","text":"x"}"#,
            r#"{"is_finished":true,"event_type":"stream-end","response":{"text":"x","meta":{"billed_units":{"input_tokens":5,"output_tokens":3}}}}"#,
        ],
        "in 5 out 3",
    );
    stream(
        Some("ollama"),
        &[
            r#"{"model":"llama3.2","message":{"role":"assistant","content":"The"},"done":false}"#,
            r#"{"model":"llama3.2","message":{"role":"assistant","content":""},"done":true,"prompt_eval_count":26,"eval_count":282,"eval_duration":4535599000}"#,
        ],
        "in 26 out 282",
    );
    stream(
        Some("groq"),
        &[
            r#"{"choices":[{"delta":{"content":"x"}}],"x_groq":{"id":"req_1"}}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req_1","usage":{"queue_time":0.1,"prompt_tokens":4,"completion_tokens":5,"total_tokens":9}}}"#,
        ],
        "in 4 out 5",
    );
    // xAI counts in every chunk, and leaves reasoning out.
    stream(
        Some("xai"),
        &[
            r#"{"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":31,"completion_tokens":1,"total_tokens":132,"completion_tokens_details":{"reasoning_tokens":100}}}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":31,"completion_tokens":20,"total_tokens":351,"completion_tokens_details":{"reasoning_tokens":300}}}"#,
        ],
        "in 31 out 320 think 300",
    );
    stream(
        Some("openrouter"),
        &[
            ": OPENROUTER PROCESSING",
            r#"{"choices":[{"delta":{"content":"x"}}]}"#,
            r#"{"choices":[{"delta":{"content":""},"finish_reason":null}],"usage":{"prompt_tokens":14,"completion_tokens":22,"total_tokens":36,"cost":0.0003,"is_byok":false,"cost_details":{"upstream_inference_cost":null}}}"#,
            "[DONE]",
        ],
        "in 14 out 22 nanos 300000",
    );
    stream(
        Some("perplexity"),
        &[
            r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#,
            r#"{"choices":[{"delta":{"content":"b"}}],"usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12,"citation_tokens":5,"num_search_queries":1,"reasoning_tokens":7}}"#,
        ],
        "in 3 out 21 think 7 cite 5 web 1",
    );
}

#[test]
fn frames_in_all_their_dress() {
    let block = r#""usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}"#;
    for frame in [
        format!("{{{block}}}"),
        format!("data: {{{block}}}"),
        format!("data:{{{block}}}\n\n"),
        format!("\u{feff}data: {{{block}}}\r\n\r\n"),
        format!("event: x\r\nid: 1\r\nretry: 3\r\ndata: {{{block}}}\r\n\r\n"),
        format!("event: x\rdata: {{{block}}}\r\r"),
        // One value over several data lines.
        format!("data: {{\"choices\":[],\ndata: {block}}}\n\n"),
        // Several events in one frame, with and without the empty line between them.
        format!("data: {{\"choices\":[]}}\n\ndata: {{{block}}}\n\ndata: [DONE]\n\n"),
        format!("data: {{\"choices\":[]}}\ndata: {{{block}}}\ndata: [DONE]\n"),
        // Garbage around what is whole.
        format!("{{{block}}}garbage"),
        format!("garbage\n{{{block}}}\n{{\"usage\":"),
        format!("[{{{block}}},{{\"usa"),
        format!(",\n{{{block}}}\n]"),
    ] {
        let mut stream = UsageStream::new(None);
        stream.frame(&frame);
        assert_eq!(line(&stream.usage()), "in 9 out 4", "{frame:?}");
    }
    for frame in [
        "",
        "\n",
        "data:",
        "data: \n\n",
        "data: [DONE]",
        "event: ping",
        ": keep-alive",
        "{",
        "[",
        "[{",
        "\"usage\":{}",
        "{\"usage\":",
        "data: {\"usage\":{\"prompt_tokens\":1",
        "data: {\"usage\":null}",
        "{\"usage\":nul}",
        "\u{feff}",
        ",",
    ] {
        let mut stream = UsageStream::new(None);
        stream.frame(frame);
        assert_eq!(line(&stream.usage()), "", "{frame:?}");
    }
}
