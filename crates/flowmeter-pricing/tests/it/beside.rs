//! The same answers, read by us and by genai-prices: figure by figure, with every difference written out.
//!
//! Never takes a difference for granted: each has its reason, and one that is gone fails as well.

use std::collections::BTreeMap;

use flowmeter_model::TokenUsage;
use flowmeter_pricing::extract_usage_from_slice;
use genai_prices::{Calculator, ExtractRequest};

/// Our figures under the names of genai-prices. It knows no unknown: what is `None` is left out.
fn ours(usage: &TokenUsage) -> BTreeMap<String, f64> {
    let figures = [
        ("input_tokens", usage.input),
        ("cache_read_tokens", usage.cache_read),
        ("cache_write_5m_tokens", usage.cache_write_5m),
        ("cache_write_1h_tokens", usage.cache_write_1h),
        ("output_tokens", usage.output),
        ("output_reasoning_tokens", usage.reasoning),
        ("output_citation_tokens", usage.citation),
        ("input_audio_tokens", usage.input_audio),
        ("input_image_tokens", usage.input_image),
        ("input_video_tokens", usage.input_video),
        ("cache_audio_read_tokens", usage.cache_read_audio),
        ("cache_image_read_tokens", usage.cache_read_image),
        ("cache_video_read_tokens", usage.cache_read_video),
        ("output_audio_tokens", usage.output_audio),
        ("output_image_tokens", usage.output_image),
        ("output_video_tokens", usage.output_video),
    ];
    let written = [usage.cache_write_5m, usage.cache_write_1h].into_iter().flatten();
    let written = written.map(|figure| figure.tokens).reduce(|sum, more| sum + more);
    let counts = [
        ("web_searches", usage.web_searches),
        ("input_document_pages", usage.document_pages),
        ("audio_seconds", usage.audio_ms.map(|ms| ms / 1_000)),
        ("cache_write_tokens", written),
    ];
    let figures = figures
        .into_iter()
        .map(|(name, figure)| (name, figure.map(|figure| figure.tokens)));
    let told = figures
        .chain(counts)
        .filter_map(|(name, count)| Some((name.to_owned(), count? as f64)));
    told.collect()
}

/// What genai-prices says, without the texts' share, which is what the others leave over.
fn theirs(provider: &str, flavor: &str, body: &str) -> Result<BTreeMap<String, f64>, String> {
    let request = ExtractRequest::new(body)
        .with_provider_id(provider)
        .with_api_flavor(flavor);
    let told = Calculator::bundled().extract_provider_usage(&request);
    let told = told.map_err(|error| error.to_string())?;
    let told = told
        .usage
        .iter()
        .map(|(key, value)| (key.as_str().to_owned(), value));
    Ok(told
        .filter(|(key, _)| !key.contains("_text_") && !key.contains("_tool_"))
        .collect())
}

/// What differs: the key, ours, theirs.
type Difference = (&'static str, Option<f64>, Option<f64>);

/// Both read the body; only these figures differ.
#[track_caller]
fn beside(hint: &str, (provider, flavor): (&str, &str), body: &str, differences: &[Difference]) {
    let mut ours = ours(&extract_usage_from_slice(Some(hint), body.as_bytes()));
    let theirs = theirs(provider, flavor, body).expect(body);
    // They tell of all that was written where we tell how long it stays.
    if !theirs.contains_key("cache_write_tokens") {
        ours.remove("cache_write_tokens");
    }
    for split in ["cache_write_5m_tokens", "cache_write_1h_tokens"] {
        if !theirs.contains_key(split) {
            ours.remove(split);
        }
    }
    let keys = ours
        .keys()
        .chain(theirs.keys())
        .collect::<std::collections::BTreeSet<_>>();
    let found: Vec<(String, Option<f64>, Option<f64>)> = keys
        .into_iter()
        .map(|key| (key.clone(), ours.get(key).copied(), theirs.get(key).copied()))
        .filter(|(_, our, their)| our != their)
        .collect();
    let wanted: Vec<(String, Option<f64>, Option<f64>)> = differences
        .iter()
        .map(|(key, our, their)| ((*key).to_owned(), *our, *their))
        .collect();
    assert_eq!(found, wanted, "{hint}: {body}");
}

/// They cannot read the body; we can.
#[track_caller]
fn only_ours(hint: &str, (provider, flavor): (&str, &str), body: &str, wanted: &str) {
    theirs(provider, flavor, body).expect_err("genai-prices reads it now: compare it");
    let usage = extract_usage_from_slice(Some(hint), body.as_bytes());
    assert_eq!(crate::told::line(&usage), wanted, "{hint}: {body}");
}

#[test]
fn what_both_read_alike() {
    let chat = r#"{"model":"gpt-5","usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
        "prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":7,"cache_write_tokens":64},
        "completion_tokens_details":{"reasoning_tokens":192,"audio_tokens":3}}}"#;
    for hint in ["openai", "azure", "openrouter"] {
        beside(hint, (hint, "chat"), chat, &[]);
    }
    let groq = r#"{"usage":{"prompt_tokens":24,"completion_tokens":377,"total_tokens":401,"prompt_tokens_details":{"cached_tokens":16},"completion_tokens_details":{"reasoning_tokens":9}}}"#;
    beside("groq", ("groq", "default"), groq, &[]);
    beside("mistral", ("mistral", "default"), groq, &[]);
    beside("fireworks", ("fireworks", "chat"), groq, &[]);
    let responses = r#"{"object":"response","usage":{"input_tokens":5000,"input_tokens_details":{"cached_tokens":1000,"cache_write_tokens":700},"output_tokens":400,"output_tokens_details":{"reasoning_tokens":256},"total_tokens":5400}}"#;
    beside("openai", ("openai", "responses"), responses, &[]);
    beside("azure", ("azure", "responses"), responses, &[]);
    let grok = r#"{"usage":{"input_tokens":199,"input_tokens_details":{"cached_tokens":163},"output_tokens":1052,"output_tokens_details":{"reasoning_tokens":1000},"total_tokens":1251}}"#;
    beside("xai", ("x-ai", "responses"), grok, &[]);
    beside(
        "openai",
        ("openai", "realtime"),
        r#"{"type":"response.done","response":{"usage":{"total_tokens":253,"input_tokens":132,"output_tokens":121,
        "input_token_details":{"text_tokens":19,"audio_tokens":113,"image_tokens":0,"cached_tokens":64,"cached_tokens_details":{"text_tokens":0,"audio_tokens":64,"image_tokens":0}},
        "output_token_details":{"text_tokens":30,"audio_tokens":91}}}}"#,
        &[],
    );
    beside(
        "openai",
        ("openai", "images"),
        r#"{"usage":{"total_tokens":1150,"input_tokens":50,"output_tokens":1100,"input_tokens_details":{"text_tokens":10,"image_tokens":40},"output_tokens_details":{"text_tokens":44,"image_tokens":1056}}}"#,
        &[],
    );
    beside(
        "openai",
        ("openai", "embeddings"),
        r#"{"object":"list","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
        &[],
    );
    let anthropic = r#"{"type":"message","usage":{"input_tokens":176,"cache_creation_input_tokens":200,"cache_read_input_tokens":1024,
        "cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50},"output_tokens":300,"output_tokens_details":{"thinking_tokens":120},"server_tool_use":{"web_search_requests":2}}}"#;
    beside("anthropic", ("anthropic", "default"), anthropic, &[]);
    let converse = r#"{"usage":{"inputTokens":10,"outputTokens":5,"totalTokens":75,"cacheReadInputTokens":20,"cacheWriteInputTokens":40,
        "cacheDetails":[{"ttl":"1h","inputTokens":30},{"ttl":"5m","inputTokens":10}]}}"#;
    beside("bedrock", ("aws", "default"), converse, &[]);
    let gemini = r#"{"usageMetadata":{"promptTokenCount":1000,"cachedContentTokenCount":400,"candidatesTokenCount":200,"thoughtsTokenCount":300,"toolUsePromptTokenCount":50,"totalTokenCount":1550,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":142},{"modality":"AUDIO","tokenCount":500},{"modality":"IMAGE","tokenCount":258},{"modality":"VIDEO","tokenCount":100}],
        "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":300},{"modality":"TEXT","tokenCount":100}],
        "candidatesTokensDetails":[{"modality":"TEXT","tokenCount":70},{"modality":"IMAGE","tokenCount":130}]}}"#;
    beside("gemini", ("google", "default"), gemini, &[]);
    beside(
        "perplexity",
        ("perplexity", "default"),
        r#"{"usage":{"prompt_tokens":33,"completion_tokens":7163,"total_tokens":7196,"citation_tokens":20016,"num_search_queries":18,"reasoning_tokens":73997}}"#,
        &[],
    );
    beside(
        "xai",
        ("x-ai", "chat"),
        r#"{"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"prompt_tokens_details":{"cached_tokens":6},"completion_tokens_details":{"reasoning_tokens":94}}}"#,
        &[],
    );
    beside(
        "cohere",
        ("cohere", "default"),
        r#"{"usage":{"billed_units":{"input_tokens":5,"output_tokens":418},"tokens":{"input_tokens":71,"output_tokens":420}}}"#,
        &[],
    );
    beside(
        "mistral",
        ("mistral", "ocr"),
        r#"{"usage_info":{"pages_processed":29,"doc_size_bytes":3002783}}"#,
        &[],
    );
}

#[test]
fn what_we_read_otherwise_and_why() {
    // DeepSeek's own names of the hits.
    beside(
        "deepseek",
        ("deepseek", "chat"),
        r#"{"usage":{"prompt_tokens":100,"completion_tokens":9,"total_tokens":109,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}}"#,
        &[("cache_read_tokens", Some(64.0), None)],
    );
    // The total says that xAI has counted reasoning in; added again it would be charged twice.
    beside(
        "xai",
        ("x-ai", "chat"),
        r#"{"usage":{"prompt_tokens":32,"completion_tokens":103,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}}"#,
        &[("output_tokens", Some(103.0), Some(197.0))],
    );
    // Thinking of Anthropic's models on Bedrock, and their searches on Vertex AI.
    beside(
        "bedrock",
        ("aws", "anthropic"),
        r#"{"type":"message","usage":{"input_tokens":10,"output_tokens":30,"output_tokens_details":{"thinking_tokens":12}}}"#,
        &[("output_reasoning_tokens", Some(12.0), None)],
    );
    beside(
        "vertex_ai",
        ("google", "anthropic"),
        r#"{"type":"message","usage":{"input_tokens":10,"output_tokens":30,"server_tool_use":{"web_search_requests":2}}}"#,
        &[("web_searches", Some(2.0), None)],
    );
    // What shortening the conversation took is charged.
    beside(
        "anthropic",
        ("anthropic", "default"),
        r#"{"type":"message","usage":{"input_tokens":23000,"output_tokens":1000,"iterations":[{"type":"compaction","input_tokens":180000,"output_tokens":3500}]}}"#,
        &[
            ("input_tokens", Some(203_000.0), Some(23_000.0)),
            ("output_tokens", Some(4_500.0), Some(1_000.0)),
        ],
    );
    // Searches that only the answer's items or its grounding tell of.
    beside(
        "openai",
        ("openai", "responses"),
        r#"{"output":[{"type":"web_search_call","action":{"type":"search"}}],"usage":{"input_tokens":9,"output_tokens":5,"total_tokens":14}}"#,
        &[("web_searches", Some(1.0), None)],
    );
    beside(
        "gemini",
        ("google", "default"),
        r#"{"modelVersion":"gemini-3-pro-preview","candidates":[{"groundingMetadata":{"webSearchQueries":["a","b"]}}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"totalTokenCount":7}}"#,
        &[("web_searches", Some(2.0), None)],
    );
    // Google's chat completions: the thoughts that the total tells of.
    beside(
        "gemini",
        ("google", "chat"),
        r#"{"usage":{"completion_tokens":13,"prompt_tokens":7,"total_tokens":1079}}"#,
        &[
            ("output_reasoning_tokens", Some(1_059.0), None),
            ("output_tokens", Some(1_072.0), Some(13.0)),
        ],
    );
    // The seconds of audio that Mistral charges for.
    beside(
        "mistral",
        ("mistral", "default"),
        r#"{"usage":{"prompt_tokens":400,"completion_tokens":30,"total_tokens":430,"prompt_audio_seconds":8}}"#,
        &[("audio_seconds", Some(8.0), None)],
    );
    // Nova's names of the cache.
    beside(
        "bedrock",
        ("aws", "default"),
        r#"{"usage":{"inputTokens":4,"outputTokens":6,"totalTokens":10,"cacheReadInputTokenCount":3}}"#,
        &[
            ("cache_read_tokens", Some(3.0), None),
            ("input_tokens", Some(7.0), Some(4.0)),
        ],
    );
}

#[test]
fn what_they_cannot_read() {
    // A chunk before the last, a stream that was cut, a count that is absent: not an error but unknown.
    only_ours("openai", ("openai", "chat"), r#"{"choices":[],"usage":null}"#, "");
    only_ours(
        "openai",
        ("openai", "chat"),
        r#"{"usage":{"prompt_tokens":5}}"#,
        "in 5",
    );
    only_ours(
        "ollama",
        ("ollama", "default"),
        r#"{"done":true,"prompt_eval_count":26,"eval_count":9}"#,
        "in 26 out 9",
    );
    only_ours(
        "ibm.watsonx.ai",
        ("ibm.watsonx.ai", "default"),
        r#"{"results":[{"generated_token_count":12,"input_token_count":4}]}"#,
        "in 4 out 12",
    );
    only_ours(
        "groq",
        ("groq", "default"),
        r#"{"x_groq":{"usage":{"prompt_tokens":4,"completion_tokens":5}}}"#,
        "in 4 out 5",
    );
    only_ours(
        "bedrock",
        ("aws", "default"),
        r#"{"x-amzn-bedrock-input-token-count":"4"}"#,
        "in 4",
    );
    only_ours(
        "gemini",
        ("google", "default"),
        r#"[{"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":1}}]"#,
        "in 4 out 1",
    );
    only_ours(
        "anthropic",
        ("anthropic", "default"),
        r#"{"type":"message_start","message":{"usage":{"input_tokens":4,"output_tokens":1}}}"#,
        "in 4 out 1",
    );
}
