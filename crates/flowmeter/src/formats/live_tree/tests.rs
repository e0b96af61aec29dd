//! The live tree: what runs, what has ended, and what is left out where there is no room.

use expect_test::expect;
use flowmeter_model::{
    Cost, CostStatus, Figure, LogLevel, Span, SpanKind, TelemetryEvent, TimestampNs, TokenUsage, UsdNanos,
};
use unicode_width::UnicodeWidthStr;

use super::{LiveTree, LiveView, OPEN_MAX, RECENT_MAX};
use crate::backends::probes::{START_NS, attempt, begun, ends, fails, item, logs, node, root, starts};

fn at(ms: u64) -> TimestampNs {
    TimestampNs(START_NS + ms * 1_000_000)
}

fn view(columns: usize, rows: usize) -> LiveView {
    LiveView {
        columns,
        rows,
        colour: false,
        now: at(2_345),
        frame: 0,
    }
}

fn tree(events: Vec<TelemetryEvent>) -> LiveTree {
    let mut tree = LiveTree::new("summarize", at(0));
    for event in events {
        tree.apply(&event);
    }
    tree
}

fn drawn(tree: &LiveTree, rows: usize) -> String {
    let lines = tree.lines(view(80, rows));
    assert!(lines.len() <= rows, "{lines:#?}");
    lines.join("\n") + "\n"
}

fn started_at(span: &Span, ms: u64) -> TelemetryEvent {
    let mut span = span.clone();
    span.start = at(ms);
    starts(&span)
}

fn call(id: u64, parent: u64, tokens: u64, ms: u64) -> TelemetryEvent {
    let mut span = begun(id, parent, SpanKind::LlmCall, "chat gpt-4o");
    span.usage = Some(TokenUsage {
        input: Some(Figure::provider(tokens)),
        output: Some(Figure::provider(1)),
        ..TokenUsage::default()
    });
    span.cost = Some(Cost::known(CostStatus::Priced, UsdNanos(1_500_000), None));
    ends(&span, ms)
}

#[test]
fn what_runs_stands_with_its_time_and_what_it_has_spent() {
    let (read, ask) = (node(2, 1, "read_file", "reader"), node(3, 1, "llm", "ask"));
    let chat = begun(5, 3, SpanKind::LlmCall, "chat gpt-4o");
    let tree = tree(vec![
        starts(&root()),
        starts(&read),
        logs(2, LogLevel::Info, "Opening file: input.txt"),
        ends(&read, 45),
        started_at(&ask, 50),
        started_at(&attempt(4, 3, 1), 51),
        call(6, 4, 100, 1_000),
        logs(4, LogLevel::Warn, "asking again\nfor more"),
        started_at(&chat, 1_100),
    ]);
    expect![[r"
        ⠋ summarize 2.3s · 1 node done · 101 tokens, $0.0015
          ✓ node.read_file [reader] (45.0ms)
          ⠋ node.llm [ask] 2.2s · 1 done · 101 tokens, $0.0015
            [WARN] asking again …
            ✓ chat gpt-4o (1.00s) 100 in, 1 out, $0.0015
            ⠋ chat gpt-4o 1.2s
        Ctrl-C to leave; the run goes on
    "]]
    .assert_eq(&drawn(&tree, 20));
}

#[test]
fn what_has_ended_gives_way_to_what_runs() {
    let batch = node(2, 1, "http", "fetch");
    let mut events = vec![starts(&root()), starts(&batch)];
    for index in 0..6 {
        events.push(started_at(&item(10 + index, 2, index as i64), 100 + index));
    }
    events.push(fails(&item(10, 2, 0), 200, "refused\nby the host", &[]));
    events.push(ends(&item(11, 2, 1), 201));
    let tree = tree(events);
    expect![[r"
        ⠋ summarize 2.3s · 0 nodes done
          ⠋ node.http [fetch] 2.3s · 2 of 3 done · 1 failed
            ⠋ batch.item [3 of 3] 2.2s
            ⠋ batch.item [4 of 3] 2.2s
            ⠋ batch.item [5 of 3] 2.2s
            ⠋ batch.item [6 of 3] 2.2s
            ✗ batch.item [1 of 3] (200.0ms) error: refused
            ✓ batch.item [2 of 3] (201.0ms)
        Ctrl-C to leave; the run goes on
    "]]
    .assert_eq(&drawn(&tree, 20));
    expect![[r"
        ⠋ summarize 2.3s · 0 nodes done
          ⠋ node.http [fetch] 2.3s · 2 of 3 done · 1 failed
            ⠋ batch.item [3 of 3] 2.2s
            ⠋ batch.item [4 of 3] 2.2s
            ⠋ batch.item [5 of 3] 2.2s
            ⠋ batch.item [6 of 3] 2.2s
            ✓ batch.item [2 of 3] (201.0ms)
    "]]
    .assert_eq(&drawn(&tree, 7));
    expect![[r"
        ⠋ summarize 2.3s · 0 nodes done
          ⠋ node.http [fetch] 2.3s · 2 of 3 done · 1 failed
            ⠋ batch.item [5 of 3] 2.2s
            ⠋ batch.item [6 of 3] 2.2s
          … 2 more running
    "]]
    .assert_eq(&drawn(&tree, 5));
    expect![[r"
        ⠋ summarize 2.3s · 0 nodes done
          … 5 more running
    "]]
    .assert_eq(&drawn(&tree, 2));
    assert_eq!(drawn(&tree, 1), "⠋ summarize 2.3s · 0 nodes done\n");
    assert_eq!(tree.lines(view(80, 0)), Vec::<String>::new());
}

#[test]
fn what_is_in_a_span_is_folded_into_its_line_when_it_ends() {
    let batch = node(2, 1, "http", "fetch");
    let tree = tree(vec![
        starts(&root()),
        starts(&batch),
        starts(&item(10, 2, 0)),
        logs(10, LogLevel::Info, "inside"),
        call(20, 10, 7, 50),
        fails(&item(10, 2, 0), 60, "refused", &[]),
        starts(&item(11, 2, 1)),
        ends(&item(11, 2, 1), 70),
        ends(&batch, 80),
        starts(&attempt(12, 1, 1)),
        fails(&attempt(12, 1, 1), 90, "first try", &[]),
    ]);
    expect![[r"
        ⠋ summarize 2.3s · 1 node done · 8 tokens, $0.0015
          ✓ node.http [fetch] (80.0ms) 1 of 2 items did well 8 tokens, $0.0015
          ✗ attempt [1 of 3] (90.0ms) error: first try
        Ctrl-C to leave; the run goes on
    "]]
    .assert_eq(&drawn(&tree, 20));
}

#[test]
fn what_was_lost_on_the_way_does_not_run_for_ever() {
    let (outer, inner) = (node(2, 1, "workflow", "outer"), node(3, 2, "shell", "inner"));
    let mut orphan = node(5, 99, "shell", "orphan");
    orphan.start = at(300);
    let tree = tree(vec![
        starts(&root()),
        starts(&outer),
        starts(&inner),
        // The end of `inner` is never told.
        ends(&outer, 200),
        starts(&orphan),
        logs(77, LogLevel::Info, "from nowhere"),
    ]);
    expect![[r"
        ⠋ summarize 2.3s · 1 node done
          [INFO] from nowhere
          ✓ node.workflow [outer] (200.0ms)
          ⠋ node.shell [orphan] 2.0s
        Ctrl-C to leave; the run goes on
    "]]
    .assert_eq(&drawn(&tree, 20));
}

#[test]
fn nothing_is_wider_or_longer_than_the_screen_and_nothing_steers_it() {
    let mut events = vec![starts(&root())];
    for depth in 2..60 {
        let mut deep = node(depth, depth - 1, "shell", "日本語\u{1b}[2J\n");
        deep.operation = "op\r\u{9b}".into();
        events.push(starts(&deep));
        events.push(logs(depth, LogLevel::Error, &"\u{1b}[1mlong ".repeat(50)));
    }
    let tree = tree(events);
    for (columns, rows) in [(80, 24), (20, 10), (5, 3), (1, 1), (0, 5), (300, 200)] {
        let lines = tree.lines(view(columns, rows));
        assert!(lines.len() <= rows);
        for line in &lines {
            assert!(line.width() <= columns, "{line:?} in {columns}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
    let coloured = LiveView {
        colour: true,
        ..view(80, 24)
    };
    assert!(tree.lines(coloured)[0].contains("\u{1b}[36m⠋\u{1b}[0m"));
}

#[test]
fn whatever_comes_in_whatever_order_is_drawn() {
    arbtest::arbtest(|u| {
        let mut tree = LiveTree::new("any", at(0));
        for _ in 0..u.int_in_range(0..=60)? {
            let (id, parent) = (u.int_in_range(1..=9)?, u.int_in_range(0..=9)?);
            let span = match u.int_in_range(0..=4)? {
                0 => begun(id, parent, SpanKind::Run, "workflow.start"),
                1 => item(id, parent, 0),
                2 => attempt(id, parent, u.int_in_range(1..=2)?),
                3 => begun(id, parent, SpanKind::LlmCall, "chat"),
                _ => node(id, parent, "x", "n"),
            };
            tree.apply(&match u.int_in_range(0..=3)? {
                0 | 1 => starts(&span),
                2 => ends(&span, 5),
                _ => logs(id, LogLevel::Info, "said"),
            });
        }
        let (columns, rows) = (u.int_in_range(0..=40)?, u.int_in_range(0..=12)?);
        let lines = tree.lines(view(columns, rows));
        assert!(lines.len() <= rows);
        assert!(lines.iter().all(|line| line.width() <= columns));
        Ok(())
    });
}

#[test]
fn memory_has_a_bound() {
    let mut tree = LiveTree::new("large", at(0));
    for number in 0..OPEN_MAX as u64 + 10 {
        tree.apply(&starts(&node(number + 1, 0, "x", "n")));
        tree.apply(&logs(0, LogLevel::Info, "said"));
    }
    assert_eq!(
        (tree.open.len(), tree.unplaced, tree.recent.len()),
        (OPEN_MAX, 10, RECENT_MAX)
    );
    let lines = tree.lines(view(80, 10));
    assert_eq!(lines.len(), 10);
    assert!(lines[8].contains("more running"), "{lines:#?}");
}
