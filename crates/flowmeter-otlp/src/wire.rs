//! Writes protobuf, field by field, with the shortest lengths: what a protobuf library would write.
//!
//! Never knows a message by name; the encoder says which field is what. Writing straight from the spans saves
//! building a second tree of every batch.

use serde_json::Value;

use crate::json_text;

/// Bytes of a message under construction.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    bytes: Vec<u8>,
    /// For texts whose length must be known before they are written.
    scratch: Vec<u8>,
}

/// An embedded message that was opened and not yet closed.
#[must_use]
pub(crate) struct Opened {
    /// Where its length goes.
    length_at: usize,
    /// Bytes kept free for the length.
    length_width: usize,
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const DELIMITED: u8 = 2;
const FIXED32: u8 = 5;

/// Bytes of `value` as a varint.
pub(crate) const fn varint_len(value: u64) -> usize {
    // Seven bits a byte, at least one byte.
    ((63 - (value | 1).leading_zeros()) as usize) / 7 + 1
}

/// Bytes of a length-delimited field with a number below 16.
pub(crate) const fn field_len(content_len: usize) -> usize {
    1 + varint_len(content_len as u64) + content_len
}

pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

impl Wire {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            scratch: Vec::new(),
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn tag(&mut self, field: u32, wire_type: u8) {
        put_varint(&mut self.bytes, u64::from(field << 3) | u64::from(wire_type));
    }

    /// A whole number, left out when it is zero.
    pub(crate) fn uint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.uint_always(field, value);
        }
    }

    /// A whole number, also when it is zero (a member of a oneof).
    pub(crate) fn uint_always(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        put_varint(&mut self.bytes, value);
    }

    /// Eight bytes, little-endian, left out when zero.
    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.fixed64_always(field, value);
        }
    }

    /// Eight bytes, also when zero.
    pub(crate) fn fixed64_always(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A real number, also when zero.
    pub(crate) fn double_always(&mut self, field: u32, value: f64) {
        self.fixed64_always(field, value.to_bits());
    }

    /// Four bytes, little-endian, left out when zero.
    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.tag(field, FIXED32);
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Bytes or a text, left out when empty.
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        if !value.is_empty() {
            self.bytes_always(field, value);
        }
    }

    /// Bytes or a text, also when empty.
    pub(crate) fn bytes_always(&mut self, field: u32, value: &[u8]) {
        self.tag(field, DELIMITED);
        put_varint(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// A text of two words, or of the first alone if there is no second.
    pub(crate) fn words(&mut self, field: u32, first: &str, second: &str) {
        if second.is_empty() {
            return self.bytes(field, first.as_bytes());
        }
        self.tag(field, DELIMITED);
        put_varint(&mut self.bytes, (first.len() + 1 + second.len()) as u64);
        self.bytes.extend_from_slice(first.as_bytes());
        self.bytes.push(b' ');
        self.bytes.extend_from_slice(second.as_bytes());
    }

    /// Eight-byte values one after another, left out when there are none.
    pub(crate) fn packed_fixed64(&mut self, field: u32, values: impl ExactSizeIterator<Item = u64>) {
        if values.len() == 0 {
            return;
        }
        self.tag(field, DELIMITED);
        put_varint(&mut self.bytes, values.len() as u64 * 8);
        for value in values {
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Begins an embedded message whose length will likely take `length_width` bytes.
    pub(crate) fn open(&mut self, field: u32, length_width: usize) -> Opened {
        self.tag(field, DELIMITED);
        let length_at = self.bytes.len();
        self.bytes.resize(length_at + length_width, 0);
        Opened {
            length_at,
            length_width,
        }
    }

    /// Ends it: puts the length where it belongs, moving the content if the guess was wrong.
    pub(crate) fn close(&mut self, opened: Opened) {
        let Opened {
            length_at,
            length_width,
        } = opened;
        let content_at = length_at + length_width;
        let mut length = (self.bytes.len() - content_at) as u64;
        let width = varint_len(length);
        if width > length_width {
            let end = self.bytes.len();
            self.bytes.resize(end + width - length_width, 0);
            self.bytes.copy_within(content_at..end, length_at + width);
        } else if width < length_width {
            self.bytes.copy_within(content_at.., length_at + width);
            self.bytes.truncate(self.bytes.len() - (length_width - width));
        }
        for byte in &mut self.bytes[length_at..length_at + width] {
            *byte = (length & 0x7f) as u8 | 0x80;
            length >>= 7;
        }
        self.bytes[length_at + width - 1] &= 0x7f;
    }

    /// Head of a `KeyValue` whose `AnyValue` takes `value_len` bytes; the caller writes those next.
    fn key_value(&mut self, field: u32, key: &str, value_len: usize) {
        self.tag(field, DELIMITED);
        let key_len = if key.is_empty() { 0 } else { field_len(key.len()) };
        put_varint(&mut self.bytes, (key_len + field_len(value_len)) as u64);
        self.bytes(1, key.as_bytes());
        self.tag(2, DELIMITED);
        put_varint(&mut self.bytes, value_len as u64);
    }

    /// A `KeyValue` with a text.
    pub(crate) fn text_attribute(&mut self, field: u32, key: &str, text: &str) {
        self.key_value(field, key, field_len(text.len()));
        self.bytes_always(1, text.as_bytes());
    }

    /// A `KeyValue` with a flag.
    pub(crate) fn bool_attribute(&mut self, field: u32, key: &str, flag: bool) {
        self.key_value(field, key, 2);
        self.uint_always(2, u64::from(flag));
    }

    /// A `KeyValue` with a whole number.
    pub(crate) fn int_attribute(&mut self, field: u32, key: &str, number: i64) {
        // Protobuf's int64: two's complement as a varint.
        let bits = number.cast_unsigned();
        self.key_value(field, key, 1 + varint_len(bits));
        self.uint_always(3, bits);
    }

    /// A `KeyValue` with a real number.
    pub(crate) fn double_attribute(&mut self, field: u32, key: &str, number: f64) {
        self.key_value(field, key, 9);
        self.double_always(4, number);
    }

    /// A `KeyValue` with `value` as JSON text. A text that is `value` already is taken as it is.
    pub(crate) fn json_attribute(&mut self, field: u32, key: &str, value: &Value) {
        if let Value::String(text) = value {
            self.text_attribute(field, key, text);
        } else {
            self.value_attribute(field, key, value);
        }
    }

    /// A `KeyValue` with `value` as JSON text, a text in quotes too.
    pub(crate) fn value_attribute(&mut self, field: u32, key: &str, value: &Value) {
        let pair = self.open(field, 2);
        self.bytes(1, key.as_bytes());
        let any = self.open(2, 2);
        let text = self.open(1, 2);
        json_text::put_value(&mut self.bytes, value);
        self.close(text);
        self.close(any);
        self.close(pair);
    }

    /// A `KeyValue` with anything serialisable as JSON text.
    pub(crate) fn serialized_attribute(&mut self, field: u32, key: &str, value: &impl serde::Serialize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        // Writing to memory fails only for values that have no JSON form, and the model has none such.
        if serde_json::to_writer(&mut scratch, value).is_ok() {
            self.key_value(field, key, field_len(scratch.len()));
            self.bytes_always(1, &scratch);
        }
        self.scratch = scratch;
    }

    /// A `KeyValue` with an array of texts.
    pub(crate) fn texts_attribute<'a>(
        &mut self,
        field: u32,
        key: &str,
        texts: impl Iterator<Item = &'a str> + Clone,
    ) {
        let array_len: usize = texts.clone().map(|text| field_len(field_len(text.len()))).sum();
        self.key_value(field, key, field_len(array_len));
        self.tag(5, DELIMITED);
        put_varint(&mut self.bytes, array_len as u64);
        for text in texts {
            self.tag(1, DELIMITED);
            put_varint(&mut self.bytes, field_len(text.len()) as u64);
            self.bytes_always(1, text.as_bytes());
        }
    }

    /// A `KeyValue` with an array; `write` writes each member's `AnyValue`.
    pub(crate) fn array_attribute<T>(
        &mut self,
        field: u32,
        key: &str,
        members: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        let pair = self.open(field, 1);
        self.bytes(1, key.as_bytes());
        let any = self.open(2, 1);
        let array = self.open(5, 1);
        for member in members {
            let value = self.open(1, 1);
            write(self, member);
            self.close(value);
        }
        self.close(array);
        self.close(any);
        self.close(pair);
    }
}
