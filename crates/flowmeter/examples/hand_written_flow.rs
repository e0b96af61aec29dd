//! Meters a flow that is written by hand: two nodes, one of which calls a model.
//!
//! Run it with `cargo run -p flowmeter --example hand_written_flow`. Calls nobody: the model's answer is made up.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use flowmeter::{
    HumanStyle, LlmRequest, LlmResponse, LogLevel, NodeDescription, RunMeter, Traced, current, read_trace,
    write_human,
};
use flowmeter_engine::{Action, Flow, Node, NodeContext, NodeError, SharedStore, async_trait};
use serde_json::{Value, json};

/// Reads something to sum up.
struct Load;

#[async_trait]
impl Node for Load {
    async fn exec(&self, cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
        current(cx).log(LogLevel::Info, "Reading 3 reports");
        Ok(json!(["good", "better", "best"]))
    }

    async fn post(&self, cx: &NodeContext, _prepared: Value, reports: Value) -> Result<Action, NodeError> {
        cx.store().set("reports", reports);
        Ok(Action::default())
    }
}

/// Asks a model to sum it up.
struct Summarize;

#[async_trait]
impl Node for Summarize {
    async fn prep(&self, cx: &NodeContext) -> Result<Value, NodeError> {
        let reports = cx.store().get("reports").unwrap_or_default();
        Ok(json!(format!("Sum up: {reports}")))
    }

    async fn exec(&self, _cx: &NodeContext, prompt: &Value) -> Result<Value, NodeError> {
        let prompt = prompt.as_str().unwrap_or_default();
        let call = flowmeter::llm_call(LlmRequest::chat("openai", "gpt-4o-mini").prompt(prompt));
        let response = LlmResponse::from_body("openai", &ask(prompt).await);
        let text = (*response.text).clone();
        call.succeed(response);
        Ok(text)
    }

    async fn post(&self, cx: &NodeContext, _prepared: Value, summary: Value) -> Result<Action, NodeError> {
        cx.store().set("summary", summary);
        Ok(Action::default())
    }
}

/// Stands for a request with any HTTP client.
async fn ask(_prompt: &str) -> Vec<u8> {
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    br#"{"id": "c-1", "model": "gpt-4o-mini", "usage": {"prompt_tokens": 21, "completion_tokens": 4},
         "choices": [{"message": {"content": "It goes up."}, "finish_reason": "stop"}]}"#
        .to_vec()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flow = Flow::builder("reports")
        .node("load", Traced::new(Load, NodeDescription::node("load", "load")))
        .node(
            "summarize",
            Traced::new(Summarize, NodeDescription::node("summarize", "llm")),
        )
        .edge("load", "summarize")
        .build()?;

    let folder = tempfile::tempdir()?;
    let meter = RunMeter::builder("reports")
        .trace_file_in(folder.path())
        .start()?;
    let store = SharedStore::new();
    let outcome = flow.run_to_end(&meter.context(store.root())).await;
    let report = meter.finish(outcome.as_ref());

    println!("{}", store.root().get("summary").unwrap_or_default());
    if let Some(path) = &report.trace_file {
        write_human(&read_trace(path)?, HumanStyle::default(), &mut std::io::stdout())?;
    }
    Ok(())
}
