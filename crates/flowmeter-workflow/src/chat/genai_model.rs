//! [`ChatModel`] over the `genai` client: the only file that names it.
//!
//! Never reads the environment: the lookup is handed in, and every request carries a ready address and key.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{
    Binary, ChatFrameSink, ChatMessage, ChatOptions, ChatResponseFormat, ChatStreamEvent, ContentPart,
    FrameCtx, JsonSpec, MessageContent, RawFrameRef, ReasoningEffort,
};
use genai::resolver::{AuthData, Endpoint};
use genai::{Client, ModelIden, ServiceTarget};
use parking_lot::Mutex;
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::frames::{Frames, Whole};
use super::problem::{message_in, provider_message, root_cause, shortened};
use super::route::{EnvLookup, Route};
use super::schema_way::SchemaWay;
use super::{ChatError, ChatModel, ChatReply, ChatRequest, ChatTarget, OnPiece, Piece};
use crate::http_client::HttpClient;

/// All providers that `genai` knows, by model name.
pub struct GenaiModel {
    env: EnvLookup,
    http: HttpClient,
}

impl GenaiModel {
    /// Reads addresses and keys through `env` and makes its own HTTP client when it is needed.
    #[must_use]
    pub fn new(env: EnvLookup) -> Self {
        Self::with_http(env, HttpClient::new())
    }

    /// The same over a client that others use too.
    #[must_use]
    pub fn with_http(env: EnvLookup, http: HttpClient) -> Self {
        Self { env, http }
    }

    fn route(&self, model: &str) -> Result<Route, ChatError> {
        Route::find(model, &*self.env, &|name| {
            AdapterKind::from_model(name).map_or("ollama", |kind| kind.as_lower_str())
        })
    }
}

#[async_trait]
impl ChatModel for GenaiModel {
    fn target(&self, model: &str) -> Result<ChatTarget, ChatError> {
        Ok(self.route(model)?.target())
    }

    async fn chat(&self, request: &ChatRequest, on_piece: OnPiece<'_>) -> Result<ChatReply, ChatError> {
        let route = self.route(&request.model)?;
        let client = self
            .http
            .get()
            .map_err(|error| ChatError::permanent("http_client", error.to_string()))?;
        let client = Client::builder()
            .with_reqwest(client.clone())
            .build()
            .map_err(|error| ChatError::permanent("http_client", error.to_string()))?;
        let call = Call {
            client,
            target: service_target(&route)?,
            messages: messages(request, &route)?,
            options: options(request, &route)?,
            frames: Arc::new(Mutex::new(Frames::new(route.provider))),
            partial: Mutex::default(),
            route,
        };
        let work = async {
            if request.stream {
                call.streamed(on_piece).await
            } else {
                call.whole(on_piece).await
            }
        };
        let outcome = match request.timeout {
            None => work.await,
            Some(limit) => match tokio::time::timeout(limit, work).await {
                Ok(outcome) => outcome,
                Err(_) => Err(call.cut(
                    "timeout",
                    format!(
                        "{} gave no whole answer within the limit of {} s",
                        call.route.provider,
                        limit.as_secs_f64()
                    ),
                )),
            },
        };
        outcome.map_err(|error| error.without_key(call.route.key.as_deref()))
    }
}

/// One request on its way.
struct Call {
    client: Client,
    route: Route,
    target: ServiceTarget,
    messages: genai::chat::ChatRequest,
    options: ChatOptions,
    frames: Arc<Mutex<Frames>>,
    partial: Mutex<String>,
}

/// Hands each raw frame to the reader that keeps usage and names.
struct Sink(Arc<Mutex<Frames>>);

impl ChatFrameSink for Sink {
    fn on_frame(&self, _ctx: &FrameCtx, frame: RawFrameRef<'_>) {
        self.0.lock().read(frame.data);
    }
}

impl Call {
    async fn whole(&self, on_piece: OnPiece<'_>) -> Result<ChatReply, ChatError> {
        let options = self.options.clone().with_capture_raw_body(true);
        let sent = self
            .client
            .exec_chat(self.target.clone(), self.messages.clone(), Some(&options));
        let response = sent.await.map_err(|error| self.problem(error))?;
        let body = response.captured_raw_body.unwrap_or_default();
        let told = Whole::read(self.route.provider, &body);
        let text = response.content.into_joined_texts();
        if text.is_none() && told.finish_reason.is_none() {
            let message = format!("{} answered without any text", self.route.provider);
            return Err(ChatError::passing("malformed_reply", message).billed(told.usage, String::new()));
        }
        let text = text.unwrap_or_default();
        if !text.is_empty() {
            // It is here already: there is nothing left to stop.
            let _goes_on = on_piece(Piece {
                text: &text,
                ..Piece::default()
            });
        }
        Ok(ChatReply {
            text,
            model: told
                .model
                .or_else(|| Some(SmolStr::new(&*response.provider_model_iden.model_name))),
            response_id: told.response_id,
            finish_reason: told.finish_reason,
            usage: told.usage,
            raw_usage: told.raw_usage,
            time_to_first_token: None,
        })
    }

    async fn streamed(&self, on_piece: OnPiece<'_>) -> Result<ChatReply, ChatError> {
        let options = self
            .options
            .clone()
            .with_capture_usage(true)
            .with_raw_frame_sink(Sink(Arc::clone(&self.frames)));
        let started = Instant::now();
        let sent = self
            .client
            .exec_chat_stream(self.target.clone(), self.messages.clone(), Some(&options));
        let mut stream = sent.await.map_err(|error| self.problem(error))?.stream;
        let mut first_token = None;
        let mut ended = false;
        while let Some(event) = stream.next().await {
            match event.map_err(|error| self.problem(error))? {
                ChatStreamEvent::Chunk(chunk) if !chunk.content.is_empty() => {
                    first_token.get_or_insert_with(|| started.elapsed());
                    self.show(on_piece, &chunk.content, "")?;
                    self.partial.lock().push_str(&chunk.content);
                }
                ChatStreamEvent::ReasoningChunk(chunk) => {
                    first_token.get_or_insert_with(|| started.elapsed());
                    self.show(on_piece, "", &chunk.content)?;
                }
                ChatStreamEvent::End(_) => ended = true,
                _ => {}
            }
        }
        let mut frames = self.frames.lock();
        if let Some(said) = frames.error.take() {
            drop(frames);
            return Err(self.cut(
                "stream_error",
                format!("{} broke off its answer: {said}", self.route.provider),
            ));
        }
        if frames.count == 0 {
            let message = format!(
                "{} answered the request for a stream without a stream; if it has none, set the parameter \
                 `stream` to false, else check its address, {}",
                self.route.provider,
                self.route.server()
            );
            let error = ChatError::permanent("malformed_reply", message);
            return Err(error.billed(frames.usage(true), String::new()));
        }
        // Some servers leave out the mark at the end, but all say why they stopped.
        if frames.finish_reason.is_none() && !(ended && self.speaks_without_reason()) {
            drop(frames);
            return Err(self.cut(
                "stream_cut",
                format!("{} broke off in mid-answer", self.route.provider),
            ));
        }
        Ok(ChatReply {
            text: std::mem::take(&mut *self.partial.lock()),
            model: frames.model.clone(),
            response_id: frames.response_id.clone(),
            finish_reason: frames.finish_reason.clone(),
            usage: frames.usage(false),
            raw_usage: frames.raw_usage(),
            time_to_first_token: first_token,
        })
    }

    /// Shows a piece to whoever asked. One that is not wanted ends the answer.
    fn show(&self, on_piece: OnPiece<'_>, text: &str, reasoning: &str) -> Result<(), ChatError> {
        let piece = Piece {
            text,
            reasoning,
            output_tokens: self.frames.lock().output_so_far,
        };
        if on_piece(piece).is_continue() {
            return Ok(());
        }
        let error = self.cut("stopped", "the answer was not read to its end".to_owned());
        Err(ChatError {
            retryable: false,
            ..error
        })
    }

    /// Whether an end without a reason is an end: chat completions close with `[DONE]`, and small servers say no
    /// more than that. Where the library itself makes the end up, it tells nothing.
    fn speaks_without_reason(&self) -> bool {
        !matches!(self.route.adapter, "ollama" | "openai_resp")
    }

    /// The provider had begun to work when it broke off.
    fn cut(&self, error_type: &'static str, message: String) -> ChatError {
        let usage = self.frames.lock().usage(true);
        let partial = std::mem::take(&mut *self.partial.lock());
        ChatError::passing(error_type, message).billed(usage, partial)
    }

    fn problem(&self, error: genai::Error) -> ChatError {
        use genai::Error as E;
        let provider = self.route.provider;
        match error {
            E::HttpError { status, body, .. } => self.refused(status.as_u16(), &body),
            E::WebModelCall { webc_error, .. } | E::WebAdapterCall { webc_error, .. } => {
                self.web_problem(webc_error)
            }
            E::WebStream { error, cause, .. } => match error.downcast::<genai::Error>() {
                Ok(inner) => self.problem(*inner),
                Err(error) => match error.downcast::<reqwest::Error>() {
                    Ok(error) => self.transport_problem(*error),
                    Err(_) => self.cut(
                        "stream_cut",
                        format!("{provider} broke off in mid-answer: {}", shortened(&cause)),
                    ),
                },
            },
            E::ChatResponse { body, .. } => {
                let said = body
                    .as_str()
                    .or_else(|| body.get("message")?.as_str())
                    .or_else(|| message_in(&body));
                let said = said.map_or_else(|| shortened(&body.to_string()), shortened);
                self.cut("stream_error", format!("{provider} broke off its answer: {said}"))
            }
            E::StreamParse { serde_error, .. } => self.cut(
                "malformed_reply",
                format!("{provider} sent a frame that is no JSON: {serde_error}"),
            ),
            E::ChatResponseGeneration {
                response_body, cause, ..
            } => {
                let usage = Whole::read(provider, &response_body).usage;
                let message = format!(
                    "{provider} sent an answer that cannot be read: {}",
                    shortened(&cause)
                );
                ChatError::passing("malformed_reply", message).billed(usage, String::new())
            }
            E::NoChatResponse { .. } | E::InvalidJsonResponseElement { .. } | E::JsonValueExt(_) => self.cut(
                "malformed_reply",
                format!("{provider} sent an answer that cannot be read"),
            ),
            // What is left concerns the request, which never left the house.
            other => ChatError::permanent("request", shortened(&other.to_string())),
        }
    }

    /// The provider's words, and what to do.
    fn refused(&self, status: u16, body: &str) -> ChatError {
        let mut error = ChatError::status(self.route.provider, status, body);
        if let Some(advice) = self.route.advice(status) {
            error.message.push_str("; ");
            error.message.push_str(&advice);
        }
        error
    }

    fn web_problem(&self, error: genai::webc::Error) -> ChatError {
        use genai::webc::Error as W;
        let provider = self.route.provider;
        match error {
            W::ResponseFailedStatus { status, body, .. } => self.refused(status.as_u16(), &body),
            W::ResponseFailedNotJson { body, .. } | W::ResponseFailedInvalidJson { body, .. } => {
                let parsed = serde_json::from_str::<Value>(&body).unwrap_or_default();
                let message = format!(
                    "{provider} sent an answer that is no JSON: {}",
                    provider_message(&body)
                );
                let usage = Whole::read(provider, &parsed).usage;
                ChatError::passing("malformed_reply", message).billed(usage, String::new())
            }
            W::JsonValueExt(_) => self.cut(
                "malformed_reply",
                format!("{provider} sent an answer that cannot be read"),
            ),
            W::Reqwest(error) => self.transport_problem(error),
        }
    }

    fn transport_problem(&self, error: reqwest::Error) -> ChatError {
        let provider = self.route.provider;
        let has_begun = self.frames.lock().count > 0 || error.is_body() || error.is_decode();
        // Nothing was sent where there was no connection, and nothing is charged for that.
        let never_sent = error.is_connect() || error.is_builder();
        // An address may carry a key; the cause is enough.
        let cause = shortened(&root_cause(&error.without_url()));
        if has_begun {
            self.cut(
                "stream_cut",
                format!("{provider} broke off in mid-answer: {cause}"),
            )
        } else if never_sent {
            self.unreachable(&cause)
        } else {
            self.cut(
                "connect",
                format!("{provider} broke the connection before it answered: {cause}"),
            )
        }
    }

    fn unreachable(&self, cause: &str) -> ChatError {
        let (provider, server) = (self.route.provider, self.route.server());
        let mut message = format!("{provider} at {server} cannot be reached: {cause}");
        if self.route.guessed && !self.route.moved {
            message.push_str(&format!(
                "; `{}` names no provider, so Ollama was asked: write `provider/model`, or set OPENAI_BASE_URL",
                self.route.model
            ));
        } else if self.route.provider == "ollama" {
            message.push_str("; start it with `ollama serve`, or set OLLAMA_HOST");
        }
        ChatError::passing("connect", message)
    }
}

fn service_target(route: &Route) -> Result<ServiceTarget, ChatError> {
    let kind = AdapterKind::from_lower_str(route.adapter)
        .ok_or_else(|| ChatError::permanent("model", format!("{} cannot be spoken to", route.provider)))?;
    Ok(ServiceTarget {
        endpoint: Endpoint::from_owned(route.address.as_str()),
        auth: route.key.clone().map_or(AuthData::None, AuthData::Key),
        model: ModelIden::new(kind, route.model.as_str()),
    })
}

fn messages(request: &ChatRequest, route: &Route) -> Result<genai::chat::ChatRequest, ChatError> {
    let mut parts = vec![ContentPart::Text(request.prompt.clone())];
    for image in &request.images {
        parts.push(ContentPart::Binary(image_part(image)?));
    }
    let content = match parts.len() {
        1 => MessageContent::from_text(request.prompt.clone()),
        _ => MessageContent::from_parts(parts),
    };
    let mut system = request.system.clone();
    if let Some(schema) = request
        .output_schema
        .as_ref()
        .filter(|schema| SchemaWay::of(route.adapter, schema) == SchemaWay::Words)
    {
        let wish = format!("Answer with JSON alone, and let it follow this JSON Schema: {schema}");
        system = Some(match system {
            Some(system) => format!("{system}\n\n{wish}"),
            None => wish,
        });
    }
    let chat = genai::chat::ChatRequest::new(vec![ChatMessage::user(content)]);
    Ok(match system {
        Some(system) => chat.with_system(system),
        None => chat,
    })
}

fn image_part(image: &str) -> Result<Binary, ChatError> {
    if let Some((kind, content)) = image
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"))
    {
        return Ok(Binary::from_base64(kind, content, None));
    }
    if image.starts_with("http://") || image.starts_with("https://") {
        let path = image.split(['?', '#']).next().unwrap_or(image);
        let kind = match path.rsplit('.').next() {
            Some("png") => "image/png",
            Some("gif") => "image/gif",
            Some("webp") => "image/webp",
            _ => "image/jpeg",
        };
        return Ok(Binary::from_url(kind, image, None));
    }
    Binary::from_file(image).map_err(|error| {
        ChatError::permanent("image", format!("the image `{image}` cannot be read: {error}"))
    })
}

fn options(request: &ChatRequest, route: &Route) -> Result<ChatOptions, ChatError> {
    let mut options = ChatOptions {
        temperature: request.temperature,
        max_tokens: request.max_tokens,
        extra_body: request.model_options.clone(),
        extra_headers: (!request.headers.is_empty()).then(|| request.headers.clone().into()),
        ..ChatOptions::default()
    };
    if let Some(schema) = &request.output_schema {
        match SchemaWay::of(route.adapter, schema) {
            SchemaWay::Strict => {
                let spec = JsonSpec::new("answer", schema.clone());
                options.response_format = Some(ChatResponseFormat::JsonSpec(spec));
            }
            // The library knows the strict form only, which would forbid every member that the schema leaves open.
            SchemaWay::Loose => {
                let wish = json!({"name": "answer", "strict": false, "schema": schema});
                let extra = options.extra_body.get_or_insert_with(|| json!({}));
                if let Value::Object(extra) = extra {
                    extra
                        .entry("response_format")
                        .or_insert_with(|| json!({"type": "json_schema", "json_schema": wish}));
                }
            }
            SchemaWay::Words => options.response_format = Some(ChatResponseFormat::JsonMode),
        }
    }
    if let Some(effort) = &request.reasoning_effort {
        let effort = effort.parse::<ReasoningEffort>().map_err(|_| {
            let message = format!(
                "`{effort}` is no reasoning effort: none, minimal, low, medium, high, xhigh or a number of tokens"
            );
            ChatError::permanent("request", message)
        })?;
        options.reasoning_effort = Some(effort);
    } else if route.adapter == "openai" && ReasoningEffort::from_model_name(&route.model).0.is_some() {
        // The library reads `-high` or `-max` at the end of a name as an effort and cuts it off. Here the name is
        // the server's: `qwen-max` must arrive whole. A budget, which this protocol has no member for, prevents it.
        options.reasoning_effort = Some(ReasoningEffort::Budget(0));
        let extra = options.extra_body.get_or_insert_with(|| json!({}));
        if let Value::Object(extra) = extra {
            extra
                .entry("model")
                .or_insert_with(|| Value::from(route.model.as_str()));
        }
    }
    Ok(options)
}
