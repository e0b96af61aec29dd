//! What an `llm` node makes of an answer: the parsed value, and its usage as an output.
//!
//! Never counts a call: that has happened before.

use flowmeter_model::{Cost, Figure, TokenUsage, UsdNanos};
use jsonschema::Validator;
use serde_json::{Value, json};

/// The answer as JSON that follows the schema.
pub(super) fn structured(checker: &Validator, text: &Value) -> Result<Value, String> {
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

pub(super) fn usage_output(model: &str, usage: &TokenUsage, cost: &Cost) -> Value {
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
        "cost_status": cost.status.as_str(),
    })
}

pub(super) fn told(usage: &TokenUsage) -> String {
    let shown = |figure: Option<Figure>| {
        figure.map_or_else(|| "unknown".to_owned(), |figure| figure.tokens.to_string())
    };
    format!(
        "{} input tokens, {} output tokens",
        shown(usage.input),
        shown(usage.output)
    )
}
