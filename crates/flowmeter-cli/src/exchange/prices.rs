//! What LLM calls of other programs cost, where these did not say.
//!
//! Never changes a cost that came along.

use std::sync::Arc;

use flowmeter_model::{Span, SpanKind};
use flowmeter_pricing::{PriceBook, PricedCall};

/// Prices calls, and counts what it did.
pub(crate) struct CallPrices {
    book: Arc<PriceBook>,
    /// Calls that came with their cost.
    pub(crate) told: u64,
    /// Calls that were priced here.
    pub(crate) priced: u64,
    /// Calls that no price is known for, or whose usage nobody said.
    pub(crate) unpriced: u64,
}

impl CallPrices {
    pub(crate) fn new(book: Arc<PriceBook>) -> Self {
        Self {
            book,
            told: 0,
            priced: 0,
            unpriced: 0,
        }
    }

    /// Gives the call its cost, by the prices of the day on which it was made.
    pub(crate) fn price(&mut self, span: &mut Span) {
        if span.kind != SpanKind::LlmCall || span.end.is_none() {
            return;
        }
        if span.cost.is_some() {
            self.told += 1;
            return;
        }
        let text = |key: &str| span.attributes.get_str(key);
        let (asked, answered) = (text("gen_ai.request.model"), text("gen_ai.response.model"));
        let usage = span.usage.clone().unwrap_or_default();
        let cost = self.book.price(&PricedCall {
            provider: text("gen_ai.provider.name"),
            request_model: asked.or(answered).unwrap_or_default(),
            response_model: answered,
            usage: &usage,
            start: span.start,
            service_tier: text("openai.response.service_tier").or(text("openai.request.service_tier")),
        });
        if cost.amount.is_some() {
            self.priced += 1;
        } else {
            self.unpriced += 1;
        }
        span.cost = Some(cost);
    }
}
