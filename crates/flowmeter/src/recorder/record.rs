//! The form of a record in the journal: whole words, lengths in front, texts packed eight bytes a word.
//!
//! Never leaves the process: the trace file has a form of its own.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use flowmeter_engine::Ticks;
use flowmeter_model::SpanId;

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A span began.
    Start,
    /// A span ended; the record holds all of it.
    End,
    /// A log line.
    Log,
}

/// A typed attribute value as the journal holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RecordedValue<'a> {
    /// A whole number.
    I64(i64),
    /// A real number.
    F64(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Str(&'a str),
}

impl From<i64> for RecordedValue<'_> {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}
impl From<f64> for RecordedValue<'_> {
    fn from(value: f64) -> Self {
        Self::F64(value)
    }
}
impl From<bool> for RecordedValue<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl<'a> From<&'a str> for RecordedValue<'a> {
    fn from(value: &'a str) -> Self {
        Self::Str(value)
    }
}

pub(super) type Attribute<'a> = (&'static str, RecordedValue<'a>);

/// A record about to be written.
pub(crate) struct RecordDraft<'a> {
    pub(super) kind: RecordKind,
    pub(super) span_id: u64,
    pub(super) parent_span_id: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) tag: u8,
    pub(super) name: &'a str,
    pub(super) attributes: &'a [Option<Attribute<'a>>],
    /// Attributes beyond the ones a guard holds in place.
    pub(super) more: &'a [Attribute<'a>],
}

/// Header, span id, parent id, start, end.
const FIXED_WORDS: usize = 5;
const PAYLOAD_FLAG: u64 = 1 << 63;

const VALUE_I64: u64 = 0;
const VALUE_F64: u64 = 1;
const VALUE_BOOL: u64 = 2;
const VALUE_STR: u64 = 3;

#[inline]
const fn text_words(bytes: usize) -> usize {
    bytes.div_ceil(8)
}

#[inline]
fn attribute_words((key, value): &Attribute<'_>) -> usize {
    1 + text_words(key.len())
        + match value {
            RecordedValue::Str(text) => text_words(text.len()),
            _ => 1,
        }
}

/// Texts above this length would not fit a record; they travel as payloads.
const TEXT_BYTES_MAX: usize = 0xff_ffff;
const KEY_BYTES_MAX: usize = 0xffff;

impl RecordDraft<'_> {
    /// Words the record takes; `None` when it cannot be written at all.
    #[inline]
    pub(super) fn words(&self) -> Option<usize> {
        let mut words = FIXED_WORDS + text_words(self.name.len());
        let mut fits = self.name.len() <= KEY_BYTES_MAX;
        for attribute in self.attributes.iter().flatten().chain(self.more) {
            words += attribute_words(attribute);
            fits &= attribute.0.len() <= KEY_BYTES_MAX;
            if let RecordedValue::Str(text) = attribute.1 {
                fits &= text.len() <= TEXT_BYTES_MAX;
            }
        }
        fits.then_some(words)
    }

    /// Writes the record to `room`, which has exactly [`RecordDraft::words`] words.
    #[inline]
    pub(super) fn write(&self, room: &[AtomicU64], has_payload: bool) {
        let count = self.attributes.iter().flatten().count() + self.more.len();
        let kind = match self.kind {
            RecordKind::Start => 0,
            RecordKind::End => 1,
            RecordKind::Log => 2,
        };
        let header = kind
            | (u64::from(self.tag) << 2)
            | ((self.name.len() as u64) << 10)
            | (((count as u64) & 0xff) << 26)
            | ((room.len() as u64) << 34)
            | if has_payload { PAYLOAD_FLAG } else { 0 };
        let mut writer = Writer { room, position: 0 };
        writer.word(header);
        writer.word(self.span_id);
        writer.word(self.parent_span_id);
        writer.word(self.start);
        writer.word(self.end);
        writer.text(self.name);
        for (key, value) in self.attributes.iter().flatten().chain(self.more) {
            let (value_kind, length, word) = match value {
                RecordedValue::I64(number) => (VALUE_I64, 0, number.cast_unsigned()),
                RecordedValue::F64(number) => (VALUE_F64, 0, number.to_bits()),
                RecordedValue::Bool(flag) => (VALUE_BOOL, 0, u64::from(*flag)),
                RecordedValue::Str(text) => (VALUE_STR, text.len() as u64, 0),
            };
            writer.word(value_kind | ((key.len() as u64) << 8) | (length << 24));
            writer.text(key);
            match value {
                RecordedValue::Str(text) => writer.text(text),
                _ => writer.word(word),
            }
        }
    }
}

struct Writer<'a> {
    room: &'a [AtomicU64],
    position: usize,
}

impl Writer<'_> {
    #[inline]
    fn word(&mut self, word: u64) {
        if let Some(slot) = self.room.get(self.position) {
            slot.store(word, Ordering::Relaxed);
        }
        self.position += 1;
    }

    #[inline]
    fn text(&mut self, text: &str) {
        let (whole, rest) = text.as_bytes().as_chunks::<8>();
        for eight in whole {
            self.word(u64::from_le_bytes(*eight));
        }
        if !rest.is_empty() {
            let mut last = 0_u64;
            for (place, byte) in rest.iter().enumerate() {
                last |= u64::from(*byte) << (8 * place);
            }
            self.word(last);
        }
    }
}

/// A record in the journal, decoded as far as it is asked for.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    words: &'a [AtomicU64],
}

impl<'a> RecordRef<'a> {
    /// The first record of `words` and what follows it.
    pub(super) fn split(words: &'a [AtomicU64]) -> Option<(Self, &'a [AtomicU64])> {
        let header = words.first()?.load(Ordering::Relaxed);
        let length = usize::try_from((header >> 34) & 0x1fff_ffff).unwrap_or(0);
        if length < FIXED_WORDS || length > words.len() {
            return None;
        }
        let (record, rest) = words.split_at(length);
        Some((Self { words: record }, rest))
    }

    #[inline]
    fn word(&self, position: usize) -> u64 {
        self.words
            .get(position)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Whether a payload belongs to it.
    pub(super) fn has_payload(&self) -> bool {
        self.word(0) & PAYLOAD_FLAG != 0
    }

    /// What it tells.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        match self.word(0) & 3 {
            0 => RecordKind::Start,
            1 => RecordKind::End,
            _ => RecordKind::Log,
        }
    }

    pub(crate) fn tag(&self) -> u8 {
        ((self.word(0) >> 2) & 0xff) as u8
    }

    /// The span.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        SpanId::from_u64(self.word(1))
    }

    /// The span around it.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<SpanId> {
        SpanId::from_u64(self.word(2))
    }

    /// When it began, or when the log line was written.
    #[must_use]
    pub fn start(&self) -> Ticks {
        Ticks::from_raw(self.word(3))
    }

    /// When it ended.
    #[must_use]
    pub fn end(&self) -> Ticks {
        Ticks::from_raw(self.word(4))
    }

    fn text_at(&self, position: usize, bytes: usize) -> String {
        let mut text = Vec::with_capacity(bytes + 8);
        for offset in 0..text_words(bytes) {
            text.extend_from_slice(&self.word(position + offset).to_le_bytes());
        }
        text.truncate(bytes);
        String::from_utf8(text).unwrap_or_default()
    }

    fn name_bytes(&self) -> usize {
        usize::try_from((self.word(0) >> 10) & 0xffff).unwrap_or(0)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        Cow::Owned(self.text_at(FIXED_WORDS, self.name_bytes()))
    }

    /// Calls `visit` with each attribute, in the order in which they were set.
    pub fn attributes(&self, mut visit: impl FnMut(&str, RecordedValue<'_>)) {
        let mut position = FIXED_WORDS + text_words(self.name_bytes());
        let count = (self.word(0) >> 26) & 0xff;
        for _ in 0..count {
            let meta = self.word(position);
            let key_bytes = usize::try_from((meta >> 8) & 0xffff).unwrap_or(0);
            let value_bytes = usize::try_from(meta >> 24).unwrap_or(0);
            let key = self.text_at(position + 1, key_bytes);
            position += 1 + text_words(key_bytes);
            let word = self.word(position);
            match meta & 0xff {
                VALUE_I64 => visit(&key, RecordedValue::I64(word.cast_signed())),
                VALUE_F64 => visit(&key, RecordedValue::F64(f64::from_bits(word))),
                VALUE_BOOL => visit(&key, RecordedValue::Bool(word != 0)),
                _ => visit(&key, RecordedValue::Str(&self.text_at(position, value_bytes))),
            }
            position += if meta & 0xff == VALUE_STR {
                text_words(value_bytes)
            } else {
                1
            };
        }
    }
}
