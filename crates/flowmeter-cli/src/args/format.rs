//! The arguments of `flowmeter format`.
//!
//! Never acts on them: the command does.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::SemconvArg;

const EXAMPLES: &str = "\
Examples:
  flowmeter format events.jsonl
  flowmeter run report.json --stream - --quiet | flowmeter format -
  flowmeter format events.jsonl --format json > trace.json && flowmeter show trace.json
  flowmeter format events.jsonl --format metrics | jq .success_rate
  flowmeter format events.jsonl --format otlp > otlp.jsonl      (one export request a line)

A line is one JSON object: {\"type\": \"node_start\", \"node\": {\"id\": \"n1\", \"type\": \"read\"}}. There are
workflow_start, node_start, log, node_end, error, custom, workflow_end, and span_start and span_end
for what is smaller than a node. `timestamp` (ns), `trace_id`, `span_id`, `parent_span_id` and
`attributes` may stand on any line; without ids nesting follows order.

What is wrong with a line is said on stderr as FILE:LINE: message, and the rest is formatted all
the same.
Exit codes: 0 success, 1 some lines had problems, 2 bad usage, 4 the file is missing, 130
interrupted.";

/// `flowmeter format`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FormatArgs {
    /// A file of event lines, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: EventFormatArg,
    /// Stop at the first line that has a problem
    #[arg(long)]
    pub(crate) strict: bool,
    /// The names of the attributes in `--format otlp` [default: latest]
    #[arg(long, value_name = "VERSION")]
    pub(crate) semconv: Option<SemconvArg>,
    /// Seed of the ids that are made where the lines give none
    #[arg(long, value_name = "NUMBER", hide = true)]
    pub(crate) id_seed: Option<u64>,
}

/// What events are formatted as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormatArg {
    /// A tree for reading, with a summary
    #[default]
    Human,
    /// A trace document for each workflow, one a line
    Json,
    /// OTLP/JSON lines, as a receiver takes them
    Otlp,
    /// The aggregated metrics of all of it, as JSON
    Metrics,
}
