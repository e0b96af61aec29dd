//! `flowmeter forget` on the command line.
//!
//! Never acts on an argument.

use clap::Args;

use super::RunFilterArgs;
use crate::times::Moment;

const EXAMPLES: &str = "\
Examples:
  flowmeter forget last
  flowmeter forget 4bf92f35 a3ce929d
  flowmeter forget --tag customer=acme
  flowmeter forget --workflow summarize --before 2026-01-01 --dry-run
  flowmeter forget --before 90d --yes

Deletes for good: the runs with their spans, prompts, answers, logs and figures leave the history,
the space that they took is overwritten, and their traces in ~/.flowmeter/traces go with them.
Runs that go on stay, unless they are named. It asks first on a terminal; elsewhere --yes is needed.

Not covered: what was sent to receivers or written by --export and --trace-file, telemetry that
waits to be sent (`flowmeter flush --list`), answers in the response cache (`flowmeter cache
clear`), and copies made by `flowmeter db backup`.";

/// `flowmeter forget`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ForgetArgs {
    /// The runs: beginnings of their ids, `last`, `last-failed`; with them the runs that they started
    #[arg(value_name = "RUN")]
    pub(crate) runs: Vec<String>,
    #[command(flatten)]
    pub(crate) which: RunFilterArgs,
    /// That began before: a date, or an age such as 90d
    #[arg(long, value_name = "TIME", value_parser = Moment::parse, conflicts_with = "until", help_heading = "Which runs")]
    pub(crate) before: Option<Moment>,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print what was deleted as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
