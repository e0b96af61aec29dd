//! Reads a node's parameters, and says clearly what is wrong with one.
//!
//! Takes what a template leaves behind: a number or a boolean that came as text. Never copies a large text.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowmeter_engine::{NodeContext, NodeError};
use serde_json::{Map, Value};

use crate::render_value;

/// The parameters of a node.
#[derive(Clone, Copy)]
pub(super) struct Params<'a>(&'a Value);

impl<'a> Params<'a> {
    pub(super) fn of(cx: &'a NodeContext) -> Self {
        Self(cx.params())
    }

    pub(super) fn in_value(params: &'a Value) -> Self {
        Self(params)
    }

    /// The value; null counts as absent.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn required(self, name: &str) -> Result<&'a Value, NodeError> {
        self.get(name)
            .ok_or_else(|| NodeError::permanent(format!("the parameter `{name}` is missing")))
    }

    /// Any value as text.
    pub(super) fn text(self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).map(text_of)
    }

    pub(super) fn required_text(self, name: &str) -> Result<Cow<'a, str>, NodeError> {
        self.required(name).map(text_of)
    }

    /// A path; `~` stays as it is, and what is relative is so to the current directory.
    pub(super) fn path(self, name: &str) -> Result<PathBuf, NodeError> {
        match self.required(name)? {
            Value::String(path) if !path.is_empty() => Ok(Path::new(path).to_path_buf()),
            Value::String(_) => Err(NodeError::permanent(format!("the parameter `{name}` is empty"))),
            other => Err(mismatch(name, "a path", other)),
        }
    }

    pub(super) fn flag(self, name: &str, default: bool) -> Result<bool, NodeError> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(true),
                "false" | "no" | "off" | "0" | "" => Ok(false),
                _ => Err(mismatch(name, "true or false", &Value::from(text.as_str()))),
            },
            Some(other) => Err(mismatch(name, "true or false", other)),
        }
    }

    pub(super) fn number(self, name: &str) -> Result<Option<f64>, NodeError> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(mismatch(
                name,
                "a number",
                self.0.get(name).unwrap_or(&Value::Null),
            )),
        }
    }

    pub(super) fn whole_number(self, name: &str) -> Result<Option<u32>, NodeError> {
        match self.number(name)? {
            None => Ok(None),
            Some(number) if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) => {
                Ok(Some(number as u32))
            }
            Some(number) => {
                let message =
                    format!("the parameter `{name}` must be a whole number from 0 on, not {number}");
                Err(NodeError::permanent(message))
            }
        }
    }

    /// Seconds.
    pub(super) fn timeout(self, default: Duration) -> Result<Duration, NodeError> {
        let Some(seconds) = self.number("timeout")? else {
            return Ok(default);
        };
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|limit| !limit.is_zero())
            .ok_or_else(|| {
                NodeError::permanent(format!(
                    "the parameter `timeout` must be a number of seconds above 0 and below 1e19, not {seconds}"
                ))
            })
    }

    pub(super) fn object(self, name: &str) -> Result<Option<&'a Map<String, Value>>, NodeError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(other) => Err(mismatch(name, "an object", other)),
        }
    }

    /// A list of texts; a single text is a list of one.
    pub(super) fn texts(self, name: &str) -> Result<Vec<String>, NodeError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(items)) => Ok(items.iter().map(|item| text_of(item).into_owned()).collect()),
            Some(other) => Err(mismatch(name, "a list of texts", other)),
        }
    }
}

fn mismatch(name: &str, wanted: &str, found: &Value) -> NodeError {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text `{}`", text.chars().take(60).collect::<String>()),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    NodeError::permanent(format!("the parameter `{name}` must be {wanted}, not {found}"))
}

/// A value as it stands inside a longer text; a text without a copy.
pub(super) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(render_value(other)),
    }
}
