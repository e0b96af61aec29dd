//! Tests of narrow spans.

use flowmeter_model::{Cost, SpanError, TraceId};

use super::*;
use crate::codec::attribute_names::ERROR_TYPE;
use crate::codec::payload::prompt_hash;
use crate::codec::random_spans::llm_call;

#[test]
fn a_call_tells_its_model_provider_tokens_and_cost() {
    let span = llm_call(3);
    let narrow = NarrowSpan::of(&span, "outer/inner".into(), prompt_hash(&span));
    assert_eq!(
        (narrow.model.as_str(), narrow.provider.as_str()),
        ("gpt-4o", "openai")
    );
    assert_eq!(
        narrow.tokens.input,
        span.usage
            .as_ref()
            .map_or(0, flowmeter_model::TokenUsage::input_tokens)
    );
    assert_eq!(narrow.cost, span.cost.as_ref().and_then(|cost| cost.amount));
    assert_eq!((narrow.cache_hit, narrow.saved_status), (false, None));
    let key = RunKey {
        trace_id: span.trace_id,
        root_span_id: span.span_id,
    };
    let row = narrow.to_row(key, "flow".into());
    assert_eq!(
        (row.node.as_str(), row.duration_ns),
        ("outer/inner", span.duration_ns().unwrap_or(0))
    );
}

#[test]
fn an_answer_from_the_cache_tells_what_it_saved() {
    let mut span = llm_call(3);
    span.attributes.set(CACHE_HIT, true);
    span.cost = Some(Cost::not_billed());
    let of = |span: &Span| {
        let narrow = NarrowSpan::of(span, SmolStr::default(), 0);
        (narrow.cache_hit, narrow.saved_status, narrow.saved)
    };
    assert_eq!(of(&span), (true, Some(CostStatus::Unpriced), None));
    span.attributes.set(SAVED_NANOS, 250_i64);
    assert_eq!(of(&span), (true, Some(CostStatus::Priced), Some(UsdNanos(250))));
    span.attributes.set(SAVED_STATUS, "estimated");
    assert_eq!(
        of(&span),
        (true, Some(CostStatus::Estimated), Some(UsdNanos(250)))
    );
    span.attributes.set(CACHE_HIT, false);
    assert_eq!(of(&span), (false, None, None));
}

#[test]
fn nodes_and_errors_are_told_by_what_the_span_says() {
    let trace = TraceId::parse("0af7651916cd43dd8448eb211c80319c").expect("an id");
    let id = SpanId::from_u64(1).expect("an id");
    let mut span = Span::begin(trace, id, None, SpanKind::Node, "node.shell", TimestampNs(5));
    span.attributes.set(NODE_ID, "fetch");
    span.attributes.set(REQUEST_MODEL, "no model of a node");
    assert_eq!((own_node(&span), told_node(&span)), (Some("fetch"), None));
    span.attributes.set(ERROR_TYPE, "timeout");
    let narrow = NarrowSpan::of(&span, "fetch".into(), 0);
    // An attribute is no error.
    assert_eq!((narrow.error_type.as_str(), narrow.model.as_str()), ("", ""));
    span.error = Some(SpanError {
        error_type: "http_500".into(),
        message: String::new(),
        chain: Vec::new(),
    });
    span.kind = SpanKind::Attempt;
    span.attributes.set(NODE_PATH, "outer/fetch");
    assert_eq!((own_node(&span), told_node(&span)), (None, Some("outer/fetch")));
    assert_eq!(NarrowSpan::of(&span, "fetch".into(), 0).error_type, "http_500");
}
