//! What the planner adds to its calls: its duration less that of the calls, against the scripted model server.
//!
//! Path B, eight calls, everything metered and written to a trace file. Medians over the runs are printed.
//! Limit: at most 1 ms for each call.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use flowmeter::RunMeter;
use flowmeter_engine::{Backoff, RetryPolicy, SharedStore};
use flowmeter_workflow::chat::GenaiModel;
use flowmeter_workflow::http_client::HttpClient;
use flowmeter_workflow::nodes::Services;
use flowmeter_workflow::planner::{PlanRequest, Planner, PlannerConfig, WorkflowFolder};
use flowmeter_workflow::response_cache::Caching;
use flowmeter_workflow::scripted_model::{Asked, Reply, Script, ScriptedModel};
use serde_json::{Value, json};

const LIMIT_MS: f64 = 1.0;

fn answer(asked: &Asked) -> Reply {
    let title = asked.schema.as_ref().and_then(|schema| schema["title"].as_str());
    Reply::text(answer_to(title.unwrap_or_default()).to_string())
}

fn answer_to(step: &str) -> Value {
    match step {
        "discovery" => json!({"found": false, "workflow": null, "reason": "None does that."}),
        "parameter_discovery" => {
            json!({"parameters": [{"name": "file", "value": "notes.txt", "description": ""}]})
        }
        "requirements" => {
            json!({"clear": true, "question": null, "steps": ["Read the file.", "Summarize it."]})
        }
        "component_browsing" => {
            json!({"node_types": ["read-file", "llm"], "workflows": [], "reason": "Plain."})
        }
        "planning" => json!({"feasible": true, "reason": null, "plan": "1. read-file\n2. llm"}),
        "workflow_generator" => json!({
            "nodes": [
                {"id": "read", "type": "read-file", "params": {"file_path": "${file}"}},
                {"id": "sum", "type": "llm", "params": {"prompt": "Summarize:\n${read.content}"}}
            ],
            "edges": [{"from": "read", "to": "sum"}],
            "inputs": {"file": {"description": "the file", "type": "string"}},
            "outputs": {"summary": {"source": "${sum.response}"}},
        }),
        "parameter_mapping" => json!({"inputs": {"file": "notes.txt"}}),
        "metadata_generation" => {
            json!({"name": "sum", "description": "Summarizes.", "keywords": ["summary"]})
        }
        _ => Value::Null,
    }
}

/// How long one planning took, how long its calls, in milliseconds, and how many there were.
async fn plan(services: &Arc<Services>, folder: &Path) -> Option<(f64, f64, f64)> {
    let planner = Planner::new(PlannerConfig {
        services: Arc::clone(services),
        model: "openai/scripted".into(),
        known: Arc::new(WorkflowFolder::new(folder)),
        folder: folder.to_path_buf(),
        saved_workflows: Some(folder.to_path_buf()),
        timeout: Duration::from_secs(20),
        retry: RetryPolicy::new(1, Duration::ZERO, Backoff::Fixed).ok()?,
    });
    let meter = RunMeter::builder("planned")
        .trace_file(folder.join("trace.json"))
        .start()
        .ok()?;
    let cx = meter.context(SharedStore::new().root());
    let request = PlanRequest {
        text: "summarize notes.txt".to_owned(),
        ..PlanRequest::default()
    };
    let outcome = planner.plan(&cx, request).await;
    let report = meter.finish(outcome.as_ref());
    outcome.ok()?;
    let shown = report.metrics.to_json();
    let planner = &shown["planner"];
    Some((
        planner["duration_ms"].as_f64()?,
        planner["llm_durations_ms"]["sum"].as_f64()?,
        planner["llm_calls"].as_f64()?,
    ))
}

fn main() -> ExitCode {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if is_quick { 10 } else { 100 };
    let Some((own, whole, calls)) = measured(rounds) else {
        println!("MISS the planner found no workflow");
        return ExitCode::FAILURE;
    };
    let holds = own <= LIMIT_MS;
    println!(
        "path B, {calls} calls, {rounds} runs: {whole:.2} ms in all, {own:.3} ms of its own for each call"
    );
    println!(
        "{} own time: limit {LIMIT_MS} ms",
        if holds { "ok  " } else { "MISS" }
    );
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Medians: own time for each call and the whole, in milliseconds; and the number of calls.
fn measured(rounds: usize) -> Option<(f64, f64, f64)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .ok()?;
    let folder = tempfile::tempdir().ok()?;
    runtime.block_on(async {
        let server = ScriptedModel::start(Script::new().otherwise(answer)).await.ok()?;
        let address = server.openai_base_url();
        let http = HttpClient::new();
        let lookup = Arc::new(move |name: &str| (name == "OPENAI_BASE_URL").then(|| address.clone()));
        let services = Arc::new(Services {
            chat: Arc::new(GenaiModel::with_http(lookup, http.clone())),
            default_model: None,
            http,
            caching: Caching::default(),
        });
        let (mut own, mut whole, mut calls) = (Vec::new(), Vec::new(), 0.0);
        for _ in 0..rounds {
            let (took, in_calls, made) = plan(&services, folder.path()).await?;
            own.push((took - in_calls) / made);
            whole.push(took);
            calls = made;
        }
        let median = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied()
        };
        Some((median(own)?, median(whole)?, calls))
    })
}
