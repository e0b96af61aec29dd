//! What it costs to add a node, an LLM call and an event to the sums.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod harness;

use std::hint::black_box;
use std::time::Instant;

use flowmeter::{Aggregator, LlmSample, NodeSample};
use flowmeter_model::{Cost, CostStatus, TimestampNs, UsdNanos};
use harness::{Variant, medians, per_op, rounds, verdict};

/// Few enough that most rounds are not interrupted by other programs.
const SAMPLES: usize = 5_000;

/// Durations over five orders of magnitude, always the same ones.
fn durations() -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..SAMPLES)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            1_000 << ((state >> 33) % 17)
        })
        .collect()
}

/// Nodes of this many ids; the table knows them all.
fn nodes(sums: &mut Aggregator, durations: &[u64], ids: &[String]) -> f64 {
    let began = Instant::now();
    for (index, duration_ns) in durations.iter().enumerate() {
        sums.node_ended(black_box(&NodeSample {
            duration_ns: Some(*duration_ns),
            cpu_ns: Some(1_000),
            attempts: 1,
            ..NodeSample::new(&ids[index % ids.len()], "llm")
        }));
    }
    per_op(began.elapsed(), SAMPLES)
}

fn main() {
    let rounds = rounds(201);
    let durations = durations();
    let few: Vec<String> = (0..5).map(|index| format!("node_{index}")).collect();
    let many: Vec<String> = (0..5_000)
        .map(|index| format!("outer/inner_node_{index}"))
        .collect();
    let (mut few_sums, mut many_sums) = (Aggregator::new(), Aggregator::new());
    let (mut calls, mut events) = (Aggregator::new(), Aggregator::new());
    let cost = Cost::known(CostStatus::Priced, UsdNanos(8_900_000), None);
    let result = medians(
        rounds,
        &mut [
            Variant::new("few", || nodes(&mut few_sums, &durations, &few)),
            Variant::new("many", || nodes(&mut many_sums, &durations, &many)),
            Variant::new("calls", || {
                let began = Instant::now();
                for duration_ns in &durations {
                    calls.llm_call_ended(
                        "summarize",
                        black_box(&LlmSample {
                            input_tokens: Some(2_100),
                            output_tokens: Some(850),
                            duration_ns: Some(*duration_ns),
                            ..LlmSample::new("gpt-4o-mini", &cost)
                        }),
                    );
                }
                per_op(began.elapsed(), SAMPLES)
            }),
            Variant::new("events", || {
                let began = Instant::now();
                for at in &durations {
                    events.event(black_box(Some(TimestampNs(*at))));
                }
                per_op(began.elapsed(), SAMPLES)
            }),
        ],
    );
    println!("adding to the sums, ns (medians of {rounds} rounds in turns)");
    for (name, time) in ["node, 5 ids", "node, 5,000 ids", "LLM call", "event"]
        .iter()
        .zip(&result)
    {
        println!("{name:<18} {time:>8.1}");
    }
    verdict(
        "a node that is known",
        format!("{:.1} ns", result[0]),
        "100 ns",
        result[0] < 100.0,
    );
    assert_eq!(few_sums.snapshot().nodes.len(), few.len());
    assert_eq!(many_sums.snapshot().nodes.len(), many.len());
}
