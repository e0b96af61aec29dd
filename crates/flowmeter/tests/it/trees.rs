//! The shape of what is traced: branches, batches, attempts, loops, nested workflows, and what each span holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use expect_test::expect;
use flowmeter::{NodeDescription, RunMeter, Traced, current};
use flowmeter_engine::{
    Action, Batch, BatchErrorHandling, BatchPolicy, Flow, Loop, LoopCondition, LoopDecision, NodeContext,
    NodeError, SharedStore,
};
use flowmeter_model::{LogLevel, SpanKind, SpanStatus};
use serde_json::json;

use crate::probes::{Items, exec, idle, quick, run, run_with, traced};

/// A node that lets others run before it ends.
fn patient() -> impl flowmeter_engine::Node {
    exec(|_| {
        Box::pin(async {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok(Action::default())
        })
    })
}

#[tokio::test]
async fn parallel_branches_stand_side_by_side() {
    let flow = Flow::builder("fork")
        .node("a", traced("a", idle()))
        .node("b", traced("b", patient()))
        .node("c", traced("c", patient()))
        .node("d", traced("d", idle()))
        .edge("a", "b")
        .edge("a", "c")
        .edge("b", "d")
        .edge("c", "d")
        .build()
        .unwrap();
    let ran = run(flow).await;
    expect![[r#"
        workflow.start ok
          node.test a ok
          node.test b ok
          node.test c ok
          node.test d ok
    "#]]
    .assert_eq(&ran.tree());
    let (b, c) = (ran.node("b"), ran.node("c"));
    assert!(
        b.start < c.end.unwrap() && c.start < b.end.unwrap(),
        "both at a time"
    );
    assert!(b.duration_ns().unwrap() >= 2_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batch_items_on_many_threads_nest_in_their_own_batch() {
    let batch = |id: &str| {
        let inner = traced(
            "inner",
            exec(|cx: &NodeContext| {
                let item = cx.variables().get("item").unwrap().as_u64().unwrap();
                Box::pin(async move {
                    let work = async move { tokio::time::sleep(Duration::from_micros(item * 10)).await };
                    tokio::spawn(work).await.unwrap();
                    Ok(Action::default())
                })
            }),
        );
        let policy = BatchPolicy {
            concurrent_max: 16,
            ..BatchPolicy::default()
        };
        traced(id, Batch::new(inner, Items(50), policy).unwrap())
    };
    let flow = Flow::builder("batches")
        .node("start", idle())
        .node("one", batch("one"))
        .node("two", batch("two"))
        .edge("start", "one")
        .edge("start", "two")
        .build()
        .unwrap();
    let ran = run(tokio_spawned(flow)).await;
    for id in ["one", "two"] {
        let outer = ran.node(id);
        let items: Vec<_> = ran
            .spans(SpanKind::BatchItem)
            .into_iter()
            .filter(|item| item.parent_span_id == Some(outer.span_id))
            .collect();
        assert_eq!(items.len(), 50);
        for item in items {
            let inner: Vec<_> = ran
                .spans(SpanKind::Node)
                .into_iter()
                .filter(|node| node.parent_span_id == Some(item.span_id))
                .collect();
            assert_eq!(inner.len(), 1);
            assert!(item.start <= inner[0].start && inner[0].end <= item.end);
            assert_eq!(
                **item.params.as_ref().unwrap(),
                json!(item.attributes.get("batch.index").unwrap())
            );
        }
    }
    let nodes: Vec<_> = ran
        .report
        .metrics
        .nodes
        .iter()
        .map(|(path, node)| (path.as_str(), node.runs))
        .collect();
    assert_eq!(ran.report.metrics.nodes_executed, 102);
    assert!(nodes.contains(&("one/inner", 50)) && nodes.contains(&("two/inner", 50)));
}

/// The flow on a worker thread, so that its branches move between threads.
fn tokio_spawned(flow: Flow) -> impl flowmeter_engine::Node {
    let flow = Arc::new(flow);
    exec(move |cx| {
        let (flow, cx) = (Arc::clone(&flow), cx.clone());
        Box::pin(async move {
            let run = tokio::spawn(async move { flow.run_to_end(&cx).await });
            Ok(run.await.unwrap()?.action)
        })
    })
}

#[tokio::test]
async fn every_attempt_is_a_span() {
    let tries = AtomicU32::new(0);
    let node = quick(move |cx| {
        current(cx).log(LogLevel::Info, format!("try {}", cx.attempt()));
        if tries.fetch_add(1, Ordering::Relaxed) < 2 {
            Err(NodeError::failed("not yet").with_type("http_503"))
        } else {
            Ok(Action::default())
        }
    });
    let ran = run(traced("a", node.attempts(5))).await;
    expect![[r#"
        workflow.start ok
          node.test a ok
            attempt 1 error
            attempt 2 error
            attempt 3 ok
    "#]]
    .assert_eq(&ran.tree());
    let attempts = ran.spans(SpanKind::Attempt);
    assert_eq!(attempts[0].error.as_ref().unwrap().error_type, "http_503");
    assert_eq!(
        ran.trace.logs.iter().map(|log| log.span_id).collect::<Vec<_>>(),
        attempts
            .iter()
            .map(|attempt| Some(attempt.span_id))
            .collect::<Vec<_>>()
    );
    assert_eq!(ran.report.metrics.nodes[0].1.attempts, 3);
    assert_eq!(ran.report.metrics.nodes_failed, 0);
}

struct Twice;

impl LoopCondition for Twice {
    fn round_context(&self, cx: &NodeContext, _number: u32) -> Result<NodeContext, NodeError> {
        Ok(cx.clone())
    }
    fn decide(&self, _: &NodeContext, number: u32, _: &Action) -> Result<LoopDecision, NodeError> {
        Ok(if number < 2 {
            LoopDecision::Continue
        } else {
            LoopDecision::Stop
        })
    }
}

#[tokio::test]
async fn loops_and_nested_workflows_nest() {
    let inner = Flow::builder("inner")
        .node("x", traced("x", Loop::new(traced("round", idle()), Twice, 5)))
        .build()
        .unwrap();
    let description = NodeDescription {
        kind: SpanKind::Workflow,
        ..NodeDescription::node("inner", "workflow")
    };
    let outer = Flow::builder("outer")
        .node("call", traced("call", Traced::new(inner, description)))
        .build()
        .unwrap();
    let ran = run(outer).await;
    expect![[r#"
        workflow.start ok
          node.test call ok
            workflow.inner ok
              node.test x ok
                loop.iteration 1 ok
                  node.test round ok
                loop.iteration 2 ok
                  node.test round ok
    "#]]
    .assert_eq(&ran.tree());
    let paths: Vec<&str> = ran
        .report
        .metrics
        .nodes
        .iter()
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(paths, ["call/x/round", "call/x", "call"]);
    assert_eq!(
        ran.report.metrics.nodes_executed, 4,
        "a workflow is no node of its own"
    );
}

#[tokio::test]
async fn a_node_span_tells_what_it_was_given_and_what_it_wrote() {
    let node = quick(|cx| {
        let span = current(cx);
        assert!(span.is_recording());
        span.record_params(&Arc::new(json!({"path": "input.txt"})));
        span.record_template("${file}", &Arc::new(json!("input.txt")));
        span.set("file.bytes", 1024_i64);
        let store = cx.store().in_namespace("a");
        store.set("out", json!("one"));
        store.set("out", json!({"n": 1}));
        store.set_path("out.n", json!(2)).unwrap();
        store.remove("out");
        Ok(Action::default())
    });
    let description = NodeDescription {
        config: Arc::new(json!({"path": "${file}"})),
        ..NodeDescription::node("a", "read_file")
    };
    let ran = run(Traced::new(node, description)).await;
    let span = ran.node("a");
    assert_eq!(span.operation, "node.read_file");
    assert_eq!(span.attributes.get_str("node.type"), Some("read_file"));
    assert_eq!(
        serde_json::to_value(span.attributes.get("node.config").unwrap()).unwrap(),
        json!({"path": "${file}"})
    );
    assert_eq!(span.params, Some(json!({"path": "input.txt"}).into()));
    assert_eq!(
        (span.templates[0].template.as_str(), &span.templates[0].value),
        ("${file}", &json!("input.txt").into())
    );
    let writes: Vec<_> = span
        .mutations
        .iter()
        .map(|write| (write.path.as_str(), write.before.clone(), write.after.clone()))
        .collect();
    assert_eq!(
        writes,
        [
            ("a.out", None, Some(json!("one").into())),
            ("a.out", Some(json!("one").into()), Some(json!({"n": 1}).into())),
            ("a.out.n", Some(json!(1).into()), Some(json!(2).into())),
            ("a.out", Some(json!({"n": 2}).into()), None),
        ]
    );
    for write in &span.mutations {
        assert!(span.start <= write.time && write.time <= span.end.unwrap());
    }
}

#[tokio::test]
async fn a_failure_is_told_with_its_causes_and_an_action_error_fails_the_node() {
    let io = || std::io::Error::other("connection reset");
    let flow = Flow::builder("f")
        .node("soft", traced("soft", quick(|_| Ok(Action::error()))))
        .node(
            "said",
            traced(
                "said",
                quick(|cx| {
                    current(cx).record_error("exit_code", "command failed with 3");
                    Ok(Action::error())
                }),
            ),
        )
        .node(
            "hard",
            traced(
                "hard",
                quick(move |_| Err(NodeError::failed("cannot fetch").with_source(io()))),
            ),
        )
        .edge_on("soft", "error", "said")
        .edge_on("said", "error", "hard")
        .build()
        .unwrap();
    let ran = run(flow).await;
    assert_eq!(ran.outcome.as_ref().unwrap_err().node_id(), Some("hard"));
    let error = |id: &str| {
        let error = ran.node(id).error.as_ref().unwrap();
        (
            error.error_type.to_string(),
            error.message.clone(),
            error.chain.clone(),
        )
    };
    assert_eq!(
        error("soft"),
        (
            "action_error".into(),
            "returned the action `error`".into(),
            vec![]
        )
    );
    assert_eq!(
        error("said"),
        ("exit_code".into(), "command failed with 3".into(), vec![])
    );
    assert_eq!(
        error("hard"),
        (
            "node_failed".into(),
            "cannot fetch".into(),
            vec!["connection reset".to_owned()]
        )
    );
    assert!(
        ["soft", "said", "hard"]
            .iter()
            .all(|id| ran.node(id).status == Some(SpanStatus::Error))
    );
    assert_eq!(
        (ran.trace.status, ran.trace.error.as_ref().unwrap().chain.len()),
        (Some(SpanStatus::Error), 1)
    );
    assert_eq!(
        (ran.report.metrics.nodes_failed, ran.report.metrics.success_rate()),
        (3, 0.0)
    );
}

#[tokio::test]
async fn a_failed_branch_or_batch_leaves_cancelled_spans() {
    let stuck = || exec(|_| Box::pin(std::future::pending()));
    let fail = || {
        exec(|_| {
            Box::pin(async {
                tokio::task::yield_now().await;
                Err(NodeError::permanent("broken"))
            })
        })
    };
    let flow = Flow::builder("fork")
        .node("a", idle())
        .node("stuck", traced("stuck", stuck().attempts(2)))
        .node("fails", traced("fails", fail()))
        .edge("a", "stuck")
        .edge("a", "fails")
        .build()
        .unwrap();
    let ran = run(flow).await;
    expect![[r#"
        workflow.start error
          node.test stuck cancelled
            attempt 1 cancelled
          node.test fails error
    "#]]
    .assert_eq(&ran.tree());

    let item = exec(|cx: &NodeContext| {
        let item = cx.variables().get("item").unwrap().as_u64().unwrap();
        Box::pin(async move {
            tokio::task::yield_now().await;
            if item == 1 {
                return Err(NodeError::failed("broken"));
            }
            std::future::pending().await
        })
    });
    let policy = BatchPolicy {
        concurrent_max: 3,
        error_handling: BatchErrorHandling::FailFast,
        ..BatchPolicy::default()
    };
    let ran = run(traced(
        "all",
        Batch::new(traced("one", item), Items(9), policy).unwrap(),
    ))
    .await;
    expect![[r#"
        workflow.start error
          node.test all error
            batch.item 0 cancelled
              node.test one cancelled
            batch.item 1 error
              node.test one error
            batch.item 2 cancelled
              node.test one cancelled
    "#]]
    .assert_eq(&ran.tree());
    assert_eq!(ran.report.metrics.nodes_failed, 4);
}

#[tokio::test]
async fn a_cancelled_run_says_so() {
    let node = quick(|cx| {
        cx.cancellation().cancel();
        Err(NodeError::cancelled())
    });
    let ran = run(traced("a", node)).await;
    assert_eq!(ran.trace.status, Some(SpanStatus::Cancelled));
    assert_eq!(ran.node("a").status, Some(SpanStatus::Cancelled));
}

#[tokio::test]
async fn equal_seeds_give_equal_ids() {
    let ids = |ran: &crate::probes::Ran| {
        let spans: Vec<_> = ran.trace.spans.iter().map(|span| span.span_id).collect();
        (ran.trace.trace_id.clone(), spans)
    };
    let (one, two) = (run(traced("a", idle())).await, run(traced("a", idle())).await);
    assert_eq!(ids(&one), ids(&two));
    let other = run_with(traced("a", idle()), |builder| builder.id_seed(12)).await;
    assert_ne!(ids(&one).0, ids(&other).0);
}

#[tokio::test]
async fn without_a_meter_everything_runs_and_nothing_is_said() {
    let node = traced(
        "a",
        quick(|cx| {
            let span = current(cx);
            assert!(!span.is_recording());
            span.log(LogLevel::Info, "nobody hears it");
            span.set("k", 1_i64);
            span.record_error("x", "y");
            crate::probes::call(cx, "gpt-4o", 1, 1);
            Ok(Action::named("fine"))
        }),
    );
    let cx = NodeContext::new(SharedStore::new().root());
    let action = flowmeter_engine::Node::run(&node, &cx).await.unwrap();
    assert_eq!(action.as_str(), "fine");
}

#[tokio::test]
async fn spans_outside_any_node_are_in_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let meter = RunMeter::builder("test").trace_file(&path).start().unwrap();
    let mut span = meter.recorder().span("parse", None);
    span.set("bytes", 12_i64);
    span.end();
    assert!(meter.finish(Ok(&())).export_errors.is_empty());
    let trace = flowmeter::read_trace(&path).unwrap();
    let parse = trace.spans.iter().find(|span| span.operation == "parse").unwrap();
    assert_eq!(parse.kind, SpanKind::Custom);
    assert!(parse.attributes.get("bytes").is_some());
}
