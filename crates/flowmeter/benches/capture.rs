//! What capturing a node's three writes costs, beside bare writes and beside a shallow copy before and after.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod harness;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use flowmeter_engine::{SharedStore, StoreView, Writes};
use harness::{Variant, medians, per_op, rounds, verdict};
use serde_json::{Value, json};

/// Nodes a measurement runs; their journals are kept until the clock has stopped.
const NODES: usize = 2_000;
const KEYS: [&str; 3] = ["response", "llm_usage", "prompt"];

fn store_of(keys: usize, large: bool) -> StoreView {
    let root = SharedStore::new().root();
    for index in 0..keys {
        root.in_namespace(&format!("node{}", index / 10))
            .set(&format!("key{}", index % 10), json!(index));
    }
    if large {
        root.set("large", json!("x".repeat(50_000_000)));
    }
    let own = root.in_namespace("summarize");
    for key in KEYS {
        own.set(key, json!("before"));
    }
    own
}

/// Fresh values, made outside the measured part: the node makes them with or without a journal.
fn values() -> Vec<Arc<Value>> {
    (0..NODES * 3).map(|index| Arc::new(json!(index))).collect()
}

fn bare(view: &StoreView) -> f64 {
    let mut values = values().into_iter();
    let began = Instant::now();
    for _ in 0..NODES {
        for (key, value) in KEYS.iter().zip(&mut values) {
            view.set(key, value);
        }
    }
    per_op(began.elapsed(), NODES)
}

/// `kept` keeps its memory from round to round, as the queue to the pipeline does.
fn journaled(view: &StoreView, kept: &mut Vec<Writes>) -> f64 {
    kept.clear();
    let mut values = values().into_iter();
    let began = Instant::now();
    for _ in 0..NODES {
        let (own, journal) = view.journaled();
        for (key, value) in KEYS.iter().zip(&mut values) {
            own.set(key, value);
        }
        kept.push(journal.finish());
    }
    let elapsed = per_op(began.elapsed(), NODES);
    assert!(kept.iter().all(|writes| writes.len() == 3));
    black_box(&*kept);
    elapsed
}

/// What a tracer does that knows no journal: copy the map of shared pointers, run, copy again, compare.
fn shallow_copies(view: &StoreView, keys: usize) -> f64 {
    let nodes = (2_000_000 / keys.max(1)).clamp(3, NODES);
    let mut values = values().into_iter();
    let namespaces: Vec<String> = (0..keys.div_ceil(10))
        .map(|index| format!("node{index}"))
        .chain(["summarize".to_owned()])
        .collect();
    let mut model: HashMap<String, Arc<Value>> = HashMap::new();
    for namespace in &namespaces {
        for (key, value) in view.entries(namespace) {
            model.insert(format!("{namespace}.{key}"), value);
        }
    }
    let mut kept = Vec::with_capacity(nodes);
    let began = Instant::now();
    for _ in 0..nodes {
        let before = model.clone();
        for (key, value) in KEYS.iter().zip(&mut values) {
            if let Some(slot) = model.get_mut(&format!("summarize.{key}")) {
                *slot = value;
            }
        }
        let changed: Vec<(String, Arc<Value>)> = model
            .iter()
            .filter(|(key, value)| before.get(*key).is_none_or(|old| !Arc::ptr_eq(old, value)))
            .map(|(key, value)| (key.clone(), Arc::clone(value)))
            .collect();
        kept.push(changed);
    }
    let elapsed = per_op(began.elapsed(), nodes);
    black_box(&kept);
    elapsed
}

fn main() {
    let rounds = rounds(41);
    println!("three writes of a node, ns (medians of {rounds} rounds in turns)");
    println!(
        "{:<22} {:>8} {:>10} {:>8} {:>16}",
        "store", "bare", "journaled", "extra", "shallow copies"
    );
    let mut extra_at = HashMap::new();
    for (name, keys, large) in [
        ("10", 10, false),
        ("1,000", 1_000, false),
        ("100,000", 100_000, false),
        ("10 + one of 50 MB", 10, true),
    ] {
        let view = store_of(keys, large);
        let mut kept = Vec::with_capacity(NODES);
        let result = medians(
            rounds,
            &mut [
                Variant::new("bare", || bare(&view)),
                Variant::new("journaled", || journaled(&view, &mut kept)),
            ],
        );
        let copies = medians(5, &mut [Variant::new("shallow", || shallow_copies(&view, keys))])[0];
        let extra = result[1] - result[0];
        println!(
            "{name:<22} {:>8.1} {:>10.1} {extra:>8.1} {copies:>16.0}",
            result[0], result[1]
        );
        extra_at.insert(name, extra);
    }
    let (small, thousand) = (extra_at["10"], extra_at["1,000"]);
    verdict(
        "extra at 10 keys",
        format!("{small:.1} ns"),
        "60 ns",
        small <= 60.0,
    );
    verdict(
        "extra at 1,000 keys",
        format!("{thousand:.1} ns"),
        "60 ns",
        thousand <= 60.0,
    );
    let many = extra_at["100,000"];
    verdict(
        "extra at 100,000 keys",
        format!("{many:.1} ns"),
        "120 ns",
        many <= 120.0,
    );
    let large = extra_at["10 + one of 50 MB"];
    verdict(
        "50 MB against 10 keys",
        format!("{:+.1} ns", large - small),
        "within 10 ns",
        (large - small).abs() <= 10.0,
    );
}
