//! An LLM call of an `llm` node under a budget: how large it can become, and what is said where it has no room.
//!
//! Never counts what a call came to: that is the meter's work.

use std::ops::ControlFlow;

use flowmeter::{
    BudgetError, BudgetLimit, BudgetOwner, CurrentSpan, LlmCall, LlmFailure, LlmRequest, OverBudget,
    OverBudgetKind,
};
use flowmeter_engine::NodeError;
use flowmeter_model::LogLevel;
use serde_json::Value;
use thiserror::Error;

use super::super::leaf::Outputs;
use crate::chat::{ChatError, ChatRequest, ChatTarget, Piece};

/// Tokens around each message: roles and separators.
const MESSAGE_TOKENS: u64 = 64;
/// Tokens that a provider may put around a whole request.
const REQUEST_TOKENS: u64 = 128;
/// The same where the provider is known for a long prompt of its own.
const LONG_REQUEST_TOKENS: u64 = 1_024;
/// Tokens around tools and schemas, which providers put into words of their own.
const TOOLS_TOKENS: u64 = 1_024;

/// The dearest image of makers that say how they count.
const IMAGE_TOKENS: u64 = 10_000;
/// The dearest image elsewhere, and with the small models of OpenAI, which count one as 48,169 tokens.
const LARGE_IMAGE_TOKENS: u64 = 50_000;

/// Reasoning that a provider counts beside the answer's own limit. Longer ones are cut off as they come.
const REASONING_BESIDE_TOKENS: u64 = 16_384;

/// Web searches of one call where nothing limits them.
const SEARCHES: u64 = 10;

/// The names under which providers take the longest answer.
const LENGTH_OPTIONS: [&str; 8] = [
    "/max_tokens",
    "/max_completion_tokens",
    "/max_output_tokens",
    "/maxOutputTokens",
    "/generationConfig/maxOutputTokens",
    "/generation_config/max_output_tokens",
    "/num_predict",
    "/options/num_predict",
];

/// Adds to the meter's description of a request how large it can become.
pub(crate) fn bounded(mut described: LlmRequest, request: &ChatRequest, target: &ChatTarget) -> LlmRequest {
    described.input_tokens_max = Some(input_tokens_max(request, target));
    described.output_tokens_max = output_tokens_max(request, target);
    let options = request.model_options.as_ref();
    let option = |pointer: &str| options.and_then(|options| options.pointer(pointer));
    described.service_tier = option("/service_tier").and_then(Value::as_str).map(Into::into);
    described.is_text_only = request.images.is_empty() && option("/modalities").is_none();
    described.web_searches_max = options.map_or(0, searches_max);
    described
}

/// A token is never shorter than a byte.
fn input_tokens_max(request: &ChatRequest, target: &ChatTarget) -> u64 {
    let json_bytes = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.to_string().len() as u64);
    let (schema, options) = (
        json_bytes(&request.output_schema),
        json_bytes(&request.model_options),
    );
    let texts = request.prompt.len() + request.system.as_ref().map_or(0, String::len);
    let around = match target.provider.as_str() {
        "xai" | "x_ai" | "perplexity" => LONG_REQUEST_TOKENS,
        _ => REQUEST_TOKENS,
    };
    let tools = if schema + options > 0 { TOOLS_TOKENS } else { 0 };
    let images = request.images.len() as u64 * image_tokens(target);
    // A schema is told in words of the provider's own, which are longer than it is.
    texts as u64 + 2 * schema + options + 2 * MESSAGE_TOKENS + around + tools + images
}

fn image_tokens(target: &ChatTarget) -> u64 {
    let model = target.model.as_str();
    match target.provider.as_str() {
        "openai" if model.contains("mini") || model.contains("nano") => LARGE_IMAGE_TOKENS,
        "openai" | "anthropic" | "gemini" => IMAGE_TOKENS,
        _ => LARGE_IMAGE_TOKENS,
    }
}

/// The longest answer that the request allows; `None` where it allows any.
fn output_tokens_max(request: &ChatRequest, target: &ChatTarget) -> Option<u64> {
    let options = request.model_options.as_ref();
    let whole = |pointer: &str| options?.pointer(pointer)?.as_u64();
    let among_options = LENGTH_OPTIONS.iter().filter_map(|pointer| whole(pointer)).max();
    let longest = among_options.max(request.max_tokens.map(u64::from))?;
    let answers = whole("/n")
        .max(whole("/generationConfig/candidateCount"))
        .unwrap_or(1)
        .max(1);
    let beside = if reasons_beside(target) {
        REASONING_BESIDE_TOKENS
    } else {
        0
    };
    Some(longest.saturating_add(beside).saturating_mul(answers))
}

/// Whether the provider does not count reasoning among the tokens that it was told to keep to.
fn reasons_beside(target: &ChatTarget) -> bool {
    let model = target.model.to_lowercase();
    let reasons = |marks: &[&str]| marks.iter().any(|mark| model.contains(mark));
    match target.provider.as_str() {
        "xai" | "x_ai" => {
            reasons(&["grok-4", "grok-3-mini", "code-fast", "reasoning"]) && !model.contains("non-reasoning")
        }
        "perplexity" => reasons(&["reasoning", "deep-research"]),
        _ => false,
    }
}

/// How often the provider may search the web for this request.
fn searches_max(options: &Value) -> u64 {
    let tools = options
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let in_tools: u64 = tools
        .filter(|tool| tool.to_string().contains("search"))
        .map(|tool| tool.get("max_uses").and_then(Value::as_u64).unwrap_or(SEARCHES))
        .sum();
    let beside = ["web_search_options", "search_parameters", "plugins"]
        .iter()
        .any(|option| options.get(option).is_some());
    in_tools + if beside { SEARCHES } else { 0 }
}

/// Begins the call when its budget has room for it; where the budget decides how long the answer may be, the request
/// says so from now on.
pub(super) async fn begin(
    span: &CurrentSpan<'_>,
    described: LlmRequest,
    request: &mut ChatRequest,
) -> Result<LlmCall, (NodeError, String)> {
    let has_own_limit = described.output_tokens_max.is_some();
    let call = span
        .budgeted_llm_call(described)
        .await
        .map_err(|error| failure(error, has_own_limit))?;
    if let Some(tokens) = call.imposed_max_tokens() {
        request.max_tokens = Some(u32::try_from(tokens).unwrap_or(u32::MAX));
        span.log(
            LogLevel::Warn,
            format!(
                "Nobody knows how long an answer of `{}` can be: `max_tokens` is set to {tokens}, for which the \
                 budget has room",
                request.model
            ),
        );
    }
    Ok(call)
}

/// Hands a piece of the answer to the meter, and says whether to read on.
pub(super) fn take(call: &mut LlmCall, piece: &Piece<'_>) -> ControlFlow<()> {
    call.first_token();
    let counted = piece.output_tokens.is_none_or(|tokens| call.counted(tokens));
    let goes_on = counted
        && (piece.reasoning.is_empty() || call.reasoning(piece.reasoning))
        && (piece.text.is_empty() || call.text(piece.text));
    if goes_on {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}

/// Ends a call whose answer was cut off. What came of it is kept.
pub(super) fn cut(call: LlmCall, error: ChatError, outputs: &mut Outputs) -> (NodeError, String) {
    let over = call.over_budget().cloned();
    let message = over.as_ref().map_or(error.message, ToString::to_string);
    outputs.insert("response".to_owned(), Value::from(error.partial_text.as_str()));
    call.fail(LlmFailure {
        error_type: over
            .as_ref()
            .map_or(error.error_type, |over| over.error_type().into()),
        message: message.clone(),
        usage: *error.usage,
        partial_text: error.partial_text,
        may_be_billed: true,
    });
    match over {
        Some(over) => failure(over, true),
        None => (NodeError::permanent(message.clone()), message),
    }
}

/// What became of the call, before why.
#[derive(Debug, Error)]
#[error("{summary}")]
struct Halt {
    summary: &'static str,
    #[source]
    cause: BudgetError,
}

/// The error of a node whose call was refused or cut. It halts everything that the budget is for.
pub(super) fn failure(error: BudgetError, has_own_limit: bool) -> (NodeError, String) {
    let message = format!("{error}; {}", advice(&error, has_own_limit));
    let summary = match &error {
        BudgetError::Over(over) if over.kind == OverBudgetKind::Cut => "was cut off",
        BudgetError::Over(over) if over.kind == OverBudgetKind::Overrun => "came to more than was agreed",
        _ => "was not made",
    };
    let halted = NodeError::halted(message.clone())
        .with_type(error.error_type())
        .with_source(Halt {
            summary,
            cause: error,
        });
    (halted, message)
}

/// How to raise the limit.
fn advice(error: &BudgetError, has_own_limit: bool) -> String {
    let over = match error {
        BudgetError::Over(over) => over,
        BudgetError::Unchecked(_) => {
            return match error.owner() {
                BudgetOwner::Shared(name) => name.advice.clone(),
                _ => String::new(),
            };
        }
        BudgetError::Unpriced(unpriced) => {
            let model = &unpriced.model;
            return format!(
                "give it a price with `flowmeter pricing set {model} …`, or let such calls pass with \
                 `--allow-unpriced`"
            );
        }
    };
    let limit = over.limit.as_str();
    let raise = match &over.owner {
        BudgetOwner::Run => format!("raise it with `--{}`", limit.replace('_', "-")),
        BudgetOwner::Node(path) => format!("raise `{limit}` in the `budget` of node `{path}`"),
        BudgetOwner::Workflow(name) => format!("raise `{limit}` in the `budget` of workflow `{name}`"),
        BudgetOwner::Shared(name) => name.advice.clone(),
    };
    match shorter_answer(over, has_own_limit) {
        Some(shorter) => format!("{raise}, or {shorter}"),
        None => raise,
    }
}

fn shorter_answer(over: &OverBudget, has_own_limit: bool) -> Option<&'static str> {
    let helps = over.kind == OverBudgetKind::Refused && over.limit != BudgetLimit::LlmCalls;
    helps.then_some(if has_own_limit {
        "set a smaller `max_tokens` on the node"
    } else {
        "set `max_tokens` on the node: without it, the longest answer of the model is counted with"
    })
}

#[cfg(test)]
mod tests;
