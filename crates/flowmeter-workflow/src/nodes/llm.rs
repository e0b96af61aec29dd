//! The `llm` type: asks a chat model.
//!
//! Every attempt is an LLM call of its own that counts, also one whose answer turns out to be of no use. Never
//! talks to a provider itself: that is [`crate::chat::ChatModel`]'s work.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowmeter_engine::{Backoff, NodeContext, NodeError, RetryPolicy};
use flowmeter_model::{Attributes, Cost, Figure, LogLevel, TokenUsage, UsdNanos};
use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::carriers::{PROPAGATE_BAGGAGE, PROPAGATE_TO_SERVER, Reach};
use super::leaf::{self, Leaf, Outputs};
use super::params::Params;
use super::{ERROR, ERROR_TYPE, NodeType, Services, ValueType, defaulting, optional, output, required};
use crate::chat::{ChatError, ChatReply, ChatRequest, ChatTarget};
use flowmeter::{LlmFailure, LlmRequest, LlmResponse, current};

pub(super) const TYPE: NodeType = NodeType {
    name: "llm",
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
             cache_creation_input_tokens, reasoning_tokens, cost_usd; null where unknown",
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
            },
            setting,
        )
    },
};

/// Three attempts: providers are overloaded for a second or two.
fn retry() -> RetryPolicy {
    RetryPolicy::new(3, Duration::from_secs(1), Backoff::Exponential).unwrap_or_default()
}

/// How long an attempt may take unless the node says otherwise.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How much a model may think, in words.
const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];

struct Llm {
    services: Arc<Services>,
}

#[async_trait]
impl Leaf for Llm {
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError> {
        let mut outputs = Outputs::new();
        let mut request = self.request(Params::of(cx))?;
        let reach = Reach::of(Params::of(cx))?;
        for image in request.images.iter().filter(|image| is_file(image)) {
            // Found out here, before a call is counted that is never made.
            if let Err(error) = tokio::fs::File::open(image).await {
                let message = format!("the image `{image}` cannot be read: {error}");
                return Err(NodeError::permanent(message).with_type("image"));
            }
        }
        outputs.insert("prompt".to_owned(), Value::from(request.prompt.as_str()));
        match self.ask(cx, &mut request, reach, &mut outputs).await {
            Ok(()) => Ok(outputs),
            Err((error, summary)) => Err(leaf::with_outputs(error, summary, outputs)),
        }
    }
}

impl Llm {
    fn request(&self, params: Params<'_>) -> Result<ChatRequest, NodeError> {
        let model = params.text("model").filter(|model| !model.trim().is_empty());
        let model = model
            .map(|model| SmolStr::new(model.trim()))
            .or_else(|| self.services.default_model.clone());
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

    /// One LLM call. The error comes with its cause in a line.
    async fn ask(
        &self,
        cx: &NodeContext,
        request: &mut ChatRequest,
        reach: Reach,
        outputs: &mut Outputs,
    ) -> Result<(), (NodeError, String)> {
        let checker = match &request.output_schema {
            None => None,
            Some(schema) => Some(jsonschema::validator_for(schema).map_err(|error| {
                (
                    NodeError::permanent(format!("`output_schema` is no JSON Schema: {error}")),
                    "schema".to_owned(),
                )
            })?),
        };
        let chat = &self.services.chat;
        let target = chat
            .target(&request.model)
            .map_err(|error| node_error(error, request))?;
        let span = current(cx);
        span.log(
            LogLevel::Info,
            format!("Asking model: {} ({})", target.model, target.provider),
        );
        let call = span.llm_call(llm_request(request, &target, span.is_recording()));
        request.headers = reach.headers_of(&call);
        let call = Mutex::new(call);
        let answered = chat
            .chat(request, &|piece| {
                let mut call = call.lock();
                call.first_token();
                call.text(piece);
            })
            .await;
        let call = call.into_inner();
        let reply = match answered {
            Ok(reply) => reply,
            Err(error) => {
                call.fail(LlmFailure {
                    error_type: error.error_type.clone(),
                    message: error.message.clone(),
                    usage: TokenUsage::clone(&error.usage),
                    partial_text: error.partial_text.clone(),
                    may_be_billed: error.may_be_billed,
                });
                return Err(node_error(error, request));
            }
        };
        let ChatReply {
            text,
            model,
            response_id,
            finish_reason,
            usage,
            raw_usage,
            ..
        } = reply;
        let text = Arc::new(Value::String(text));
        let cost = call.succeed(LlmResponse {
            model: model.clone(),
            response_id,
            text: Arc::clone(&text),
            finish_reasons: finish_reason.iter().cloned().collect(),
            usage: usage.clone(),
            raw_usage,
        });
        let model = model.unwrap_or(target.model);
        outputs.insert("llm_usage".to_owned(), usage_output(&model, &usage, &cost));
        span.log(LogLevel::Debug, format!("Answer: {}", told(&usage)));
        // The call has been counted; from here on only the use of its answer can fail.
        let text = Arc::unwrap_or_clone(text);
        match checker {
            None => {
                outputs.insert("response".to_owned(), text);
                Ok(())
            }
            Some(checker) => match structured(&checker, &text) {
                Ok(value) => {
                    outputs.insert("response".to_owned(), value);
                    Ok(())
                }
                Err(problem) => {
                    outputs.insert("response".to_owned(), text);
                    let cut = matches!(
                        finish_reason.as_deref(),
                        Some("length" | "max_tokens" | "MAX_TOKENS")
                    );
                    let hint = if cut {
                        "; it was cut off: raise `max_tokens`"
                    } else {
                        ""
                    };
                    let message = format!("the answer does not follow `output_schema`: {problem}{hint}");
                    Err((NodeError::failed(message).with_type("schema_mismatch"), problem))
                }
            },
        }
    }
}

/// Whether the image is a path, not an address and not the image itself.
fn is_file(image: &str) -> bool {
    !["data:", "http://", "https://"]
        .iter()
        .any(|start| image.starts_with(start))
}

fn llm_request(request: &ChatRequest, target: &ChatTarget, recording: bool) -> LlmRequest {
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
    }
}

fn node_error(error: ChatError, request: &ChatRequest) -> (NodeError, String) {
    let failure = match (error.error_type.as_str(), request.timeout) {
        ("timeout", Some(limit)) => {
            NodeError::timed_out(&format!("the answer of `{}`", request.model), limit)
        }
        _ if error.retryable => NodeError::failed(error.message.as_str()),
        _ => NodeError::permanent(error.message.as_str()),
    };
    (failure.with_type(error.error_type), error.message)
}

/// The answer as JSON that follows the schema.
fn structured(checker: &Validator, text: &Value) -> Result<Value, String> {
    let text = text.as_str().unwrap_or_default();
    let value: Value =
        serde_json::from_str(unfenced(text)).map_err(|error| format!("it is no JSON ({error})"))?;
    let problems: Vec<String> = checker
        .iter_errors(&value)
        .take(3)
        .map(|error| {
            let place = error.instance_path().to_string();
            if place.is_empty() {
                error.to_string()
            } else {
                format!("{error} at {place}")
            }
        })
        .collect();
    if problems.is_empty() {
        Ok(value)
    } else {
        Err(problems.join("; "))
    }
}

/// Models like to put JSON between fences, also where they were told not to.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) else {
        return text;
    };
    inner.split_once('\n').map_or(inner, |(_, body)| body).trim()
}

fn usage_output(model: &str, usage: &TokenUsage, cost: &Cost) -> Value {
    let tokens = |figure: Option<Figure>| figure.map(|figure| figure.tokens);
    let total = tokens(usage.input)
        .zip(tokens(usage.output))
        .map(|(input, output)| input + output);
    let written = match (tokens(usage.cache_write_5m), tokens(usage.cache_write_1h)) {
        (None, None) => None,
        (short, long) => Some(short.unwrap_or(0) + long.unwrap_or(0)),
    };
    json!({
        "model": model,
        "input_tokens": tokens(usage.input),
        "output_tokens": tokens(usage.output),
        "total_tokens": total,
        "cache_read_input_tokens": tokens(usage.cache_read),
        "cache_creation_input_tokens": written,
        "reasoning_tokens": tokens(usage.reasoning),
        "cost_usd": cost.amount.map(UsdNanos::to_usd),
    })
}

fn told(usage: &TokenUsage) -> String {
    let shown = |figure: Option<Figure>| {
        figure.map_or_else(|| "unknown".to_owned(), |figure| figure.tokens.to_string())
    };
    format!(
        "{} input tokens, {} output tokens",
        shown(usage.input),
        shown(usage.output)
    )
}
