//! Sums and percentiles over many runs: what is asked, and what comes back.
//!
//! Never takes an unknown cost for zero: sums say how many calls they could not price.

use flowmeter_model::{CostTotal, TimestampNs, UsdNanos};
use smol_str::SmolStr;

use crate::{RunFilter, TokenSums};

pub use crate::codec::sketch::LatencySketch;

/// By what the sums are kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// By the model of LLM calls; nothing else counts.
    Model,
    /// By who answered LLM calls; nothing else counts.
    Provider,
    /// By the workflow of the run.
    Workflow,
    /// By the node, as `workflow/node`; LLM calls outside nodes stand under their workflow alone, and runs do not count.
    Node,
    /// By hour, in the zone that the query names.
    Hour,
    /// By day, in the zone that the query names.
    Day,
    /// By the value of this tag.
    Tag(String),
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatsQuery {
    /// Kept apart by this; all in one row where there is none.
    pub by: Option<GroupBy>,
    /// Of these.
    pub filter: StatsFilter,
    /// A series of so many steps from the first to the last moment for each row, for trends: from [`RunFilter::since`],
    /// else the first span that counts, to [`RunFilter::until`], else the last span. Steps are equal, and whole
    /// days of UTC where the time has as many, else whole half-hours where it has as many of these. 0: none. Hours and days have none.
    pub trend_steps: usize,
    /// How far local time is east of UTC, in seconds: hours and days begin there.
    pub utc_offset_seconds: i32,
}

/// Which runs and spans count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatsFilter {
    /// Runs; a condition on single runs (all but the workflow and the times) makes the query go over spans rather than
    /// over sums. `since` and `until` are about when each span began.
    pub runs: RunFilter,
    /// LLM calls to these models; nothing else counts then.
    pub models: Vec<String>,
    /// LLM calls answered by these; nothing else counts then.
    pub providers: Vec<String>,
    /// These nodes (as in [`crate::SpanRow::node`]) and the LLM calls in them; runs do not count then.
    pub nodes: Vec<String>,
}

/// What a group came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatsSums {
    /// Runs whose root span ended.
    pub runs: u64,
    /// Of these, those that did not end well.
    pub runs_failed: u64,
    /// Node executions whose spans were kept; of a run that was not sampled these are the failed ones.
    pub nodes: u64,
    /// Of these, those that did not end well.
    pub nodes_failed: u64,
    /// LLM calls.
    pub llm_calls: u64,
    /// Of these, those that did not end well.
    pub llm_calls_failed: u64,
    /// Answers from our response cache.
    pub cache_hits: u64,
    /// Tokens of LLM calls.
    pub tokens: TokenSums,
    /// Cost of LLM calls. Models without a price are not named here.
    pub cost: CostTotal,
    /// What the response cache saved.
    pub saved: CostTotal,
    /// What the providers' own caches saved, as far as it is known, less what writing to them cost.
    pub provider_saved: UsdNanos,
    /// How long whole runs took.
    pub run_duration: LatencySketch,
    /// How long nodes took.
    pub node_duration: LatencySketch,
    /// How long LLM calls took.
    pub llm_duration: LatencySketch,
}

impl StatsSums {
    /// Adds other sums.
    pub fn merge(&mut self, other: &Self) {
        crate::rules::sums::merge(self, other);
    }
}

/// One row of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsRow {
    /// The value that it is grouped by; empty where there is no grouping or the value is not known.
    pub group: SmolStr,
    /// Hours and days: when they begin.
    pub begins: Option<TimestampNs>,
    /// The sums.
    pub sums: StatsSums,
    /// The sums of each step, oldest first, where a trend was asked for.
    pub trend: Vec<StatsSums>,
}
