//! The usage of a streamed answer, read frame by frame.
//!
//! Never holds the stream: one usage block is kept, and a frame without one is passed over without
//! being parsed. Counts in a stream are cumulative: they are overwritten and never added.

use flowmeter_model::TokenUsage;
use memchr::memmem::Finder;
use serde_json::Value;

use crate::usage::fields::Block;
use crate::usage::{Found, Shape, Speaker, complete, find, hosted_searches, read, service_tier};

/// Reads the usage out of a stream's frames.
#[derive(Debug)]
pub struct UsageStream {
    speaker: Speaker,
    usage_key: Finder<'static>,
    /// Keys of the two dialects whose counts stand under no `usage`: Ollama's, and Bedrock's own.
    bare_keys: [Finder<'static>; 2],
    kept: Option<Kept>,
    service_tier: Option<String>,
    searches: Option<u64>,
}

#[derive(Debug)]
struct Kept {
    shape: Shape,
    block: Block,
}

impl UsageStream {
    /// A stream of which nothing was read yet; the hint is that of [`extract_usage`](crate::extract_usage).
    #[must_use]
    pub fn new(provider_hint: Option<&str>) -> Self {
        Self {
            speaker: Speaker::of(provider_hint),
            usage_key: Finder::new("\"usage"),
            bare_keys: [Finder::new("eval_count\""), Finder::new("invocationMetrics\"")],
            kept: None,
            service_tier: None,
            searches: None,
        }
    }

    /// Takes the data of one server-sent event, or one line of a stream of JSON lines. What is no JSON,
    /// `[DONE]` included, is passed over.
    pub fn frame(&mut self, data: &str) {
        if !self.may_have_usage(data) {
            return;
        }
        let data = data.trim_start();
        let data = data.strip_prefix("data:").unwrap_or(data);
        let Ok(frame) = serde_json::from_str::<Value>(data) else {
            return;
        };
        if let Some(found) = find(&frame, self.speaker) {
            self.keep(found);
        }
    }

    /// The usage as far as the stream has told it.
    #[must_use]
    pub fn usage(&self) -> TokenUsage {
        let Some(kept) = &self.kept else {
            return TokenUsage::default();
        };
        let mut usage = read(kept.shape, &kept.block, self.speaker);
        complete(&mut usage, self.service_tier.clone(), self.searches);
        usage
    }

    /// Whether parsing is worth it. Many providers put `"usage":null` into every frame but the last.
    fn may_have_usage(&self, data: &str) -> bool {
        let bytes = data.as_bytes();
        let told = self.usage_key.find_iter(bytes).any(|at| {
            let value = data[at + "\"usage".len()..]
                .strip_prefix('"')
                .map(str::trim_start);
            let value = value.and_then(|rest| rest.strip_prefix(':')).map(str::trim_start);
            !value.is_some_and(|value| value.starts_with("null"))
        });
        told || self.bare_keys.iter().any(|key| key.find(bytes).is_some())
    }

    fn keep(&mut self, found: Found<'_>) {
        let metrics = found.shape == Shape::InvocationMetrics;
        if metrics
            && self
                .kept
                .as_ref()
                .is_some_and(|kept| kept.shape != Shape::InvocationMetrics)
        {
            // The model's native counts are finer than Bedrock's own, which repeat them at the end.
            return;
        }
        self.service_tier = service_tier(found.around).or(self.service_tier.take());
        self.searches = hosted_searches(found.around).or(self.searches);
        match &mut self.kept {
            // Anthropic tells some counts only at the start and repeats the others; all else repeats everything.
            Some(kept) if kept.shape == Shape::Anthropic && speaks_anthropic(found.shape) => {
                overwrite(&mut kept.block, found.block);
            }
            kept => {
                *kept = Some(Kept {
                    shape: found.shape,
                    block: found.block.clone(),
                });
            }
        }
    }
}

/// A late event of Anthropic's with output alone cannot be told from OpenAI's by itself.
fn speaks_anthropic(shape: Shape) -> bool {
    matches!(shape, Shape::Anthropic | Shape::Responses)
}

fn overwrite(kept: &mut Block, newer: &Block) {
    for (key, value) in newer {
        match (kept.get_mut(key), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(inner)), Value::Object(newer_inner)) => overwrite(inner, newer_inner),
            _ => {
                kept.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
