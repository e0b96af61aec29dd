//! What the server answers: a text with its usage, an error, or one of the ways in which servers misbehave.
//!
//! Knows no protocol: those turn a reply into bytes.

use std::time::Duration;

use serde_json::Value;

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) kind: ReplyKind,
    pub(super) delay: Duration,
    pub(super) pace: Duration,
}

#[derive(Clone, Debug)]
pub(super) enum ReplyKind {
    /// An answer of the model.
    Text(TextReply),
    /// An error status with a message, or with a whole body.
    Status { code: u16, body: StatusBody },
    /// Status 200 and this body, whatever was asked.
    Garbage { content_type: String, body: String },
    /// Nothing ever comes.
    Hang,
}

#[derive(Clone, Debug)]
pub(super) enum StatusBody {
    Message(String),
    Whole(String),
}

#[derive(Clone, Debug)]
pub(super) struct TextReply {
    pub(super) text: String,
    pub(super) model: Option<String>,
    pub(super) finish: Option<String>,
    /// Input and output, where they are not counted from the texts.
    pub(super) tokens: Option<(u64, u64)>,
    pub(super) cache_read: u64,
    pub(super) cache_write_5m: u64,
    pub(super) cache_write_1h: u64,
    pub(super) reasoning: u64,
    pub(super) with_usage: bool,
    /// Break the connection off after so many pieces of a stream.
    pub(super) cut_after: Option<usize>,
    /// Say the text again and again until nobody listens.
    pub(super) endless: bool,
}

/// The token counts of one answer, inclusive as OpenAI counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write_5m: u64,
    pub(super) cache_write_1h: u64,
    pub(super) reasoning: u64,
}

/// A token for every four bytes, rounded up.
pub(super) fn count_tokens(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

impl Reply {
    fn of(kind: ReplyKind) -> Self {
        Self {
            kind,
            delay: Duration::ZERO,
            pace: Duration::ZERO,
        }
    }

    /// The model answers with this text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(ReplyKind::Text(TextReply {
            text: text.into(),
            model: None,
            finish: None,
            tokens: None,
            cache_read: 0,
            cache_write_5m: 0,
            cache_write_1h: 0,
            reasoning: 0,
            with_usage: true,
            cut_after: None,
            endless: false,
        }))
    }

    /// The model answers with this value as JSON.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::text(value.to_string())
    }

    /// The server refuses with this status; the message is put as the protocol puts it.
    #[must_use]
    pub fn status(code: u16, message: impl Into<String>) -> Self {
        Self::of(ReplyKind::Status {
            code,
            body: StatusBody::Message(message.into()),
        })
    }

    /// The server refuses with this status and exactly this body.
    #[must_use]
    pub fn status_with_body(code: u16, body: impl Into<String>) -> Self {
        Self::of(ReplyKind::Status {
            code,
            body: StatusBody::Whole(body.into()),
        })
    }

    /// The server answers with status 200 and a body that is no answer.
    #[must_use]
    pub fn garbage(content_type: impl Into<String>, body: impl Into<String>) -> Self {
        Self::of(ReplyKind::Garbage {
            content_type: content_type.into(),
            body: body.into(),
        })
    }

    /// The server takes the request and never answers.
    #[must_use]
    pub fn hang() -> Self {
        Self::of(ReplyKind::Hang)
    }

    fn with_text(mut self, change: impl FnOnce(&mut TextReply)) -> Self {
        if let ReplyKind::Text(text) = &mut self.kind {
            change(text);
        }
        self
    }

    /// The tokens it says it used: input with all that was cached, output with all reasoning. Without this they
    /// are counted: a token for every four bytes, rounded up.
    #[must_use]
    pub fn usage(self, input: u64, output: u64) -> Self {
        self.with_text(|text| text.tokens = Some((input, output)))
    }

    /// So many of the input tokens came from the cache.
    #[must_use]
    pub fn cached(self, tokens: u64) -> Self {
        self.with_text(|text| text.cache_read = tokens)
    }

    /// So many of the input tokens were written to the cache, for five minutes and for an hour.
    #[must_use]
    pub fn cache_written(self, five_minutes: u64, one_hour: u64) -> Self {
        self.with_text(|text| {
            text.cache_write_5m = five_minutes;
            text.cache_write_1h = one_hour;
        })
    }

    /// So many of the output tokens went into reasoning.
    #[must_use]
    pub fn reasoning(self, tokens: u64) -> Self {
        self.with_text(|text| text.reasoning = tokens)
    }

    /// The server does not say what it used.
    #[must_use]
    pub fn without_usage(self) -> Self {
        self.with_text(|text| text.with_usage = false)
    }

    /// The model that says it answers; the one that was asked where this is not called.
    #[must_use]
    pub fn model(self, model: impl Into<String>) -> Self {
        self.with_text(|text| text.model = Some(model.into()))
    }

    /// Why it stopped, in OpenAI's words: `stop`, `length`, `content_filter`.
    #[must_use]
    pub fn finish(self, reason: impl Into<String>) -> Self {
        self.with_text(|text| text.finish = Some(reason.into()))
    }

    /// The connection breaks off after so many pieces of text; an answer that is not streamed breaks off in its
    /// middle.
    #[must_use]
    pub fn cut_after(self, pieces: usize) -> Self {
        self.with_text(|text| text.cut_after = Some(pieces))
    }

    /// A stream says the text again and again, whatever length it was told to keep to, until the client closes the
    /// connection. An answer that is not streamed ends.
    #[must_use]
    pub fn endless(self) -> Self {
        self.with_text(|text| text.endless = true)
    }

    /// Wait before the first byte.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Wait between the pieces of a stream.
    #[must_use]
    pub fn pace(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }
}

impl TextReply {
    /// The same with twice the text.
    pub(super) fn twice(&self) -> Self {
        Self {
            text: format!("{} {}", self.text.trim_end(), self.text),
            ..self.clone()
        }
    }

    pub(super) fn counts(&self, input_bytes: usize) -> Counts {
        let (input, output) = self.tokens.unwrap_or_else(|| {
            (
                count_tokens(input_bytes),
                count_tokens(self.text.len()) + self.reasoning,
            )
        });
        Counts {
            input,
            output,
            cache_read: self.cache_read,
            cache_write_5m: self.cache_write_5m,
            cache_write_1h: self.cache_write_1h,
            reasoning: self.reasoning,
        }
    }

    /// The text in pieces of a few words, as a stream brings it.
    pub(super) fn pieces(&self) -> Vec<&str> {
        let mut pieces = Vec::new();
        let mut rest = self.text.as_str();
        while !rest.is_empty() {
            let spaces = rest.char_indices().filter(|(_, character)| *character == ' ');
            let end = spaces.map(|(at, _)| at + 1).nth(2).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}
