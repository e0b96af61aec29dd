//! Code without a context: spans by hand and LLM calls find where they are, and end as they should.

use std::time::Duration;

use expect_test::expect;
use flowmeter::{LlmRequest, LlmResponse, RunMeter, SpanHandle, TraceDocument, current};
use flowmeter_engine::{Action, Flow, Node, SharedStore};
use flowmeter_model::{AttributeValue, Span, SpanKind, SpanStatus};

use crate::probes::{exec, quick, response, run, traced};

/// A run of plain code, and its trace.
fn plain(work: impl FnOnce(&RunMeter)) -> TraceDocument {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let meter = RunMeter::builder("plain").trace_file(&path).start().unwrap();
    work(&meter);
    let report = meter.succeed();
    assert!(report.export_errors.is_empty() && report.dropped.total() == 0);
    flowmeter::read_trace(&path).unwrap()
}

fn span<'a>(trace: &'a TraceDocument, name: &str) -> &'a Span {
    trace.spans.iter().find(|span| span.operation == name).unwrap()
}

fn parent<'a>(trace: &'a TraceDocument, name: &str) -> &'a str {
    let parent = span(trace, name).parent_span_id.unwrap();
    &trace
        .spans
        .iter()
        .find(|span| span.span_id == parent)
        .unwrap()
        .operation
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(work)
}

#[test]
fn spans_by_hand_nest_as_the_code_does() {
    let trace = plain(|meter| {
        let _entered = meter.enter();
        let outer = flowmeter::span("outer");
        outer.set("rows", 3_i64);
        {
            let _inner = flowmeter::span(String::from("inner"));
            flowmeter::span("innermost").set("deep", true);
        }
        flowmeter::span("second").fail("empty", "there was nothing");
        assert_ne!(flowmeter::current_span().unwrap().id(), None);
        assert_eq!(flowmeter::current_span().unwrap().id(), outer.id());
        drop(outer);
        drop(flowmeter::span("after"));
    });
    for (name, expected) in [
        ("outer", "workflow.start"),
        ("inner", "outer"),
        ("innermost", "inner"),
        ("second", "outer"),
        ("after", "workflow.start"),
    ] {
        assert_eq!(parent(&trace, name), expected, "{name}");
    }
    assert_eq!(
        span(&trace, "outer").attributes.get("rows"),
        Some(&AttributeValue::I64(3))
    );
    assert_eq!(span(&trace, "outer").kind, SpanKind::Custom);
    assert_eq!(span(&trace, "outer").status, Some(SpanStatus::Ok));
    assert_eq!(span(&trace, "second").status, Some(SpanStatus::Error));
    assert_eq!(
        span(&trace, "second").error.as_ref().unwrap().message,
        "there was nothing"
    );
}

#[test]
fn work_that_is_dropped_or_panics_says_so() {
    let trace = plain(|meter| {
        block_on(meter.within(async {
            let hangs = flowmeter::in_span("hangs", std::future::pending::<()>());
            assert!(
                tokio::time::timeout(Duration::from_millis(1), hangs)
                    .await
                    .is_err()
            );
            // What never began is no span.
            drop(flowmeter::in_span("never", async {}));
            let panics = flowmeter::in_span("panics", async { panic!("oh") });
            let panics = tokio::spawn(panics).await;
            assert!(panics.unwrap_err().is_panic());
            let handle: SpanHandle = flowmeter::current_span().unwrap();
            let by_guard = std::thread::spawn(move || {
                let _entered = handle.enter();
                let _guard = flowmeter::span("guarded");
                panic!("oh");
            });
            assert!(by_guard.join().is_err());
        }));
    });
    assert_eq!(span(&trace, "hangs").status, Some(SpanStatus::Cancelled));
    for name in ["panics", "guarded"] {
        let ended = span(&trace, name);
        assert_eq!(ended.status, Some(SpanStatus::Error), "{name}");
        assert_eq!(ended.error.as_ref().unwrap().error_type, "panic");
    }
    assert!(trace.spans.iter().all(|span| span.operation != "never"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_span_in_a_task_belongs_to_where_it_was_made() {
    let ran = run(traced(
        "n",
        exec(|_| {
            Box::pin(async {
                let mut tasks = tokio::task::JoinSet::new();
                for number in 0..20_i64 {
                    let work = async move {
                        tokio::task::yield_now().await;
                        let call = flowmeter::llm_call(LlmRequest::chat("openai", "gpt-4o"));
                        tokio::task::yield_now().await;
                        let _ = call.succeed(response(10, 1));
                    };
                    tasks.spawn(flowmeter::in_span("task", work).set("number", number));
                }
                let _ = tasks.join_all().await;
                Ok(Action::default())
            })
        }),
    ))
    .await;
    let node = ran.node("n").span_id;
    let tasks = ran.spans(SpanKind::Custom);
    assert_eq!(tasks.len(), 20);
    assert!(tasks.iter().all(|task| task.parent_span_id == Some(node)));
    for call in ran.spans(SpanKind::LlmCall) {
        assert!(tasks.iter().any(|task| call.parent_span_id == Some(task.span_id)));
    }
    assert_eq!(ran.report.metrics.nodes[0].1.llm.calls, 20);
    assert_eq!(ran.report.metrics.nodes[0].1.llm.input_tokens, 200);
}

#[tokio::test]
async fn steps_of_the_engine_nest_under_spans_by_hand() {
    let inner = Flow::builder("inner")
        .node("deep", traced("deep", quick(|_| Ok(Action::default()))))
        .build()
        .unwrap();
    let inner = std::sync::Arc::new(inner);
    let outer = exec(move |cx| {
        let inner = std::sync::Arc::clone(&inner);
        Box::pin(async move {
            flowmeter::in_span("plan", async {
                // Found through the context, it is the same span.
                let _ = current(cx)
                    .llm_call(LlmRequest::chat("openai", "gpt-4o"))
                    .succeed(response(1, 1));
                inner.run_to_end(cx).await
            })
            .await?;
            Ok(Action::default())
        })
    });
    let ran = run(traced("outer", outer)).await;
    expect![[r#"
        workflow.start ok
          node.test outer ok
            plan ok
              chat gpt-4o ok
              node.test deep ok
    "#]]
    .assert_eq(&ran.tree());
    let paths: Vec<&str> = ran
        .report
        .metrics
        .nodes
        .iter()
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(paths, ["outer", "outer/deep"]);
}

#[test]
fn a_flow_and_plain_code_share_a_run() {
    let trace = plain(|meter| {
        let flow = Flow::builder("f")
            .node("n", traced("n", quick(|_| Ok(Action::default()))))
            .build()
            .unwrap();
        let cx = meter.context(SharedStore::new().root());
        block_on(meter.within(async {
            flowmeter::in_span("whole", flow.run(&cx)).await.unwrap();
        }));
    });
    assert_eq!(parent(&trace, "node.test"), "whole");
}

#[test]
fn a_call_made_with_any_client_is_priced() {
    let mut cost = None;
    let trace = plain(|meter| {
        let _entered = meter.enter();
        let body = br#"{"id": "c-1", "model": "gpt-4o-2024-08-06", "choices": [{"message": {"content": "Hi"},
            "finish_reason": "stop"}], "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}"#;
        let call = flowmeter::llm_call(LlmRequest::chat("openai", "gpt-4o").prompt("Say hi"));
        cost = call.succeed(LlmResponse::from_body("openai", body)).amount;
    });
    let call = span(&trace, "chat gpt-4o");
    assert_eq!(cost.unwrap().to_usd(), 0.0035);
    assert_eq!(call.usage.as_ref().unwrap().input_tokens(), 1_000);
    assert_eq!(
        call.attributes.get_str("gen_ai.response.model"),
        Some("gpt-4o-2024-08-06")
    );
    let shown = format!("{:?}", call.attributes);
    assert!(shown.contains("Say hi") && shown.contains("Hi"), "{shown}");
}
