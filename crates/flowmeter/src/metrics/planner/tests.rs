//! The parts of a run and their sum. Never asks a model.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use flowmeter_engine::{SharedStore, TickClock};
use flowmeter_model::{Cost, SpanId};
use serde_json::json;

use super::*;
use crate::aggregate::{LlmSample, NodeSample};
use crate::metrics::MetricsCollector;

fn call(collector: &MetricsCollector, path: &str, input: u64, output: u64) {
    let cost = Cost::unpriced();
    let sample = LlmSample {
        input_tokens: Some(input),
        output_tokens: Some(output),
        ..LlmSample::new("small", &cost)
    };
    collector.llm_call_ended(path, &sample);
}

fn node(collector: &MetricsCollector, path: &str) {
    collector.node_ended(SpanId::from_u64(1).unwrap(), &NodeSample::new(path, "echo"));
}

#[test]
fn without_a_planner_there_is_no_part() {
    let collector = MetricsCollector::new(false);
    node(&collector, "(planner)/discovery");
    let metrics = collector.snapshot(&TickClock::new(), 5_000_000);
    assert!(metrics.parts.is_none());
    let json = metrics.to_json();
    assert!(json.get("planner").is_none());
    assert_eq!(json["workflow"]["nodes_executed"], 1);
    assert_eq!(json["total"]["duration_ms"], 5);
}

#[test]
fn the_parts_add_up_to_the_whole() {
    let collector = MetricsCollector::new(false);
    collector.planner_started();
    call(&collector, "(planner)/discovery", 100, 10);
    node(&collector, "(planner)/discovery");
    collector.planner_took(PlannerPath::B);
    collector.planner_took(PlannerPath::A);
    collector.planner_ended(12_345_678);
    collector.workflow_begins();
    call(&collector, "ask", 7, 3);
    // A node of the workflow may be called like the planner, and host others.
    node(&collector, "planner/discovery");
    node(&collector, "ask");
    let metrics = collector.snapshot(&TickClock::new(), 99_000_000_000);
    let parts = metrics.parts.as_ref().unwrap();
    assert_eq!(
        metrics.duration_ns,
        parts.planner.duration_ns + parts.workflow.duration_ns
    );
    assert_eq!(parts.planner.duration_ns, 12_345_000);
    let json = metrics.to_json();
    assert_eq!(json["planner"]["duration_ms"], 12.345);
    assert_eq!(json["planner"]["path_taken"], "B");
    assert_eq!(json["planner"]["llm_calls"], 1);
    assert_eq!(
        json["planner"]["tokens"],
        json!({"input": 100, "output": 10, "total": 110})
    );
    assert_eq!(json["planner"]["cost_usd"], Value::Null);
    assert_eq!(json["planner"]["cost_status"], "unpriced");
    assert_eq!(json["planner"]["nodes"]["discovery"]["tokens"]["total"], 110);
    assert_eq!(json["workflow"]["nodes_executed"], 2);
    assert_eq!(json["workflow"]["tokens"]["total"], 10);
    assert!(json["workflow"]["nodes"]["planner/discovery"].is_object());
    assert_eq!(json["total"]["llm_calls"], 2);
    assert_eq!(json["total"]["tokens_total"], 120);
    let trace = Value::from(metrics.trace_json());
    assert_eq!(trace["planner"]["path_taken"], "B");
    assert_eq!(trace["node_count"], 3);
}

#[test]
fn a_planner_that_ends_early_has_no_way_and_leaves_no_time_to_the_workflow() {
    let collector = MetricsCollector::new(false);
    collector.planner_started();
    collector.planner_ended(2_000_000);
    let json = collector.snapshot(&TickClock::new(), 50_000_000).to_json();
    assert_eq!(json["planner"]["path_taken"], Value::Null);
    assert_eq!(json["workflow"]["duration_ms"], 0);
    assert_eq!(json["total"]["duration_ms"], 2);
}

#[tokio::test]
async fn the_planners_nodes_stand_beneath_its_span() {
    use crate::{NodeDescription, RunMeter, Traced, read_trace};
    use flowmeter_engine::{Action, Flow, Node, NodeContext, NodeError, async_trait};

    struct Step;
    #[async_trait]
    impl Node for Step {
        async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
            crate::current(cx).planner_took(PlannerPath::A);
            Ok(Action::default())
        }
    }
    let step = |id: &str| Traced::new(Step, NodeDescription::node(id, "step"));
    let inner = Flow::builder("planner")
        .node("first", step("first"))
        .build()
        .unwrap();
    let outer = Flow::builder("run")
        .node("planner", Traced::planner(inner))
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.json");
    let meter = RunMeter::builder("run").trace_file(&file).start().unwrap();
    let cx = meter.context(SharedStore::new().root());
    outer.run_to_end(&cx).await.unwrap();
    meter.workflow_begins();
    step("first").run(&cx).await.unwrap();
    let report = meter.succeed();
    let parts = report.metrics.parts.as_ref().unwrap();
    assert_eq!(parts.path_taken, Some(PlannerPath::A));
    assert_eq!(parts.planner.nodes[0].0, "first");
    assert_eq!(
        (parts.planner.nodes_executed, parts.workflow.nodes_executed),
        (1, 1)
    );
    let trace = read_trace(&file).unwrap();
    let planner = trace
        .spans
        .iter()
        .find(|span| span.operation == "planner")
        .unwrap();
    let beneath = |span: &&flowmeter_model::Span| span.parent_span_id == Some(planner.span_id);
    assert_eq!(trace.spans.iter().filter(beneath).count(), 1);
    assert_eq!(trace.metrics.unwrap()["planner"]["path_taken"], "A");
}
