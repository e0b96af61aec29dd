//! `flowmeter pricing …` on the command line.
//!
//! Never acts on an argument.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use flowmeter_model::{TimestampNs, UsdNanos};

use super::ViewFormat;
use crate::amounts;

const EXAMPLES: &str = "\
Examples:
  flowmeter pricing list sonnet                   # what is known of models with this in their names
  flowmeter pricing show claude-sonnet-4-5        # every rate of one model
  flowmeter pricing explain last                  # why the newest saved run cost what it cost
  flowmeter pricing explain --model gpt-4o --input 1200 --output 300
  flowmeter pricing set my-model --input 0.15 --output 0.60 --per 1M
  flowmeter pricing check                         # look for mistakes in ~/.flowmeter/pricing.json
  flowmeter pricing refresh prices.json           # use a newer price file

Prices are looked for in this order: the cost that the provider reports, your own
~/.flowmeter/pricing.json, a refreshed price file, the prices that came with flowmeter. A model that
is in none of them is unpriced, and never free.";

/// `flowmeter pricing`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PricingArgs {
    #[command(subcommand)]
    pub(crate) command: PricingCommand,
}

/// What to do with prices.
#[derive(Debug, Subcommand)]
pub(crate) enum PricingCommand {
    /// List models and what they cost
    List(ListPricesArgs),
    /// Show everything that is known of one model's price
    Show(ShowPriceArgs),
    /// Say why a run, or a call of this size, costs what it costs
    Explain(Box<ExplainArgs>),
    /// Look for mistakes in a price file
    Check(CheckPricesArgs),
    /// Write the price of a model into ~/.flowmeter/pricing.json
    Set(Box<SetPriceArgs>),
    /// Use a newer price file of genai-prices or LiteLLM
    Refresh(RefreshPricesArgs),
}

/// How it is printed.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct PricingViewArgs {
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: ViewFormat,
    /// The same as --format json
    #[arg(long)]
    json: bool,
}

impl PricingViewArgs {
    /// Whether it is for programs.
    pub(crate) fn is_json(self) -> bool {
        self.json || self.format == ViewFormat::Json
    }
}

const LIST_EXAMPLES: &str = "\
Examples:
  flowmeter pricing list
  flowmeter pricing list sonnet
  flowmeter pricing list --provider anthropic --json | jq '.[].model'

Rates are dollars per million tokens. Your own prices and refreshed ones are marked by their source.";

/// `flowmeter pricing list`.
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct ListPricesArgs {
    /// Only models with this in their names
    #[arg(value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Only models of this provider
    #[arg(short = 'p', long, value_name = "PROVIDER")]
    pub(crate) provider: Option<String>,
    #[command(flatten)]
    pub(crate) view: PricingViewArgs,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  flowmeter pricing show claude-sonnet-4-5
  flowmeter pricing show gemini-2.5-pro --provider google
  flowmeter pricing show deepseek/deepseek-chat --at 2025-06-01T17:00:00Z

Exit codes: 0 a price is known, 1 none is known; the nearest names are told.";

/// `flowmeter pricing show`.
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct ShowPriceArgs {
    /// The model, as a workflow or a provider names it
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// Who serves it
    #[arg(short = 'p', long, value_name = "PROVIDER")]
    pub(crate) provider: Option<String>,
    /// At this time, such as 2025-06-01 or 2025-06-01T17:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = amounts::time)]
    pub(crate) at: Option<TimestampNs>,
    #[command(flatten)]
    pub(crate) view: PricingViewArgs,
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  flowmeter pricing explain last                  # each call of the newest saved run, and the sum
  flowmeter pricing explain 4bf92f35 --json
  flowmeter pricing explain --model claude-sonnet-4-5 --input 1400 --cache-read 1024 \\
      --cache-write 150 --cache-write-1h 50 --output 300 --web-searches 2
  flowmeter pricing explain --model gpt-4o --input 1000 --output 200 --service-tier batch
  flowmeter pricing explain --model deepseek-chat --input 1000 --output 200 \\
      --at 2025-06-01T17:00:00Z

--input is all input, cached tokens included, and --output all output, reasoning included: as
providers and flowmeter's results count them. Where the parts come to more than the whole, they are
taken to stand beside it, and that is said. --uncached-input is what was neither read from nor
written to a cache.

Exit codes: 0 it is explained, 1 no price is known for --model (the nearest names are told), 4 there
is no such trace.";

/// `flowmeter pricing explain`.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
#[command(group = clap::ArgGroup::new("what").args(["run", "model"]).required(true))]
pub(crate) struct ExplainArgs {
    /// A trace file, the beginning of a saved trace's id, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Explain a call to this model instead
    #[arg(short = 'm', long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) call: CallArgs,
    #[command(flatten)]
    pub(crate) view: PricingViewArgs,
}

/// A call that was perhaps never made.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "The call (with --model)")]
pub(crate) struct CallArgs {
    /// Who serves it
    #[arg(short = 'p', long, value_name = "PROVIDER", requires = "model")]
    pub(crate) provider: Option<String>,
    /// Input tokens, cached ones included
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) input: Option<u64>,
    /// Input tokens that were neither read from nor written to a cache
    #[arg(long, value_name = "N", requires = "model", conflicts_with = "input")]
    pub(crate) uncached_input: Option<u64>,
    /// Output tokens, reasoning included
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) output: Option<u64>,
    /// Input tokens read from the provider's cache
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) cache_read: Option<u64>,
    /// Input tokens written to the provider's cache, for the usual five minutes
    #[arg(long, alias = "cache-write-5m", value_name = "N", requires = "model")]
    pub(crate) cache_write: Option<u64>,
    /// Input tokens written to the provider's cache for one hour
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) cache_write_1h: Option<u64>,
    /// Output tokens spent on reasoning
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) reasoning: Option<u64>,
    /// Audio tokens in the input
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) input_audio: Option<u64>,
    /// Image tokens in the input
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) input_image: Option<u64>,
    /// Audio tokens in the output
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) output_audio: Option<u64>,
    /// Web searches that the provider ran
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) web_searches: Option<u64>,
    /// So many calls like this one
    #[arg(long, value_name = "N", default_value = "1", requires = "model", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) requests: u32,
    /// batch, flex, priority, … [default: standard]
    #[arg(long, value_name = "TIER", requires = "model")]
    pub(crate) service_tier: Option<String>,
    /// When the call starts, such as 2025-06-01 or 2025-06-01T17:00:00Z [default: now]
    #[arg(long, value_name = "TIME", requires = "model", value_parser = amounts::time)]
    pub(crate) at: Option<TimestampNs>,
    /// The cost that the provider reports, in dollars: it goes before every price
    #[arg(long, value_name = "USD", requires = "model", value_parser = amounts::usd)]
    pub(crate) reported_cost: Option<UsdNanos>,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  flowmeter pricing check                   # ~/.flowmeter/pricing.json
  flowmeter pricing check prices.json --json
  cat prices.json | flowmeter pricing check -

Each finding has its line and column. Exit codes: 0 no error (there may be warnings), 2 errors,
4 there is no such file.";

/// `flowmeter pricing check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckPricesArgs {
    /// The price file, or `-` for standard input [default: ~/.flowmeter/pricing.json]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) view: PricingViewArgs,
}

/// What a rate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RatePer {
    /// Dollars per thousand tokens
    #[value(name = "1K", alias = "1k")]
    Thousand,
    /// Dollars per million tokens, as price lists have it
    #[value(name = "1M", alias = "1m")]
    Million,
}

const SET_EXAMPLES: &str = "\
Examples:
  flowmeter pricing set my-model --input 0.15 --output 0.60 --per 1M
  flowmeter pricing set openai/gpt-4o --input 0.0025 --output 0.01
  flowmeter pricing set my-model --cache-read 0.015 --per 1M   # the other rates stay
  flowmeter pricing set my-model --input 0 --output 0          # a model that costs nothing
  flowmeter pricing set my-model --remove

Rates are dollars per 1,000 tokens, as pricing.json has them, unless --per 1M is given. What stands
in the file beside this model stays as it is.";

/// `flowmeter pricing set`.
#[derive(Debug, Args)]
#[command(after_help = SET_EXAMPLES)]
#[command(group = clap::ArgGroup::new("change").multiple(true).required(true)
    .args(["input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning", "input_audio", "input_image",
           "output_audio", "output_image", "web_search", "request", "max_output_tokens", "remove"]))]
pub(crate) struct SetPriceArgs {
    /// The model, or provider/model
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// Input tokens
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) input: Option<String>,
    /// Output tokens
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) output: Option<String>,
    /// Input tokens read from the provider's cache [default: as input]
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) cache_read: Option<String>,
    /// Input tokens written to the provider's cache [default: as input]
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) cache_write: Option<String>,
    /// Input tokens written to the cache for one hour [default: as --cache-write]
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) cache_write_1h: Option<String>,
    /// Output tokens spent on reasoning [default: as output]
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) reasoning: Option<String>,
    /// Audio tokens in the input [default: as input]
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) input_audio: Option<String>,
    /// Image tokens in the input [default: as input]
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) input_image: Option<String>,
    /// Audio tokens in the output [default: as output]
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) output_audio: Option<String>,
    /// Image tokens in the output [default: as output]
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) output_image: Option<String>,
    /// One web search, whatever --per says
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) web_search: Option<String>,
    /// One request, whatever --per says
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub(crate) request: Option<String>,
    /// The most output tokens that a call can give; budgets count with them
    #[arg(long, value_name = "N")]
    pub(crate) max_output_tokens: Option<u64>,
    /// What the rates are for
    #[arg(long, value_name = "UNIT", default_value = "1K", ignore_case = true)]
    pub(crate) per: RatePer,
    /// Take the model out of the file
    #[arg(long, conflicts_with_all = ["input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning",
        "input_audio", "input_image", "output_audio", "output_image", "web_search", "request", "max_output_tokens"])]
    pub(crate) remove: bool,
    #[command(flatten)]
    pub(crate) view: PricingViewArgs,
}

const REFRESH_EXAMPLES: &str = "\
Examples:
  flowmeter pricing refresh prices.json
  flowmeter pricing refresh \\
      https://raw.githubusercontent.com/pydantic/genai-prices/main/prices/data.json
  flowmeter pricing refresh model_prices_and_context_window.json    # LiteLLM's
  flowmeter pricing refresh --reset                                 # back to the bundled prices

The file is read and checked before it replaces anything, and is kept in ~/.flowmeter. Models that
it does not have keep their bundled prices; your own pricing.json goes before both.

Exit codes: 0 done, 2 it is no price file, 4 it is not there or cannot be fetched.";

/// `flowmeter pricing refresh`.
#[derive(Debug, Args)]
#[command(after_help = REFRESH_EXAMPLES)]
#[command(group = clap::ArgGroup::new("from").args(["source", "reset"]).required(true))]
pub(crate) struct RefreshPricesArgs {
    /// A price file of genai-prices or LiteLLM: a file or a http(s) address
    #[arg(value_name = "FILE|URL")]
    pub(crate) source: Option<String>,
    /// Forget the refreshed prices
    #[arg(long)]
    pub(crate) reset: bool,
    /// Give up fetching after this time, such as 10s or 2m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = amounts::duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) view: PricingViewArgs,
}
