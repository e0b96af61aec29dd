//! `flowmeter run`: loads the workflow, gathers its inputs, has it run, reports.
//!
//! Never meters or prints a run itself: `execution` and `report` do.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use flowmeter::StreamTarget;
use flowmeter_workflow::chat::{EnvLookup, GenaiModel};
use flowmeter_workflow::http_client::HttpClient;
use flowmeter_workflow::nodes::Services;
use flowmeter_workflow::response_cache::Caching;
use flowmeter_workflow::{InputSources, LoadOptions, Workflow};
use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::{plan, planner};
use crate::args::{OutputFormat, RunArgs};
use crate::caching::caching;
use crate::config::Config;
use crate::execution::{self, Execution, TraceWish};
use crate::exit::{BadUsage, Exit};
use crate::home::Home;
use crate::output::Output;
use crate::saved::resolve;
use crate::{budget, default_model, outputs, prices, report, shared_budgets, stdin};

/// Runs a workflow file.
pub(super) fn run(args: RunArgs, home: &Home, output: &Output) -> Result<Exit> {
    let yielding;
    let output = if args.telemetry.stream == Some(StreamTarget::StandardOutput) {
        yielding = output.yielding_stdout();
        &yielding
    } else {
        output
    };
    if planner::is_request(&args.file) {
        return planner::run(args, home, output);
    }
    let config = super::settings(home).map(|config| config.with_flags(&args.shown));
    // Where even the settings are unknown, the flag still says how to print.
    let format = match &config {
        Ok(config) => config.output_format,
        Err(_) => args.shown.output_format.unwrap_or_default(),
    };
    let (dry_run, yes) = (args.dry_run, args.yes);
    let prepared = config.and_then(|config| prepare(args, config, home, output));
    match prepared {
        Ok(execution) if dry_run => plan::show(&execution, home, output),
        Ok(execution) => {
            if !yes && !plan::is_welcome(&execution, home, output)? {
                return Ok(Exit::Interrupted);
            }
            let finished = execution::run(execution, home, output)?;
            let exit = report::run(&finished, output);
            finished.tidy_up();
            exit
        }
        Err(error) if format == OutputFormat::Json => report::refused(&error, output),
        Err(error) => Err(error),
    }
}

/// The same error; where the words of a request stand there one by one, with what to write instead.
fn unquoted(args: &RunArgs, error: anyhow::Error) -> anyhow::Error {
    let has_words = args.inputs.iter().any(|arg| !arg.contains('='));
    let is_name = args.file.components().count() == 1 && args.file.extension().is_none();
    if !has_words || !is_name {
        return error;
    }
    let words: Vec<&str> = args.inputs.iter().map(String::as_str).collect();
    BadUsage(format!(
        "{error}; a request in words stands in quotes: flowmeter run \"{} {}\"",
        args.file.display(),
        words.join(" ")
    ))
    .into()
}

fn prepare(args: RunArgs, config: Config, home: &Home, output: &Output) -> Result<Execution> {
    if args.save.is_some() {
        let message = "--save is for workflows that are planned; give a request in words";
        return Err(BadUsage(message.to_owned()).into());
    }
    let file = resolve(&args.file, home).map_err(|error| unquoted(&args, error))?;
    let config = default_model::of_run(config);
    let caching = caching(args.caching, &config, home);
    let responses = caching.responses.clone();
    let workflow = load(&file, &config, home, caching)?;
    default_model::tell_if_used(&config, &workflow, output);
    if let Some(wanted) = &args.output {
        outputs::check_wanted(workflow.document(), wanted)?;
    }
    let inputs = inputs(&workflow, &args.inputs, &config, output)?;
    let (prices, price_warnings) = prices::book(home);
    let mut warnings = config.warnings.clone();
    warnings.extend(price_warnings);
    for warning in &warnings {
        output.warn(warning);
    }
    for problem in workflow.warnings() {
        let warning = format!("{}:{problem}", file.display());
        // Its severity is part of it.
        output.note(&warning);
        warnings.push(warning);
    }
    let budget = budget::of_run(&args.budget, config.budget, workflow.document().budget);
    if !args.dry_run {
        budget::check(&workflow, &budget, &prices)?;
        if !budget.allow_unpriced {
            shared_budgets::check(&workflow, &args.telemetry.history.tags, &prices, home)?;
        }
    }
    Ok(Execution {
        workflow,
        file,
        inputs,
        wanted_output: args.output,
        config,
        prices,
        budget,
        shares_budgets: true,
        trace: TraceWish {
            tree: args.shown.trace,
            file: args.shown.trace_file,
            planner: args.trace_planner,
        },
        telemetry: args.telemetry,
        warnings,
        responses,
    })
}

/// Loads a workflow, by file or saved name, with everything its nodes share.
pub(crate) fn load(file: &Path, config: &Config, home: &Home, caching: Caching) -> Result<Workflow> {
    let file = resolve(file, home)?;
    let options = options(config.model.as_deref(), home, from_environment(), caching);
    Ok(Workflow::load(&file, &options)?)
}

/// Looks up variables of the environment.
pub(crate) fn from_environment() -> EnvLookup {
    Arc::new(|name: &str| std::env::var(name).ok())
}

/// The same with these environment variables for the models.
pub(super) fn load_with(
    file: &Path,
    default_model: Option<&str>,
    home: &Home,
    variable: EnvLookup,
    caching: Caching,
) -> Result<Workflow, flowmeter_workflow::LoadError> {
    Workflow::load(file, &options(default_model, home, variable, caching))
}

/// What nodes share, and where saved workflows are.
pub(crate) fn options(
    default_model: Option<&str>,
    home: &Home,
    variable: EnvLookup,
    caching: Caching,
) -> LoadOptions {
    let http = HttpClient::new();
    let services = Services {
        chat: Arc::new(GenaiModel::with_http(variable, http.clone())),
        default_model: default_model.map(SmolStr::new),
        http,
        caching,
    };
    LoadOptions {
        services: Arc::new(services),
        saved_workflows: Some(home.workflows()),
    }
}

/// The inputs from the command line, standard input, the environment and the settings.
fn inputs(
    workflow: &Workflow,
    args: &[String],
    config: &Config,
    output: &Output,
) -> Result<Map<String, Value>> {
    let given = given(args)?;
    let wanted = workflow.document().inputs.iter().find(|input| input.stdin);
    // What the command line gives is not waited for.
    let is_given = wanted.is_some_and(|input| given.iter().any(|(key, _)| input.name == *key));
    let stdin = if is_given {
        None
    } else {
        stdin::read(wanted.map(|input| input.name.as_str()), output)?
    };
    let sources = InputSources {
        stdin,
        environment: Some(&|name| std::env::var(name).ok()),
        settings: Some(&|name| config.inputs.get(name).cloned()),
    };
    Ok(workflow.prepare_inputs(&given, sources)?)
}

/// The inputs that stand on the command line, each once.
pub(crate) fn given(args: &[String]) -> Result<Vec<(String, String)>> {
    let mut given: Vec<(String, String)> = Vec::new();
    for arg in args {
        let Some((key, value)) = arg.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(BadUsage(format!(
                "`{arg}` is no input: write it as KEY=VALUE, such as file=notes.txt"
            ))
            .into());
        };
        if given.iter().any(|(known, _)| known == key) {
            return Err(BadUsage(format!("the input `{key}` is given twice")).into());
        }
        given.push((key.to_owned(), value.to_owned()));
    }
    Ok(given)
}
