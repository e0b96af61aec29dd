//! OpenInference's attributes beside the GenAI ones: what Arize Phoenix shows as model, tokens and messages.
//!
//! Never drops or renames a GenAI attribute; it only adds. Source: OpenInference semantic conventions.

mod messages;

use std::borrow::Cow;

use flowmeter_model::{AttributeValue, Span, SpanKind};
use serde_json::{Map, Value};

use super::attributes::whole_number;
use super::spans::{Role, SPAN_ATTRIBUTES, cache_write, whole};
use crate::conventions::{Known, Shape};
use crate::names::{self, openinference as oi};
use crate::wire::Wire;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// Writes what OpenInference asks for on such a span.
pub(super) fn write(wire: &mut Wire, span: &Span, role: &Role<'_>, content: bool) {
    let kind = span_kind(span, role);
    wire.text_attribute(SPAN_ATTRIBUTES, oi::SPAN_KIND, kind);
    if let Some(session) = span.attributes.get_str(names::CONVERSATION_ID)
        && span.attributes.get(oi::SESSION_ID).is_none()
    {
        wire.text_attribute(SPAN_ATTRIBUTES, oi::SESSION_ID, session);
    }
    match kind {
        "LLM" => write_llm(wire, span, content),
        "EMBEDDING" => write_embedding(wire, span, content),
        _ => write_step(wire, span, kind, content),
    }
}

fn span_kind(span: &Span, role: &Role<'_>) -> &'static str {
    match role.operation {
        Some(names::EMBEDDINGS) => return "EMBEDDING",
        Some("execute_tool") => return "TOOL",
        Some("invoke_agent" | "create_agent") => return "AGENT",
        Some(names::INVOKE_WORKFLOW) => return "CHAIN",
        Some(_) => return "LLM",
        None => {}
    }
    // A node that acts on the world by itself is a tool; one that leads other steps is a chain.
    match span.attributes.get_str("node.type") {
        Some(
            "shell" | "code" | "http" | "mcp" | "read-file" | "read_file" | "write-file" | "write_file"
            | "copy-file" | "copy_file" | "move-file" | "move_file" | "delete-file" | "delete_file",
        ) if span.kind == SpanKind::Node => "TOOL",
        _ => "CHAIN",
    }
}

fn write_llm(wire: &mut Wire, span: &Span, content: bool) {
    write_model(wire, span);
    if let Some(parameters) = invocation_parameters(span) {
        wire.serialized_attribute(SPAN_ATTRIBUTES, oi::INVOCATION_PARAMETERS, &parameters);
    }
    if let Some(reason) = finish_reason(span) {
        wire.text_attribute(SPAN_ATTRIBUTES, oi::FINISH_REASON, reason);
    }
    write_tokens(wire, span);
    if let Some(usd) = cost_usd(span) {
        wire.double_attribute(SPAN_ATTRIBUTES, oi::COST_TOTAL, usd);
    }
    if !content {
        return;
    }
    let instructions = parsed(span, names::SYSTEM_INSTRUCTIONS);
    let input = parsed(span, names::INPUT_MESSAGES);
    let output = parsed(span, names::OUTPUT_MESSAGES);
    messages::write(
        wire,
        oi::INPUT_MESSAGES,
        instructions.as_deref(),
        input.as_deref(),
    );
    messages::write(wire, oi::OUTPUT_MESSAGES, None, output.as_deref());
    if let Some(Value::Array(tools)) = parsed(span, names::TOOL_DEFINITIONS).as_deref() {
        for (index, tool) in tools.iter().enumerate() {
            let key = format!("{}.{index}.tool.json_schema", oi::TOOLS);
            wire.json_attribute(SPAN_ATTRIBUTES, &key, tool);
        }
    }
    write_value(
        wire,
        span,
        (oi::INPUT_VALUE, oi::INPUT_MIME_TYPE),
        input.as_deref(),
    );
    let answer = output.as_deref().and_then(messages::only_text);
    match answer {
        Some(text) => write_text(wire, span, (oi::OUTPUT_VALUE, oi::OUTPUT_MIME_TYPE), text),
        None => write_value(
            wire,
            span,
            (oi::OUTPUT_VALUE, oi::OUTPUT_MIME_TYPE),
            output.as_deref(),
        ),
    }
}

fn write_embedding(wire: &mut Wire, span: &Span, content: bool) {
    if let Some(model) = model(span) {
        wire.text_attribute(SPAN_ATTRIBUTES, oi::EMBEDDING_MODEL_NAME, model);
    }
    write_model(wire, span);
    if let Some(parameters) = invocation_parameters(span) {
        wire.serialized_attribute(SPAN_ATTRIBUTES, oi::EMBEDDING_INVOCATION_PARAMETERS, &parameters);
    }
    write_tokens(wire, span);
    if let Some(usd) = cost_usd(span) {
        wire.double_attribute(SPAN_ATTRIBUTES, oi::COST_TOTAL, usd);
    }
    if !content {
        return;
    }
    let input = parsed(span, names::INPUT_MESSAGES);
    for (index, text) in input
        .as_deref()
        .map(messages::texts)
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let key = format!("{}.{index}.embedding.text", oi::EMBEDDINGS);
        wire.text_attribute(SPAN_ATTRIBUTES, &key, text);
    }
    write_value(
        wire,
        span,
        (oi::INPUT_VALUE, oi::INPUT_MIME_TYPE),
        input.as_deref(),
    );
}

/// Steps that are no model call: what they were given and what they wrote.
fn write_step(wire: &mut Wire, span: &Span, kind: &str, content: bool) {
    if kind == "TOOL" {
        let tool = [names::TOOL_NAME, "node.id"];
        let tool = tool.iter().find_map(|key| span.attributes.get_str(key));
        if let Some(tool) = tool
            && span.attributes.get(oi::TOOL_NAME).is_none()
        {
            wire.text_attribute(SPAN_ATTRIBUTES, oi::TOOL_NAME, tool);
        }
    }
    if !content {
        return;
    }
    let given = parsed(span, names::TOOL_CALL_ARGUMENTS);
    let given = given.as_deref().or(span.params.as_deref());
    write_value(wire, span, (oi::INPUT_VALUE, oi::INPUT_MIME_TYPE), given);
    let result = parsed(span, names::TOOL_CALL_RESULT).map(Cow::into_owned);
    let written = result.or_else(|| {
        let written = span.mutations.iter().filter_map(|mutation| {
            let after = mutation.after.as_ref()?;
            Some((mutation.path.clone(), Value::clone(after)))
        });
        let written: Map<String, Value> = written.collect();
        (!written.is_empty()).then_some(Value::Object(written))
    });
    let written = written.or_else(|| outcome(span));
    write_value(
        wire,
        span,
        (oi::OUTPUT_VALUE, oi::OUTPUT_MIME_TYPE),
        written.as_ref(),
    );
}

/// What a workflow gave: its own templates are those of its outputs.
fn outcome(span: &Span) -> Option<Value> {
    if !matches!(span.kind, SpanKind::Run | SpanKind::Workflow) {
        return None;
    }
    match span.templates.as_slice() {
        [] => None,
        [only] => Some(Value::clone(&only.value)),
        several => {
            let values = several
                .iter()
                .map(|resolved| (resolved.template.clone(), Value::clone(&resolved.value)));
            Some(Value::Object(values.collect()))
        }
    }
}

/// A value and its MIME type, unless the span has them itself.
fn write_value(wire: &mut Wire, span: &Span, keys: (&str, &str), value: Option<&Value>) {
    match value {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => write_text(wire, span, keys, text),
        Some(value) if span.attributes.get(keys.0).is_none() => {
            wire.value_attribute(SPAN_ATTRIBUTES, keys.0, value);
            wire.text_attribute(SPAN_ATTRIBUTES, keys.1, JSON);
        }
        Some(_) => {}
    }
}

fn write_text(wire: &mut Wire, span: &Span, (key, mime_type): (&str, &str), text: &str) {
    if span.attributes.get(key).is_none() {
        wire.text_attribute(SPAN_ATTRIBUTES, key, text);
        wire.text_attribute(SPAN_ATTRIBUTES, mime_type, TEXT);
    }
}

/// The model that answered, else the one that was asked for.
fn model(span: &Span) -> Option<&str> {
    [names::RESPONSE_MODEL, names::REQUEST_MODEL]
        .iter()
        .find_map(|key| span.attributes.get_str(key))
}

fn write_model(wire: &mut Wire, span: &Span) {
    let text = |key| span.attributes.get_str(key);
    let provider = text(names::PROVIDER_NAME);
    let pairs = [
        (oi::MODEL_NAME, model(span)),
        (oi::REQUEST_MODEL_NAME, text(names::REQUEST_MODEL)),
        (oi::RESPONSE_MODEL_NAME, text(names::RESPONSE_MODEL)),
        (oi::PROVIDER, provider.map(host)),
        (oi::SYSTEM, provider.map(system)),
    ];
    for (key, value) in pairs {
        if let Some(value) = value
            && span.attributes.get(key).is_none()
        {
            wire.text_attribute(SPAN_ATTRIBUTES, key, value);
        }
    }
}

/// `llm.provider`: who hosts the model.
fn host(provider: &str) -> &str {
    match names::provider_name(provider) {
        "gcp.gemini" | "gcp.vertex_ai" | "gcp.gen_ai" => "google",
        "aws.bedrock" => "aws",
        "azure.ai.openai" | "azure.ai.inference" => "azure",
        "mistral_ai" => "mistralai",
        "x_ai" => "xai",
        "moonshot_ai" => "moonshot",
        other => other,
    }
}

/// `llm.system`: whose model or interface it is.
fn system(provider: &str) -> &str {
    match names::provider_name(provider) {
        "gcp.gemini" | "gcp.vertex_ai" | "gcp.gen_ai" => "vertexai",
        "azure.ai.openai" => "openai",
        "mistral_ai" => "mistralai",
        _ => host(provider),
    }
}

/// `gen_ai.request.*` as one JSON object.
fn invocation_parameters(span: &Span) -> Option<Map<String, Value>> {
    let mut parameters = Map::new();
    for (key, value) in span.attributes.iter() {
        let Some(name) = key.strip_prefix("gen_ai.request.") else {
            continue;
        };
        let shape = Known::of(key).map(|known| known.shape);
        let value = match value {
            AttributeValue::Bool(false) if shape == Some(Shape::OnlyTrue) => continue,
            _ if shape == Some(Shape::Int) && whole_number(value).is_some() => {
                Value::from(whole_number(value))
            }
            AttributeValue::Bool(flag) => Value::from(*flag),
            AttributeValue::I64(number) => Value::from(*number),
            AttributeValue::F64(number) => Value::from(*number),
            AttributeValue::Str(text) => Value::from(text.as_str()),
            AttributeValue::Json(value) => Value::clone(value),
        };
        parameters.insert(name.to_owned(), value);
    }
    (!parameters.is_empty()).then_some(parameters)
}

fn finish_reason(span: &Span) -> Option<&str> {
    match span.attributes.get(names::FINISH_REASONS)? {
        AttributeValue::Str(reason) => Some(reason),
        AttributeValue::Json(reasons) => reasons.get(0).unwrap_or(reasons).as_str(),
        _ => None,
    }
}

fn write_tokens(wire: &mut Wire, span: &Span) {
    let stated = |key: &str| match span.attributes.get(key) {
        Some(AttributeValue::I64(number)) => Some(*number),
        _ => None,
    };
    let usage = span.usage.clone().unwrap_or_default();
    let counted = |figure: Option<flowmeter_model::Figure>| figure.map(|figure| whole(figure.tokens));
    let input = counted(usage.input).or_else(|| stated(names::INPUT_TOKENS));
    let output = counted(usage.output).or_else(|| stated(names::OUTPUT_TOKENS));
    let total = match (input, output) {
        (None, None) => None,
        (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
    };
    let figures = [
        (oi::TOKENS_PROMPT, input),
        (oi::TOKENS_COMPLETION, output),
        (oi::TOKENS_TOTAL, total),
        (
            oi::TOKENS_CACHE_READ,
            counted(usage.cache_read).or_else(|| stated(names::CACHE_READ_TOKENS)),
        ),
        (
            oi::TOKENS_CACHE_WRITE,
            cache_write(&usage)
                .map(whole)
                .or_else(|| stated(names::CACHE_WRITE_TOKENS)),
        ),
        (oi::TOKENS_PROMPT_AUDIO, counted(usage.input_audio)),
        (
            oi::TOKENS_REASONING,
            counted(usage.reasoning).or_else(|| stated(names::REASONING_TOKENS)),
        ),
        (oi::TOKENS_COMPLETION_AUDIO, counted(usage.output_audio)),
    ];
    for (key, tokens) in figures {
        if let Some(tokens) = tokens
            && span.attributes.get(key).is_none()
        {
            wire.int_attribute(SPAN_ATTRIBUTES, key, tokens);
        }
    }
}

fn cost_usd(span: &Span) -> Option<f64> {
    if span.attributes.get(oi::COST_TOTAL).is_some() {
        return None;
    }
    let amount = span.cost.as_ref().and_then(|cost| cost.amount);
    match (amount, span.attributes.get(names::COST_USD)) {
        (Some(amount), _) => Some(amount.to_usd()),
        (None, Some(AttributeValue::F64(usd))) => Some(*usd),
        _ => None,
    }
}

/// A JSON attribute, also where it comes as text.
fn parsed<'a>(span: &'a Span, key: &str) -> Option<Cow<'a, Value>> {
    match span.attributes.get(key)? {
        AttributeValue::Json(value) => match value.as_str() {
            Some(text) => Some(Cow::Owned(from_text(text))),
            None => Some(Cow::Borrowed(value)),
        },
        AttributeValue::Str(text) => Some(Cow::Owned(from_text(text))),
        _ => None,
    }
}

fn from_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}
