//! `flowmeter flush` on the command line.
//!
//! Never acts on an argument.

use std::time::Duration;

use clap::Args;

use super::{BackendWish, ViewFormat};
use crate::amounts;

const EXAMPLES: &str = "\
Examples:
  flowmeter flush                               send everything that waits
  flowmeter flush --timeout 5s
  flowmeter flush --list                        show what waits, and send nothing
  flowmeter flush --export otlp=https://collector.example.com
                                                (with OTEL_EXPORTER_OTLP_HEADERS for that receiver)

What an OTLP receiver did not take before a run ended waits in ~/.flowmeter/spool, without any
header. The next run that sends to the same receiver sends it, too; this command does not wait for
one. Keys come from the settings and variables that hold now: set them as for the run.

Exit codes: 0 everything was sent, 1 a receiver will never take some of it, 4 something is left
because a receiver cannot be reached or asks for a key.";

/// `flowmeter flush`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FlushArgs {
    /// Give up after this time, such as 5s or 2m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = amounts::duration)]
    pub(crate) timeout: Duration,
    /// Show what waits, and send nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// A receiver, as `flowmeter run` names it, whose headers and certificates are to be used
    #[arg(long = "export", value_name = "BACKEND")]
    pub(crate) backends: Vec<BackendWish>,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: ViewFormat,
}
