//! The crate as others use it: a provider's answer in, a cost with its reason out.

mod answers;
mod beside;
mod streams;
mod told;

use std::sync::Arc;

use flowmeter_model::{CostStatus, CostTotal, TimestampNs, TokenUsage, UsdNanos};
use flowmeter_pricing::{Overrides, PriceBook, PricedCall, PricingFileError, UsageStream, extract_usage};
use serde_json::{Map, Value, json};

const START: TimestampNs = TimestampNs(1_793_491_200_000_000_000);

fn call<'a>(provider: &'a str, model: &'a str, usage: &'a TokenUsage) -> PricedCall<'a> {
    PricedCall {
        provider: Some(provider),
        request_model: model,
        response_model: None,
        usage,
        start: START,
        service_tier: None,
    }
}

#[test]
fn an_answer_and_its_stream_cost_the_same() {
    let block = json!({"input_tokens": 176, "cache_read_input_tokens": 1024, "cache_creation_input_tokens": 200,
        "cache_creation": {"ephemeral_5m_input_tokens": 150, "ephemeral_1h_input_tokens": 50},
        "output_tokens": 300, "server_tool_use": {"web_search_requests": 2}});
    let whole = extract_usage(
        Some("anthropic"),
        &json!({"type": "message", "usage": block.clone()}),
    );
    let mut stream = UsageStream::new(Some("anthropic"));
    stream.frame(&json!({"type": "message_start", "message": {"usage": block}}).to_string());
    stream.frame(&json!({"type": "message_delta", "usage": {"output_tokens": 300}}).to_string());
    assert_eq!(stream.usage(), whole);

    let book = Arc::new(PriceBook::bundled());
    let cost = book.price(&call("anthropic", "claude-sonnet-4-5-20250929", &whole));
    assert_eq!(
        (cost.status, cost.amount),
        (CostStatus::Priced, Some(UsdNanos(26_197_700)))
    );
}

#[test]
fn a_sum_of_many_prices_hides_nothing() {
    let book = PriceBook::bundled();
    let usage = extract_usage(
        None,
        &json!({"usage": {"prompt_tokens": 1000, "completion_tokens": 100}}),
    );
    let mut total = CostTotal::default();
    for (provider, model) in [
        ("openai", "gpt-4o"),
        ("ollama", "llama3"),
        ("openai", "gpt-4-mystery"),
    ] {
        total.add(model, &book.price(&call(provider, model, &usage)));
    }
    assert_eq!(total.display(), "≥ $0.0035 (+1 unpriced)");
}

#[test]
fn errors_of_a_price_file_can_be_told_apart() {
    let error = Overrides::parse("{\"m\": {\"imput\": 1}}").unwrap_err();
    assert!(
        matches!(
            error,
            PricingFileError::UnknownKey {
                line: 1,
                column: 8,
                nearest: "input",
                ..
            }
        ),
        "{error:?}"
    );
}

/// JSON made of the very keys that usage blocks are made of.
fn usage_like(u: &mut arbtest::arbitrary::Unstructured<'_>, depth: u32) -> arbtest::arbitrary::Result<Value> {
    const KEYS: [&str; 24] = [
        "usage",
        "usageMetadata",
        "message",
        "response",
        "delta",
        "metadata",
        "x_groq",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "cached_tokens",
        "input_tokens",
        "output_tokens",
        "cache_creation",
        "cache_creation_input_tokens",
        "ephemeral_1h_input_tokens",
        "promptTokenCount",
        "inputTokens",
        "cacheWriteInputTokens",
        "cacheDetails",
        "billed_units",
        "cost",
        "output",
    ];
    Ok(match u.int_in_range(0..=if depth == 0 { 4 } else { 8 })? {
        0 => Value::Null,
        1 => json!(u.arbitrary::<u64>()?),
        2 => json!(u.arbitrary::<f64>()?),
        3 => json!(u.arbitrary::<i64>()?),
        4 => json!(u.arbitrary::<String>()?),
        5 => {
            let count = u.int_in_range(0..=3)?;
            Value::Array(
                (0..count)
                    .map(|_| usage_like(u, depth - 1))
                    .collect::<Result<_, _>>()?,
            )
        }
        _ => {
            let mut object = Map::new();
            for _ in 0..u.int_in_range(0..=6)? {
                object.insert((*u.choose(&KEYS)?).to_owned(), usage_like(u, depth - 1)?);
            }
            Value::Object(object)
        }
    })
}

#[test]
fn no_answer_breaks_anything() {
    let book = PriceBook::bundled();
    arbtest::arbtest(|u| {
        let hint = *u.choose(&[
            "openai",
            "anthropic",
            "xai",
            "perplexity",
            "gemini",
            "bedrock",
            "unheard-of",
        ])?;
        let body = usage_like(u, 4)?;
        let usage = extract_usage(Some(hint), &body);
        let cost = book.price(&call(hint, "claude-sonnet-4-5", &usage));
        assert_eq!(cost.amount.is_none(), cost.status == CostStatus::Unpriced);
        assert!(cost.amount.is_none_or(|amount| amount.0 >= 0));
        let mut stream = UsageStream::new(Some(hint));
        stream.frame(&body.to_string());
        let _ = stream.usage();
        Ok(())
    })
    .budget_ms(1_500);
}
