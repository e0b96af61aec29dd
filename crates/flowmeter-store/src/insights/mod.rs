//! What the history says by itself: what is unlike the past, what changed when, where time and money go, and what
//! would save some of both. Each finding with its evidence, its size and a suggestion.
//!
//! Everything that rests on chance is tested, and all tests together are held to one rate of false alarms
//! ([`FALSE_FINDINGS_MAX`]). Where there is not enough to go by, nothing is said but that ([`Shortage`]). Never guesses
//! a price, and never takes an unknown cost for zero.

mod alongside;
mod anomalies;
mod bottlenecks;
mod change_points;
mod faults;
mod gathered;
mod history;
mod models;
mod patterns;
mod payloads;
mod profile;
mod robust;
mod run_scope;
mod sample;
mod seasons;
mod series;
mod sizes;
mod spending;
mod splits;
mod tree;
mod words;

use flowmeter_model::{TimestampNs, UsdNanos};
use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::{RunKey, Store, StoreError};
use gathered::Gathered;
use history::History;

pub use profile::{PathShare, TimeShare};
pub use words::{dollars, seconds};

/// The share of all findings by chance that may be false alarms: one in a thousand.
pub const FALSE_FINDINGS_MAX: f64 = 0.001;

/// So far back history is looked at where nobody says otherwise: 400 days.
const LOOK_BACK_NS: u64 = 400 * DAY_NS;

pub(crate) const DAY_NS: u64 = 86_400_000_000_000;
pub(crate) const SECOND_NS: f64 = 1e9;

/// Whose history is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsightScope {
    /// Every workflow's.
    All,
    /// This workflow's.
    Workflow(String),
    /// This run, beside the earlier runs of its workflow.
    Run(RunKey),
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct InsightQuery {
    /// Whose history.
    pub scope: InsightScope,
    /// Runs that began then or later. Default: 400 days ago.
    pub since: Option<TimestampNs>,
    /// The time now.
    pub now: TimestampNs,
    /// How far local time is east of UTC, in seconds: for hours, weekdays and days.
    pub utc_offset_seconds: i32,
    /// At most so many runs, the newest. Default: 200,000.
    pub runs_max: usize,
    /// At most so many spans, the newest. Default: 1,000,000, which are about 100 MB.
    pub spans_max: usize,
}

impl InsightQuery {
    /// Everything about a scope, with the defaults.
    #[must_use]
    pub fn new(scope: InsightScope, now: TimestampNs, utc_offset_seconds: i32) -> Self {
        Self {
            scope,
            since: None,
            now,
            utc_offset_seconds,
            runs_max: 200_000,
            spans_max: 1_000_000,
        }
    }

    fn begins(&self) -> TimestampNs {
        self.since
            .unwrap_or(TimestampNs(self.now.0.saturating_sub(LOOK_BACK_NS)))
    }
}

/// What a model's tokens cost, in nano-dollars per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelRates {
    /// Input that no cache was concerned with.
    pub input: i64,
    /// Output.
    pub output: i64,
    /// Input read from the provider's cache; `None` where it has none or its price is not known.
    pub cache_read: Option<i64>,
    /// Input written to the provider's cache; `None` where writing costs what input costs.
    pub cache_write: Option<i64>,
}

/// Where prices come from: the store knows none.
pub trait PriceLookup {
    /// What this model's tokens cost at this time; `None` where nobody knows.
    fn rates(&self, provider: &str, model: &str, at: TimestampNs) -> Option<ModelRates>;
}

/// Knows no price.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrices;

impl PriceLookup for NoPrices {
    fn rates(&self, _: &str, _: &str, _: TimestampNs) -> Option<ModelRates> {
        None
    }
}

/// What kind of finding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InsightKind {
    /// The cost of a run, or of a day's runs, is unlike the past.
    CostAnomaly,
    /// The same of the time that runs take.
    LatencyAnomaly,
    /// The same of tokens.
    TokenAnomaly,
    /// On some days more runs failed than usual.
    ErrorAnomaly,
    /// Cost is on another level since a moment.
    CostChange,
    /// Time is on another level since a moment.
    LatencyChange,
    /// Tokens are on another level since a moment.
    TokenChange,
    /// The share of failures is on another level since a moment.
    ErrorChange,
    /// A way through the workflow is taken more or less often since a moment.
    PathChange,
    /// What decides how long a run takes.
    CriticalPath,
    /// Items of a batch wait for a place.
    BatchQueue,
    /// Nodes that wait for each other without need.
    Parallel,
    /// The same prompt is sent again and again.
    RepeatedPrompt,
    /// Prompts begin alike, and no provider cache is used.
    StaticPrefix,
    /// Another model did the same for less.
    CheaperModel,
    /// Answers are far shorter than the limit that is asked for.
    OutputLimit,
    /// Attempts that were paid for and thrown away.
    CostlyRetries,
    /// Models that did the same node differ.
    ModelComparison,
    /// One error follows another.
    ErrorPair,
    /// A way through the workflow goes with failures or with cost.
    PathPattern,
    /// Rounds that change nothing.
    IdleLoop,
}

impl InsightKind {
    /// The name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CostAnomaly => "cost_anomaly",
            Self::LatencyAnomaly => "latency_anomaly",
            Self::TokenAnomaly => "token_anomaly",
            Self::ErrorAnomaly => "error_anomaly",
            Self::CostChange => "cost_change",
            Self::LatencyChange => "latency_change",
            Self::TokenChange => "token_change",
            Self::ErrorChange => "error_change",
            Self::PathChange => "path_change",
            Self::CriticalPath => "critical_path",
            Self::BatchQueue => "batch_queue",
            Self::Parallel => "parallel",
            Self::RepeatedPrompt => "repeated_prompt",
            Self::StaticPrefix => "static_prefix",
            Self::CheaperModel => "cheaper_model",
            Self::OutputLimit => "output_limit",
            Self::CostlyRetries => "costly_retries",
            Self::ModelComparison => "model_comparison",
            Self::ErrorPair => "error_pair",
            Self::PathPattern => "path_pattern",
            Self::IdleLoop => "idle_loop",
        }
    }
}

/// How much it is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Dollars.
    Usd(UsdNanos),
    /// Seconds.
    Seconds(f64),
}

/// What the amount is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// All of it together, within what was looked at.
    Total,
    /// Each run.
    Run,
    /// Each LLM call.
    Call,
    /// Thirty days, at the pace of the last thirty.
    Month,
}

impl Per {
    /// The name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Run => "run",
            Self::Call => "call",
            Self::Month => "30 days",
        }
    }
}

/// The size of a finding: of a saving, a loss or a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// How much.
    pub amount: Amount,
    /// For what.
    pub per: Per,
}

/// A number that a finding rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// What it is, such as `p50_before_s`.
    pub name: SmolStr,
    /// How much.
    pub value: f64,
}

/// A finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Insight {
    /// What kind.
    pub kind: InsightKind,
    /// The workflow.
    pub workflow: SmolStr,
    /// The node, where it is about one.
    pub node: Option<SmolStr>,
    /// In one sentence.
    pub title: String,
    /// How much it is about; `None` where neither price nor time is known.
    pub size: Option<Size>,
    /// The moment that it is about: of a change or an anomaly.
    pub at: Option<TimestampNs>,
    /// What it rests on, in words, a line each.
    pub evidence: Vec<String>,
    /// What it rests on, as numbers.
    pub figures: Vec<Measure>,
    /// Some runs that show it, the most telling first; of a change the last before and the first after.
    pub runs: Vec<RunKey>,
    /// What to do.
    pub suggestion: String,
    /// The chance to see it where nothing is behind it; `None` where it is a plain count and not a matter of chance.
    pub p_value: Option<f64>,
}

impl Insight {
    pub(crate) fn new(kind: InsightKind, workflow: &SmolStr, title: String) -> Self {
        Self {
            kind,
            workflow: workflow.clone(),
            node: None,
            title,
            size: None,
            at: None,
            evidence: Vec::new(),
            figures: Vec::new(),
            runs: Vec::new(),
            suggestion: String::new(),
            p_value: None,
        }
    }

    pub(crate) fn figure(&mut self, name: &'static str, value: f64) {
        self.figures.push(Measure {
            name: SmolStr::new_static(name),
            value,
        });
    }

    /// For the order alone: dollars, with an hour of waiting counted as one.
    fn weight(&self) -> f64 {
        let Some(size) = self.size else { return 0.0 };
        let amount = match size.amount {
            Amount::Usd(amount) => amount.to_usd().abs(),
            Amount::Seconds(seconds) => seconds.abs() / 3600.0,
        };
        match size.per {
            Per::Month | Per::Total => amount,
            Per::Run | Per::Call => amount * 30.0,
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let figures: serde_json::Map<String, Value> = self
            .figures
            .iter()
            .map(|measure| (measure.name.to_string(), json!(measure.value)))
            .collect();
        let size = self.size.map(|size| match size.amount {
            Amount::Usd(amount) => json!({ "usd": amount.to_usd(), "per": size.per.as_str() }),
            Amount::Seconds(seconds) => json!({ "seconds": seconds, "per": size.per.as_str() }),
        });
        json!({
            "kind": self.kind.as_str(),
            "workflow": self.workflow,
            "node": self.node,
            "title": self.title,
            "size": size,
            "at": self.at.map(|at| at.0),
            "evidence": self.evidence,
            "figures": figures,
            "runs": self.runs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "suggestion": self.suggestion,
            "p_value": self.p_value,
        })
    }
}

/// Something that could not be looked at for want of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The workflow.
    pub workflow: SmolStr,
    /// What was not done.
    pub what: &'static str,
    /// How much there is, in words.
    pub has: String,
    /// How much is needed, in words.
    pub needs: String,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookedAt {
    /// Runs.
    pub runs: u64,
    /// Spans.
    pub spans: u64,
    /// The start of the oldest run.
    pub oldest: Option<TimestampNs>,
    /// The start of the newest run.
    pub newest: Option<TimestampNs>,
    /// Whether older runs or spans were left out because there are too many.
    pub is_cut: bool,
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InsightReport {
    /// The findings, the largest first.
    pub insights: Vec<Insight>,
    /// Where the time goes: the shares of nodes in the critical path. No finding, but a description; for a run or a
    /// workflow only.
    pub time: Vec<TimeShare>,
    /// The ways that runs take through the workflow, the most frequent first; for a workflow only.
    pub paths: Vec<PathShare>,
    /// What could not be looked at.
    pub shortages: Vec<Shortage>,
    /// What was looked at.
    pub looked_at: LookedAt,
    /// How many things were tested.
    pub tests: u64,
}

/// Looks for everything that is worth saying. `progress` is told what is done at the moment and how many items of it
/// are behind.
///
/// # Errors
/// When the store cannot be read, and [`StoreError::Invalid`] for a run that it does not have.
pub fn insights(
    store: &dyn Store,
    query: &InsightQuery,
    prices: &dyn PriceLookup,
    progress: &mut dyn FnMut(&'static str, u64),
) -> Result<InsightReport, StoreError> {
    let history = History::load(store, query, progress)?;
    let mut gathered = Gathered::default();
    match &query.scope {
        InsightScope::Run(key) => run_scope::look(store, &history, key, query, prices, &mut gathered)?,
        InsightScope::All | InsightScope::Workflow(_) => {
            for workflow in history.workflows() {
                progress("comparing with the past", u64::from(workflow));
                change_points::look(&history, workflow, query, &mut gathered);
                anomalies::look(&history, workflow, query, &mut gathered);
                models::look(&history, workflow, query, &mut gathered);
                patterns::look(&history, workflow, query, &mut gathered);
                spending::look(&history, workflow, query, &mut gathered);
            }
            progress("reading payloads", 0);
            for workflow in history.workflows() {
                payloads::look(store, &history, workflow, query, prices, &mut gathered)?;
            }
            if let InsightScope::Workflow(_) = query.scope {
                profile::describe(store, &history, &mut gathered)?;
            }
        }
    }
    Ok(gathered.report(&history))
}

#[cfg(test)]
mod tests;
