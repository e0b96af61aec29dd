//! The arguments of the commands that look into the history: `runs`, `show`, `logs`, `search`, `state`, `diff`.
//!
//! Never acts on them: the commands do.

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};
use flowmeter_model::LogLevel;
use flowmeter_store::{RunOrder, SearchPlace};

use super::{RunFilterArgs, ViewFormat};

const RUNS_EXAMPLES: &str = "\
Examples:
  flowmeter runs                                    the newest runs
  flowmeter runs --status failed --since 2d
  flowmeter runs -w report --slower-than 30s --sort duration
  flowmeter runs --tag env=prod --min-cost 0.05 --sort cost --limit 10
  flowmeter runs --json --limit 0 | jq -r '.[] | select(.cost_status != \"priced\") | .run'

The table fits the terminal; piped it has every column in full. Costs are rounded: `~` is an
estimate, `≥` a lower bound, for some calls have no price. --json is exact. A run that goes on shows
its time so far.";

/// `flowmeter runs`.
#[derive(Debug, Args)]
#[command(after_help = RUNS_EXAMPLES)]
pub(crate) struct RunsArgs {
    #[command(flatten)]
    pub(crate) runs: RunFilterArgs,
    /// What comes first: the newest, the slowest, the dearest, the one with the most tokens; or by workflow
    #[arg(long, value_name = "KEY", default_value = "started")]
    pub(crate) sort: RunSort,
    /// At most so many runs; 0: all [default: what fits the terminal, at least 10; piped 50]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

/// By what runs are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunSort {
    /// The newest first
    #[default]
    Started,
    /// The slowest first
    Duration,
    /// The dearest first
    Cost,
    /// The most tokens first
    Tokens,
    /// By name
    Workflow,
}

impl RunSort {
    /// The order that the store knows.
    pub(crate) fn order(self) -> RunOrder {
        match self {
            Self::Started => RunOrder::Started,
            Self::Duration => RunOrder::Duration,
            Self::Cost => RunOrder::Cost,
            Self::Tokens => RunOrder::Tokens,
            Self::Workflow => RunOrder::Workflow,
        }
    }
}

const SHOW_EXAMPLES: &str = "\
Examples:
  flowmeter show last                       the newest run, as a tree
  flowmeter show last~1                     the one before it
  flowmeter show last-failed                the newest one that failed
  flowmeter show 4bf92f35                   a run by the beginning of its id
  flowmeter show last --node summarize      prompt, answer, parameters, writes, cost of a node
  flowmeter show last --node outer/inner --nth 2
  flowmeter show last --json | jq '.metrics.tokens'
  flowmeter show last --otlp > trace.otlp.json
  flowmeter show ~/.flowmeter/traces/20250115T103045.120Z-summarize-4bf92f35….json

Runs are looked up in the history, then among the saved trace files. A path means that file alone.";

/// `flowmeter show`.
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// The beginning of a run's id, `last`, `last~1`, `last-failed`, or a trace file
    #[arg(value_name = "RUN")]
    pub(crate) trace: String,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: ViewFormat,
    /// Print the trace as JSON (as --format json)
    #[arg(long, conflicts_with = "otlp")]
    pub(crate) json: bool,
    /// Print the spans as OTLP/JSON, as an OpenTelemetry receiver takes them
    #[arg(long, conflicts_with = "node")]
    pub(crate) otlp: bool,
    /// Only this node, in detail: its id, its path (outer/inner), or the id of any span
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Of a node that ran several times this time, from 1 [default: the last]
    #[arg(long, value_name = "N", requires = "node", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) nth: Option<u64>,
    /// Show texts and values of the node whole
    #[arg(long, requires = "node")]
    pub(crate) full: bool,
}

impl ShowArgs {
    /// Whether JSON is wanted, by whichever flag.
    pub(crate) fn is_json(&self) -> bool {
        self.json || self.format == ViewFormat::Json
    }
}

const LOGS_EXAMPLES: &str = "\
Examples:
  flowmeter logs last
  flowmeter logs last --level warn
  flowmeter logs last -f                            (goes on as long as the run does)
  flowmeter logs --since 1h --grep timeout          (of all runs)
  flowmeter logs -w report --status failed --level error --json | jq -r .message

Here --since and --until mean the times of the lines.";

/// `flowmeter logs`.
#[derive(Debug, Args)]
#[command(after_help = LOGS_EXAMPLES)]
pub(crate) struct LogsArgs {
    /// The beginning of a run's id, `last`, `last~1` or `last-failed`; without it the lines of all runs
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Only lines as grave as this: trace, debug, info, warn, error
    #[arg(long, value_name = "LEVEL")]
    pub(crate) level: Option<LogLevel>,
    /// Only lines whose message contains this, in any case of letters
    #[arg(long, value_name = "TEXT")]
    pub(crate) grep: Option<String>,
    /// Only lines from here: the beginning of a target, such as shell or my_crate::db
    #[arg(long, value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// Print new lines as they come, until the run ends
    #[arg(short = 'f', long, requires = "run")]
    pub(crate) follow: bool,
    /// At most so many lines, the newest ones; 0: all [default: all of one run, 1000 of many]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) runs: RunFilterArgs,
}

const SEARCH_EXAMPLES: &str = "\
Examples:
  flowmeter search \"connection refused\"
  flowmeter search '\"rate limit\" retry'              the phrase, and the word, in the same place
  flowmeter search 会议记录 --in prompt,response
  flowmeter search 7f3a --substring --in log         also inside words
  flowmeter search invoice -w billing --since 1w --json | jq -r '.[].run'

Words match in any order and case, in prompts, answers, logs, errors, attributes (parameters and
template values among them) and writes to the shared store.";

/// `flowmeter search`.
#[derive(Debug, Args)]
#[command(after_help = SEARCH_EXAMPLES)]
pub(crate) struct SearchArgs {
    /// Words to look for; in double quotes a phrase
    #[arg(value_name = "TEXT", required = true, num_args = 1..)]
    pub(crate) text: Vec<String>,
    /// Look for exactly this row of characters, also inside words; in any case
    #[arg(long)]
    pub(crate) substring: bool,
    /// Only in these places: prompt, response, log, error, attribute, mutation
    #[arg(long = "in", value_name = "PLACE", value_delimiter = ',', value_parser = places())]
    pub(crate) places: Vec<SearchPlace>,
    /// At most so many hits, the newest
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) runs: RunFilterArgs,
}

fn places() -> impl TypedValueParser<Value = SearchPlace> {
    PossibleValuesParser::new(["prompt", "response", "log", "error", "attribute", "mutation"])
        .try_map(|name| SearchPlace::of_name(&name).ok_or_else(|| format!("`{name}` is no place")))
}

const STATE_EXAMPLES: &str = "\
Examples:
  flowmeter state last                              the shared store at the end
  flowmeter state last --at summarize               as it was when that node had ended
  flowmeter state last --at summarize --diff        what that node changed
  flowmeter state last --at outer/inner --nth 2     in the store of a nested workflow
  flowmeter state last --who fetch.response         which node last wrote it, and all who did
  flowmeter state last --at summarize --json | jq .state";

/// `flowmeter state`.
#[derive(Debug, Args)]
#[command(after_help = STATE_EXAMPLES)]
pub(crate) struct StateArgs {
    /// The beginning of a run's id, `last`, `last~1` or `last-failed`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// After this node: its id, its path (outer/inner), or a span's id [default: at the end of the run]
    #[arg(long, value_name = "NODE")]
    pub(crate) at: Option<String>,
    /// Of a node that ran several times this time, from 1 [default: the last]
    #[arg(long, value_name = "N", requires = "at", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) nth: Option<u64>,
    /// What the node changed, against what was there before
    #[arg(long, requires = "at", conflicts_with = "who")]
    pub(crate) diff: bool,
    /// Who wrote this key: the last one and all before
    #[arg(long, value_name = "KEY")]
    pub(crate) who: Option<String>,
    /// Show values whole
    #[arg(long)]
    pub(crate) full: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  flowmeter diff last~1 last
  flowmeter diff 4bf92f35 00aa11bb --node summarize
  flowmeter diff last-failed last --json | jq '.nodes[] | select(.change != \"same\")'

Nodes are matched by their path and by which time they ran. Exits with 0 also where runs differ.";

/// `flowmeter diff`.
#[derive(Debug, Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub(crate) struct DiffArgs {
    /// The run to compare with: the beginning of its id, `last~1`, …
    #[arg(value_name = "RUN")]
    pub(crate) before: String,
    /// The run that is compared
    #[arg(value_name = "RUN")]
    pub(crate) after: String,
    /// Only this node, by its id or its path (outer/inner)
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Show texts and values whole
    #[arg(long)]
    pub(crate) full: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
