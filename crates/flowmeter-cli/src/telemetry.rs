//! What is recorded of a run and where it goes: flags and settings become settings of the meter.
//!
//! Never records or sends anything itself.

pub(crate) mod exports;
pub(crate) mod logs;
mod sampling;

use std::io::IsTerminal;

use flowmeter::{IncomingContext, RunMeterBuilder, StreamBackend, StreamConfig, StreamTarget};

use crate::args::{BackendWish, TelemetryArgs};
use crate::config::Config;
use crate::exit::BadUsage;
use crate::history::RunOrigin;
use crate::home::Home;
use crate::output::Output;
use crate::report::with_causes;

/// The meter's settings with what the command line, the configuration and the environment want of the telemetry.
/// What looks wrong and does no harm goes to `warnings`.
///
/// # Errors
/// When a wish cannot be meant, such as a backend that is not known.
pub(crate) fn apply(
    builder: RunMeterBuilder,
    args: &TelemetryArgs,
    config: &Config,
    origin: &RunOrigin,
    home: &Home,
    output: &Output,
    warnings: &mut Vec<String>,
) -> anyhow::Result<RunMeterBuilder> {
    let incoming = IncomingContext::from_environment(variable);
    warnings.extend(incoming.problems.iter().map(ToString::to_string));
    let parent = incoming.parent.as_ref();
    let sampler = sampling::sampler(&args.sampling, config, parent, variable, warnings);
    let mut builder = builder
        .sampler(sampler)
        .tail_rules(sampling::tail_rules(&args.sampling, config))
        .baggage(incoming.baggage);
    if let Some(parent) = incoming.parent {
        builder = builder.parent(parent);
    }
    let mut exports = exports::exports(&args.export, config, home, output, &variable, warnings)?;
    origin.describe(&mut exports.service);
    for (key, value) in origin.given() {
        builder = builder.resource(key, value);
    }
    builder = builder
        .service(exports.service)
        .exit_timeout(exports.exit_timeout);
    if let Some(target) = &args.stream {
        let stdout = || -> Box<dyn std::io::Write + Send> { Box::new(std::io::stdout()) };
        let stream = StreamBackend::new(target, StreamConfig::default(), stdout)
            .map_err(|error| BadUsage(format!("--stream: {}", with_causes(&error))))?;
        builder = builder.backend(stream);
    }
    for backend in exports.backends {
        builder = builder.boxed_backend(backend);
    }
    Ok(builder)
}

/// Whether something is shown on standard error while the run goes on.
pub(crate) fn writes_to_terminal(args: &TelemetryArgs, config: &Config) -> bool {
    // A terminal is shared: lines on standard output come between, too.
    let streams = args.stream == Some(StreamTarget::StandardOutput) && std::io::stdout().is_terminal();
    streams || exports::wishes(&args.export, config, &variable).contains(&BackendWish::Console)
}

/// A variable of the environment; what is no text shows as what it is, so that it is not mistaken for none.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}
