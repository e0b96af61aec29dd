//! Usage that nobody counted, of whole answers and of streams that broke off.

use flowmeter_model::{FigureSource, TokenUsage};
use serde_json::json;

use super::*;
use crate::llm::LlmRequest;

fn ended(status: SpanStatus, usage: TokenUsage) -> Ended {
    Ended {
        status,
        usage,
        model: None,
        response_id: None,
        finish_reasons: Vec::new(),
        response: None,
        raw_usage: None,
        error: None,
        billed: true,
    }
}

fn call(model: &str, prompt: &str) -> LlmCall {
    LlmCall::begin(None, LlmRequest::chat("openai", model).prompt(prompt))
}

/// Input and output with who counted them.
fn estimated(call: &LlmCall, mut ended: Ended) -> [Option<(u64, FigureSource)>; 2] {
    call.estimate_missing(&mut ended);
    [ended.usage.input, ended.usage.output].map(|figure| figure.map(|figure| (figure.tokens, figure.source)))
}

fn counted(tokens: u64) -> Option<Figure> {
    Some(Figure::provider(tokens))
}

#[test]
fn a_model_that_is_not_openais_is_guessed_by_bytes() {
    let mut call = call("claude-sonnet-4-5", "twelve bytes");
    call.text("twelve ");
    call.text("bytes");
    let wanted = [
        Some((3, FigureSource::Estimate)),
        Some((3, FigureSource::Estimate)),
    ];
    for status in [SpanStatus::Ok, SpanStatus::Error, SpanStatus::Cancelled] {
        assert_eq!(estimated(&call, ended(status, TokenUsage::default())), wanted);
    }
}

#[test]
fn what_was_counted_stays_unless_more_was_sent() {
    let mut call = call("claude-sonnet-4-5", "x");
    call.text(&"x".repeat(400));
    let usage = TokenUsage {
        input: counted(9),
        output: counted(7),
        ..TokenUsage::default()
    };
    let kept = [
        Some((9, FigureSource::Provider)),
        Some((7, FigureSource::Provider)),
    ];
    assert_eq!(estimated(&call, ended(SpanStatus::Ok, usage.clone())), kept);
    let more = [
        Some((9, FigureSource::Provider)),
        Some((100, FigureSource::Estimate)),
    ];
    assert_eq!(estimated(&call, ended(SpanStatus::Error, usage)), more);
}

#[test]
fn what_a_stream_had_counted_when_it_broke_off_is_an_estimate() {
    let mut streamed = call("claude-sonnet-4-5", "x");
    streamed.request.stream = true;
    streamed.text("Hi");
    // The count of Anthropic's first event stands for an answer that has not begun.
    let usage = TokenUsage {
        input: counted(9),
        output: counted(8),
        ..TokenUsage::default()
    };
    let input = Some((9, FigureSource::Provider));
    for status in [SpanStatus::Error, SpanStatus::Cancelled] {
        let told = estimated(&streamed, ended(status, usage.clone()));
        assert_eq!(told, [input, Some((8, FigureSource::Estimate))]);
    }
    let whole = [input, Some((8, FigureSource::Provider))];
    assert_eq!(estimated(&streamed, ended(SpanStatus::Ok, usage.clone())), whole);
    // A refusal that came whole counted for good.
    let refused = call("claude-sonnet-4-5", "x");
    assert_eq!(estimated(&refused, ended(SpanStatus::Error, usage)), whole);
}

#[test]
fn what_is_charged_without_tokens_has_none() {
    let call = call("rerank-v3.5", "a question");
    let searched = TokenUsage {
        search_units: Some(1),
        ..TokenUsage::default()
    };
    assert_eq!(estimated(&call, ended(SpanStatus::Ok, searched)), [None, None]);
}

#[test]
fn a_structured_answer_is_as_long_as_its_json() {
    let mut call = call("llama3", "");
    call.take_whole(&json!({"answer": 42}));
    let told = estimated(&call, ended(SpanStatus::Ok, TokenUsage::default()));
    assert_eq!(told, [None, Some((4, FigureSource::Estimate))]);
}

#[cfg(feature = "tokenizer")]
#[test]
fn openais_models_are_counted_with_their_tokenizer() {
    // Two words and what stands around a message; the answer came in pieces.
    let wanted = [
        Some((2 + 7, FigureSource::Tokenizer)),
        Some((6, FigureSource::Tokenizer)),
    ];
    for status in [SpanStatus::Ok, SpanStatus::Error, SpanStatus::Cancelled] {
        let mut pieces = call("gpt-4o-2024-08-06", "hello world");
        for piece in ["tik", "token is", " great!"] {
            pieces.text(piece);
        }
        assert_eq!(estimated(&pieces, ended(status, TokenUsage::default())), wanted);
    }
    let mut whole = call("gpt-4o", "hello world");
    whole.take_whole(&json!("tiktoken is great!"));
    assert_eq!(
        estimated(&whole, ended(SpanStatus::Ok, TokenUsage::default())),
        wanted
    );
    // More bytes than texts, as with images: by bytes.
    whole.request.input_text_bytes = 4_000;
    let told = estimated(&whole, ended(SpanStatus::Ok, TokenUsage::default()));
    assert_eq!(told[0], Some((1_000, FigureSource::Estimate)));
}

#[cfg(feature = "tokenizer")]
#[test]
fn a_long_answer_is_kept_only_in_part() {
    let mut long = call("gpt-4o", "hi");
    for _ in 0..40 {
        long.text(&"It rains in Paris. ".repeat(4_000));
    }
    assert!(long.answer_text.kept.len() <= KEPT_BYTES_MAX);
    let [_, output] = estimated(&long, ended(SpanStatus::Ok, TokenUsage::default()));
    let (tokens, source) = output.expect("there was an answer");
    assert_eq!(source, FigureSource::Estimate);
    assert!((600_000..=900_000).contains(&tokens), "{tokens}");
}
