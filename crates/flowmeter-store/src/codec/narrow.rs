//! What of a span goes into packed columns: all that lists, sums and analyses need.
//!
//! Never holds a payload; together with its payload it is the whole span again.

use flowmeter_model::{
    AttributeValue, Attributes, CostStatus, Span, SpanId, SpanKind, SpanStatus, TimestampNs, UsdNanos,
};
use smol_str::SmolStr;

use super::attribute_names::{
    CACHE_HIT, NODE_ID, NODE_PATH, PROVIDER_NAME, REQUEST_MODEL, RESPONSE_MODEL, SAVED_NANOS, SAVED_STATUS,
};
use crate::rules::row::PROVIDER_SAVED_NANOS;
use crate::{RunKey, SpanRow, TokenSums};

/// The narrow part of a span. Its names are texts, or numbers that stand for them (`N`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NarrowSpan<N = SmolStr> {
    /// The span.
    pub(crate) span_id: SpanId,
    /// The step around it.
    pub(crate) parent_span_id: Option<SpanId>,
    /// What it stands for.
    pub(crate) kind: SpanKind,
    /// How it ended; `None` where nobody saw the end.
    pub(crate) status: Option<SpanStatus>,
    /// When it began.
    pub(crate) start: TimestampNs,
    /// From start to end; `None` where nobody saw the end.
    pub(crate) duration_ns: Option<u64>,
    /// `node.llm`, `chat gpt-4o`, ….
    pub(crate) operation: N,
    /// The node that it is, or that it happened in; empty outside nodes.
    pub(crate) node: N,
    /// The model of an LLM call; empty elsewhere.
    pub(crate) model: N,
    /// Who answered it; empty elsewhere.
    pub(crate) provider: N,
    /// The class of its error; empty where there is none.
    pub(crate) error_type: N,
    /// Tokens of an LLM call.
    pub(crate) tokens: TokenSums,
    /// How its cost is known; `None` where it has none.
    pub(crate) cost_status: Option<CostStatus>,
    /// The amount.
    pub(crate) cost: Option<UsdNanos>,
    /// How it is known what the response cache saved; `None` where it saved nothing.
    pub(crate) saved_status: Option<CostStatus>,
    /// What it saved; of a call that was made, what the provider's own cache did.
    pub(crate) saved: Option<UsdNanos>,
    /// Of an LLM call: a hash of model, prompt and system instructions ([`super::payload::prompt_hash`]); 0 elsewhere.
    pub(crate) prompt_hash: u64,
    /// Writes to the shared store.
    pub(crate) mutations: u32,
    /// Whether the answer came from the response cache.
    pub(crate) cache_hit: bool,
}

impl NarrowSpan {
    /// The narrow part of `span`, which happened in the node `node` (see [`told_node`] and [`own_node`]).
    /// `prompt_hash` is what [`super::payload::PayloadWriter::write`] gave, or [`super::payload::prompt_hash`].
    pub(crate) fn of(span: &Span, node: SmolStr, prompt_hash: u64) -> Self {
        let attributes = &span.attributes;
        let text = |key| attributes.get_str(key).map(SmolStr::new);
        let is_call = span.kind == SpanKind::LlmCall || span.usage.is_some() || span.cost.is_some();
        let (model, provider) = if is_call {
            (
                text(REQUEST_MODEL).or_else(|| text(RESPONSE_MODEL)),
                text(PROVIDER_NAME),
            )
        } else {
            (None, None)
        };
        let cache_hit = matches!(attributes.get(CACHE_HIT), Some(AttributeValue::Bool(true)));
        let (saved_status, saved) = if cache_hit {
            saved_of(attributes)
        } else {
            (None, provider_saved_of(attributes))
        };
        Self {
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            kind: span.kind,
            status: span.status,
            start: span.start,
            duration_ns: span.duration_ns(),
            operation: span.operation.clone(),
            node,
            model: model.unwrap_or_default(),
            provider: provider.unwrap_or_default(),
            error_type: span
                .error
                .as_ref()
                .map(|error| error.error_type.clone())
                .unwrap_or_default(),
            tokens: span.usage.as_ref().map(TokenSums::of).unwrap_or_default(),
            cost_status: span.cost.as_ref().map(|cost| cost.status),
            cost: span.cost.as_ref().and_then(|cost| cost.amount),
            saved_status,
            saved,
            prompt_hash,
            mutations: u32::try_from(span.mutations.len()).unwrap_or(u32::MAX),
            cache_hit,
        }
    }

    /// The row of this span of a run of `workflow`, as [`crate::rules::row::row_of`] makes it. What stands in columns so
    /// that the span can be given back, and is no row's business, is left out.
    pub(crate) fn to_row(&self, run: RunKey, workflow: SmolStr) -> SpanRow {
        let is_call = self.kind == SpanKind::LlmCall;
        let cache_hit = is_call && self.cache_hit;
        let unsaid = if self.error_type.is_empty() {
            SpanStatus::Ok
        } else {
            SpanStatus::Error
        };
        SpanRow {
            run,
            workflow,
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            kind: self.kind,
            operation: self.operation.clone(),
            node: self.node.clone(),
            model: if is_call {
                self.model.clone()
            } else {
                SmolStr::default()
            },
            provider: if is_call {
                self.provider.clone()
            } else {
                SmolStr::default()
            },
            start: self.start,
            duration_ns: self.duration_ns.unwrap_or(0),
            status: self.status.unwrap_or(unsaid),
            error_type: self.error_type.clone(),
            tokens: if is_call {
                self.tokens
            } else {
                TokenSums::default()
            },
            cost_status: is_call.then(|| self.cost_status.unwrap_or(CostStatus::Unpriced)),
            cost: if is_call { self.cost } else { None },
            prompt_hash: if is_call { self.prompt_hash } else { 0 },
            mutations: self.mutations,
            cache_hit,
            saved_status: if cache_hit { self.saved_status } else { None },
            saved: if cache_hit { self.saved } else { None },
            provider_saved: if is_call && !cache_hit { self.saved } else { None },
        }
    }
}

impl<N> NarrowSpan<N> {
    /// The same with other names.
    ///
    /// # Errors
    /// The first that `name` gives.
    pub(crate) fn with_names<M, E>(
        &self,
        mut name: impl FnMut(&N) -> Result<M, E>,
    ) -> Result<NarrowSpan<M>, E> {
        Ok(NarrowSpan {
            operation: name(&self.operation)?,
            node: name(&self.node)?,
            model: name(&self.model)?,
            provider: name(&self.provider)?,
            error_type: name(&self.error_type)?,
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            kind: self.kind,
            status: self.status,
            start: self.start,
            duration_ns: self.duration_ns,
            tokens: self.tokens,
            cost_status: self.cost_status,
            cost: self.cost,
            saved_status: self.saved_status,
            saved: self.saved,
            prompt_hash: self.prompt_hash,
            mutations: self.mutations,
            cache_hit: self.cache_hit,
        })
    }
}

/// The id of the node that the span itself is.
pub(crate) fn own_node(span: &Span) -> Option<&str> {
    let id = span.attributes.get_str(NODE_ID)?;
    (span.kind == SpanKind::Node).then_some(id)
}

/// The whole path of the node that the span says it belonged to: then no other span need be asked.
pub(crate) fn told_node(span: &Span) -> Option<&str> {
    span.attributes.get_str(NODE_PATH)
}

/// What a hit saved. One that does not say so saved something unknown.
fn saved_of(attributes: &Attributes) -> (Option<CostStatus>, Option<UsdNanos>) {
    let Some(AttributeValue::I64(nanos)) = attributes.get(SAVED_NANOS) else {
        return (Some(CostStatus::Unpriced), None);
    };
    let known = [CostStatus::Reported, CostStatus::Estimated, CostStatus::Partial];
    let name = attributes.get_str(SAVED_STATUS);
    let status = known.into_iter().find(|status| Some(status.as_str()) == name);
    (Some(status.unwrap_or(CostStatus::Priced)), Some(UsdNanos(*nanos)))
}

/// What the provider's own cache saved, where a call says so.
fn provider_saved_of(attributes: &Attributes) -> Option<UsdNanos> {
    match attributes.get(PROVIDER_SAVED_NANOS) {
        Some(AttributeValue::I64(nanos)) => Some(UsdNanos(*nanos)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
