//! Sums and percentiles over many runs: what is asked, and what comes back.
//!
//! Never takes an unknown cost for zero: sums say how many calls they could not price.

use flowmeter_model::{CostTotal, SpanKind, SpanStatus, TimestampNs};
use smol_str::SmolStr;

use crate::{RunFilter, TokenSums};

pub use crate::codec::sketch::LatencySketch;

/// By what the sums are kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// By the model of LLM calls.
    Model,
    /// By who answered LLM calls.
    Provider,
    /// By the workflow of the run.
    Workflow,
    /// By the node, as `workflow/node`.
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
    /// A series of so many equal steps from the first to the last moment for each row: for trends. 0: none.
    pub trend_steps: usize,
    /// How far local time is east of UTC, in seconds: hours and days begin there.
    pub utc_offset_seconds: i32,
}

/// Which runs and spans count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatsFilter {
    /// Runs; a condition on single runs (tags, session, user, cost, duration) makes the query go over spans rather
    /// than over sums.
    pub runs: RunFilter,
    /// LLM calls to these models.
    pub models: Vec<String>,
    /// LLM calls answered by these.
    pub providers: Vec<String>,
    /// These nodes.
    pub nodes: Vec<String>,
}

/// What a group came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatsSums {
    /// Runs that ended.
    pub runs: u64,
    /// Of these, those that did not end well.
    pub runs_failed: u64,
    /// Node executions.
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
    /// How long whole runs took.
    pub run_duration: LatencySketch,
    /// How long nodes took.
    pub node_duration: LatencySketch,
    /// How long LLM calls took.
    pub llm_duration: LatencySketch,
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

/// What a sum is kept apart by, at the finest: one hour's spans of one kind with all of these equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RollUpKey {
    /// The workflow of the run.
    pub(crate) workflow: SmolStr,
    /// The node.
    pub(crate) node: SmolStr,
    /// The model.
    pub(crate) model: SmolStr,
    /// The provider.
    pub(crate) provider: SmolStr,
}

/// Whether a span counts in roll-ups: attempts, items and rounds are parts of nodes, which count.
pub(crate) fn counts(kind: SpanKind) -> bool {
    matches!(kind, SpanKind::Run | SpanKind::Node | SpanKind::LlmCall)
}

/// Whether it ended badly.
pub(crate) fn is_failure(status: SpanStatus) -> bool {
    status != SpanStatus::Ok
}
