//! What counts in a sum, and in whose.
//!
//! A run counts by its root span, whatever kind that has; a node by its node span; a call by its LLM span. Attempts,
//! items and rounds are parts of nodes. All count where they began. Never takes an unknown cost for zero.

use flowmeter_model::{Cost, CostStatus, SpanKind, SpanStatus, TimestampNs, UsdNanos};
use smol_str::{SmolStr, format_smolstr};

use super::calendar::{DAY_NS, HOUR_NS, begin_of, day_name, hour_name};
use super::filters::{is_within, names};
use crate::{GroupBy, RunFilter, SpanRow, StatsFilter, StatsQuery, StatsSums};

/// What roll-ups keep apart at the finest, nanoseconds: half an hour, for zones that are as much off.
pub(crate) const SLOT_NS: u64 = HOUR_NS / 2;

/// As what a span counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// As a run.
    pub(crate) run: bool,
    /// As a node.
    pub(crate) node: bool,
    /// As an LLM call or an answer from the cache.
    pub(crate) call: bool,
}

impl Parts {
    /// As what a span of a kind counts anywhere.
    pub(crate) fn of(kind: SpanKind, is_root: bool) -> Self {
        Self {
            run: is_root,
            node: kind == SpanKind::Node,
            call: kind == SpanKind::LlmCall,
        }
    }

    /// As what it counts in the answer to a query: runs belong to no model and to no node, nodes to no model.
    pub(crate) fn within(self, query: &StatsQuery) -> Self {
        let filter = &query.filter;
        let calls_only = !filter.models.is_empty()
            || !filter.providers.is_empty()
            || matches!(query.by, Some(GroupBy::Model | GroupBy::Provider));
        let is_of_nodes = !filter.nodes.is_empty() || query.by == Some(GroupBy::Node);
        Self {
            run: self.run && !calls_only && !is_of_nodes,
            node: self.node && !calls_only,
            call: self.call,
        }
    }

    /// As which of these it counts.
    #[inline]
    pub(crate) fn among(self, wanted: Self) -> Self {
        Self {
            run: self.run && wanted.run,
            node: self.node && wanted.node,
            call: self.call && wanted.call,
        }
    }

    /// Whether it counts at all.
    pub(crate) fn any(self) -> bool {
        self.run || self.node || self.call
    }
}

/// The numbers of a span that sums are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) duration_ns: u64,
    pub(crate) status: SpanStatus,
    pub(crate) tokens: crate::TokenSums,
    pub(crate) cost_status: Option<CostStatus>,
    pub(crate) cost: Option<UsdNanos>,
    pub(crate) cache_hit: bool,
    pub(crate) saved_status: Option<CostStatus>,
    pub(crate) saved: Option<UsdNanos>,
    pub(crate) provider_saved: Option<UsdNanos>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            duration_ns: 0,
            status: SpanStatus::Ok,
            tokens: crate::TokenSums::default(),
            cost_status: None,
            cost: None,
            cache_hit: false,
            saved_status: None,
            saved: None,
            provider_saved: None,
        }
    }
}

impl Figures {
    /// Those of a row.
    pub(crate) fn of(row: &SpanRow) -> Self {
        Self {
            duration_ns: row.duration_ns,
            status: row.status,
            tokens: row.tokens,
            cost_status: row.cost_status,
            cost: row.cost,
            cache_hit: row.cache_hit,
            saved_status: row.saved_status,
            saved: row.saved,
            provider_saved: row.provider_saved,
        }
    }
}

/// Adds a span to sums.
pub(crate) fn add(sums: &mut StatsSums, parts: Parts, figures: &Figures) {
    let failed = u64::from(figures.status != SpanStatus::Ok);
    if parts.run {
        sums.runs += 1;
        sums.runs_failed += failed;
        sums.run_duration.add(figures.duration_ns);
    }
    if parts.node {
        sums.nodes += 1;
        sums.nodes_failed += failed;
        sums.node_duration.add(figures.duration_ns);
    }
    if parts.call && figures.cache_hit {
        sums.cache_hits += 1;
        sums.saved.add("", &cost(figures.saved_status, figures.saved));
    } else if parts.call {
        sums.llm_calls += 1;
        sums.llm_calls_failed += failed;
        sums.llm_duration.add(figures.duration_ns);
        sums.tokens.add(&figures.tokens);
        sums.cost.add("", &cost(figures.cost_status, figures.cost));
        add_saved(sums, figures.provider_saved.unwrap_or(UsdNanos::ZERO));
    }
    // Sums name no models.
    sums.cost.unpriced_models.clear();
    sums.saved.unpriced_models.clear();
}

fn add_saved(sums: &mut StatsSums, amount: UsdNanos) {
    sums.provider_saved = UsdNanos(sums.provider_saved.0.saturating_add(amount.0));
}

fn cost(status: Option<CostStatus>, amount: Option<UsdNanos>) -> Cost {
    Cost {
        status: status.unwrap_or(CostStatus::Unpriced),
        amount,
        explanation: None,
    }
}

/// Adds sums to sums.
pub(crate) fn merge(sums: &mut StatsSums, other: &StatsSums) {
    sums.runs += other.runs;
    sums.runs_failed += other.runs_failed;
    sums.nodes += other.nodes;
    sums.nodes_failed += other.nodes_failed;
    sums.llm_calls += other.llm_calls;
    sums.llm_calls_failed += other.llm_calls_failed;
    sums.cache_hits += other.cache_hits;
    sums.tokens.add(&other.tokens);
    sums.cost.merge(&other.cost);
    sums.saved.merge(&other.saved);
    add_saved(sums, other.provider_saved);
    sums.run_duration.merge(&other.run_duration);
    sums.node_duration.merge(&other.node_duration);
    sums.llm_duration.merge(&other.llm_duration);
}

/// Whether a span is of those that a filter is about; its conditions on single runs are another question.
pub(crate) fn holds_for(filter: &StatsFilter, row: &SpanRow) -> bool {
    is_within(row.start, filter.runs.since, filter.runs.until)
        && names(&filter.runs.workflows, &row.workflow)
        && names(&filter.models, &row.model)
        && names(&filter.providers, &row.provider)
        && names(&filter.nodes, &row.node)
}

/// The conditions on single runs: all but the workflow, which sums know, and the times, which are those of spans.
pub(crate) fn conditions_on_runs(filter: &StatsFilter) -> RunFilter {
    RunFilter {
        workflows: Vec::new(),
        since: None,
        until: None,
        ..filter.runs.clone()
    }
}

/// Whether roll-ups can answer a query: no condition on single runs, and no grouping by what they do not know.
pub(crate) fn is_of_roll_ups(query: &StatsQuery) -> bool {
    super::filters::is_empty(&conditions_on_runs(&query.filter)) && !matches!(query.by, Some(GroupBy::Tag(_)))
}

/// The length of the periods that a query keeps apart, nanoseconds.
pub(crate) fn period_ns(by: Option<&GroupBy>) -> Option<u64> {
    match by {
        Some(GroupBy::Hour) => Some(HOUR_NS),
        Some(GroupBy::Day) => Some(DAY_NS),
        _ => None,
    }
}

/// Whether the boundaries of the periods that a query keeps apart are those of roll-ups.
pub(crate) fn has_whole_slots(query: &StatsQuery) -> bool {
    let slot_seconds = i32::try_from(SLOT_NS / 1_000_000_000).unwrap_or(i32::MAX);
    period_ns(query.by.as_ref()).is_none() || query.utc_offset_seconds % slot_seconds == 0
}

/// The name of the period that begins then.
pub(crate) fn period_name(query: &StatsQuery, begins: TimestampNs) -> SmolStr {
    let name = match query.by {
        Some(GroupBy::Hour) => hour_name(begins, query.utc_offset_seconds),
        _ => day_name(begins, query.utc_offset_seconds),
    };
    SmolStr::from(name)
}

/// The group of a span, and when its period begins. `tag` gives the value of the run's tag.
pub(crate) fn group_of(
    query: &StatsQuery,
    row: &SpanRow,
    tag: &dyn Fn(&SpanRow, &str) -> Option<String>,
) -> (Option<TimestampNs>, SmolStr) {
    match &query.by {
        None => (None, SmolStr::default()),
        Some(GroupBy::Model) => (None, row.model.clone()),
        Some(GroupBy::Provider) => (None, row.provider.clone()),
        Some(GroupBy::Workflow) => (None, row.workflow.clone()),
        Some(GroupBy::Node) => (None, node_group(&row.workflow, &row.node)),
        Some(GroupBy::Tag(key)) => (None, tag(row, key).map(SmolStr::from).unwrap_or_default()),
        Some(GroupBy::Hour | GroupBy::Day) => {
            let length = period_ns(query.by.as_ref()).unwrap_or(DAY_NS);
            let begins = begin_of(row.start, length, query.utc_offset_seconds);
            (Some(begins), period_name(query, begins))
        }
    }
}

/// `workflow/node`; calls outside nodes stand with their workflow.
pub(crate) fn node_group(workflow: &str, node: &str) -> SmolStr {
    if node.is_empty() {
        SmolStr::new(workflow)
    } else {
        format_smolstr!("{workflow}/{node}")
    }
}

/// The steps of a trend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    /// When the first begins.
    pub(crate) begins: TimestampNs,
    /// How long each takes, nanoseconds.
    pub(crate) length_ns: u64,
    /// How many.
    pub(crate) count: usize,
    /// What each is a whole number of, nanoseconds.
    pub(crate) unit_ns: u64,
}

impl Steps {
    /// So many steps that cover the time from `first` to before `end`. Where that holds a day of UTC for each step at
    /// least, steps are whole days, else half-hours where it holds these: the first begins with the one of `first`, and
    /// the last may be over before they all are. Else they are as equal as nanoseconds are.
    pub(crate) fn of(first: TimestampNs, end: TimestampNs, count: usize) -> Option<Self> {
        if count == 0 || end <= first {
            return None;
        }
        let steps = count as u64;
        for whole in [DAY_NS, SLOT_NS] {
            let (first, end) = (first.0 / whole, end.0.div_ceil(whole));
            if end - first >= steps {
                return Some(Self {
                    begins: TimestampNs(first * whole),
                    length_ns: (end - first).div_ceil(steps).saturating_mul(whole),
                    count,
                    unit_ns: whole,
                });
            }
        }
        Some(Self {
            begins: first,
            length_ns: end.since(first).div_ceil(steps),
            count,
            unit_ns: 1,
        })
    }

    /// Whether they are made of whole periods of this length.
    pub(crate) fn are_whole(&self, length_ns: u64) -> bool {
        self.unit_ns.is_multiple_of(length_ns)
    }

    /// The step that a time lies in.
    pub(crate) fn of_time(&self, time: TimestampNs) -> Option<usize> {
        let step = usize::try_from(time.0.checked_sub(self.begins.0)? / self.length_ns).ok()?;
        (step < self.count).then_some(step)
    }
}

#[cfg(test)]
mod tests;
