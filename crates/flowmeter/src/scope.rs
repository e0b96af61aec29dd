//! The span around a running step, handed down through the node's context.
//!
//! Parents come from here and from nowhere else: no shared stack, so parallel branches, batch items, retries
//! and nested workflows nest correctly whatever thread they run on.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use flowmeter_engine::{NodeContext, NodeError, Scope, Step, Ticks, with_current_scope};
use flowmeter_model::{SpanError, SpanId, SpanKind, SpanStatus};
use parking_lot::Mutex;
use smol_str::SmolStr;

use crate::aggregate::ItemSample;
use crate::details::{SpanDetails, tag_of};
use crate::meter::RunShared;
use crate::recorder::{Payload, RecordKind, RecordedValue, SpanParts};

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
    numbers: Option<Numbers>,
    /// Counted for the node as a whole: shared with the steps inside it once there are any.
    attempts: OnceLock<Arc<AtomicU32>>,
    details: Mutex<Option<Box<SpanDetails>>>,
    ended: AtomicBool,
}

/// What a new span is.
pub(crate) struct SpanOpening<'a> {
    pub(crate) kind: SpanKind,
    pub(crate) operation: SmolStr,
    pub(crate) node_path: SmolStr,
    /// What makes the span readable before it has ended.
    pub(crate) attributes: &'a [(&'static str, RecordedValue<'a>)],
    pub(crate) details: Option<Box<SpanDetails>>,
    /// The step that a span opened by hand is in; `None` where the span is a step itself.
    pub(crate) step: Option<SpanId>,
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
        let start = Ticks::now();
        let span_id = run.recorder.next_span_id();
        let SpanOpening {
            kind,
            operation,
            node_path,
            attributes,
            details,
            step,
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
            numbers: None,
            attempts: OnceLock::new(),
            details: Mutex::new(details),
            ended: AtomicBool::new(false),
        })
    }

    /// A span inside this one, of the same node.
    pub(crate) fn open_inside(
        &self,
        kind: SpanKind,
        operation: SmolStr,
        numbers: Option<Numbers>,
        details: Option<Box<SpanDetails>>,
    ) -> Arc<Self> {
        let node_path = self.node_path.clone();
        let attributes = numbers.map(recorded);
        let opening = SpanOpening {
            kind,
            operation,
            node_path,
            attributes: attributes.as_ref().map_or(&[], |attributes| &attributes[..]),
            details,
            step: None,
        };
        let mut inside = Self::open(&self.run, Some(self.innermost_id()), opening);
        if let Some(scope) = Arc::get_mut(&mut inside) {
            scope.numbers = numbers;
        }
        inside
    }

    /// A span that somebody opens by hand inside this one; `None` where no spans are kept.
    pub(crate) fn open_by_hand(&self, name: SmolStr, details: Option<Box<SpanDetails>>) -> Option<Arc<Self>> {
        if !self.run.keeps_spans || self.run.is_over() {
            return None;
        }
        let opening = SpanOpening {
            kind: SpanKind::Custom,
            operation: name,
            node_path: self.node_path.clone(),
            attributes: &[],
            details,
            step: Some(self.step_span_id),
        };
        Some(Self::open(&self.run, Some(self.span_id), opening))
    }

    fn batch_count(&self) -> usize {
        self.numbers
            .and_then(|[_, (_, count)]| usize::try_from(count).ok())
            .unwrap_or(0)
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

    /// How often the node's `exec` was attempted: once where nobody said otherwise.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
            .get()
            .map_or(1, |attempts| attempts.load(Ordering::Relaxed).max(1))
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends the span; later calls do nothing.
    pub(crate) fn end(&self, status: SpanStatus, finish: impl FnOnce(&mut SpanDetails)) {
        let attributes = self.numbers.map(recorded);
        self.end_with(
            status,
            attributes.as_ref().map_or(&[], |attributes| &attributes[..]),
            finish,
        );
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
        let mut details = self.details.lock().take().unwrap_or_default();
        finish(&mut details);
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
pub(crate) type Numbers = [(&'static str, i64); 2];

fn recorded(numbers: Numbers) -> [(&'static str, RecordedValue<'static>); 2] {
    numbers.map(|(key, number)| (key, RecordedValue::I64(number)))
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
        let attempts = self.attempts.get_or_init(Arc::default);
        if let Step::Attempt { .. } = step {
            attempts.fetch_add(1, Ordering::Relaxed);
        }
        // Without spans only the items of a batch are to be seen: they are counted.
        if !self.run.keeps_spans && !matches!(step, Step::BatchItem { .. }) {
            return None;
        }
        let mut details = Box::<SpanDetails>::default();
        let (kind, operation, numbers) = match step {
            Step::Attempt { number, attempts_max } => {
                let numbers = [
                    ("attempt.number", i64::from(number)),
                    ("attempt.max", i64::from(attempts_max)),
                ];
                (SpanKind::Attempt, SmolStr::new_static("attempt"), numbers)
            }
            Step::BatchItem { index, count, item } => {
                if self.run.keeps_content {
                    details.params = Some(Arc::clone(item));
                }
                let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
                let numbers = [("batch.index", whole(index)), ("batch.count", whole(count))];
                (SpanKind::BatchItem, SmolStr::new_static("batch.item"), numbers)
            }
            Step::Iteration {
                number,
                iterations_max,
            } => {
                let numbers = [
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
        let mut inside = self.open_inside(kind, operation, Some(numbers), Some(details));
        if let Some(inside) = Arc::get_mut(&mut inside) {
            inside.attempts = OnceLock::from(Arc::clone(attempts));
        }
        Some(inside)
    }

    fn leave(&self, outcome: Result<(), &NodeError>) {
        let (status, error) = status_of(outcome);
        if self.kind == SpanKind::BatchItem {
            let item = ItemSample {
                failed: status != SpanStatus::Ok,
                queue_ns: None,
            };
            self.run
                .collector
                .batch_item_ended(&self.node_path, self.batch_count(), &item);
        }
        self.end(status, |details| details.error = error);
    }

    fn abandon(&self) {
        self.end_unseen();
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
