//! The arguments of `flowmeter stats`.
//!
//! Never acts on them: the command does.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::RunFilterArgs;
use crate::chart::ImageFormat;

const EXAMPLES: &str = "\
Examples:
  flowmeter stats                                  everything, in one row
  flowmeter stats --since 7d --by model            what each model was asked and cost this week
  flowmeter stats --by workflow --status failed
  flowmeter stats --by day --since 30d             a row a day, with bars
  flowmeter stats --by tag=team --since 2026-11-01
  flowmeter stats --by node -w triage --sort p99
  flowmeter stats --by model --since 30d --chart cost.svg
  flowmeter stats --by workflow --chart speed.png --metric p90
  flowmeter stats --by model --format csv > models.csv
  flowmeter stats --by workflow --format prometheus > flowmeter.prom
  flowmeter stats --since 1d --json | jq .total.cost

Percentiles are those of whole runs where rows are made of runs, of nodes with `--by node`, and of
LLM calls with `--by model` and `--by provider`; they are off by 1 % at most.
A cost with ~ rests on estimated tokens; one with ≥ leaves out calls that no price is known for.";

/// `flowmeter stats`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatsArgs {
    /// What is told apart: model, workflow, node, provider, day, hour, tag (all tags), tag=KEY
    #[arg(long, value_name = "WHAT", num_args = 1..=2)]
    pub(crate) by: Vec<String>,
    /// The tag that `--by tag` is about [default: all of them]
    #[arg(long, value_name = "KEY")]
    pub(crate) tag_key: Option<String>,
    /// How to print it [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<StatsFormat>,
    /// The same as `--format json`
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// What comes first [default: cost; of hours and days: the oldest]
    #[arg(long, value_name = "FIGURE")]
    pub(crate) sort: Option<Metric>,
    /// So many rows of a table at most; the others are summed in one [default: 50 on a terminal]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Draw a chart over time into this file: FILE.svg or FILE.png
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(chart_path))]
    pub(crate) chart: Option<PathBuf>,
    /// What the chart shows [default: cost where there is any, else LLM calls, else runs]
    #[arg(long, value_name = "FIGURE", requires = "chart")]
    pub(crate) metric: Option<Metric>,
    /// Only LLM calls that this provider answered; several are joined by *or*
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Vec<String>,
    /// Only this node; several are joined by *or*
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Vec<String>,
    #[command(flatten)]
    pub(crate) runs: RunFilterArgs,
}

fn chart_path(path: PathBuf) -> Result<PathBuf, String> {
    ImageFormat::of_path(&path).map(|_| path)
}

/// How statistics are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsFormat {
    /// For reading
    #[default]
    Table,
    /// For programs, with everything that is known
    Json,
    /// For spreadsheets: one row a group
    Csv,
    /// Prometheus text exposition format, such as for node_exporter's textfile collector
    Prometheus,
}

/// A figure of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Metric {
    /// Dollars
    Cost,
    /// What caches saved, dollars
    Saved,
    /// Runs that ended
    Runs,
    /// Runs, nodes or LLM calls that failed
    Failures,
    /// LLM calls
    Calls,
    /// Input and output tokens
    Tokens,
    /// The duration that half did not pass
    P50,
    /// The duration that nine of ten did not pass
    P90,
    /// The duration that 99 of 100 did not pass
    P99,
}
