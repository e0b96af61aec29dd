//! Recording a span (start, end, three typed attributes, kept) beside the peers: time on the producing thread
//! and CPU of the whole process, collector included.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

#[allow(dead_code, unreachable_pub, missing_docs)]
#[path = "../../crates/flowmeter/benches/harness/mod.rs"]
mod harness;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flowmeter::{Recorder, RecorderConfig};
use harness::{Variant, medians, per_op, process_cpu, rounds, verdict};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use tracing_subscriber::layer::SubscriberExt as _;

/// Spans in a burst: below every peer's own limit, so that nobody drops.
const BURST: usize = 5_000;

/// Time and CPU of a span.
#[derive(Clone, Copy, Default)]
struct Price {
    producer_ns: f64,
    cpu_ns: f64,
}

fn burst_flowmeter(recorder: &Recorder) {
    for index in 0..BURST {
        let mut span = recorder.span("load", None);
        span.set("rows", index as i64);
        span.set("ratio", 0.5);
        span.set("kind", "csv");
        span.end();
    }
}

/// A reader that keeps every record, as the pipeline's thread does between two flushes.
fn keep(recorder: &Recorder, kept: &AtomicU64) {
    let mut sum = 0;
    recorder.drain(|record| sum += record.end().to_raw() - record.start().to_raw() + 1);
    kept.fetch_add(sum, Ordering::Relaxed);
}

/// Runs `burst` several times with pauses in which the collector works; the producer's time excludes them.
fn bursts(count: usize, mut burst: impl FnMut(), mut settle: impl FnMut()) -> Price {
    let cpu_before = process_cpu();
    let mut produced = Duration::ZERO;
    for _ in 0..count {
        let began = Instant::now();
        burst();
        produced += began.elapsed();
        settle();
    }
    let cpu = process_cpu().saturating_sub(cpu_before);
    Price {
        producer_ns: per_op(produced, count * BURST),
        cpu_ns: per_op(cpu, count * BURST),
    }
}

struct KeepReporter(Arc<AtomicU64>);

impl fastrace::collector::Reporter for KeepReporter {
    fn report(&mut self, spans: Vec<fastrace::collector::SpanRecord>) {
        self.0.fetch_add(spans.len() as u64, Ordering::Relaxed);
        black_box(&spans);
    }
}

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

fn provider() -> opentelemetry_sdk::trace::SdkTracerProvider {
    let processor = opentelemetry_sdk::trace::BatchSpanProcessor::builder(KeepExporter::default())
        .with_batch_config(
            opentelemetry_sdk::trace::BatchConfigBuilder::default()
                .with_max_queue_size(BURST * 4)
                .with_max_export_batch_size(BURST)
                .build(),
        )
        .build();
    opentelemetry_sdk::trace::SdkTracerProvider::builder()
        .with_span_processor(processor)
        .build()
}

fn main() {
    let rounds = rounds(21);
    let bursts_per_round = 4;

    let recorder = Recorder::new(RecorderConfig::default());
    let kept = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (recorder, kept, stop) = (recorder.clone(), Arc::clone(&kept), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                keep(&recorder, &kept);
                std::thread::sleep(Duration::from_millis(5));
            }
            keep(&recorder, &kept);
        }
    });

    let fastrace_kept = Arc::new(AtomicU64::new(0));
    fastrace::set_reporter(
        KeepReporter(Arc::clone(&fastrace_kept)),
        fastrace::collector::Config::default().report_interval(Duration::from_millis(5)),
    );
    let sdk = provider();
    let tracer = sdk.tracer("bench");
    let bridged = provider();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(bridged.tracer("bench")));
    let dispatch = tracing::Dispatch::new(subscriber);

    let pause = || std::thread::sleep(Duration::from_millis(12));
    let mut prices: Vec<(&'static str, Vec<Price>)> =
        ["flowmeter", "fastrace", "opentelemetry_sdk", "tracing + otel"]
            .map(|name| (name, Vec::new()))
            .into();
    for _ in 0..rounds {
        prices[0]
            .1
            .push(bursts(bursts_per_round, || burst_flowmeter(&recorder), pause));
        prices[1].1.push(bursts(
            bursts_per_round,
            || {
                let root = fastrace::Span::root("root", fastrace::collector::SpanContext::random());
                let _guard = root.set_local_parent();
                for index in 0..BURST {
                    let _span =
                        fastrace::local::LocalSpan::enter_with_local_parent("load").with_properties(|| {
                            [
                                ("rows", index.to_string()),
                                ("ratio", 0.5_f64.to_string()),
                                ("kind", "csv".to_owned()),
                            ]
                        });
                }
            },
            pause,
        ));
        prices[2].1.push(bursts(
            bursts_per_round,
            || {
                for index in 0..BURST {
                    let mut span = tracer.start("load");
                    span.set_attribute(KeyValue::new("rows", index as i64));
                    span.set_attribute(KeyValue::new("ratio", 0.5));
                    span.set_attribute(KeyValue::new("kind", "csv"));
                    span.end();
                }
            },
            || {
                let _ = sdk.force_flush();
            },
        ));
        prices[3].1.push(bursts(
            bursts_per_round,
            || {
                tracing::dispatcher::with_default(&dispatch, || {
                    for index in 0..BURST {
                        let _span =
                            tracing::info_span!("load", rows = index as i64, ratio = 0.5, kind = "csv")
                                .entered();
                    }
                });
            },
            || {
                let _ = bridged.force_flush();
            },
        ));
    }
    println!("a span with three typed attributes, kept, ns (medians of {rounds} rounds in turns)");
    println!(
        "{:<22} {:>10} {:>10} {:>12}",
        "recorder", "producer", "all CPU", "× flowmeter"
    );
    let mut by_name = Vec::new();
    for (name, rounds) in &prices {
        let producer = harness::median(rounds.iter().map(|price| price.producer_ns).collect());
        let cpu = harness::median(rounds.iter().map(|price| price.cpu_ns).collect());
        by_name.push((producer, cpu));
        println!(
            "{name:<22} {producer:>10.1} {cpu:>10.1} {:>12.2}",
            producer / by_name[0].0
        );
    }
    verdict(
        "fastrace against flowmeter, producer",
        format!("{:.2}×", by_name[1].0 / by_name[0].0),
        "≥ 2×",
        by_name[1].0 >= 2.0 * by_name[0].0,
    );
    verdict(
        "fastrace against flowmeter, all CPU",
        format!("{:.2}×", by_name[1].1 / by_name[0].1),
        "> 1×",
        by_name[1].1 > by_name[0].1,
    );

    two_threads(&recorder, rounds);
    disabled(rounds);

    stop.store(true, Ordering::Relaxed);
    let _ = reader.join();
    let dropped = recorder.dropped();
    verdict(
        "dropped by flowmeter",
        format!("{}", dropped.total()),
        "0",
        dropped.total() == 0,
    );
    black_box(kept.load(Ordering::Relaxed));
}

/// Spans a second from one thread and from two.
fn two_threads(recorder: &Recorder, rounds: usize) {
    let produce = |threads: usize| {
        let barrier = std::sync::Barrier::new(threads);
        let elapsed: Vec<Duration> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        burst_flowmeter(recorder);
                        barrier.wait();
                        let began = Instant::now();
                        burst_flowmeter(recorder);
                        began.elapsed()
                    })
                })
                .collect();
            handles
                .into_iter()
                .filter_map(|handle| handle.join().ok())
                .collect()
        });
        std::thread::sleep(Duration::from_millis(12));
        let slowest = elapsed.into_iter().max().unwrap_or_default();
        per_op(slowest, BURST * threads)
    };
    let result = medians(
        rounds,
        &mut [
            Variant::new("one", || produce(1)),
            Variant::new("two", || produce(2)),
        ],
    );
    let gain = result[0] / result[1];
    verdict(
        "two threads against one",
        format!("{gain:.2}×"),
        "≥ 1.9×",
        gain >= 1.9,
    );
}

fn disabled(rounds: usize) {
    let recorder = Recorder::disabled();
    let spans = 1_000_000;
    let result = medians(
        rounds,
        &mut [
            Variant::new("loop", || {
                let began = Instant::now();
                for index in 0..spans {
                    black_box(index);
                }
                per_op(began.elapsed(), spans)
            }),
            Variant::new("disabled", || {
                let began = Instant::now();
                for index in 0..spans {
                    let mut span = black_box(&recorder).span("load", None);
                    span.set_with("rows", || panic_if_evaluated(index));
                    span.end();
                }
                per_op(began.elapsed(), spans)
            }),
        ],
    );
    let extra = result[1] - result[0];
    verdict("disabled", format!("{extra:.2} ns"), "1 ns", extra <= 1.0);
}

fn panic_if_evaluated(index: usize) -> i64 {
    assert!(
        index > usize::MAX / 2,
        "a disabled recorder evaluated an attribute"
    );
    0
}
