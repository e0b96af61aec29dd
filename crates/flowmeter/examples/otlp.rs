//! A metered run whose telemetry goes to OTLP receivers: `cargo run -p flowmeter --example otlp -- phoenix`.
//!
//! Names on the command line: `otlp` (OTEL_EXPORTER_OTLP_…) or presets such as `phoenix`. Never calls a model: its
//! answers are made up.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example tells what it does"
)]

use std::error::Error;
use std::sync::Arc;

use flowmeter::{
    LlmRequest, LlmResponse, NodeDescription, OtlpBackend, OtlpConfig, RunMeter, Spool, Traced, current,
};
use flowmeter_engine::{Action, Flow, Node, NodeContext, NodeError, SharedStore, async_trait};
use flowmeter_model::{Attributes, Figure, LogLevel, TokenUsage};
use serde_json::{Value, json};

/// Asks a model for a summary.
struct Summarize;

#[async_trait]
impl Node for Summarize {
    async fn exec(&self, cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
        current(cx).log(LogLevel::Info, "asking for a summary");
        let call = current(cx).llm_call(LlmRequest {
            operation: "chat".into(),
            provider: "openai".into(),
            model: "gpt-4o-mini".into(),
            messages: Arc::new(json!([
                {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
                {"role": "user", "parts": [{"type": "text", "content": "What is a flow?"}]},
            ])),
            ..LlmRequest::default()
        });
        let text = json!("Nodes, and edges that lead from one to the next.");
        let _cost = call.succeed(LlmResponse {
            model: Some("gpt-4o-mini-2024-07-18".into()),
            text: Arc::new(text.clone()),
            finish_reasons: vec!["stop".into()],
            usage: TokenUsage {
                input: Some(Figure::provider(1_250)),
                cache_read: Some(Figure::provider(1_024)),
                output: Some(Figure::provider(12)),
                ..TokenUsage::default()
            },
            ..LlmResponse::default()
        });
        Ok(text)
    }

    async fn post(&self, cx: &NodeContext, _prepared: Value, text: Value) -> Result<Action, NodeError> {
        cx.store().set("summary", text);
        Ok(Action::default())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&str> = named.iter().map(String::as_str).collect();
    let variables = |name: &str| std::env::var(name).ok();

    let mut service = Attributes::new();
    service.set("service.name", "flowmeter-example");
    let mut builder = RunMeter::builder("explain").service(service);
    for mut config in OtlpConfig::of_backends(&names, &variables)? {
        for warning in &config.warnings {
            eprintln!("warning: {warning}");
        }
        config.encoder.content = true;
        let spool = Spool::new(std::env::temp_dir().join("flowmeter-example-spool"));
        builder = builder.backend(OtlpBackend::new(config.with_spool(spool)));
    }
    let meter = builder.start()?;

    let node = Traced::new(Summarize, NodeDescription::node("summarize", "llm"));
    let flow = Flow::builder("explain").node("summarize", node).build()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(flow.run_to_end(&meter.context(SharedStore::new().root())));

    let report = meter.finish(outcome.as_ref());
    for error in &report.export_errors {
        eprintln!("warning: {error}");
    }
    println!("{}", report.trace_id);
    Ok(())
}
