//! Critical paths of small trees.

use flowmeter_model::{SpanStatus, TimestampNs, TraceId};

use super::*;
use crate::{RunKey, TokenSums};

fn row(id: u64, parent: u64, node: &str, start: u64, end: u64) -> SpanRow {
    let root = SpanId::from_u64(1).unwrap();
    SpanRow {
        run: RunKey {
            trace_id: TraceId::from_bytes([1; 16]).unwrap(),
            root_span_id: root,
        },
        workflow: "w".into(),
        span_id: SpanId::from_u64(id).unwrap(),
        parent_span_id: SpanId::from_u64(parent),
        kind: if id == 1 { SpanKind::Run } else { SpanKind::Node },
        operation: "node.shell".into(),
        node: node.into(),
        model: "".into(),
        provider: "".into(),
        start: TimestampNs(start),
        duration_ns: end - start,
        status: SpanStatus::Ok,
        error_type: "".into(),
        tokens: TokenSums::default(),
        cost_status: None,
        cost: None,
        prompt_hash: 0,
        mutations: 0,
        cache_hit: false,
        saved: None,
        saved_status: None,
        provider_saved: None,
    }
}

fn path(rows: &[SpanRow]) -> Vec<(String, u64)> {
    let (links, _) = critical_path(rows, SpanId::from_u64(1).unwrap());
    links
        .into_iter()
        .map(|link| (link.node.to_string(), link.duration_ns))
        .collect()
}

#[test]
fn of_parallel_steps_the_last_to_end_decides() {
    let rows = [
        row(1, 0, "", 0, 100),
        row(2, 1, "fetch", 5, 30),
        row(3, 1, "slow", 30, 90),
        row(4, 1, "quick", 30, 50),
        row(5, 1, "save", 90, 98),
    ];
    let wanted = [("slow", 60), ("fetch", 25), ("save", 8), ("", 7)];
    assert_eq!(path(&rows), wanted.map(|(node, ns)| (node.to_owned(), ns)));
}

#[test]
fn the_innermost_step_counts() {
    let rows = [
        row(1, 0, "", 0, 100),
        row(2, 1, "outer", 10, 100),
        row(3, 2, "outer/inner", 20, 95),
    ];
    let wanted = [("outer/inner", 75), ("outer", 15), ("", 10)];
    assert_eq!(path(&rows), wanted.map(|(node, ns)| (node.to_owned(), ns)));
}

#[test]
fn circles_clocks_and_missing_roots_do_no_harm() {
    assert!(path(&[]).is_empty());
    // Two spans that are each other's parent hang in no tree; a child that begins before its parent is left out.
    let rows = [
        row(1, 0, "", 50, 100),
        row(2, 3, "a", 0, 100),
        row(3, 2, "b", 0, 100),
        row(4, 1, "early", 0, 99),
    ];
    assert_eq!(path(&rows), [(String::new(), 50)]);
}
