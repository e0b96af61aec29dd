//! What an `llm` node asks: its parameters as a request, and the request as the trace tells it.
//!
//! Never sends anything.

use std::sync::Arc;
use std::time::Duration;

use flowmeter::{HAS_TOKENIZER, LlmRequest};
use flowmeter_engine::NodeError;
use flowmeter_model::Attributes;
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::super::Services;
use super::super::params::Params;
use crate::chat::{ChatRequest, ChatTarget};

/// How long an attempt may take unless the node says otherwise.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How much a model may think, in words.
const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];

/// Reads the parameters of a node.
pub(super) fn chat_request(services: &Services, params: Params<'_>) -> Result<ChatRequest, NodeError> {
    let model = params.text("model").filter(|model| !model.trim().is_empty());
    let model = model
        .map(|model| SmolStr::new(model.trim()))
        .or_else(|| services.default_model.clone());
    let model = model.ok_or_else(|| {
        let message = "no model: set the parameter `model` of this node, or the default model of the run";
        NodeError::permanent(message).with_type("model")
    })?;
    let prompt = params.required_text("prompt")?.into_owned();
    if prompt.trim().is_empty() {
        return Err(NodeError::permanent("the parameter `prompt` is empty"));
    }
    let temperature = params.number("temperature")?;
    if temperature.is_some_and(|temperature| !(0.0..=2.0).contains(&temperature)) {
        return Err(NodeError::permanent(
            "the parameter `temperature` must be from 0 to 2",
        ));
    }
    let effort = params.text("reasoning_effort").map(SmolStr::new);
    if let Some(effort) = &effort
        && !EFFORTS.contains(&effort.as_str())
        && effort.parse::<u32>().is_err()
    {
        return Err(NodeError::permanent(format!(
            "`{effort}` is no `reasoning_effort`: {} or a number of tokens",
            EFFORTS.join(", ")
        )));
    }
    let budget = params
        .whole_number("reasoning_max_tokens")?
        .map(|budget| SmolStr::new(budget.to_string()));
    if effort.is_some() && budget.is_some() {
        return Err(NodeError::permanent(
            "`reasoning_effort` and `reasoning_max_tokens` exclude each other",
        ));
    }
    Ok(ChatRequest {
        model,
        system: params
            .text("system")
            .filter(|system| !system.is_empty())
            .map(std::borrow::Cow::into_owned),
        prompt,
        images: params.texts("images")?,
        temperature,
        max_tokens: params.whole_number("max_tokens")?,
        output_schema: params
            .object("output_schema")?
            .map(|schema| Value::Object(schema.clone())),
        reasoning_effort: effort.or(budget),
        model_options: params
            .object("model_options")?
            .map(|options| Value::Object(options.clone())),
        stream: params.flag("stream", true)?,
        timeout: Some(params.timeout(TIMEOUT)?),
        headers: Vec::new(),
    })
}

/// The request that these parameters make.
pub(crate) fn llm_request(services: &Services, params: &Value) -> Result<ChatRequest, NodeError> {
    chat_request(services, Params::in_value(params))
}

/// Whether the image is a path, not an address and not the image itself.
pub(crate) fn is_file(image: &str) -> bool {
    !["data:", "http://", "https://"]
        .iter()
        .any(|start| image.starts_with(start))
}

pub(super) fn traced_request(request: &ChatRequest, target: &ChatTarget, recording: bool) -> LlmRequest {
    let mut parameters = Attributes::new();
    if let Some(temperature) = request.temperature {
        parameters.set("gen_ai.request.temperature", temperature);
    }
    if let Some(max_tokens) = request.max_tokens {
        parameters.set("gen_ai.request.max_tokens", max_tokens);
    }
    if let Some(effort) = &request.reasoning_effort {
        parameters.set("gen_ai.request.reasoning.level", effort.clone());
    }
    if request.output_schema.is_some() {
        parameters.set("gen_ai.output.type", "json");
    }
    let system = request.system.as_deref();
    let messages = if recording {
        let message =
            |role: &str, text: &str| json!({"role": role, "parts": [{"type": "text", "content": text}]});
        let system = system.map(|system| message("system", system));
        system
            .into_iter()
            .chain([message("user", &request.prompt)])
            .collect()
    } else {
        Value::Null
    };
    LlmRequest {
        operation: SmolStr::new_static("chat"),
        provider: target.provider.clone(),
        model: target.model.clone(),
        server_address: target.server_address.clone(),
        server_port: target.server_port,
        stream: request.stream,
        parameters,
        messages: Arc::new(messages),
        input_text_bytes: (system.map_or(0, str::len) + request.prompt.len()) as u64,
        input_texts: if HAS_TOKENIZER {
            let texts = system.into_iter().chain([request.prompt.as_str()]);
            texts.map(Arc::from).collect()
        } else {
            Vec::new()
        },
        ..LlmRequest::default()
    }
}
