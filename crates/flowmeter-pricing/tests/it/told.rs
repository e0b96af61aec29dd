//! Usage in one line, so that what is expected of an answer stands beside it.
//!
//! Never leaves a figure out that is known: what is not expected shows.

use flowmeter_model::{Figure, TokenUsage};
use flowmeter_pricing::{UsageStream, extract_usage, extract_usage_from_slice};
use serde_json::Value;

/// `in 10 read 2 out 5`, with every figure that is known and nothing else.
pub(crate) fn line(usage: &TokenUsage) -> String {
    let figures = [
        ("in", usage.input),
        ("read", usage.cache_read),
        ("w5m", usage.cache_write_5m),
        ("w1h", usage.cache_write_1h),
        ("out", usage.output),
        ("think", usage.reasoning),
        ("cite", usage.citation),
        ("audio", usage.input_audio),
        ("image", usage.input_image),
        ("video", usage.input_video),
        ("read-audio", usage.cache_read_audio),
        ("read-image", usage.cache_read_image),
        ("read-video", usage.cache_read_video),
        ("out-audio", usage.output_audio),
        ("out-image", usage.output_image),
        ("out-video", usage.output_video),
    ];
    let counts = [
        ("web", usage.web_searches),
        ("fetch", usage.web_fetches),
        ("file", usage.file_searches),
        ("units", usage.search_units),
        ("ms", usage.audio_ms),
        ("pages", usage.document_pages),
    ];
    let figures = figures
        .into_iter()
        .map(|(name, figure)| (name, figure.map(|figure: Figure| figure.tokens)));
    let mut words: Vec<String> = figures
        .chain(counts)
        .filter_map(|(name, count)| Some(format!("{name} {}", count?)))
        .collect();
    words.extend(usage.reported_cost.map(|cost| format!("nanos {}", cost.0)));
    words.extend(usage.service_tier.as_ref().map(|tier| format!("tier {tier}")));
    words.extend(usage.inference_geo.as_ref().map(|place| format!("geo {place}")));
    words.join(" ")
}

/// One answer, read in every way there is: parsed, as bytes, and as the only frame of a stream.
#[track_caller]
pub(crate) fn answer(hint: Option<&str>, body: &str, wanted: &str) {
    let parsed: Value = serde_json::from_str(body).expect(body);
    let pretty = serde_json::to_string_pretty(&parsed).expect(body);
    let mut frame = UsageStream::new(hint);
    frame.frame(body);
    let mut event = UsageStream::new(hint);
    event.frame(&format!("event: message\r\ndata: {parsed}\r\n\r\n"));
    for (way, usage) in [
        ("parsed", extract_usage(hint, &parsed)),
        ("bytes", extract_usage_from_slice(hint, body.as_bytes())),
        ("pretty", extract_usage_from_slice(hint, pretty.as_bytes())),
        ("frame", frame.usage()),
        ("event", event.usage()),
    ] {
        assert_eq!(line(&usage), wanted, "{way}, {hint:?}: {body}");
    }
}

/// A stream, read frame by frame, as server-sent events, and as one recorded text.
#[track_caller]
pub(crate) fn stream(hint: Option<&str>, frames: &[&str], wanted: &str) {
    let mut bare = UsageStream::new(hint);
    let mut events = UsageStream::new(hint);
    let mut transcript = String::from("\u{feff}: connected\n\n");
    for frame in frames {
        bare.frame(frame);
        let event = format!("event: message\nid: 7\ndata: {frame}\n\n");
        events.frame(&event);
        transcript.push_str(&event);
    }
    let lines = frames.join("\r\n");
    for (way, usage) in [
        ("frames", bare.usage()),
        ("events", events.usage()),
        (
            "transcript",
            extract_usage_from_slice(hint, transcript.as_bytes()),
        ),
        ("lines", extract_usage_from_slice(hint, lines.as_bytes())),
    ] {
        assert_eq!(line(&usage), wanted, "{way}, {hint:?}");
    }
}
