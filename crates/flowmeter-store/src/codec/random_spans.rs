//! Random spans for tests: every field, every kind of value, texts in several scripts.

use std::sync::Arc;

use arbtest::arbitrary::{Result, Unstructured};
use flowmeter_model::{
    AttributeValue, Attributes, Cost, CostExplanation, CostLine, CostStatus, Figure, FigureSource, LogLevel,
    LogRecord, MutationRecord, Span, SpanError, SpanEvent, SpanId, SpanKind, SpanStatus, TemplateResolution,
    TimestampNs, TokenUsage, TraceId, UsdNanos,
};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

const TEXTS: &[&str] = &[
    "",
    "a",
    "role",
    "gen_ai.request.model",
    "Größe naïve Ångström",
    "Сколько это стоит?",
    "从北京到上海",
    "東京タワー สวัสดี",
    "مرحبا שלום",
    "\u{0}\u{1}\n\t\"\\",
    "🙂👩‍👩‍👧",
];
const KEYS: &[&str] = &[
    "role",
    "content",
    "parts",
    "x",
    "",
    "größe",
    "gen_ai.usage.input_tokens",
    "node.id",
];

pub(crate) fn text(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=9)? {
        0 => "long ".repeat(u.int_in_range(90..=300)?),
        1 => format!("{}{}", u.choose(TEXTS)?, u.arbitrary::<u8>()?),
        2 => u.arbitrary::<String>()?,
        _ => (*u.choose(TEXTS)?).to_owned(),
    })
}

fn smol(u: &mut Unstructured<'_>) -> Result<SmolStr> {
    text(u).map(SmolStr::from)
}

fn optional<T>(
    u: &mut Unstructured<'_>,
    make: impl FnOnce(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Option<T>> {
    if u.arbitrary()? {
        make(u).map(Some)
    } else {
        Ok(None)
    }
}

fn list<T>(
    u: &mut Unstructured<'_>,
    most: usize,
    mut make: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let length = u.int_in_range(0..=most)?;
    (0..length).map(|_| make(u)).collect()
}

fn real(u: &mut Unstructured<'_>) -> Result<f64> {
    let number: f64 = u.arbitrary()?;
    Ok(if number.is_finite() { number } else { -0.0 })
}

pub(crate) fn value(u: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    Ok(match u.int_in_range(0..=if depth > 4 { 6 } else { 9 })? {
        0 => Value::Null,
        1 => Value::Bool(u.arbitrary()?),
        2 => json!(u.arbitrary::<i64>()?),
        3 => json!(u.arbitrary::<u64>()?),
        4 => json!(real(u)?),
        5 | 6 => Value::String(text(u)?),
        7 => messages(u)?,
        8 => Value::Array(list(u, 4, |u| value(u, depth + 1))?),
        _ => {
            let mut object = Map::new();
            for _ in 0..u.int_in_range(0..=4)? {
                object.insert((*u.choose(KEYS)?).to_owned(), value(u, depth + 1)?);
            }
            Value::Object(object)
        }
    })
}

/// A list of messages, of a few that come again and again.
pub(crate) fn messages(u: &mut Unstructured<'_>) -> Result<Value> {
    let message = |u: &mut Unstructured<'_>| {
        let role = *u.choose(&["system", "user", "assistant"])?;
        Ok(json!({"role": role, "parts": [{"type": "text", "content": text(u)?}]}))
    };
    Ok(Value::Array(list(u, 5, message)?))
}

pub(crate) fn attributes(u: &mut Unstructured<'_>) -> Result<Attributes> {
    let mut attributes = Attributes::new();
    for _ in 0..u.int_in_range(0..=6)? {
        let value = match u.int_in_range(0..=4)? {
            0 => AttributeValue::Bool(u.arbitrary()?),
            1 => AttributeValue::I64(u.arbitrary()?),
            2 => AttributeValue::F64(real(u)?),
            3 => AttributeValue::Str(smol(u)?),
            _ => AttributeValue::Json(Arc::new(value(u, 0)?)),
        };
        attributes.set(smol(u)?, value);
    }
    if u.ratio(1, 4)? {
        for number in 0..u.int_in_range(30..=40)? {
            attributes.set(format!("many.{number}"), i64::from(number));
        }
    }
    for key in ["gen_ai.input.messages", "gen_ai.output.messages"] {
        if u.arbitrary()? {
            attributes.set(key, messages(u)?);
        }
    }
    Ok(attributes)
}

pub(crate) fn log_record(u: &mut Unstructured<'_>) -> Result<LogRecord> {
    let levels = [
        LogLevel::Trace,
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Warn,
        LogLevel::Error,
    ];
    Ok(LogRecord {
        time: TimestampNs(u.arbitrary()?),
        level: *u.choose(&levels)?,
        message: text(u)?,
        target: optional(u, smol)?,
        span_id: optional(u, span_id)?,
        attributes: attributes(u)?,
    })
}

fn span_id(u: &mut Unstructured<'_>) -> Result<SpanId> {
    Ok(SpanId::from_u64(u.arbitrary::<u64>()?.max(1)).expect("not zero"))
}

fn figure(u: &mut Unstructured<'_>) -> Result<Option<Figure>> {
    let sources = [
        FigureSource::Provider,
        FigureSource::Convention,
        FigureSource::Tokenizer,
        FigureSource::Estimate,
    ];
    optional(u, |u| {
        Ok(Figure {
            tokens: u.arbitrary()?,
            source: *u.choose(&sources)?,
        })
    })
}

fn usage(u: &mut Unstructured<'_>) -> Result<TokenUsage> {
    let number = |u: &mut Unstructured<'_>| -> Result<Option<u64>> { u.arbitrary() };
    Ok(TokenUsage {
        input: figure(u)?,
        cache_read: figure(u)?,
        cache_write_5m: figure(u)?,
        cache_write_1h: figure(u)?,
        output: figure(u)?,
        reasoning: figure(u)?,
        input_audio: figure(u)?,
        input_image: figure(u)?,
        output_audio: figure(u)?,
        web_searches: number(u)?,
        reported_cost: optional(u, |u| u.arbitrary().map(UsdNanos))?,
        service_tier: optional(u, text)?,
        input_video: figure(u)?,
        cache_read_audio: figure(u)?,
        cache_read_image: figure(u)?,
        cache_read_video: figure(u)?,
        output_image: figure(u)?,
        output_video: figure(u)?,
        citation: figure(u)?,
        web_fetches: number(u)?,
        file_searches: number(u)?,
        search_units: number(u)?,
        audio_ms: number(u)?,
        document_pages: number(u)?,
        inference_geo: optional(u, text)?,
    })
}

fn cost(u: &mut Unstructured<'_>) -> Result<Cost> {
    let statuses = [
        CostStatus::Reported,
        CostStatus::Priced,
        CostStatus::Estimated,
        CostStatus::Partial,
        CostStatus::Unpriced,
    ];
    let line = |u: &mut Unstructured<'_>| {
        Ok(CostLine {
            kind: smol(u)?,
            quantity: u.arbitrary()?,
            rate_nanos: u.arbitrary()?,
            per: u.arbitrary()?,
        })
    };
    let amounts = [
        UsdNanos(i64::MIN),
        UsdNanos(i64::MAX),
        UsdNanos(-1),
        UsdNanos(u.arbitrary()?),
    ];
    Ok(Cost {
        status: *u.choose(&statuses)?,
        amount: optional(u, |u| u.choose(&amounts).copied())?,
        explanation: optional(u, |u| {
            Ok(Arc::new(CostExplanation {
                matched: smol(u)?,
                source: smol(u)?,
                source_date: optional(u, smol)?,
                applies_since: optional(u, smol)?,
                terms: optional(u, smol)?,
                rule: smol(u)?,
                lines: list(u, 3, line)?,
                warnings: list(u, 2, text)?,
            }))
        })?,
    })
}

pub(crate) fn span(u: &mut Unstructured<'_>, trace_id: TraceId) -> Result<Span> {
    let kinds = [
        SpanKind::Run,
        SpanKind::Node,
        SpanKind::Attempt,
        SpanKind::LlmCall,
        SpanKind::Custom,
    ];
    let start = TimestampNs(u.arbitrary()?);
    let kind = *u.choose(&kinds)?;
    let mut span = Span::begin(
        trace_id,
        span_id(u)?,
        optional(u, span_id)?,
        kind,
        smol(u)?,
        start,
    );
    if u.ratio(1, 8)? {
        span.trace_id = TraceId::from_bytes(u.arbitrary::<[u8; 16]>()?).unwrap_or(trace_id);
    }
    let ends = [
        start.0,
        start.0.saturating_add(1_000_000),
        u.arbitrary()?,
        u64::MAX,
        0,
    ];
    span.end = optional(u, |u| u.choose(&ends).map(|end| TimestampNs(*end)))?;
    let statuses = [SpanStatus::Ok, SpanStatus::Error, SpanStatus::Cancelled];
    span.status = optional(u, |u| u.choose(&statuses).copied())?;
    span.error = optional(u, |u| {
        Ok(SpanError {
            error_type: smol(u)?,
            message: text(u)?,
            chain: list(u, 3, text)?,
        })
    })?;
    span.attributes = attributes(u)?;
    span.events = list(u, 2, |u| {
        Ok(SpanEvent {
            name: smol(u)?,
            time: TimestampNs(u.arbitrary()?),
            attributes: attributes(u)?,
        })
    })?;
    span.logs = list(u, 2, log_record)?;
    span.params = optional(u, |u| value(u, 0).map(Arc::new))?;
    span.templates = list(u, 2, |u| {
        Ok(TemplateResolution {
            template: text(u)?,
            value: Arc::new(value(u, 0)?),
        })
    })?;
    span.mutations = list(u, 3, |u| {
        Ok(MutationRecord {
            path: text(u)?,
            before: optional(u, |u| value(u, 0).map(Arc::new))?,
            after: optional(u, |u| value(u, 0).map(Arc::new))?,
            time: TimestampNs(u.arbitrary()?),
        })
    })?;
    span.usage = optional(u, usage)?;
    span.cost = optional(u, cost)?;
    Ok(span)
}

/// An LLM call as the benchmarks have it: about 2.7 KB, twenty attributes, half a kilobyte of it said once only.
pub(crate) fn llm_call(number: u64) -> Span {
    let trace_id = TraceId::from_bytes(u128::from(number / 10 + 1).to_be_bytes()).expect("not zero");
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let span_id = SpanId::from_u64(mixed | 1).expect("not zero");
    let start = TimestampNs(1_780_000_000_000_000_000 + number * 1_234_567);
    let mut span = Span::begin(
        trace_id,
        span_id,
        SpanId::from_u64(7),
        SpanKind::LlmCall,
        "chat gpt-4o",
        start,
    );
    span.end = Some(TimestampNs(start.0 + 800_000_000 + mixed % 1_000_000_000));
    span.status = Some(SpanStatus::Ok);
    let words = [
        "kettle",
        "review",
        "quickly",
        "summary",
        "handle",
        "customer",
        "promised",
        "replacement",
        "colour",
    ];
    let mut state = mixed;
    let mut prose = |length: usize| {
        let mut prose = String::new();
        while prose.len() < length {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            prose.push_str(words[(state >> 33) as usize % words.len()]);
            prose.push_str(if state >> 60 == 0 { ". " } else { " " });
            if (state >> 40).is_multiple_of(7) {
                prose.push_str(&format!("{:x} ", state >> 44));
            }
        }
        prose
    };
    let (tokens_in, tokens_out) = (300 + mixed % 200, 100 + mixed % 90);
    let attributes = &mut span.attributes;
    attributes.set("gen_ai.operation.name", "chat");
    attributes.set("gen_ai.provider.name", "openai");
    attributes.set("gen_ai.request.model", "gpt-4o");
    attributes.set("gen_ai.request.stream", true);
    attributes.set("gen_ai.request.temperature", 0.7);
    attributes.set("gen_ai.request.max_tokens", 1_024_i64);
    attributes.set("gen_ai.response.model", "gpt-4o-2024-11-20");
    attributes.set("gen_ai.response.id", format!("chatcmpl-{mixed:016x}"));
    attributes.set("gen_ai.response.finish_reasons", json!(["stop"]));
    attributes.set(
        "gen_ai.response.time_to_first_chunk",
        0.122 + (mixed % 1_000) as f64 / 7_919.0,
    );
    attributes.set("server.address", "api.openai.com");
    attributes.set("server.port", 443_i64);
    attributes.set("gen_ai.usage.input_tokens", tokens_in);
    attributes.set("gen_ai.usage.output_tokens", tokens_out);
    attributes.set("flowmeter.cost.usd", tokens_in as f64 * 2.5e-6);
    attributes.set("flowmeter.cost.nanos", tokens_in * 2_500);
    attributes.set("flowmeter.cost.status", "priced");
    attributes.set(
        "gen_ai.system_instructions",
        "You sum up what customers say of kettles, kindly and in one sentence.",
    );
    attributes.set(
        "gen_ai.input.messages",
        json!([{"role": "user", "parts": [{"type": "text", "content": prose(1_200)}]}]),
    );
    attributes.set(
        "gen_ai.output.messages",
        json!([{"role": "assistant", "parts": [{"type": "text", "content": prose(800)}], "finish_reason": "stop"}]),
    );
    span.usage = Some(TokenUsage {
        input: Some(Figure::provider(tokens_in)),
        output: Some(Figure::provider(tokens_out)),
        ..TokenUsage::default()
    });
    let amount = UsdNanos((tokens_in * 2_500 + tokens_out * 10_000) as i64);
    span.cost = Some(Cost::known(CostStatus::Priced, amount, None));
    span
}
