//! What is recorded of a run and where it goes: flags and settings become settings of the meter.
//!
//! Never records or sends anything itself.

mod sampling;

use flowmeter::{IncomingContext, RunMeterBuilder};

use crate::args::TelemetryArgs;
use crate::config::Config;

/// The meter's settings with what the command line, the configuration and the environment want of the telemetry.
/// What looks wrong and does no harm goes to `warnings`.
///
/// # Errors
/// When a wish cannot be meant, such as a backend that is not known.
pub(crate) fn apply(
    builder: RunMeterBuilder,
    args: &TelemetryArgs,
    config: &Config,
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
    Ok(builder)
}

/// A variable of the environment; what is no text shows as what it is, so that it is not mistaken for none.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}
