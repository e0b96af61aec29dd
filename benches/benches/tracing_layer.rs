//! What a span and an event of `tracing` cost through our layer and through `tracing-opentelemetry`'s: time on the
//! thread that makes them, and CPU of the whole process, collector included.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

#[allow(dead_code, unreachable_pub, missing_docs)]
#[path = "../../crates/flowmeter/benches/harness/mod.rs"]
mod harness;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flowmeter::{Backend, Batch, ExportError, FlowmeterLayer, RunFilter, RunMeter};
use harness::{median, per_op, process_cpu, rounds, verdict};
use opentelemetry::trace::TracerProvider as _;
use tracing::Dispatch;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;

/// Spans in a burst: below every limit, so that nobody drops.
const SPANS: usize = 2_000;
/// Events in a span of the second measurement: below OpenTelemetry's limit of 128 a span.
const EVENTS: usize = 20;

#[derive(Debug, Default, Clone)]
struct KeepExporter(Arc<AtomicU64>);

impl opentelemetry_sdk::trace::SpanExporter for KeepExporter {
    async fn export(
        &self,
        batch: Vec<opentelemetry_sdk::trace::SpanData>,
    ) -> opentelemetry_sdk::error::OTelSdkResult {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        black_box(&batch);
        Ok(())
    }
}

/// The same for flowmeter.
struct KeepBackend(Arc<AtomicU64>);

impl Backend for KeepBackend {
    fn name(&self) -> &str {
        "keep"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.0.fetch_add(batch.events.len() as u64, Ordering::Relaxed);
        black_box(batch);
        Ok(())
    }
}

fn spans() {
    for index in 0..SPANS {
        let _span = tracing::info_span!("load", rows = index as i64, ratio = 0.5, kind = "csv").entered();
    }
}

fn spans_with_events() {
    for index in 0..SPANS / EVENTS {
        let _span = tracing::info_span!("load", rows = index as i64, ratio = 0.5, kind = "csv").entered();
        for event in 0..EVENTS {
            tracing::info!(event, table = "customers", "read a row");
        }
    }
}

/// Time on the producing thread and CPU of all, in nanoseconds.
#[derive(Clone, Copy)]
struct Price {
    producer_ns: f64,
    cpu_ns: f64,
}

fn measure(work: fn(), dispatch: &Dispatch, settle: &dyn Fn()) -> Price {
    let cpu_before = process_cpu();
    let produced = tracing::dispatcher::with_default(dispatch, || {
        let began = Instant::now();
        work();
        began.elapsed()
    });
    settle();
    Price {
        producer_ns: per_op(produced, SPANS),
        cpu_ns: per_op(process_cpu().saturating_sub(cpu_before), SPANS),
    }
}

fn main() {
    let rounds = rounds(61);
    let processor = opentelemetry_sdk::trace::BatchSpanProcessor::builder(KeepExporter::default())
        .with_batch_config(
            opentelemetry_sdk::trace::BatchConfigBuilder::default()
                .with_max_queue_size(SPANS * 4)
                .with_max_export_batch_size(SPANS)
                .build(),
        )
        .build();
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()
        .with_span_processor(processor)
        .build();
    let otel = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("bench")));
    let kept = Arc::new(AtomicU64::new(0));
    let meter = RunMeter::builder("bench")
        .backend(KeepBackend(Arc::clone(&kept)))
        .start()
        .expect("a meter");
    let entered = meter.enter();
    let subscribers = [
        ("tracing-opentelemetry", Dispatch::new(otel)),
        (
            "flowmeter",
            Dispatch::new(tracing_subscriber::registry().with(FlowmeterLayer::new())),
        ),
        (
            "flowmeter alone",
            Dispatch::new(tracing_subscriber::registry().with(FlowmeterLayer::alone())),
        ),
        (
            "flowmeter, filtered",
            Dispatch::new(
                tracing_subscriber::registry().with(FlowmeterLayer::new().with_filter(RunFilter::new())),
            ),
        ),
        (
            "the registry alone",
            Dispatch::new(tracing_subscriber::registry()),
        ),
    ];
    let pause = || std::thread::sleep(Duration::from_millis(150));
    let flush = || {
        let _ = provider.force_flush();
    };
    let mut prices: Vec<[Vec<Price>; 2]> = subscribers.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    for _ in 0..rounds {
        for ((name, dispatch), prices) in subscribers.iter().zip(&mut prices) {
            let settle: &dyn Fn() = match *name {
                "tracing-opentelemetry" => &flush,
                "the registry alone" => &|| (),
                _ => &pause,
            };
            prices[0].push(measure(spans, dispatch, settle));
            prices[1].push(measure(spans_with_events, dispatch, settle));
        }
    }
    println!(
        "a span with three fields, and an event with a message and two, ns (medians of {rounds} rounds in turns)"
    );
    println!(
        "{:<24} {:>10} {:>10} {:>10} {:>10}",
        "layer", "span", "all CPU", "event", "all CPU"
    );
    let mut all = Vec::new();
    for ((name, _), [spans, events]) in subscribers.iter().zip(&prices) {
        let time = |prices: &[Price]| median(prices.iter().map(|price| price.producer_ns).collect());
        // The kernel accounts in steps of a tick: only the sum of many rounds says something.
        let cpu =
            |prices: &[Price]| prices.iter().map(|price| price.cpu_ns).sum::<f64>() / prices.len() as f64;
        let span = [time(spans), cpu(spans)];
        // Every so many events there is a span.
        let event = [time(events), cpu(events)];
        let event = [0, 1].map(|which| event[which] - span[which] / EVENTS as f64);
        println!(
            "{name:<24} {:>10.1} {:>10.1} {:>10.1} {:>10.1}",
            span[0], span[1], event[0], event[1]
        );
        all.push([span[0], span[1], event[0], event[1]]);
    }
    for (column, what) in [(0, "span"), (2, "event")] {
        let ratio = all[1][column] / all[0][column];
        verdict(what, format!("{ratio:.2} of the peer's"), "< 0.5", ratio < 0.5);
    }
    println!(
        "all CPU: beside the layer, ours masks and cuts what comes and puts it in order; the peer's keeps it. \
         Spans {:.2} of the peer's, events {:.2}",
        all[1][1] / all[0][1],
        all[1][3] / all[0][3]
    );
    outside("beside a run, in none of its spans", rounds);
    drop(entered);
    let report = meter.finish::<()>(Ok(&()));
    let dropped = report.dropped.total();
    verdict("dropped", format!("{dropped}"), "0", dropped == 0);
    outside("with no run at all", rounds);
    black_box(kept.load(Ordering::Relaxed));
}

/// What a span costs on a thread that is in no span of ours.
fn outside(what: &str, rounds: usize) {
    let bare = Dispatch::new(tracing_subscriber::registry());
    let ours = Dispatch::new(tracing_subscriber::registry().with(FlowmeterLayer::alone()));
    let mut times = [Vec::new(), Vec::new()];
    let measured = std::thread::spawn(move || {
        for _ in 0..rounds {
            for (dispatch, times) in [&bare, &ours].into_iter().zip(&mut times) {
                times.push(measure(spans, dispatch, &|| ()).producer_ns);
            }
        }
        times.map(median)
    });
    if let Ok([bare, ours]) = measured.join() {
        println!("a span {what}: {ours:.1} ns; the registry alone: {bare:.1} ns");
    }
}
