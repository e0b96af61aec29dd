//! What the whole `Traced` wrapper adds to an async node: with everything on, with metrics alone, and off.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod harness;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use flowmeter::{CaptureLevel, NodeDescription, RunMeter, Traced, current};
use flowmeter_engine::{Action, Node, NodeContext, NodeError, SharedStore, async_trait};
use flowmeter_model::SpanKind;
use harness::{Variant, medians, per_op, rounds, verdict};
use serde_json::{Value, json};

/// Nodes a measurement runs: fewer than make a node wait for the pipeline. Longer bursts of empty nodes go at
/// the pipeline's pace, which is printed beside.
const NODES: usize = 1_000;

/// Three writes, as many as an `llm` node makes.
struct ThreeWrites {
    value: Arc<Value>,
    params: Arc<Value>,
}

#[async_trait]
impl Node for ThreeWrites {
    async fn post(&self, cx: &NodeContext, _prepared: Value, _result: Value) -> Result<Action, NodeError> {
        let span = current(cx);
        span.record_params(&self.params);
        for key in ["response", "llm_usage", "prompt"] {
            cx.store().set(key, Arc::clone(&self.value));
        }
        Ok(Action::default())
    }
}

fn node() -> ThreeWrites {
    ThreeWrites {
        value: Arc::new(json!("x")),
        params: Arc::new(json!({"prompt": "hello"})),
    }
}

async fn time_of(node: &dyn Node, cx: &NodeContext) -> f64 {
    let began = Instant::now();
    for _ in 0..NODES {
        let _ = black_box(node.run(cx).await);
    }
    per_op(began.elapsed(), NODES)
}

fn main() {
    let rounds = rounds(41);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let description = NodeDescription {
        id: "summarize".into(),
        node_type: "llm".into(),
        config: Arc::new(json!({"prompt": "${read.content}"})),
        kind: SpanKind::Node,
    };
    let bare: Box<dyn Node> = Box::new(node());
    let traced: Box<dyn Node> = Box::new(Traced::new(node(), description));
    let folder = std::env::temp_dir().join(format!("flowmeter-bench-{}", std::process::id()));
    let everything = RunMeter::builder("bench")
        .capture(CaptureLevel::Full)
        .trace_file(folder.join("trace.json"))
        .start()
        .expect("a meter");
    let metrics = RunMeter::builder("bench")
        .capture(CaptureLevel::Off)
        .start()
        .expect("a meter");
    let view = SharedStore::new().root().in_namespace("summarize");
    let plain_cx = NodeContext::new(view.clone());
    let full_cx = everything.context(view.clone());
    let metrics_cx = metrics.context(view);
    let result = medians(
        rounds,
        &mut [
            Variant::new("bare", || runtime.block_on(time_of(&*bare, &plain_cx))),
            Variant::new("off", || runtime.block_on(time_of(&*traced, &plain_cx))),
            Variant::new("metrics", || runtime.block_on(time_of(&*traced, &metrics_cx))),
            Variant::new("everything", || {
                let time = runtime.block_on(time_of(&*traced, &full_cx));
                // The reader catches up outside the measured part, as it does between real nodes.
                std::thread::sleep(std::time::Duration::from_millis(60));
                time
            }),
        ],
    );
    println!("an async node of three writes, ns (medians of {rounds} rounds in turns)");
    for (name, time) in [
        "bare",
        "Traced, nothing metered",
        "Traced, metrics alone",
        "Traced, everything",
    ]
    .iter()
    .zip(&result)
    {
        println!("{name:<26} {time:>8.1}  (+{:.1})", time - result[0]);
    }
    verdict(
        "off",
        format!("{:.1} ns", result[1] - result[0]),
        "5 ns",
        result[1] - result[0] <= 5.0,
    );
    verdict(
        "everything on",
        format!("{:.0} ns", result[3] - result[0]),
        "1,000 ns",
        result[3] - result[0] < 1000.0,
    );
    let bursts = 20;
    let sustained: f64 = (0..bursts)
        .map(|_| runtime.block_on(time_of(&*traced, &full_cx)))
        .sum::<f64>()
        / f64::from(bursts);
    println!(
        "{} nodes back to back, everything on: {sustained:.0} ns a node (the pipeline's pace)",
        NODES * 20
    );
    let report = everything.finish::<()>(Ok(&()));
    verdict(
        "dropped",
        format!("{}", report.dropped.total()),
        "0",
        report.dropped.total() == 0,
    );
    let _ = metrics.finish::<()>(Ok(&()));
    let _ = std::fs::remove_dir_all(folder);
}
