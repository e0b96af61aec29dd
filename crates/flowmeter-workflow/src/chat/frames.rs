//! Reads the raw frames of a streamed answer: usage, ids, how it ended, and errors told in mid-stream.
//!
//! Never keeps the text of the answer, and parses only the frames that can tell something.

use std::sync::Arc;

use flowmeter_model::TokenUsage;
use flowmeter_pricing::{UsageStream, extract_usage};
use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::problem::{message_in, shortened};

/// What the frames have told so far.
#[derive(Debug)]
pub(crate) struct Frames {
    usage: UsageStream,
    raw_usage: Option<Value>,
    /// The model that says it answers.
    pub(crate) model: Option<SmolStr>,
    /// The provider's id of the answer.
    pub(crate) response_id: Option<SmolStr>,
    /// The provider's word for why it stopped.
    pub(crate) finish_reason: Option<SmolStr>,
    /// What the model said instead of an answer, where the provider keeps that apart from answers.
    pub(crate) refusal: String,
    /// The message of an error frame.
    pub(crate) error: Option<String>,
    /// How many frames had anything in them.
    pub(crate) count: usize,
    /// How many output tokens the provider has counted so far, where it says so in mid-stream.
    pub(crate) output_so_far: Option<u64>,
    /// Whether output tokens were counted after the start: Anthropic's first frame has a placeholder.
    counts_output: bool,
}

impl Frames {
    pub(crate) fn new(provider: &str) -> Self {
        Self {
            usage: UsageStream::new(Some(provider)),
            raw_usage: None,
            model: None,
            response_id: None,
            finish_reason: None,
            refusal: String::new(),
            error: None,
            count: 0,
            output_so_far: None,
            counts_output: false,
        }
    }

    pub(crate) fn read(&mut self, data: &str) {
        if data.is_empty() {
            return;
        }
        self.count += 1;
        self.usage.frame(data);
        let wanted = self.model.is_none()
            || TELLING.iter().any(|word| data.contains(word))
            || REASONS.iter().any(|key| gives_text(data, key))
            || gives_text(data, "refusal\"");
        if !wanted {
            return;
        }
        let Ok(frame) = serde_json::from_str::<Value>(data) else {
            return;
        };
        self.read_names(&frame);
        if let Some(reason) = finish_reason(&frame) {
            self.finish_reason = Some(SmolStr::new(reason));
        }
        if let Some(said) = refusal(&frame)
            && self.refusal.len() + said.len() <= REFUSAL_BYTES_MAX
        {
            self.refusal.push_str(said);
        }
        if frame.get("error").is_some_and(|error| !error.is_null()) {
            self.error = Some(message_in(&frame).map_or_else(|| shortened(data), shortened));
        }
        if let Some(block) = usage_block(&frame) {
            if frame.get("type").and_then(Value::as_str) != Some("message_start") {
                self.counts_output = true;
                self.output_so_far = self.usage.usage().output.map(|output| output.tokens);
            }
            overlay(
                self.raw_usage.get_or_insert_with(|| Value::Object(Map::new())),
                block,
            );
        }
    }

    fn read_names(&mut self, frame: &Value) {
        let text = |places: &[&str]| {
            let mut found = places
                .iter()
                .filter_map(|place| frame.pointer(place).and_then(Value::as_str));
            found.find(|text| !text.is_empty()).map(SmolStr::new)
        };
        if self.model.is_none() {
            self.model = text(&["/model", "/message/model", "/response/model", "/modelVersion"]);
        }
        if self.response_id.is_none() {
            self.response_id = text(&["/id", "/message/id", "/response/id", "/responseId"]);
        }
    }

    /// The usage as far as it is known. In a stream that was cut off the output may be unknown, although the
    /// provider put a placeholder at the start.
    pub(crate) fn usage(&self, cut: bool) -> TokenUsage {
        let mut usage = self.usage.usage();
        if cut && !self.counts_output {
            usage.output = None;
        }
        usage
    }

    pub(crate) fn raw_usage(&mut self) -> Option<Arc<Value>> {
        self.raw_usage.take().map(Arc::new)
    }
}

/// A frame without any of these words, and without a reason, has nothing for us but text.
const TELLING: [&str; 7] = [
    "\"usage",
    "eval_count",
    "TokenCount",
    "finishReason",
    "\"error\"",
    "\"done\":true",
    "\"done\": true",
];

/// Keys that stand in every frame, with null until the answer is over.
const REASONS: [&str; 2] = ["finish_reason\"", "stop_reason\""];

/// Whether the key has a text somewhere, however the server spaces its JSON.
fn gives_text(data: &str, key: &str) -> bool {
    data.match_indices(key).any(|(at, _)| {
        let value = data[at + key.len()..].trim_start().strip_prefix(':');
        value.is_some_and(|value| value.trim_start().starts_with('"'))
    })
}

fn finish_reason(frame: &Value) -> Option<&str> {
    const PLACES: [&str; 7] = [
        "/choices/0/finish_reason",
        "/delta/stop_reason",
        "/stop_reason",
        "/candidates/0/finishReason",
        "/done_reason",
        "/finish_reason",
        "/response/status",
    ];
    let mut found = PLACES
        .iter()
        .filter_map(|place| frame.pointer(place).and_then(Value::as_str));
    let said = found.find(|reason| *reason != "in_progress" && !reason.is_empty());
    // Ollama's older servers say only that it is over.
    said.or_else(|| (frame.get("done") == Some(&Value::Bool(true))).then_some("stop"))
}

/// What is kept of a refusal at most, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// OpenAI and those that speak like it put a refusal beside the content, which is empty then.
fn refusal(frame: &Value) -> Option<&str> {
    ["/choices/0/delta/refusal", "/choices/0/message/refusal"]
        .iter()
        .find_map(|place| frame.pointer(place).and_then(Value::as_str))
}

/// Why an answer ended that is a refusal, where the provider says no more than `stop`.
pub(crate) const REFUSED: &str = "refusal";

/// What the provider says of itself in a whole body: usage, the usage block, model and id.
pub(crate) struct Whole {
    pub(crate) usage: TokenUsage,
    pub(crate) raw_usage: Option<Arc<Value>>,
    pub(crate) model: Option<SmolStr>,
    pub(crate) response_id: Option<SmolStr>,
    pub(crate) finish_reason: Option<SmolStr>,
    pub(crate) refusal: Option<String>,
}

impl Whole {
    pub(crate) fn read(provider: &str, body: &Value) -> Self {
        let mut frames = Frames::new(provider);
        frames.read_names(body);
        Self {
            usage: extract_usage(Some(provider), body),
            raw_usage: usage_block(body).map(Arc::new),
            model: frames.model,
            response_id: frames.response_id,
            finish_reason: finish_reason(body).map(SmolStr::new),
            refusal: refusal(body).filter(|said| !said.is_empty()).map(str::to_owned),
        }
    }
}

/// The usage block as the provider wrote it.
fn usage_block(frame: &Value) -> Option<Value> {
    const PLACES: [&str; 7] = [
        "/usage",
        "/message/usage",
        "/response/usage",
        "/delta/usage",
        "/usageMetadata",
        "/x_groq/usage",
        "/metadata/usage",
    ];
    let block = PLACES
        .iter()
        .find_map(|place| frame.pointer(place).filter(|block| block.is_object()));
    block.cloned().or_else(|| ollama_counts(frame))
}

/// Ollama writes its counts beside the message.
fn ollama_counts(frame: &Value) -> Option<Value> {
    let frame = frame.as_object()?;
    frame
        .get("eval_count")
        .or_else(|| frame.get("prompt_eval_count"))?;
    let counts = frame
        .iter()
        .filter(|(key, _)| key.ends_with("_count") || key.ends_with("_duration"));
    Some(Value::Object(
        counts.map(|(key, value)| (key.clone(), value.clone())).collect(),
    ))
}

fn overlay(kept: &mut Value, newer: Value) {
    let (Value::Object(kept), Value::Object(newer)) = (kept, newer) else {
        return;
    };
    for (key, value) in newer {
        if !value.is_null() {
            kept.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests;
