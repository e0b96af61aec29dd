//! Spans that are no steps of the engine: those that users open by hand, and those of other instrumentation.
//!
//! Never changes what a step is: they stand inside one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use flowmeter_engine::Ticks;
use flowmeter_model::{Attributes, SpanKind, SpanStatus};
use parking_lot::Mutex;
use smol_str::SmolStr;

use super::{LOGS_DROPPED, Numbers, SpanOpening, SpanScope};
use crate::details::{SpanDetails, tag_of};
use crate::recorder::{Payload, RecordDraft, RecordKind, RecordedValue};

impl SpanScope {
    /// A span that somebody opens by hand inside this one; `None` where no spans are kept.
    pub(crate) fn open_by_hand(&self, name: SmolStr, details: Option<Box<SpanDetails>>) -> Option<Arc<Self>> {
        if !self.run.keeps_spans || self.run.is_over() {
            return None;
        }
        let opening = SpanOpening {
            kind: SpanKind::Custom,
            operation: name,
            node_path: self.node_path.clone(),
            node_type: self.node_type.clone(),
            attributes: &[],
            details,
            step: Some(self.step_span_id),
            tally: Arc::clone(&self.tally),
            account: self.account.clone(),
        };
        Some(Self::open(&self.run, Some(self.span_id), opening))
    }

    /// A span that somebody else's instrumentation opens inside this one: its attributes go straight into its
    /// record. `None` where no spans are kept.
    pub(crate) fn open_drafted(
        &self,
        name: &'static str,
        describe: impl FnOnce(&mut RecordDraft),
    ) -> Option<Arc<Self>> {
        let run = &self.run;
        if !run.keeps_spans || run.is_over() {
            return None;
        }
        let start = Ticks::now();
        let tag = tag_of(SpanKind::Custom, SpanStatus::Ok);
        let (span_id, mut draft) = run.recorder.open_span(Some(self.span_id), start, tag, name)?;
        describe(&mut draft);
        Some(Arc::new(Self {
            run: Arc::clone(run),
            span_id,
            parent_span_id: Some(self.span_id),
            step_span_id: self.step_span_id,
            kind: SpanKind::Custom,
            operation: SmolStr::new_static(name),
            start,
            node_path: self.node_path.clone(),
            numbers: Numbers::new(),
            tally: Arc::clone(&self.tally),
            account: self.account.clone(),
            details: Mutex::new(None),
            draft: Mutex::new(Some(draft)),
            node_type: self.node_type.clone(),
            logs: AtomicU32::new(0),
            logs_dropped: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        }))
    }

    /// Adds to the record of such a span.
    pub(crate) fn describe_draft(&self, describe: impl FnOnce(&mut RecordDraft)) {
        // Out of the lock while it is added to: what is formatted may come back here.
        let taken = self.draft.lock().take();
        if let Some(mut draft) = taken {
            describe(&mut draft);
            *self.draft.lock() = Some(draft);
        }
    }

    /// Ends a span whose record was put together as it went. Details are the exception there.
    pub(super) fn end_drafted(
        &self,
        mut draft: RecordDraft,
        status: SpanStatus,
        finish: impl FnOnce(&mut SpanDetails),
    ) {
        let logs_dropped = self.logs_dropped();
        if logs_dropped > 0 {
            draft.attribute(LOGS_DROPPED, RecordedValue::I64(i64::from(logs_dropped)));
        }
        let mut details = self.details.lock().take();
        if status != SpanStatus::Ok {
            finish(details.get_or_insert_default());
        }
        let tag = tag_of(SpanKind::Custom, status);
        let payload = |more: Option<Box<Attributes>>| {
            if let Some(more) = more {
                let details = details.get_or_insert_default();
                for (key, value) in more.iter() {
                    details.attributes.set(key.clone(), value.clone());
                }
            }
            details.map(Payload::Details)
        };
        self.run
            .recorder
            .append_draft(draft, RecordKind::End, tag, Ticks::now(), payload);
    }
}
