//! What the command line looks like: every subcommand, argument and help text.
//!
//! Never acts on an argument and never holds a setting: `config` turns flags into settings, `commands` acts.

mod budget;
pub(crate) mod budget_rules;
mod cache;
mod convert;
mod db;
mod exchange;
mod export;
mod flush;
mod forget;
mod format;
mod history;
mod insights;
mod logs;
mod look;
mod pipeline;
mod planner;
mod pricing;
mod run_filter;
mod sampling;
mod saved;
mod stats;
mod tail;
mod telemetry;

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use budget::BudgetArgs;
pub(crate) use budget_rules::{
    BudgetAction, BudgetListArgs, BudgetRulesArgs, RemoveBudgetArgs, SetBudgetArgs,
};
pub(crate) use cache::{CacheAction, CacheArgs, CacheClearArgs, CachingArgs};
pub(crate) use convert::{ConvertArgs, FmtArgs, FormArg};
pub(crate) use db::{DbAction, DbArgs, DbBackupArgs, DbCheckArgs, DbRetainArgs, DbVacuumArgs};
pub(crate) use exchange::{ExchangeFormat, ExportRunsArgs, ImportArgs};
pub(crate) use export::{BackendWish, ExportArgs, FileKind, SemconvArg};
pub(crate) use flush::FlushArgs;
pub(crate) use forget::ForgetArgs;
pub(crate) use format::{EventFormatArg, FormatArgs};
pub(crate) use history::HistoryArgs;
pub(crate) use insights::InsightsArgs;
pub(crate) use logs::{LogArgs, LogFormatArg};
pub(crate) use look::{DiffArgs, LogsArgs, RunsArgs, SearchArgs, ShowArgs, StateArgs};
pub(crate) use pipeline::{GraphForm, PipelineArgs};
pub(crate) use planner::PlanArgs;
pub(crate) use pricing::{
    CallArgs, CheckPricesArgs, ExplainArgs, ListPricesArgs, PricingArgs, PricingCommand, PricingViewArgs,
    RatePer, RefreshPricesArgs, SetPriceArgs, ShowPriceArgs,
};
pub(crate) use run_filter::RunFilterArgs;
pub(crate) use sampling::{SampleArgs, SamplingArgs};
pub(crate) use saved::{DeleteArgs, DescribeArgs, ListArgs, SaveArgs};
pub(crate) use stats::{Metric, StatsArgs, StatsFormat};
pub(crate) use tail::TailArgs;
pub(crate) use telemetry::TelemetryArgs;

const EXAMPLES: &str = "\
Examples:
  flowmeter demo                                   a whole run without key or network
  flowmeter run summarize.json file=notes.txt      run a workflow
  flowmeter run summarize.json file=notes.txt --trace
  flowmeter run \"summarize notes.txt in three lines\"   plan a workflow, show it, run it
  flowmeter runs                                   what ran, the newest first
  flowmeter show last                              the trace of the newest run
  flowmeter tail                                   the run that is going on, live
  flowmeter nodes llm                              what an `llm` node takes and gives
  flowmeter pricing explain last                   why that run cost what it cost

Exit codes: 0 success, 1 the workflow failed, 2 bad usage or an invalid workflow, 3 the budget was
exceeded, 4 a needed file or service is missing, 130 interrupted.

Settings come from ~/.flowmeter/config.toml, then FLOWMETER_* variables, then flags;
`flowmeter config` shows them. FLOWMETER_HOME moves ~/.flowmeter.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "flowmeter",
    version,
    about = "Run LLM workflows and see what they did, what they cost and where the time went",
    after_help = EXAMPLES,
    max_term_width = 100
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a workflow, by file or saved name, or have one planned from a request in words, and report what it did and cost
    Run(Box<RunArgs>),
    /// Plan a workflow from a request in words, and print it without running it
    Plan(Box<PlanArgs>),
    /// List the runs of the history, the newest first
    Runs(Box<RunsArgs>),
    /// Show a run, also one that goes on or was killed: its tree, one node in detail, or the trace as JSON or OTLP
    Show(ShowArgs),
    /// Print the log lines of a run, or of all runs
    Logs(Box<LogsArgs>),
    /// Search prompts, answers, logs, errors, attributes and writes of all runs
    Search(Box<SearchArgs>),
    /// Show the shared store of a run as it was after a node, what the node changed, and who wrote a key
    State(StateArgs),
    /// Compare two runs node by node: time, tokens, cost, parameters, prompts, answers, store
    Diff(DiffArgs),
    /// Follow a run while it goes on, as a live tree
    Tail(TailArgs),
    /// What runs, models, nodes cost and took: sums, percentiles, trends, charts
    Stats(Box<StatsArgs>),
    /// What stands out: anomalies, changes, bottlenecks, ways to save, each with its size and evidence
    Insights(InsightsArgs),
    /// Write runs of the history as lines, OTLP or Parquet
    Export(Box<ExportRunsArgs>),
    /// Take runs into the history: from exports, event lines, OTLP of any program, trace files
    Import(ImportArgs),
    /// Format event lines, of flowmeter or any program: a tree, JSON, OTLP or metrics
    Format(FormatArgs),
    /// Check workflow files without running them; prints every problem
    Validate(ValidateArgs),
    /// Keep a workflow under a name, with version and checksum
    Save(SaveArgs),
    /// List the saved workflows
    List(ListArgs),
    /// Describe a saved workflow: inputs, outputs, nodes, and what it usually costs
    Describe(DescribeArgs),
    /// Remove a saved workflow with all its versions
    Delete(DeleteArgs),
    /// Convert a workflow file between JSON and Markdown
    Convert(ConvertArgs),
    /// Format workflow files
    Fmt(FmtArgs),
    /// List the node types, or describe one
    Nodes(NodesArgs),
    /// Prices of models: list, show, explain, check, set, refresh
    Pricing(Box<PricingArgs>),
    /// Print the JSON Schema of workflow files
    Schema(SchemaArgs),
    /// Send the telemetry that OTLP receivers could not take before runs ended
    Flush(FlushArgs),
    /// Budgets across runs: so much a day, week or month, for everything or for a workflow, model or tag
    Budget(BudgetRulesArgs),
    /// Show what the response cache holds and saved, or empty it
    Cache(CacheArgs),
    /// Delete runs for good: history and saved traces
    Forget(ForgetArgs),
    /// The history's file: check, vacuum, backup, retain, path
    Db(DbArgs),
    /// Run a demonstration: a real workflow against a model server inside this process
    Demo(DemoArgs),
    /// Print the flow that all telemetry goes through
    Pipeline(PipelineArgs),
    /// Say which traces a sampling rate keeps, as every OpenTelemetry program would
    Sample(SampleArgs),
    /// Show every setting, its value and where it comes from
    Config(ConfigArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

const RUN_EXAMPLES: &str = "\
Examples:
  flowmeter run hello.json
  flowmeter run report.pflow.md                         (a workflow in Markdown)
  flowmeter run summarize.json file=notes.txt words=50
  flowmeter run triage.json 'tags=[\"db\", \"web\"]' --output-format json
  flowmeter run weekly-report week=12                   (a saved workflow; a file of that name wins)
  cat notes.txt | flowmeter run summarize.json          (the input with `stdin: true` takes it)
  flowmeter run report.json -o summary --quiet > summary.txt
  flowmeter run report.json --dry-run                   (what it would do and cost; nothing is run)
  flowmeter run report.json --cache                     (the same request is asked only once)
  flowmeter run report.json --max-cost 0.50             (stops before it costs more; exit code 3)
  flowmeter run report.json --trace                     (tree on stderr, and the trace file)
  flowmeter run report.json --log-level info,genai=debug        (log lines as they come)
  flowmeter run \"summarize notes.txt in three lines\"        (plans a workflow; asks before it runs)
  flowmeter run \"summarize the notes\" file=notes.txt --yes --save summarize-notes
  flowmeter run report.json --tag team=search --session chat-42     (to find it by in the history)
  flowmeter run report.json --sample 10% --keep-errors --keep-slower-than 30s

A first argument with white space in it that is no file, and does not begin like a path (/, ./, ../,
~/), is a request in words: a saved workflow that fits is run, else a new one is made, shown, and
run when you say yes. Without a terminal a new workflow runs with --yes only. `flowmeter plan` only
plans.

The result goes to stdout, everything else to stderr. When a run fails or is interrupted, its
trace is saved without being asked; `flowmeter show FILE` renders it.

TRACEPARENT, TRACESTATE and BAGGAGE in the environment make the run part of that trace. Nodes hand
the trace on to the processes and servers that they call, unless they say `propagate: false`.";

/// `flowmeter run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// The workflow file, JSON or Markdown (.pflow.md, .flow.md), the name of a saved workflow, or a request in words
    #[arg(value_name = "FILE|NAME|REQUEST")]
    pub(crate) file: PathBuf,
    /// Inputs of the workflow; numbers, true/false, [lists] and {objects} are read as such
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) inputs: Vec<String>,
    /// Print this output of the workflow instead of the one it chooses
    #[arg(short = 'o', long = "output", value_name = "KEY")]
    pub(crate) output: Option<String>,
    /// Check everything and print the plan instead of running: nodes, calls, and what to expect in money and time
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Go on without asking: where `warn_cost` would ask, and before a workflow that was just planned
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
    /// Save the workflow that was planned under this name
    #[arg(long, value_name = "NAME")]
    pub(crate) save: Option<String>,
    /// Print the planner's part of the trace as a tree on stderr at the end, and keep the trace file
    #[arg(long)]
    pub(crate) trace_planner: bool,
    #[command(flatten)]
    pub(crate) shown: RunOutputArgs,
    #[command(flatten)]
    pub(crate) caching: CachingArgs,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryArgs,
}

/// The flags that `run` and `demo` share.
#[derive(Debug, Default, Args)]
pub(crate) struct RunOutputArgs {
    /// How the result is printed [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output_format: Option<OutputFormat>,
    /// Print the trace as a tree on stderr at the end, and keep the trace file
    #[arg(long)]
    pub(crate) trace: bool,
    /// Keep the trace, in this file
    #[arg(long, value_name = "PATH", value_parser = PathBufValueParser::new().try_map(trace_path))]
    pub(crate) trace_file: Option<PathBuf>,
    /// How much content the trace holds [default: limited]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) capture: Option<CaptureArg>,
    /// The model of the planner, and of `llm` nodes that name none
    #[arg(short = 'm', long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Print the result and errors only: no progress, no summary, no warnings
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
    /// Show no progress on the terminal while the workflow runs
    #[arg(long)]
    pub(crate) no_progress: bool,
}

/// The file of a trace; the name that other tools have for standard output is none.
fn trace_path(path: PathBuf) -> Result<PathBuf, &'static str> {
    if path.as_os_str() == "-" {
        return Err("standard output is for the result; name a file");
    }
    Ok(path)
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// The result as it is; a summary on stderr
    #[default]
    Text,
    /// One JSON object with result and metrics
    Json,
}

/// How much content a trace holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CaptureArg {
    /// Everything at its full length
    Full,
    /// Prompts, responses and values up to their limits
    Limited,
    /// Names, times, counts and costs, but no content
    Metadata,
    /// No trace at all; metrics are still counted
    Off,
}

/// How a trace or a description is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ViewFormat {
    /// For reading
    #[default]
    Human,
    /// For programs
    Json,
}

const VALIDATE_EXAMPLES: &str = "\
Examples:
  flowmeter validate summarize.json report.pflow.md
  flowmeter validate workflows/*.json --output-format json
  flowmeter validate weekly-report                (a saved workflow)

Every problem of every file is printed with its line and column. Exits with 2 if a file is invalid.";

/// `flowmeter validate`.
#[derive(Debug, Args)]
#[command(after_help = VALIDATE_EXAMPLES)]
pub(crate) struct ValidateArgs {
    /// The workflow files, or names of saved workflows
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How the findings are printed [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output_format: Option<OutputFormat>,
}

const NODES_EXAMPLES: &str = "\
Examples:
  flowmeter nodes
  flowmeter nodes llm
  flowmeter nodes --format json";

/// `flowmeter nodes`.
#[derive(Debug, Args)]
#[command(after_help = NODES_EXAMPLES)]
pub(crate) struct NodesArgs {
    /// The node type to describe; all are listed without it
    #[arg(value_name = "TYPE")]
    pub(crate) node_type: Option<String>,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: ViewFormat,
}

const SCHEMA_EXAMPLES: &str = "\
Examples:
  flowmeter schema > workflow.schema.json
  (then begin a workflow with {\"$schema\": \"./workflow.schema.json\", … and the editor checks it)";

/// `flowmeter schema`.
#[derive(Debug, Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub(crate) struct SchemaArgs {}

const DEMO_EXAMPLES: &str = "\
Examples:
  flowmeter demo
  flowmeter demo --output-format json
  flowmeter demo --quiet --trace-file demo.json

The model is a demo model: a small server with the interface of OpenAI's. It runs inside this
process on the loopback address, answers the same each time and has a price of its own.
No key, no network.";

/// `flowmeter demo`.
#[derive(Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub(crate) struct DemoArgs {
    /// How the result is printed [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output_format: Option<OutputFormat>,
    /// Keep the trace, in this file
    #[arg(long, value_name = "PATH", value_parser = PathBufValueParser::new().try_map(trace_path))]
    pub(crate) trace_file: Option<PathBuf>,
    /// Print the result and errors only: no tree, no progress, no summary
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
}

const CONFIG_EXAMPLES: &str = "\
Examples:
  flowmeter config
  FLOWMETER_TRACES_KEEP=50 flowmeter config

A config.toml with every key:
  model = \"openai/gpt-4o-mini\"
  output_format = \"text\"
  progress = \"auto\"
  warn_cost = 1.00           (dollars; asks before a run that may cost more)
  [planner]
  timeout = \"120s\"           (of one LLM call)
  [budget]
  max_cost = 0.50            (dollars a run; max_tokens and max_llm_calls likewise)
  allow_unpriced = false
  [capture]
  level = \"limited\"
  prompt_chars = 50000
  response_chars = 20000
  value_chars = 10000
  [redact]
  patterns = [\"ACME-[0-9]{6}\"]
  [sampling]
  rate = 1.0                 (or \"10%\", \"1/10\")
  keep_errors = false
  keep_slower_than = \"\"      (such as \"2s\")
  keep_dearer_than = \"\"      (dollars, such as 0.05)
  [log]
  level = \"info,hyper=off\"
  format = \"human\"
  lines_per_span = 1000
  [export]
  backends = [\"otlp\", \"jsonl=/var/log/flowmeter.jsonl\"]
  semconv = \"latest\"
  exit_timeout = \"5s\"
  rotate_size = \"100MB\"       (of files; rotate_age such as \"7d\")
  rotate_keep = 5
  [traces]
  keep = 200
  [history]
  enabled = true             (FLOWMETER_HISTORY=0 or --no-history: not this run)
  [retention]                (without it the history is kept for ever)
  payloads = \"30d\"           (prompts, answers, attributes, logs)
  runs = \"400d\"
  max_size = \"5GB\"
  [cache]
  enabled = false            (true: as --cache)
  ttl = \"7d\"
  max_size = \"256MiB\"
  [inputs]
  team = \"platform\"        (for workflows that get this input from nowhere else)";

/// `flowmeter config`.
#[derive(Debug, Args)]
#[command(after_help = CONFIG_EXAMPLES)]
pub(crate) struct ConfigArgs {
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: ViewFormat,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  flowmeter completions bash > ~/.local/share/bash-completion/completions/flowmeter
  flowmeter completions zsh > ~/.zfunc/_flowmeter
  flowmeter completions fish > ~/.config/fish/completions/flowmeter.fish";

/// `flowmeter completions`.
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests;
