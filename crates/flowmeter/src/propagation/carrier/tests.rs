//! Tests of carriers that go out.

use super::*;
use crate::propagation::IncomingContext;

const OWN: &str = "0af7651916cd43dd8448eb211c80319c";

fn own_id() -> TraceId {
    TraceId::parse(OWN).unwrap()
}

fn span_id() -> SpanId {
    SpanId::parse("b7ad6b7169203331").unwrap()
}

fn joined(flags: &str, state: &str) -> TraceContext {
    let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
    let incoming = IncomingContext::from_headers([
        ("traceparent", parent.as_str()),
        ("tracestate", state),
        ("baggage", "user=alice"),
    ]);
    TraceContext::begin(own_id(), incoming.parent, Sampler::default(), incoming.baggage)
}

fn headers(carrier: &Carrier) -> Vec<(&'static str, String)> {
    carrier
        .headers()
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

#[test]
fn a_run_of_its_own_says_that_its_id_is_random() {
    let context = TraceContext::begin(own_id(), None, Sampler::default(), Baggage::default());
    let carrier = context.carrier(span_id());
    assert_eq!(
        headers(&carrier),
        [
            ("traceparent", format!("00-{OWN}-b7ad6b7169203331-03")),
            ("tracestate", "ot=th:0".to_owned()),
        ]
    );
    assert_eq!(context.carrier_past(), None);
    let unsampled = TraceContext::begin(own_id(), None, Sampler::AlwaysOff, Baggage::default());
    assert_eq!(
        headers(&unsampled.carrier(span_id())),
        [("traceparent", format!("00-{OWN}-b7ad6b7169203331-02"))]
    );
}

#[test]
fn a_run_that_joined_a_trace_carries_it_on() {
    let context = joined("01", "a=1");
    let carrier = context.carrier(span_id());
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(
        headers(&carrier),
        [
            ("traceparent", format!("00-{trace}-b7ad6b7169203331-01")),
            ("tracestate", "a=1".to_owned()),
            ("baggage", "user=alice".to_owned()),
        ]
    );
    let variables: Vec<_> = carrier
        .environment()
        .map(|(name, value)| (name, value.is_some()))
        .collect();
    assert_eq!(
        variables,
        [("TRACEPARENT", true), ("TRACESTATE", true), ("BAGGAGE", true)]
    );
    assert_eq!(headers(&carrier.without_baggage()).len(), 2);
    let past = headers(&context.carrier_past().unwrap());
    assert_eq!(past[0].1, format!("00-{trace}-00f067aa0ba902b7-01"));
}

#[test]
fn what_a_child_must_not_inherit_is_named() {
    let context = TraceContext::begin(own_id(), None, Sampler::AlwaysOff, Baggage::default());
    let variables: Vec<_> = context
        .carrier(span_id())
        .environment()
        .map(|(name, value)| (name, value.is_some()))
        .collect();
    assert_eq!(
        variables,
        [("TRACEPARENT", true), ("TRACESTATE", false), ("BAGGAGE", false)]
    );
    let all: Vec<_> = Carrier::variables().collect();
    assert_eq!(all, ["TRACEPARENT", "TRACESTATE", "BAGGAGE"]);
}
