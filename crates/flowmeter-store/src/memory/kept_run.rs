//! One run in memory.
//!
//! Never knows another run.

use std::collections::{BTreeMap, BTreeSet};

use flowmeter_model::{Cost, CostTotal, LogRecord, Span, SpanId, SpanKind, SpanStatus, TimestampNs};
use smol_str::SmolStr;

use super::MemoryConfig;
use crate::rules::node_paths::{NodePaths, SpanPlace};
use crate::rules::row::{row_of, span_of_row, workflow_of};
use crate::{Origin, RunDetail, RunEnd, RunKey, RunRow, RunStart, RunStatus, SpanRow, TokenSums};

/// Of a process that cannot be looked at, a run without a word for so long is over: one day, nanoseconds.
const SILENCE_NS_MAX: u64 = 86_400_000_000_000;

/// A span that ended.
#[derive(Clone, Debug)]
pub(super) struct KeptSpan {
    /// `None` when its payload has had its time.
    pub(super) span: Option<Span>,
    pub(super) row: SpanRow,
}

/// A run, and everything that came of it.
#[derive(Clone, Debug)]
pub(super) struct KeptRun {
    pub(super) key: RunKey,
    /// Where it stands among all, by when it was first heard of.
    pub(super) number: u64,
    pub(super) start: Option<RunStart>,
    pub(super) end: Option<RunEnd>,
    pub(super) workflow: SmolStr,
    pub(super) spans: BTreeMap<SpanId, KeptSpan>,
    pub(super) open: BTreeMap<SpanId, Span>,
    pub(super) logs: Vec<LogRecord>,
    pub(super) payloads_gone: bool,
    first_heard: Option<TimestampNs>,
    last_heard: Option<TimestampNs>,
    paths: NodePaths,
}

impl KeptRun {
    pub(super) fn new(key: RunKey, number: u64) -> Self {
        Self {
            key,
            number,
            start: None,
            end: None,
            workflow: SmolStr::default(),
            spans: BTreeMap::new(),
            open: BTreeMap::new(),
            logs: Vec::new(),
            payloads_gone: false,
            first_heard: None,
            last_heard: None,
            paths: NodePaths::default(),
        }
    }

    fn hear(&mut self, time: TimestampNs) {
        self.first_heard = Some(self.first_heard.map_or(time, |first| first.min(time)));
        self.last_heard = Some(self.last_heard.map_or(time, |last| last.max(time)));
    }

    /// Takes a beginning; of one said again only what was unknown.
    pub(super) fn begin(&mut self, start: RunStart) {
        self.hear(start.started);
        if self.start.is_some() {
            return;
        }
        if !start.workflow.is_empty() {
            self.rename(start.workflow.clone());
        }
        self.start = Some(start);
    }

    fn rename(&mut self, workflow: SmolStr) {
        for kept in self.spans.values_mut() {
            kept.row.workflow = workflow.clone();
        }
        self.workflow = workflow;
    }

    /// Notes a span as one that others may lie in.
    pub(super) fn note(&mut self, span: &Span) {
        self.paths.note(&SpanPlace::of(span));
    }

    pub(super) fn span_started(&mut self, span: Span) {
        self.hear(span.start);
        if !self.spans.contains_key(&span.span_id) {
            self.open.entry(span.span_id).or_insert(span);
        }
    }

    /// Takes a span that ended, and the logs that it carries; of one that comes twice nothing.
    pub(super) fn span_ended(&mut self, mut span: Span) {
        if self.spans.contains_key(&span.span_id) {
            return;
        }
        self.hear(span.start);
        self.hear(span.end.unwrap_or(span.start));
        self.open.remove(&span.span_id);
        for mut record in std::mem::take(&mut span.logs) {
            record.span_id = record.span_id.or(Some(span.span_id));
            self.log(record);
        }
        let is_unnamed_root = span.span_id == self.key.root_span_id && self.workflow.is_empty();
        if let Some(workflow) = workflow_of(&span).filter(|_| is_unnamed_root) {
            self.rename(workflow);
        }
        let row = row_of(
            self.key,
            &self.workflow,
            self.paths.path_of(&SpanPlace::of(&span)),
            &span,
        );
        let span_id = span.span_id;
        self.spans.insert(
            span_id,
            KeptSpan {
                span: Some(span),
                row,
            },
        );
    }

    pub(super) fn log(&mut self, record: LogRecord) {
        self.hear(record.time);
        self.logs.push(record);
    }

    pub(super) fn ended(&mut self, end: RunEnd) {
        self.hear(end.ended);
        self.end.get_or_insert(end);
    }

    fn root(&self) -> Option<&KeptSpan> {
        self.spans.get(&self.key.root_span_id)
    }

    /// When it was last heard of.
    pub(super) fn last_heard(&self) -> TimestampNs {
        self.last_heard.unwrap_or_default()
    }

    /// How it stands now.
    pub(super) fn status(&self, config: &MemoryConfig) -> RunStatus {
        if let Some(end) = &self.end {
            return end.status;
        }
        if let Some(root) = self.root() {
            return match root.row.status {
                SpanStatus::Ok => RunStatus::Ok,
                SpanStatus::Error => RunStatus::Error,
                SpanStatus::Cancelled => RunStatus::Cancelled,
            };
        }
        let Some(process) = self.start.as_ref().and_then(|start| start.process.as_ref()) else {
            return RunStatus::Interrupted;
        };
        let lives = (config.is_alive)(process)
            .unwrap_or_else(|| config.clock.now().since(self.last_heard()) < SILENCE_NS_MAX);
        if lives {
            RunStatus::Running
        } else {
            RunStatus::Interrupted
        }
    }

    pub(super) fn row(&self, config: &MemoryConfig) -> RunRow {
        let counted = Counted::of(self.spans.values().map(|kept| &kept.row));
        let end = self.end.as_ref();
        let root = self.root();
        let root_end = root.map(|root| TimestampNs(root.row.start.0.saturating_add(root.row.duration_ns)));
        let root_error = root
            .and_then(|root| root.span.clone().or_else(|| Some(span_of_row(&root.row))))
            .and_then(|span| span.error);
        RunRow {
            key: self.key,
            parent_span_id: match &self.start {
                Some(start) => start.parent_span_id,
                None => root.and_then(|root| root.row.parent_span_id),
            },
            workflow: self.workflow.clone(),
            status: self.status(config),
            started: self
                .start
                .as_ref()
                .map(|start| start.started)
                .or_else(|| root.map(|root| root.row.start))
                .or(self.first_heard)
                .unwrap_or_default(),
            ended: end.map(|end| end.ended).or(root_end).or(self.last_heard),
            spans: self.spans.len() as u64,
            logs: self.logs.len() as u64,
            nodes: end.map_or(counted.nodes, |end| end.nodes),
            llm_calls: end.map_or(counted.llm_calls, |end| end.llm_calls),
            tokens: end.map_or(counted.tokens, |end| end.tokens),
            cost: nameless(end.map_or(counted.cost, |end| end.cost.clone())),
            saved: nameless(end.map_or(counted.saved, |end| end.saved.clone())),
            error: match end {
                Some(end) => end.error.clone(),
                None => root_error,
            },
            models: counted.models.into_iter().collect(),
            origin: self
                .start
                .as_ref()
                .map_or_else(Origin::default, |start| start.origin.clone()),
            sampled: match (end, &self.start) {
                (Some(end), _) => end.sampled,
                (None, Some(start)) => start.sampled,
                (None, None) => true,
            },
            payloads_gone: self.payloads_gone,
        }
    }

    pub(super) fn detail(&self, config: &MemoryConfig) -> RunDetail {
        let start = self.start.as_ref();
        let mut open: Vec<Span> = self.open.values().cloned().collect();
        open.sort_by_key(|span| (span.start, span.span_id));
        RunDetail {
            row: self.row(config),
            resource: start.map(|start| start.resource.clone()).unwrap_or_default(),
            metrics: self.end.as_ref().map(|end| end.metrics.clone()),
            open,
            process: start.and_then(|start| start.process.clone()),
        }
    }

    fn in_order(&self) -> Vec<&KeptSpan> {
        let mut kept: Vec<&KeptSpan> = self.spans.values().collect();
        kept.sort_by_key(|kept| (kept.row.start, kept.row.span_id));
        kept
    }

    pub(super) fn spans_in_order(&self) -> Vec<Span> {
        self.in_order().into_iter().map(KeptSpan::as_span).collect()
    }

    pub(super) fn rows_in_order(&self) -> Vec<SpanRow> {
        self.in_order().into_iter().map(|kept| kept.row.clone()).collect()
    }

    pub(super) fn span(&self, span_id: SpanId) -> Option<Span> {
        self.spans.get(&span_id).map(KeptSpan::as_span)
    }

    /// Takes everything away that somebody wrote or said. Says how many spans and how many lines that were.
    pub(super) fn drop_payloads(&mut self) -> (u64, u64) {
        self.payloads_gone = true;
        self.open.clear();
        let logs = std::mem::take(&mut self.logs).len() as u64;
        let taken = self
            .spans
            .values_mut()
            .filter_map(|kept| kept.span.take())
            .count();
        (taken as u64, logs)
    }
}

impl KeptSpan {
    fn as_span(&self) -> Span {
        match &self.span {
            Some(span) => span.clone(),
            None => span_of_row(&self.row),
        }
    }
}

/// What a run's spans come to, for runs that nobody counted.
#[derive(Default)]
struct Counted {
    nodes: u64,
    llm_calls: u64,
    tokens: TokenSums,
    cost: CostTotal,
    saved: CostTotal,
    models: BTreeSet<SmolStr>,
}

impl Counted {
    fn of<'a>(rows: impl Iterator<Item = &'a SpanRow>) -> Self {
        let mut counted = Self::default();
        for row in rows {
            let cost = |status, amount| Cost {
                status,
                amount,
                explanation: None,
            };
            match (row.kind, row.cache_hit, row.cost_status, row.saved_status) {
                (SpanKind::Node, ..) => counted.nodes += 1,
                (SpanKind::LlmCall, true, _, Some(status)) => counted.saved.add("", &cost(status, row.saved)),
                (SpanKind::LlmCall, false, Some(status), _) => {
                    counted.llm_calls += 1;
                    counted.tokens.add(&row.tokens);
                    counted.cost.add("", &cost(status, row.cost));
                    if !row.model.is_empty() {
                        counted.models.insert(row.model.clone());
                    }
                }
                _ => {}
            }
        }
        counted
    }
}

/// Lists name no models without a price.
fn nameless(mut total: CostTotal) -> CostTotal {
    total.unpriced_models.clear();
    total
}
