//! The form of a record in the journal: whole words, lengths in front, texts packed eight bytes a word.
//!
//! Never leaves the process: the trace file has a form of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use flowmeter_engine::Ticks;
use flowmeter_model::SpanId;
use smallvec::SmallVec;
use smol_str::SmolStr;

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

/// Header, span id, parent id, start, end.
const FIXED_WORDS: usize = 5;
/// Words held without an allocation: the fixed ones, a name and about ten attributes.
const IN_PLACE_WORDS: usize = 48;
const PAYLOAD_FLAG: u64 = 1 << 63;

const VALUE_I64: u64 = 0;
const VALUE_F64: u64 = 1;
const VALUE_BOOL: u64 = 2;
const VALUE_STR: u64 = 3;

/// The fields of the header. More attributes or words than they hold do not fit a chunk, so they are never written.
const NAME_SHIFT: u64 = 10;
const NAME_MASK: u64 = 0xffff;
const ATTRIBUTES_SHIFT: u64 = 26;
const ATTRIBUTES_MASK: u64 = 0xffff;
const LENGTH_SHIFT: u64 = 42;
const LENGTH_MASK: u64 = 0x1f_ffff;
/// Texts above this length would not fit the lengths' fields.
const NAME_BYTES_MAX: usize = 0xffff;
const TEXT_BYTES_MAX: usize = 0xff_ffff;

/// Texts up to this length are read without an allocation.
const TEXT_IN_PLACE_BYTES: usize = 64;

#[inline]
const fn text_words(bytes: usize) -> usize {
    bytes.div_ceil(8)
}

/// The longest part of `text` that has at most `bytes_max` bytes.
#[inline]
fn at_most(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        text
    } else {
        &text[..text.floor_char_boundary(bytes_max)]
    }
}

/// A record that is being put together: words in their final order, reused from record to record.
pub(super) struct RecordWords {
    in_place: [u64; IN_PLACE_WORDS],
    /// Words in use, in place and beyond.
    length: usize,
    beyond: Vec<u64>,
    attributes: u64,
}

impl RecordWords {
    pub(super) fn new() -> Self {
        Self {
            in_place: [0; IN_PLACE_WORDS],
            length: 0,
            beyond: Vec::new(),
            attributes: 0,
        }
    }

    #[inline]
    pub(super) fn set_span_id(&mut self, span_id: u64) {
        self.in_place[1] = span_id;
    }

    #[inline]
    pub(super) fn span_id(&self) -> u64 {
        self.in_place[1]
    }

    /// Begins a record; the header is written by [`RecordWords::complete`].
    #[inline]
    pub(super) fn begin(&mut self, parent_span_id: u64, start: u64, name: &str) {
        let name = at_most(name, NAME_BYTES_MAX);
        self.beyond.clear();
        self.attributes = 0;
        self.in_place[0] = (name.len() as u64) << NAME_SHIFT;
        self.in_place[2] = parent_span_id;
        self.in_place[3] = start;
        self.length = FIXED_WORDS;
        self.text(name);
    }

    #[inline]
    fn word(&mut self, word: u64) {
        match self.in_place.get_mut(self.length) {
            Some(slot) => *slot = word,
            None => self.push_beyond(word),
        }
        self.length += 1;
    }

    #[cold]
    fn push_beyond(&mut self, word: u64) {
        self.beyond.push(word);
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

    /// Adds an attribute.
    #[inline]
    pub(super) fn attribute(&mut self, key: &str, value: RecordedValue<'_>) {
        self.attributes += 1;
        let key = at_most(key, NAME_BYTES_MAX);
        let key_field = (key.len() as u64) << 8;
        let (kind, word) = match value {
            RecordedValue::I64(number) => (VALUE_I64, number.cast_unsigned()),
            RecordedValue::F64(number) => (VALUE_F64, number.to_bits()),
            RecordedValue::Bool(flag) => (VALUE_BOOL, u64::from(flag)),
            RecordedValue::Str(text) => {
                let text = at_most(text, TEXT_BYTES_MAX);
                self.word(VALUE_STR | key_field | ((text.len() as u64) << 24));
                self.text(key);
                self.text(text);
                return;
            }
        };
        self.word(kind | key_field);
        self.text(key);
        self.word(word);
    }

    /// Writes the header and the end: the record is ready to be copied. More may be added and completed again.
    #[inline]
    pub(super) fn complete(&mut self, kind: RecordKind, tag: u8, end: u64) {
        let kind = match kind {
            RecordKind::Start => 0,
            RecordKind::End => 1,
            RecordKind::Log => 2,
        };
        self.in_place[0] = (self.in_place[0] & (NAME_MASK << NAME_SHIFT))
            | kind
            | (u64::from(tag) << 2)
            | ((self.attributes & ATTRIBUTES_MASK) << ATTRIBUTES_SHIFT)
            | ((self.length as u64 & LENGTH_MASK) << LENGTH_SHIFT);
        self.in_place[4] = end;
    }

    /// Whether one large record has made it grow.
    pub(super) fn is_bulky(&self) -> bool {
        self.beyond.capacity() > 1024
    }

    /// Words of the record.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Copies the record to `room`, which has as many words.
    #[inline]
    pub(super) fn copy_to(&self, room: &[AtomicU64], has_payload: bool) {
        let in_place = self.in_place.iter().take(self.length);
        for (slot, word) in room.iter().zip(in_place) {
            slot.store(*word, Ordering::Relaxed);
        }
        if self.length > IN_PLACE_WORDS {
            for (slot, word) in room.iter().skip(IN_PLACE_WORDS).zip(&self.beyond) {
                slot.store(*word, Ordering::Relaxed);
            }
        }
        if has_payload && let Some(header) = room.first() {
            header.store(self.in_place[0] | PAYLOAD_FLAG, Ordering::Relaxed);
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
        let length = usize::try_from((header >> LENGTH_SHIFT) & LENGTH_MASK).unwrap_or(0);
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

    /// Calls `visit` with the text that begins at `position`; most are short and need no allocation.
    fn with_text_at<T>(&self, position: usize, bytes: usize, visit: impl FnOnce(&str) -> T) -> T {
        let mut text: SmallVec<[u8; TEXT_IN_PLACE_BYTES]> = SmallVec::new();
        for offset in 0..text_words(bytes) {
            text.extend_from_slice(&self.word(position + offset).to_le_bytes());
        }
        text.truncate(bytes);
        // It was a text when it was written.
        visit(std::str::from_utf8(&text).unwrap_or_default())
    }

    fn name_bytes(&self) -> usize {
        usize::try_from((self.word(0) >> NAME_SHIFT) & NAME_MASK).unwrap_or(0)
    }

    /// A copy that outlives the journal.
    pub(crate) fn to_owned_words(self) -> RecordCopy {
        RecordCopy(
            self.words
                .iter()
                .map(|word| AtomicU64::new(word.load(Ordering::Relaxed)))
                .collect(),
        )
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> SmolStr {
        self.with_text_at(FIXED_WORDS, self.name_bytes(), |name| SmolStr::new(name))
    }

    /// Calls `visit` with each attribute, in the order in which they were set.
    pub fn attributes(&self, mut visit: impl FnMut(&str, RecordedValue<'_>)) {
        let mut position = FIXED_WORDS + text_words(self.name_bytes());
        let count = (self.word(0) >> ATTRIBUTES_SHIFT) & ATTRIBUTES_MASK;
        for _ in 0..count {
            let meta = self.word(position);
            let key_bytes = usize::try_from((meta >> 8) & 0xffff).unwrap_or(0);
            let value_bytes = usize::try_from(meta >> 24).unwrap_or(0);
            let value_position = position + 1 + text_words(key_bytes);
            let word = self.word(value_position);
            self.with_text_at(position + 1, key_bytes, |key| match meta & 0xff {
                VALUE_I64 => visit(key, RecordedValue::I64(word.cast_signed())),
                VALUE_F64 => visit(key, RecordedValue::F64(f64::from_bits(word))),
                VALUE_BOOL => visit(key, RecordedValue::Bool(word != 0)),
                _ => self.with_text_at(value_position, value_bytes, |text| {
                    visit(key, RecordedValue::Str(text));
                }),
            });
            position = value_position;
            position += if meta & 0xff == VALUE_STR {
                text_words(value_bytes)
            } else {
                1
            };
        }
    }
}

/// A record that was copied out of the journal.
pub(crate) struct RecordCopy(Box<[AtomicU64]>);

impl RecordCopy {
    pub(crate) fn as_record(&self) -> RecordRef<'_> {
        RecordRef { words: &self.0 }
    }
}
