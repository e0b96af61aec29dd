//! The `llm` type: asks a chat model.
//!
//! Every attempt is an LLM call of its own that counts, also one whose answer turns out to be of no use. Never
//! talks to a provider itself: that is [`crate::chat::ChatModel`]'s work.

mod answer;
mod cached;
mod call;
mod request;
mod reserved;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowmeter_engine::{Backoff, NodeContext, NodeError, RetryPolicy};
use serde_json::Value;

use super::carriers::{PROPAGATE_BAGGAGE, PROPAGATE_TO_SERVER, Reach};
use super::leaf::{self, Leaf, Outputs};
use super::params::Params;
use super::{ERROR, ERROR_TYPE, NodeType, Services, ValueType, defaulting, optional, output, required};
use crate::document::CacheEntry;
use call::ask;
use request::chat_request;
pub(crate) use request::{is_file, llm_request};
pub(crate) use reserved::bounded as budgeted;

/// The `type` of nodes that ask a model.
pub(crate) const NAME: &str = "llm";

pub(super) const TYPE: NodeType = NodeType {
    name: NAME,
    summary: "Asks a language model.",
    params: &[
        required("prompt", ValueType::String, "what to ask"),
        optional("system", ValueType::String, "the system prompt"),
        optional(
            "model",
            ValueType::String,
            "`model`, `provider/model` or `provider::model`; else the default model",
        ),
        optional(
            "temperature",
            ValueType::Number,
            "0 to 2; the provider's own default where absent",
        ),
        optional("max_tokens", ValueType::Integer, "the longest answer, in tokens"),
        optional("images", ValueType::Array, "paths or addresses of images"),
        optional(
            "output_schema",
            ValueType::Object,
            "a JSON Schema; the answer is parsed, checked against it, and asked for again where it does not follow",
        ),
        optional(
            "reasoning_effort",
            ValueType::String,
            "`none`, `minimal`, `low`, `medium`, `high` or `xhigh`, for models that reason",
        ),
        optional(
            "reasoning_max_tokens",
            ValueType::Integer,
            "how many tokens a model may spend on reasoning",
        ),
        optional(
            "model_options",
            ValueType::Object,
            "more members of the request, as the provider names them",
        ),
        defaulting(
            "stream",
            ValueType::Boolean,
            "true",
            "whether the answer comes piece by piece",
        ),
        defaulting(
            "timeout",
            ValueType::Number,
            "300",
            "the longest an attempt may take, in seconds",
        ),
        PROPAGATE_TO_SERVER,
        PROPAGATE_BAGGAGE,
    ],
    free_params: false,
    outputs: &[
        output(
            "response",
            ValueType::Any,
            "the answer; parsed JSON where there is an `output_schema`",
        ),
        output(
            "llm_usage",
            ValueType::Object,
            "model, input_tokens, output_tokens, total_tokens, cache_read_input_tokens, \
             cache_creation_input_tokens, reasoning_tokens, cost_usd, cost_status; null where unknown; \
             `cached: true` where the answer came from the response cache",
        ),
        output("prompt", ValueType::String, "the prompt as it was sent"),
        ERROR,
        ERROR_TYPE,
    ],
    free_outputs: false,
    actions: &["error"],
    free_actions: false,
    default_retry: retry,
    make: |setting| {
        leaf::node(
            Llm {
                services: Arc::clone(setting.services),
                cache: setting.cache,
            },
            setting,
        )
    },
};

/// Three attempts: providers are overloaded for a second or two.
fn retry() -> RetryPolicy {
    RetryPolicy::new(3, Duration::from_secs(1), Backoff::Exponential).unwrap_or_default()
}

struct Llm {
    services: Arc<Services>,
    /// What the file says of using answers again.
    cache: Option<CacheEntry>,
}

#[async_trait]
impl Leaf for Llm {
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError> {
        let mut outputs = Outputs::new();
        let mut request = chat_request(&self.services, Params::of(cx))?;
        let reach = Reach::of(Params::of(cx))?;
        for image in request.images.iter().filter(|image| is_file(image)) {
            // Found out here, before a call is counted that is never made.
            if let Err(error) = tokio::fs::File::open(image).await {
                let message = format!("the image `{image}` cannot be read: {error}");
                return Err(NodeError::permanent(message).with_type("image"));
            }
        }
        outputs.insert("prompt".to_owned(), Value::from(request.prompt.as_str()));
        match ask(&self.services, cx, &mut request, reach, self.cache, &mut outputs).await {
            Ok(()) => Ok(outputs),
            Err((error, _)) if error.is_halted() => {
                leaf::keep(cx, outputs);
                Err(error)
            }
            Err((error, summary)) => Err(leaf::with_outputs(error, summary, outputs)),
        }
    }
}
