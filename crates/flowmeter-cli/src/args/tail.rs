//! The arguments of `flowmeter tail`.
//!
//! Never acts on them: the command does.

use clap::Args;

const TAIL_EXAMPLES: &str = "\
Examples:
  flowmeter tail                 the run that is going on; else the next one to begin
  flowmeter tail 4bf92f35        a run by the beginning of its id
  flowmeter tail last            the newest saved trace, whether it goes on or not
  flowmeter tail trace.json      the trace of `flowmeter run --trace-file trace.json`
  flowmeter tail --no-follow     how far the run is now, and out
  flowmeter tail --events | jq -c 'select(.type == \"node_end\")'

On a terminal the tree is drawn live, and printed whole when the run has ended. Elsewhere there is
a line for everything as it happens. `tail` only looks: Ctrl-C ends it and leaves the run alone,
and it exits with 0 also when the run fails.";

/// `flowmeter tail`.
#[derive(Debug, Args)]
#[command(after_help = TAIL_EXAMPLES)]
pub(crate) struct TailArgs {
    /// A trace file, the beginning of a run's id, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Print what there is by now and leave
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Print event lines (JSON, one a line) instead of the tree
    #[arg(long)]
    pub(crate) events: bool,
}
