//! The settings of a run's meter, and its start.
//!
//! Never fails a run: what cannot be opened is reported when the run has ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use flowmeter_engine::{TickClock, Ticks};
use flowmeter_model::{Attributes, IdSource, SpanKind, TimestampNs};
use flowmeter_pricing::PriceBook;
use parking_lot::Mutex;
use smol_str::SmolStr;

use crate::backends::{Backend, RunIdentity};
use crate::budget::{Account, Budget, BudgetOwner, BudgetTally, SharedBudgets};
use crate::capture::{Capture, CaptureLevel, CaptureLimits, Redactor};
use crate::details::SpanDetails;
use crate::llm::KnownRates;
use crate::logging::{ActiveRun, LogFilter};
use crate::metrics::MetricsCollector;
use crate::performance::{ProcessMemory, process_cpu_ns};
use crate::pipeline::{LiveConfig, PipelineHandle, TraceFileWish};
use crate::propagation::{Baggage, RemoteParent, TraceContext};
use crate::recorder::{Recorder, RecorderConfig};
use crate::sampling::{Sampler, TailRules};
use crate::scope::{SpanOpening, SpanScope};
use crate::trace_file::{KeepTrace, TraceHeader, TracePlace};

use super::{EXIT_TIMEOUT, LOGS_PER_SPAN_MAX, RunMeter, RunShared, StartError};

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
    budget: Budget,
    shared_budgets: Option<Arc<dyn SharedBudgets>>,
}

impl RunMeterBuilder {
    /// The settings of a run of this workflow, all at their defaults.
    pub(super) fn new(workflow: SmolStr) -> Self {
        Self {
            workflow,
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
            budget: Budget::default(),
            shared_budgets: None,
        }
    }

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

    /// What the run may spend. Default: no limit. A call that might break a limit is not made, where it is begun with
    /// [`budgeted_llm_call`](crate::budgeted_llm_call); all other calls only count.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Budgets that other runs, also in other processes, count in as well. Default: none. Calls that are begun with
    /// [`budgeted_llm_call`](crate::budgeted_llm_call) set aside in them what they may cost; all others only count.
    #[must_use]
    pub fn shared_budgets(mut self, budgets: Arc<dyn SharedBudgets>) -> Self {
        self.shared_budgets = Some(budgets);
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
        let account = self
            .budget
            .is_limited()
            .then(|| Account::open(self.budget, BudgetOwner::Run, None));
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
            budgets: BudgetTally::default(),
            known_rates: KnownRates::default(),
            allows_unpriced: self.budget.allow_unpriced,
            shared_budgets: self.shared_budgets,
        });
        let (root_id, workflow) = (shared.recorder.next_span_id(), self.workflow);
        // Without spans there are still figures to hand on.
        let pipeline = if keeps_spans || !self.backends.is_empty() {
            let mut resource = self.service;
            capture.mask_resource(&mut resource);
            let identity = Arc::new(RunIdentity {
                trace_id,
                root_span_id: Some(root_id),
                parent_span_id: remote_span,
                workflow: workflow.clone(),
                started,
                trace_state: shared.trace_context.trace_state.to_string(),
                sampled: shared.trace_context.sampled,
                resource,
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
            account,
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
