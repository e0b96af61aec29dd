//! Answers as providers write them, row by row of the table of shapes, with the figures worked out by hand.

use crate::told::answer;
use flowmeter_pricing::{extract_usage, extract_usage_from_headers, extract_usage_from_slice};
use serde_json::json;

#[test]
fn openai_chat() {
    let body = r#"{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion","created":1741569952,
        "model":"gpt-5-2025-08-07","choices":[{"index":0,"message":{"role":"assistant","content":"the \"usage\": {\"prompt_tokens\": 1} of words",
        "refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],
        "usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
        "prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0,"cache_write_tokens":64},
        "completion_tokens_details":{"reasoning_tokens":192,"audio_tokens":0,"accepted_prediction_tokens":12,"rejected_prediction_tokens":30}},
        "service_tier":"default","system_fingerprint":"fp_1"}"#;
    let wanted = "in 2006 read 1920 w5m 64 out 300 think 192 audio 0 out-audio 0 tier default";
    for hint in [
        None,
        Some("openai"),
        Some("azure.ai.openai"),
        Some("litellm"),
        Some("vllm"),
    ] {
        answer(hint, body, wanted);
    }
    let audio = r#"{"object":"chat.completion","model":"gpt-4o-audio-preview","choices":[{"message":{"audio":{"id":"a","data":"AAAA"}}}],
        "usage":{"prompt_tokens":310,"completion_tokens":140,"total_tokens":450,
        "prompt_tokens_details":{"cached_tokens":128,"text_tokens":60,"image_tokens":50,"audio_tokens":200,
            "cached_tokens_details":{"text_tokens":28,"audio_tokens":100}},
        "completion_tokens_details":{"reasoning_tokens":0,"text_tokens":20,"audio_tokens":120}}}"#;
    answer(
        Some("openai"),
        audio,
        "in 310 read 128 out 140 think 0 audio 200 image 50 read-audio 100 out-audio 120",
    );
    // Azure puts what its filter says around the answer.
    answer(
        Some("azure"),
        r#"{"choices":[{"content_filter_results":{"hate":{"filtered":false}},"message":{"content":"hi"}}],"prompt_filter_results":[{"prompt_index":0}],
        "model":"gpt-4o-2024-11-20","usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#,
        "in 9 out 3",
    );
    // Alibaba's Qwen: the writes are part of the prompt, under Anthropic's names.
    answer(
        Some("dashscope"),
        r#"{"object":"chat.completion","choices":[],"model":"qwen3-coder-plus","usage":{"prompt_tokens":3019,"completion_tokens":104,"total_tokens":3123,
        "prompt_tokens_details":{"cached_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":1605},"cache_creation_input_tokens":1605,"cache_type":"ephemeral"}}}"#,
        "in 3019 read 1000 w5m 1605 out 104",
    );
    // Legacy completions.
    answer(
        None,
        r#"{"object":"text_completion","choices":[{"text":"x","index":0}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#,
        "in 5 out 7",
    );
}

#[test]
fn openai_responses() {
    let response = r#"{"id":"resp_1","object":"response","status":"completed","model":"gpt-5.6-sol","metadata":{"usage":"internal"},
        "output":[{"type":"reasoning","summary":[]},
            {"type":"web_search_call","status":"completed","action":{"type":"search","query":"rain"}},
            {"type":"web_search_call","status":"completed","action":{"type":"search","query":"sun"}},
            {"type":"web_search_call","status":"completed","action":{"type":"open_page","url":"https://a"}},
            {"type":"web_search_call","status":"completed","action":{"type":"find_in_page","url":"https://a"}},
            {"type":"file_search_call","queries":["x"]},
            {"type":"message","content":[{"type":"output_text","text":"hi"}]}],
        "usage":{"input_tokens":5000,"input_tokens_details":{"cached_tokens":1000,"cache_write_tokens":700,
            "cache_write_tokens_details":{"ttl_30m_tokens":500,"ttl_12h_tokens":200}},
            "output_tokens":400,"output_tokens_details":{"reasoning_tokens":256},"total_tokens":5400},
        "service_tier":"priority"}"#;
    let wanted = "in 5000 read 1000 w5m 500 w1h 200 out 400 think 256 web 2 file 1 tier priority";
    for hint in [None, Some("openai"), Some("azure"), Some("xai")] {
        answer(hint, response, wanted);
    }
    for event in ["response.completed", "response.incomplete", "response.failed"] {
        answer(
            Some("openai"),
            &format!(r#"{{"type":"{event}","sequence_number":9,"response":{response}}}"#),
            wanted,
        );
    }
    // The count by name goes before the count of items.
    answer(
        Some("openai"),
        r#"{"object":"response","output":[{"type":"web_search_call","action":{"type":"search"}}],
        "tool_usage":{"image_gen":{"input_tokens":0},"web_search":{"num_requests":3}},
        "usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#,
        "in 1 out 2 web 3",
    );
    answer(
        None,
        r#"{"object":"response","status":"failed","usage":null,"output":[]}"#,
        "",
    );
}

#[test]
fn other_apis_of_openai() {
    answer(
        Some("openai"),
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-0.2]}],"model":"text-embedding-3-small",
        "usage":{"prompt_tokens":8,"total_tokens":8}}"#,
        "in 8",
    );
    answer(
        Some("openai"),
        r#"{"created":1713833628,"data":[{"b64_json":"AAAA"}],"usage":{"total_tokens":1150,"input_tokens":50,"output_tokens":1100,
        "input_tokens_details":{"text_tokens":10,"image_tokens":40},"output_tokens_details":{"text_tokens":44,"image_tokens":1056}}}"#,
        "in 50 out 1100 image 40 out-image 1056",
    );
    answer(
        Some("openai"),
        r#"{"text":"hello","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},
        "output_tokens":45,"total_tokens":59}}"#,
        "in 14 out 45 audio 10",
    );
    answer(
        Some("openai"),
        r#"{"text":"hello","usage":{"type":"duration","seconds":12.5}}"#,
        "ms 12500",
    );
    answer(
        Some("openai"),
        r#"{"type":"response.done","response":{"object":"realtime.response","usage":{"total_tokens":253,"input_tokens":132,"output_tokens":121,
        "input_token_details":{"text_tokens":19,"audio_tokens":113,"image_tokens":0,"cached_tokens":64,
            "cached_tokens_details":{"text_tokens":0,"audio_tokens":64,"image_tokens":0}},
        "output_token_details":{"text_tokens":30,"audio_tokens":91}}}}"#,
        "in 132 read 64 out 121 audio 113 image 0 read-audio 64 read-image 0 out-audio 91",
    );
    // A line of a batch's results.
    answer(
        Some("openai"),
        r#"{"id":"batch_req_1","custom_id":"request-2","response":{"status_code":200,"request_id":"req_1","body":{"object":"chat.completion",
        "service_tier":"default","usage":{"prompt_tokens":22,"completion_tokens":2,"total_tokens":24}}},"error":null}"#,
        "in 22 out 2 tier batch",
    );
}

#[test]
fn anthropic_messages() {
    let usage = r#"{"input_tokens":176,"cache_creation_input_tokens":200,"cache_read_input_tokens":1024,
        "cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50},"output_tokens":300,
        "output_tokens_details":{"thinking_tokens":120},"server_tool_use":{"web_search_requests":2,"web_fetch_requests":1},
        "service_tier":"standard","inference_geo":"us"}"#;
    let wanted = "in 1400 read 1024 w5m 150 w1h 50 out 300 think 120 web 2 fetch 1 tier standard geo us";
    let message = format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929",
        "content":[{{"type":"text","text":"hi"}}],"stop_reason":"end_turn","usage":{usage}}}"#
    );
    // On Vertex AI and Bedrock the body is the same.
    for hint in [
        None,
        Some("anthropic"),
        Some("vertex_ai"),
        Some("aws.bedrock"),
        Some("azure"),
    ] {
        answer(hint, &message, wanted);
    }
    answer(
        Some("anthropic"),
        &format!(r#"{{"custom_id":"a","result":{{"type":"succeeded","message":{message}}}}}"#),
        wanted,
    );
    answer(
        Some("aws.bedrock"),
        &format!(r#"{{"recordId":"a","modelInput":{{}},"modelOutput":{message}}}"#),
        &wanted.replace("standard", "batch"),
    );
    answer(None, usage, wanted);
    answer(
        Some("anthropic"),
        r#"{"type":"message","usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,
        "cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":5,"service_tier":"batch",
        "inference_geo":"not_available","server_tool_use":null}}"#,
        "in 10 read 0 w5m 0 w1h 0 out 5 tier batch",
    );
    answer(
        None,
        r#"{"type":"message","usage":{"input_tokens":10,"output_tokens":5,"speed":"fast","service_tier":"standard"}}"#,
        "in 10 out 5 tier fast",
    );
    // What shortening the conversation took stands in the passes alone.
    answer(
        Some("anthropic"),
        r#"{"type":"message","usage":{"input_tokens":23000,"output_tokens":1000,"iterations":[
        {"type":"compaction","input_tokens":180000,"output_tokens":3500},{"type":"message","input_tokens":23000,"output_tokens":1000}]}}"#,
        "in 203000 out 4500",
    );
    answer(
        Some("anthropic"),
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        "",
    );
}

#[test]
fn gemini() {
    let body = r#"{"candidates":[{"content":{"parts":[{"text":"hi"}],"role":"model"},"finishReason":"STOP",
        "groundingMetadata":{"webSearchQueries":["rain in paris","","sun in nice"],"groundingChunks":[{"web":{"uri":"https://a"}}]}}],
        "usageMetadata":{"promptTokenCount":1000,"cachedContentTokenCount":400,"candidatesTokenCount":200,"thoughtsTokenCount":300,
        "toolUsePromptTokenCount":50,"totalTokenCount":1550,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":100},{"modality":"AUDIO","tokenCount":500},{"modality":"IMAGE","tokenCount":258},
            {"modality":"DOCUMENT","tokenCount":42},{"modality":"VIDEO","tokenCount":100}],
        "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":300},{"modality":"TEXT","tokenCount":10},{"modality":"IMAGE","tokenCount":60},{"modality":"VIDEO","tokenCount":30}],
        "candidatesTokensDetails":[{"modality":"TEXT","tokenCount":70},{"modality":"IMAGE","tokenCount":130}],
        "trafficType":"ON_DEMAND_PRIORITY"},"modelVersion":"MODEL","responseId":"r"}"#;
    let wanted = "in 1050 read 400 out 500 think 300 audio 500 image 300 video 100 read-audio 300 read-image 60 \
                  read-video 30 out-image 130 web 2 tier priority";
    for hint in [None, Some("gemini"), Some("gcp.vertex_ai"), Some("google")] {
        answer(hint, &body.replace("MODEL", "gemini-3-flash-preview"), wanted);
    }
    // Up to 2.5, a request that searched is charged once.
    let once = wanted.replace("web 2", "web 1");
    answer(Some("gemini"), &body.replace("MODEL", "gemini-2.5-flash"), &once);
    answer(
        Some("gemini"),
        &body.replace("MODEL", "models/gemini-2.0-flash-001"),
        &once,
    );
    // The whole answer of a stream that is a list.
    answer(
        Some("gemini"),
        r#"[{"candidates":[],"usageMetadata":{"promptTokenCount":7,"totalTokenCount":7}},
        {"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":4,"totalTokenCount":11,"trafficType":"ON_DEMAND"}}]"#,
        "in 7 out 4",
    );
    // Blocked before it said anything: zeros are left out.
    answer(
        Some("gemini"),
        r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":12,"totalTokenCount":12}}"#,
        "in 12 out 0",
    );
    answer(
        Some("gemini"),
        r#"{"usageMetadata":{"promptTokenCount":21,"thoughtsTokenCount":60,"totalTokenCount":81,"serviceTier":"FLEX"}}"#,
        "in 21 out 60 think 60 tier flex",
    );
    // The Live API.
    answer(
        Some("gemini"),
        r#"{"serverContent":{"turnComplete":true},"usageMetadata":{"promptTokenCount":30,"responseTokenCount":90,"totalTokenCount":120,
        "promptTokensDetails":[{"modality":"AUDIO","tokenCount":25}],"responseTokensDetails":[{"modality":"AUDIO","tokenCount":80}]}}"#,
        "in 30 out 90 audio 25 out-audio 80",
    );
    // Embeddings, and Vertex AI's `predict`.
    answer(
        Some("gemini"),
        r#"{"embedding":{"values":[0.1]},"usageMetadata":{"promptTokenCount":6}}"#,
        "in 6",
    );
    answer(
        Some("vertex_ai"),
        r#"{"predictions":[{"embeddings":{"values":[0.1],"statistics":{"truncated":false,"token_count":6}}},
        {"embeddings":{"statistics":{"token_count":5},"values":[0.2]}}],"metadata":{"billableCharacterCount":40}}"#,
        "in 11",
    );
    answer(
        Some("vertex_ai"),
        r#"{"predictions":[{"content":"x"}],"metadata":{"tokenMetadata":{"inputTokenCount":{"totalTokens":9,"totalBillableCharacters":30},
        "outputTokenCount":{"totalTokens":4,"totalBillableCharacters":12}}}}"#,
        "in 9 out 4",
    );
    // As OpenAI's chat completions: thoughts are what the total has more.
    answer(
        Some("gemini"),
        r#"{"choices":[{"message":{"content":"x"}}],"usage":{"completion_tokens":13,"prompt_tokens":7,"total_tokens":1079}}"#,
        "in 7 out 1072 think 1059",
    );
}

#[test]
fn bedrock_converse() {
    let usage = r#"{"inputTokens":10,"outputTokens":5,"totalTokens":75,"cacheReadInputTokens":20,"cacheWriteInputTokens":40,
        "cacheDetails":[{"ttl":"1h","inputTokens":30},{"ttl":"5m","inputTokens":10}]}"#;
    let wanted = "in 70 read 20 w5m 10 w1h 30 out 5";
    answer(
        Some("bedrock"),
        &format!(
            r#"{{"output":{{"message":{{"role":"assistant","content":[{{"text":"hi"}}]}}}},"stopReason":"end_turn","usage":{usage},"metrics":{{"latencyMs":551}}}}"#
        ),
        wanted,
    );
    answer(
        None,
        &format!(
            r#"{{"metadata":{{"usage":{usage},"metrics":{{"latencyMs":1}},"serviceTier":{{"type":"flex"}}}}}}"#
        ),
        "in 70 read 20 w5m 10 w1h 30 out 5 tier flex",
    );
    answer(
        Some("bedrock"),
        &format!(r#"{{"usage":{usage},"metrics":{{"latencyMs":1}}}}"#),
        wanted,
    );
    // boto3 adds the headers; they are no finer than the body.
    answer(
        Some("bedrock"),
        &format!(
            r#"{{"ResponseMetadata":{{"HTTPHeaders":{{"x-amzn-bedrock-input-token-count":"999"}}}},"usage":{usage}}}"#
        ),
        wanted,
    );
}

#[test]
fn bedrock_invoke_model() {
    // Native bodies.
    answer(
        Some("bedrock"),
        r#"{"generation":"hi","prompt_token_count":25,"generation_token_count":9,"stop_reason":"stop"}"#,
        "in 25 out 9",
    );
    answer(
        Some("bedrock"),
        r#"{"inputTextTokenCount":5,"results":[{"tokenCount":32,"outputText":"a","completionReason":"FINISH"},{"tokenCount":3,"outputText":"b"}]}"#,
        "in 5 out 35",
    );
    answer(
        Some("bedrock"),
        r#"{"embedding":[0.1],"inputTextTokenCount":7}"#,
        "in 7",
    );
    answer(
        Some("bedrock"),
        r#"{"output":{"message":{"content":[{"text":"x"}]}},"stopReason":"end_turn",
        "usage":{"inputTokens":4,"outputTokens":6,"totalTokens":10,"cacheReadInputTokenCount":3,"cacheWriteInputTokenCount":2}}"#,
        "in 9 read 3 w5m 2 out 6",
    );
    // Bodies that say nothing: the headers do, in any case, merged, nested or alone.
    let mistral = r#"{"outputs":[{"text":"hi","stop_reason":"stop"}],"X-Amzn-Bedrock-Input-Token-Count":"12",
        "X-Amzn-Bedrock-Output-Token-Count":"3","X-AMZN-BEDROCK-CACHE-READ-INPUT-TOKEN-COUNT":"100","x-amzn-bedrock-cache-write-input-token-count":"8"}"#;
    answer(Some("bedrock"), mistral, "in 120 read 100 w5m 8 out 3");
    answer(
        Some("bedrock"),
        r#"{"headers":{"Content-Type":"application/json","X-Amzn-Bedrock-Input-Token-Count":12,"x-amzn-bedrock-output-token-count":"3"},
        "body":{"text":"hi","generation_id":"g","finish_reason":"COMPLETE"}}"#,
        "in 12 out 3",
    );
    answer(
        None,
        r#"{"ResponseMetadata":{"HTTPStatusCode":200,"HTTPHeaders":{"x-amzn-bedrock-input-token-count":"12","x-amzn-bedrock-output-token-count":"3",
        "x-amzn-bedrock-service-tier":"priority"}},"contentType":"application/json"}"#,
        "in 12 out 3 tier priority",
    );
    // The native body first; what it leaves out, the headers tell.
    answer(
        Some("bedrock"),
        r#"{"type":"message","usage":{"input_tokens":1,"cache_read_input_tokens":9,"output_tokens":7},
        "x-amzn-bedrock-input-token-count":"50","x-amzn-bedrock-output-token-count":"70"}"#,
        "in 10 read 9 out 7",
    );
    answer(
        Some("bedrock"),
        r#"{"generation":"hi","prompt_token_count":null,"generation_token_count":9,"x-amzn-bedrock-input-token-count":"50"}"#,
        "in 50 out 9",
    );
    let headers = [
        ("content-type", "application/json"),
        ("X-Amzn-Bedrock-Input-Token-Count", " 176 "),
        ("x-amzn-bedrock-output-token-count", "300"),
        ("X-Amzn-Bedrock-Cache-Read-Input-Token-Count", "1024"),
        ("x-amzn-bedrock-CACHE-WRITE-input-token-count", "200"),
        ("x-amzn-bedrock-invocation-latency", "44"),
    ];
    let usage = extract_usage_from_headers(Some("aws.bedrock"), headers);
    assert_eq!(crate::told::line(&usage), "in 1400 read 1024 w5m 200 out 300");
    let broken = [
        ("x-amzn-bedrock-input-token-count", "-4"),
        ("x-amzn-bedrock-output-token-count", "many"),
    ];
    assert_eq!(crate::told::line(&extract_usage_from_headers(None, broken)), "");
}

#[test]
fn mistral() {
    answer(
        Some("mistral"),
        r#"{"id":"m","object":"chat.completion","model":"voxtral-mini-2507","choices":[],"service_tier":"flex",
        "usage":{"prompt_tokens":400,"completion_tokens":30,"total_tokens":430,"prompt_audio_seconds":8,
        "num_cached_tokens":64,"prompt_token_details":{"cached_tokens":64},"prompt_tokens_details":{"cached_tokens":64}}}"#,
        "in 400 read 64 out 30 ms 8000 tier flex",
    );
    answer(
        Some("mistral"),
        r#"{"usage":{"prompt_tokens":4,"completion_tokens":3,"total_tokens":7,"prompt_audio_seconds":{}}}"#,
        "in 4 out 3",
    );
    answer(
        Some("mistral"),
        r#"{"usage":{"prompt_tokens":188,"completion_tokens":55,"total_tokens":3008,"connector_tokens":2765,"connectors":{"web_search":1}}}"#,
        "in 2953 out 55 web 1",
    );
    answer(
        Some("mistral"),
        r#"{"pages":[{"index":0}],"model":"mistral-ocr-latest","usage_info":{"pages_processed":29,"doc_size_bytes":3002783}}"#,
        "pages 29",
    );
}

#[test]
fn cohere() {
    answer(
        Some("cohere"),
        r#"{"id":"c","message":{"role":"assistant","content":[{"type":"text","text":"x"}]},"finish_reason":"COMPLETE",
        "usage":{"billed_units":{"input_tokens":5,"output_tokens":418},"tokens":{"input_tokens":71,"output_tokens":420},"cached_tokens":64}}"#,
        "in 5 read 5 out 418",
    );
    answer(
        Some("cohere"),
        r#"{"results":[{"index":3,"relevance_score":0.99}],"id":"r","meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}}}"#,
        "units 1",
    );
    answer(
        Some("cohere"),
        r#"{"embeddings":{"float":[[0.1]]},"meta":{"billed_units":{"input_tokens":2.0,"image_tokens":0}}}"#,
        "in 2 image 0",
    );
    answer(
        None,
        r#"{"text":"x","generation_id":"g","meta":{"billed_units":{"input_tokens":9,"output_tokens":4},"tokens":{"input_tokens":70,"output_tokens":4}}}"#,
        "in 9 out 4",
    );
}

#[test]
fn local_servers() {
    answer(
        Some("ollama"),
        r#"{"model":"llama3.2","created_at":"2023-08-04T19:22:45.499127Z","message":{"role":"assistant","content":""},"done":true,
        "total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}"#,
        "in 26 out 282",
    );
    answer(
        Some("ollama"),
        r#"{"response":"x","done":true,"eval_count":282}"#,
        "out 282",
    );
    answer(
        Some("ollama"),
        r#"{"embeddings":[[0.1]],"prompt_eval_count":8}"#,
        "in 8",
    );
    answer(
        Some("ollama"),
        r#"{"object":"chat.completion","usage":{"prompt_tokens":26,"completion_tokens":10,"total_tokens":36}}"#,
        "in 26 out 10",
    );
    answer(
        None,
        r#"{"choices":[],"usage":{"completion_tokens":48,"prompt_tokens":44,"total_tokens":92},
        "timings":{"prompt_n":4,"cache_n":40,"predicted_n":48,"predicted_ms":2.5}}"#,
        "in 44 out 48",
    );
    answer(
        Some("llama.cpp"),
        r#"{"content":"x","tokens_evaluated":44,"tokens_predicted":48,"timings":{"prompt_n":4,"predicted_n":48,"cache_n":40}}"#,
        "in 44 read 40 out 48",
    );
    answer(
        None,
        r#"{"choices":[],"timings":{"cache_n":236,"prompt_n":1,"predicted_n":35}}"#,
        "in 237 read 236 out 35",
    );
}

#[test]
fn deepseek_and_groq() {
    answer(
        Some("deepseek"),
        r#"{"usage":{"prompt_tokens":100,"completion_tokens":90,"total_tokens":190,"prompt_tokens_details":{"cached_tokens":64},
        "completion_tokens_details":{"reasoning_tokens":70},"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}}"#,
        "in 100 read 64 out 90 think 70",
    );
    answer(
        None,
        r#"{"usage":{"completion_tokens":9,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}}"#,
        "in 100 read 64 out 9",
    );
    answer(
        Some("groq"),
        r#"{"object":"chat.completion","usage":{"queue_time":0.03,"prompt_tokens":24,"prompt_time":0.002,"completion_tokens":377,
        "completion_time":0.68,"total_tokens":401,"total_time":0.69,"prompt_tokens_details":{"cached_tokens":16}},
        "usage_breakdown":null,"x_groq":{"id":"req_1"},"service_tier":"on_demand"}"#,
        "in 24 read 16 out 377 tier on_demand",
    );
}

#[test]
fn xai() {
    let chat = r#"{"object":"chat.completion","model":"grok-4","usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,
        "prompt_tokens_details":{"text_tokens":32,"audio_tokens":0,"image_tokens":0,"cached_tokens":6},
        "completion_tokens_details":{"reasoning_tokens":94,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0},
        "num_sources_used":0}}"#;
    for hint in [Some("xai"), Some("x_ai"), Some("x-ai"), Some("azure"), None] {
        answer(
            hint,
            chat,
            "in 32 read 6 out 103 think 94 audio 0 image 0 out-audio 0",
        );
    }
    // Where no total proves it, the rule of its chat API holds.
    answer(
        Some("xai"),
        r#"{"usage":{"prompt_tokens":32,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":94}}}"#,
        "in 32 out 103 think 94",
    );
    answer(
        Some("xai"),
        r#"{"object":"response","usage":{"input_tokens":199,"input_tokens_details":{"cached_tokens":163},"output_tokens":1052,
        "output_tokens_details":{"reasoning_tokens":1000},"total_tokens":1251,"num_sources_used":0,"num_server_side_tools_used":3,
        "server_side_tool_usage_details":{"web_search_calls":2,"x_search_calls":1,"code_interpreter_calls":0,"file_search_calls":4},
        "cost_in_usd_ticks":37756005}}"#,
        "in 199 read 163 out 1052 think 1000 web 3 file 4 nanos 3775601",
    );
    answer(
        Some("xai"),
        r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"num_sources_used":7}}"#,
        "in 1 out 1 web 7",
    );
}

#[test]
fn openrouter_and_perplexity() {
    answer(
        Some("openrouter"),
        r#"{"id":"gen-1","provider":"Google","model":"google/gemini-2.5-flash","usage":{"prompt_tokens":10339,"completion_tokens":60,"total_tokens":10399,
        "cost":0.00151,"is_byok":false,"prompt_tokens_details":{"cached_tokens":10318,"cache_write_tokens":5,"audio_tokens":0,"video_tokens":0},
        "cost_details":{"upstream_inference_cost":null,"upstream_inference_prompt_cost":0.001,"server_tool_cost":0.0005},
        "completion_tokens_details":{"reasoning_tokens":44,"image_tokens":0},"server_tool_use":{"web_search_requests":2}}}"#,
        "in 10339 read 10318 w5m 5 out 60 think 44 audio 0 video 0 out-image 0 web 2 nanos 1510000",
    );
    answer(
        Some("openrouter"),
        r#"{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cost":0.00015,"is_byok":true,"cost_details":{"upstream_inference_cost":0.003}}}"#,
        "in 1 out 2 nanos 3150000",
    );
    // A free model costs nothing, which is known.
    answer(
        Some("openrouter"),
        r#"{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cost":0}}"#,
        "in 1 out 2 nanos 0",
    );
    let sonar = r#"{"model":"sonar-deep-research","usage":{"prompt_tokens":33,"completion_tokens":7163,"total_tokens":7196,
        "search_context_size":"low","citation_tokens":20016,"num_search_queries":18,"reasoning_tokens":73997,
        "cost":{"input_tokens_cost":0.0,"output_tokens_cost":0.057,"citation_tokens_cost":0.04,"reasoning_tokens_cost":0.222,"search_queries_cost":0.09,"total_cost":0.409}}}"#;
    for hint in [Some("perplexity"), None, Some("openai")] {
        answer(
            hint,
            sonar,
            "in 33 out 101176 think 73997 cite 20016 web 18 nanos 409000000",
        );
    }
}

#[test]
fn gateways_and_others_by_their_shape() {
    // LiteLLM in front of Anthropic: the prompt includes the cache.
    answer(
        Some("litellm"),
        r#"{"usage":{"completion_tokens":300,"prompt_tokens":1400,"total_tokens":1700,
        "prompt_tokens_details":{"audio_tokens":null,"cached_tokens":1024,"cache_creation_tokens":200,
            "cache_creation_token_details":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50}},
        "cache_creation_input_tokens":200,"cache_read_input_tokens":1024}}"#,
        "in 1400 read 1024 w5m 150 w1h 50 out 300",
    );
    // One that does not: a part cannot be larger than the whole.
    answer(
        None,
        r#"{"usage":{"completion_tokens":300,"prompt_tokens":176,"total_tokens":476,"cache_creation_input_tokens":200,"cache_read_input_tokens":1024}}"#,
        "in 1400 read 1024 w5m 200 out 300",
    );
    // Moonshot's stream has the block in the choice; Cloudflare wraps the answer; Voyage names only the total.
    answer(
        Some("moonshot"),
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":19,"completion_tokens":13,"total_tokens":32,"cached_tokens":10}}]}"#,
        "in 19 read 10 out 13",
    );
    answer(
        None,
        r#"{"result":{"response":"x","usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11}},"success":true}"#,
        "in 5 out 6",
    );
    answer(
        Some("voyageai"),
        r#"{"object":"list","data":[{"object":"embedding","embedding":[0.1]}],"model":"voyage-3","usage":{"total_tokens":10}}"#,
        "in 10",
    );
    answer(
        Some("ibm.watsonx.ai"),
        r#"{"model_id":"ibm/granite","results":[{"generated_text":"x","generated_token_count":12,"input_token_count":4,"stop_reason":"eos_token"}]}"#,
        "in 4 out 12",
    );
    answer(
        None,
        r#"{"output":["x"],"metrics":{"input_token_count":14,"output_token_count":20,"predict_time":0.3}}"#,
        "in 14 out 20",
    );
    // LangChain's and the Vercel AI SDK's own words.
    answer(
        None,
        r#"{"usage_metadata":{"input_tokens":350,"output_tokens":240,"total_tokens":590,
        "input_token_details":{"audio":10,"cache_creation":200,"cache_read":100},"output_token_details":{"audio":10,"reasoning":200}}}"#,
        "in 350 read 100 w5m 200 out 240 think 200 audio 10 out-audio 10",
    );
    answer(
        None,
        r#"{"usage":{"inputTokens":100,"outputTokens":50,"totalTokens":150,"reasoningTokens":20,"cachedInputTokens":60}}"#,
        "in 100 read 60 out 50 think 20",
    );
    // Google's libraries in Python.
    answer(
        None,
        r#"{"usage_metadata":{"prompt_token_count":20,"candidates_token_count":198,"thoughts_token_count":405,"total_token_count":623,"cached_content_token_count":null}}"#,
        "in 20 out 603 think 405",
    );
}

/// OpenAI and all who speak its language; the cache is never added there, reasoning neither.
#[test]
fn what_is_included_is_never_added() {
    let body = r#"{"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500,
        "prompt_tokens_details":{"cached_tokens":900},"completion_tokens_details":{"reasoning_tokens":400}}}"#;
    for hint in [
        None,
        Some("openai"),
        Some("azure"),
        Some("groq"),
        Some("mistral"),
        Some("deepseek"),
        Some("together"),
        Some("fireworks"),
        Some("openrouter"),
        Some("ollama"),
        Some("cerebras"),
        Some("zai"),
        Some("moonshotai"),
        Some("lmstudio"),
        Some("huggingface"),
        Some("google"),
        Some("xai"),
        Some("cohere"),
        Some("no-such-provider"),
        Some(""),
    ] {
        answer(hint, body, "in 1000 read 900 out 500 think 400");
    }
}

#[test]
fn nothing_that_is_no_count_becomes_one() {
    for body in [
        r#"{"usage":{"prompt_tokens":-5,"completion_tokens":-0.5}}"#,
        r#"{"usage":{"prompt_tokens":"NaN","completion_tokens":"inf"}}"#,
        r#"{"usage":{"prompt_tokens":1.5,"completion_tokens":"1e3"}}"#,
        r#"{"usage":{"prompt_tokens":18446744073709551615,"completion_tokens":1e300}}"#,
        r#"{"usage":{"prompt_tokens":true,"completion_tokens":[7]}}"#,
        r#"{"usage":{"prompt_tokens":{"tokens":7},"completion_tokens":null}}"#,
        r#"{"usage":{"input_tokens":"","output_tokens":"12 tokens"}}"#,
        r#"{"usage":{"cost":-0.5,"prompt_tokens":null}}"#,
        r#"{"usage":{"cost":1e300,"prompt_tokens":null}}"#,
        r#"{"usage":{"cost_in_usd_ticks":-4,"prompt_tokens":null}}"#,
        r#"{"usage":[1,2],"usageMetadata":"none"}"#,
        r#"{"usage":{"seconds":-1,"type":"duration"}}"#,
        r#"{"metadata":{"prompt_tokens":"5"}}"#,
        r#"{"usage":{"total_tokens":99}}"#,
        "null",
        "7",
        "\"usage\"",
        "[]",
        "[null,[{\"usage\":{\"prompt_tokens\":1}}]]",
        "{}",
    ] {
        answer(None, body, "");
    }
    // Digits in a text are a count all the same, and a whole number may have a point.
    answer(
        None,
        r#"{"usage":{"prompt_tokens":"12","completion_tokens":7.0}}"#,
        "in 12 out 7",
    );
    // Of equal keys the last counts, as for every reader.
    answer(
        None,
        r#"{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2,"prompt_tokens":3}}"#,
        "in 3",
    );
}

#[test]
fn broken_bytes_tell_nothing() {
    let whole = r#"{"usage":{"prompt_tokens":12,"completion_tokens":7}}"#;
    for end in 0..whole.len() {
        let usage = extract_usage_from_slice(None, &whole.as_bytes()[..end]);
        assert_eq!(crate::told::line(&usage), "", "{}", &whole[..end]);
    }
    let mut marked = b"\xef\xbb\xbf ".to_vec();
    marked.extend_from_slice(whole.as_bytes());
    assert_eq!(
        crate::told::line(&extract_usage_from_slice(None, &marked)),
        "in 12 out 7"
    );
    assert_eq!(
        crate::told::line(&extract_usage_from_slice(None, b"\xff\xfe{\"usage\":{}")),
        ""
    );
}

#[test]
fn a_deep_or_wide_body_ends_somewhere() {
    let mut deep = json!({"prompt_tokens": 1});
    for _ in 0..100 {
        deep = json!({"response": deep, "usage": {"details": null}});
    }
    assert_eq!(crate::told::line(&extract_usage(None, &deep)), "");
    let wide: serde_json::Map<_, _> = (0..10_000)
        .map(|at| (format!("k{at}_tokens"), json!(at)))
        .collect();
    assert_eq!(
        crate::told::line(&extract_usage(None, &json!({ "usage": wide }))),
        ""
    );
}
