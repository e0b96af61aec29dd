//! The tracing pipeline under load: a million events a second from one thread, and a backend that hangs.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod harness;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter::{
    Backend, Batch, ExportError, KeepTrace, NodeDescription, RunMeter, RunMeterBuilder, Traced, current,
};
use flowmeter_engine::{Action, Node, NodeContext, NodeError, SharedStore, async_trait};
use harness::{median, rounds, verdict};
use serde_json::{Value, json};

/// Events a second.
const RATE: u64 = 1_000_000;
/// Events between two looks at the clock.
const STRIDE: u64 = 100;

/// Emits spans from this thread at [`RATE`] for `seconds`; returns how many, and how many a second there were.
fn emit(meter: &RunMeter, seconds: u64) -> (u64, f64) {
    let recorder = meter.recorder();
    let count = RATE * seconds;
    let began = Instant::now();
    let mut done = 0;
    while done < count {
        for index in done..done + STRIDE {
            let mut span = recorder.span("load", None);
            span.set("rows", index as i64);
            span.set("kind", "csv");
            span.end();
        }
        done += STRIDE;
        let due = Duration::from_nanos(done * 1_000_000_000 / RATE);
        while began.elapsed() < due {
            std::hint::spin_loop();
        }
    }
    (done, done as f64 / began.elapsed().as_secs_f64())
}

/// Counts, so that nothing of the work can be left out.
struct Counting(Arc<std::sync::atomic::AtomicU64>);

impl Backend for Counting {
    fn name(&self) -> &str {
        "counting"
    }
    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.0
            .fetch_add(batch.events.len() as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

/// Never comes back.
struct Hanging;

impl Backend for Hanging {
    fn name(&self) -> &str {
        "hanging"
    }
    fn export(&mut self, _: &Batch) -> Result<(), ExportError> {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
}

/// CPU time of the pipeline's thread so far.
fn pipeline_cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task");
    for task in tasks.into_iter().flatten().flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        if read("comm").starts_with("flowmeter-pipel") {
            let ran_ns = read("schedstat")
                .split(' ')
                .next()
                .and_then(|field| field.parse().ok());
            return Duration::from_nanos(ran_ns.unwrap_or(0));
        }
    }
    Duration::ZERO
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|field| field.parse().ok())
        .unwrap_or(0);
    pages * 4096
}

/// A node with content: what waits for a backend must be bounded by what it holds.
struct Talk(Arc<Value>);

#[async_trait]
impl Node for Talk {
    async fn post(&self, cx: &NodeContext, _: Value, _: Value) -> Result<Action, NodeError> {
        current(cx).record_params(&self.0);
        cx.store().set("text", Arc::clone(&self.0));
        // As much work as a small node has.
        let mut sum = 0_u64;
        for number in 0..100_000_u64 {
            sum = sum.wrapping_add(black_box(number));
        }
        black_box(sum);
        Ok(Action::default())
    }
}

async fn talk(meter: &RunMeter, nodes: usize) -> Duration {
    let value = Arc::new(json!({"text": "x".repeat(2000)}));
    let node = Traced::new(Talk(value), NodeDescription::node("talk", "talk"));
    let cx = meter.context(SharedStore::new().root().in_namespace("talk"));
    let began = Instant::now();
    for _ in 0..nodes {
        let _ = node.run(&cx).await;
    }
    began.elapsed()
}

/// As every run on the command line has one.
fn with_trace_file(folder: &std::path::Path) -> RunMeterBuilder {
    RunMeter::builder("bench")
        .trace_file(folder.join("trace.json"))
        .keep_trace(KeepTrace::UnlessOk)
}

fn main() {
    let seconds = if rounds(5) < 5 { 1 } else { 5 };
    println!("one producer thread, {RATE} events a second for {seconds} s");
    let counted = Arc::<std::sync::atomic::AtomicU64>::default();
    for (name, with_backend) in [
        ("collected and aggregated", false),
        ("the same, handed to a backend", true),
    ] {
        let mut builder = RunMeter::builder("bench");
        if with_backend {
            builder = builder.backend(Counting(Arc::clone(&counted)));
        }
        let meter = builder.start().expect("a meter");
        let (count, rate) = emit(&meter, seconds);
        let cpu = pipeline_cpu();
        let report = meter.finish::<()>(Ok(&()));
        println!(
            "{name}: {rate:.0} events/s, {:.0} ns of the pipeline's CPU an event",
            cpu.as_nanos() as f64 / count as f64
        );
        verdict(
            name,
            format!("{} dropped of {count}", report.dropped.total()),
            "0",
            report.dropped.total() == 0 && rate > RATE as f64 * 0.98,
        );
    }

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let nodes = 10_000;
    let rounds = rounds(9);
    let folder = std::env::temp_dir().join(format!("flowmeter-bench-{}", std::process::id()));
    let mut plain = Vec::new();
    let mut hung = Vec::new();
    let mut grown = Vec::new();
    let mut dropped = 0;
    for _ in 0..rounds {
        let meter = with_trace_file(&folder).start().expect("a meter");
        plain.push(runtime.block_on(talk(&meter, nodes)).as_secs_f64());
        let _ = meter.finish::<()>(Ok(&()));
        let before = resident_bytes();
        let meter = with_trace_file(&folder)
            .backend(Hanging)
            .exit_timeout(Duration::from_millis(100))
            .start()
            .expect("a meter");
        hung.push(runtime.block_on(talk(&meter, nodes)).as_secs_f64());
        grown.push(resident_bytes().saturating_sub(before) as f64 / 1e6);
        dropped += meter.finish::<()>(Ok(&())).dropped.backend_full;
    }
    let growth = (median(hung.clone()) / median(plain.clone()) - 1.0) * 100.0;
    println!("{nodes} nodes of 2 KB of content beside a backend that hangs, medians of {rounds} rounds");
    let node_us = median(plain) * 1e6 / nodes as f64;
    verdict(
        "the run's own time",
        format!("{growth:+.1} % of {node_us:.0} µs a node"),
        "5 %",
        growth < 5.0,
    );
    let memory = grown.iter().copied().fold(0.0, f64::max);
    verdict(
        "memory, at most",
        format!("{memory:.0} MB more"),
        "64 MB",
        memory < 64.0,
    );
    verdict(
        "dropped and counted",
        format!("{dropped} events"),
        "some",
        dropped > 0,
    );
    let _ = std::fs::remove_dir_all(folder);
}
