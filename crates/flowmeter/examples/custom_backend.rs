//! A backend of one's own: counts the spans of a run by kind and says so when the run has ended.
//!
//! `cargo run -p flowmeter --example custom_backend`

use std::collections::BTreeMap;
use std::io::Write;

use flowmeter::{Backend, Batch, ExportError, NodeDescription, RunEnding, RunMeter, Traced};
use flowmeter_engine::{Action, Flow, Node, NodeContext, NodeError, SharedStore, async_trait};
use flowmeter_model::TelemetryEvent;
use serde_json::{Value, json};

/// The whole backend: it runs on a thread of its own, so it may take its time.
#[derive(Default)]
struct SpanCounter {
    spans: BTreeMap<&'static str, u64>,
}

impl Backend for SpanCounter {
    fn name(&self) -> &str {
        "span counter"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        for event in &batch.events {
            if let TelemetryEvent::SpanEnded(span) = event {
                *self.spans.entry(span.kind.as_str()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn finish(&mut self, ending: &RunEnding) -> Result<(), ExportError> {
        writeln!(std::io::stdout(), "{}: {:?}", ending.status.as_str(), self.spans)
            .map_err(|error| ExportError::new("the counts could not be printed").with_source(error))
    }
}

/// Something to meter.
struct Greet;

#[async_trait]
impl Node for Greet {
    async fn post(&self, cx: &NodeContext, _: Value, _: Value) -> Result<Action, NodeError> {
        cx.store().set("greeting", json!("hello"));
        Ok(Action::default())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let greet = Traced::new(Greet, NodeDescription::node("greet", "greet"));
    let flow = Flow::builder("hello").node("greet", greet).build()?;
    let meter = RunMeter::builder("hello")
        .backend(SpanCounter::default())
        .start()?;
    let outcome = flow.run_to_end(&meter.context(SharedStore::new().root())).await;
    let report = meter.finish(outcome.as_ref());
    for failure in &report.export_errors {
        writeln!(std::io::stderr(), "{failure}")?;
    }
    Ok(())
}
