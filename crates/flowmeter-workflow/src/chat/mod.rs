//! Chat models: what an `llm` node asks and what it gets back.
//!
//! The client library is named in one file, behind [`ChatModel`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowmeter_model::TokenUsage;
use serde_json::Value;
use smol_str::SmolStr;
use thiserror::Error;

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
    /// The JSON Schema that the answer must follow.
    pub output_schema: Option<Value>,
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
    /// Request sent to first token.
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
    pub usage: TokenUsage,
    /// The text that came before a stream broke off.
    pub partial_text: String,
    /// Whether the provider took the request up, so that it may have been billed.
    pub may_be_billed: bool,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Something that answers chat requests.
#[async_trait]
pub trait ChatModel: Send + Sync + 'static {
    /// Where this model's requests would go.
    ///
    /// # Errors
    /// When the name leads nowhere, or a key is missing.
    fn target(&self, model: &str) -> Result<ChatTarget, ChatError>;

    /// Sends a request; `on_text` sees each piece of the answer as it comes.
    ///
    /// # Errors
    /// [`ChatError`].
    async fn chat(&self, request: &ChatRequest, on_text: &(dyn Fn(&str) + Send + Sync)) -> Result<ChatReply, ChatError>;
}
