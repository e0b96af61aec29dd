//! An LLM call as attributes of its span: GenAI names, usage, and why it cost what it cost.
//!
//! Never computes an amount.

use std::sync::Arc;
use std::time::Duration;

use flowmeter_model::{Cost, TokenUsage};
use serde_json::json;
use smol_str::SmolStr;

use super::{Ended, LlmCall, Metered};
use crate::details::SpanDetails;
use crate::genai;

impl LlmCall {
    pub(super) fn describe(&self, metered: &Metered, ended: Ended, cost: &Cost, details: &mut SpanDetails) {
        let request = &self.request;
        let attributes = &mut details.attributes;
        attributes.set(genai::OPERATION_NAME, request.operation.clone());
        attributes.set(genai::PROVIDER_NAME, request.provider.clone());
        attributes.set(genai::REQUEST_MODEL, request.model.clone());
        for (key, value) in request.parameters.iter() {
            attributes.set(key.clone(), value.clone());
        }
        if request.stream {
            attributes.set(genai::REQUEST_STREAM, true);
        }
        if let Some(model) = &ended.model {
            attributes.set(genai::RESPONSE_MODEL, model.clone());
        }
        if let Some(id) = &ended.response_id {
            attributes.set(genai::RESPONSE_ID, id.clone());
        }
        if !ended.finish_reasons.is_empty() {
            let reasons: Vec<&str> = ended.finish_reasons.iter().map(SmolStr::as_str).collect();
            attributes.set(genai::FINISH_REASONS, json!(reasons));
        }
        if let Some(first) = self.first_token.filter(|_| request.stream) {
            let waited: Duration = metered.run.duration_between(self.began, first);
            attributes.set(genai::TIME_TO_FIRST_CHUNK, waited.as_secs_f64());
        }
        if let Some(address) = &request.server_address {
            attributes.set(genai::SERVER_ADDRESS, address.clone());
        }
        if let Some(port) = request.server_port {
            attributes.set(genai::SERVER_PORT, u32::from(port));
        }
        if let Some(error) = &ended.error {
            attributes.set(genai::ERROR_TYPE, error.error_type.clone());
        }
        describe_usage(&ended.usage, details);
        if let Some(raw) = ended.raw_usage {
            details.attributes.set(genai::USAGE_RAW, raw);
        }
        describe_cost(cost, details);
        details.usage = Some(ended.usage);
        details.cost = Some(cost.clone());
        details.error = ended.error;
        if metered.run.keeps_content {
            details.messages = Some(Arc::clone(&request.messages));
            details.response = ended.response;
        }
    }
}

fn describe_usage(usage: &TokenUsage, details: &mut SpanDetails) {
    let attributes = &mut details.attributes;
    let write = match (usage.cache_write_5m, usage.cache_write_1h) {
        (None, None) => None,
        (five, hour) => Some(five.map_or(0, |f| f.tokens) + hour.map_or(0, |f| f.tokens)),
    };
    let figures = [
        (genai::INPUT_TOKENS, usage.input.map(|figure| figure.tokens)),
        (genai::OUTPUT_TOKENS, usage.output.map(|figure| figure.tokens)),
        (
            genai::CACHE_READ_TOKENS,
            usage.cache_read.map(|figure| figure.tokens),
        ),
        (genai::CACHE_WRITE_TOKENS, write),
        (
            genai::REASONING_TOKENS,
            usage.reasoning.map(|figure| figure.tokens),
        ),
    ];
    for (key, tokens) in figures {
        if let Some(tokens) = tokens {
            attributes.set(key, tokens);
        }
    }
    let estimated: Vec<&str> = [("input", usage.input), ("output", usage.output)]
        .into_iter()
        .filter(|(_, figure)| figure.is_some_and(|figure| figure.source.is_estimate()))
        .map(|(name, _)| name)
        .collect();
    if !estimated.is_empty() {
        attributes.set(genai::USAGE_ESTIMATED, json!(estimated));
    }
}

fn describe_cost(cost: &Cost, details: &mut SpanDetails) {
    let attributes = &mut details.attributes;
    if let Some(amount) = cost.amount {
        attributes.set(genai::COST_USD, amount.to_usd());
        attributes.set(genai::COST_NANOS, amount.0);
    }
    attributes.set(genai::COST_STATUS, cost.status.as_str());
    if let Some(explanation) = &cost.explanation {
        attributes.set(genai::COST_MATCHED, explanation.matched.clone());
        attributes.set(genai::COST_SOURCE, explanation.source.clone());
        attributes.set(genai::COST_RULE, explanation.rule.clone());
        let texts = [
            (genai::COST_SOURCE_DATE, &explanation.source_date),
            (genai::COST_APPLIES_SINCE, &explanation.applies_since),
            (genai::COST_TERMS, &explanation.terms),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                attributes.set(key, text.clone());
            }
        }
        if !explanation.lines.is_empty() {
            attributes.set(genai::COST_LINES, json!(explanation.lines));
            attributes.set(genai::COST_SUM, explanation.sum().decimal());
        }
        if let Some(rounding) = cost.amount.and_then(|amount| explanation.rounding(amount)) {
            attributes.set(genai::COST_ROUNDING, rounding.decimal());
        }
        if !explanation.warnings.is_empty() {
            attributes.set(genai::COST_WARNINGS, json!(explanation.warnings));
        }
    }
}
