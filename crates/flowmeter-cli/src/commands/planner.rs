//! `flowmeter plan`, and `flowmeter run` where it is given a request in words.
//!
//! Never plans or runs anything itself: `planned_run` does.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::run::given;
use crate::args::{BudgetArgs, CachingArgs, OutputFormat, PlanArgs, RunArgs, RunOutputArgs};
use crate::caching::caching;
use crate::config::Config;
use crate::execution::TraceWish;
use crate::exit::{BadUsage, Exit};
use crate::home::Home;
use crate::output::Output;
use crate::planned_run::{self, Aim, PlannedExecution, SavedName};
use crate::{budget, default_model, prices, report, stdin};

/// How paths begin that are not meant as words.
const PATH_BEGINNINGS: [&str; 4] = ["/", "./", "../", "~/"];

/// Whether the first argument of `run` is a request in words: it has white space between words, does not begin like a
/// path, and no file has this name.
pub(super) fn is_request(argument: &Path) -> bool {
    let Some(text) = argument.to_str() else {
        return false;
    };
    let is_path = PATH_BEGINNINGS
        .iter()
        .any(|beginning| text.starts_with(beginning));
    text.trim().contains(char::is_whitespace) && !is_path && !argument.exists()
}

/// Plans a workflow and runs it.
pub(super) fn run(args: RunArgs, home: &Home, output: &Output) -> Result<Exit> {
    let wish = Wish {
        request: args.file.to_string_lossy().into_owned(),
        inputs: args.inputs,
        save: args.save,
        trace_planner: args.trace_planner,
        caching: args.caching,
        budget: args.budget,
        shown: args.shown,
        telemetry: args.telemetry,
        aim: Aim::Run {
            yes: args.yes,
            wanted_output: args.output,
        },
    };
    if args.dry_run {
        let message =
            "--dry-run needs a workflow file; `flowmeter plan` makes one of a request and runs nothing";
        return refuse(BadUsage(message.to_owned()).into(), &wish.shown, home, output);
    }
    wish.grant(home, output)
}

/// Plans a workflow and prints it.
pub(super) fn plan(args: PlanArgs, home: &Home, output: &Output) -> Result<Exit> {
    let yielding;
    let streams = args.telemetry.stream == Some(flowmeter::StreamTarget::StandardOutput);
    let output = if streams {
        yielding = output.yielding_stdout();
        &yielding
    } else {
        output
    };
    let wish = Wish {
        request: args.request,
        inputs: args.inputs,
        save: args.save,
        trace_planner: args.trace_planner,
        caching: args.caching,
        budget: args.budget,
        shown: args.shown,
        telemetry: args.telemetry,
        aim: Aim::Print { file: args.output },
    };
    wish.grant(home, output)
}

/// What the command line wants planned.
struct Wish {
    request: String,
    inputs: Vec<String>,
    save: Option<String>,
    trace_planner: bool,
    caching: CachingArgs,
    budget: BudgetArgs,
    shown: RunOutputArgs,
    telemetry: crate::args::TelemetryArgs,
    aim: Aim,
}

impl Wish {
    fn grant(self, home: &Home, output: &Output) -> Result<Exit> {
        let shown = RunOutputArgs {
            output_format: self.shown.output_format,
            ..RunOutputArgs::default()
        };
        match self.prepare(home, output) {
            Ok(execution) => {
                let finished = planned_run::run(execution, home, output)?;
                let exit = report::run(&finished, output);
                finished.tidy_up();
                exit
            }
            Err(error) => refuse(error, &shown, home, output),
        }
    }

    fn prepare(self, home: &Home, output: &Output) -> Result<PlannedExecution> {
        let config = super::settings(home)?.with_flags(&self.shown);
        if self.request.trim().is_empty() {
            let message = "the request is empty; say in words what the workflow is to do";
            return Err(BadUsage(message.to_owned()).into());
        }
        let args = given(&self.inputs)?;
        let save = self.save.map(|name| SavedName::parse(&name, home)).transpose()?;
        if let Aim::Print { file: Some(file) } = &self.aim {
            check_folder(file)?;
        }
        let stdin = stdin::read_if_there()?;
        let (prices, price_warnings) = prices::book(home);
        let mut warnings = config.warnings.clone();
        warnings.extend(price_warnings);
        for warning in &warnings {
            output.warn(warning);
        }
        let model = default_model::of_planner(&config, output)?;
        let caching = caching(self.caching, &config, home);
        let budget = budget::of_run(&self.budget, config.budget, None);
        Ok(PlannedExecution {
            request: self.request.trim().to_owned(),
            args,
            stdin,
            model,
            save,
            aim: self.aim,
            config,
            prices,
            caching,
            budget,
            trace: TraceWish {
                tree: self.shown.trace,
                file: self.shown.trace_file,
                planner: self.trace_planner,
            },
            telemetry: self.telemetry,
            warnings,
        })
    }
}

/// Says why nothing was planned, in the form that is wanted.
fn refuse(error: anyhow::Error, shown: &RunOutputArgs, home: &Home, output: &Output) -> Result<Exit> {
    let format = super::settings(home).map_or(OutputFormat::Text, |config: Config| config.output_format);
    match shown.output_format.unwrap_or(format) {
        OutputFormat::Json => report::refused(&error, output),
        OutputFormat::Text => Err(error),
    }
}

/// A file that cannot be written is better known before money is spent.
fn check_folder(file: &Path) -> Result<(), BadUsage> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    if folder.is_dir() && !file.is_dir() {
        return Ok(());
    }
    Err(BadUsage(format!(
        "-o {}: there is no such folder, or it is one itself; name a file in a folder that is there",
        file.display()
    )))
}

#[cfg(test)]
mod tests;
