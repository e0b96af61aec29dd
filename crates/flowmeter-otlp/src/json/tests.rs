//! OTLP/JSON from elsewhere.

use crate::{ExportRequest, InvalidOtlp, Signal};

fn message(signal: Signal, text: &str) -> String {
    ExportRequest::from_json(signal, text.as_bytes())
        .unwrap_err()
        .to_string()
}

#[test]
fn a_wrong_type_is_named_with_its_field() {
    assert_eq!(
        message(Signal::Traces, r#"{"resourceSpans":{}}"#),
        "`resourceSpans` in OTLP/JSON is an object, but an array is wanted"
    );
    let span =
        |fields: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#);
    assert_eq!(
        message(Signal::Traces, &span(r#""traceId":"xyz""#)),
        "`traceId` in OTLP/JSON is a text, but an even number of hex digits is wanted"
    );
    assert_eq!(
        message(Signal::Traces, &span(r#""startTimeUnixNano":"-1""#)),
        "`startTimeUnixNano` in OTLP/JSON is a text, but a whole number that is not negative is wanted"
    );
    let error = ExportRequest::from_json(Signal::Logs, b"[").unwrap_err();
    assert!(matches!(error, InvalidOtlp::Json(_)));
}

#[test]
fn every_kind_of_metric_passes_through() {
    let text = concat!(
        r#"{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{"name":"other"},"metrics":["#,
        r#"{"name":"e","exponentialHistogram":{"dataPoints":[{"timeUnixNano":"5","count":"3","sum":1.5,"scale":-2,"#,
        r#""zeroCount":"1","positive":{"offset":-4,"bucketCounts":["1","1"]},"exemplars":[{"timeUnixNano":"4","#,
        r#""asInt":"-7","spanId":"00f067aa0ba902b7"}]}],"aggregationTemporality":1}},"#,
        r#"{"name":"s","summary":{"dataPoints":[{"count":"2","sum":3.0,"quantileValues":[{"quantile":0.5,"#,
        r#""value":1.0}]}]}},"#,
        r#"{"name":"g","unit":"1","gauge":{"dataPoints":[{"asDouble":"NaN"},{"asInt":"9223372036854775807"}]}}"#,
        r#"]}]}]}"#
    );
    let request = ExportRequest::from_json(Signal::Metrics, text.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(request.to_json()).unwrap(), text);
    let kept = ExportRequest::from_protobuf(Signal::Metrics, &request.to_protobuf()).unwrap();
    assert_eq!(kept, request);
}
