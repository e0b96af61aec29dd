//! One request on its way: what is sent, what may come of it, and who can send it.
//!
//! Never decides whether to try again: it only says whether that could help.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flowmeter_otlp::{PartialSuccess, Signal};

/// The content of a request: the protobuf form of an export request.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    pub(super) signal: Signal,
    pub(super) content: Bytes,
    /// Spans, log records or data points in it.
    pub(super) items: u64,
}

/// What a receiver that took a request says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    /// So many items it did not take; they may not be sent again.
    pub(super) rejected: u64,
    /// Why, or what it warns of.
    pub(super) message: String,
}

impl From<PartialSuccess> for Accepted {
    fn from(answer: PartialSuccess) -> Self {
        Self {
            // A receiver cannot have refused fewer than none.
            rejected: u64::try_from(answer.rejected).unwrap_or(0),
            message: one_line(&answer.message),
        }
    }
}

/// Why a request did not arrive or was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// For people: lowercase, no full stop.
    pub(super) message: String,
    /// When the receiver wants to see it again.
    pub(super) retry_after: Option<Duration>,
}

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// It may go well another time.
    Retryable,
    /// The receiver does not let us in: nothing is wrong with the content.
    Unauthorized,
    /// It will go wrong each time.
    Permanent,
    /// Nothing was sent: the settings do not allow it.
    Unusable,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(super) fn retryable(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Retryable, message)
    }

    pub(super) fn permanent(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Permanent, message)
    }
}

/// Sends requests to one receiver.
#[async_trait]
pub(super) trait Transport: Send + Sync {
    /// Sends a request once and waits for the answer.
    async fn send(&self, payload: &Payload) -> Result<Accepted, Failure>;
}

/// A receiver's own words, made fit for one line of a message.
pub(super) fn one_line(text: &str) -> String {
    const LONGEST_CHARS: usize = 300;
    let words = text.split(|character: char| character.is_whitespace() || character.is_control());
    let mut line = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(LONGEST_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// An error with its causes, each said once.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
