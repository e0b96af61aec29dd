//! The span around a running step, handed down through the node's context.
//!
//! Parents come from here and from nowhere else: no shared stack, so parallel branches, batch items, retries
//! and nested workflows nest correctly whatever thread they run on.

mod logs;
mod others;

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use flowmeter_engine::{NodeContext, NodeError, Scope, Step, Ticks, with_current_scope};
use flowmeter_model::{SpanError, SpanId, SpanKind, SpanStatus};
use parking_lot::Mutex;
use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

use crate::aggregate::ItemSample;
use crate::budget::Account;
use crate::details::{SpanDetails, tag_of};
use crate::meter::RunShared;
use crate::performance::{ChildUsage, NodeTally, names, poll_began, poll_ended};
use crate::propagation::Carrier;
use crate::recorder::{Payload, RecordDraft, RecordKind, RecordedValue, SpanParts};
pub(crate) use logs::LOGS_DROPPED;

/// The span around a running step.
pub(crate) struct SpanScope {
    pub(crate) run: Arc<RunShared>,
    pub(crate) span_id: SpanId,
    parent_span_id: Option<SpanId>,
    /// The step whose context is handed down here: this span, or the one around it that is a step of the engine.
    step_span_id: SpanId,
    pub(crate) kind: SpanKind,
    operation: SmolStr,
    start: Ticks,
    /// `outer/inner` of the node it belongs to; empty outside any node.
    pub(crate) node_path: SmolStr,
    /// Which step of how many this is.
    numbers: Numbers,
    /// Counted for the node as a whole: shared with the steps inside it.
    pub(crate) tally: Arc<NodeTally>,
    /// The innermost budget in force here.
    pub(crate) account: Option<Arc<Account>>,
    details: Mutex<Option<Box<SpanDetails>>>,
    /// The record of a span that somebody else's instrumentation opened, while it is put together.
    draft: Mutex<Option<RecordDraft>>,
    /// What logs of the node without a target of their own name as theirs: the node's type.
    pub(crate) node_type: SmolStr,
    /// Log lines that were kept.
    logs: AtomicU32,
    /// Log lines that were too many.
    logs_dropped: AtomicU32,
    ended: AtomicBool,
}

/// What a new span is.
pub(crate) struct SpanOpening<'a> {
    pub(crate) kind: SpanKind,
    pub(crate) operation: SmolStr,
    pub(crate) node_path: SmolStr,
    pub(crate) node_type: SmolStr,
    /// What makes the span readable before it has ended.
    pub(crate) attributes: &'a [(&'static str, RecordedValue<'a>)],
    pub(crate) details: Option<Box<SpanDetails>>,
    /// The step that a span opened by hand is in; `None` where the span is a step itself.
    pub(crate) step: Option<SpanId>,
    /// The tally of the node that it belongs to.
    pub(crate) tally: Arc<NodeTally>,
    /// The innermost budget in force in it.
    pub(crate) account: Option<Arc<Account>>,
}

impl SpanScope {
    /// The scope that a context carries, if it is one of ours.
    #[inline]
    pub(crate) fn of(cx: &NodeContext) -> Option<&Self> {
        cx.scope().and_then(Self::from_engine)
    }

    #[inline]
    pub(crate) fn from_engine(scope: &Arc<dyn Scope>) -> Option<&Self> {
        scope.as_any().downcast_ref::<Self>()
    }

    /// Looks at the span that the code on this thread runs in; `None` outside any run, and once the run is over.
    #[inline]
    pub(crate) fn with_current<T>(look: impl FnOnce(&Self) -> T) -> Option<T> {
        let look = |scope: &Arc<dyn Scope>| {
            let scope = Self::from_engine(scope).filter(|scope| !scope.run.is_over())?;
            Some(look(scope))
        };
        with_current_scope(look).flatten()
    }

    /// Looks at the innermost span that was opened by hand in this step and that this thread is in, or at the
    /// step's own.
    #[inline]
    pub(crate) fn with_innermost<T>(&self, mut look: impl FnMut(&Self) -> T) -> T {
        let looked = Self::with_current(|current| {
            let is_inside = current.step_span_id == self.span_id && Arc::ptr_eq(&current.run, &self.run);
            is_inside.then(|| look(current))
        });
        looked.flatten().unwrap_or_else(|| look(self))
    }

    pub(crate) fn innermost_id(&self) -> SpanId {
        self.with_innermost(|innermost| innermost.span_id)
    }

    pub(crate) fn open(run: &Arc<RunShared>, parent: Option<SpanId>, opening: SpanOpening<'_>) -> Arc<Self> {
        Self::open_as(run, run.recorder.next_span_id(), parent, opening)
    }

    /// The same for a span whose id is known already.
    pub(crate) fn open_as(
        run: &Arc<RunShared>,
        span_id: SpanId,
        parent: Option<SpanId>,
        opening: SpanOpening<'_>,
    ) -> Arc<Self> {
        let start = Ticks::now();
        let SpanOpening {
            kind,
            operation,
            node_path,
            node_type,
            attributes,
            details,
            step,
            tally,
            account,
        } = opening;
        if run.keeps_spans {
            let parts = SpanParts {
                kind: RecordKind::Start,
                span_id,
                parent_span_id: parent,
                start,
                end: start,
                tag: tag_of(kind, SpanStatus::Ok),
                name: &operation,
                attributes,
            };
            run.recorder.append_span(&parts, None);
        }
        Arc::new(Self {
            run: Arc::clone(run),
            span_id,
            parent_span_id: parent,
            step_span_id: step.unwrap_or(span_id),
            kind,
            operation,
            start,
            node_path,
            numbers: Numbers::new(),
            tally,
            account,
            details: Mutex::new(details),
            draft: Mutex::new(None),
            node_type,
            logs: AtomicU32::new(0),
            logs_dropped: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        })
    }

    /// A span inside this one, of the same node.
    pub(crate) fn open_inside(
        &self,
        kind: SpanKind,
        operation: SmolStr,
        numbers: Numbers,
        details: Option<Box<SpanDetails>>,
    ) -> Arc<Self> {
        let node_path = self.node_path.clone();
        let attributes = recorded(&numbers);
        let opening = SpanOpening {
            kind,
            operation,
            node_path,
            node_type: self.node_type.clone(),
            attributes: &attributes,
            details,
            step: None,
            tally: Arc::clone(&self.tally),
            account: self.account.clone(),
        };
        let mut inside = Self::open(&self.run, Some(self.innermost_id()), opening);
        if let Some(scope) = Arc::get_mut(&mut inside) {
            scope.numbers = numbers;
        }
        inside
    }

    /// What tells others that they are called by this span.
    pub(crate) fn carrier(&self) -> Option<Carrier> {
        let context = &self.run.trace_context;
        if self.run.keeps_spans {
            Some(context.carrier(self.span_id))
        } else {
            context.carrier_past()
        }
    }

    fn batch_count(&self) -> usize {
        let count = self.number("batch.count");
        count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
    }

    fn number(&self, key: &str) -> Option<i64> {
        let found = self.numbers.iter().find(|(name, _)| *name == key);
        found.map(|(_, number)| *number)
    }

    /// A process that the node had started has ended and used this.
    pub(crate) fn child_ended(&self, usage: &ChildUsage) {
        self.tally.child_ended(usage);
        // The node's own span gets the sum when it ends.
        if self.kind != SpanKind::Node {
            self.with_details(|details| details.children.get_or_insert(ChildUsage::NONE).add(usage));
        }
    }

    /// Whether CPU time is counted for what is polled in this scope: not for what only holds nodes.
    #[inline]
    fn counts_cpu(&self) -> bool {
        !matches!(self.kind, SpanKind::Run | SpanKind::Workflow)
    }

    /// Changes the details; nothing happens when no spans are kept.
    pub(crate) fn with_details(&self, change: impl FnOnce(&mut SpanDetails)) {
        if self.run.keeps_spans {
            change(self.details.lock().get_or_insert_default());
        }
    }

    pub(crate) fn start(&self) -> Ticks {
        self.start
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends the span; later calls do nothing.
    pub(crate) fn end(&self, status: SpanStatus, finish: impl FnOnce(&mut SpanDetails)) {
        self.end_with(status, &recorded(&self.numbers), finish);
    }

    /// Ends a span that came to its own end: well, unless somebody said why not.
    pub(crate) fn end_well(&self) {
        let failed = self
            .details
            .lock()
            .as_ref()
            .is_some_and(|details| details.error.is_some());
        let status = if failed { SpanStatus::Error } else { SpanStatus::Ok };
        self.end(status, |_| ());
    }

    /// Ends the span that nobody saw end.
    pub(crate) fn end_unseen(&self) {
        if !self.has_ended() {
            let (status, error) = unseen_end("the step");
            self.end(status, |details| {
                if details.error.is_none() {
                    details.error = error;
                }
            });
        }
    }

    /// Ends the span with short attributes that need no room of their own.
    pub(crate) fn end_with(
        &self,
        status: SpanStatus,
        attributes: &[(&'static str, RecordedValue<'_>)],
        finish: impl FnOnce(&mut SpanDetails),
    ) {
        if self.has_ended() || self.ended.swap(true, Ordering::AcqRel) || !self.run.keeps_spans {
            return;
        }
        let draft = self.draft.lock().take();
        if let Some(draft) = draft {
            self.end_drafted(draft, status, finish);
            return;
        }
        let mut details = self.details.lock().take().unwrap_or_default();
        finish(&mut details);
        let logs_dropped = self.logs_dropped();
        if logs_dropped > 0 {
            details.attributes.set(LOGS_DROPPED, logs_dropped);
        }
        if let Some(children) = details.children.take() {
            for (key, figure) in children.attributes() {
                details.attributes.set(key, figure);
            }
        }
        details.weigh(&self.run.weight);
        let parts = SpanParts {
            kind: RecordKind::End,
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            start: self.start,
            end: Ticks::now(),
            tag: tag_of(self.kind, status),
            name: &self.operation,
            attributes,
        };
        self.run
            .recorder
            .append_span(&parts, Some(Payload::Details(details)));
    }
}

/// Which step of how many, as attributes.
pub(crate) type Numbers = SmallVec<[(&'static str, i64); 3]>;

fn recorded(numbers: &Numbers) -> SmallVec<[(&'static str, RecordedValue<'static>); 3]> {
    let recorded = |(key, number): &(&'static str, i64)| (*key, RecordedValue::I64(*number));
    numbers.iter().map(recorded).collect()
}

/// How the end of something shows that was dropped half-way: a branch beside it failed or the run was stopped,
/// unless the thread is panicking.
pub(crate) fn unseen_end(what: &str) -> (SpanStatus, Option<SpanError>) {
    if !std::thread::panicking() {
        return (SpanStatus::Cancelled, None);
    }
    let error = SpanError {
        error_type: SmolStr::new_static("panic"),
        message: format!("{what} panicked"),
        chain: Vec::new(),
    };
    (SpanStatus::Error, Some(error))
}

/// How an outcome shows in a span.
pub(crate) fn status_of<T>(outcome: Result<T, &NodeError>) -> (SpanStatus, Option<SpanError>) {
    match outcome {
        Ok(_) => (SpanStatus::Ok, None),
        Err(error) => {
            let status = if error.is_cancelled() {
                SpanStatus::Cancelled
            } else {
                SpanStatus::Error
            };
            let error = SpanError {
                error_type: SmolStr::new(error.error_type()),
                message: error.message().to_owned(),
                chain: error.chain(),
            };
            (status, Some(error))
        }
    }
}

impl Scope for SpanScope {
    fn enter(&self, step: Step<'_>) -> Option<Arc<dyn Scope>> {
        if let Step::Attempt { .. } = step {
            self.tally.attempt_began();
        }
        // Without spans only the items of a batch are to be seen: they are counted.
        if !self.run.keeps_spans && !matches!(step, Step::BatchItem { .. }) {
            return None;
        }
        let mut details = Box::<SpanDetails>::default();
        let (kind, operation, numbers) = match step {
            Step::Attempt { number, attempts_max } => {
                let numbers = smallvec![
                    ("attempt.number", i64::from(number)),
                    ("attempt.max", i64::from(attempts_max)),
                ];
                (SpanKind::Attempt, SmolStr::new_static("attempt"), numbers)
            }
            Step::BatchItem {
                index,
                count,
                item,
                ready_since,
            } => {
                if self.run.keeps_content {
                    details.params = Some(Arc::clone(item));
                }
                let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
                let queue_ns = self.run.ns_between(ready_since, Ticks::now());
                let numbers = smallvec![
                    ("batch.index", whole(index)),
                    ("batch.count", whole(count)),
                    (names::BATCH_QUEUE_NS, i64::try_from(queue_ns).unwrap_or(i64::MAX)),
                ];
                (SpanKind::BatchItem, SmolStr::new_static("batch.item"), numbers)
            }
            Step::Iteration {
                number,
                iterations_max,
            } => {
                let numbers: Numbers = smallvec![
                    ("loop.iteration", i64::from(number)),
                    ("loop.max", i64::from(iterations_max)),
                ];
                (
                    SpanKind::Iteration,
                    SmolStr::new_static("loop.iteration"),
                    numbers,
                )
            }
        };
        Some(self.open_inside(kind, operation, numbers, Some(details)))
    }

    fn leave(&self, outcome: Result<(), &NodeError>) {
        let (status, error) = status_of(outcome);
        if self.kind == SpanKind::BatchItem {
            let item = ItemSample {
                failed: status != SpanStatus::Ok,
                queue_ns: self
                    .number(names::BATCH_QUEUE_NS)
                    .and_then(|ns| u64::try_from(ns).ok()),
            };
            self.run
                .collector
                .batch_item_ended(&self.node_path, self.batch_count(), &item);
        }
        self.end(status, |details| details.error = error);
    }

    fn ready(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        self.run
            .is_pressed()
            .then(|| -> Pin<Box<dyn Future<Output = ()> + Send>> {
                let run = Arc::clone(&self.run);
                Box::pin(async move { run.relieve_pressure().await })
            })
    }

    fn abandon(&self) {
        self.end_unseen();
    }

    #[inline]
    fn poll_began(&self) {
        if self.counts_cpu() {
            poll_began(&self.tally);
        }
    }

    #[inline]
    fn poll_ended(&self) {
        if self.counts_cpu() {
            poll_ended(&self.tally);
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for SpanScope {
    fn drop(&mut self) {
        self.end_unseen();
    }
}
