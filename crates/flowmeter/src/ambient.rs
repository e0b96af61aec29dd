//! The span around the code that runs just now, for code that was handed no context.
//!
//! Found by the thread: whoever runs work inside a span says so around every poll. Everything here does nothing
//! where nothing is metered, so that code need not ask.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flowmeter_engine::{EnteredScope, InScope, Scope, with_current_scope};
use flowmeter_model::{AttributeValue, LogLevel, SpanError, SpanId};
use smol_str::SmolStr;

use crate::budget::BudgetError;
use crate::details::{MESSAGE, SpanDetails};
use crate::llm::{LlmCacheHit, LlmCall, LlmRequest};
use crate::propagation::Carrier;
use crate::recorder::RecordedValue;
use crate::scope::{SpanScope, unseen_end};

/// A span of a run, to be kept, cloned and taken to other threads.
#[derive(Clone)]
pub struct SpanHandle {
    /// One of ours: a [`SpanScope`].
    scope: Arc<dyn Scope>,
}

/// The innermost span around the code that runs just now: of a node, an attempt, a batch item, a loop round, or
/// one that was opened by hand. `None` where nothing is metered.
///
/// ```
/// let meter = flowmeter::RunMeter::builder("nightly").start().unwrap();
/// assert!(flowmeter::current_span().is_none());
/// let _entered = meter.enter();
/// flowmeter::current_span().unwrap().set("customer", "acme");
/// ```
#[must_use]
pub fn current_span() -> Option<SpanHandle> {
    let handle = |scope: &Arc<dyn Scope>| {
        let ours = SpanScope::from_engine(scope).is_some_and(|scope| !scope.run.is_over());
        ours.then(|| SpanHandle {
            scope: Arc::clone(scope),
        })
    };
    with_current_scope(handle).flatten()
}

impl SpanHandle {
    fn with<T>(&self, look: impl FnOnce(&SpanScope) -> T) -> Option<T> {
        SpanScope::from_engine(&self.scope).map(look)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Option<SpanId> {
        self.with(|scope| scope.span_id)
    }

    /// What a callee needs so that it joins the trace, as called by this span: headers or environment variables.
    /// Where no spans are kept, callees are told of the span that called this run, if any.
    #[must_use]
    pub fn carrier(&self) -> Option<Carrier> {
        self.with(SpanScope::carrier).flatten()
    }

    /// Sets an attribute.
    pub fn set(&self, key: impl Into<SmolStr>, value: impl Into<AttributeValue>) {
        self.with(|scope| scope.with_details(|details| details.attributes.set(key, value)));
    }

    /// Says that what the span stands for went wrong, and why.
    pub fn fail(&self, error_type: impl Into<SmolStr>, message: impl Into<String>) {
        self.with(|scope| note_failure(scope, error_type.into(), message.into()));
    }

    /// Writes a log line into the span. The run's filter knows it by the node's type.
    pub fn log(&self, level: LogLevel, message: impl AsRef<str>) {
        self.with(|scope| {
            let target = scope.log_target();
            if scope.run.log_filter.keeps_of_node(target, level) {
                scope.log(level, target, |draft| {
                    draft.attribute(MESSAGE, RecordedValue::Str(message.as_ref()));
                });
            }
        });
    }

    /// Begins an LLM call inside this span. It counts from now on, however it ends.
    #[must_use]
    pub fn llm_call(&self, request: LlmRequest) -> LlmCall {
        LlmCall::begin(SpanScope::from_engine(&self.scope), request)
    }

    /// Notes that `request` was answered from a response cache: [`llm_cache_hit`].
    pub fn llm_cache_hit(&self, request: LlmRequest, hit: LlmCacheHit) {
        if let Some(scope) = SpanScope::from_engine(&self.scope) {
            hit.note(scope, request);
        }
    }

    /// Begins an LLM call inside this span when its budget has room for it: see [`budgeted_llm_call`].
    ///
    /// # Errors
    /// [`BudgetError`] where the call may not be made.
    pub async fn budgeted_llm_call(&self, request: LlmRequest) -> Result<LlmCall, BudgetError> {
        LlmCall::begin_budgeted(SpanScope::from_engine(&self.scope), request).await
    }

    /// The same for code that is not async: instead of waiting for other calls it refuses.
    ///
    /// # Errors
    /// [`BudgetError`] where the call may not be made just now.
    pub fn budgeted_llm_call_now(&self, request: LlmRequest) -> Result<LlmCall, BudgetError> {
        LlmCall::begin_budgeted_now(SpanScope::from_engine(&self.scope), request)
    }

    /// Enters the span on this thread, for code that is not async: a closure on a thread of its own, for one.
    ///
    /// ```
    /// # let meter = flowmeter::RunMeter::builder("nightly").start().unwrap();
    /// # let _entered = meter.enter();
    /// let span = flowmeter::current_span();
    /// std::thread::spawn(move || {
    ///     let _entered = span.as_ref().map(flowmeter::SpanHandle::enter);
    ///     flowmeter::span("on another thread").set("rows", 3_i64);
    /// });
    /// ```
    pub fn enter(&self) -> EnteredScope {
        EnteredScope::enter(Arc::clone(&self.scope))
    }

    /// Runs `work` inside this span. The work is boxed, so that it can be let go of inside the span as well.
    pub fn within<F: Future>(&self, work: F) -> InScope<Pin<Box<F>>> {
        InScope::new(Some(Arc::clone(&self.scope)), Box::pin(work))
    }
}

fn note_failure(scope: &SpanScope, error_type: SmolStr, message: String) {
    scope.with_details(|details| {
        details.error = Some(SpanError {
            error_type,
            message,
            chain: Vec::new(),
        });
    });
}

/// Binds the current span to `work`, for a task of its own: a spawned task begins outside every span.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let meter = flowmeter::RunMeter::builder("nightly").start().unwrap();
/// let work = async { flowmeter::current_span().is_some() };
/// let task = meter.within(async { tokio::spawn(flowmeter::carry(work)) }).await;
/// assert!(task.await.unwrap());
/// # });
/// ```
pub fn carry<F: Future>(work: F) -> InScope<Pin<Box<F>>> {
    let scope = current_span().map(|span| span.scope);
    InScope::new(scope, Box::pin(work))
}

/// The same for a closure: `spawn_blocking(flowmeter::carry_call(|| …))`.
///
/// ```
/// # let meter = flowmeter::RunMeter::builder("nightly").start().unwrap();
/// # let _entered = meter.enter();
/// let work = flowmeter::carry_call(|| flowmeter::current_span().is_some());
/// assert!(std::thread::spawn(work).join().unwrap());
/// ```
pub fn carry_call<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = current_span();
    move || {
        let _entered = span.as_ref().map(SpanHandle::enter);
        work()
    }
}

/// Begins an LLM call inside the current span, for a call made with any client. It counts from now on, however
/// it ends; dropped, it counts as cancelled.
///
/// ```
/// use flowmeter::{LlmRequest, LlmResponse};
///
/// # let meter = flowmeter::RunMeter::builder("nightly").start().unwrap();
/// # let _entered = meter.enter();
/// # let send = || br#"{"model": "gpt-4o", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
/// #    "usage": {"prompt_tokens": 9, "completion_tokens": 2}}"#;
/// let call = flowmeter::llm_call(LlmRequest::chat("openai", "gpt-4o"));
/// let body = send();
/// let cost = call.succeed(LlmResponse::from_body("openai", body));
/// assert!(cost.amount.is_some());
/// ```
#[must_use]
pub fn llm_call(request: LlmRequest) -> LlmCall {
    let mut request = Some(request);
    let call =
        SpanScope::with_current(|scope| request.take().map(|request| LlmCall::begin(Some(scope), request)));
    call.flatten()
        .unwrap_or_else(|| LlmCall::begin(None, request.unwrap_or_default()))
}

/// Notes that `request` was answered from a response cache, in the current span: nobody was asked, so it is no
/// call, and what the call cost once is counted as saved. For caches of any kind; a request that was looked up and
/// then asked says so with [`LlmRequest::cache_missed`].
///
/// ```
/// use flowmeter::{LlmCacheHit, LlmRequest};
/// use std::time::Duration;
///
/// # let meter = flowmeter::RunMeter::builder("nightly").start().unwrap();
/// # let _entered = meter.enter();
/// let hit = LlmCacheHit::new("Hi", Duration::from_secs(90));
/// flowmeter::llm_cache_hit(LlmRequest::chat("openai", "gpt-4o"), hit);
/// ```
pub fn llm_cache_hit(request: LlmRequest, hit: LlmCacheHit) {
    let mut noted = Some((request, hit));
    SpanScope::with_current(|scope| {
        if let Some((request, hit)) = noted.take() {
            hit.note(scope, request);
        }
    });
}

/// Begins an LLM call inside the current span when the budgets around it have room for it, for a call made with any
/// client. The most that it can cost is reserved first; where that may fit once calls in flight have ended, this waits
/// for them. What it did cost is settled when the call ends, however it does. Without a budget it is [`llm_call`].
///
/// Whoever holds one call must not wait for another in the same task: the other may be waiting for the first.
///
/// ```
/// use flowmeter::{Budget, LlmRequest, LlmResponse, RunMeter};
/// use flowmeter_model::UsdNanos;
///
/// # async fn send(_max_tokens: u64) -> Vec<u8> {
/// #     br#"{"model": "gpt-4o", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
/// #    "usage": {"prompt_tokens": 9, "completion_tokens": 2}}"#.to_vec()
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let budget = Budget { max_cost: Some(UsdNanos(2_000_000)), ..Budget::default() }; // $0.002
/// let meter = RunMeter::builder("nightly").budget(budget).start().unwrap();
/// let ask = |max_tokens| async move {
///     let mut request = LlmRequest::chat("openai", "gpt-4o").prompt("Say hi");
///     request.output_tokens_max = Some(max_tokens);
///     let call = flowmeter::budgeted_llm_call(request).await?;
///     let body = send(max_tokens).await; // with any client
///     Ok::<_, flowmeter::BudgetError>(call.succeed(LlmResponse::from_body("openai", &body)))
/// };
/// let cost = meter.within(ask(20)).await.unwrap();
/// assert_eq!(cost.amount, Some(UsdNanos(42_500)));
/// // A thousand tokens could cost more than there is: the call is not made.
/// let error = meter.within(ask(1_000)).await.unwrap_err();
/// assert_eq!(error.error_type(), "budget_exceeded");
/// # });
/// ```
///
/// # Errors
/// [`BudgetError`] where the call may not be made.
pub async fn budgeted_llm_call(request: LlmRequest) -> Result<LlmCall, BudgetError> {
    match current_span() {
        Some(span) => span.budgeted_llm_call(request).await,
        None => Ok(LlmCall::begin(None, request)),
    }
}

/// Opens a span inside the current one, for code that is not async: it lasts, and is current on this thread,
/// until the guard is dropped. A guard must not be held across an `.await`; that is what [`in_span`] is for.
///
/// ```
/// # let meter = flowmeter::RunMeter::builder("nightly").start().unwrap();
/// # let _entered = meter.enter();
/// let span = flowmeter::span("parse");
/// span.set("rows", 3_i64);
/// drop(span);
/// ```
pub fn span(name: impl Into<SmolStr>) -> SpanGuard {
    let opened = SpanScope::with_current(|scope| scope.open_by_hand(name.into(), None)).flatten();
    let entered = opened
        .as_ref()
        .map(|span| EnteredScope::enter(Arc::<SpanScope>::clone(span)));
    SpanGuard {
        entered,
        span: opened,
    }
}

/// A span that was opened by hand; it ends when this is dropped.
#[must_use = "the span ends when the guard is dropped"]
pub struct SpanGuard {
    entered: Option<EnteredScope>,
    span: Option<Arc<SpanScope>>,
}

impl SpanGuard {
    /// Its id; `None` where nothing is metered.
    #[must_use]
    pub fn id(&self) -> Option<SpanId> {
        self.span.as_ref().map(|span| span.span_id)
    }

    /// Sets an attribute.
    pub fn set(&self, key: impl Into<SmolStr>, value: impl Into<AttributeValue>) {
        if let Some(span) = &self.span {
            span.with_details(|details| details.attributes.set(key, value));
        }
    }

    /// Says that what the span stands for went wrong, and why.
    pub fn fail(&self, error_type: impl Into<SmolStr>, message: impl Into<String>) {
        if let Some(span) = &self.span {
            note_failure(span, error_type.into(), message.into());
        }
    }
}

impl Drop for SpanGuard {
    fn drop(&mut self) {
        drop(self.entered.take());
        if let Some(span) = self.span.take() {
            if std::thread::panicking() {
                span.end_unseen();
            } else {
                span.end_well();
            }
        }
    }
}

/// Runs `work` in a span inside the one that is current now. The span begins with the first poll.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let meter = flowmeter::RunMeter::builder("nightly").start().unwrap();
/// let rows = meter.within(async {
///     flowmeter::in_span("load", async { 3 }).set("table", "customers").await
/// });
/// assert_eq!(rows.await, 3);
/// # });
/// ```
pub fn in_span<F: Future>(name: impl Into<SmolStr>, work: F) -> InSpan<F> {
    InSpan {
        waiting: current_span().map(|parent| Waiting {
            parent,
            name: name.into(),
            details: None,
        }),
        work: Some(Box::pin(work)),
        span: None,
        running: None,
    }
}

struct Waiting {
    parent: SpanHandle,
    name: SmolStr,
    details: Option<Box<SpanDetails>>,
}

/// Work in a span of its own; see [`in_span`].
#[must_use = "futures do nothing unless they are polled"]
pub struct InSpan<F> {
    /// What the span is to be, before the first poll.
    waiting: Option<Waiting>,
    work: Option<Pin<Box<F>>>,
    span: Option<Arc<SpanScope>>,
    running: Option<InScope<Pin<Box<F>>>>,
}

impl<F> InSpan<F> {
    /// Sets an attribute of the span.
    pub fn set(mut self, key: impl Into<SmolStr>, value: impl Into<AttributeValue>) -> Self {
        if let Some(waiting) = &mut self.waiting {
            let details = waiting.details.get_or_insert_default();
            details.attributes.set(key, value);
        }
        self
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        if let Some(work) = this.work.take() {
            let scope = this.waiting.take().map(|waiting| {
                let Waiting {
                    parent,
                    name,
                    details,
                } = waiting;
                this.span = parent.with(|scope| scope.open_by_hand(name, details)).flatten();
                // Without spans the work still belongs to the run: its LLM calls count.
                let own = this.span.clone().map(|span| -> Arc<dyn Scope> { span });
                own.unwrap_or(parent.scope)
            });
            this.running = Some(InScope::new(scope, work));
        }
        let Some(running) = &mut this.running else {
            return Poll::Pending;
        };
        let polled = Pin::new(running).poll(cx);
        if polled.is_ready()
            && let Some(span) = this.span.take()
        {
            span.end_well();
        }
        polled
    }
}

impl<F> Drop for InSpan<F> {
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            drop(self.running.take());
            let (status, error) = unseen_end("the span");
            span.end(status, |details| {
                if details.error.is_none() {
                    details.error = error;
                }
            });
        }
    }
}
