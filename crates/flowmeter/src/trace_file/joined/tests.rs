//! Unit tests of traces that lie in several files.

use flowmeter_engine::SharedStore;

use super::*;
use crate::{HumanStyle, IncomingContext, RunMeter, current, read_trace, write_human};

/// Writes the trace of a run with the name; says what it hands on to those it starts.
fn run(folder: &std::path::Path, name: &str, caller: &IncomingContext) -> (IncomingContext, TraceDocument) {
    let path = folder.join(format!("{name}.json"));
    let mut builder = RunMeter::builder(name).trace_file(&path);
    if let Some(parent) = &caller.parent {
        builder = builder.parent(parent.clone());
    }
    let meter = builder.start().unwrap();
    let carrier = current(&meter.context(SharedStore::new().root()))
        .carrier()
        .unwrap();
    let headers: Vec<_> = carrier.headers().collect();
    let handed_on = IncomingContext::from_headers(headers);
    drop(meter.finish(Ok(&())));
    (handed_on, read_trace(&path).unwrap())
}

#[test]
fn the_outermost_run_stands_for_the_whole_whoever_wrote_first() {
    let folder = tempfile::tempdir().unwrap();
    let (handed_on, outer) = run(folder.path(), "outer", &IncomingContext::default());
    let (_, first) = run(folder.path(), "first", &handed_on);
    let (handed_on, mut second) = run(folder.path(), "second", &handed_on);
    let (_, innermost) = run(folder.path(), "innermost", &handed_on);
    assert_eq!(outer.trace_id, innermost.trace_id);
    // A clock that was set back in between.
    second.started = outer
        .started
        .map(|started| flowmeter_model::TimestampNs(started.0 - 1));
    second.broken_lines = 2;
    let whole = TraceDocument::joined(vec![innermost, second, first, outer]).unwrap();
    assert_eq!(whole.workflow.as_deref(), Some("outer"));
    assert_eq!((whole.spans.len(), whole.broken_lines), (4, 2));

    let mut text = Vec::new();
    write_human(&whole, HumanStyle::default(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let arrows: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("workflow.").map(|(before, _)| before))
        .collect();
    assert_eq!(
        arrows,
        ["→ ", "  → ", "  ← ", "  → ", "    → ", "    ← ", "  ← ", "← "]
    );
}

#[test]
fn no_parts_are_no_trace_and_one_is_the_whole() {
    assert!(TraceDocument::joined(Vec::new()).is_none());
    let folder = tempfile::tempdir().unwrap();
    let (handed_on, _) = run(folder.path(), "outer", &IncomingContext::default());
    let (_, inner) = run(folder.path(), "inner", &handed_on);
    let whole = TraceDocument::joined(vec![inner]).unwrap();
    assert_eq!(whole.workflow.as_deref(), Some("inner"));
}
