//! How fast usage is read: whole answers of 2 KB beside genai-prices' own extractor, and frames of a stream.
//!
//! Variants run in turns within one process, so that noise hits them alike; the medians of the CPU time are printed. Limits: an answer of
//! 2 KB takes at most 3 µs, a frame without usage at most 300 ns.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use flowmeter_pricing::{UsageStream, extract_usage, extract_usage_from_slice};
use genai_prices::{Calculator, ExtractRequest};
use serde_json::{Value, json};

const BODY_BYTES: usize = 2_048;
const BODY_LIMIT_NS: f64 = 3_000.0;
const FRAME_LIMIT_NS: f64 = 300.0;
const REPEATS: u32 = 2_000;

/// Prose with quotes and line ends, as models write it.
fn prose(bytes: usize) -> String {
    let sentence = "Say \"why\" it rains in Paris, and what to do about it.\nBe brief; quote nobody. ";
    sentence.chars().cycle().take(bytes).collect()
}

/// The answer that `with_text` makes, with as much text as makes it 2 KB.
fn body(with_text: impl Fn(String) -> Value) -> String {
    let empty = with_text(String::new()).to_string().len();
    let mut text = prose(BODY_BYTES - empty);
    loop {
        let body = with_text(text.clone()).to_string();
        if body.len() <= BODY_BYTES {
            return body;
        }
        text.truncate(text.len() - (body.len() - BODY_BYTES));
    }
}

fn openai() -> String {
    body(|text| {
        json!({"id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion", "created": 1_741_569_952,
            "model": "gpt-4o-2024-08-06", "choices": [{"index": 0, "message": {"role": "assistant", "content": text,
                "refusal": null, "annotations": []}, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1200, "completion_tokens": 300, "total_tokens": 1500,
                "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0}},
            "service_tier": "default", "system_fingerprint": "fp_1"})
    })
}

fn anthropic() -> String {
    body(|text| {
        json!({"id": "msg_013Zva2CMHLNnXjNJJKqJ2EF", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 176, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 1024,
                "cache_creation": {"ephemeral_5m_input_tokens": 150, "ephemeral_1h_input_tokens": 50}, "output_tokens": 300,
                "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}, "service_tier": "standard"}})
    })
}

fn gemini() -> String {
    body(|text| {
        json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "avgLogprobs": -0.1}],
            "usageMetadata": {"promptTokenCount": 1000, "cachedContentTokenCount": 400, "candidatesTokenCount": 200,
                "thoughtsTokenCount": 300, "totalTokenCount": 1500,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}],
                "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 400}],
                "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 200}]},
            "modelVersion": "gemini-2.5-flash", "responseId": "r"})
    })
}

struct Variant<'a> {
    name: String,
    run: Box<dyn FnMut() + 'a>,
    limit_ns: Option<f64>,
    /// The variant that this one is compared with, by its place in the list.
    beside: Option<usize>,
    times: Vec<f64>,
}

impl<'a> Variant<'a> {
    fn new(name: impl Into<String>, run: impl FnMut() + 'a) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
            limit_ns: None,
            beside: None,
            times: Vec::new(),
        }
    }

    fn median(&mut self) -> f64 {
        self.times.sort_by(f64::total_cmp);
        self.times[self.times.len() / 2]
    }
}

/// One provider's answer, read by us and by genai-prices, from bytes and from a parsed value.
fn of_answer<'a>(
    variants: &mut Vec<Variant<'a>>,
    book: &'a Calculator,
    (hint, flavor): (&'a str, &'a str),
    (body, parsed): (&'a str, &'a Value),
) {
    let first = variants.len();
    let request = |request: ExtractRequest<'a>| request.with_provider_id(hint).with_api_flavor(flavor);
    let theirs = request(ExtractRequest::new(body));
    let theirs_parsed = request(ExtractRequest::from_value(parsed));
    variants.push(Variant::new(format!("{hint}, bytes: genai-prices"), move || {
        black_box(book.extract_usage(black_box(&theirs)).is_ok());
    }));
    let mut ours = Variant::new(format!("{hint}, bytes: flowmeter"), move || {
        black_box(extract_usage_from_slice(Some(hint), black_box(body.as_bytes())));
    });
    (ours.limit_ns, ours.beside) = (Some(BODY_LIMIT_NS), Some(first));
    variants.push(ours);
    variants.push(Variant::new(format!("{hint}, parsed: genai-prices"), move || {
        black_box(book.extract_usage(black_box(&theirs_parsed)).is_ok());
    }));
    let mut ours = Variant::new(format!("{hint}, parsed: flowmeter"), move || {
        black_box(extract_usage(Some(hint), black_box(parsed)));
    });
    (ours.limit_ns, ours.beside) = (Some(BODY_LIMIT_NS), Some(first + 2));
    variants.push(ours);
}

/// CPU time of this thread: what other processes take does not count.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn main() -> ExitCode {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if is_quick { 9 } else { 101 };
    let book = Calculator::bundled();
    let answers = [
        ("openai", "chat", openai()),
        ("anthropic", "default", anthropic()),
        ("google", "default", gemini()),
    ];
    let answers: Vec<(&str, &str, String, Value)> = answers
        .into_iter()
        .map(|(hint, flavor, body)| {
            let parsed = serde_json::from_str(&body).unwrap_or_default();
            (hint, flavor, body, parsed)
        })
        .collect();
    let text = prose(40);
    let long = prose(2_000);
    let frames = [
        (
            "a frame with null for usage",
            json!({"id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion.chunk", "created": 1_741_569_952,
                "model": "gpt-4o-2024-08-06", "service_tier": "default", "system_fingerprint": "fp_1",
                "choices": [{"index": 0, "delta": {"content": text}, "logprobs": null, "finish_reason": null}], "usage": null}),
        ),
        (
            "a frame without the word",
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        ),
        (
            "a frame of 2 KB",
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": long}}),
        ),
    ]
    .map(|(name, frame)| (name, frame.to_string()));
    let last = json!({"choices": [], "usage": {"prompt_tokens": 1200, "completion_tokens": 300, "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 1024}, "completion_tokens_details": {"reasoning_tokens": 128}}})
    .to_string();

    let mut variants = Vec::new();
    for (hint, flavor, body, parsed) in &answers {
        of_answer(&mut variants, book, (hint, flavor), (body, parsed));
    }
    for (name, frame) in &frames {
        let mut stream = UsageStream::new(Some("openai"));
        let mut variant = Variant::new(format!("{name} ({} bytes)", frame.len()), move || {
            stream.frame(black_box(frame));
        });
        variant.limit_ns = Some(FRAME_LIMIT_NS);
        variants.push(variant);
    }
    let mut stream = UsageStream::new(Some("openai"));
    variants.push(Variant::new("a frame with usage", move || {
        stream.frame(black_box(&last));
    }));

    for _ in 0..rounds {
        for variant in &mut variants {
            let began = thread_cpu();
            for _ in 0..REPEATS {
                (variant.run)();
            }
            let elapsed_ns = (thread_cpu() - began).as_nanos() as f64;
            variant.times.push(elapsed_ns / f64::from(REPEATS));
        }
    }
    println!("answers of {BODY_BYTES} bytes, and frames of streams; medians of {rounds} rounds");
    let medians: Vec<f64> = variants.iter_mut().map(Variant::median).collect();
    let mut holds = true;
    for (variant, median) in variants.iter().zip(&medians) {
        let verdict = variant.limit_ns.map_or(
            "    ",
            |limit_ns| if *median <= limit_ns { "ok  " } else { "MISS" },
        );
        let limit = variant
            .limit_ns
            .map_or(String::new(), |limit_ns| format!(" (limit {limit_ns} ns)"));
        let ratio = variant.beside.map_or(String::new(), |at| {
            format!(", {:.1} times as fast", medians[at] / median)
        });
        println!("{verdict} {:<36} {median:>7.0} ns{limit}{ratio}", variant.name);
        holds &= verdict != "MISS";
    }
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
