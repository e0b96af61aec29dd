//! What becomes of a run's row when something of it comes.
//!
//! Never writes the row. What was said of a run once stands; what its root span tells holds until it is said; sums over
//! its spans hold until its end brings its own.

use flowmeter_model::{Cost, CostStatus, CostTotal, SpanKind, SpanStatus, TimestampNs, UsdNanos};
use smol_str::SmolStr;

use super::super::run_row::{Known, StoredRun};
use super::encoded::{EncodedSpan, RootWords};
use crate::{RunEnd, RunStart, RunStatus, SpanRow};

impl StoredRun {
    /// Takes note of a time at which something of it happened.
    pub(super) fn hear(&mut self, time: TimestampNs) {
        let is_first = self.seen == TimestampNs(0) && self.row.started == TimestampNs(0);
        self.seen = self.seen.max(time);
        if self.begun == Known::Heard {
            self.row.started = if is_first {
                time
            } else {
                self.row.started.min(time)
            };
        }
    }

    /// Takes a beginning; of one said again nothing.
    pub(super) fn begin(&mut self, start: &RunStart) {
        self.hear(start.started);
        if self.begun == Known::Said {
            return;
        }
        self.begun = Known::Said;
        if !start.workflow.is_empty() {
            self.row.workflow = start.workflow.clone();
        }
        self.row.started = start.started;
        self.row.parent_span_id = start.parent_span_id;
        self.row.origin = start.origin.clone();
        self.process.clone_from(&start.process);
        if self.closed != Known::Said {
            self.row.sampled = start.sampled;
        }
    }

    /// Takes a span that ended and had not come before.
    pub(super) fn span_ended(&mut self, span: &EncodedSpan) {
        let row = &span.narrow.to_row(self.row.key, SmolStr::default());
        self.hear(row.start);
        self.hear(span.end.unwrap_or(row.start));
        self.row.spans += 1;
        if let Some(words) = &span.root {
            self.root_ended(words, row);
        }
        let is_call = row.kind == SpanKind::LlmCall && !row.cache_hit && row.cost_status.is_some();
        if is_call
            && !row.model.is_empty()
            && let Err(place) = self.row.models.binary_search(&row.model)
        {
            self.row.models.insert(place, row.model.clone());
        }
        if self.closed == Known::Said {
            return;
        }
        match row.kind {
            SpanKind::Node => self.row.nodes += 1,
            SpanKind::LlmCall if row.cache_hit => {
                if let Some(status) = row.saved_status {
                    add(&mut self.row.saved, status, row.saved);
                }
            }
            SpanKind::LlmCall => {
                if let Some(status) = row.cost_status {
                    self.row.llm_calls += 1;
                    self.row.tokens.add(&row.tokens);
                    add(&mut self.row.cost, status, row.cost);
                }
            }
            _ => {}
        }
    }

    fn root_ended(&mut self, words: &RootWords, row: &SpanRow) {
        if self.begun == Known::Heard {
            self.begun = Known::Root;
            self.row.started = row.start;
            self.row.parent_span_id = row.parent_span_id;
        }
        if self.closed == Known::Heard {
            self.closed = Known::Root;
            self.row.ended = Some(TimestampNs(row.start.0.saturating_add(row.duration_ns)));
            self.row.error.clone_from(&words.error);
            self.row.status = match row.status {
                SpanStatus::Ok => RunStatus::Ok,
                SpanStatus::Error => RunStatus::Error,
                SpanStatus::Cancelled => RunStatus::Cancelled,
            };
        }
    }

    /// Gives the run the name of its workflow when it has none; whether that changed something.
    pub(super) fn name(&mut self, workflow: Option<SmolStr>) -> bool {
        match workflow {
            Some(workflow) if self.row.workflow.is_empty() && !workflow.is_empty() => {
                self.row.workflow = workflow;
                true
            }
            _ => false,
        }
    }

    /// Takes a log line's time.
    pub(super) fn logged(&mut self, time: TimestampNs) {
        self.hear(time);
        self.row.logs += 1;
    }

    /// Takes an end; of one said again nothing.
    pub(super) fn end(&mut self, end: &RunEnd) {
        self.hear(end.ended);
        if self.closed == Known::Said {
            return;
        }
        self.closed = Known::Said;
        let row = &mut self.row;
        row.ended = Some(end.ended);
        row.status = end.status;
        row.error.clone_from(&end.error);
        row.sampled = end.sampled;
        row.nodes = end.nodes;
        row.llm_calls = end.llm_calls;
        row.tokens = end.tokens;
        row.cost = nameless(&end.cost);
        row.saved = nameless(&end.saved);
    }
}

fn add(total: &mut CostTotal, status: CostStatus, amount: Option<UsdNanos>) {
    total.add(
        "",
        &Cost {
            status,
            amount,
            explanation: None,
        },
    );
    total.unpriced_models.clear();
}

/// Lists name no models without a price.
fn nameless(total: &CostTotal) -> CostTotal {
    CostTotal {
        unpriced_models: std::collections::BTreeSet::new(),
        ..total.clone()
    }
}
