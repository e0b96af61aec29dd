//! The flags about the response cache, and `flowmeter cache` on the command line.
//!
//! Never acts on an argument.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::ViewFormat;
use crate::amounts;

/// Whether a run uses answers again.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct CachingArgs {
    /// Use earlier answers to the same requests again, in every `llm` node that does not say `cache: false`
    #[arg(long)]
    pub(crate) cache: bool,
    /// Use no answer again and keep none, whatever nodes, settings and --cache say
    #[arg(long)]
    pub(crate) no_cache: bool,
}

const EXAMPLES: &str = "\
Examples:
  flowmeter run report.json --cache        ask every model the same thing only once
  flowmeter cache stats                    what is kept, and what it saved so far
  flowmeter cache clear --older-than 2d

Answers of `llm` nodes with `cache: true`, or of all of them with --cache, are kept in
~/.flowmeter/cache/responses for 7 days (`cache.ttl`), up to 256 MiB (`cache.max_size`), in
files that only you can read. Prompts are not kept, only their hashes.";

/// `flowmeter cache`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    pub(crate) action: CacheAction,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheAction {
    /// Show what is kept, how often it was used and what that saved
    Stats(CacheStatsArgs),
    /// Remove answers
    Clear(CacheClearArgs),
}

const STATS_EXAMPLES: &str = "\
Examples:
  flowmeter cache stats
  flowmeter cache stats --json | jq .hit_rate

Hits, misses and what was saved are those of all runs since the first one that used the cache.";

/// `flowmeter cache stats`.
#[derive(Debug, Args)]
#[command(after_help = STATS_EXAMPLES)]
pub(crate) struct CacheStatsArgs {
    /// Print JSON, as --format json does
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: ViewFormat,
}

const CLEAR_EXAMPLES: &str = "\
Examples:
  flowmeter cache clear                             everything
  flowmeter cache clear --older-than 2d
  flowmeter cache clear --model gpt-4o-mini --yes

On a terminal it asks before it removes anything, elsewhere it does not. Figures about earlier
runs stay.";

/// `flowmeter cache clear`.
#[derive(Debug, Args)]
#[command(after_help = CLEAR_EXAMPLES)]
pub(crate) struct CacheClearArgs {
    /// Only answers that are older than this, such as 2d or 12h
    #[arg(long, value_name = "AGE", value_parser = amounts::duration)]
    pub(crate) older_than: Option<Duration>,
    /// Only answers of this model
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
