//! The flags about log lines.
//!
//! Never shows a line: `telemetry::logs` makes what does.

use clap::{Args, ValueEnum};
use flowmeter::{LogFilter, LogLineFormat};

/// Which log lines are kept, and how they are shown while the run goes on.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Telemetry")]
pub(crate) struct LogArgs {
    /// Keep log lines from this level on and show them on stderr as they come: trace, debug, info, warn, error, off,
    /// and levels for targets, such as info,genai=debug,hyper=off [default: info of libraries and debug of nodes,
    /// in the trace alone]
    #[arg(long, value_name = "LEVELS", value_parser = LogFilter::parse)]
    pub(crate) log_level: Option<LogFilter>,
    /// Show log lines on stderr as they come, for people or as JSON Lines [default with --log-level: human]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormatArg>,
}

/// How log lines are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormatArg {
    /// Time, level, node and message
    #[default]
    Human,
    /// One JSON object a line, with the ids of trace and span
    Json,
}

impl From<LogFormatArg> for LogLineFormat {
    fn from(format: LogFormatArg) -> Self {
        match format {
            LogFormatArg::Human => Self::Human,
            LogFormatArg::Json => Self::Json,
        }
    }
}
