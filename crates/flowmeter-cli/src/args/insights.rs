//! The arguments of `flowmeter insights`.
//!
//! Never acts on them: the command does.

use clap::Args;

use crate::times::Moment;

const EXAMPLES: &str = "\
Examples:
  flowmeter insights                          what stands out, over all workflows
  flowmeter insights -w digest                one workflow, with where its time goes
  flowmeter insights last                     the newest run beside the earlier ones
  flowmeter insights last-failed
  flowmeter insights 3f9a                     the run whose id begins so
  flowmeter insights --since 90d --json | jq '.insights[] | {kind, title, size}'

Each finding has its size in dollars or seconds, what it rests on, and a suggestion. What rests on
chance is tested, and of all such findings one in a thousand may be a false alarm: where nothing is
told, nothing is sure. Comparing with the past takes 30 runs of a workflow, changes take 40, and
hours and weekdays count as seasons from four weeks on. 400 days are looked at.";

/// `flowmeter insights`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InsightsArgs {
    /// One run: the beginning of its id, `last`, `last~1` or `last-failed`
    #[arg(value_name = "RUN", conflicts_with = "workflow")]
    pub(crate) run: Option<String>,
    /// One workflow
    #[arg(short = 'w', long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,
    /// Only runs that began then or later: 3h, 2d, 1w, monday, 2026-11-01 (local time) [default: 400d]
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) since: Option<Moment>,
    /// So many findings at most, the largest first [default: 20; with --json: all]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
