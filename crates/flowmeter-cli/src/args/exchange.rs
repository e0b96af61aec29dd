//! The arguments of `flowmeter export` and `flowmeter import`.
//!
//! Never acts on them: the commands do.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{RunFilterArgs, SemconvArg};

const EXPORT_EXAMPLES: &str = "\
Examples:
  flowmeter export last > run.jsonl                a run with everything that was kept of it
  flowmeter export 4bf92f35 8a01c2d7 -o two.jsonl
  flowmeter export --since 30d -o month.jsonl && flowmeter import month.jsonl    (elsewhere)
  flowmeter export --workflow triage --status failed --to otlp -o failed.otlp.jsonl
  flowmeter export last --to otlp -o run.binpb     (protobuf; logs in run.logs.binpb)
  flowmeter export --since 90d --to parquet -o spans.parquet

jsonl is lossless: what is imported from it is exported as the same bytes again. otlp is what
OTLP receivers and files of collectors hold; parquet is a table of spans for pandas and DuckDB.
Prompts, answers and values go along as far as they were kept; secrets were masked before.

Exit codes: 0 success, 2 bad usage, 4 no such run, 130 interrupted.";

/// `flowmeter export`.
#[derive(Debug, Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub(crate) struct ExportRunsArgs {
    /// Runs by the beginning of their ids, `last`, `last~1`, `last-failed`; with all runs of their traces
    #[arg(value_name = "RUN")]
    pub(crate) names: Vec<String>,
    /// The form [default: by the extension of FILE, else jsonl]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) to: Option<ExchangeFormat>,
    /// Write into this file instead of standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Every run of the history
    #[arg(long)]
    pub(crate) all: bool,
    /// The names of the attributes in `--to otlp` [default: latest]
    #[arg(long, value_name = "VERSION")]
    pub(crate) semconv: Option<SemconvArg>,
    /// Say nothing but errors
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) runs: RunFilterArgs,
}

/// A form of runs outside the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExchangeFormat {
    /// Lines of JSON, with nothing lost
    Jsonl,
    /// OTLP/JSON lines; protobuf into FILE.binpb, FILE.pb or FILE.otlp
    Otlp,
    /// A table of spans
    Parquet,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  flowmeter import month.jsonl                     what `flowmeter export` wrote
  flowmeter import events.jsonl                    event lines of --stream and --export jsonl=FILE
  flowmeter import collector/*.json                OTLP, of any program
  flowmeter import run.binpb run.logs.binpb        OTLP as protobuf
  flowmeter import ~/.flowmeter/traces/*.json      saved traces
  ssh host flowmeter export --since 1d | flowmeter import -

What a file is, is seen from what is in it. What is in the history already is not added again. A
line that cannot be read is told with its number, and the rest is imported. Of OTLP each root span
is a run, costs that came along are kept, and other LLM calls are priced as of their day.

Exit codes: 0 success, 1 some of it could not be read, 2 bad usage or a file of another kind, 4 a
file is missing, 130 interrupted.";

/// `flowmeter import`.
#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub(crate) struct ImportArgs {
    /// The files; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Say nothing but errors
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
}
