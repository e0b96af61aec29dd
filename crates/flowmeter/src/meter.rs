//! The meter of one run: what is built before it starts, handed to it while it goes on, and asked afterwards.
//!
//! Never fails the run: what cannot be written is reported with the result.

mod builder;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flowmeter_engine::{EnteredScope, InScope, NodeContext, NodeError, Scope, StoreView, TickClock, Ticks};
use flowmeter_model::{SpanError, SpanStatus, TraceId};
use flowmeter_pricing::PriceBook;
use parking_lot::Mutex;
use smol_str::SmolStr;
use thiserror::Error;

pub use builder::RunMeterBuilder;

use crate::backends::BackendFailure;
use crate::budget::{BudgetTally, SharedBudgets};
use crate::llm::KnownRates;
use crate::logging::{ActiveRun, LogFilter};
use crate::metrics::{MetricsCollector, Progress, RunMetrics};
use crate::performance::{ProcessMemory, know_tick_rate, process_cpu_ns};
use crate::pipeline::{Ending, ExportOutcome, LiveReport, PipelineHandle};
use crate::propagation::TraceContext;
use crate::recorder::{DropCounts, Recorder};
use crate::sampling::TailRules;
use crate::scope::{SpanScope, status_of, unseen_end};

/// Payloads waiting above which a node waits for the pipeline before it starts.
const PAYLOADS_WAITING_MAX: usize = 1_500;
/// Bytes of captured values waiting above which a node waits.
const WEIGHT_WAITING_BYTES_MAX: usize = 64 << 20;
/// The longest such wait: telemetry may slow a run down, not hold it up.
const RELIEF_MAX: Duration = Duration::from_secs(1);

/// How many log lines a span may have unless somebody says otherwise.
const LOGS_PER_SPAN_MAX: usize = 1_000;

/// How long backends may take when the run has ended.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the run, its scopes and its pipeline share.
pub(crate) struct RunShared {
    pub(crate) recorder: Recorder,
    pub(crate) collector: MetricsCollector,
    pub(crate) prices: Arc<PriceBook>,
    pub(crate) keeps_spans: bool,
    pub(crate) keeps_content: bool,
    /// The run's place in its trace, and whether the trace is kept.
    pub(crate) trace_context: Arc<TraceContext>,
    /// What keeps the trace all the same.
    pub(crate) tail_rules: TailRules,
    /// Which log lines are kept.
    pub(crate) log_filter: Arc<LogFilter>,
    /// How many log lines a span may have.
    pub(crate) logs_per_span_max: u32,
    /// Log lines that were more than that.
    pub(crate) logs_over_limit: AtomicU64,
    /// Nobody reads what is recorded from now on.
    over: AtomicBool,
    clock: Mutex<TickClock>,
    /// How long a tick is, as the bits of the number; 0 until that is known.
    tick_ns_bits: AtomicU64,
    /// The memory of the process.
    pub(crate) memory: ProcessMemory,
    /// CPU time of the process when the run began.
    cpu_before_ns: u64,
    /// Bytes of captured values on their way to the pipeline.
    pub(crate) weight: Arc<AtomicUsize>,
    /// What became of the budgets of nodes.
    pub(crate) budgets: BudgetTally,
    /// What calls were bounded with a while ago.
    pub(crate) known_rates: KnownRates,
    /// Whether models without a price may be called whatever limits there are on money.
    pub(crate) allows_unpriced: bool,
    /// Budgets that other runs count in as well.
    pub(crate) shared_budgets: Option<Arc<dyn SharedBudgets>>,
}

impl RunShared {
    /// What was lost on the way to the pipeline, by reason.
    pub(crate) fn dropped(&self) -> DropCounts {
        DropCounts {
            logs_over_limit: self.logs_over_limit.load(Ordering::Relaxed),
            ..self.recorder.dropped()
        }
    }

    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn duration_between(&self, from: Ticks, to: Ticks) -> Duration {
        let clock = self.clock();
        Duration::from_nanos(clock.duration_ns(from, to))
    }

    pub(crate) fn clock(&self) -> TickClock {
        let mut clock = self.clock.lock();
        clock.refresh();
        let ns_per_tick = clock.ns_per_tick();
        self.tick_ns_bits.store(ns_per_tick.to_bits(), Ordering::Relaxed);
        know_tick_rate(ns_per_tick);
        clock.clone()
    }

    /// How long a tick is, in nanoseconds, as far as it is known by now.
    #[inline]
    pub(crate) fn ns_per_tick(&self) -> f64 {
        let known = f64::from_bits(self.tick_ns_bits.load(Ordering::Relaxed));
        if known > 0.0 {
            known
        } else {
            self.clock().ns_per_tick()
        }
    }

    /// Nanoseconds from one reading to a later one: quicker than [`RunShared::duration_between`], and a little
    /// less exact.
    pub(crate) fn ns_between(&self, from: Ticks, to: Ticks) -> u64 {
        let ticks = to.to_raw().saturating_sub(from.to_raw());
        (ticks as f64 * self.ns_per_tick()) as u64
    }

    /// Lets the pipeline catch up when much is waiting: values that wait are values that cannot be freed.
    pub(crate) async fn relieve_pressure(&self) {
        if !self.is_pressed() {
            return;
        }
        let began = Instant::now();
        while self.is_pressed() && began.elapsed() < RELIEF_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn is_pressed(&self) -> bool {
        self.keeps_spans
            && (self.recorder.is_behind(PAYLOADS_WAITING_MAX)
                || self.weight.load(Ordering::Relaxed) > WEIGHT_WAITING_BYTES_MAX)
    }
}

/// Why a meter cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The pipeline's thread could not be made.
    #[error("the telemetry thread could not be started")]
    Thread(#[source] std::io::Error),
}

/// The meter of one run.
pub struct RunMeter {
    shared: Arc<RunShared>,
    root: Arc<SpanScope>,
    pipeline: Option<PipelineHandle>,
    trace_id: TraceId,
    began: Instant,
    exit_timeout: Duration,
    /// While the run goes on.
    active: Option<ActiveRun>,
    finished: bool,
}

/// What a run came to.
#[derive(Debug)]
pub struct RunReport {
    /// The run.
    pub trace_id: TraceId,
    /// Its metrics.
    pub metrics: RunMetrics,
    /// Where the trace is, if one was written and kept.
    pub trace_file: Option<PathBuf>,
    /// Whether the telemetry is where it should be.
    pub export: ExportOutcome,
    /// What the trace file and the backends failed with; the run itself is not touched by it.
    pub export_errors: Vec<BackendFailure>,
    /// What was lost, by reason.
    pub dropped: DropCounts,
}

impl RunMeter {
    /// Begins the settings of a meter for a run of the workflow with this name.
    #[must_use]
    pub fn builder(workflow: impl Into<SmolStr>) -> RunMeterBuilder {
        RunMeterBuilder::new(workflow.into())
    }

    /// The context in which the run's flow is to run.
    #[must_use]
    pub fn context(&self, store: StoreView) -> NodeContext {
        let scope: Arc<dyn Scope> = Arc::<SpanScope>::clone(&self.root);
        NodeContext::new(store).with_scope(scope)
    }

    /// Runs `work` inside the run's root span, without the engine: what it meters and logs lands there. The work
    /// is boxed, so that it can be let go of inside the span as well.
    ///
    /// ```
    /// # use flowmeter::RunMeter;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let meter = RunMeter::builder("nightly").start().unwrap();
    /// let answer = meter.within(async { 42 }).await;
    /// assert_eq!(answer, 42);
    /// # });
    /// ```
    pub fn within<F: Future>(&self, work: F) -> InScope<Pin<Box<F>>> {
        let root: Arc<dyn Scope> = Arc::<SpanScope>::clone(&self.root);
        InScope::new(Some(root), Box::pin(work))
    }

    /// Enters the run's root span on this thread, for code that is not async.
    ///
    /// ```
    /// # use flowmeter::RunMeter;
    /// let meter = RunMeter::builder("nightly").start().unwrap();
    /// let _entered = meter.enter();
    /// assert!(flowmeter::current_span().is_some());
    /// ```
    pub fn enter(&self) -> EnteredScope {
        EnteredScope::enter(Arc::<SpanScope>::clone(&self.root))
    }

    /// The run's id.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The run's place in its trace, and whether the trace is kept.
    #[must_use]
    pub fn trace_context(&self) -> &TraceContext {
        &self.shared.trace_context
    }

    /// What keeps the trace of the run though it was not sampled.
    #[must_use]
    pub fn tail_rules(&self) -> TailRules {
        self.shared.tail_rules
    }

    /// Where the run is just now. Nodes that run are listed only with [`RunMeterBuilder::follow_progress`].
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.shared.collector.progress()
    }

    /// The workflow that a planner has made begins: its time counts from here on. Call it between the two, in a run
    /// that holds both; where nothing was planned nothing happens.
    pub fn workflow_begins(&self) {
        self.shared.collector.workflow_begins();
    }

    /// A handle for [`RunMeter::progress`] that may outlive a borrow of the meter.
    #[must_use]
    pub fn progress_handle(&self) -> ProgressHandle {
        ProgressHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// The recorder, for spans outside any node.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }

    /// Ends the run: writes what is still waiting and closes the trace file.
    #[must_use]
    pub fn finish<T>(mut self, outcome: Result<&T, &NodeError>) -> RunReport {
        let (status, error) = status_of(outcome);
        self.close(status, error)
    }

    /// Ends a run that did well, where there is no outcome of a flow to tell.
    #[must_use]
    pub fn succeed(mut self) -> RunReport {
        self.close(SpanStatus::Ok, None)
    }

    /// Ends a run that failed with an error of the caller's own.
    #[must_use]
    pub fn fail(mut self, error_type: impl Into<SmolStr>, error: &dyn std::error::Error) -> RunReport {
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        let error = SpanError {
            error_type: error_type.into(),
            message: error.to_string(),
            chain: causes.map(ToString::to_string).collect(),
        };
        self.close(SpanStatus::Error, Some(error))
    }

    fn close(&mut self, status: SpanStatus, error: Option<SpanError>) -> RunReport {
        self.finished = true;
        self.shared.over.store(true, Ordering::Relaxed);
        self.active = None;
        let duration_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let run_error = error.clone();
        self.root.end(status, |details| details.error = error);
        let shared = &self.shared;
        let mut metrics = shared.collector.snapshot(&shared.clock(), duration_ns);
        metrics.resources.cpu_ns = Some(process_cpu_ns().saturating_sub(shared.cpu_before_ns));
        metrics.memory = shared.memory.usage();
        metrics.budget = shared.budgets.report(self.root.account.as_deref(), &metrics.llm);
        let metrics = Arc::new(metrics);
        let mut report = RunReport {
            trace_id: self.trace_id,
            metrics: RunMetrics::default(),
            trace_file: None,
            export: ExportOutcome::default(),
            export_errors: Vec::new(),
            dropped: DropCounts::default(),
        };
        if let Some(pipeline) = self.pipeline.take() {
            let LiveReport {
                trace_file,
                failures,
                dropped,
                outcome,
            } = pipeline.finish(Ending {
                status,
                error: run_error,
                metrics: Arc::clone(&metrics),
                deadline: Instant::now() + self.exit_timeout,
            });
            report.trace_file = trace_file;
            report.export_errors = failures;
            report.export = outcome;
            report.dropped = DropCounts {
                backend_full: dropped.backend_full,
                ..self.shared.dropped()
            };
        }
        // A backend that was left behind may still have it.
        report.metrics = Arc::unwrap_or_clone(metrics);
        report
    }
}

impl Drop for RunMeter {
    fn drop(&mut self) {
        // A panic, or a caller that forgot: what was recorded is written all the same.
        if !self.finished {
            let (status, error) = unseen_end("the run");
            let _ = self.close(status, error);
        }
    }
}

/// Reads a run's progress from another task.
#[derive(Clone)]
pub struct ProgressHandle {
    shared: Arc<RunShared>,
}

impl ProgressHandle {
    /// Where the run is just now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.shared.collector.progress()
    }
}
