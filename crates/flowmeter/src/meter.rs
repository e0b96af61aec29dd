//! The meter of one run: what is built before it starts, handed to it while it goes on, and asked afterwards.
//!
//! Never fails the run: what cannot be written is reported with the result.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flowmeter_engine::{EnteredScope, InScope, NodeContext, NodeError, Scope, StoreView, TickClock, Ticks};
use flowmeter_model::{Attributes, IdSource, SpanError, SpanKind, SpanStatus, TimestampNs, TraceId};
use flowmeter_pricing::PriceBook;
use parking_lot::Mutex;
use smol_str::SmolStr;
use thiserror::Error;

use crate::backends::{Backend, BackendFailure, RunIdentity};
use crate::capture::{Capture, CaptureLevel, CaptureLimits, Redactor};
use crate::details::SpanDetails;
use crate::logging::{ActiveRun, LogFilter};
use crate::metrics::{MetricsCollector, Progress, RunMetrics};
use crate::performance::{ProcessMemory, know_tick_rate, process_cpu_ns};
use crate::pipeline::{Ending, ExportOutcome, LiveConfig, LiveReport, PipelineHandle, TraceFileWish};
use crate::propagation::{Baggage, RemoteParent, TraceContext};
use crate::recorder::{DropCounts, Recorder, RecorderConfig};
use crate::sampling::{Sampler, TailRules};
use crate::scope::{SpanOpening, SpanScope, status_of, unseen_end};
use crate::trace_file::{KeepTrace, TraceHeader, TracePlace};

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

/// Settings of a [`RunMeter`]; every one has a default.
pub struct RunMeterBuilder {
    workflow: SmolStr,
    capture: CaptureLevel,
    limits: CaptureLimits,
    redactor: Redactor,
    trace_file: Option<TracePlace>,
    keep_trace: KeepTrace,
    prices: Option<Arc<PriceBook>>,
    id_seed: Option<u64>,
    follows_running: bool,
    resource: Vec<(SmolStr, String)>,
    backends: Vec<Box<dyn Backend>>,
    service: Attributes,
    exit_timeout: Duration,
    parent: Option<RemoteParent>,
    baggage: Baggage,
    sampler: Sampler,
    tail_rules: TailRules,
    log_filter: LogFilter,
    logs_per_span_max: usize,
}

impl RunMeterBuilder {
    /// How much content is captured. Default [`CaptureLevel::Limited`].
    #[must_use]
    pub fn capture(mut self, level: CaptureLevel) -> Self {
        self.capture = level;
        self
    }

    /// Where content is cut.
    #[must_use]
    pub fn limits(mut self, limits: CaptureLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What is masked beyond the well-known.
    #[must_use]
    pub fn redactor(mut self, redactor: Redactor) -> Self {
        self.redactor = redactor;
        self
    }

    /// Where the trace is written. Default: nowhere.
    #[must_use]
    pub fn trace_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.trace_file = Some(TracePlace::File(path.into()));
        self
    }

    /// Writes the trace into this folder, under a name made of the time, the workflow and the trace id.
    #[must_use]
    pub fn trace_file_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.trace_file = Some(TracePlace::Folder(folder.into()));
        self
    }

    /// Which traces stay when the run has ended. Default [`KeepTrace::Always`].
    #[must_use]
    pub fn keep_trace(mut self, keep: KeepTrace) -> Self {
        self.keep_trace = keep;
        self
    }

    /// The price book. Default: the bundled one.
    #[must_use]
    pub fn prices(mut self, prices: Arc<PriceBook>) -> Self {
        self.prices = Some(prices);
        self
    }

    /// Seed of the ids. Default: from the operating system.
    #[must_use]
    pub fn id_seed(mut self, seed: u64) -> Self {
        self.id_seed = Some(seed);
        self
    }

    /// Keeps account of what is running just now, for [`RunMeter::progress`]. Default: off.
    #[must_use]
    pub fn follow_progress(mut self, follow: bool) -> Self {
        self.follows_running = follow;
        self
    }

    /// Adds an attribute of the run as a whole, such as `workflow.file`.
    #[must_use]
    pub fn resource(mut self, key: impl Into<SmolStr>, value: impl Into<String>) -> Self {
        self.resource.push((key.into(), value.into()));
        self
    }

    /// Adds a place that telemetry goes to. Each works on a thread of its own; one that fails is reported.
    #[must_use]
    pub fn backend(mut self, backend: impl Backend + 'static) -> Self {
        self.backends.push(Box::new(backend));
        self
    }

    /// The same for a backend that is boxed already.
    #[must_use]
    pub fn boxed_backend(mut self, backend: Box<dyn Backend>) -> Self {
        self.backends.push(backend);
        self
    }

    /// What describes the process to backends (OpenTelemetry: resource), such as `service.name`.
    #[must_use]
    pub fn service(mut self, attributes: Attributes) -> Self {
        self.service = attributes;
        self
    }

    /// How long backends may take when the run has ended. Default 5 s; afterwards nobody waits for them.
    #[must_use]
    pub fn exit_timeout(mut self, timeout: Duration) -> Self {
        self.exit_timeout = timeout;
        self
    }

    /// The span of another process that the run belongs to: the run joins its trace. Default: a trace of its own.
    #[must_use]
    pub fn parent(mut self, parent: RemoteParent) -> Self {
        self.parent = Some(parent);
        self
    }

    /// What users send along to everybody whom the run calls. Default: nothing.
    #[must_use]
    pub fn baggage(mut self, baggage: Baggage) -> Self {
        self.baggage = baggage;
        self
    }

    /// Who decides whether the whole trace is kept. Default [`Sampler::ParentBasedAlwaysOn`].
    #[must_use]
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.sampler = sampler;
        self
    }

    /// What keeps the trace of a run that was not sampled, by how the run went. Default: nothing.
    #[must_use]
    pub fn tail_rules(mut self, rules: TailRules) -> Self {
        self.tail_rules = rules;
        self
    }

    /// Which log lines are kept: of nodes, of [`ContextualLogger`](crate::ContextualLogger) and of `tracing`.
    /// Default [`LogFilter::default`].
    #[must_use]
    pub fn log_filter(mut self, filter: LogFilter) -> Self {
        self.log_filter = filter;
        self
    }

    /// How many log lines a span may have; what goes beyond is counted. Default 1,000. Of warnings and errors there
    /// may be a tenth more, so that a flood of others does not hide them.
    #[must_use]
    pub fn logs_per_span_max(mut self, count: usize) -> Self {
        self.logs_per_span_max = count;
        self
    }

    /// Starts the meter: the run begins now.
    ///
    /// # Errors
    /// [`StartError`] when there is no thread to be had. A trace file that cannot be written is no reason: it is
    /// reported by [`RunMeter::finish`].
    pub fn start(self) -> Result<RunMeter, StartError> {
        let seed = self.id_seed.unwrap_or_else(|| {
            getrandom::u64().unwrap_or_else(|_| Ticks::now().to_raw() ^ u64::from(std::process::id()))
        });
        let own_id = IdSource::from_seed(seed).trace_id();
        let trace_context = TraceContext::begin(own_id, self.parent, self.sampler, self.baggage);
        let trace_id = trace_context.trace_id;
        let remote_span = trace_context.parent.as_ref().map(|parent| parent.span_id);
        let keeps_spans = self.capture != CaptureLevel::Off;
        let capture = Capture::new(self.capture, self.limits, self.redactor);
        let keeps_content = capture.keeps_content();
        let config = RecorderConfig {
            id_seed: seed ^ 0x7370_616e,
            ..RecorderConfig::default()
        };
        let recorder = if keeps_spans {
            Recorder::new(config)
        } else {
            Recorder::disabled()
        };
        let clock = TickClock::new();
        let started = TimestampNs(clock.unix_ns(Ticks::now()));
        let shared = Arc::new(RunShared {
            recorder,
            collector: MetricsCollector::new(self.follows_running),
            prices: self.prices.unwrap_or_else(|| Arc::new(PriceBook::bundled())),
            keeps_spans,
            keeps_content,
            trace_context: Arc::new(trace_context),
            tail_rules: self.tail_rules,
            log_filter: Arc::new(self.log_filter),
            logs_per_span_max: u32::try_from(self.logs_per_span_max).unwrap_or(u32::MAX / 2),
            logs_over_limit: AtomicU64::new(0),
            over: AtomicBool::new(false),
            clock: Mutex::new(clock),
            tick_ns_bits: AtomicU64::new(0),
            memory: ProcessMemory::open(),
            cpu_before_ns: process_cpu_ns(),
            weight: Arc::default(),
        });
        let (root_id, workflow) = (shared.recorder.next_span_id(), self.workflow);
        // Without spans there are still figures to hand on.
        let pipeline = if keeps_spans || !self.backends.is_empty() {
            let identity = Arc::new(RunIdentity {
                trace_id,
                workflow: workflow.clone(),
                started,
                trace_state: shared.trace_context.trace_state.to_string(),
                sampled: shared.trace_context.sampled,
                resource: self.service,
            });
            let mut header = TraceHeader::new(trace_id, workflow.clone(), started)
                .part_of_trace(remote_span.map(|_| root_id));
            header.sampled = identity.sampled;
            let file = self
                .trace_file
                .filter(|_| keeps_spans)
                .map(|place| TraceFileWish {
                    path: place.path(&header),
                    header,
                    keep: self.keep_trace,
                });
            let (theirs, backends) = (Arc::clone(&shared), self.backends);
            let configure = move |signals, waker, ready| LiveConfig {
                shared: theirs,
                capture,
                identity,
                root: root_id,
                file,
                backends,
                signals,
                waker,
                ready,
            };
            Some(PipelineHandle::spawn(configure).map_err(StartError::Thread)?)
        } else {
            None
        };
        // The run begins when its telemetry is listened to.
        let mut details = Box::<SpanDetails>::default();
        details.attributes.set("workflow.name", workflow.clone());
        for (key, value) in &self.resource {
            details.attributes.set(key.clone(), value.clone());
        }
        let opening = SpanOpening {
            kind: SpanKind::Run,
            operation: SmolStr::new_static("workflow.start"),
            node_path: SmolStr::default(),
            node_type: SmolStr::default(),
            attributes: &[("workflow.name", workflow.as_str().into())],
            details: Some(details),
            step: None,
            tally: Arc::default(),
        };
        let root = SpanScope::open_as(&shared, root_id, remote_span, opening);
        let active = keeps_spans.then(|| ActiveRun::begin(&shared.log_filter));
        Ok(RunMeter {
            active,
            shared,
            root,
            pipeline,
            trace_id,
            began: Instant::now(),
            exit_timeout: self.exit_timeout,
            finished: false,
        })
    }
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
        RunMeterBuilder {
            workflow: workflow.into(),
            capture: CaptureLevel::default(),
            limits: CaptureLimits::default(),
            redactor: Redactor::default(),
            trace_file: None,
            keep_trace: KeepTrace::default(),
            prices: None,
            id_seed: None,
            follows_running: false,
            resource: Vec::new(),
            backends: Vec::new(),
            service: Attributes::new(),
            exit_timeout: EXIT_TIMEOUT,
            parent: None,
            baggage: Baggage::default(),
            sampler: Sampler::default(),
            tail_rules: TailRules::default(),
            log_filter: LogFilter::default(),
            logs_per_span_max: LOGS_PER_SPAN_MAX,
        }
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
        let mut report = RunReport {
            trace_id: self.trace_id,
            metrics,
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
                metrics: report.metrics.clone(),
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
