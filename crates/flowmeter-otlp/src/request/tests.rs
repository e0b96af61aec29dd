//! Cutting requests.

use flowmeter_model::{Attributes, LogLevel, LogRecord, TimestampNs, TraceId};

use crate::{Encoder, Envelope, ExportRequest};

fn request(records: &[LogRecord]) -> ExportRequest {
    let resource = Attributes::new();
    let envelope = Envelope {
        resource: &resource,
        trace_state: "",
        sampled: false,
        scope_version: "",
    };
    let trace_id = TraceId::from_bytes([1; 16]).unwrap();
    let mut records = records.iter().map(|record| (trace_id, record));
    Encoder::default().logs(&envelope, &mut records)
}

fn records(count: usize) -> Vec<LogRecord> {
    (0..count)
        .map(|index| LogRecord {
            time: TimestampNs(index as u64 + 1),
            level: LogLevel::Info,
            message: "x".repeat(100),
            target: Some(["a", "b", "c"][index % 3].into()),
            span_id: None,
            attributes: Attributes::new(),
        })
        .collect()
}

#[test]
fn parts_keep_to_the_limit_across_scopes() {
    let records = records(30);
    let whole = request(&records);
    let parts = whole.clone().into_parts(400);
    assert!(parts.len() > 8);
    for part in &parts {
        assert!(part.protobuf_len() <= 400, "{}", part.protobuf_len());
        ExportRequest::from_protobuf(part.signal(), &part.to_protobuf()).unwrap();
    }
    let count: usize = parts.iter().map(ExportRequest::item_count).sum();
    assert_eq!(count, whole.item_count());
    assert_eq!(whole.clone().into_parts(usize::MAX), [whole]);
}

#[test]
fn one_item_cannot_be_split_and_an_empty_request_has_no_parts() {
    let one = request(&records(1));
    assert_eq!(one.clone().split(), (one, None));
    let none = request(&[]);
    assert!(none.is_empty());
    assert!(none.clone().into_parts(10).is_empty());
    assert_eq!(none.clone().split(), (none, None));
}
