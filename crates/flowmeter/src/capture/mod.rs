//! What of a run's content is kept: how much of it, and nothing secret.
//!
//! Works on copies, on the pipeline's thread; never touches the run's own values. Every value that reaches a
//! backend has gone through here.

mod redact;

use std::sync::Arc;

use flowmeter_model::{AttributeValue, Attributes, SpanError};
use serde_json::{Map, Value};

pub(crate) use redact::MASK;
pub use redact::{InvalidRedaction, Redactor, is_secret_name};

/// How much content is captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureLevel {
    /// Everything at its full length.
    Full,
    /// Everything up to [`CaptureLimits`].
    #[default]
    Limited,
    /// Names, times, counts and costs, but no content.
    Metadata,
    /// No trace: only metrics are counted.
    Off,
}

/// Lengths in characters beyond which content is cut, with its full length noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureLimits {
    /// What is sent to a model. Default 50,000.
    pub prompt_chars_max: usize,
    /// What a model answers. Default 20,000.
    pub response_chars_max: usize,
    /// A parameter, a template's value, a value in the shared store. Default 10,000.
    pub value_chars_max: usize,
}

impl Default for CaptureLimits {
    fn default() -> Self {
        Self {
            prompt_chars_max: 50_000,
            response_chars_max: 20_000,
            value_chars_max: 10_000,
        }
    }
}

/// Which limit applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentKind {
    Prompt,
    Response,
    StoreValue,
}

/// Characters kept beyond a cut while secrets are looked for, so that one astride the cut is still seen.
const LOOKAHEAD_BYTES: usize = 4096;

/// Copies content for the trace, cut and masked.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) level: CaptureLevel,
    limits: CaptureLimits,
    redactor: Redactor,
}

impl Capture {
    pub(crate) fn new(level: CaptureLevel, limits: CaptureLimits, redactor: Redactor) -> Self {
        Self {
            level,
            limits,
            redactor,
        }
    }

    pub(crate) fn keeps_content(&self) -> bool {
        matches!(self.level, CaptureLevel::Full | CaptureLevel::Limited)
    }

    fn limit(&self, kind: ContentKind) -> usize {
        if self.level == CaptureLevel::Full {
            return usize::MAX;
        }
        match kind {
            ContentKind::Prompt => self.limits.prompt_chars_max,
            ContentKind::Response => self.limits.response_chars_max,
            ContentKind::StoreValue => self.limits.value_chars_max,
        }
    }

    /// `value`, cut and masked; itself where nothing is to be cut or masked, which is the rule. `name` is the
    /// key under which it stood.
    pub(crate) fn value(&self, name: Option<&str>, value: &Arc<Value>, kind: ContentKind) -> Arc<Value> {
        let limit = self.limit(kind);
        if self.stays(name, value, &mut limit.clone()) {
            return Arc::clone(value);
        }
        Arc::new(self.copy(name, value, &mut limit.clone()))
    }

    /// Whether [`Capture::copy`] would change nothing.
    fn stays(&self, name: Option<&str>, value: &Value, room: &mut usize) -> bool {
        let mut takes = |bytes: usize| {
            let fits = bytes <= *room;
            *room = room.saturating_sub(bytes);
            fits
        };
        match value {
            Value::Null | Value::Bool(_) => takes(8),
            _ if name.is_some_and(is_secret_name) => false,
            Value::Number(_) => takes(8),
            Value::String(text) => {
                takes(text.len()) && binary_note(text).is_none() && self.redactor.is_clean(text)
            }
            Value::Array(elements) => {
                takes(2 * elements.len()) && elements.iter().all(|element| self.stays(None, element, room))
            }
            Value::Object(members) => members.iter().all(|(key, member)| {
                let fits = key.len() + 4 <= *room;
                *room = room.saturating_sub(key.len() + 4);
                fits && self.redactor.is_clean(key) && self.stays(Some(key), member, room)
            }),
        }
    }

    /// The text of an attribute, cut and masked; `None` where it stays as it is.
    pub(crate) fn changed_text(&self, name: &str, text: &str) -> Option<String> {
        if is_secret_name(name) {
            return Some(MASK.to_owned());
        }
        let stays = text.len() <= self.limit(ContentKind::StoreValue)
            && binary_note(text).is_none()
            && self.redactor.is_clean(text);
        (!stays).then(|| self.text(text))
    }

    /// The same for a text that is handed over.
    pub(crate) fn own_text(&self, text: String) -> String {
        self.changed_text("", &text).unwrap_or(text)
    }

    /// A masked copy of a text that is short by nature: a message, a name.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut room = self.limit(ContentKind::StoreValue);
        self.copy_text(text, &mut room)
    }

    /// Cuts and masks what describes a process: anybody may name anything there.
    pub(crate) fn mask_resource(&self, resource: &mut Attributes) {
        for (key, value) in resource.iter_mut() {
            if let AttributeValue::Str(text) = value
                && let Some(changed) = self.changed_text(key, text)
            {
                *text = changed.into();
            }
        }
    }

    pub(crate) fn error(&self, error: SpanError) -> SpanError {
        SpanError {
            error_type: error.error_type,
            message: self.text(&error.message),
            chain: error.chain.iter().map(|cause| self.text(cause)).collect(),
        }
    }

    fn copy(&self, name: Option<&str>, value: &Value, room: &mut usize) -> Value {
        if let Some(name) = name
            && !value.is_null()
            && !value.is_boolean()
            && is_secret_name(name)
        {
            return Value::String(MASK.to_owned());
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                *room = room.saturating_sub(8);
                value.clone()
            }
            Value::String(text) => Value::String(self.copy_text(text, room)),
            Value::Array(elements) => {
                let mut copied = Vec::new();
                for (index, element) in elements.iter().enumerate() {
                    if *room == 0 {
                        copied.push(Value::String(rest_note(
                            "elements",
                            elements.len() - index,
                            elements.len(),
                            value,
                        )));
                        break;
                    }
                    *room = room.saturating_sub(2);
                    copied.push(self.copy(None, element, room));
                }
                Value::Array(copied)
            }
            Value::Object(members) => {
                let mut copied = Map::new();
                for (index, (key, member)) in members.iter().enumerate() {
                    if *room == 0 {
                        let note = rest_note("members", members.len() - index, members.len(), value);
                        copied.insert("…".to_owned(), Value::String(note));
                        break;
                    }
                    *room = room.saturating_sub(key.len() + 4);
                    copied.insert(
                        self.redactor.mask(key).into_owned(),
                        self.copy(Some(key), member, room),
                    );
                }
                Value::Object(copied)
            }
        }
    }

    fn copy_text(&self, text: &str, room: &mut usize) -> String {
        if let Some(note) = binary_note(text) {
            *room = room.saturating_sub(note.len());
            return note;
        }
        if text.len() <= *room {
            *room -= text.len();
            return self.redactor.mask(text).into_owned();
        }
        let Some((cut, _)) = text.char_indices().nth(*room) else {
            // Fewer characters than the limit although more bytes.
            *room = room.saturating_sub(text.chars().count());
            return self.redactor.mask(text).into_owned();
        };
        let mut seen = (cut + LOOKAHEAD_BYTES).min(text.len());
        while !text.is_char_boundary(seen) {
            seen += 1;
        }
        let masked = self.redactor.mask(&text[..seen]);
        let kept: String = masked.chars().take(*room).collect();
        let note = format!("… [cut at {} of {} chars]", *room, text.chars().count());
        *room = 0;
        kept + &note
    }
}

fn rest_note(what: &str, left_out: usize, count: usize, whole: &Value) -> String {
    format!(
        "… [cut: {left_out} of {count} {what} left out, about {} chars in full]",
        chars_in_full(whole)
    )
}

/// Roughly the length of `value` as JSON, without writing it.
fn chars_in_full(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(elements) => {
            2 + elements
                .iter()
                .map(|element| chars_in_full(element) + 1)
                .sum::<usize>()
        }
        Value::Object(members) => {
            2 + members
                .iter()
                .map(|(key, member)| key.len() + 4 + chars_in_full(member))
                .sum::<usize>()
        }
    }
}

/// Base64 shorter than this is shown as it is.
const BASE64_BYTES_MIN: usize = 1024;
/// How much of a text is looked at to tell whether it is binary.
const PROBE_BYTES: usize = 4096;

/// What to show in place of a text that is no text.
fn binary_note(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let probe = &bytes[..bytes.len().min(PROBE_BYTES)];
    if let Some(rest) = text.strip_prefix("data:")
        && let Some(comma) = probe.iter().position(|byte| *byte == b',')
        && let Some(media_type) = rest
            .get(..comma - 5)
            .and_then(|head| head.strip_suffix(";base64"))
    {
        return Some(format!(
            "[binary {media_type}: {} bytes]",
            base64_bytes(&bytes[comma + 1..])
        ));
    }
    if probe.contains(&0) {
        return Some(format!("[binary: {} bytes]", bytes.len()));
    }
    let is_base64 =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    if bytes.len() >= BASE64_BYTES_MIN
        && probe
            .iter()
            .all(|byte| is_base64(byte) || matches!(byte, b'\n' | b'\r'))
        && looks_mixed(probe)
        && bytes
            .iter()
            .all(|byte| is_base64(byte) || matches!(byte, b'\n' | b'\r'))
    {
        return Some(format!("[binary: {} bytes, base64]", base64_bytes(bytes)));
    }
    None
}

/// A long run of one letter is base64 by its alphabet and a text by its sense.
fn looks_mixed(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_uppercase)
        && bytes.iter().any(u8::is_ascii_lowercase)
        && bytes.iter().any(u8::is_ascii_digit)
}

fn base64_bytes(encoded: &[u8]) -> usize {
    let digits = encoded
        .iter()
        .filter(|byte| !matches!(byte, b'=' | b'\n' | b'\r'))
        .count();
    digits * 3 / 4
}

#[cfg(test)]
mod tests;
