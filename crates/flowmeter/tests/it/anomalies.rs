//! What should not happen and does: panics, full disks, runs nobody ends, floods.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use flowmeter::{ExportOutcome, RunMeter, current, read_trace};
use flowmeter_engine::{Action, Batch, BatchPolicy, Flow, Node, SharedStore};
use flowmeter_model::{LogLevel, SpanStatus};
use serde_json::{Value, json};

use crate::probes::{Items, call, exec, idle, quick, run, traced};

#[tokio::test]
async fn a_panic_ends_the_spans_and_the_run_is_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let meter = RunMeter::builder("test").trace_file(&path).start().unwrap();
    let cx = meter.context(SharedStore::new().root());
    let node = quick(|cx| {
        current(cx).log(LogLevel::Warn, "this goes wrong");
        cx.store().set("k", json!(1));
        panic!("a fault of the node")
    });
    let flow = Flow::builder("f")
        .node("a", traced("a", node.attempts(2)))
        .build()
        .unwrap();
    let ended = tokio::spawn(async move {
        let outcome = flow.run_to_end(&cx).await;
        drop(meter.finish(outcome.as_ref()));
    });
    assert!(ended.await.unwrap_err().is_panic());
    let trace = read_trace(&path).unwrap();
    assert!(trace.is_finished());
    assert_eq!(trace.status, Some(SpanStatus::Error));
    assert_eq!(trace.error.as_ref().unwrap().error_type, "panic");
    assert_eq!((trace.spans.len(), trace.logs.len()), (3, 1));
    for span in &trace.spans {
        assert_eq!(span.status, Some(SpanStatus::Error), "{}", span.operation);
        assert_eq!(span.error.as_ref().unwrap().error_type, "panic");
    }
    let node = trace
        .spans
        .iter()
        .find(|span| span.operation == "node.test")
        .unwrap();
    assert_eq!(node.mutations.len(), 1, "what it wrote before is kept");
    assert_eq!(trace.metrics.unwrap()["success_rate"], 0.0);
}

#[tokio::test]
async fn a_run_that_nobody_ends_is_cancelled_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let meter = RunMeter::builder("test").trace_file(&path).start().unwrap();
    let cx = meter.context(SharedStore::new().root());
    traced("a", idle()).run(&cx).await.unwrap();
    drop(meter);
    let trace = read_trace(&path).unwrap();
    assert_eq!(
        (trace.status, trace.spans.len()),
        (Some(SpanStatus::Cancelled), 2)
    );
    assert!(trace.error.is_none());
}

#[tokio::test]
async fn a_killed_run_leaves_what_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let meter = RunMeter::builder("test").trace_file(&path).start().unwrap();
    let cx = meter.context(SharedStore::new().root());
    traced("done", idle()).run(&cx).await.unwrap();
    let stuck = traced("stuck", exec(|_| Box::pin(std::future::pending())));
    let mut running = Box::pin(stuck.run(&cx));
    // What the disk holds is what a kill would leave.
    let left = loop {
        tokio::select! {
            _ = &mut running => unreachable!("it never ends"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        let left = std::fs::read(&path).unwrap();
        if left.windows(6).any(|window| window == b"\"open\"") {
            break left;
        }
    };
    let killed = folder.path().join("killed.json");
    std::fs::write(&killed, &left[..left.len() - 7]).unwrap();
    let trace = read_trace(&killed).unwrap();
    assert!(!trace.is_finished());
    assert_eq!((trace.broken_lines, trace.pid), (1, Some(std::process::id())));
    let ended: Vec<_> = trace.spans.iter().filter(|span| span.end.is_some()).collect();
    assert_eq!(ended[0].attributes.get_str("node.id"), Some("done"));
    std::fs::write(&killed, &left).unwrap();
    let open: Vec<_> = read_trace(&killed)
        .unwrap()
        .spans
        .into_iter()
        .filter(|span| span.end.is_none())
        .collect();
    let names: Vec<_> = open
        .iter()
        .filter_map(|span| span.attributes.get_str("node.id"))
        .collect();
    assert_eq!((open.len(), names), (2, vec!["stuck"]));
    drop(running);
    assert!(meter.finish(Ok(&())).export_errors.is_empty());
    let names: Vec<_> = read_trace(&path)
        .unwrap()
        .spans
        .iter()
        .map(|span| span.status.unwrap().as_str())
        .collect();
    assert_eq!(names, ["ok", "cancelled", "ok"]);
}

#[tokio::test]
async fn a_trace_that_cannot_be_written_does_not_touch_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "in the way").unwrap();
    let mut places = vec![blocked.join("run.json")];
    if cfg!(target_os = "linux") {
        places.push("/dev/full".into());
    }
    for place in places {
        let meter = RunMeter::builder("test").trace_file(&place).start().unwrap();
        let node = traced(
            "a",
            quick(|cx| {
                call(cx, "gpt-4o", 10, 5);
                Ok(Action::default())
            }),
        );
        let outcome = node.run(&meter.context(SharedStore::new().root())).await;
        let report = meter.finish(outcome.as_ref());
        assert!(outcome.is_ok());
        assert_eq!(report.trace_file, None);
        assert_eq!(report.export_errors.len(), 1, "{}", place.display());
        assert_eq!((report.metrics.nodes_executed, report.metrics.llm.calls), (1, 1));
    }
}

#[tokio::test]
async fn a_trace_that_cannot_be_completed_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let meter = RunMeter::builder("test").trace_file(&path).start().unwrap();
    traced("a", idle())
        .run(&meter.context(SharedStore::new().root()))
        .await
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let report = meter.finish(Ok(&()));
    let told: Vec<String> = report.export_errors.iter().map(ToString::to_string).collect();
    let wanted = format!(
        "the trace file {} could not be completed; it stays readable as JSON Lines",
        path.display()
    );
    assert_eq!(told, [wanted]);
    assert_eq!(report.export, ExportOutcome::Failure);
    assert_eq!(report.trace_file, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_still_records_after_the_end_does_not_hold_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let meter = RunMeter::builder("test")
        .trace_file(folder.path().join("run.json"))
        .start()
        .unwrap();
    let cx = meter.context(SharedStore::new().root());
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let restless = {
        let (stop, rounds) = (Arc::clone(&stop), Arc::clone(&rounds));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                current(&cx).log(LogLevel::Info, "still here");
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    while rounds.load(Ordering::Relaxed) < 1000 {
        tokio::task::yield_now().await;
    }
    let finished = tokio::task::spawn_blocking(move || meter.finish(Ok(&())));
    let report = tokio::time::timeout(Duration::from_secs(20), finished).await;
    stop.store(true, Ordering::Relaxed);
    restless.join().unwrap();
    assert!(report.unwrap().unwrap().trace_file.is_some());
}

#[tokio::test]
async fn fifty_thousand_spans_do_not_pile_up() {
    let held: Arc<parking_lot::Mutex<Vec<Weak<Value>>>> = Arc::default();
    let most = Arc::new(AtomicUsize::new(0));
    let (values, peak) = (Arc::clone(&held), Arc::clone(&most));
    let node = quick(move |cx| {
        let value = Arc::new(json!({"text": "some content"}));
        let mut values = values.lock();
        values.push(Arc::downgrade(&value));
        cx.store().set("k", value);
        if values.len() % 2_000 == 0 {
            values.retain(|value| value.strong_count() > 0);
            peak.fetch_max(values.len(), Ordering::Relaxed);
        }
        Ok(Action::default())
    });
    let batch = Batch::new(traced("a", node), Items(25_000), BatchPolicy::default()).unwrap();
    let ran = run(traced("all", batch)).await;
    assert_eq!(ran.report.dropped.total(), 0);
    assert_eq!(ran.trace.spans.len(), 50_002);
    let most = most.load(Ordering::Relaxed);
    assert!(most < 12_000, "{most} values were kept alive at a time");
    held.lock().retain(|value| value.strong_count() > 0);
    assert!(held.lock().is_empty(), "nothing is kept after the end");
}

#[tokio::test]
async fn large_batch_items_do_not_slow_the_run_down() {
    struct Large;
    impl flowmeter_engine::BatchItems for Large {
        fn items(
            &self,
            _cx: &flowmeter_engine::NodeContext,
        ) -> Result<Vec<Arc<Value>>, flowmeter_engine::NodeError> {
            Ok((0..20).map(|_| Arc::new(json!("x".repeat(100_000)))).collect())
        }
        fn item_context(
            &self,
            cx: &flowmeter_engine::NodeContext,
            _index: usize,
            _item: &Arc<Value>,
        ) -> flowmeter_engine::NodeContext {
            cx.clone()
        }
        fn item_result(
            &self,
            _item_cx: &flowmeter_engine::NodeContext,
            _action: &Action,
        ) -> Result<Value, flowmeter_engine::NodeError> {
            Ok(Value::Null)
        }
        fn finish(
            &self,
            _cx: &flowmeter_engine::NodeContext,
            _outcome: flowmeter_engine::BatchOutcome,
        ) -> Result<Action, flowmeter_engine::NodeError> {
            Ok(Action::default())
        }
    }
    // Slow enough for the pipeline to read the first items' spans while the others are still to come.
    let slow = exec(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok(Action::default())
        })
    });
    let batch = Batch::new(traced("a", slow), Large, BatchPolicy::default()).unwrap();
    let began = std::time::Instant::now();
    let ran = run(Flow::builder("f")
        .node("all", traced("all", batch))
        .build()
        .unwrap())
    .await;
    assert_eq!(ran.report.metrics.nodes_executed, 21);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "a wrong account of what waits makes every node wait a second"
    );
}

#[test]
fn a_device_takes_the_lines_and_stays_a_device() {
    use std::os::unix::fs::FileTypeExt;

    let meter = RunMeter::builder("to a device")
        .trace_file("/dev/null")
        .start()
        .unwrap();
    let report = meter.finish::<()>(Ok(&()));
    assert!(report.export_errors.is_empty(), "{:?}", report.export_errors);
    assert!(report.trace_file.is_none());
    let kind = std::fs::metadata("/dev/null").unwrap().file_type();
    assert!(
        kind.is_char_device(),
        "the trace must never take a device's place"
    );
}

#[test]
fn a_symbolic_link_stays_and_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("trace.json"), folder.path().join("link.json"));
    std::fs::write(&file, "").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let meter = RunMeter::builder("through a link")
        .trace_file(&link)
        .start()
        .unwrap();
    assert!(meter.finish::<()>(Ok(&())).export_errors.is_empty());
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(read_trace(&file).unwrap().is_finished());

    let meter = RunMeter::builder("into a folder")
        .trace_file(folder.path())
        .start()
        .unwrap();
    let errors = meter.finish::<()>(Ok(&())).export_errors;
    assert!(
        errors[0]
            .to_string()
            .ends_with("it is neither a file nor a device"),
        "{}",
        errors[0]
    );
}
