//! Events leave in the order in which they happened, and not before all earlier ones were read.

use flowmeter_model::{Attributes, IdSource, LogLevel, LogRecord, TelemetryEvent, TimestampNs};

use super::EventBuffer;

fn at(time: u64) -> TelemetryEvent {
    let record = LogRecord {
        time: TimestampNs(time),
        level: LogLevel::Info,
        message: time.to_string(),
        target: None,
        span_id: None,
        attributes: Attributes::new(),
    };
    TelemetryEvent::Log(IdSource::from_seed(1).trace_id(), Box::new(record))
}

fn messages(events: &[TelemetryEvent]) -> Vec<&str> {
    let texts = events.iter().map(|event| match event {
        TelemetryEvent::Log(_, log) => log.message.as_str(),
        _ => "?",
    });
    texts.collect()
}

#[test]
fn threads_are_merged_up_to_where_all_are_read() {
    let mut buffer = EventBuffer::default();
    for time in [1, 5, 9, 2, 4, 8] {
        buffer.push(at(time));
    }
    let whole = buffer.bytes();
    let (events, weight) = buffer.take(Some(TimestampNs(5)));
    assert_eq!(messages(&events), ["1", "2", "4", "5"]);
    assert_eq!(buffer.bytes() + weight, whole);
    buffer.push(at(6));
    let (events, _) = buffer.take(None);
    assert_eq!(messages(&events), ["6", "8", "9"]);
    assert_eq!(buffer.bytes(), 0);
    assert!(buffer.take(None).0.is_empty());
}
