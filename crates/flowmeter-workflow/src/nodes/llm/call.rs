//! One LLM call of an `llm` node: asked, metered, answered or failed.
//!
//! Never talks to a provider itself: that is [`crate::chat::ChatModel`]'s work.

use std::sync::Arc;

use flowmeter::{LlmFailure, LlmResponse, current};
use flowmeter_engine::{NodeContext, NodeError};
use flowmeter_model::{LogLevel, TokenUsage};
use parking_lot::Mutex;
use serde_json::Value;

use super::super::Services;
use super::super::carriers::Reach;
use super::super::leaf::Outputs;
use super::answer::{structured, told, usage_output};
use super::cached::{Asked, Next, Said, look_up};
use super::request::traced_request;
use super::reserved;
use crate::chat::{ChatError, ChatReply, ChatRequest};
use crate::document::CacheEntry;

/// One LLM call. The error comes with its cause in a line.
pub(super) async fn ask(
    services: &Services,
    cx: &NodeContext,
    request: &mut ChatRequest,
    reach: Reach,
    cache: Option<CacheEntry>,
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
    let chat = &services.chat;
    let target = chat
        .target(&request.model)
        .map_err(|error| node_error(error, request))?;
    let span = current(cx);
    let asked = Asked {
        request,
        target: &target,
        checker: checker.as_ref(),
    };
    let keeping = match look_up(services, cache, &asked, span, outputs).await {
        Next::Done => return Ok(()),
        Next::Ask(keeping) => keeping,
    };
    span.log(
        LogLevel::Info,
        format!("Asking model: {} ({})", target.model, target.provider),
    );
    let mut described = traced_request(request, &target, span.is_recording());
    described.cache_missed = keeping.has_missed();
    let described = reserved::bounded(described, request, &target);
    let has_own_limit = described.output_tokens_max.is_some();
    let call = reserved::begin(&span, described, request).await?;
    request.headers = reach.headers_of(&call);
    let call = Mutex::new(call);
    let answered = chat
        .chat(request, &|piece| reserved::take(&mut call.lock(), &piece))
        .await;
    let call = call.into_inner();
    let reply = match answered {
        Ok(reply) => reply,
        Err(error) if call.over_budget().is_some() => {
            return Err(reserved::cut(call, error, outputs));
        }
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
    let (cost, over) = call.succeed_within_budget(LlmResponse {
        model: model.clone(),
        response_id,
        text: Arc::clone(&text),
        finish_reasons: finish_reason.iter().cloned().collect(),
        usage: usage.clone(),
        raw_usage,
    });
    let shown_model = model.as_ref().unwrap_or(&target.model);
    outputs.insert("llm_usage".to_owned(), usage_output(shown_model, &usage, &cost));
    span.log(LogLevel::Debug, format!("Answer: {}", told(&usage)));
    // The call has been counted; from here on only the use of its answer can fail.
    let text = Arc::unwrap_or_clone(text);
    if let Some(over) = over {
        outputs.insert("response".to_owned(), text);
        return Err(reserved::failure(over, has_own_limit));
    }
    let said = Said {
        text: &text,
        model: model.as_ref(),
        finish_reason: finish_reason.as_ref(),
        usage: &usage,
        cost: &cost,
    };
    match checker {
        None => {
            keeping.keep(&target, said).await;
            outputs.insert("response".to_owned(), text);
            Ok(())
        }
        Some(checker) => match structured(&checker, &text) {
            Ok(value) => {
                keeping.keep(&target, said).await;
                outputs.insert("response".to_owned(), value);
                Ok(())
            }
            Err(problem) => {
                keeping.refuse();
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
