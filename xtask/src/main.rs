//! `cargo xtask`: builds, checks and measures the workspace with one command each.
//!
//! Never part of the product: no crate under `crates/` depends on it, and it depends on none of them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a build tool talks to the terminal; the product crates may not"
)]

mod bench;
mod ci;
mod command;
mod fuzz;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::workspace::Workspace;

/// Build, check and measure flowmeter.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Everything a change must pass: lint, tidy, test and a run of the demo
    ///
    /// Steps run in this order, each with its duration; the first that fails ends the run with exit code 1.
    Ci,
    /// Formatting, clippy and rustdoc, with every warning an error; the peers' benchmarks too
    Lint,
    /// The project's own rules: crate arrows, file sizes and names, dependency bans, needed pages
    ///
    /// Builds nothing. Prints every finding as `path:line: message`, then their number.
    Tidy,
    /// All tests: doc tests first, then the rest, with cargo-nextest where it is installed
    ///
    /// Needs python3, which the end-to-end tests start as a program to be run. The last lines are the
    /// runner's own summary.
    Test,
    /// The benchmarks, all or one by name: those of the crates, and those beside peers in `benches/`
    Bench(bench::Args),
    /// The fuzz targets, all or one by name, for a minute unless told otherwise; the stable compiler will do
    ///
    /// What breaks a rule is kept in fuzz/artifacts, and the message says how to run it again. Needs a C++ compiler.
    Fuzz(fuzz::Args),
    /// The demo, from an optimised build
    Demo {
        /// Handed to `flowmeter demo` as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match parse().and_then(|cli| run(cli.task)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line; the help of `bench` names the benches there are.
fn parse() -> Result<Cli> {
    let mut command = Cli::command();
    if std::env::args().any(|argument| argument == "bench")
        && let Ok(workspace) = Workspace::load()
    {
        command = command.mut_subcommand("bench", |bench| {
            bench.after_help(format!("Benches:\n{}", bench::listing(&workspace)))
        });
    }
    Ok(Cli::from_arg_matches(&command.get_matches())?)
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Ci => ci::ci()?,
        Task::Lint => ci::lint()?,
        Task::Tidy => return tidy::run(),
        Task::Test => ci::test()?,
        Task::Bench(args) => bench::run(&args)?,
        Task::Fuzz(args) => fuzz::run(&args)?,
        Task::Demo { args } => ci::demo(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
