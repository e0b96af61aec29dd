//! One metered run: the meter around it, the signals that stop it, the progress it shows.
//!
//! Never prints a result: `report` does, from what comes back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use flowmeter::{Budget, KeepTrace, Redactor, RunMeter, RunReport};
use flowmeter_engine::{NodeContext, NodeError, SharedStore};
use flowmeter_pricing::PriceBook;
use flowmeter_workflow::response_cache::ResponseCache;
use flowmeter_workflow::{PartialOutputs, Workflow, WorkflowEnd};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::time::MissedTickBehavior;

use crate::args::TelemetryArgs;
use crate::commands::show::local_offset_seconds;
use crate::config::Config;
use crate::exit::{self, Exit, UNKNOWN_OUTPUT};
use crate::history::{self, KeptRun, Leaving, RunOrigin};
use crate::home::Home;
use crate::output::Output;
use crate::progress::{self, ProgressLine};
use crate::secrets::Secrets;
use crate::shared_budgets::{RunBudgets, Voice};
use crate::signals::StopSignals;
use crate::telemetry::logs;
use crate::traces;

/// Threads for nodes: they wait far more than they compute.
const WORKERS: usize = 2;
/// How long nodes have to end after the run was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What is to be run, and how.
pub(crate) struct Execution {
    pub(crate) workflow: Workflow,
    pub(crate) file: PathBuf,
    pub(crate) inputs: Map<String, Value>,
    /// The output that was asked for by name.
    pub(crate) wanted_output: Option<String>,
    pub(crate) config: Config,
    pub(crate) prices: Arc<PriceBook>,
    pub(crate) budget: Budget,
    /// Whether what it spends counts in budgets across runs.
    pub(crate) shares_budgets: bool,
    pub(crate) trace: TraceWish,
    pub(crate) telemetry: TelemetryArgs,
    /// What was already found to look wrong.
    pub(crate) warnings: Vec<String>,
    /// The cache that nodes may use.
    pub(crate) responses: Option<Arc<ResponseCache>>,
}

/// What the user wants of the trace.
#[derive(Debug, Default)]
pub(crate) struct TraceWish {
    /// The tree on standard error, and the file kept.
    pub(crate) tree: bool,
    /// The file kept, here.
    pub(crate) file: Option<PathBuf>,
    /// The tree of the planner's part on standard error, and the file kept.
    pub(crate) planner: bool,
}

/// A run that is over.
pub(crate) struct Finished {
    pub(crate) workflow: String,
    /// The value to print, or why there is none.
    pub(crate) outcome: Result<RunResult, NodeError>,
    /// What the run gave all the same, where only the output that was asked for is not there.
    pub(crate) result_beside: Option<Arc<Value>>,
    /// What there is of the result, where a budget ended the run.
    pub(crate) partial: Option<PartialOutputs>,
    pub(crate) report: RunReport,
    /// The signal that stopped it.
    pub(crate) stopped_by: Option<&'static str>,
    pub(crate) config: Config,
    pub(crate) trace: TraceWish,
    pub(crate) warnings: Vec<String>,
    pub(crate) utc_offset_seconds: i32,
    /// What a planner has made, for JSON output.
    pub(crate) planned: Option<Value>,
    /// The folder of saved traces, where this run's own went there.
    trace_folder: Option<PathBuf>,
    /// The history that it was kept in.
    leaving: Option<Leaving>,
}

impl Finished {
    /// Removes the traces that have had their time, and never this run's own; and waits for what is done about the
    /// history. Call it last: the trace may be needed to report the run.
    pub(crate) fn tidy_up(self) {
        if let Some(folder) = &self.trace_folder {
            let own = self.report.trace_file.as_deref();
            traces::prune(folder, self.config.traces_keep, own);
        }
        if let Some(leaving) = self.leaving {
            leaving.wait();
        }
    }
}

/// What a run that went well gives.
pub(crate) struct RunResult {
    /// The `result` of JSON output.
    pub(crate) whole: Arc<Value>,
    /// What text output prints.
    pub(crate) printed: Option<Arc<Value>>,
}

/// Runs a workflow in a runtime of its own.
///
/// # Errors
/// When the run cannot even begin.
pub(crate) fn run(execution: Execution, home: &Home, output: &Output) -> Result<Finished> {
    let runtime = runtime()?;
    let finished = run_in(&runtime, execution, home, output);
    // A node that does not heed the cancellation must not hold the program up.
    runtime.shutdown_background();
    finished
}

/// The runtime of a run.
///
/// # Errors
/// When the system has no threads left.
pub(crate) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .context("the program's threads could not be started")
}

/// Runs a workflow in `runtime`.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_in(
    runtime: &Runtime,
    execution: Execution,
    home: &Home,
    output: &Output,
) -> Result<Finished> {
    let Execution {
        workflow,
        file,
        inputs,
        wanted_output,
        config,
        prices,
        budget,
        shares_budgets,
        trace,
        telemetry,
        mut warnings,
        responses,
    } = execution;
    let name = workflow.name().to_owned();
    let redaction = redactor(Some(&workflow), &inputs, &config)?;
    let beginning = Beginning {
        name: &name,
        file: Some(&file),
        redaction,
        config: &config,
        prices,
        budget,
        shares_budgets,
        trace: &trace,
        telemetry: &telemetry,
    };
    let mut begun = begin(beginning, &mut warnings, home, output)?;
    let cx = begun.meter.context(SharedStore::new().root());
    let (workflow, store) = (Arc::new(workflow), SharedStore::new());
    let (theirs, context, inner) = (Arc::clone(&workflow), cx.clone(), Arc::clone(&store));
    let work = async move { theirs.run_in(&context, &inner, inputs).await };
    let (ended, stopped_by) = runtime.block_on(drive(work, &cx, &mut begun, output));
    let mut result_beside = None;
    let outcome = ended.and_then(|end| {
        let result = result_of(&end, wanted_output.as_deref());
        if result.is_err() {
            result_beside = Some(end.outputs.result());
        }
        result
    });
    let partial = partial_outputs(&outcome, &workflow, &store);
    let held = Held {
        config,
        trace,
        warnings,
        responses,
    };
    Ok(Finished {
        result_beside,
        partial,
        ..finish(begun, &name, outcome, stopped_by, held, output)
    })
}

/// What a workflow gave until its budget ended it.
pub(crate) fn partial_outputs(
    outcome: &Result<RunResult, NodeError>,
    workflow: &Workflow,
    store: &Arc<SharedStore>,
) -> Option<PartialOutputs> {
    match outcome {
        Err(error) if exit::of_run::<()>(Err(error)) == Exit::OverBudget => workflow.partial_outputs(store),
        _ => None,
    }
}

/// What a run holds until it is reported.
pub(crate) struct Held {
    pub(crate) config: Config,
    pub(crate) trace: TraceWish,
    pub(crate) warnings: Vec<String>,
    /// The cache that nodes may use.
    pub(crate) responses: Option<Arc<ResponseCache>>,
}

/// What a run begins with, whatever is to be run.
pub(crate) struct Beginning<'a> {
    pub(crate) name: &'a str,
    pub(crate) file: Option<&'a Path>,
    /// What masks secrets, and how many are too long for it.
    pub(crate) redaction: (Redactor, usize),
    pub(crate) config: &'a Config,
    pub(crate) prices: Arc<PriceBook>,
    pub(crate) budget: Budget,
    /// Whether what it spends counts in budgets across runs.
    pub(crate) shares_budgets: bool,
    pub(crate) trace: &'a TraceWish,
    pub(crate) telemetry: &'a TelemetryArgs,
}

/// A run that has begun: everything that goes on beside its work.
pub(crate) struct Begun {
    pub(crate) meter: RunMeter,
    pub(crate) signals: StopSignals,
    /// Budgets across runs that it counts in.
    pub(crate) shared_budgets: Option<Arc<RunBudgets>>,
    line: ProgressLine,
    shows_progress: bool,
    utc_offset_seconds: i32,
    trace_folder: Option<PathBuf>,
    kept: Option<KeptRun>,
}

/// Begins a run: its meter, its signals, its progress.
///
/// # Errors
/// When the run cannot even begin.
pub(crate) fn begin(
    beginning: Beginning<'_>,
    warnings: &mut Vec<String>,
    home: &Home,
    output: &Output,
) -> Result<Begun> {
    let Beginning {
        name,
        file,
        redaction: (redactor, too_long),
        config,
        prices,
        budget,
        shares_budgets,
        trace,
        telemetry,
    } = beginning;
    let tells_times = trace.tree || trace.planner || logs::are_for_people(&telemetry.logs, config);
    let utc_offset_seconds = if tells_times { local_offset_seconds() } else { 0 };
    if too_long > 0 {
        let warning = format!(
            "{too_long} of the run's secrets are too long to be masked where they stand inside longer texts"
        );
        output.warn(&warning);
        warnings.push(warning);
    }
    let signals = StopSignals::listen(*output).context("signals cannot be listened for")?;
    // What grows line by line on the terminal leaves no place for a line that changes.
    let shows_progress =
        ProgressLine::is_wanted(config, output) && !crate::telemetry::writes_to_terminal(telemetry, config);
    let keep = if trace.tree || trace.planner || trace.file.is_some() {
        KeepTrace::Always
    } else {
        KeepTrace::UnlessOk
    };
    let mut builder = RunMeter::builder(name)
        .capture(config.capture)
        .limits(config.limits)
        .redactor(redactor)
        .prices(prices)
        .budget(budget)
        .keep_trace(keep)
        .follow_progress(shows_progress)
        .resource("flowmeter.version", env!("CARGO_PKG_VERSION"));
    if let Some(file) = file {
        builder = builder.resource("workflow.file", file.display().to_string());
    }
    let folder = trace_folder(home, trace.tree || trace.planner);
    builder = match &trace.file {
        Some(path) => builder.trace_file(path),
        None => builder.trace_file_in(&folder),
    };
    let mut noticed = Vec::new();
    let origin = RunOrigin::of_run(name, file, &telemetry.history, home, &mut noticed);
    builder = crate::telemetry::apply(builder, telemetry, config, &origin, home, output, &mut noticed)?;
    let mut kept = None;
    if config.history.enabled && !telemetry.history.no_history {
        let (backend, run) = history::keep(home);
        builder = builder.boxed_backend(backend);
        kept = Some(run);
    }
    let line = ProgressLine::new(shows_progress);
    builder = logs::apply(
        builder,
        &telemetry.logs,
        config,
        output,
        utc_offset_seconds,
        line.stderr(),
        &mut noticed,
    );
    let shared_budgets = shares_budgets.then(|| {
        let voice = Voice::new(*output, line.stderr());
        let tags = &telemetry.history.tags;
        RunBudgets::new(home.history(), history::config(), name, tags, voice)
    });
    if let Some(shared) = &shared_budgets {
        builder = builder.shared_budgets(Arc::clone(shared) as Arc<dyn flowmeter::SharedBudgets>);
    }
    let meter = builder.start()?;
    for warning in noticed {
        output.warn(&warning);
        warnings.push(warning);
    }
    Ok(Begun {
        meter,
        signals,
        shared_budgets,
        line,
        shows_progress,
        utc_offset_seconds,
        trace_folder: trace.file.is_none().then_some(folder),
        kept,
    })
}

/// Ends a run: its telemetry is written, and what went wrong with that is told.
pub(crate) fn finish(
    begun: Begun,
    name: &str,
    outcome: Result<RunResult, NodeError>,
    stopped_by: Option<&'static str>,
    held: Held,
    output: &Output,
) -> Finished {
    let Begun {
        meter,
        shared_budgets,
        utc_offset_seconds,
        trace_folder,
        kept,
        ..
    } = begun;
    let Held {
        config,
        trace,
        mut warnings,
        responses,
    } = held;
    let report = meter.finish(outcome.as_ref());
    let leaving = kept.map(|kept| kept.leave(&config.history.retention));
    if let Some(shared) = shared_budgets {
        // They were said when they came.
        warnings.extend(shared.warnings());
    }
    for error in &report.export_errors {
        let warning = crate::report::with_causes(error);
        output.warn(&warning);
        warnings.push(warning);
    }
    if let Some(warning) = responses.and_then(|responses| responses.finish()) {
        output.warn(&warning);
        warnings.push(warning);
    }
    Finished {
        workflow: name.to_owned(),
        outcome,
        result_beside: None,
        partial: None,
        report,
        stopped_by,
        config,
        trace,
        warnings,
        utc_offset_seconds,
        planned: None,
        trace_folder,
        leaving,
    }
}

/// Where traces go. One that is to be shown goes to the temporary folder where the home cannot be written.
fn trace_folder(home: &Home, is_shown: bool) -> PathBuf {
    let folder = home.traces();
    if is_shown && std::fs::create_dir_all(&folder).is_err() {
        return std::env::temp_dir().join("flowmeter-traces");
    }
    folder
}

/// Masks what environment, inputs and workflow files hold under names that say secret, and the user's patterns.
/// Says how many secrets are too long for that.
pub(crate) fn redactor(
    workflow: Option<&Workflow>,
    inputs: &Map<String, Value>,
    config: &Config,
) -> Result<(Redactor, usize)> {
    let mut secrets = Secrets::default();
    secrets.take_environment(std::env::vars_os());
    secrets.take_inputs(inputs);
    if let Some(workflow) = workflow {
        secrets.take_workflow(workflow);
    }
    let (values, too_long) = secrets.into_values();
    let redactor = Redactor::new(&values, &config.redact_patterns).or_else(|_| {
        // The patterns alone say what is wrong with them; with the values, the message would tell those.
        Redactor::new(&[], &config.redact_patterns)?;
        anyhow::bail!("the redaction patterns leave no room for the secrets of this run; use shorter ones")
    })?;
    Ok((redactor, too_long))
}

/// Drives the work of a run until it ends or is stopped.
pub(crate) async fn drive<T: Send + 'static>(
    work: impl Future<Output = Result<T, NodeError>> + Send + 'static,
    cx: &NodeContext,
    begun: &mut Begun,
    output: &Output,
) -> (Result<T, NodeError>, Option<&'static str>) {
    let Begun {
        meter,
        signals,
        line,
        shows_progress,
        ..
    } = begun;
    let cancellation = cx.cancellation().clone();
    let mut running = tokio::spawn(meter.within(work));
    let progress = meter.progress_handle();
    let mut tick = tokio::time::interval(progress::TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut stopped_by = None;
    let grace = tokio::time::sleep(Duration::MAX);
    tokio::pin!(grace);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(signal) = signals.first(), if stopped_by.is_none() => {
                line.clear();
                stopped_by = Some(signal);
                output.note(&format!("{signal}: stopping; once more to stop at once"));
                cancellation.cancel();
                grace.as_mut().reset(tokio::time::Instant::now() + GRACE);
            }
            ended = &mut running => break ended,
            () = &mut grace, if stopped_by.is_some() => {
                running.abort();
                break Ok(Err(NodeError::cancelled()));
            }
            _ = tick.tick(), if line.is_active() => line.update(&progress),
        }
    };
    line.clear();
    // For work that follows in the same run.
    *line = ProgressLine::new(*shows_progress);
    let outcome = outcome.unwrap_or_else(|error| {
        let what = match error.try_into_panic() {
            Ok(panic) => format!("a node panicked: {}", panic_text(&*panic)),
            Err(_) => "the run was dropped".to_owned(),
        };
        Err(NodeError::permanent(what).with_type("panic"))
    });
    match stopped_by {
        None => (outcome, None),
        Some(signal) => {
            let mut error = NodeError::cancelled().with_type("interrupted");
            if let Err(why) = &outcome
                && let Some(node) = why.node_id()
            {
                error = error.in_node(node);
            }
            (Err(error), Some(signal))
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// The value to print. An output that was asked for and is not there fails the run.
pub(crate) fn result_of(end: &WorkflowEnd, wanted: Option<&str>) -> Result<RunResult, NodeError> {
    let Some(name) = wanted else {
        return Ok(RunResult {
            whole: end.outputs.result(),
            printed: end.outputs.printed().cloned(),
        });
    };
    match end.outputs.named(name) {
        Ok(value) => Ok(RunResult {
            whole: Arc::clone(&value),
            printed: Some(value),
        }),
        Err(unknown) => Err(NodeError::permanent(unknown.to_string()).with_type(UNKNOWN_OUTPUT)),
    }
}
