//! Backends of a run: what reaches them, sampled or not, and what their failures do to the run.

use std::sync::Arc;
use std::time::Duration;

use flowmeter::{
    Backend, Batch, ExportError, ExportOutcome, RunEnding, RunIdentity, RunMeter, RunReport, Sampler,
    StartsWanted, TailRules, current, read_trace,
};
use flowmeter_engine::{Action, Flow, NodeError, SharedStore};
use flowmeter_model::{LogLevel, SpanKind, TelemetryEvent};
use parking_lot::Mutex;

use crate::probes::{call, quick, traced};

/// What a backend was handed: one word an event, and how the run ended.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn words(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

impl Backend for Seen {
    fn name(&self) -> &str {
        "seen"
    }
    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let mut seen = self.0.lock();
        for event in &batch.events {
            seen.push(match event {
                TelemetryEvent::SpanStarted(span) => format!("start {}", span.operation),
                TelemetryEvent::SpanEnded(span) if span.kind == SpanKind::LlmCall => {
                    let tokens = span
                        .usage
                        .as_ref()
                        .map_or(0, flowmeter_model::TokenUsage::input_tokens);
                    let content = span.attributes.get("gen_ai.input.messages").is_some();
                    format!("call {tokens} {content} {}", batch.run.sampled)
                }
                TelemetryEvent::SpanEnded(span) => format!("end {}", span.operation),
                TelemetryEvent::Log(_, log) => format!("log {}", log.message),
            });
        }
        Ok(())
    }
    fn finish(&mut self, ending: &RunEnding) -> Result<(), ExportError> {
        let mut seen = self.0.lock();
        seen.push(format!("{} {}", ending.status.as_str(), ending.metrics.llm.calls));
        Ok(())
    }
}

struct Failing;

impl Backend for Failing {
    fn name(&self) -> &str {
        "failing"
    }
    fn export(&mut self, _: &Batch) -> Result<(), ExportError> {
        Err(ExportError::new("it is not there"))
    }
}

/// Runs two nodes, the second of which fails if it is to.
async fn run(meter: RunMeter, fails: bool) -> RunReport {
    let asks = quick(|cx| {
        current(cx).log(LogLevel::Info, "asking");
        call(cx, "gpt-4o", 10, 5);
        Ok(Action::default())
    });
    let ends = quick(move |_| match fails {
        true => Err(NodeError::permanent("as the test wants")),
        false => Ok(Action::default()),
    });
    let flow = Flow::builder("test")
        .node("ask", traced("ask", asks))
        .node("end", traced("end", ends))
        .edge("ask", "end")
        .build()
        .unwrap();
    let outcome = flow.run_to_end(&meter.context(SharedStore::new().root())).await;
    meter.finish(outcome.as_ref())
}

#[tokio::test]
async fn a_backend_is_told_everything_in_order() {
    let seen = Seen::default();
    let meter = RunMeter::builder("test").backend(seen.clone()).start().unwrap();
    let report = run(meter, false).await;
    assert_eq!(report.export, ExportOutcome::Success);
    expect_test::expect![[r#"
        start workflow.start
        start node.test
        log asking
        start chat gpt-4o
        call 10 true true
        end node.test
        start node.test
        end node.test
        end workflow.start
        ok 1"#]]
    .assert_eq(&seen.words().join("\n"));
}

#[tokio::test]
async fn one_that_fails_does_not_touch_the_others_or_the_run() {
    let seen = Seen::default();
    let meter = RunMeter::builder("test")
        .backend(Failing)
        .backend(seen.clone())
        .start()
        .unwrap();
    let report = run(meter, false).await;
    assert_eq!(report.export, ExportOutcome::PartialSuccess);
    let told: Vec<String> = report.export_errors.iter().map(ToString::to_string).collect();
    // Once a batch, of which there are as many as the machine's pace makes.
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("failing: it is not there"), "{told:?}");
    assert_eq!(seen.words().last().unwrap(), "ok 1");
    assert_eq!(report.metrics.nodes_executed, 2);
}

#[tokio::test]
async fn where_all_fail_the_export_is_a_failure() {
    let meter = RunMeter::builder("test").backend(Failing).start().unwrap();
    assert_eq!(run(meter, false).await.export, ExportOutcome::Failure);
}

#[tokio::test]
async fn a_run_that_is_not_sampled_keeps_its_root_its_usage_and_all_its_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let seen = Seen::default();
    let meter = RunMeter::builder("test")
        .sampler(Sampler::AlwaysOff)
        .backend(seen.clone())
        .trace_file(&path)
        .start()
        .unwrap();
    let report = run(meter, false).await;
    assert_eq!((report.metrics.nodes_executed, report.metrics.llm.calls), (2, 1));
    assert_eq!(
        seen.words(),
        [
            "start workflow.start",
            "call 10 false false",
            "end workflow.start",
            "ok 1"
        ]
    );
    let trace = read_trace(&path).unwrap();
    assert!(!trace.sampled);
    assert_eq!((trace.spans.len(), trace.logs.len()), (2, 0));
    assert_eq!(trace.metrics.unwrap()["node_count"], 2);
}

#[tokio::test]
async fn tail_rules_keep_the_whole_of_a_run_that_fails_and_little_of_one_that_does_not() {
    for fails in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        let seen = Seen::default();
        let meter = RunMeter::builder("test")
            .sampler(Sampler::AlwaysOff)
            .tail_rules(TailRules {
                keep_errors: true,
                ..TailRules::default()
            })
            .backend(seen.clone())
            .trace_file(&path)
            .start()
            .unwrap();
        let report = run(meter, fails).await;
        assert!(report.export_errors.is_empty());
        let trace = read_trace(&path).unwrap();
        assert_eq!(trace.sampled, fails);
        assert_eq!(seen.words().contains(&"log asking".to_owned()), fails);
        assert_eq!(trace.logs.len(), usize::from(fails));
        // Root and call stay in any case, of the two nodes nothing where the run went well.
        assert_eq!(trace.spans.len(), if fails { 4 } else { 2 });
        let call = if fails {
            "call 10 true true"
        } else {
            "call 10 false false"
        };
        assert!(seen.words().contains(&call.to_owned()), "{:?}", seen.words());
    }
}

#[tokio::test]
async fn slow_runs_may_be_kept() {
    let seen = Seen::default();
    let meter = RunMeter::builder("test")
        .sampler(Sampler::AlwaysOff)
        .tail_rules(TailRules {
            slower_than: Some(Duration::ZERO),
            ..TailRules::default()
        })
        .backend(seen.clone())
        .start()
        .unwrap();
    run(meter, false).await;
    assert!(seen.words().contains(&"end node.test".to_owned()));
}

/// A backend that keeps events, and is told of spans only where they last.
#[derive(Clone, Default)]
struct Keeping {
    runs: Arc<Mutex<Vec<Arc<RunIdentity>>>>,
    events: Arc<Mutex<Vec<TelemetryEvent>>>,
    copied: Arc<Mutex<usize>>,
}

impl Backend for Keeping {
    fn name(&self) -> &str {
        "keeping"
    }
    fn starts(&self) -> StartsWanted {
        StartsWanted::Lasting
    }
    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        *self.copied.lock() += 1;
        self.events.lock().extend(batch.events.iter().cloned());
        Ok(())
    }
    fn take(&mut self, batch: Arc<Batch>) -> Result<(), ExportError> {
        match Arc::try_unwrap(batch) {
            Ok(batch) => {
                self.runs.lock().push(batch.run);
                self.events.lock().extend(batch.events);
                Ok(())
            }
            Err(shared) => self.export(&shared),
        }
    }
}

impl Keeping {
    fn words(&self) -> Vec<String> {
        let events = self.events.lock();
        let word = |event: &TelemetryEvent| match event {
            TelemetryEvent::SpanStarted(span) => format!("start {}", span.operation),
            TelemetryEvent::SpanEnded(span) => format!("end {}", span.operation),
            TelemetryEvent::Log(_, log) => format!("log {}", log.message),
        };
        events.iter().map(word).collect()
    }
}

/// Runs a node that waits until the backend has been told that it began.
async fn run_watched(meter: RunMeter, kept: &Keeping) -> RunReport {
    let events = Arc::clone(&kept.events);
    let waits = quick(move |_| {
        let is_told = || {
            let events = events.lock();
            let nodes = events.iter().filter(
                |event| matches!(event, TelemetryEvent::SpanStarted(span) if span.kind == SpanKind::Node),
            );
            nodes.count() > 0
        };
        for _ in 0..1_000 {
            if is_told() {
                return Ok(Action::default());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(NodeError::permanent("nobody was told"))
    });
    let flow = Flow::builder("test")
        .node("first", traced("first", quick(|_| Ok(Action::default()))))
        .node("waits", traced("waits", waits))
        .edge("first", "waits")
        .build()
        .unwrap();
    let outcome = flow.run_to_end(&meter.context(SharedStore::new().root())).await;
    meter.finish(outcome.as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_wants_lasting_spans_only_is_told_of_those_and_gets_events_that_are_its_own() {
    let kept = Keeping::default();
    let meter = RunMeter::builder("test").backend(kept.clone()).start().unwrap();
    let report = run_watched(meter, &kept).await;
    assert_eq!(report.export, ExportOutcome::Success);
    expect_test::expect![[r#"
        start workflow.start
        start node.test
        end node.test
        end node.test
        end workflow.start"#]]
    .assert_eq(&in_order_of_start(&kept));
    assert_eq!(*kept.copied.lock(), 0);
    let events = kept.events.lock();
    let root = events.iter().find_map(|event| match event {
        TelemetryEvent::SpanEnded(span) if span.kind == SpanKind::Run => Some(span.span_id),
        _ => None,
    });
    let runs = kept.runs.lock();
    assert!(runs.iter().all(|run| run.root_span_id == root && root.is_some()));
    assert!(runs.iter().all(|run| run.parent_span_id.is_none()));
}

/// Starts first, for when they are told is a matter of pace.
fn in_order_of_start(kept: &Keeping) -> String {
    let (mut starts, ends): (Vec<String>, Vec<String>) = kept
        .words()
        .into_iter()
        .partition(|word| word.starts_with("start"));
    starts.extend(ends);
    starts.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn where_another_backend_wants_all_starts_both_get_them() {
    let (kept, seen) = (Keeping::default(), Seen::default());
    let meter = RunMeter::builder("test")
        .backend(kept.clone())
        .backend(seen.clone())
        .start()
        .unwrap();
    run_watched(meter, &kept).await;
    let mut seen = seen.words();
    seen.retain(|word| word.starts_with("start"));
    let mut kept = kept.words();
    kept.retain(|word| word.starts_with("start"));
    assert_eq!(seen, kept);
    assert_eq!(
        seen,
        ["start workflow.start", "start node.test", "start node.test"]
    );
}
