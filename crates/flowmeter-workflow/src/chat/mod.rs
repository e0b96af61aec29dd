//! Chat models: what an `llm` node asks and what it gets back.
//!
//! The client library is named in one file, behind [`ChatModel`].

mod default_model;
mod frames;
mod genai_model;
mod problem;
mod route;
mod schema_way;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowmeter_model::TokenUsage;
use serde_json::Value;
use smol_str::SmolStr;
use thiserror::Error;

pub use default_model::{DefaultModel, default_model, default_model_variables};
pub use genai_model::GenaiModel;
pub(crate) use problem::{provider_message, root_cause, status_is_passing};
pub use route::EnvLookup;

/// One request to a model.
#[derive(Clone, Debug, Default)]
pub struct ChatRequest {
    /// The model as written: `gpt-4o`, `anthropic/claude-sonnet-4-5`, `ollama::llama3`.
    pub model: SmolStr,
    /// The system prompt.
    pub system: Option<String>,
    /// The user's prompt.
    pub prompt: String,
    /// Paths or URLs of images.
    pub images: Vec<String>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// The longest answer, in tokens.
    pub max_tokens: Option<u32>,
    /// The JSON Schema that the answer must follow. The model is asked for it; checking is the caller's work.
    pub output_schema: Option<Value>,
    /// How much a reasoning model may think: `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or a number of
    /// tokens.
    pub reasoning_effort: Option<SmolStr>,
    /// More members for the body of the request, as the provider names them.
    pub model_options: Option<Value>,
    /// Whether the answer is to come piece by piece; only then is the time to the first token known.
    pub stream: bool,
    /// The longest that the whole answer may take.
    pub timeout: Option<Duration>,
    /// More headers of the request, names in small letters.
    pub headers: Vec<(String, String)>,
}

impl ChatRequest {
    /// The UTF-8 bytes of all text that is sent.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        let object = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.to_string().len());
        let bytes = self.system.as_ref().map_or(0, String::len)
            + self.prompt.len()
            + object(&self.output_schema)
            + object(&self.model_options);
        bytes as u64
    }
}

/// Where a request goes: known before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatTarget {
    /// `openai`, `anthropic`, `gemini`, `ollama`, … (OpenTelemetry: `gen_ai.provider.name`).
    pub provider: SmolStr,
    /// The model name that the provider is asked for.
    pub model: SmolStr,
    /// The host, where known.
    pub server_address: Option<SmolStr>,
    /// The port, where known.
    pub server_port: Option<u16>,
    /// The path beneath which requests go: gateways have several services on one host. For telling them apart, and
    /// never to be shown: it may hold a key.
    pub server_path: Option<SmolStr>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct ChatReply {
    /// The text.
    pub text: String,
    /// The model that says it answered.
    pub model: Option<SmolStr>,
    /// The provider's id of the answer.
    pub response_id: Option<SmolStr>,
    /// `stop`, `length`, ….
    pub finish_reason: Option<SmolStr>,
    /// What it used, from the provider's own body.
    pub usage: TokenUsage,
    /// The provider's usage block as it came, for whoever wants to check.
    pub raw_usage: Option<Arc<Value>>,
    /// Request sent to first token; reasoning counts as a token. Unknown unless the answer was streamed.
    pub time_to_first_token: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct ChatError {
    /// What happened and what to do about it.
    pub message: String,
    /// `http_429`, `connect`, `timeout`, `auth`, `stream_cut`, `malformed_reply`, ….
    pub error_type: SmolStr,
    /// Whether another attempt makes sense.
    pub retryable: bool,
    /// Usage that the provider reported before it failed.
    pub usage: Box<TokenUsage>,
    /// The text that came before a stream broke off.
    pub partial_text: String,
    /// Whether the provider took the request up, so that it may have been billed.
    pub may_be_billed: bool,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A piece of an answer that is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Text of the answer.
    pub text: &'a str,
    /// Reasoning, which is no part of the answer.
    pub reasoning: &'a str,
    /// How many output tokens there are so far, where the provider says so in mid-stream.
    pub output_tokens: Option<u64>,
}

/// What sees each piece of an answer as it comes, and says whether to read on. A piece at which it says no is not
/// part of the answer.
pub type OnPiece<'a> = &'a (dyn Fn(Piece<'_>) -> ControlFlow<()> + Send + Sync);

/// Something that answers chat requests.
#[async_trait]
pub trait ChatModel: Send + Sync + 'static {
    /// Where this model's requests would go.
    ///
    /// # Errors
    /// When the name leads nowhere, or a key is missing.
    fn target(&self, model: &str) -> Result<ChatTarget, ChatError>;

    /// Sends a request; `on_piece` sees each piece of the answer as it comes. Where it does not want more, the
    /// connection is closed. An answer that comes whole is complete when it is seen.
    ///
    /// # Errors
    /// [`ChatError`]; of the type `stopped` where `on_piece` did not want more.
    async fn chat(&self, request: &ChatRequest, on_piece: OnPiece<'_>) -> Result<ChatReply, ChatError>;
}
