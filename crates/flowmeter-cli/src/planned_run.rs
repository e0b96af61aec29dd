//! One metered run that plans its workflow first: the planner, what is shown and asked in between, the workflow.
//!
//! Never prints a result: `report` does, from what comes back. Never runs a new workflow that nobody has agreed to.

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use flowmeter::Budget;
use flowmeter_engine::{NodeContext, NodeError, SharedStore};
use flowmeter_pricing::PriceBook;
use flowmeter_workflow::planner::{PlanRequest, Planned, PlannedSource, Planner, PlannerConfig};
use flowmeter_workflow::response_cache::Caching;
use flowmeter_workflow::{
    Form, InputSources, LoadOptions, PartialOutputs, Workflow, WorkflowDraft, WorkflowName, value_of_text,
};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::args::TelemetryArgs;
use crate::commands::plan::{dear, plan_of};
use crate::commands::run::{from_environment, options};
use crate::config::Config;
use crate::execution::{self, Beginning, Begun, Finished, Held, RunResult, TraceWish, drive};
use crate::exit::{BadUsage, INVALID_INPUTS, NOT_CONFIRMED};
use crate::home::Home;
use crate::output::Output;
use crate::signals::StopSignals;
use crate::{outputs, own_budget, planner_view, saved};

/// What the run is called until its workflow has a name.
const RUN_NAME: &str = "planned";
/// What a run is called that only plans.
const PLAN_NAME: &str = "planner";

/// What is to become of the workflow.
pub(crate) enum Aim {
    /// It is printed, or written to a file.
    Print {
        /// The file.
        file: Option<PathBuf>,
    },
    /// It is run.
    Run {
        /// Without asking.
        yes: bool,
        /// The output that was asked for by name.
        wanted_output: Option<String>,
    },
}

/// What is to be planned, and how.
pub(crate) struct PlannedExecution {
    pub(crate) request: String,
    /// Inputs from the command line.
    pub(crate) args: Vec<(String, String)>,
    /// The text that was piped in.
    pub(crate) stdin: Option<String>,
    pub(crate) model: String,
    pub(crate) save: Option<SavedName>,
    pub(crate) aim: Aim,
    pub(crate) config: Config,
    pub(crate) prices: Arc<PriceBook>,
    pub(crate) caching: Caching,
    pub(crate) budget: Budget,
    pub(crate) trace: TraceWish,
    pub(crate) telemetry: TelemetryArgs,
    pub(crate) warnings: Vec<String>,
}

/// A name that a new workflow is to be saved under.
pub(crate) struct SavedName(WorkflowName);

impl SavedName {
    /// Checks the name, and that nothing is saved under it: before money is spent on a workflow.
    ///
    /// # Errors
    /// A name that cannot be, or that is taken.
    pub(crate) fn parse(name: &str, home: &Home) -> Result<Self> {
        let name = WorkflowName::parse(name).map_err(|error| BadUsage(format!("--save {name}: {error}")))?;
        match saved::workflows(home).find(&name.clone().into()) {
            Ok(place) => Err(BadUsage(format!(
                "--save {name}: a workflow of this name is saved already ({}); choose another",
                place.file.display()
            ))
            .into()),
            Err(_) => Ok(Self(name)),
        }
    }

    /// Saves the workflow; says where.
    fn save(&self, planned: &Planned, text: &str, folder: &Path, home: &Home) -> Result<PathBuf> {
        let text = described(text, &planned.description);
        let draft = WorkflowDraft {
            name: &self.0,
            text: &text,
            form: Form::Json,
            file: None,
            folder,
            overwrites_changes: false,
        };
        let now = saved::workflows(home).save(&draft).map_err(saved::plain)?;
        Ok(now.file)
    }
}

/// The workflow with its description in it, which `list` and the planner show.
fn described(text: &str, description: &str) -> String {
    let Ok(Value::Object(mut members)) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    if !description.is_empty() {
        members
            .entry("description")
            .or_insert_with(|| Value::from(description));
    }
    let text = serde_json::to_string_pretty(&members).unwrap_or_else(|_| text.to_owned());
    format!("{text}\n")
}

/// Plans, and does with the workflow what is wanted, in a runtime of its own.
///
/// # Errors
/// When the run cannot even begin.
pub(crate) fn run(execution: PlannedExecution, home: &Home, output: &Output) -> Result<Finished> {
    let runtime = execution::runtime()?;
    let finished = run_in(&runtime, execution, home, output);
    // A node that does not heed the cancellation must not hold the program up; nor must an unanswered question.
    runtime.shutdown_background();
    finished
}

fn run_in(runtime: &Runtime, execution: PlannedExecution, home: &Home, output: &Output) -> Result<Finished> {
    let given: Map<String, Value> = execution
        .args
        .iter()
        .map(|(name, text)| (name.clone(), value_of_text(text)))
        .collect();
    let PlannedExecution {
        config,
        trace,
        telemetry,
        prices,
        caching,
        budget,
        mut warnings,
        ..
    } = execution;
    let responses = caching.responses.clone();
    let mut secret = config.inputs.clone();
    secret.extend(given.clone());
    let beginning = Beginning {
        name: match execution.aim {
            Aim::Print { .. } => PLAN_NAME,
            Aim::Run { .. } => RUN_NAME,
        },
        file: None,
        redaction: execution::redactor(None, &secret, &config)?,
        config: &config,
        prices: Arc::clone(&prices),
        budget,
        shares_budgets: true,
        trace: &trace,
        telemetry: &telemetry,
    };
    let name = beginning.name;
    let folder = std::env::current_dir().context("there is no current directory")?;
    let mut begun = execution::begin(beginning, &mut warnings, home, output)?;
    let mut between = Between {
        request: PlanRequest {
            text: execution.request,
            given,
            has_stdin: execution.stdin.is_some(),
        },
        args: execution.args,
        stdin: execution.stdin,
        options: options(Some(&execution.model), home, from_environment(), caching),
        model: execution.model,
        folder,
        save: execution.save,
        aim: execution.aim,
        config: &config,
        prices: &prices,
        home,
        output,
        planned: None,
        name: name.to_owned(),
        saved_as: None,
        partial: None,
    };
    let cx = begun.meter.context(SharedStore::new().root());
    let (outcome, stopped_by) = runtime.block_on(between.whole(&cx, &mut begun));
    let Between {
        planned,
        name,
        saved_as,
        partial,
        ..
    } = between;
    let shown = planned.map(|planned| planner_view::json(&planned, saved_as.as_deref()));
    let held = Held {
        config,
        trace,
        warnings,
        responses,
    };
    let mut finished = execution::finish(begun, &name, outcome, stopped_by, held, output);
    finished.planned = shown;
    finished.partial = partial;
    Ok(finished)
}

/// What stands between a request and its result.
struct Between<'a> {
    request: PlanRequest,
    args: Vec<(String, String)>,
    stdin: Option<String>,
    options: LoadOptions,
    model: String,
    folder: PathBuf,
    save: Option<SavedName>,
    aim: Aim,
    config: &'a Config,
    prices: &'a PriceBook,
    home: &'a Home,
    output: &'a Output,
    planned: Option<Planned>,
    /// The name that the run is reported under.
    name: String,
    saved_as: Option<String>,
    /// What there is of the result, where a budget ended the run.
    partial: Option<PartialOutputs>,
}

type Outcome = (Result<RunResult, NodeError>, Option<&'static str>);

impl Between<'_> {
    async fn whole(&mut self, cx: &NodeContext, begun: &mut Begun) -> Outcome {
        let planner = Planner::new(PlannerConfig {
            services: Arc::clone(&self.options.services),
            model: self.model.as_str().into(),
            known: Arc::new(saved::workflows(self.home)),
            folder: self.folder.clone(),
            saved_workflows: self.options.saved_workflows.clone(),
            timeout: self.config.planner_timeout,
            retry: flowmeter_workflow::planner::default_retry(),
        });
        let (context, request) = (cx.clone(), self.request.clone());
        let work = async move { planner.plan(&context, request).await };
        let planned = match drive(work, cx, begun, self.output).await {
            (Ok(planned), None) => planned,
            (Ok(_), stopped_by) => return (Err(NodeError::cancelled()), stopped_by),
            (Err(error), stopped_by) => return (Err(error), stopped_by),
        };
        if let Err(error) = self.save(&planned) {
            self.planned = Some(planned);
            return (Err(error), None);
        }
        self.planned = Some(planned.clone());
        match &self.aim {
            Aim::Print { file } => {
                let file = file.clone();
                (self.print(&planned, file.as_deref()), None)
            }
            Aim::Run { yes, wanted_output } => {
                let (yes, wanted) = (*yes, wanted_output.clone());
                self.run(cx, begun, &planned, yes, wanted).await
            }
        }
    }

    /// Saves a new workflow, where that is wanted.
    fn save(&mut self, planned: &Planned) -> Result<(), NodeError> {
        let (Some(save), PlannedSource::Generated(text)) = (&self.save, &planned.source) else {
            if self.save.is_some() {
                let note = format!("nothing is saved: {} is a saved workflow already", planned.name);
                self.output.note(&note);
            }
            return Ok(());
        };
        let file = save
            .save(planned, text, &self.folder, self.home)
            .map_err(|error| {
                let message = format!("the workflow cannot be saved as {}: {error}", save.0);
                NodeError::permanent(message).with_type("not_saved")
            })?;
        self.output
            .note(&format!("saved as {}: {}", save.0, file.display()));
        self.saved_as = Some(save.0.to_string());
        Ok(())
    }

    /// What `flowmeter plan` gives.
    fn print(&self, planned: &Planned, file: Option<&Path>) -> Result<RunResult, NodeError> {
        let failed = |what: String| NodeError::permanent(what).with_type("file");
        let text = match &planned.source {
            PlannedSource::Generated(text) => text.clone(),
            PlannedSource::Saved(path) => {
                self.output
                    .note(&format!("the saved workflow {} fits", planned.name));
                std::fs::read_to_string(path)
                    .map_err(|error| failed(format!("{} cannot be read: {error}", path.display())))?
            }
        };
        if let Some(file) = file {
            std::fs::write(file, format!("{}\n", text.trim_end()))
                .map_err(|error| failed(format!("{} cannot be written: {error}", file.display())))?;
            self.output.note(&format!("written to {}", file.display()));
        }
        if !planned.description.is_empty() {
            self.output
                .note(&format!("{}: {}", planned.name, planned.description));
        }
        planner_view::show_inputs(&planned.values, self.output);
        if !planned.missing.is_empty() {
            self.output.note(&format!(
                "inputs that need a value when it is run: {}",
                planned.missing.join(", ")
            ));
        }
        Ok(RunResult {
            whole: Arc::new(planner_view::document(&text)),
            printed: file.is_none().then(|| Arc::new(Value::from(text))),
        })
    }

    /// Shows the workflow, asks where that is due, and runs it.
    async fn run(
        &mut self,
        cx: &NodeContext,
        begun: &mut Begun,
        planned: &Planned,
        yes: bool,
        wanted_output: Option<String>,
    ) -> Outcome {
        self.name.clone_from(&planned.name);
        let is_new = matches!(planned.source, PlannedSource::Generated(_));
        let asks = !yes && is_terminal();
        // What is asked about is shown, whoever wants to see little.
        if asks || !self.output.is_quiet() {
            planner_view::show(planned, self.output);
        }
        let prepared = match self.prepare(begun, planned, wanted_output.as_deref(), asks).await {
            Ok(prepared) => prepared,
            Err(ended) => return ended,
        };
        let (workflow, inputs) = prepared;
        planner_view::show_inputs(&inputs, self.output);
        let plan = plan_of(&workflow, &inputs, self.prices, self.home);
        let warning = self.config.warn_cost.and_then(|limit| dear(&plan, limit));
        if let Some(warning) = &warning {
            self.output.warn(warning);
        }
        if asks && (is_new || warning.is_some()) {
            self.output.ask("Run it? [y/N] ");
            match answer(&mut begun.signals).await {
                Ok(Some(answer)) if matches!(answer.to_lowercase().as_str(), "y" | "yes") => {}
                Ok(_) => {
                    let how = "nothing was run; `flowmeter plan` prints the workflow, --save keeps it";
                    self.output.say(how);
                    return (Err(NodeError::cancelled().with_type("declined")), None);
                }
                Err(signal) => {
                    self.output.say("");
                    return (Err(NodeError::cancelled().with_type("interrupted")), Some(signal));
                }
            }
        } else if is_new && !yes {
            let message = "a workflow that was just generated is not run unseen: add --yes to run it without being \
                           asked, or have `flowmeter plan` write it to a file and run that";
            return (Err(NodeError::permanent(message).with_type(NOT_CONFIRMED)), None);
        }
        begun.meter.workflow_begins();
        if let Some(budgets) = &begun.shared_budgets {
            budgets.workflow_begins(&planned.name);
        }
        let (workflow, store) = (Arc::new(workflow), SharedStore::new());
        let work = own_budget::run(Arc::clone(&workflow), Arc::clone(&store), cx.clone(), inputs);
        let (ended, stopped_by) = drive(work, cx, begun, self.output).await;
        let result = ended.and_then(|end| execution::result_of(&end, wanted_output.as_deref()));
        self.partial = execution::partial_outputs(&result, &workflow, &store);
        (result, stopped_by)
    }

    /// The workflow and its inputs; missing ones are asked for where somebody is there.
    async fn prepare(
        &mut self,
        begun: &mut Begun,
        planned: &Planned,
        wanted_output: Option<&str>,
        asks: bool,
    ) -> Result<(Workflow, Map<String, Value>), Outcome> {
        let failed = |message: String, error_type: &'static str| -> Outcome {
            (Err(NodeError::permanent(message).with_type(error_type)), None)
        };
        let loaded = match &planned.source {
            PlannedSource::Saved(path) => Workflow::load(path, &self.options),
            PlannedSource::Generated(text) => {
                Workflow::parse(&planned.name, text, &self.folder, &self.options)
            }
        };
        let workflow = loaded.map_err(|error| failed(error.to_string(), "invalid_workflow"))?;
        if let Some(wanted) = wanted_output {
            outputs::check_wanted(workflow.document(), wanted)
                .map_err(|error| failed(error.to_string(), crate::exit::UNKNOWN_OUTPUT))?;
        }
        if asks {
            self.ask_for_missing(begun, planned).await?;
        }
        let sources = InputSources {
            stdin: self.stdin.clone(),
            environment: Some(&|name| std::env::var(name).ok()),
            settings: Some(&|name| self.config.inputs.get(name).cloned()),
        };
        let inputs = planned.prepare_inputs(&self.args, sources).map_err(|invalid| {
            let message = format!(
                "the workflow was planned, but its inputs are not complete; give them as KEY=VALUE\n{invalid}"
            );
            failed(message, INVALID_INPUTS)
        })?;
        Ok((workflow, inputs))
    }

    async fn ask_for_missing(&mut self, begun: &mut Begun, planned: &Planned) -> Result<(), Outcome> {
        for name in &planned.missing {
            let comes_from_elsewhere = std::env::var(name).is_ok() || self.config.inputs.contains_key(name);
            if comes_from_elsewhere {
                continue;
            }
            let input = planned
                .document
                .inputs
                .iter()
                .find(|input| input.name == name.as_str());
            let description = input.and_then(|input| input.description.as_deref());
            let description = description.map_or_else(String::new, |text| format!(" ({})", text.trim()));
            self.output.ask(&format!("{name}{description}: "));
            match answer(&mut begun.signals).await {
                // What is left empty is missing; that is said with everything else that is wrong.
                Ok(Some(text)) if !text.is_empty() => self.args.push((name.clone(), text)),
                Ok(_) => {}
                Err(signal) => {
                    self.output.say("");
                    return Err((Err(NodeError::cancelled().with_type("interrupted")), Some(signal)));
                }
            }
        }
        Ok(())
    }
}

/// Whether somebody is there to be asked.
fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A line from the terminal, `None` at its end; or the signal that came instead.
async fn answer(signals: &mut StopSignals) -> Result<Option<String>, &'static str> {
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let count = io::stdin().lock().read_line(&mut line).unwrap_or(0);
        (count > 0).then(|| line.trim().to_owned())
    });
    tokio::select! {
        biased;
        Some(signal) = signals.first() => Err(signal),
        line = line => Ok(line.ok().flatten()),
    }
}
