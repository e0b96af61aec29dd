//! Tests of carriers that come in.

use super::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

fn environment(variables: &[(&str, &str)]) -> IncomingContext {
    IncomingContext::from_environment(|wanted| {
        let found = variables.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn told(context: &IncomingContext) -> Vec<String> {
    context.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_environment_tells_the_parent_and_the_baggage() {
    let context = environment(&[
        ("TRACEPARENT", PARENT),
        ("TRACESTATE", "a=1, ot=th:c"),
        ("BAGGAGE", "user=alice"),
    ]);
    let parent = context.parent.as_ref().unwrap();
    assert_eq!(parent.trace_parent().to_string(), PARENT);
    assert_eq!(parent.trace_state.to_string(), "a=1,ot=th:c");
    assert_eq!(context.baggage.to_string(), "user=alice");
    assert!(context.problems.is_empty());
}

#[test]
fn nothing_is_no_problem() {
    assert_eq!(environment(&[]), IncomingContext::default());
    let empty = environment(&[("TRACEPARENT", " \t"), ("TRACESTATE", ""), ("BAGGAGE", "")]);
    assert_eq!(empty, IncomingContext::default());
}

#[test]
fn a_malformed_parent_starts_a_new_trace_with_a_warning() {
    let context = environment(&[
        ("TRACEPARENT", "00-nonsense\u{1b}[31m"),
        ("TRACESTATE", "not even looked at"),
        ("BAGGAGE", "user=alice"),
    ]);
    assert_eq!(context.parent, None);
    assert_eq!(
        told(&context),
        [
            "TRACEPARENT `00-nonsense\\u{1b}[31m` is malformed: it has not the 55 characters of \
          00-<32 hex digits>-<16 hex digits>-<2 hex digits>; starting a new trace"
        ]
    );
    assert_eq!(
        context.baggage.to_string(),
        "user=alice",
        "baggage stands for itself"
    );
    let long = environment(&[("TRACEPARENT", &"x".repeat(100_000))]);
    assert!(told(&long)[0].len() < 300);
}

#[test]
fn a_malformed_state_or_baggage_leaves_the_parent_alone() {
    let context = environment(&[
        ("TRACEPARENT", PARENT),
        ("TRACESTATE", "a=1,a=2"),
        ("BAGGAGE", "x,y=1"),
    ]);
    let parent = context.parent.as_ref().unwrap();
    assert!(parent.trace_state.is_empty());
    assert_eq!(context.baggage.to_string(), "y=1");
    assert_eq!(
        told(&context),
        [
            "TRACESTATE is malformed: the key of member 2 is there twice; going on without it",
            "BAGGAGE is malformed in part: member 1: it has no `=`; going on without that",
        ]
    );
}

#[test]
fn headers_may_have_capitals_and_come_in_several_lines() {
    let context = IncomingContext::from_headers([
        ("Host", "localhost"),
        ("TraceParent", PARENT),
        ("TRACESTATE", "a=1"),
        ("tracestate", ""),
        ("tracestate", "b=2,c=3"),
        ("baggage", "user=alice"),
        ("Baggage", "tier=gold;x"),
    ]);
    assert_eq!(context.parent.unwrap().trace_state.to_string(), "a=1,b=2,c=3");
    assert_eq!(context.baggage.to_string(), "user=alice,tier=gold;x");
    assert!(context.problems.is_empty());
}

#[test]
fn two_parents_are_none() {
    let context = IncomingContext::from_headers([("traceparent", PARENT), ("traceparent", PARENT)]);
    assert_eq!(context.parent, None);
    assert_eq!(
        told(&context),
        ["traceparent is there more than once; starting a new trace"]
    );
}
