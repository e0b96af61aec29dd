//! The subcommands, and what they have in common: reading the command line and saying what went wrong.
//!
//! Never runs a workflow itself: `execution` does, for `run` and `demo` alike.

mod budget;
mod cache;
mod completions;
mod config;
mod convert;
mod db;
mod delete;
mod demo;
mod describe;
mod diff;
mod export;
mod flush;
mod fmt;
mod forget;
mod format;
mod import;
mod insights;
mod list;
mod logs;
mod nodes;
mod pipeline;
pub(crate) mod plan;
mod planner;
pub(crate) mod pricing;
pub(crate) mod run;
mod runs;
mod sample;
mod save;
mod schema;
mod search;
pub(crate) mod show;
mod state;
mod stats;
mod tail;
pub(crate) mod validate;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;
use clap::{CommandFactory, Parser};
use flowmeter_store::StoreError;
use flowmeter_workflow::{InvalidWorkflow, Severity, nearest_name};

use crate::args::{Command, CommandLine};
use crate::config::Config;
use crate::exit::{self, Exit, MissingFile};
use crate::home::Home;
use crate::output::Output;

/// Reads the command line, does what it says, and says what went wrong.
pub(crate) fn dispatch() -> Exit {
    let command = match CommandLine::try_parse() {
        Ok(command_line) => command_line.command,
        Err(error) if error.use_stderr() => {
            // Nobody is left to hear that the stream is closed.
            let _closed_stream_is_no_failure = error.print();
            return Exit::Invalid;
        }
        Err(help) => {
            return match help.print() {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    Output::new(false).error(&format!("standard output cannot be written: {error}"));
                    Exit::Failed
                }
                _ => Exit::Success,
            };
        }
    };
    let output = Output::new(command.as_ref().is_some_and(Command::is_quiet));
    match perform(command, &output) {
        Ok(exit) => exit,
        Err(error) => {
            match validate::invalid_workflow(&error) {
                Some(invalid) => tell_problems(invalid, &output),
                None => output.error(&told(&error)),
            }
            exit::of_error(&error).0
        }
    }
}

/// What to do where the history finds no room. Deleting is done in a new place first: else a power cut would leave half.
const DISK_FULL_HELP: &str = "\n  help: make some room on the disk that has the history (`flowmeter db path`), then do it again; deleting \
                              and shrinking need some, too";

fn perform(command: Option<Command>, output: &Output) -> Result<Exit> {
    let home = Home::find();
    match command {
        None => {
            let help = CommandLine::command().render_long_help();
            let help = if output.colour_out() {
                help.ansi().to_string()
            } else {
                help.to_string()
            };
            output.text(&help)?;
            Ok(Exit::Success)
        }
        Some(Command::Run(args)) => run::run(*args, &home, output),
        Some(Command::Plan(args)) => planner::plan(*args, &home, output),
        Some(Command::Runs(args)) => runs::run(&args, &home, output),
        Some(Command::Show(args)) => show::run(&args, &home, output),
        Some(Command::Logs(args)) => logs::run(&args, &home, output),
        Some(Command::Search(args)) => search::run(&args, &home, output),
        Some(Command::State(args)) => state::run(&args, &home, output),
        Some(Command::Diff(args)) => diff::run(&args, &home, output),
        Some(Command::Tail(args)) => tail::run(&args, &home, output),
        Some(Command::Stats(args)) => stats::run(&args, &home, output),
        Some(Command::Insights(args)) => insights::run(&args, &home, output),
        Some(Command::Export(args)) => export::run(&args, &home, output),
        Some(Command::Import(args)) => import::run(&args, &home, output),
        Some(Command::Format(args)) => format::run(&args, output),
        Some(Command::Validate(args)) => validate::run(&args, &home, output),
        Some(Command::Save(args)) => save::run(&args, &home, output),
        Some(Command::List(args)) => list::run(&args, &home, output),
        Some(Command::Describe(args)) => describe::run(&args, &home, output),
        Some(Command::Delete(args)) => delete::run(&args, &home, output),
        Some(Command::Convert(args)) => convert::run(&args, output),
        Some(Command::Fmt(args)) => fmt::run(&args, output),
        Some(Command::Nodes(args)) => nodes::run(&args, output),
        Some(Command::Pricing(args)) => pricing::run(&args, &home, output),
        Some(Command::Schema(_)) => schema::run(output),
        Some(Command::Pipeline(args)) => pipeline::run(&args, output),
        Some(Command::Flush(args)) => flush::run(&args, &home, output),
        Some(Command::Budget(args)) => budget::run(&args, &home, output),
        Some(Command::Cache(args)) => cache::run(&args, &home, output),
        Some(Command::Forget(args)) => forget::run(&args, &home, output),
        Some(Command::Db(args)) => db::run(&args, &home, output),
        Some(Command::Demo(args)) => demo::run(args, &home, output),
        Some(Command::Sample(args)) => sample::run(&args, output),
        Some(Command::Config(args)) => config::run(&args, &home, output),
        Some(Command::Completions(args)) => completions::run(&args, output),
    }
}

impl Command {
    fn is_quiet(&self) -> bool {
        match self {
            Self::Run(args) => args.shown.quiet,
            Self::Plan(args) => args.shown.quiet,
            Self::Demo(args) => args.quiet,
            _ => false,
        }
    }
}

/// The settings, from their file and the environment.
fn settings(home: &Home) -> Result<Config> {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let texts = (name.into_string().ok()?, value.into_string().ok()?);
        Some(texts)
    });
    Ok(Config::load(&home.config_file(), variables)?)
}

/// Says what is wrong with a workflow, each problem with its own place and severity, and how much it is.
fn tell_problems(invalid: &InvalidWorkflow, output: &Output) {
    let file = invalid.file.as_deref().map(Path::display);
    let file = file.map_or_else(String::new, |file| format!("{file}:"));
    let mut warnings = 0;
    for problem in &invalid.problems {
        match problem.severity {
            Severity::Error => output.say(&format!("{file}{problem}")),
            Severity::Warning => {
                warnings += 1;
                output.note(&format!("{file}{problem}"));
            }
        }
    }
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    let mut line = count(invalid.error_count(), "error");
    if warnings > 0 && !output.is_quiet() {
        line.push_str(&format!(", {}", count(warnings, "warning")));
    }
    output.say(format!("{file} {line}").trim_start());
}

/// An error with its causes, the outermost first.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut is_disk_full = false;
    for (depth, cause) in error.chain().enumerate() {
        let cause = if let Some(StoreError::DiskFull) = cause.downcast_ref() {
            is_disk_full = true;
            "the disk is full".to_owned()
        } else {
            cause.to_string()
        };
        if depth == 0 {
            text.push_str(&cause);
        } else if !text.contains(&cause) {
            text.push_str(&format!("\n  caused by: {cause}"));
        }
    }
    if is_disk_full {
        text.push_str(DISK_FULL_HELP);
    }
    text
}

/// Says that there is no such file, and which files next to it have a similar name.
pub(crate) fn no_such_file(what: &str, path: &Path) -> MissingFile {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let there: Vec<String> = fs::read_dir(folder.unwrap_or(Path::new(".")))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let wanted = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let names = || there.iter().map(String::as_str);
    // The name without its extension is the commonest slip.
    let near = names()
        .find(|name| {
            Path::new(name)
                .file_stem()
                .is_some_and(|stem| stem == wanted.as_str())
        })
        .or_else(|| nearest_name(&wanted, names()))
        .map(|name| format!("; did you mean `{}`?", path.with_file_name(name).display()))
        .unwrap_or_default();
    MissingFile(format!("there is no {what} {}{near}", path.display()))
}
