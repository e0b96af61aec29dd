//! Meters plain async code, without the engine: spans, a call with any client, a spawned task, a thread, and what
//! libraries tell `tracing`.
//!
//! Run it with `cargo run -p flowmeter --example plain_async`. Calls nobody: the model's answer is made up.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use flowmeter::{
    ContextualLogger, FlowmeterLayer, HumanStyle, LlmRequest, LlmResponse, LogFilter, RunMeter, read_trace,
    write_human,
};
use flowmeter_model::UsdNanos;
use tracing_subscriber::layer::SubscriberExt as _;

/// Knows nothing of flowmeter: its spans and events come through `tracing`.
async fn load(table: &str) -> Vec<u32> {
    tracing::info!(table, "loading");
    vec![1, 2, 3]
}

/// Stands for a request with any HTTP client.
async fn ask(_prompt: &str) -> Vec<u8> {
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    br#"{"id": "m-1", "type": "message", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
         "content": [{"type": "text", "text": "Six in all."}],
         "usage": {"input_tokens": 17, "output_tokens": 5}}"#
        .to_vec()
}

async fn nightly() -> Result<(), Box<dyn std::error::Error>> {
    let rows = flowmeter::in_span("load", load("orders"))
        .set("table", "orders")
        .await;

    let prompt = format!("Sum up {rows:?}");
    let request = LlmRequest::chat("anthropic", "claude-sonnet-4-5").prompt(&prompt);
    let call = flowmeter::llm_call(request);
    let body = ask(&prompt).await;
    let cost = call.succeed(LlmResponse::from_body("anthropic", &body));
    tracing::info!(amount = cost.amount.map(UsdNanos::to_usd), "asked");

    // A task begins outside every span; `carry` takes the current one along.
    let log = ContextualLogger::new("mailer").with("to", "ops@example.com");
    let mail = async move { log.info("mail sent") };
    tokio::spawn(flowmeter::carry(mail)).await?;

    // So does a thread.
    let work = flowmeter::carry_call(move || {
        let span = flowmeter::span("write");
        span.set("rows", rows.len() as u64);
    });
    tokio::task::spawn_blocking(work).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let subscriber = tracing_subscriber::registry().with(FlowmeterLayer::alone());
    tracing::subscriber::set_global_default(subscriber)?;

    let folder = tempfile::tempdir()?;
    let meter = RunMeter::builder("nightly")
        .trace_file_in(folder.path())
        .log_filter(LogFilter::parse("info,hyper=off")?)
        .start()?;
    let outcome = meter.within(nightly()).await;
    let report = match &outcome {
        Ok(()) => meter.succeed(),
        Err(error) => meter.fail("nightly", error.as_ref()),
    };

    if let Some(path) = &report.trace_file {
        write_human(&read_trace(path)?, HumanStyle::default(), &mut std::io::stdout())?;
    }
    outcome
}
