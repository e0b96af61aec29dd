//! Makes [`ChatError`]s: what a status code means, and the provider's own words out of an error body.
//!
//! Never lets a key through: whoever makes an error from foreign text passes the key to be masked.

use flowmeter_model::TokenUsage;
use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};

use super::ChatError;

/// The longest provider message that is passed on, in characters.
const MESSAGE_MAX: usize = 500;

impl ChatError {
    /// A failure that another attempt would meet again and that cost nothing.
    pub(crate) fn permanent(error_type: &'static str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            error_type: SmolStr::new_static(error_type),
            retryable: false,
            usage: Box::default(),
            partial_text: String::new(),
            may_be_billed: false,
            source: None,
        }
    }

    /// A failure that another attempt may not meet.
    pub(crate) fn passing(error_type: &'static str, message: impl Into<String>) -> Self {
        Self {
            retryable: true,
            ..Self::permanent(error_type, message)
        }
    }

    /// The provider answered with an error status.
    pub(crate) fn status(provider: &str, status: u16, body: &str) -> Self {
        let said = provider_message(body);
        let message = if said.is_empty() {
            format!("{provider} answered with HTTP {status}")
        } else {
            format!("{provider} answered with HTTP {status}: {said}")
        };
        Self {
            message,
            error_type: format_smolstr!("http_{status}"),
            retryable: status_is_passing(status),
            ..Self::permanent("", "")
        }
    }

    /// The same, where the provider had begun to work.
    pub(crate) fn billed(mut self, usage: TokenUsage, partial_text: String) -> Self {
        self.may_be_billed = true;
        self.usage = Box::new(usage);
        self.partial_text = partial_text;
        self
    }

    /// The same without the key, should a server have repeated it.
    pub(crate) fn without_key(mut self, key: Option<&str>) -> Self {
        if let Some(key) = key.filter(|key| key.len() >= 4) {
            self.message = self.message.replace(key, "***");
        }
        self
    }
}

/// Whether a later attempt may get another answer than this status.
pub(crate) fn status_is_passing(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429 | 500..=599)
}

/// The provider's message in an error body: its JSON's message where there is one, else the text.
pub(crate) fn provider_message(body: &str) -> String {
    let parsed = serde_json::from_str::<Value>(body).ok();
    let found = parsed.as_ref().and_then(message_in);
    shortened(found.unwrap_or(body))
}

/// The message in an error object, wherever the providers put it.
pub(crate) fn message_in(body: &Value) -> Option<&str> {
    const PLACES: [&str; 7] = [
        "/error/message",
        "/error",
        "/message",
        "/detail",
        "/errors/0/message",
        "/0/error/message",
        "/error/error/message",
    ];
    PLACES
        .iter()
        .find_map(|place| body.pointer(place).and_then(Value::as_str))
}

/// At most [`MESSAGE_MAX`] characters on one line.
pub(crate) fn shortened(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => format!("{}…", &flat[..end]),
        None => flat,
    }
}

/// The innermost cause: the outer ones repeat the address, or say no more than that something failed.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
