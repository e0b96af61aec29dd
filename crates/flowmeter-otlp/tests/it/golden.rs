//! What goes over the wire, letter by letter: JSON as text, protobuf as another reader sees it.
//!
//! `UPDATE_EXPECT=1 cargo test -p flowmeter-otlp` writes the files anew.

use expect_test::{ExpectFile, expect_file};
use flowmeter_otlp::{ExportRequest, SemanticConventions};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use prost::Message;

use crate::sample;

fn check<M: Message + Default + std::fmt::Debug>(
    request: &ExportRequest,
    json: ExpectFile,
    protobuf: ExpectFile,
) {
    let text = request.to_json();
    assert!(!text.contains(&b'\n'), "one line");
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(value.to_string().as_bytes(), text, "no superfluous space");
    json.assert_eq(&format!("{value:#}\n"));
    let bytes = request.to_protobuf();
    assert_eq!(bytes.len(), request.protobuf_len());
    let message = M::decode(bytes.as_slice()).unwrap();
    assert_eq!(message.encode_to_vec(), bytes, "as a protobuf library writes it");
    protobuf.assert_eq(&format!("{message:#?}\n"));
}

fn traces(conventions: SemanticConventions, content: bool) -> ExportRequest {
    let resource = sample::resource();
    let spans = sample::spans();
    let encoder = sample::encoder(conventions, false, content);
    encoder.traces(&sample::envelope(&resource), &mut spans.iter())
}

#[test]
fn traces_with_content() {
    check::<ExportTraceServiceRequest>(
        &traces(SemanticConventions::Latest, true),
        expect_file!["../golden/traces.json"],
        expect_file!["../golden/traces.protobuf.txt"],
    );
}

#[test]
fn traces_with_the_names_of_both_editions_without_content() {
    check::<ExportTraceServiceRequest>(
        &traces(SemanticConventions::Both, false),
        expect_file!["../golden/traces_both.json"],
        expect_file!["../golden/traces_both.protobuf.txt"],
    );
}

#[test]
fn logs() {
    let resource = sample::resource();
    let logs = sample::logs();
    let encoder = sample::encoder(SemanticConventions::V1_41, false, false);
    let mut records = logs.iter().map(|record| (sample::trace_id(), record));
    check::<ExportLogsServiceRequest>(
        &encoder.logs(&sample::envelope(&resource), &mut records),
        expect_file!["../golden/logs.json"],
        expect_file!["../golden/logs.protobuf.txt"],
    );
}

#[test]
fn metrics() {
    let resource = sample::resource();
    let encoder = sample::encoder(SemanticConventions::Latest, false, false);
    check::<ExportMetricsServiceRequest>(
        &encoder.metrics(&sample::envelope(&resource), &sample::metrics()),
        expect_file!["../golden/metrics.json"],
        expect_file!["../golden/metrics.protobuf.txt"],
    );
}
