//! Backends of a run: what reaches them, sampled or not, and what their failures do to the run.

use std::sync::Arc;
use std::time::Duration;

use flowmeter::{
    Backend, Batch, ExportError, ExportOutcome, RunEnding, RunMeter, RunReport, Sampler, TailRules, current,
    read_trace,
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
