//! Waiting that is needed and waiting that is not.

use super::super::sample::Write;
use super::*;
use crate::RunKey;
use flowmeter_model::TraceId;

fn id(number: u64) -> SpanId {
    SpanId::from_u64(number).unwrap()
}

fn step(number: u64, parent: u64, kind: SpanKind, node: &str, start: u64, end: u64) -> Step {
    let mut step = Step::of_test(id(number), SpanId::from_u64(parent), kind);
    step.node = node.into();
    step.node_type = "llm".into();
    step.start = start;
    step.end = end;
    step.reads = Some(Vec::new());
    step
}

fn sample(steps: Vec<Step>) -> Sample {
    Sample {
        key: RunKey {
            trace_id: TraceId::from_bytes([1; 16]).unwrap(),
            root_span_id: id(1),
        },
        duration_ns: 1_000,
        has_writes: steps.iter().any(|step| !step.writes.is_empty()),
        steps,
    }
}

fn node(number: u64, name: &str, start: u64, end: u64, reads: &[&str]) -> Step {
    let mut node = step(number, 1, SpanKind::Node, name, start, end);
    node.reads = Some(reads.iter().copied().map(SmolStr::new).collect());
    node
}

#[test]
fn only_nodes_that_read_nothing_of_each_other_are_independent() {
    let none = FxHashSet::default();
    let steps = vec![
        node(2, "fetch", 0, 100, &["url"]),
        node(3, "summary", 100, 400, &["fetch"]),
        node(4, "title", 400, 600, &["fetch"]),
        node(5, "page", 600, 700, &["summary", "title"]),
    ];
    let found = independent(&sample(steps.clone()), &none);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].nodes.join(","), found[0].saved_ns),
        ("summary,title".to_owned(), 200)
    );
    // Each of these takes the claim away.
    let mut reads = steps.clone();
    reads[2].reads = Some(vec!["summary".into()]);
    let mut unknown = steps.clone();
    unknown[2].reads = None;
    let mut program = steps.clone();
    program[1].node_type = "shell".into();
    let mut writes = steps.clone();
    for place in [1, 2] {
        writes[place].writes = vec![Write {
            namespace: "notes".into(),
            time: 0,
            changes: true,
        }];
    }
    for steps in [reads, unknown, program, writes] {
        assert!(independent(&sample(steps), &none).is_empty());
    }
    let deciding = FxHashSet::from_iter([SmolStr::new("summary")]);
    assert!(independent(&sample(steps), &deciding).is_empty());
}

#[test]
fn a_node_decides_when_different_ones_follow_it() {
    let one = sample(vec![node(2, "a", 0, 1, &[]), node(3, "b", 1, 2, &[])]);
    let other = sample(vec![node(2, "a", 0, 1, &[]), node(3, "c", 1, 2, &[])]);
    let decides: Vec<SmolStr> = deciding_nodes(&[one, other]).into_iter().collect();
    assert_eq!(decides, ["a"]);
}

#[test]
fn items_wait_for_places() {
    let mut steps = Vec::new();
    for item in 0..6_u64 {
        let start = item / 2 * 100;
        let mut step = step(10 + item, 2, SpanKind::BatchItem, "each", start, start + 100);
        step.queue_ns = start;
        steps.push(step);
    }
    let found = queues(&sample(steps));
    assert_eq!((found[0].items, found[0].places, found[0].saved_ns), (6, 2, 200));
}

#[test]
fn rounds_that_write_what_was_there_are_idle() {
    let run = |changing: &[u64]| {
        let mut steps = vec![step(2, 1, SpanKind::Node, "polish", 0, 500)];
        for round in 0..5_u64 {
            steps.push(step(
                10 + round,
                2,
                SpanKind::Iteration,
                "polish",
                round * 100,
                round * 100 + 99,
            ));
            steps[0].writes.push(Write {
                namespace: "polish".into(),
                time: round * 100 + 50,
                changes: changing.contains(&round),
            });
        }
        loops(&sample(steps))
    };
    assert_eq!(
        run(&[0, 1])
            .iter()
            .map(|found| (found.rounds, found.idle))
            .collect::<Vec<_>>(),
        [(5, 3)]
    );
    assert_eq!(run(&[0, 1, 2, 3, 4])[0].idle, 0);
    assert!(loops(&sample(vec![step(2, 1, SpanKind::Node, "a", 0, 1)])).is_empty());
}

#[test]
fn a_run_of_very_many_nodes_is_looked_through_in_one_pass() {
    // All pairs of so many nodes are a thousand million: that test would not end.
    let count = 60_000;
    let nodes = |reads: &[&str]| {
        let nodes = (0..count).map(|number| {
            let name = format!("n{number}");
            node(number + 2, &name, number * 10, number * 10 + 10, reads)
        });
        sample(nodes.collect())
    };
    let none = FxHashSet::default();
    let found = independent(&nodes(&["url"]), &none);
    assert_eq!(found[0].saved_ns, (count - 1) * 10);
    assert_eq!(found[0].nodes.len(), COMPARED_MAX);
    // What reads the first one waits for that, and for no other.
    let found = independent(&nodes(&["n0"]), &none);
    assert_eq!(found[0].saved_ns, (count - 2) * 10);
}
