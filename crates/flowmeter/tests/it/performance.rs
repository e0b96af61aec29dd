//! What nodes use beside time: CPU, memory, child processes, waiting for a place; and the figures of a whole run.

use std::time::Duration;

use flowmeter::{CaptureLevel, ChildMemory, ChildUsage, MemoryChange, current};
use flowmeter_engine::{Action, Batch, BatchPolicy, Flow, Node, NodeContext, NodeError};
use flowmeter_model::{AttributeValue, Span, SpanKind};
use rustix::time::{ClockId, clock_gettime};

use crate::probes::{Items, Ran, call, exec, idle, quick, run, run_with, traced};

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

/// Works for this much CPU time, in pieces between which others may run.
async fn work(cpu: Duration, piece: Duration) {
    let mut done = Duration::ZERO;
    while done < cpu {
        let before = thread_cpu();
        while thread_cpu() - before < piece {
            std::hint::black_box((0..1_000).sum::<u64>());
        }
        done += thread_cpu() - before;
        tokio::task::yield_now().await;
    }
}

fn busy(cpu_ms: u64) -> impl Node {
    exec(move |_| {
        Box::pin(async move {
            work(Duration::from_millis(cpu_ms), Duration::from_micros(300)).await;
            Ok(Action::default())
        })
    })
}

fn sleeping(ms: u64) -> impl Node {
    exec(move |_| {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(Action::default())
        })
    })
}

fn whole(span: &Span, key: &str) -> u64 {
    match span.attributes.get(key) {
        Some(AttributeValue::I64(number)) => u64::try_from(*number).unwrap(),
        other => panic!("{key} of {}: {other:?}", span.operation),
    }
}

fn cpu_ms(ran: &Ran, id: &str) -> f64 {
    let in_span = whole(ran.node(id), "node.cpu_ns");
    let (_, metrics) = ran
        .report
        .metrics
        .nodes
        .iter()
        .find(|(path, _)| path == id)
        .unwrap();
    assert_eq!(metrics.resources.cpu_ns, Some(in_span));
    in_span as f64 / 1e6
}

fn side_by_side(first: impl Node, second: impl Node) -> Flow {
    Flow::builder("two")
        .node("start", traced("start", idle()))
        .node("first", traced("first", first))
        .node("second", traced("second", second))
        .edge("start", "first")
        .edge("start", "second")
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_busy_node_uses_more_than_one_that_sleeps() {
    let ran = run(side_by_side(busy(30), sleeping(30))).await;
    let (busy, idle) = (cpu_ms(&ran, "first"), cpu_ms(&ran, "second"));
    assert!((30.0..40.0).contains(&busy), "{busy} ms");
    assert!(idle < busy / 5.0, "{idle} ms against {busy} ms");
    let whole = ran.report.metrics.resources.cpu_ns.unwrap() as f64 / 1e6;
    assert!(whole >= busy, "the process used {whole} ms");
}

#[tokio::test]
async fn nodes_that_take_turns_on_a_thread_get_their_own_each() {
    let ran = run(side_by_side(busy(10), busy(40))).await;
    let (few, many) = (cpu_ms(&ran, "first"), cpu_ms(&ran, "second"));
    assert!((10.0..16.0).contains(&few), "{few} ms");
    assert!((40.0..52.0).contains(&many), "{many} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_on_many_threads_get_their_own_each() {
    let flow = |id: &'static str, ms| {
        let flow = Flow::builder(id).node(id, traced(id, busy(ms))).build().unwrap();
        std::sync::Arc::new(flow)
    };
    let flows = [flow("short", 15), flow("long", 45)];
    let both = exec(move |cx: &NodeContext| {
        let runs: Vec<_> = flows
            .iter()
            .map(|flow| {
                let (flow, cx) = (std::sync::Arc::clone(flow), cx.clone());
                tokio::spawn(async move { flow.run_to_end(&cx).await.map(drop) })
            })
            .collect();
        Box::pin(async move {
            for run in runs {
                run.await.unwrap()?;
            }
            Ok(Action::default())
        })
    });
    let ran = run(both).await;
    let (short, long) = (cpu_ms(&ran, "short"), cpu_ms(&ran, "long"));
    assert!((15.0..22.0).contains(&short), "{short} ms");
    assert!((45.0..58.0).contains(&long), "{long} ms");
}

#[tokio::test]
async fn cpu_time_is_counted_over_attempts_and_without_spans() {
    let failing = || {
        let node = exec(|cx: &NodeContext| {
            let last = cx.attempt() == 3;
            Box::pin(async move {
                work(Duration::from_millis(5), Duration::from_millis(1)).await;
                if last {
                    Ok(Action::default())
                } else {
                    Err(NodeError::failed("again"))
                }
            })
        });
        traced("retried", node.attempts(3))
    };
    for level in [CaptureLevel::Full, CaptureLevel::Off] {
        let folder = tempfile::tempdir().unwrap();
        let meter = flowmeter::RunMeter::builder("attempts")
            .capture(level)
            .trace_file(folder.path().join("run.json"))
            .start()
            .unwrap();
        let outcome = failing()
            .run(&meter.context(flowmeter_engine::SharedStore::new().root()))
            .await;
        let metrics = meter.finish(outcome.as_ref()).metrics;
        let (_, node) = &metrics.nodes[0];
        assert_eq!(node.attempts, 3);
        let cpu_ms = node.resources.cpu_ns.unwrap() as f64 / 1e6;
        assert!((15.0..22.0).contains(&cpu_ms), "{level:?}: {cpu_ms} ms");
    }
}

#[tokio::test]
async fn a_node_that_was_stopped_has_used_something_too() {
    let stuck = exec(|_| {
        Box::pin(async {
            work(Duration::from_millis(5), Duration::from_millis(1)).await;
            std::future::pending::<()>().await;
            Ok(Action::default())
        })
    });
    let failing = exec(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(40)).await;
            Err(NodeError::permanent("broken"))
        })
    });
    let ran = run(side_by_side(stuck, failing)).await;
    assert!(ran.outcome.is_err());
    assert!(cpu_ms(&ran, "first") >= 5.0);
}

#[tokio::test]
async fn items_of_a_batch_say_how_long_they_waited_for_a_place() {
    let item = exec(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(Action::default())
        })
    });
    let policy = BatchPolicy {
        concurrent_max: 2,
        ..BatchPolicy::default()
    };
    let ran = run(traced("batch", Batch::new(item, Items(6), policy).unwrap())).await;
    let mut waits: Vec<(u64, u64)> = ran
        .spans(SpanKind::BatchItem)
        .iter()
        .map(|span| (whole(span, "batch.index"), whole(span, "batch.queue_ns")))
        .collect();
    waits.sort_unstable();
    let round_ns = 10_000_000;
    for (index, wait) in &waits {
        // Two at a time: the first two at once, the next when they are done.
        assert!(*wait >= index / 2 * round_ns, "{waits:?}");
        assert!(*index > 1 || *wait < round_ns, "{waits:?}");
    }
    let queue = ran.report.metrics.nodes[0].1.resources.queue;
    let sum: u64 = waits.iter().map(|(_, wait)| wait).sum();
    assert_eq!((queue.count, queue.sum_ns), (6, sum));
    assert_eq!(Some(queue.max_ns), waits.iter().map(|(_, wait)| *wait).max());
    assert_eq!(ran.report.metrics.resources.queue, queue);
    let shown = ran.report.metrics.to_json();
    assert_eq!(shown["workflow"]["nodes"]["batch"]["queue_time_ms"]["count"], 6);
}

#[tokio::test]
async fn the_memory_of_the_process_is_told_for_nodes_that_take_a_while() {
    let large = exec(|_| {
        Box::pin(async {
            let ballast = vec![1_u8; 96 << 20];
            std::hint::black_box(&ballast);
            // Long enough for a look from outside.
            tokio::time::sleep(Duration::from_millis(120)).await;
            drop(ballast);
            Ok(Action::default())
        })
    });
    let flow = Flow::builder("memory")
        .node("small", traced("small", quick(|_| Ok(Action::default()))))
        .node("large", traced("large", large))
        .edge("small", "large")
        .build()
        .unwrap();
    let ran = run(flow).await;
    let change = |id: &str| {
        let (_, node) = ran
            .report
            .metrics
            .nodes
            .iter()
            .find(|(path, _)| path == id)
            .unwrap();
        node.resources
            .memory_change_bytes
            .zip(node.resources.memory_peak_bytes)
    };
    let (change_bytes, peak_bytes) = change("large").unwrap();
    let large = MemoryChange {
        change_bytes,
        peak_bytes,
    };
    let usage = ran.report.metrics.memory.as_ref().unwrap();
    assert!(
        large.peak_bytes > usage.start_bytes + (80 << 20),
        "{large:?} {usage:?}"
    );
    assert!(usage.peak_bytes >= large.peak_bytes);
    assert_eq!(
        whole(ran.node("large"), "process.memory.peak_bytes"),
        large.peak_bytes
    );
    assert!(
        ran.node("large")
            .attributes
            .get("process.memory.change_bytes")
            .is_some()
    );
    let shown = ran.report.metrics.to_json();
    assert_eq!(shown["workflow"]["memory_usage"]["scope"], "process");
}

#[tokio::test]
async fn child_processes_count_for_the_attempt_and_for_the_node() {
    let usage = |user_ms, bytes| ChildUsage {
        cpu_user: Duration::from_millis(user_ms),
        cpu_system: Duration::from_millis(1),
        memory_max: ChildMemory::Bytes(bytes),
    };
    let node = exec(move |cx: &NodeContext| {
        let attempt = u64::from(cx.attempt());
        current(cx).child_ended(&usage(10 * attempt, 1_000 * attempt));
        let outcome = if attempt == 2 {
            Ok(Action::default())
        } else {
            Err(NodeError::failed("again"))
        };
        Box::pin(async move { outcome })
    });
    let ran = run(traced("shell", node.attempts(2))).await;
    let figures = |span: &Span| {
        [
            "process.child.cpu.user_ns",
            "process.child.cpu.system_ns",
            "process.child.memory.max_bytes",
        ]
        .map(|key| whole(span, key))
    };
    let attempts: Vec<_> = ran.spans(SpanKind::Attempt).into_iter().map(figures).collect();
    assert_eq!(
        attempts,
        [[10_000_000, 1_000_000, 1_000], [20_000_000, 1_000_000, 2_000]]
    );
    assert_eq!(figures(ran.node("shell")), [30_000_000, 2_000_000, 2_000]);
    let resources = &ran.report.metrics.nodes[0].1.resources;
    assert_eq!(
        (resources.children_cpu_ns, resources.children_memory_max_bytes),
        (Some(32_000_000), Some(2_000))
    );
    let shown = ran.report.metrics.to_json();
    assert_eq!(shown["workflow"]["child_cpu_time_ms"], 32.0);
    let without = run(traced("quick", quick(|_| Ok(Action::default())))).await;
    assert!(
        without
            .node("quick")
            .attributes
            .get("process.child.cpu.user_ns")
            .is_none()
    );
    assert_eq!(without.report.metrics.resources.children_cpu_ns, None);
}

#[tokio::test]
async fn the_figures_of_a_run_have_the_agreed_names() {
    let failing = exec(|_| Box::pin(async { Ok(Action::error()) }));
    let calling = quick(|cx| {
        call(cx, "gpt-4o", 100, 50);
        Ok(Action::default())
    });
    let flow = Flow::builder("figures")
        .node("ask", traced("ask", calling))
        .node("wait", traced("wait", sleeping(5)))
        .node("fail", traced("fail", failing))
        .edge("ask", "wait")
        .edge("wait", "fail")
        .build()
        .unwrap();
    let ran = run_with(flow, |builder| builder).await;
    let shown = ran.report.metrics.to_json();
    let workflow = &shown["workflow"];
    assert_eq!(workflow["node_counts"], serde_json::json!({"test": 3}));
    let durations = &workflow["node_durations"]["test"];
    assert_eq!(durations["count"], 3);
    assert!(durations["p50"].as_f64().unwrap() <= durations["p99"].as_f64().unwrap());
    assert!(
        durations["max"].as_f64().unwrap() >= 0.005,
        "in seconds: {durations}"
    );
    assert_eq!(
        (&workflow["error_count"], workflow["error_rate"].as_f64()),
        (&1.into(), Some(1.0 / 3.0))
    );
    let throughput = workflow["throughput"]["nodes_per_second"].as_f64().unwrap();
    let seconds = workflow["duration_ms"].as_f64().unwrap() / 1e3;
    assert!((throughput * seconds / 3.0 - 1.0).abs() < 0.01, "{throughput}");
    assert!(workflow["nodes"]["wait"]["durations_ms"]["p90"].as_f64().unwrap() >= 5.0);
    assert_eq!(workflow["nodes"]["fail"]["error_rate"], 1.0);
    assert!(workflow["by_model"]["gpt-4o"]["llm_durations_ms"]["p99"].is_number());
    assert!(workflow["cpu_time_ms"].is_number());
    let traced = ran.trace.metrics.as_ref().unwrap();
    assert!(traced["cpu_time_ms"].is_number() && traced["memory_usage"]["peak_bytes"].is_number());
}
