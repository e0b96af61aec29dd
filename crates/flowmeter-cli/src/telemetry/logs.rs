//! Which log lines a run keeps, and those that are shown while it goes on.
//!
//! Never shows anything unless somebody asked: a level from the settings file alone says only what is kept.

use std::io::Write;

use flowmeter::{CaptureLevel, FlowmeterLayer, LogLines, LogLinesConfig, RunMeterBuilder};
use tracing_subscriber::layer::SubscriberExt;

use crate::args::{LogArgs, LogFormatArg};
use crate::config::{Config, Origin};
use crate::output::Output;

/// Whether lines are shown: the command line or a variable has named a level or a format.
pub(crate) fn are_shown(args: &LogArgs, config: &Config) -> bool {
    let by_variable = ["log.level", "log.format"]
        .iter()
        .any(|key| matches!(config.origin_of(key), Origin::Variable(_)));
    args.log_level.is_some() || args.log_format.is_some() || by_variable
}

/// Whether lines are shown to people, with times of the day.
pub(crate) fn are_for_people(args: &LogArgs, config: &Config) -> bool {
    are_shown(args, config) && format(args, config) == LogFormatArg::Human
}

fn format(args: &LogArgs, config: &Config) -> LogFormatArg {
    args.log_format.unwrap_or(config.logs.format)
}

/// The meter's settings with what command line and configuration want of the logs. Lines that are to be shown go
/// to `screen`; what keeps them from it goes to `warnings`.
pub(crate) fn apply(
    builder: RunMeterBuilder,
    args: &LogArgs,
    config: &Config,
    output: &Output,
    utc_offset_seconds: i32,
    screen: Box<dyn Write + Send>,
    warnings: &mut Vec<String>,
) -> RunMeterBuilder {
    let filter = args
        .log_level
        .clone()
        .unwrap_or_else(|| config.logs.filter.clone());
    let mut builder = builder
        .log_filter(filter)
        .logs_per_span_max(config.logs.lines_per_span);
    if config.capture == CaptureLevel::Off {
        if are_shown(args, config) {
            let warning =
                "no log lines are shown: the capture is off; any other level of `--capture` has them";
            warnings.push(warning.to_owned());
        }
        return builder;
    }
    listen();
    if are_shown(args, config) {
        let lines = LogLinesConfig {
            format: format(args, config).into(),
            colour: output.colour_err(),
            utc_offset_seconds,
        };
        builder = builder.backend(LogLines::new(screen, lines));
    }
    builder
}

/// Has what libraries say through `tracing` land in the run that it belongs to.
fn listen() {
    let subscriber = tracing_subscriber::registry().with(FlowmeterLayer::alone());
    // There is one for the whole process: a second run finds it there.
    let _already_listening = tracing::subscriber::set_global_default(subscriber);
}
