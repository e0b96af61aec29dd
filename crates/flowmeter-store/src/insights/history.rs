//! The part of the history that is looked at, in memory: a line of numbers for each run and each span that matters.
//!
//! Never holds a payload, and never more runs and spans than the query allows.

use std::ops::ControlFlow;
use std::ops::Range;

use flowmeter_model::{CostStatus, SpanKind, SpanStatus, TimestampNs};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::{InsightQuery, InsightScope, LookedAt};
use crate::{RunFilter, RunKey, RunOrder, RunRow, RunStatus, SpanFilter, SpanRow, Store, StoreError};

/// So many runs are read at a time.
const PAGE: usize = 10_000;
/// More different names are not told apart.
const NAMES_MAX: usize = 1 << 18;
/// A run of a clock that is ahead by more is left out.
const AHEAD_NS: u64 = 3_600_000_000_000;

/// Names by number; 0 is the empty one.
#[derive(Debug)]
pub(super) struct Names {
    numbers: FxHashMap<SmolStr, u32>,
    names: Vec<SmolStr>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            numbers: FxHashMap::from_iter([(SmolStr::default(), 0)]),
            names: vec![SmolStr::default()],
        }
    }
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        if self.names.len() >= NAMES_MAX {
            return 0;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(SmolStr::new(name), number);
        self.names.push(SmolStr::new(name));
        number
    }

    /// The number of a name that was met.
    pub(super) fn known(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The name of a number.
    pub(super) fn name(&self, number: u32) -> &SmolStr {
        &self.names[number as usize]
    }
}

/// A run in numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunPoint {
    pub(super) key: RunKey,
    pub(super) workflow: u32,
    pub(super) started: u64,
    /// `None` where it has no end, or its clock jumped back.
    pub(super) duration_ns: Option<u64>,
    pub(super) status: RunStatus,
    /// Nano-dollars; `None` where a part of it has no price.
    pub(super) cost: Option<i64>,
    pub(super) tokens: u64,
    pub(super) llm_calls: u64,
    pub(super) version: u32,
    pub(super) commit: u32,
    pub(super) user: u32,
    /// The names of all its models in one.
    pub(super) models: u32,
    pub(super) error: u32,
    pub(super) is_sampled: bool,
    /// Whether answers came from our response cache.
    pub(super) is_cached: bool,
    pub(super) has_payloads: bool,
}

/// A span in numbers: a node, an LLM call, or an attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanPoint {
    pub(super) span_id: u64,
    pub(super) parent: u64,
    pub(super) start: u64,
    pub(super) duration_ns: u64,
    pub(super) prompt: u64,
    /// Nano-dollars; `None` where a part of it has no price, or it is no LLM call.
    pub(super) cost: Option<i64>,
    pub(super) run: u32,
    pub(super) node: u32,
    pub(super) model: u32,
    pub(super) error: u32,
    pub(super) input: u32,
    pub(super) output: u32,
    pub(super) kind: SpanKind,
    pub(super) status: SpanStatus,
    pub(super) cache_hit: bool,
}

/// Runs and spans in numbers.
#[derive(Debug, Default)]
pub(super) struct History {
    /// In the order of their start.
    pub(super) runs: Vec<RunPoint>,
    /// In the order of their runs, and of their start within these.
    pub(super) spans: Vec<SpanPoint>,
    /// Where each run's spans begin; one more than there are runs.
    first_span: Vec<u32>,
    pub(super) names: Names,
    workflows: Vec<u32>,
    pub(super) looked_at: LookedAt,
}

impl History {
    /// Reads what the query is about.
    pub(super) fn load(
        store: &dyn Store,
        query: &InsightQuery,
        progress: &mut dyn FnMut(&'static str, u64),
    ) -> Result<Self, StoreError> {
        let mut filter = RunFilter {
            since: Some(query.begins()),
            until: Some(TimestampNs(query.now.0.saturating_add(AHEAD_NS))),
            ..RunFilter::default()
        };
        match &query.scope {
            InsightScope::All => {}
            InsightScope::Workflow(workflow) => filter.workflows = vec![workflow.clone()],
            InsightScope::Run(key) => {
                let detail = store
                    .run(key)?
                    .ok_or_else(|| StoreError::Invalid(format!("there is no run {key}")))?;
                filter.workflows = vec![detail.row.workflow.to_string()];
                filter.until = Some(TimestampNs(detail.row.started.0.saturating_add(1)));
                filter.since = Some(filter.since.unwrap_or_default().min(detail.row.started));
            }
        }
        let mut history = Self::default();
        history.load_runs(store, &filter, query, progress)?;
        history.load_spans(store, &filter, query, progress)?;
        Ok(history)
    }

    fn load_runs(
        &mut self,
        store: &dyn Store,
        filter: &RunFilter,
        query: &InsightQuery,
        progress: &mut dyn FnMut(&'static str, u64),
    ) -> Result<(), StoreError> {
        // Each page begins where the last one ended: counting on from the newest would read all of them again.
        let mut older = filter.clone();
        let mut offset = 0;
        loop {
            let rows = store.runs(&older, RunOrder::Started, PAGE, offset)?;
            let is_last = rows.len() < PAGE;
            if let Some(oldest) = rows.last().map(|row| row.started) {
                let until = Some(TimestampNs(oldest.0.saturating_add(1)));
                let same = rows.iter().filter(|row| row.started == oldest).count();
                offset = same + if older.until == until { offset } else { 0 };
                older.until = until;
            }
            for row in &rows {
                let point = self.point_of_run(row);
                self.runs.push(point);
            }
            progress("reading runs", self.runs.len() as u64);
            if self.runs.len() >= query.runs_max {
                self.looked_at.is_cut |= !is_last || self.runs.len() > query.runs_max;
                self.runs.truncate(query.runs_max);
                break;
            }
            if is_last {
                break;
            }
        }
        self.runs.sort_unstable_by_key(|run| (run.started, run.key));
        self.runs.dedup_by_key(|run| run.key);
        self.workflows = self.runs.iter().map(|run| run.workflow).collect();
        self.workflows.sort_unstable();
        self.workflows.dedup();
        self.looked_at.runs = self.runs.len() as u64;
        self.looked_at.oldest = self.runs.first().map(|run| TimestampNs(run.started));
        self.looked_at.newest = self.runs.last().map(|run| TimestampNs(run.started));
        Ok(())
    }

    fn point_of_run(&mut self, row: &RunRow) -> RunPoint {
        let has_end = matches!(
            row.status,
            RunStatus::Ok | RunStatus::Error | RunStatus::Cancelled
        );
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let models = row
            .models
            .iter()
            .map(SmolStr::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        RunPoint {
            key: row.key,
            workflow: self.names.number(&row.workflow),
            started: row.started.0,
            duration_ns: row.duration_ns().filter(|duration| has_end && *duration > 0),
            status: row.status,
            cost: (row.cost.unpriced_calls == 0 && row.cost.partial_calls == 0).then_some(row.cost.known.0),
            tokens: row.tokens.total(),
            llm_calls: row.llm_calls,
            version: self
                .names
                .number(row.origin.workflow_version.as_deref().unwrap_or_default()),
            commit: self.names.number(&text(&row.origin.git_commit)),
            user: self.names.number(&text(&row.origin.user)),
            models: self.names.number(&models),
            error: self
                .names
                .number(row.error.as_ref().map_or("", |error| error.error_type.as_str())),
            is_sampled: row.sampled,
            is_cached: row.saved.calls > 0,
            has_payloads: !row.payloads_gone,
        }
    }

    fn load_spans(
        &mut self,
        store: &dyn Store,
        filter: &RunFilter,
        query: &InsightQuery,
        progress: &mut dyn FnMut(&'static str, u64),
    ) -> Result<(), StoreError> {
        let numbers: FxHashMap<RunKey, u32> = self.runs.iter().map(|run| run.key).zip(0..).collect();
        let spans = SpanFilter {
            runs: filter.clone(),
            kinds: vec![SpanKind::Node, SpanKind::LlmCall, SpanKind::Attempt],
            ..SpanFilter::default()
        };
        store.scan(&spans, &mut |row| {
            // An attempt that did what it should says nothing that its node does not say.
            if row.kind == SpanKind::Attempt && row.status == SpanStatus::Ok {
                return ControlFlow::Continue(());
            }
            let Some(run) = numbers.get(&row.run) else {
                return ControlFlow::Continue(());
            };
            if self.spans.len() >= query.spans_max {
                self.looked_at.is_cut = true;
                return ControlFlow::Break(());
            }
            let point = self.point_of_span(row, *run);
            self.spans.push(point);
            if self.spans.len().is_multiple_of(1 << 16) {
                progress("reading spans", self.spans.len() as u64);
            }
            ControlFlow::Continue(())
        })?;
        self.spans
            .sort_unstable_by_key(|span| (span.run, span.start, span.span_id));
        self.looked_at.spans = self.spans.len() as u64;
        self.first_span = Vec::with_capacity(self.runs.len() + 1);
        let mut next = 0;
        for run in 0..=self.runs.len() as u32 {
            while next < self.spans.len() && self.spans[next].run < run {
                next += 1;
            }
            self.first_span.push(next as u32);
        }
        Ok(())
    }

    fn point_of_span(&mut self, row: &SpanRow, run: u32) -> SpanPoint {
        let whole = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
        let is_priced = !matches!(
            row.cost_status,
            None | Some(CostStatus::Unpriced | CostStatus::Partial)
        );
        if row.cache_hit
            && let Some(point) = self.runs.get_mut(run as usize)
        {
            point.is_cached = true;
        }
        SpanPoint {
            span_id: row.span_id.to_u64(),
            parent: row.parent_span_id.map_or(0, flowmeter_model::SpanId::to_u64),
            start: row.start.0,
            duration_ns: row.duration_ns,
            prompt: row.prompt_hash,
            cost: row.cost.filter(|_| is_priced).map(|cost| cost.0),
            run,
            node: self.names.number(&row.node),
            model: self.names.number(&row.model),
            error: self.names.number(&row.error_type),
            input: whole(row.tokens.input),
            output: whole(row.tokens.output),
            kind: row.kind,
            status: row.status,
            cache_hit: row.cache_hit,
        }
    }

    /// The workflows, by number.
    pub(super) fn workflows(&self) -> Vec<u32> {
        self.workflows.clone()
    }

    /// A name.
    pub(super) fn name(&self, number: u32) -> &SmolStr {
        self.names.name(number)
    }

    /// The places of a workflow's runs, in the order of their start.
    pub(super) fn runs_of(&self, workflow: u32) -> Vec<u32> {
        let places = 0..self.runs.len() as u32;
        places
            .filter(|run| self.runs[*run as usize].workflow == workflow)
            .collect()
    }

    /// The run at a place.
    pub(super) fn run(&self, run: u32) -> &RunPoint {
        &self.runs[run as usize]
    }

    /// The spans of a run, in the order of their start.
    pub(super) fn spans_of(&self, run: u32) -> &[SpanPoint] {
        let range: Range<usize> =
            self.first_span[run as usize] as usize..self.first_span[run as usize + 1] as usize;
        &self.spans[range]
    }

    /// How many runs of these began within the last 30 days before `now`.
    pub(super) fn runs_a_month(&self, runs: &[u32], now: TimestampNs) -> f64 {
        let begins = now.0.saturating_sub(30 * super::DAY_NS);
        let recent = runs
            .iter()
            .filter(|run| self.run(**run).started >= begins)
            .count();
        recent as f64
    }
}
