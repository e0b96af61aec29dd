//! How effort is put into words. Never a whole tree: the formats have their own tests.

use flowmeter_model::{SpanId, TraceId};

use super::*;

fn node(figures: &[(&'static str, i64)]) -> Span {
    let mut span = Span::begin(
        TraceId::parse("0af7651916cd43dd8448eb211c80319c").unwrap(),
        SpanId::parse("00f067aa0ba902b7").unwrap(),
        None,
        SpanKind::Node,
        "node.shell",
        TimestampNs(0),
    );
    for (key, figure) in figures {
        span.attributes.set(*key, *figure);
    }
    span
}

#[test]
fn cpu_time_is_told_where_there_was_much_of_it() {
    let little = node(&[
        (names::NODE_CPU_NS, 20_000_000),
        (names::CHILD_CPU_USER_NS, 100_000_000),
        (names::CHILD_CPU_SYSTEM_NS, 10_000_000),
    ]);
    assert_eq!(spend_of(&little), "");
    let much = node(&[
        (names::NODE_CPU_NS, 1_200_000_000),
        (names::CHILD_CPU_USER_NS, 480_000_000),
        (names::CHILD_CPU_SYSTEM_NS, 10_100_000),
        (names::CHILD_MEMORY_MAX_BYTES, 87_900_000),
    ]);
    assert_eq!(
        spend_of(&much),
        " 1.20s CPU, child processes: 490.1ms CPU and 88 MB"
    );
}
