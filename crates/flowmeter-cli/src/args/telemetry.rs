//! The flags that say what is recorded of a run and where it goes.
//!
//! Never acts on them: `telemetry` turns them into settings of the meter.

use clap::Args;
use flowmeter::StreamTarget;

use super::{ExportArgs, HistoryArgs, LogArgs, SamplingArgs};

/// What is recorded of a run, and where it goes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Telemetry")]
pub(crate) struct TelemetryArgs {
    /// Send what happens as it happens, as JSON Lines: to a FILE, to standard output (`-`; the result goes to
    /// standard error then), to unix:PATH or to http://…
    #[arg(long, value_name = "TARGET", value_parser = StreamTarget::parse)]
    pub(crate) stream: Option<StreamTarget>,
    #[command(flatten)]
    pub(crate) export: ExportArgs,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) logs: LogArgs,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
}

impl TelemetryArgs {
    /// Nothing leaves the process, whatever the settings say.
    pub(crate) fn of_demo() -> Self {
        let export = ExportArgs {
            no_export: true,
            ..ExportArgs::default()
        };
        Self {
            export,
            ..Self::default()
        }
    }
}
