//! The flags that say what is recorded of a run and where it goes.
//!
//! Never acts on them: `telemetry` turns them into settings of the meter.

use clap::Args;

use super::{ExportArgs, SamplingArgs};

/// What is recorded of a run, and where it goes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Telemetry")]
pub(crate) struct TelemetryArgs {
    #[command(flatten)]
    pub(crate) export: ExportArgs,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}
