//! What must hold for every input, whoever wrote it: the properties that the fuzz targets check.
//!
//! Never judges what an input means; it says only that no way of reading panics, and that all ways agree.

#![forbid(unsafe_code)]

use flowmeter_model::{Figure, TokenUsage};
use flowmeter_pricing::{
    Overrides, UsageStream, extract_usage, extract_usage_from_headers, extract_usage_from_slice,
};

/// Every provider that is treated in a way of its own, some that are not, and nobody.
const HINTS: [Option<&str>; 16] = [
    None,
    Some("openai"),
    Some("anthropic"),
    Some("gemini"),
    Some("aws.bedrock"),
    Some("mistral"),
    Some("cohere"),
    Some("ollama"),
    Some("deepseek"),
    Some("groq"),
    Some("xai"),
    Some("openrouter"),
    Some("llama.cpp"),
    Some("perplexity"),
    Some("azure"),
    Some("no-such-provider"),
];

/// Counts are sums of a few numbers, each of which has a limit.
const TOKENS_MAX: u64 = 1_000_000_000_000_000_000;

/// Reads the bytes as an answer of every provider, and as the frames of a stream.
pub fn usage(input: &[u8]) {
    for hint in HINTS {
        let from_bytes = extract_usage_from_slice(hint, input);
        bounded(&from_bytes);
        if let Ok(parsed) = serde_json::from_slice::<serde_json::Value>(input) {
            assert_eq!(
                from_bytes,
                extract_usage(hint, &parsed),
                "the fast way and the careful way differ"
            );
            as_one_frame(hint, input, &from_bytes);
        }
    }
    let text = String::from_utf8_lossy(input);
    cut(&text, text.split('\n'));
    cut(
        &text,
        pieces(&text, 1 + input.first().map_or(0, |byte| usize::from(*byte))),
    );
    let headers = text.lines().filter_map(|line| line.split_once(':'));
    bounded(&extract_usage_from_headers(None, headers));
}

/// A stream of one frame tells what the body tells. Only what a body may hide from the first glance is passed over:
/// keys written with escapes, and headers in an unusual case.
fn as_one_frame(hint: Option<&str>, input: &[u8], from_bytes: &TokenUsage) {
    let Ok(frame) = std::str::from_utf8(input) else {
        return;
    };
    let mut stream = UsageStream::new(hint);
    stream.frame(frame);
    let from_frame = stream.usage();
    let lowered = frame.to_ascii_lowercase();
    let hidden =
        frame.contains('\\') || lowered.contains("x-amzn-bedrock-") || lowered.contains("-service-tier");
    let nothing = from_frame == TokenUsage::default();
    // A tier or a search alone makes no frame worth reading.
    let told = from_bytes.input.is_some() || from_bytes.output.is_some();
    assert!(
        from_frame == *from_bytes || (nothing && (hidden || !told)),
        "a stream of one frame says {from_frame:?}, the body {from_bytes:?}"
    );
}

/// Feeds a stream the text in pieces.
fn cut<'t>(text: &str, frames: impl Iterator<Item = &'t str>) {
    let mut stream = UsageStream::new(HINTS[text.len() % HINTS.len()]);
    for frame in frames {
        stream.frame(frame);
    }
    bounded(&stream.usage());
}

/// Pieces of about so many bytes, cut between letters.
fn pieces(text: &str, bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut end = bytes.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// No number is larger than numbers in an answer may be.
fn bounded(usage: &TokenUsage) {
    let figures = [
        usage.input,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
        usage.citation,
        usage.input_audio,
        usage.input_image,
        usage.input_video,
        usage.cache_read_audio,
        usage.cache_read_image,
        usage.cache_read_video,
        usage.output_audio,
        usage.output_image,
        usage.output_video,
    ];
    let counts = [
        usage.web_searches,
        usage.web_fetches,
        usage.file_searches,
        usage.search_units,
        usage.audio_ms,
        usage.document_pages,
    ];
    let tokens = figures.iter().flatten().map(|Figure { tokens, .. }| *tokens);
    for count in tokens.chain(counts.into_iter().flatten()) {
        assert!(count <= TOKENS_MAX, "{count} is no count: {usage:?}");
    }
    assert!(usage.reported_cost.is_none_or(|cost| cost.0 >= 0), "{usage:?}");
}

/// Reads the bytes as the user's price file. What it is told about a file, it is told again of the same file.
pub fn pricing_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let told = |text: &str| Overrides::parse(text).map_err(|error| error.to_string());
    match (told(text), told(text)) {
        (Ok(_), Ok(_)) => {}
        (Err(first), Err(second)) => {
            assert!(!first.is_empty(), "an error without words");
            assert_eq!(first, second);
        }
        _ => panic!("the same file is read and refused"),
    }
}
