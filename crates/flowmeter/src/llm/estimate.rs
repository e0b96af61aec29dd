//! What an LLM call used where nobody counted.
//!
//! Never overwrites what a provider counted, but where a stream broke off after more than that; what such a stream had
//! counted by then is an estimate, too. Without the feature `tokenizer` no text is kept for it, only its length.

use flowmeter_model::{Figure, SpanStatus};
use flowmeter_pricing::{HAS_TOKENIZER, estimate_bytes, estimate_input, estimate_output};
use serde_json::Value;

use super::{Ended, LlmCall};

/// So much of an answer is kept for the tokenizer; what is longer is guessed by its bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// The text of an answer as far as it is kept for the tokenizer: without it, nothing.
#[derive(Debug, Default)]
pub(super) struct AnswerText {
    kept: String,
}

impl AnswerText {
    /// Keeps a piece, where a tokenizer will read it and there is room.
    pub(super) fn push(&mut self, piece: &str) {
        if HAS_TOKENIZER && self.kept.len() + piece.len() <= KEPT_BYTES_MAX {
            self.kept.push_str(piece);
        }
    }

    /// Keeps a text that came whole, unless there were pieces.
    pub(super) fn whole(&mut self, text: &str) {
        if self.kept.is_empty() {
            self.push(text);
        }
    }

    /// The tokens of an answer of so many bytes, of which this may be all or part.
    fn tokens(&self, model: &str, answer_bytes: u64) -> Figure {
        let unseen = answer_bytes.saturating_sub(self.kept.len() as u64);
        if self.kept.is_empty() {
            return estimate_bytes(answer_bytes);
        }
        let seen = estimate_output(model, &self.kept);
        if unseen == 0 {
            return seen;
        }
        // In part by bytes is by bytes.
        Figure::estimate(seen.tokens + estimate_bytes(unseen).tokens)
    }
}

impl LlmCall {
    /// Fills in what nobody counted. A stream that broke off may have counted less than it had sent.
    pub(super) fn estimate_missing(&self, ended: &mut Ended) {
        let usage = &mut ended.usage;
        // Searches, seconds and pages are charged without tokens.
        let charged_otherwise =
            usage.search_units.is_some() || usage.audio_ms.is_some() || usage.document_pages.is_some();
        let complete = usage.reported_cost.is_some() || (charged_otherwise && usage.input.is_none());
        if complete && ended.status == SpanStatus::Ok {
            return;
        }
        if usage.input.is_none() {
            usage.input = self.estimated_input();
        }
        let counts_output = usage.output.is_none() && self.request.operation != "embeddings";
        let may_be_more = usage.output.is_some() && ended.status != SpanStatus::Ok;
        if counts_output || may_be_more {
            let model = ended.model.as_deref().unwrap_or(&self.request.model);
            let seen = self.answer_text.tokens(model, self.output_text_bytes);
            let agreed = self
                .reserved
                .as_ref()
                .map_or(u64::MAX, |reserved| reserved.output_tokens);
            usage.output = match usage.output {
                Some(counted) if counted.tokens < seen.tokens => Some(seen),
                // What a stream counted before it broke off is where it stood then, not what is billed.
                Some(counted) if self.request.stream && counted.tokens <= agreed => {
                    Some(Figure::estimate(counted.tokens))
                }
                None => Some(seen),
                counted => counted,
            };
        }
    }

    /// Takes an answer that did not come in pieces.
    pub(super) fn take_whole(&mut self, answer: &Value) {
        let structured;
        let text = match answer {
            Value::Null => return,
            Value::String(text) => text,
            other => {
                structured = other.to_string();
                &structured
            }
        };
        self.output_text_bytes = text.len() as u64;
        self.answer_text.whole(text);
    }

    fn estimated_input(&self) -> Option<Figure> {
        let request = &self.request;
        let texts: Vec<&str> = request.input_texts.iter().map(AsRef::as_ref).collect();
        let told: u64 = texts.iter().map(|text| text.len() as u64).sum();
        if HAS_TOKENIZER && told > 0 && told >= request.input_text_bytes {
            return Some(estimate_input(&request.model, &texts));
        }
        (request.input_text_bytes > 0).then(|| estimate_bytes(request.input_text_bytes))
    }
}

#[cfg(test)]
mod tests;
