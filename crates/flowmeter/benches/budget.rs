//! What a budget adds to an LLM call: bounding its cost, reserving it, settling it.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod harness;

use std::hint::black_box;
use std::time::Instant;

use flowmeter::{Budget, CaptureLevel, LlmRequest, LlmResponse, RunMeter, current};
use flowmeter_engine::{NodeContext, SharedStore};
use flowmeter_model::{Figure, TokenUsage, UsdNanos};
use harness::{Variant, medians, per_op, rounds, verdict};

/// Calls that a measurement makes: fewer than make the recorder wait for the pipeline.
const CALLS: usize = 1_000;
/// What a budget may add to a call.
const LIMIT_NS: f64 = 200.0;

fn meter(budget: Budget, capture: CaptureLevel) -> RunMeter {
    RunMeter::builder("bench")
        .capture(capture)
        .budget(budget)
        .start()
        .expect("a meter")
}

async fn time_of(cx: &NodeContext) -> f64 {
    let mut request = LlmRequest::chat("openai", "gpt-4o-mini");
    request.input_text_bytes = 400;
    request.output_tokens_max = Some(500);
    request.is_text_only = true;
    let response = LlmResponse {
        usage: TokenUsage {
            input: Some(Figure::provider(100)),
            output: Some(Figure::provider(50)),
            ..TokenUsage::default()
        },
        ..LlmResponse::default()
    };
    let span = current(cx);
    let began = Instant::now();
    for _ in 0..CALLS {
        let call = span
            .budgeted_llm_call(request.clone())
            .await
            .expect("room for it");
        black_box(call.succeed(response.clone()));
    }
    per_op(began.elapsed(), CALLS)
}

fn main() {
    let rounds = rounds(61);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let money = Budget {
        max_cost: Some(UsdNanos(i64::MAX / 2)),
        ..Budget::default()
    };
    let all = Budget {
        max_tokens: Some(u64::MAX / 2),
        max_llm_calls: Some(u64::MAX / 2),
        ..money
    };
    let unlimited = Budget::default();
    let meters = [
        ("no budget, metrics alone", meter(unlimited, CaptureLevel::Off)),
        ("money, metrics alone", meter(money, CaptureLevel::Off)),
        ("all limits, metrics alone", meter(all, CaptureLevel::Off)),
        ("no budget, with spans", meter(unlimited, CaptureLevel::Metadata)),
        ("all limits, with spans", meter(all, CaptureLevel::Metadata)),
    ];
    let contexts = meters
        .each_ref()
        .map(|(_, meter)| meter.context(SharedStore::new().root()));
    let runtime = &runtime;
    let mut variants: Vec<Variant<'_>> = meters
        .iter()
        .zip(&contexts)
        .map(|((name, _), cx)| {
            let waits = name.ends_with("spans");
            Variant::new(name, move || {
                let time = runtime.block_on(time_of(cx));
                if waits {
                    // The reader catches up outside the measured part.
                    std::thread::sleep(std::time::Duration::from_millis(60));
                }
                time
            })
        })
        .collect();
    let result = medians(rounds, &mut variants);
    println!("a budgeted LLM call, ns (medians of {rounds} rounds in turns)");
    for ((name, _), time) in meters.iter().zip(&result) {
        println!("{name:<28} {time:>8.1}");
    }
    for (what, with, without) in [
        ("a limit on money", result[1], result[0]),
        ("all limits", result[2], result[0]),
        ("all limits, with spans", result[4], result[3]),
    ] {
        let added = with - without;
        verdict(what, format!("{added:.0} ns"), "200 ns", added <= LIMIT_NS);
    }
}
