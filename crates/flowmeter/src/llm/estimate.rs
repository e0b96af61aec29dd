//! What an LLM call used where nobody counted.
//!
//! Never overwrites what a provider counted, but where a stream broke off after more than that.

use flowmeter_model::{Figure, SpanStatus};

use super::{Ended, LlmCall};

impl LlmCall {
    /// Fills in what nobody counted. A stream that broke off may have counted less than it had sent.
    pub(super) fn estimate_missing(&self, ended: &mut Ended) {
        if ended.usage.reported_cost.is_some() && ended.status == SpanStatus::Ok {
            return;
        }
        let estimate = |bytes: u64| Figure::estimate(bytes.div_ceil(4));
        if ended.usage.input.is_none() && self.request.input_text_bytes > 0 {
            ended.usage.input = Some(estimate(self.request.input_text_bytes));
        }
        let seen = estimate(self.output_text_bytes);
        match ended.usage.output {
            None if self.request.operation != "embeddings" => ended.usage.output = Some(seen),
            Some(counted) if ended.status != SpanStatus::Ok && counted.tokens < seen.tokens => {
                ended.usage.output = Some(seen);
            }
            _ => {}
        }
    }
}
