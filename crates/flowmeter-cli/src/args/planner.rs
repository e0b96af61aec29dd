//! `flowmeter plan` on the command line.
//!
//! Never acts on an argument.

use std::path::PathBuf;

use clap::Args;

use super::{BudgetArgs, CachingArgs, RunOutputArgs, TelemetryArgs};

const EXAMPLES: &str = "\
Examples:
  flowmeter plan \"summarize notes.txt in three lines\"
  flowmeter plan \"summarize notes.txt in three lines\" -o summarize.json
  flowmeter plan \"fetch a page and list its links\" url=https://example.com --save list-links
  flowmeter plan \"summarize notes.txt\" --output-format json | jq '.metrics.planner'
  flowmeter plan \"summarize notes.txt\" --trace-planner       (every step, prompt and answer)

Prints the workflow on stdout: a saved one that fits, else a new one, valid as any workflow file.
Nothing is run. The model is that of --model, of `model` in config.toml, or that of the first
provider for which the environment has a key (ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY, …).

Exit codes: 0 a workflow was planned, 1 none could be, 2 the request is unclear (the question is on
stderr), 4 no model, or its provider cannot be reached, 130 interrupted.";

/// `flowmeter plan`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PlanArgs {
    /// What the workflow is to do, in words
    #[arg(value_name = "REQUEST")]
    pub(crate) request: String,
    /// Inputs that are given already; the workflow takes them under these names
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) inputs: Vec<String>,
    /// Write the workflow to this file instead of stdout
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Save the workflow under this name
    #[arg(long, value_name = "NAME")]
    pub(crate) save: Option<String>,
    /// Print the planner's part of the trace as a tree on stderr at the end, and keep the trace file
    #[arg(long)]
    pub(crate) trace_planner: bool,
    #[command(flatten)]
    pub(crate) caching: CachingArgs,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    #[command(flatten)]
    pub(crate) shown: RunOutputArgs,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryArgs,
}
