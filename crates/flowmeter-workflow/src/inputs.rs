//! The inputs of a workflow: from the command line, a pipe, defaults, the environment and settings.
//!
//! Never reads the environment or standard input itself: both are handed in.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::document::{InputEntry, WorkflowDocument};
use crate::names;
use crate::nodes::ValueType;
use crate::template::{kind_of, render_value};

/// Looks up what an input of this name is worth.
pub type InputLookup<'a, T> = &'a dyn Fn(&str) -> Option<T>;

/// Where inputs come from that the command line does not give and that have no default.
#[derive(Default)]
pub struct InputSources<'a> {
    /// The text that was piped in; `None` where nothing was.
    pub stdin: Option<String>,
    /// Looks a name up in the environment.
    pub environment: Option<InputLookup<'a, String>>,
    /// Looks a name up in the settings.
    pub settings: Option<InputLookup<'a, Value>>,
}

/// Why a workflow's inputs cannot be used. All that is wrong is said at once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", problems.join("\n"))]
pub struct InvalidInputs {
    /// One line for each thing that is wrong.
    pub problems: Vec<String>,
}

/// Puts a workflow's inputs together: command line, then declared default, then environment, then settings.
///
/// # Errors
/// [`InvalidInputs`] with every unknown, missing and ill-typed input.
pub fn prepare_inputs(
    document: &WorkflowDocument,
    args: &[(String, String)],
    sources: InputSources<'_>,
) -> Result<Map<String, Value>, InvalidInputs> {
    let mut given = Map::new();
    let mut problems = Vec::new();
    for (name, text) in args {
        let value = match document.inputs.iter().find(|input| input.name == *name) {
            Some(input) => value_of_text_for(text, input.value_type),
            None => value_of_text(text),
        };
        given.insert(name.clone(), value);
    }
    let piped = sources.stdin.as_deref().map(strip_newline);
    let stdin_input = document.inputs.iter().find(|input| input.stdin);
    // Whoever is started with an empty pipe has not meant to give anything.
    if let Some(text) = piped.filter(|text| !text.is_empty()) {
        match stdin_input {
            Some(input) if given.contains_key(input.name.as_str()) => {
                problems.push(format!(
                    "input `{}` is given twice: on the command line and by standard input",
                    input.name
                ));
            }
            Some(input) => {
                given.insert(input.name.to_string(), value_of_pipe(text, input.value_type));
            }
            None => problems.push(no_stdin_input(document)),
        }
    }
    for input in &document.inputs {
        if given.contains_key(input.name.as_str()) || input.default.is_some() {
            continue;
        }
        let from_environment = sources
            .environment
            .and_then(|look_up| look_up(&input.name))
            .map(|text| value_of_text_for(&text, input.value_type));
        let found = from_environment.or_else(|| sources.settings.and_then(|look_up| look_up(&input.name)));
        if let Some(value) = found {
            given.insert(input.name.to_string(), value);
        } else if let Some(text) = piped.filter(|_| input.stdin) {
            given.insert(input.name.to_string(), value_of_pipe(text, input.value_type));
        }
    }
    match complete_inputs(document, given) {
        Ok(inputs) if problems.is_empty() => Ok(inputs),
        Ok(_) => Err(InvalidInputs { problems }),
        Err(further) => {
            problems.extend(further.problems);
            Err(InvalidInputs { problems })
        }
    }
}

/// Checks given values against the declared inputs and fills in the defaults.
pub(crate) fn complete_inputs(
    document: &WorkflowDocument,
    mut given: Map<String, Value>,
) -> Result<Map<String, Value>, InvalidInputs> {
    let mut problems = Vec::new();
    let declared: Vec<&str> = document.inputs.iter().map(|input| input.name.as_str()).collect();
    for name in given.keys().filter(|name| !declared.contains(&name.as_str())) {
        let help = names::suggestion(name, &declared, "inputs")
            .unwrap_or_else(|| "this workflow takes no inputs".to_owned());
        problems.push(format!("there is no input `{name}`; {help}"));
    }
    let mut inputs = Map::new();
    for input in &document.inputs {
        let value = match given
            .remove(input.name.as_str())
            .or_else(|| input.default.clone())
        {
            Some(value) => value,
            None if input.required => {
                problems.push(missing(input));
                continue;
            }
            None => Value::Null,
        };
        match coerce(&value, input.value_type) {
            Some(value) => {
                inputs.insert(input.name.to_string(), value);
            }
            None if value.is_null() && (!input.required || input.default.is_some()) => {
                inputs.insert(input.name.to_string(), Value::Null);
            }
            None => problems.push(wrong_type(input, &value)),
        }
    }
    if problems.is_empty() {
        Ok(inputs)
    } else {
        Err(InvalidInputs { problems })
    }
}

fn missing(input: &InputEntry) -> String {
    let described = input
        .description
        .as_deref()
        .map(|text| format!(": {}", text.trim()))
        .unwrap_or_default();
    let piped = if input.stdin { "; it may be piped in" } else { "" };
    format!(
        "input `{}` ({}) is missing{described}{piped}",
        input.name,
        input.value_type.as_str()
    )
}

fn wrong_type(input: &InputEntry, value: &Value) -> String {
    let mut shown = value.to_string();
    if shown.chars().count() > 60 {
        shown = shown.chars().take(60).chain(['…']).collect();
    }
    format!(
        "input `{}` is of type {}, but {shown} is of type {}",
        input.name,
        input.value_type.as_str(),
        kind_of(value)
    )
}

fn no_stdin_input(document: &WorkflowDocument) -> String {
    let help = match document.inputs.first() {
        Some(input) => format!("mark one with \"stdin\": true, for example `{}`", input.name),
        None => "this workflow takes no inputs".to_owned(),
    };
    format!("something is piped in, but no input takes standard input; {help}")
}

fn strip_newline(text: &str) -> &str {
    text.strip_suffix("\r\n")
        .or_else(|| text.strip_suffix('\n'))
        .unwrap_or(text)
}

/// What a text of the command line means: a boolean, a number, JSON for lists and objects, else a text.
#[must_use]
pub fn value_of_text(text: &str) -> Value {
    match text.to_ascii_lowercase().as_str() {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    number_of_text(text)
        .or_else(|| {
            text.trim_start()
                .starts_with(['[', '{'])
                .then(|| serde_json::from_str(text).ok())
                .flatten()
        })
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The same where the type is known: an input of type string takes the text as it is.
fn value_of_text_for(text: &str, value_type: ValueType) -> Value {
    if value_type == ValueType::String {
        Value::String(text.to_owned())
    } else {
        value_of_text(text)
    }
}

/// What was piped in is a text unless the input says otherwise.
fn value_of_pipe(text: &str, value_type: ValueType) -> Value {
    match value_type {
        ValueType::String | ValueType::Any => Value::String(text.to_owned()),
        other => value_of_text_for(text, other),
    }
}

fn number_of_text(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let plain = text.strip_prefix('+').unwrap_or(text);
    if let Ok(whole) = plain.parse::<i64>() {
        return Some(Value::from(whole));
    }
    if let Ok(whole) = plain.parse::<u64>() {
        return Some(Value::from(whole));
    }
    // A whole number too large for 64 bits would lose digits as a float: it stays a text.
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let real = plain.parse::<f64>().ok().filter(|real| real.is_finite())?;
    serde_json::Number::from_f64(real).map(Value::Number)
}

/// The value as this type, where nothing is lost by it.
pub(crate) fn coerce(value: &Value, wanted: ValueType) -> Option<Value> {
    match (wanted, value) {
        (ValueType::Any, value) => Some(value.clone()),
        (ValueType::String, Value::String(_))
        | (ValueType::Number, Value::Number(_))
        | (ValueType::Boolean, Value::Bool(_))
        | (ValueType::Array, Value::Array(_))
        | (ValueType::Object, Value::Object(_)) => Some(value.clone()),
        (ValueType::String, Value::Null) => None,
        (ValueType::String, Value::Bool(flag)) => Some(Value::String(flag.to_string())),
        (ValueType::String, other) => Some(Value::String(render_value(other))),
        (ValueType::Integer, Value::Number(number)) => whole(number),
        (ValueType::Number, Value::String(text)) => number_of_text(text.trim()),
        (ValueType::Integer, Value::String(text)) => match number_of_text(text.trim())? {
            Value::Number(number) => whole(&number),
            _ => None,
        },
        (ValueType::Boolean, Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(Value::Bool(true)),
            "false" | "no" | "off" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        (ValueType::Boolean, Value::Number(number)) => match number.as_f64() {
            Some(1.0) => Some(Value::Bool(true)),
            Some(0.0) => Some(Value::Bool(false)),
            _ => None,
        },
        (ValueType::Array, Value::String(text)) => serde_json::from_str(text).ok().filter(Value::is_array),
        (ValueType::Object, Value::String(text)) => serde_json::from_str(text).ok().filter(Value::is_object),
        _ => None,
    }
}

fn whole(number: &serde_json::Number) -> Option<Value> {
    if number.is_f64() {
        let real = number.as_f64()?;
        let exact = real.fract() == 0.0 && real.abs() < 9.0e15;
        exact.then(|| Value::from(real as i64))
    } else {
        Some(Value::Number(number.clone()))
    }
}
