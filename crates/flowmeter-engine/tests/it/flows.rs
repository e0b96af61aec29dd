//! Flows: edges, joins, guards, nesting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowmeter_engine::{Action, ErrorKind, Flow, InvalidFlow, Node, NodeError, VISITS_MAX};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::probes::{Diary, Played, Stuck, context, run_by};

/// A node that notes its name and returns an action.
fn step(diary: &Diary, name: &'static str, action: &'static str) -> impl Node {
    let diary = diary.clone();
    run_by(move |_| {
        diary.note(name);
        Ok(Action::named(action))
    })
}

#[tokio::test]
async fn an_action_chooses_the_edge() {
    let diary = Diary::default();
    let flow = Flow::builder("choice")
        .node("a", step(&diary, "a", "good"))
        .node("b", step(&diary, "b", ""))
        .node("c", step(&diary, "c", "done"))
        .edge_on("a", "bad", "b")
        .edge_on("a", "good", "c")
        .build()
        .unwrap();
    let end = flow.run_to_end(&context()).await.unwrap();
    assert_eq!(diary.lines(), ["a", "c"]);
    assert_eq!((end.action.as_str(), end.last_node.as_str()), ("done", "c"));
}

#[tokio::test]
async fn an_action_without_an_edge_is_a_routing_failure_and_no_edge_at_all_is_an_end() {
    let diary = Diary::default();
    let flow = Flow::builder("lost")
        .node("a", step(&diary, "a", "sideways"))
        .node("b", step(&diary, "b", ""))
        .edge("a", "b")
        .edge_on("a", "error", "b")
        .build()
        .unwrap();
    let error = flow.run_to_end(&context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Routing);
    assert_eq!(error.node_id(), Some("a"));
    assert_eq!(
        error.to_string(),
        "node `a` returned the action `sideways`, for which no edge leads on; it has edges for: default, error"
    );
    let alone = Flow::builder("alone")
        .node("a", step(&diary, "a", "sideways"))
        .build()
        .unwrap();
    assert_eq!(alone.run(&context()).await.unwrap().as_str(), "sideways");
}

#[tokio::test]
async fn a_node_may_run_a_hundred_times_and_no_more() {
    let rounds = |until: u32| {
        let visited = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&visited);
        let node = run_by(move |_| {
            let visit = counter.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(Action::named(if visit < until { "again" } else { "enough" }))
        });
        let flow = Flow::builder("circle")
            .node("a", node)
            .node("end", step(&Diary::default(), "end", ""))
            .edge_on("a", "again", "a")
            .edge_on("a", "enough", "end")
            .build()
            .unwrap();
        (flow, visited)
    };
    let (flow, visited) = rounds(VISITS_MAX);
    flow.run_to_end(&context()).await.unwrap();
    assert_eq!(visited.load(Ordering::Relaxed), 100);
    flow.run_to_end(&context()).await.unwrap();

    let (flow, visited) = rounds(u32::MAX);
    let error = flow.run_to_end(&context()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.node_id()),
        (ErrorKind::VisitLimit, Some("a"))
    );
    assert_eq!(visited.load(Ordering::Relaxed), 100);
    assert!(error.to_string().contains("`a` was visited 100 times"), "{error}");
}

#[tokio::test]
async fn a_flow_is_a_node() {
    let diary = Diary::default();
    let inner = Flow::builder("inner")
        .node("x", step(&diary, "x", ""))
        .node("y", step(&diary, "y", "found"))
        .edge("x", "y")
        .build()
        .unwrap();
    let outer = Flow::builder("outer")
        .node("nested", inner)
        .node("after", step(&diary, "after", ""))
        .edge_on("nested", "found", "after")
        .build()
        .unwrap();
    let end = outer.run_to_end(&context()).await.unwrap();
    assert_eq!(diary.lines(), ["x", "y", "after"]);
    assert_eq!(end.last_node, "after");
}

#[tokio::test]
async fn the_failure_names_the_innermost_node() {
    let inner = Flow::builder("inner")
        .node("x", run_by(|_| Err(NodeError::failed("broken"))))
        .build()
        .unwrap();
    let outer = Flow::builder("outer").node("nested", inner).build().unwrap();
    let error = outer.run_to_end(&context()).await.unwrap_err();
    assert_eq!(error.node_id(), Some("x"));
}

#[tokio::test(start_paused = true)]
async fn two_edges_for_one_action_run_side_by_side_and_meet_once() {
    let diary = Diary::default();
    let flow = Flow::builder("diamond")
        .node("a", step(&diary, "a", ""))
        .node("b", Played::new("b", &diary))
        .node("c", Played::new("c", &diary))
        .node("d", step(&diary, "d", ""))
        .node("e", step(&diary, "e", ""))
        .edge("a", "b")
        .edge("a", "c")
        .edge("b", "d")
        .edge("c", "d")
        .edge("d", "e")
        .build()
        .unwrap();
    let end = flow.run_to_end(&context()).await.unwrap();
    let lines = diary.lines();
    assert_eq!(
        lines[..5],
        ["a", "b prep", "b exec 1", "c prep", "c exec 1"],
        "both are under way"
    );
    assert_eq!(lines[7..], ["d", "e"]);
    assert_eq!(end.last_node, "e");
}

#[tokio::test]
async fn a_fork_may_lead_straight_to_its_join() {
    let diary = Diary::default();
    let flow = Flow::builder("short cut")
        .node("a", step(&diary, "a", ""))
        .node("b", step(&diary, "b", ""))
        .node("c", step(&diary, "c", ""))
        .edge("a", "b")
        .edge("a", "c")
        .edge("b", "c")
        .build()
        .unwrap();
    flow.run_to_end(&context()).await.unwrap();
    assert_eq!(diary.lines(), ["a", "b", "c"]);
}

#[tokio::test]
async fn nested_forks_meet_once_each() {
    let diary = Diary::default();
    let mut builder = Flow::builder("nested forks");
    for name in ["a", "b", "c", "b1", "b2", "bj", "c1", "c2", "end"] {
        builder = builder.node(name, step(&diary, name, ""));
    }
    for (from, to) in [
        ("a", "b"),
        ("a", "c"),
        ("b", "b1"),
        ("b", "b2"),
        ("b1", "bj"),
        ("b2", "bj"),
        ("bj", "end"),
        // The inner branches meet where the outer ones do.
        ("c", "c1"),
        ("c", "c2"),
        ("c1", "end"),
        ("c2", "end"),
    ] {
        builder = builder.edge(from, to);
    }
    builder.build().unwrap().run_to_end(&context()).await.unwrap();
    let mut lines = diary.lines();
    assert_eq!(lines.last().unwrap(), "end");
    lines.sort_unstable();
    assert_eq!(lines, ["a", "b", "b1", "b2", "bj", "c", "c1", "c2", "end"]);
}

#[tokio::test]
async fn an_inner_fork_that_meets_behind_the_outer_one_runs_nothing_twice() {
    let diary = Diary::default();
    let mut builder = Flow::builder("overlapping forks");
    for name in ["a", "b", "c", "d", "e", "outer", "inner"] {
        builder = builder.node(name, step(&diary, name, ""));
    }
    for (from, to) in [
        ("a", "b"),
        ("a", "c"),
        ("c", "outer"),
        ("b", "d"),
        ("b", "e"),
        ("d", "outer"),
        ("e", "inner"),
        ("outer", "inner"),
    ] {
        builder = builder.edge(from, to);
    }
    builder.build().unwrap().run_to_end(&context()).await.unwrap();
    let mut lines = diary.lines();
    assert_eq!(lines[lines.len() - 2..], ["outer", "inner"]);
    lines.sort_unstable();
    assert_eq!(lines, ["a", "b", "c", "d", "e", "inner", "outer"]);
}

#[tokio::test]
async fn branches_that_never_meet_both_run_to_their_end() {
    let diary = Diary::default();
    let flow = Flow::builder("apart")
        .node("a", step(&diary, "a", ""))
        .node("b", step(&diary, "b", "of b"))
        .node("c", step(&diary, "c", "of c"))
        .edge("a", "b")
        .edge("a", "c")
        .build()
        .unwrap();
    let end = flow.run_to_end(&context()).await.unwrap();
    assert_eq!(diary.lines(), ["a", "b", "c"]);
    assert_eq!((end.action.as_str(), end.last_node.as_str()), ("of c", "c"));
}

#[tokio::test]
async fn a_failing_branch_stops_the_other() {
    let diary = Diary::default();
    let reached = Arc::new(Notify::new());
    let stuck = Stuck {
        diary: diary.clone(),
        reached: Arc::clone(&reached),
    };
    let flow = Flow::builder("fork")
        .node("a", step(&diary, "a", ""))
        .node("b", stuck)
        .node(
            "c",
            Played::new("c", &Diary::default()).failing([NodeError::permanent("broken")]),
        )
        .edge("a", "b")
        .edge("a", "c")
        .build()
        .unwrap();
    let error = flow.run_to_end(&context()).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.node_id()),
        ("broken", Some("c"))
    );
    assert_eq!(diary.lines(), ["a", "stuck reached", "stuck dropped"]);
}

#[tokio::test(start_paused = true)]
async fn cancellation_ends_a_flow_between_its_nodes() {
    let token = CancellationToken::new();
    let diary = Diary::default();
    let canceller = {
        let token = token.clone();
        run_by(move |_| {
            token.cancel();
            Ok(Action::default())
        })
    };
    let flow = Flow::builder("stopped")
        .node("a", canceller)
        .node("b", step(&diary, "b", ""))
        .edge("a", "b")
        .build()
        .unwrap();
    let cx = context().with_cancellation(token);
    assert!(flow.run_to_end(&cx).await.unwrap_err().is_cancelled());
    assert!(diary.lines().is_empty());
}

#[test]
fn a_flow_that_leads_nowhere_is_refused() {
    let node = || run_by(|_| Ok(Action::default()));
    let refused = |builder: flowmeter_engine::FlowBuilder| builder.build().err().unwrap();
    assert_eq!(
        refused(Flow::builder("empty")),
        InvalidFlow::NoNodes("empty".into())
    );
    assert_eq!(
        refused(Flow::builder("f").node("a", node()).node("a", node())),
        InvalidFlow::DuplicateNode("a".into())
    );
    assert_eq!(
        refused(Flow::builder("f").node("a", node()).edge("a", "b")),
        InvalidFlow::UnknownNode("b".into())
    );
    assert_eq!(
        refused(Flow::builder("f").node("a", node()).start("z")).to_string(),
        "there is no node `z`"
    );
}

#[tokio::test]
async fn a_flow_begins_where_it_is_told_to_and_shows_its_edges() {
    let diary = Diary::default();
    let flow = Flow::builder("from b")
        .node("a", step(&diary, "a", ""))
        .node("b", step(&diary, "b", ""))
        .edge("b", "a")
        .edge("b", "a")
        .edge_on("b", "error", "a")
        .start("b")
        .build()
        .unwrap();
    flow.run_to_end(&context()).await.unwrap();
    assert_eq!(
        diary.lines(),
        ["b", "a"],
        "an edge that is given twice is one edge"
    );
    let edges: Vec<String> = flow
        .edges()
        .map(|(from, action, to)| format!("{from} -{action}-> {to}"))
        .collect();
    assert_eq!(edges, ["b -default-> a", "b -error-> a"]);
    assert_eq!(flow.node_ids().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(flow.name(), "from b");
}

#[tokio::test(start_paused = true)]
async fn a_flow_of_many_nodes_needs_no_deep_stack() {
    let mut builder = Flow::builder("long");
    for index in 0..10_000 {
        builder = builder.node(format!("n{index}"), run_by(|_| Ok(Action::default())));
    }
    for index in 1..10_000 {
        builder = builder.edge(format!("n{}", index - 1), format!("n{index}"));
    }
    let flow = builder.build().unwrap();
    let end = tokio::time::timeout(Duration::from_secs(60), flow.run_to_end(&context()))
        .await
        .unwrap();
    assert_eq!(end.unwrap().last_node, "n9999");
}

#[tokio::test]
async fn a_flow_that_is_meant_to_go_round_may() {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let node = run_by(move |_| {
        let round = counted.fetch_add(1, Ordering::Relaxed);
        Ok(Action::named(if round < 1000 { "again" } else { "done" }))
    });
    let rest = run_by(|_| Ok(Action::named("end")));
    let flow = Flow::builder("round")
        .visits_max(u32::MAX)
        .node("work", node)
        .node("rest", rest)
        .edge_on("work", "again", "work")
        .edge_on("work", "done", "rest")
        .build()
        .unwrap();
    let end = flow.run_to_end(&context()).await.unwrap();
    assert_eq!(end.action.as_str(), "end");
    assert_eq!(count.load(Ordering::Relaxed), 1001);
}

#[tokio::test]
async fn a_branch_that_halts_lets_the_others_end_what_they_are_at_and_begin_nothing() {
    let diary = Diary::default();
    let slow = Unhurried(diary.clone());
    let halting = run_by(|_| Err(NodeError::halted("no money left").with_type("broke")));
    let inner = Flow::builder("inner")
        .node("slow", slow)
        .node("never", step(&diary, "never", ""))
        .edge("slow", "never")
        .build()
        .unwrap();
    let flow = Flow::builder("outer")
        .node("fork", step(&diary, "fork", ""))
        .node("inner", inner)
        .node("halting", halting)
        .node("join", step(&diary, "join", ""))
        .edge("fork", "inner")
        .edge("fork", "halting")
        .edge("inner", "join")
        .edge("halting", "join")
        .build()
        .unwrap();
    let error = flow.run_to_end(&context()).await.unwrap_err();
    assert!(error.is_halted());
    assert_eq!((error.error_type(), error.node_id()), ("broke", Some("halting")));
    assert_eq!(
        diary.lines(),
        ["fork", "slow"],
        "what was under way is whole, nothing else began"
    );
    // The signal is that of one run.
    assert!(!context().is_halting());
}

/// Takes longer than others, and does not fail.
struct Unhurried(Diary);

#[flowmeter_engine::async_trait]
impl Node for Unhurried {
    async fn run(&self, _cx: &flowmeter_engine::NodeContext) -> Result<Action, NodeError> {
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        self.0.note("slow");
        Ok(Action::default())
    }
}
