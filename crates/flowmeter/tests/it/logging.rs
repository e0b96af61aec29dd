//! Logs and spans of `tracing`, of the logger and of nodes: each lands under the span it was written in.

use std::collections::HashMap;
use std::sync::Arc;

use expect_test::expect;
use flowmeter::{
    Backend, ContextualLogger, ExportError, FlowmeterLayer, HumanStyle, LlmRequest, LogFilter, LogLines,
    LogLinesConfig, RunFilter, RunMeter, RunMeterBuilder, current, write_human,
};
use flowmeter_engine::{Action, Batch, BatchPolicy, Flow, NodeContext, NodeError, SharedStore};
use flowmeter_model::{
    AttributeValue, LogLevel, LogRecord, Span, SpanId, SpanKind, SpanStatus, TelemetryEvent,
};
use parking_lot::Mutex;
use serde_json::json;
use tracing::Instrument as _;
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::probes::{Items, Ran, exec, quick, response, run_with, traced};

fn subscriber() -> tracing::Dispatch {
    tracing::Dispatch::new(tracing_subscriber::registry().with(FlowmeterLayer::new()))
}

/// Runs a node with the layer.
async fn run(node: impl flowmeter_engine::Node) -> Ran {
    run_set(node, |builder| builder).await
}

async fn run_set(
    node: impl flowmeter_engine::Node,
    settings: impl FnOnce(RunMeterBuilder) -> RunMeterBuilder,
) -> Ran {
    run_with(node, settings).with_subscriber(subscriber()).await
}

/// Where each log line is: the names of the spans around it, outermost first, and its message.
fn lines(ran: &Ran) -> Vec<String> {
    let spans: HashMap<SpanId, &Span> = ran.trace.spans.iter().map(|span| (span.span_id, span)).collect();
    let mut logs: Vec<&LogRecord> = ran.trace.logs.iter().collect();
    logs.sort_by_key(|log| log.time);
    let path_of = |log: &LogRecord| {
        let mut path = Vec::new();
        let mut next = log.span_id;
        while let Some(id) = next {
            let span = spans[&id];
            let number = ["attempt.number", "batch.index"]
                .iter()
                .find_map(|key| span.attributes.get(key));
            let name = span.attributes.get_str("node.id").unwrap_or(&span.operation);
            path.push(match number {
                Some(AttributeValue::I64(number)) => format!("{name} {number}"),
                _ => name.to_owned(),
            });
            next = span.parent_span_id;
        }
        path.reverse();
        path.join(" > ")
    };
    logs.iter()
        .map(|log| format!("{}: {} {}", path_of(log), log.level, log.message))
        .collect()
}

#[tokio::test]
async fn an_event_in_a_node_lands_under_the_node_with_all_it_says() {
    #[derive(Debug)]
    struct Point {
        #[allow(dead_code, reason = "it is shown")]
        x: i32,
    }
    let ran = run(traced(
        "load",
        quick(|_| {
            let cause = NodeError::failed("the pool is empty").with_source(NodeError::failed("nobody home"));
            let error: &(dyn std::error::Error + 'static) = &cause;
            tracing::warn!(
                target: "db::pool",
                rows = 3_u64,
                huge = u64::MAX,
                ratio = 0.5,
                ok = true,
                name = "customers",
                place = ?Point { x: 1 },
                shown = %"plain",
                error,
                "read {} rows",
                3
            );
            Ok(Action::default())
        }),
    ))
    .await;
    assert_eq!(lines(&ran), ["workflow.start > load: WARN read 3 rows"]);
    let log = &ran.trace.logs[0];
    assert_eq!(log.target.as_deref(), Some("db::pool"));
    let said: Vec<String> = log
        .attributes
        .iter()
        .filter(|(key, _)| !key.starts_with("code."))
        .map(|(key, value)| format!("{key}={}", serde_json::to_string(value).unwrap()))
        .collect();
    expect![[r#"
        rows=3
        huge="18446744073709551615"
        ratio=0.5
        ok=true
        name="customers"
        place="Point { x: 1 }"
        shown="plain"
        error="the pool is empty"
        error.chain="nobody home""#]]
    .assert_eq(&said.join("\n"));
    assert!(
        log.attributes
            .get_str("code.file.path")
            .unwrap()
            .ends_with("logging.rs")
    );
    assert!(matches!(log.attributes.get("code.line.number"), Some(AttributeValue::I64(line)) if *line > 1));
    assert!(
        log.attributes
            .get_str("code.namespace")
            .unwrap()
            .ends_with("logging")
    );
    assert!(ran.text.contains(r#""attributes":{"rows":3,"#), "{}", ran.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn events_on_other_threads_and_in_other_tasks_find_their_node() {
    let ran = run(traced(
        "work",
        exec(|_| {
            Box::pin(async {
                let dispatch = tracing::dispatcher::get_default(Clone::clone);
                let on_thread = flowmeter::carry_call(move || {
                    tracing::dispatcher::with_default(&dispatch, || tracing::info!("in a blocking closure"));
                });
                tokio::task::spawn_blocking(on_thread).await.unwrap();
                let task = async {
                    tokio::task::yield_now().await;
                    tracing::info!("in a task");
                    flowmeter::in_span("load", async { tracing::info!("in a span of its own") }).await;
                };
                tokio::spawn(flowmeter::carry(task).with_current_subscriber())
                    .await
                    .unwrap();
                let span = tracing::info_span!("query", table = "customers");
                let work = async { tracing::info!("in an instrumented task") };
                tokio::spawn(work.instrument(span).with_current_subscriber())
                    .await
                    .unwrap();
                tokio::spawn(
                    async { tracing::info!("in a task that nobody bound") }.with_current_subscriber(),
                )
                .await
                .unwrap();
                Ok(Action::default())
            })
        }),
    ))
    .await;
    expect![[r#"
        workflow.start > work: INFO in a blocking closure
        workflow.start > work: INFO in a task
        workflow.start > work > load: INFO in a span of its own
        workflow.start > work > query: INFO in an instrumented task"#]]
    .assert_eq(&lines(&ran).join("\n"));
}

#[tokio::test]
async fn attempts_nested_flows_and_branches_keep_their_own_lines() {
    let nested = Flow::builder("inner")
        .node(
            "deep",
            traced(
                "deep",
                quick(|_| {
                    tracing::info!("deep down");
                    Ok(Action::default())
                }),
            ),
        )
        .build()
        .unwrap();
    let nested = Arc::new(nested);
    let outer = exec(move |cx: &NodeContext| {
        let nested = Arc::clone(&nested);
        Box::pin(async move {
            let attempt = cx.attempt();
            tracing::info!("attempt {attempt}");
            current(cx).log(LogLevel::Info, format!("said by attempt {attempt}"));
            if attempt == 1 {
                return Err(NodeError::failed("not yet"));
            }
            nested.run_to_end(cx).await?;
            tracing::info!("after");
            Ok(Action::default())
        })
    });
    let branch = |name: &'static str| {
        traced(
            name,
            exec(move |_| {
                Box::pin(async move {
                    for number in 0..3 {
                        tracing::info!("{name} {number}");
                        tokio::task::yield_now().await;
                    }
                    Ok(Action::default())
                })
            }),
        )
    };
    let flow = Flow::builder("all")
        .node("outer", traced("outer", outer.attempts(3)))
        .node("left", branch("left"))
        .node("right", branch("right"))
        .edge("outer", "left")
        .edge("outer", "right")
        .build()
        .unwrap();
    let ran = run(flow).await;
    expect![[r#"
        workflow.start > outer > attempt 1: INFO attempt 1
        workflow.start > outer > attempt 1: INFO said by attempt 1
        workflow.start > outer > attempt 2: INFO attempt 2
        workflow.start > outer > attempt 2: INFO said by attempt 2
        workflow.start > outer > attempt 2 > deep: INFO deep down
        workflow.start > outer > attempt 2: INFO after
        workflow.start > left: INFO left 0
        workflow.start > right: INFO right 0
        workflow.start > right: INFO right 1
        workflow.start > left: INFO left 1
        workflow.start > left: INFO left 2
        workflow.start > right: INFO right 2"#]]
    .assert_eq(&lines(&ran).join("\n"));
}

#[tokio::test]
async fn spans_of_tracing_hold_what_happens_in_them() {
    let ran = run(traced(
        "ask",
        exec(|cx: &NodeContext| {
            Box::pin(async move {
                let span = tracing::info_span!("request", path = "/chat", status = tracing::field::Empty);
                let answered = async {
                    tracing::debug_span!("not kept").in_scope(|| tracing::info!("sending"));
                    let call = flowmeter::llm_call(LlmRequest::chat("openai", "gpt-4o"));
                    tokio::task::yield_now().await;
                    let _ = call.succeed(response(10, 2));
                    let _ = current(cx)
                        .llm_call(LlmRequest::chat("openai", "gpt-4o-mini"))
                        .succeed(response(1, 1));
                    tracing::Span::current().record("status", 200);
                    let inner = flowmeter::span("parse");
                    inner.set("bytes", 12_i64);
                    tracing::info!("parsed");
                    drop(inner);
                };
                answered.instrument(span.clone()).await;
                tracing::error!("outside again");
                tracing::info!(parent: &span, "by its parent's name");
                let child = tracing::info_span!(parent: &span, "child");
                drop((child, span));
                Ok(Action::default())
            })
        }),
    ))
    .await;
    expect![[r#"
        workflow.start ok
          node.test ask ok
            request ok
              chat gpt-4o ok
              chat gpt-4o-mini ok
              parse ok
              child ok
    "#]]
    .assert_eq(&ran.tree());
    expect![[r#"
        workflow.start > ask > request: INFO sending
        workflow.start > ask > request > parse: INFO parsed
        workflow.start > ask: ERROR outside again
        workflow.start > ask > request: INFO by its parent's name"#]]
    .assert_eq(&lines(&ran).join("\n"));
    let request = ran
        .spans(SpanKind::Custom)
        .into_iter()
        .find(|span| span.operation == "request")
        .unwrap();
    assert_eq!(
        request.status,
        Some(SpanStatus::Ok),
        "an error event marks nothing"
    );
    assert_eq!(request.attributes.get_str("path"), Some("/chat"));
    assert_eq!(request.attributes.get("status"), Some(&AttributeValue::I64(200)));
    assert!(
        request
            .attributes
            .get_str("tracing.target")
            .unwrap()
            .ends_with("logging")
    );
    assert_eq!(ran.report.metrics.llm.calls, 2);
    assert_eq!(
        ran.report.metrics.nodes[0].1.llm.calls, 2,
        "the calls count for the node"
    );
}

#[tokio::test]
async fn guards_of_tracing_that_go_in_the_wrong_order_leave_nothing_behind() {
    let ran = run(traced(
        "n",
        quick(|_| {
            let (one, two) = (tracing::info_span!("one"), tracing::info_span!("two"));
            let (first, second) = (one.enter(), two.enter());
            drop(first);
            tracing::info!("in two");
            drop(second);
            tracing::info!("in none");
            let again = one.enter();
            let twice = one.enter();
            drop(again);
            tracing::info!("in one");
            drop(twice);
            tracing::info!("in none again");
            Ok(Action::default())
        }),
    ))
    .await;
    expect![[r#"
        workflow.start > n > two: INFO in two
        workflow.start > n: INFO in none
        workflow.start > n > one: INFO in one
        workflow.start > n: INFO in none again"#]]
    .assert_eq(&lines(&ran).join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_items_with_logs_lose_none_of_them() {
    const ITEMS: usize = 10_000;
    let item = exec(|cx: &NodeContext| {
        let item = cx.variables().get("item").unwrap().as_u64().unwrap();
        Box::pin(async move {
            tracing::info!(item, "begun");
            tokio::task::yield_now().await;
            tracing::info!(item, "done");
            Ok(Action::default())
        })
    });
    let policy = BatchPolicy {
        concurrent_max: 100,
        ..BatchPolicy::default()
    };
    let ran = run(traced("all", Batch::new(item, Items(ITEMS), policy).unwrap())).await;
    assert_eq!(ran.report.dropped.total(), 0, "{:?}", ran.report.dropped);
    assert_each_item_has_its_lines(&ran, ITEMS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_spans_at_once_with_logs_lose_no_line() {
    const ITEMS: usize = 10_000;
    let all = exec(|_| {
        Box::pin(async {
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            let mut tasks = tokio::task::JoinSet::new();
            for item in 0..ITEMS {
                let work = async move {
                    tracing::info!(item, "begun");
                    tokio::task::yield_now().await;
                    tracing::info!(item, "done");
                };
                let span = tracing::info_span!("batch.item", "batch.index" = item);
                tasks.spawn(work.instrument(span).with_subscriber(dispatch.clone()));
            }
            let _ = tasks.join_all().await;
            Ok(Action::default())
        })
    });
    let ran = run(traced("all", all)).await;
    assert_eq!(ran.report.dropped.total(), 0, "{:?}", ran.report.dropped);
    assert_each_item_has_its_lines(&ran, ITEMS);
}

fn assert_each_item_has_its_lines(ran: &Ran, items: usize) {
    let index_of: HashMap<SpanId, &AttributeValue> = ran
        .trace
        .spans
        .iter()
        .filter_map(|span| Some((span.span_id, span.attributes.get("batch.index")?)))
        .collect();
    assert_eq!(index_of.len(), items);
    assert_eq!(ran.trace.logs.len(), 2 * items);
    for log in &ran.trace.logs {
        assert_eq!(
            log.attributes.get("item"),
            Some(index_of[&log.span_id.unwrap()]),
            "{log:?}"
        );
    }
}

#[tokio::test]
async fn two_runs_at_once_share_nothing() {
    let one = |name: &'static str, filter: &str| {
        let filter = LogFilter::parse(filter).unwrap();
        let node = traced(
            name,
            exec(move |_| {
                Box::pin(async move {
                    let _span = tracing::info_span!("step");
                    for number in 0..4 {
                        tracing::info!("{name} {number}");
                        tracing::debug!("{name} {number}, finer");
                        tokio::task::yield_now().await;
                    }
                    Ok(Action::default())
                })
            }),
        );
        run_with(node, |builder| builder.log_filter(filter))
    };
    let both = async { tokio::join!(one("first", "info"), one("second", "debug")) };
    let (first, second) = both.with_subscriber(subscriber()).await;
    assert_eq!(first.trace.logs.len(), 4);
    assert!(
        lines(&first)
            .iter()
            .all(|line| line.contains("> first: INFO first"))
    );
    assert_eq!(second.trace.logs.len(), 8);
    assert!(
        lines(&second)
            .iter()
            .all(|line| line.contains("> second: ") && line.contains("second "))
    );
    assert_eq!(first.tree().lines().count(), 3);
}

#[tokio::test]
async fn filters_hold_for_nodes_the_logger_and_tracing_alike() {
    let node = || {
        traced(
            "n",
            quick(|cx| {
                for level in [LogLevel::Trace, LogLevel::Debug, LogLevel::Info] {
                    current(cx).log(level, "node");
                }
                let log = ContextualLogger::new("billing");
                log.debug("logger");
                log.info("logger");
                assert!(log.is_enabled(LogLevel::Error));
                tracing::debug!(target: "genai::chat", "tracing");
                tracing::info!(target: "genai::chat", "tracing");
                tracing::info!(target: "hyper", "tracing");
                tracing::info_span!(target: "hyper", "request").in_scope(|| ());
                Ok(Action::default())
            }),
        )
    };
    let said = |ran: Ran| {
        let mut said: Vec<String> = lines(&ran)
            .iter()
            .map(|line| line.rsplit(": ").next().unwrap().to_owned())
            .collect();
        said.extend(
            ran.spans(SpanKind::Custom)
                .iter()
                .map(|span| span.operation.to_string()),
        );
        said.join(", ")
    };
    let filtered = async |filter: &str| {
        let filter = LogFilter::parse(filter).unwrap();
        said(run_set(node(), |builder| builder.log_filter(filter)).await)
    };
    assert_eq!(
        said(run(node()).await),
        "DEBUG node, INFO node, INFO logger, INFO tracing, INFO tracing, request"
    );
    assert_eq!(
        filtered("info,hyper=off").await,
        "INFO node, INFO logger, INFO tracing"
    );
    assert_eq!(
        filtered("error,genai=debug,test=trace,billing=debug").await,
        "TRACE node, DEBUG node, INFO node, DEBUG logger, INFO logger, DEBUG tracing, INFO tracing"
    );
}

#[tokio::test]
async fn what_goes_beyond_the_limit_of_a_span_is_counted_and_said() {
    let node = quick(|cx| {
        for number in 0..25 {
            tracing::info!("line {number}");
        }
        current(cx).log(LogLevel::Info, "one more");
        tracing::info_span!("inner").in_scope(|| {
            for number in 0..12 {
                tracing::info!("line {number}");
            }
        });
        drop(flowmeter::span("by hand"));
        Ok(Action::default())
    });
    let ran = run_set(traced("n", node), |builder| builder.logs_per_span_max(10)).await;
    assert_eq!(ran.trace.logs.len(), 20);
    assert_eq!(ran.report.dropped.logs_over_limit, 18);
    assert_eq!(ran.report.dropped.total(), 18);
    let dropped = |span: &Span| span.attributes.get("flowmeter.logs.dropped").cloned();
    assert_eq!(dropped(ran.node("n")), Some(AttributeValue::I64(16)));
    let custom: Vec<_> = ran.spans(SpanKind::Custom).into_iter().map(dropped).collect();
    assert!(custom.contains(&Some(AttributeValue::I64(2))) && custom.contains(&None));
    assert_eq!(
        ran.trace.metrics.as_ref().unwrap()["dropped"]["logs_over_limit"],
        18
    );
    let mut tree = Vec::new();
    write_human(&ran.trace, HumanStyle::default(), &mut tree).unwrap();
    let tree = String::from_utf8(tree).unwrap();
    let tail: Vec<&str> = tree
        .lines()
        .skip_while(|line| !line.contains("line 9"))
        .take(3)
        .collect();
    assert_eq!(tail[0], "    [INFO] line 9");
    assert!(
        tree.contains("\n    … 16 more log lines were dropped\n"),
        "{tree}"
    );
    assert!(
        tree.contains("\n      … 2 more log lines were dropped\n"),
        "{tree}"
    );
}

#[tokio::test]
async fn secrets_are_masked_in_messages_and_fields() {
    let node = quick(|cx| {
        tracing::info!(
            api_key = "abcdefgh",
            pin = 7,
            password = 31_415_926_535_u64,
            header = "Bearer abcdefghijkl",
            request = ?("token", "sk-abcdefghijklmnop"),
            "calling with sk-abcdefghijklmnop"
        );
        tracing::info_span!("login", password = "swordfish", user = "bob").in_scope(|| ());
        current(cx).log(LogLevel::Warn, "known-secret-1 was used");
        let log = ContextualLogger::new("billing").with("session_token", "abc-def-ghi");
        log.log(
            LogLevel::Info,
            "known-secret-1",
            [("body", json!({"password": "swordfish", "n": 1}))],
        );
        // Too long for its record: it travels beside it.
        log.log(
            LogLevel::Info,
            "x".repeat(5_000),
            [("long", format!("{} known-secret-1", "y ".repeat(4_000)))],
        );
        Ok(Action::default())
    });
    let redactor = flowmeter::Redactor::new(&["known-secret-1".to_owned()], &[]).unwrap();
    let ran = run_set(traced("n", node), |builder| builder.redactor(redactor)).await;
    for secret in [
        "abcdefgh",
        "sk-abcd",
        "swordfish",
        "known-secret",
        "abc-def",
        "31415926535",
    ] {
        let shown = &ran.text[ran.text.find("\"logs\"").unwrap()..];
        assert!(!shown.contains(secret), "{secret}: {shown}");
        assert!(secret == "31415926535" || !ran.text.contains(secret), "{secret}");
    }
    assert!(ran.text.contains(r#""pin":7"#) && ran.text.contains(r#""user":"bob""#));
    assert_eq!(ran.trace.logs.len(), 4);
    let long = ran
        .trace
        .logs
        .iter()
        .find(|log| log.message.starts_with("xxx"))
        .unwrap();
    assert_eq!(long.message.len(), 5_000);
    assert!(long.attributes.get_str("long").unwrap().ends_with("[REDACTED]"));
}

#[tokio::test]
async fn long_lines_are_cut_at_the_limits_of_the_capture() {
    let node = quick(|_| {
        let long = "z".repeat(30_000);
        tracing::info!(field = long, "{long}");
        Ok(Action::default())
    });
    let ran = run(traced("n", node)).await;
    let log = &ran.trace.logs[0];
    assert!(
        log.message.ends_with("… [cut at 10000 of 30000 chars]"),
        "{}",
        &log.message[9_990..]
    );
    assert!(
        log.attributes
            .get_str("field")
            .unwrap()
            .ends_with("… [cut at 10000 of 30000 chars]")
    );
}

#[tokio::test]
async fn backends_get_logs_with_the_ids_of_their_spans() {
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<TelemetryEvent>>>);
    impl Backend for Kept {
        fn name(&self) -> &str {
            "kept"
        }
        fn export(&mut self, batch: &flowmeter::Batch) -> Result<(), ExportError> {
            self.0.lock().extend(batch.events.iter().cloned());
            Ok(())
        }
    }
    let kept = Kept::default();
    let theirs = kept.clone();
    let node = quick(|_| {
        let log = ContextualLogger::new("billing")
            .with("customer", "acme")
            .with("tries", 1_i64);
        let more = log.clone().with("tries", 2_i64);
        log.log(LogLevel::Error, "late", [("days", 3_i64)]);
        more.warn("later");
        Ok(Action::default())
    });
    let ran = run_set(traced("n", node), |builder| builder.backend(theirs)).await;
    let events = kept.0.lock().clone();
    let logs: Vec<&LogRecord> = events
        .iter()
        .filter_map(|event| match event {
            TelemetryEvent::Log(trace_id, log) => {
                assert_eq!(*trace_id, ran.report.trace_id);
                Some(&**log)
            }
            _ => None,
        })
        .collect();
    assert_eq!(logs.len(), 2);
    for log in &logs {
        assert_eq!(log.span_id, Some(ran.node("n").span_id));
        assert_eq!(log.target.as_deref(), Some("billing"));
        assert_eq!(log.attributes.get_str("customer"), Some("acme"));
    }
    assert_eq!(logs[0].attributes.get("days"), Some(&AttributeValue::I64(3)));
    assert_eq!(logs[0].attributes.get("tries"), Some(&AttributeValue::I64(1)));
    assert_eq!(logs[1].attributes.get("tries"), Some(&AttributeValue::I64(2)));
    assert_eq!((logs[0].level, logs[1].level), (LogLevel::Error, LogLevel::Warn));
}

/// Counts what another layer sees.
#[derive(Clone, Default)]
struct Other(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Other {
    fn on_event(&self, event: &tracing::Event<'_>, _cx: tracing_subscriber::layer::Context<'_, S>) {
        self.0.lock().push(event.metadata().level().to_string());
    }
}

#[test]
fn outside_a_run_nothing_happens_and_other_layers_see_everything() {
    let work = || {
        tracing::info_span!("outside").in_scope(|| tracing::info!("nobody listens"));
        tracing::trace!("finer");
        ContextualLogger::new("x").error("nobody listens");
        assert!(!ContextualLogger::new("x").is_enabled(LogLevel::Error));
        flowmeter::span("nothing").set("k", 1_i64);
        let _ = flowmeter::llm_call(LlmRequest::chat("openai", "gpt-4o")).succeed(response(1, 1));
    };
    for filtered in [false, true] {
        let other = Other::default();
        let registry = tracing_subscriber::registry().with(other.clone());
        let dispatch = if filtered {
            let layer = FlowmeterLayer::new().with_filter(RunFilter::new());
            tracing::Dispatch::new(registry.with(layer))
        } else {
            tracing::Dispatch::new(registry.with(FlowmeterLayer::new()))
        };
        tracing::dispatcher::with_default(&dispatch, || {
            work();
            let meter = RunMeter::builder("run").start().unwrap();
            // The run is of no concern to a thread that is not in it.
            work();
            let report = meter.finish::<()>(Ok(&()));
            assert_eq!(report.metrics.llm.calls, 0);
        });
        assert_eq!(
            *other.0.lock(),
            ["INFO", "TRACE", "INFO", "TRACE"],
            "filtered: {filtered}"
        );
    }
}

#[tokio::test]
async fn a_layer_alone_or_filtered_keeps_what_a_layer_keeps() {
    let node = || {
        traced(
            "n",
            quick(|_| {
                tracing::info_span!("outer", n = 1).in_scope(|| {
                    tracing::debug!("too fine");
                    tracing::info!("kept");
                });
                Ok(Action::default())
            }),
        )
    };
    let plain = run(node()).await;
    let alone = tracing_subscriber::registry().with(FlowmeterLayer::alone());
    let filtered = tracing_subscriber::registry().with(FlowmeterLayer::new().with_filter(RunFilter::new()));
    let alone = run_with(node(), |builder| builder).with_subscriber(alone).await;
    let filtered = run_with(node(), |builder| builder)
        .with_subscriber(filtered)
        .await;
    for ran in [&alone, &filtered] {
        assert_eq!(ran.tree(), plain.tree());
        assert_eq!(lines(ran), lines(&plain));
    }
    assert_eq!(lines(&plain), ["workflow.start > n > outer: INFO kept"]);
}

#[tokio::test]
async fn with_a_finer_filter_a_later_run_sees_what_was_too_fine_before() {
    let node = || {
        traced(
            "n",
            quick(|_| {
                tracing::debug!("fine");
                Ok(Action::default())
            }),
        )
    };
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(FlowmeterLayer::alone()));
    let runs = async |filter: &str| {
        let filter = LogFilter::parse(filter).unwrap();
        let ran = run_with(node(), |builder| builder.log_filter(filter)).with_subscriber(dispatch.clone());
        ran.await.trace.logs.len()
    };
    assert_eq!(runs("info").await, 0);
    assert_eq!(runs("debug").await, 1);
    assert_eq!(runs("info").await, 0);
}

#[tokio::test]
async fn what_is_left_over_from_a_run_that_is_over_does_nothing() {
    let dispatch = subscriber();
    let _default = tracing::dispatcher::set_default(&dispatch);
    let meter = RunMeter::builder("run").start().unwrap();
    let (entered, span) = meter
        .within(async { (tracing::info_span!("long").entered(), flowmeter::current_span()) })
        .await;
    let kept = span.unwrap();
    let report = meter.finish::<()>(Ok(&()));
    assert_eq!(report.dropped.total(), 0);
    tracing::info!("too late");
    kept.log(LogLevel::Info, "too late");
    assert!(flowmeter::current_span().is_none());
    let late = kept.within(flowmeter::in_span("late", async { 1 })).await;
    assert_eq!(late, 1);
    drop(entered);
}

#[tokio::test]
async fn without_spans_calls_still_count_wherever_they_are_made() {
    let meter = RunMeter::builder("run")
        .capture(flowmeter::CaptureLevel::Off)
        .start()
        .unwrap();
    let cx = meter.context(SharedStore::new().root());
    let node = traced(
        "n",
        exec(|_| {
            Box::pin(async {
                let work = flowmeter::in_span("load", async {
                    let _guard = flowmeter::span("inner");
                    let _ = flowmeter::llm_call(LlmRequest::chat("openai", "gpt-4o")).succeed(response(5, 1));
                    tracing::info!("not kept");
                });
                tokio::spawn(work).await.unwrap();
                Ok(Action::default())
            })
        }),
    );
    flowmeter_engine::Node::run(&node, &cx)
        .with_subscriber(subscriber())
        .await
        .unwrap();
    drop(cx);
    let report = meter.finish::<()>(Ok(&()));
    assert_eq!(report.metrics.nodes[0].1.llm.calls, 1);
}

#[test]
fn a_run_of_plain_code_says_how_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, end: fn(RunMeter) -> flowmeter::RunReport| {
        let path = folder.path().join(name);
        let meter = RunMeter::builder("plain").trace_file(&path).start().unwrap();
        {
            let _entered = meter.enter();
            let span = flowmeter::span("step");
            if name == "bad" {
                span.fail("no_rows", "there was nothing");
            }
        }
        let _ = end(meter);
        flowmeter::read_trace(&path).unwrap()
    };
    let good = run("good", RunMeter::succeed);
    assert_eq!(good.status, Some(SpanStatus::Ok));
    let bad = run("bad", |meter| {
        let error = NodeError::failed("it broke").with_source(NodeError::failed("here"));
        meter.fail("broken", &error)
    });
    assert_eq!(bad.status, Some(SpanStatus::Error));
    let error = bad.error.as_ref().unwrap();
    assert_eq!(
        (error.error_type.as_str(), error.message.as_str()),
        ("broken", "it broke")
    );
    assert_eq!(error.chain, ["here"]);
    let step = bad.spans.iter().find(|span| span.operation == "step").unwrap();
    assert_eq!(step.status, Some(SpanStatus::Error));
    assert_eq!(step.error.as_ref().unwrap().error_type, "no_rows");
}

#[tokio::test]
async fn whoever_watches_sees_the_lines_of_a_run_that_is_not_sampled() {
    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let rules = [
        flowmeter::TailRules::default(),
        flowmeter::TailRules {
            keep_errors: true,
            ..Default::default()
        },
    ];
    for (rules, kept) in rules.into_iter().zip([0, 3]) {
        let shown = Shown::default();
        let output = Box::new(shown.clone());
        let node = quick(|cx| {
            current(cx).log(LogLevel::Info, "one");
            tracing::info!("two");
            tracing::warn!("three");
            Err(NodeError::failed("it broke"))
        });
        let ran = run_set(traced("n", node), |builder| {
            builder
                .sampler(flowmeter::Sampler::AlwaysOff)
                .tail_rules(rules)
                .backend(LogLines::new(output, LogLinesConfig::default()))
        });
        let ran = ran.await;
        assert_eq!(ran.trace.logs.len(), kept, "the trace is another matter");
        let text = String::from_utf8(shown.0.lock().clone()).unwrap();
        let shown: Vec<&str> = text.lines().map(|line| &line[13..]).collect();
        assert_eq!(shown.len(), 3, "{text}");
        assert_eq!(shown[0], "INFO  node.test[n] one");
        assert!(
            shown[2].starts_with("WARN  node.test[n] it::logging: three"),
            "{text}"
        );
    }
}
