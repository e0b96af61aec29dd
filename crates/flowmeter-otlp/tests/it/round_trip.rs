//! The way there and back: what the model holds survives both encodings.

use flowmeter_model::{Figure, FigureSource, Span};
use flowmeter_otlp::{
    OtlpSpanKind, SemanticConventions, decode_logs, decode_logs_json, decode_traces, decode_traces_json,
    names,
};
use serde_json::json;

use crate::sample;

/// A span as it comes back: figures are known by convention, arrays and JSON by their text, and what the encoder
/// adds is there.
fn expected(mut span: Span) -> Span {
    let told = |figure: Option<Figure>, is_estimate: bool| {
        figure.map(|figure| Figure {
            source: if is_estimate {
                FigureSource::Estimate
            } else {
                FigureSource::Convention
            },
            ..figure
        })
    };
    if let Some(usage) = &mut span.usage {
        usage.input = told(usage.input, false);
        let is_estimate = usage
            .output
            .is_some_and(|figure| figure.source == FigureSource::Estimate);
        usage.output = told(usage.output, is_estimate);
        usage.cache_read = told(usage.cache_read, false);
        usage.reasoning = told(usage.reasoning, false);
        let written = usage.cache_write_5m.zip(usage.cache_write_1h);
        usage.cache_write_5m = written.map(|(five, hour)| Figure {
            tokens: five.tokens + hour.tokens,
            source: FigureSource::Convention,
        });
        usage.cache_write_1h = None;
    }
    span
}

#[test]
fn spans_survive() {
    let resource = sample::resource();
    let spans = sample::spans();
    let encoder = sample::encoder(SemanticConventions::Latest, false, true);
    let request = encoder.traces(&sample::envelope(&resource), &mut spans.iter());
    let received = decode_traces(&request.to_protobuf()).unwrap();
    assert_eq!(received, decode_traces_json(&request.to_json()).unwrap());
    assert_eq!(received.rejected, 0);
    let batch = &received.batches[0];
    assert_eq!(batch.resource, resource);
    assert_eq!(
        (batch.scope_name.as_str(), batch.scope_version.as_str()),
        ("flowmeter", "0.1.0")
    );
    assert_eq!(batch.items.len(), spans.len());
    for (received, sent) in batch.items.iter().zip(&spans) {
        let mut back = received.span.clone();
        let wanted = expected(sent.clone());
        assert_eq!(received.trace_state, "ot=th:8");
        // Attributes: all that were sent, in the types of the conventions; the rest is checked below.
        for (key, value) in sent.attributes.iter() {
            let returned = match key.as_str() {
                "node.config" => back.attributes.get(names::NODE_CONFIG),
                key => back.attributes.get(key),
            };
            match key.as_str() {
                "nothing" | names::REQUEST_TEMPERATURE | names::REQUEST_MAX_TOKENS => {}
                names::REQUEST_STREAM if *value == false.into() => assert_eq!(returned, None),
                names::PROVIDER_NAME if *value == "gemini".into() => {
                    assert_eq!(returned, Some(&"gcp.gemini".into()));
                }
                "mixed" => assert_eq!(returned, Some(&r#"[1,"two",null]"#.into())),
                "ratios" => assert_eq!(returned, Some(&json!([1.0, 0.5]).into())),
                _ => assert_eq!(returned, Some(value), "{key}"),
            }
        }
        back.attributes = wanted.attributes.clone();
        assert_eq!(back, wanted);
    }
    let names: Vec<&str> = batch.items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "invoke_workflow summarize",
            "node.shell",
            "chat gpt-4o",
            "embeddings text-embedding-3-small",
            "invoke_workflow inner",
            "attempt",
            "node.http"
        ]
    );
    let kinds: Vec<OtlpSpanKind> = batch.items.iter().map(|item| item.kind).collect();
    assert_eq!(kinds[0], OtlpSpanKind::Internal);
    assert_eq!(kinds[2], OtlpSpanKind::Client);
    // Sampled, with a parent elsewhere; sampled, with a parent here.
    assert_eq!((batch.items[0].flags, batch.items[1].flags), (0x301, 0x101));
}

#[test]
fn log_records_survive() {
    let resource = sample::resource();
    let logs = sample::logs();
    let encoder = sample::encoder(SemanticConventions::Latest, false, false);
    let mut records = logs.iter().map(|record| (sample::trace_id(), record));
    let request = encoder.logs(&sample::envelope(&resource), &mut records);
    assert_eq!(request.item_count(), logs.len());
    let received = decode_logs(&request.to_protobuf()).unwrap();
    assert_eq!(received, decode_logs_json(&request.to_json()).unwrap());
    // One scope for each logger.
    assert_eq!(received.batches.len(), 3);
    let mut back: Vec<_> = received.items().cloned().collect();
    back.sort_by_key(|item| item.record.time);
    for (item, sent) in back.iter().zip(&logs) {
        assert_eq!(item.trace_id, Some(sample::trace_id()));
        assert_eq!(item.record, *sent);
    }
}

#[test]
fn others_genai_spans_become_llm_calls_with_their_usage() {
    let text = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "4BF92F3577B34DA6A3CE929D0E0E4736", "spanId": "00f067aa0ba902b7", "parentSpanId": "0000000000000000",
        "name": "openai.chat", "kind": "SPAN_KIND_CLIENT", "startTimeUnixNano": 1000, "endTimeUnixNano": "2000",
        "somethingNew": {"a": [1]}, "status": {"code": 2, "message": "boom"},
        "events": [{"name": "exception", "timeUnixNano": 1500.0, "attributes": [
            {"key": "exception.type", "value": {"stringValue": "ValueError"}},
            {"key": "exception.message", "value": {"stringValue": "bad value"}},
            {"key": "exception.stacktrace", "value": {"stringValue": "Traceback …"}}]}],
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": 1200}},
            {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "300"}},
            {"key": "gen_ai.usage.cache_creation.input_tokens", "value": {"intValue": "5"}},
            {"key": "twice", "value": {"intValue": "1"}}, {"key": "twice", "value": {"intValue": "2"}},
            {"key": "bytes", "value": {"bytesValue": "AQI="}},
            {"key": "list", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": true}}]}}},
            {"key": "odd", "value": {"doubleValue": "NaN"}}, {"key": "empty"}]
    }, {"traceId": "00", "spanId": "", "name": "no ids"}]}]}]});
    let received = decode_traces_json(text.to_string().as_bytes()).unwrap();
    assert_eq!(received.rejected, 1);
    let received = received.items().next().unwrap();
    let span = &received.span;
    assert_eq!(span.kind, flowmeter_model::SpanKind::LlmCall);
    assert_eq!(
        (span.parent_span_id, span.operation.as_str()),
        (None, "openai.chat")
    );
    assert_eq!(received.kind, OtlpSpanKind::Client);
    let usage = span.usage.as_ref().unwrap();
    assert_eq!((usage.input_tokens(), usage.output_tokens()), (1200, 300));
    assert_eq!(usage.cache_write_5m.unwrap().tokens, 5);
    let error = span.error.as_ref().unwrap();
    assert_eq!(
        (error.error_type.as_str(), error.message.as_str()),
        ("ValueError", "bad value")
    );
    assert_eq!(span.attributes.get("twice"), Some(&2_i64.into()));
    assert_eq!(span.attributes.get_str("bytes"), Some("AQI="));
    assert_eq!(span.attributes.get("list"), Some(&json!({"k": true}).into()));
}
