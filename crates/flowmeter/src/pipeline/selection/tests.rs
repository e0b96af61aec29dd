//! What is held for the end: all of it when the run is kept, the minimal trace when not, within a bound.

use std::sync::Arc;

use flowmeter_model::{IdSource, Span, SpanId, SpanKind, SpanStatus, TelemetryEvent, TimestampNs};
use serde_json::json;

use super::{HELD_BYTES_MAX, Held, Selection};

fn id(number: u64) -> SpanId {
    SpanId::from_u64(number).unwrap()
}

fn ended(number: u64, status: SpanStatus, content: usize) -> TelemetryEvent {
    let trace_id = IdSource::from_seed(1).trace_id();
    let parent = (number > 1).then(|| id(1));
    let mut span = Span::begin(
        trace_id,
        id(number),
        parent,
        SpanKind::Node,
        "node.x",
        TimestampNs(number),
    );
    span.end = Some(TimestampNs(number + 1));
    span.status = Some(status);
    span.params = Some(Arc::new(json!("x".repeat(content))));
    TelemetryEvent::SpanEnded(Box::new(span))
}

fn held() -> Held {
    match Selection::new(false, true, id(1)) {
        Selection::Held(held) => held,
        _ => panic!("rules hold"),
    }
}

fn ids(events: &[TelemetryEvent]) -> Vec<u64> {
    let ids = events.iter().map(|event| match event {
        TelemetryEvent::SpanEnded(span) => span.span_id.to_u64(),
        _ => 0,
    });
    ids.collect()
}

#[test]
fn a_run_that_is_kept_is_whole() {
    let mut held = held();
    held.hold(ended(2, SpanStatus::Ok, 10));
    held.hold(ended(1, SpanStatus::Ok, 10));
    let (events, lost) = held.release(true);
    assert_eq!((ids(&events), lost), (vec![2, 1], 0));
}

#[test]
fn one_that_is_not_is_minimal() {
    let mut held = held();
    held.hold(ended(2, SpanStatus::Ok, 10));
    held.hold(ended(3, SpanStatus::Error, 10));
    held.hold(ended(1, SpanStatus::Error, 10));
    let (events, lost) = held.release(false);
    assert_eq!((ids(&events), lost), (vec![3, 1], 0));
}

#[test]
fn for_want_of_room_the_oldest_are_reduced_and_counted() {
    let mut held = held();
    let large = HELD_BYTES_MAX / 4;
    held.hold(ended(2, SpanStatus::Error, 10));
    for number in 3..10 {
        held.hold(ended(number, SpanStatus::Ok, large));
    }
    held.hold(ended(1, SpanStatus::Ok, 10));
    let (events, lost) = held.release(true);
    assert_eq!(ids(&events), [2, 7, 8, 9, 1]);
    assert_eq!(lost, 5);
}

#[test]
fn what_is_kept_in_any_case_has_a_bound_too() {
    let mut held = held();
    for number in 2..60 {
        held.hold(ended(number, SpanStatus::Error, HELD_BYTES_MAX / 8));
    }
    let (events, _) = held.release(false);
    assert!(events.len() < 9, "{}", events.len());
}
