//! Statistics for people and programs: which figures a grouping has, and how they are written.
//!
//! Never asks the store and never computes a price.

pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod prometheus;
pub(crate) mod table;

use flowmeter_model::{Cost, CostStatus, CostTotal, UsdNanos};
use flowmeter_store::{GroupBy, LatencySketch, StatsQuery, StatsRow, StatsSums};

use crate::args::Metric;

/// What is counted and timed in the rows of a grouping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Whole runs.
    Runs,
    /// Nodes.
    Nodes,
    /// LLM calls.
    LlmCalls,
}

impl Subject {
    /// Of a query: a model has no runs, and a node is part of them.
    pub(crate) fn of(query: &StatsQuery) -> Self {
        let filter = &query.filter;
        let is_of_calls = !filter.models.is_empty() || !filter.providers.is_empty();
        match query.by {
            Some(GroupBy::Model | GroupBy::Provider) => Self::LlmCalls,
            _ if is_of_calls => Self::LlmCalls,
            Some(GroupBy::Node) => Self::Nodes,
            _ if !filter.nodes.is_empty() => Self::Nodes,
            _ => Self::Runs,
        }
    }

    /// As in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Nodes => "nodes",
            Self::LlmCalls => "llm_calls",
        }
    }

    /// For the eye.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Nodes => "nodes",
            Self::LlmCalls => "LLM calls",
        }
    }

    /// How many there were.
    pub(crate) fn count(self, sums: &StatsSums) -> u64 {
        match self {
            Self::Runs => sums.runs,
            Self::Nodes => sums.nodes,
            Self::LlmCalls => sums.llm_calls,
        }
    }

    /// How many of them did not end well.
    pub(crate) fn failed(self, sums: &StatsSums) -> u64 {
        match self {
            Self::Runs => sums.runs_failed,
            Self::Nodes => sums.nodes_failed,
            Self::LlmCalls => sums.llm_calls_failed,
        }
    }

    /// The share that ended well; `None` of none.
    pub(crate) fn success_rate(self, sums: &StatsSums) -> Option<f64> {
        let count = self.count(sums);
        let well = count.saturating_sub(self.failed(sums));
        (count > 0).then(|| well as f64 / count as f64)
    }

    /// How long they took.
    pub(crate) fn durations(self, sums: &StatsSums) -> &LatencySketch {
        match self {
            Self::Runs => &sums.run_duration,
            Self::Nodes => &sums.node_duration,
            Self::LlmCalls => &sums.llm_duration,
        }
    }
}

/// The name of a grouping, as on the command line.
pub(crate) fn name_of(by: &GroupBy) -> String {
    match by {
        GroupBy::Model => "model".to_owned(),
        GroupBy::Provider => "provider".to_owned(),
        GroupBy::Workflow => "workflow".to_owned(),
        GroupBy::Node => "node".to_owned(),
        GroupBy::Hour => "hour".to_owned(),
        GroupBy::Day => "day".to_owned(),
        GroupBy::Tag(key) if key.is_empty() => "tag".to_owned(),
        GroupBy::Tag(key) => format!("tag={key}"),
    }
}

/// Whether rows are all tags, as `key=value`: they overlap. It is written as the tag without a key.
pub(crate) fn is_every_tag(by: Option<&GroupBy>) -> bool {
    matches!(by, Some(GroupBy::Tag(key)) if key.is_empty())
}

/// Whether rows are times.
pub(crate) fn is_time(by: Option<&GroupBy>) -> bool {
    matches!(by, Some(GroupBy::Day | GroupBy::Hour))
}

/// The sums of all rows.
pub(crate) fn total_of<'a>(rows: impl IntoIterator<Item = &'a StatsRow>) -> StatsSums {
    let mut total = StatsSums::default();
    for row in rows {
        total.merge(&row.sums);
    }
    total
}

/// What caches saved: answers from the response cache, and what providers took less for because they had it cached.
pub(crate) fn saved_by_caches(sums: &StatsSums) -> CostTotal {
    let mut total = sums.saved.clone();
    if sums.provider_saved != UsdNanos::ZERO {
        total.add("", &Cost::known(CostStatus::Priced, sums.provider_saved, None));
    }
    total
}

/// A figure of sums, as a number to order and draw by; `None` where it is not known.
pub(crate) fn figure(sums: &StatsSums, metric: Metric, subject: Subject) -> Option<f64> {
    let usd = |total: &CostTotal| total.amount().map(UsdNanos::to_usd);
    let quantile = |fraction| {
        let ns = subject.durations(sums).quantile_ns(fraction)?;
        Some(ns as f64 / 1e9)
    };
    match metric {
        Metric::Cost => usd(&sums.cost),
        Metric::Saved => usd(&saved_by_caches(sums)),
        Metric::Runs => Some(sums.runs as f64),
        Metric::Failures => Some(subject.failed(sums) as f64),
        Metric::Calls => Some(sums.llm_calls as f64),
        Metric::Tokens => Some(sums.tokens.total() as f64),
        Metric::P50 => quantile(0.5),
        Metric::P90 => quantile(0.9),
        Metric::P99 => quantile(0.99),
    }
}

/// The figure that is shown where none is asked for: what tells most.
pub(crate) fn telling_metric(total: &StatsSums) -> Metric {
    if total.cost.known.0 != 0 {
        Metric::Cost
    } else if total.llm_calls > 0 {
        Metric::Calls
    } else {
        Metric::Runs
    }
}

/// Orders rows by a figure, the largest first, equal ones by their names; times stay in their order unless asked.
pub(crate) fn sort(rows: &mut [StatsRow], query: &StatsQuery, metric: Option<Metric>) {
    if is_time(query.by.as_ref()) && metric.is_none() {
        rows.sort_by_key(|row| row.begins);
        return;
    }
    let subject = Subject::of(query);
    let wanted = metric.unwrap_or(Metric::Cost);
    let key = |row: &StatsRow| figure(&row.sums, wanted, subject).unwrap_or(-1.0);
    rows.sort_by(|a, b| {
        key(b)
            .total_cmp(&key(a))
            .then_with(|| b.sums.llm_calls.cmp(&a.sums.llm_calls))
            .then_with(|| subject.count(&b.sums).cmp(&subject.count(&a.sums)))
            .then_with(|| a.group.cmp(&b.group))
            .then_with(|| a.begins.cmp(&b.begins))
    });
}

#[cfg(test)]
mod tests;
