//! The span that a node is running in, for what the node itself wants to say.
//!
//! Found through the node's context; code without one has [`crate::current_span`]. A no-op where nothing is
//! metered: a node never has to ask.

use std::sync::Arc;

use flowmeter_engine::{NodeContext, Writes};
use flowmeter_model::{AttributeValue, LogLevel, SpanError, SpanId};
use serde_json::Value;
use smol_str::SmolStr;

use crate::budget::BudgetError;
use crate::details::MESSAGE;
use crate::llm::{LlmCacheHit, LlmCall, LlmRequest};
use crate::metrics::PlannerPath;
use crate::performance::ChildUsage;
use crate::propagation::Carrier;
use crate::recorder::{RecordedValue, RecordingSpan};
use crate::scope::SpanScope;

/// The span around the running node, attempt or batch item.
#[derive(Clone, Copy)]
pub struct CurrentSpan<'a> {
    scope: Option<&'a SpanScope>,
}

/// The span that `cx` belongs to.
#[must_use]
pub fn current(cx: &NodeContext) -> CurrentSpan<'_> {
    CurrentSpan {
        scope: SpanScope::of(cx),
    }
}

impl<'a> CurrentSpan<'a> {
    /// Its id; `None` where nothing is metered.
    #[must_use]
    pub fn id(&self) -> Option<SpanId> {
        self.scope.map(|scope| scope.span_id)
    }

    /// What a callee needs so that it joins the trace, as called by this span; `None` where nothing is metered. Where
    /// no spans are kept, callees are told of the span that called this run, if any.
    #[must_use]
    pub fn carrier(&self) -> Option<Carrier> {
        self.scope
            .and_then(|scope| scope.with_innermost(SpanScope::carrier))
    }

    /// Begins a span of the node's own inside this one.
    #[must_use]
    pub fn span(&self, name: &'static str) -> RecordingSpan<'a> {
        match self.scope {
            Some(scope) => scope.run.recorder.span(name, Some(scope.innermost_id())),
            None => RecordingSpan::inert(),
        }
    }

    /// Whether spans are kept. Where they are not, there is no need to prepare content for them.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.scope.is_some_and(|scope| scope.run.keeps_spans)
    }

    /// Whether content is kept: what a command printed, what a file holds.
    #[must_use]
    pub fn keeps_content(&self) -> bool {
        self.scope.is_some_and(|scope| scope.run.keeps_content)
    }

    /// Sets an attribute.
    pub fn set(&self, key: impl Into<SmolStr>, value: impl Into<AttributeValue>) {
        if let Some(scope) = self.scope {
            scope.with_details(|details| details.attributes.set(key, value));
        }
    }

    /// Writes a log line into the span, or into the one opened by hand inside it. The run's filter knows it by
    /// the node's type.
    pub fn log(&self, level: LogLevel, message: impl AsRef<str>) {
        if let Some(scope) = self.scope.filter(|scope| scope.run.keeps_spans) {
            let target = scope.log_target();
            if scope.run.log_filter.keeps_of_node(target, level) {
                scope.with_innermost(|innermost| {
                    innermost.log(level, target, |draft| {
                        draft.attribute(MESSAGE, RecordedValue::Str(message.as_ref()));
                    });
                });
            }
        }
    }

    /// Notes the node's parameters with every template resolved.
    pub fn record_params(&self, params: &Arc<Value>) {
        if let Some(scope) = self.scope.filter(|scope| scope.run.keeps_content) {
            scope.with_details(|details| details.params = Some(Arc::clone(params)));
        }
    }

    /// Notes what a template became.
    pub fn record_template(&self, template: &str, value: &Arc<Value>) {
        if let Some(scope) = self.scope.filter(|scope| scope.run.keeps_content) {
            scope.with_details(|details| {
                details
                    .templates
                    .push((SmolStr::new(template), Arc::clone(value)));
            });
        }
    }

    /// Notes what was written to the shared store outside any node: the inputs of a workflow.
    pub fn record_writes(&self, writes: Writes) {
        if let Some(scope) = self.scope.filter(|scope| scope.run.keeps_spans) {
            scope.with_details(|details| details.mutations = writes);
        }
    }

    /// Says why the node failed, where it returns the action `error` instead of an error.
    pub fn record_error(&self, error_type: impl Into<SmolStr>, message: impl Into<String>) {
        if let Some(scope) = self.scope {
            let error = SpanError {
                error_type: error_type.into(),
                message: message.into(),
                chain: Vec::new(),
            };
            scope.with_details(|details| details.error = Some(error));
        }
    }

    /// Notes that a process which the node had started has ended and used this. It counts for the node and stands
    /// in its span.
    pub fn child_ended(&self, usage: &ChildUsage) {
        if let Some(scope) = self.scope {
            scope.child_ended(usage);
        }
    }

    /// Says which way the planner goes; the first one that is said counts.
    pub fn planner_took(&self, path: PlannerPath) {
        if let Some(scope) = self.scope {
            scope.run.collector.planner_took(path);
        }
    }

    /// Whether a budget is in force here, or may be: one that several runs share can be set at any time.
    #[must_use]
    pub fn has_budget(&self) -> bool {
        self.scope
            .is_some_and(|scope| scope.account.is_some() || scope.run.shared_budgets.is_some())
    }

    /// Begins an LLM call inside this span when its budget has room for it: see
    /// [`budgeted_llm_call`](crate::budgeted_llm_call).
    ///
    /// # Errors
    /// [`BudgetError`] where the call may not be made.
    pub async fn budgeted_llm_call(&self, request: LlmRequest) -> Result<LlmCall, BudgetError> {
        LlmCall::begin_budgeted(self.scope, request).await
    }

    /// Begins an LLM call inside this span. It counts from now on, however it ends.
    #[must_use]
    pub fn llm_call(&self, request: LlmRequest) -> LlmCall {
        LlmCall::begin(self.scope, request)
    }

    /// Notes that `request` was answered from a response cache, in this span: nobody was asked, so it is no call,
    /// and what the call cost once is counted as saved.
    pub fn llm_cache_hit(&self, request: LlmRequest, hit: LlmCacheHit) {
        if let Some(scope) = self.scope {
            hit.note(scope, request);
        }
    }
}
