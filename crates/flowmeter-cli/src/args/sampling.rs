//! The flags that say which traces are kept whole, and those of `flowmeter sample`.
//!
//! Never decides about a trace: `telemetry` and `commands::sample` do.

use std::time::Duration;

use clap::Args;
use flowmeter::SamplingRate;
use flowmeter_model::UsdNanos;

use crate::amounts;

/// Which traces are kept whole.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Telemetry")]
pub(crate) struct SamplingArgs {
    /// Keep this share of traces whole: 0.1, 10% or 1/10; of the others only the root, errors and what LLM calls
    /// used. A run inside another trace does as that trace does [default: as OTEL_TRACES_SAMPLER says, or all]
    #[arg(long, value_name = "RATE", value_parser = SamplingRate::parse)]
    pub(crate) sample: Option<SamplingRate>,
    /// Keep the whole trace of a run that failed or was stopped, also where sampling would not
    #[arg(long)]
    pub(crate) keep_errors: bool,
    /// Keep the whole trace of a run that took longer than this, such as 2s, 500ms or 1m
    #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
    pub(crate) keep_slower_than: Option<Duration>,
    /// Keep the whole trace of a run that cost more than this, in dollars
    #[arg(long, value_name = "USD", value_parser = amounts::usd)]
    pub(crate) keep_dearer_than: Option<UsdNanos>,
}

const SAMPLE_EXAMPLES: &str = "\
Examples:
  flowmeter sample 0.1 4bf92f3577b34da6a3ce929d0e0e4736
  flowmeter sample 1/3 - < ids.txt
  flowmeter sample 10% - < ids.txt | grep -c keep
  flowmeter sample 0.25                    what the rate means, without an id

One line for each id: the id, `keep` or `drop`, and the tracestate of a trace that is kept
(`ot=th:…`, OpenTelemetry's rejection threshold), separated by tabs. A dropped trace has none.
The decision is that of OpenTelemetry's consistent sampler, here as in every other program:
what a small rate keeps, a larger one keeps too. `flowmeter run --sample RATE` decides alike.

What is no trace id is reported with its line, and the rest is done; then the exit code is 2.";

/// `flowmeter sample`.
#[derive(Debug, Args)]
#[command(after_help = SAMPLE_EXAMPLES)]
pub(crate) struct SampleArgs {
    /// The share of traces to keep: 0.1, 10% or 1/10
    #[arg(value_name = "RATE", value_parser = SamplingRate::parse)]
    pub(crate) rate: SamplingRate,
    /// Trace ids, 32 small hex digits each; `-` reads them from standard input, one a line
    #[arg(value_name = "TRACE_ID|-")]
    pub(crate) trace_ids: Vec<String>,
}
