//! JSON values and attribute values in a payload.
//!
//! Never deeper than [`DEPTH_MAX`]: what lies deeper is kept as its JSON text.

use std::sync::Arc;

use flowmeter_model::{AttributeValue, Attributes};
use serde_json::{Map, Number, Value};
use smol_str::SmolStr;

use super::super::Damaged;
use super::super::content::{
    ContentHash, ContentSink, ContentSource, MessageList, OpenedContent, TEXT_BYTES_HUGE, TEXT_BYTES_MIN,
    chain_of, text_of,
};
use super::super::known_keys::{Key, write_key};
use super::super::pack::{
    JSON_SCALAR, Reader, Token, write_array, write_bool, write_int, write_map, write_messages_reference,
    write_nil, write_real, write_text, write_text_reference, write_uint,
};
use crate::SearchPlace;
use crate::rules::texts::is_mark;

/// Values are nested so deeply at most. JSON that was read from a text is nested 128 deep at most.
pub(in crate::codec) const DEPTH_MAX: usize = 256;
/// Lists of messages lie no deeper; what lies in them counts from here on, wherever the list lies.
const LIST_DEPTH_MAX: usize = 8;
/// Longer lists of attributes are gathered by a way that does not take the square of their number.
const FEW: usize = 32;

/// Memory for the messages of one list.
#[derive(Debug, Default)]
pub(super) struct Messages {
    ends: Vec<usize>,
    hashes: Vec<ContentHash>,
    /// What is written elsewhere for a while.
    bytes: Vec<u8>,
}

/// Whether it is a list of messages, of which some may be kept elsewhere.
pub(super) fn is_message_list(items: &[Value]) -> bool {
    let is_first = items.first().is_some_and(|item| item.get("role").is_some());
    is_first && items.iter().all(Value::is_object)
}

impl Messages {
    /// Writes messages one behind the other, and hashes them.
    fn take(
        &mut self,
        out: &mut Vec<u8>,
        items: &[Value],
        searched: Option<SearchPlace>,
        sink: &mut dyn ContentSink,
    ) {
        self.ends.clear();
        self.hashes.clear();
        let mut hash = ContentHash::NO_MESSAGES;
        let first = out.len();
        let mut start = first;
        for item in items {
            write_canonical(out, item, LIST_DEPTH_MAX + 1, searched, sink);
            hash = hash.and_message(out.get(start..).unwrap_or_default());
            start = out.len();
            self.ends.push(start - first);
            self.hashes.push(hash);
        }
    }

    fn list<'a>(&'a self, bytes: &'a [u8]) -> MessageList<'a> {
        MessageList {
            bytes,
            ends: &self.ends,
            hashes: &self.hashes,
        }
    }

    /// The hash of a list of messages.
    pub(super) fn hash(&mut self, items: &[Value], sink: &mut dyn ContentSink) -> ContentHash {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.take(&mut bytes, items, None, sink);
        self.bytes = bytes;
        self.list(&self.bytes).hash(items.len())
    }

    /// Writes a list of messages, and gives its hash.
    pub(super) fn write(
        &mut self,
        out: &mut Vec<u8>,
        items: &[Value],
        searched: Option<SearchPlace>,
        sink: &mut dyn ContentSink,
    ) -> ContentHash {
        let at = out.len();
        write_array(out, items.len());
        let start = out.len();
        self.take(out, items, searched, sink);
        // A long text in a message is known by the beginning that it ends, and not asked for by itself.
        let list = self.list(out.get(start..).unwrap_or_default());
        let hash = list.hash(items.len());
        let known = sink.messages(&list, at).min(list.len());
        if let (1.., Ok(count)) = (known, u32::try_from(known)) {
            let reference = list.hash(known).0;
            let unknown = list.bytes(known, list.len()).to_vec();
            out.truncate(at);
            write_array(out, 1 + items.len() - known);
            write_messages_reference(out, reference, count);
            out.extend_from_slice(&unknown);
        }
        hash
    }
}

/// A text, or a reference to it. `searched` says where searches look at it, if they do.
pub(super) fn write_long_text(
    out: &mut Vec<u8>,
    text: &str,
    searched: Option<SearchPlace>,
    sink: &mut dyn ContentSink,
) {
    if text.len() < TEXT_BYTES_MIN {
        return write_whole_text(out, text, searched, sink);
    }
    let hash = ContentHash::of_text(text);
    if text.len() >= TEXT_BYTES_HUGE {
        sink.huge_text(hash, text.as_bytes());
        write_text_reference(out, hash.0);
    } else if sink.text(hash, text.as_bytes(), out.len()) {
        write_text_reference(out, hash.0);
    } else {
        write_whole_text(out, text, searched, sink);
    }
}

fn write_whole_text(
    out: &mut Vec<u8>,
    text: &str,
    searched: Option<SearchPlace>,
    sink: &mut dyn ContentSink,
) {
    write_text(out, text);
    if searched.is_some() {
        sink.searched(out.len() - text.len()..out.len());
    }
}

/// Where searches look at what a member of an object holds; `None` where they do not.
fn searched_of(searched: Option<SearchPlace>, key: &str, member: &Value) -> Option<SearchPlace> {
    searched.filter(|place| !(member.is_string() && is_mark(*place, key)))
}

fn write_number(out: &mut Vec<u8>, number: &Number) {
    if let Some(number) = number.as_u64() {
        write_uint(out, number);
    } else if let Some(number) = number.as_i64() {
        write_int(out, number);
    } else {
        write_real(out, number.as_f64().unwrap_or(0.0));
    }
}

/// What lies too deep, as a text.
fn write_deep(out: &mut Vec<u8>, value: &Value, searched: Option<SearchPlace>, sink: &mut dyn ContentSink) {
    write_long_text(out, &value.to_string(), searched, sink);
}

pub(super) fn write_value(
    out: &mut Vec<u8>,
    value: &Value,
    searched: Option<SearchPlace>,
    sink: &mut dyn ContentSink,
    messages: &mut Messages,
) {
    write_inner(out, value, 0, searched, sink, Some(messages));
}

/// A value of which no list is asked for.
pub(super) fn write_plain(
    out: &mut Vec<u8>,
    value: &Value,
    searched: Option<SearchPlace>,
    sink: &mut dyn ContentSink,
) {
    write_inner(out, value, 0, searched, sink, None);
}

fn write_inner(
    out: &mut Vec<u8>,
    value: &Value,
    depth: usize,
    searched: Option<SearchPlace>,
    sink: &mut dyn ContentSink,
    mut messages: Option<&mut Messages>,
) {
    match value {
        Value::Null => write_nil(out),
        Value::Bool(flag) => write_bool(out, *flag),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_long_text(out, text, searched, sink),
        Value::Array(_) | Value::Object(_) if depth >= DEPTH_MAX => write_deep(out, value, searched, sink),
        Value::Array(items) => match &mut messages {
            Some(messages) if depth <= LIST_DEPTH_MAX && items.len() > 1 && is_message_list(items) => {
                messages.write(out, items, searched, sink);
            }
            _ => {
                write_array(out, items.len());
                for item in items {
                    write_inner(out, item, depth + 1, searched, sink, messages.as_deref_mut());
                }
            }
        },
        Value::Object(object) => {
            write_map(out, object.len());
            for (key, item) in object {
                write_key(out, key);
                let searched = searched_of(searched, key, item);
                write_inner(out, item, depth + 1, searched, sink, messages.as_deref_mut());
            }
        }
    }
}

/// The one form of a value that hashes are made of: only huge texts stand elsewhere, whatever the sink would like.
pub(super) fn write_canonical(
    out: &mut Vec<u8>,
    value: &Value,
    depth: usize,
    searched: Option<SearchPlace>,
    sink: &mut dyn ContentSink,
) {
    match value {
        Value::String(text) if text.len() >= TEXT_BYTES_HUGE => write_long_text(out, text, searched, sink),
        Value::String(text) => write_whole_text(out, text, searched, sink),
        Value::Array(_) | Value::Object(_) if depth >= DEPTH_MAX => {
            write_canonical(out, &Value::String(value.to_string()), depth, searched, sink);
        }
        Value::Array(items) => {
            write_array(out, items.len());
            for item in items {
                write_canonical(out, item, depth + 1, searched, sink);
            }
        }
        Value::Object(object) => {
            write_map(out, object.len());
            for (key, item) in object {
                write_key(out, key);
                write_canonical(out, item, depth + 1, searched_of(searched, key, item), sink);
            }
        }
        Value::Null => write_nil(out),
        Value::Bool(flag) => write_bool(out, *flag),
        Value::Number(number) => write_number(out, number),
    }
}

pub(super) fn write_attribute(
    out: &mut Vec<u8>,
    value: &AttributeValue,
    searched: Option<SearchPlace>,
    sink: &mut dyn ContentSink,
    messages: &mut Messages,
) {
    match value {
        AttributeValue::Bool(flag) => write_bool(out, *flag),
        AttributeValue::I64(number) => write_int(out, *number),
        AttributeValue::F64(number) => write_real(out, *number),
        AttributeValue::Str(text) => write_long_text(out, text, searched, sink),
        AttributeValue::Json(value) => {
            if !matches!(**value, Value::Array(_) | Value::Object(_)) {
                out.push(JSON_SCALAR);
            }
            write_value(out, value, searched, sink, messages);
        }
    }
}

pub(super) fn write_attributes(
    out: &mut Vec<u8>,
    attributes: &Attributes,
    searched: Option<SearchPlace>,
    sink: &mut dyn ContentSink,
    messages: &mut Messages,
) {
    write_map(out, attributes.len());
    for (key, value) in attributes.iter() {
        write_key(out, key);
        write_attribute(out, value, searched, sink, messages);
    }
}

/// A text, wherever it stands, handed to `visit`.
pub(super) fn with_text<T>(
    token: &Token<'_>,
    source: &mut dyn ContentSource,
    visit: impl FnOnce(&str) -> T,
) -> Result<T, Damaged> {
    match token {
        Token::Text(text) => Ok(visit(text)),
        Token::TextReference(hash) => match &*text_of(ContentHash(*hash), source)? {
            OpenedContent::Text(text) => Ok(visit(text)),
            OpenedContent::Messages { .. } => Err(Damaged("a message list stands where a text belongs")),
        },
        _ => Err(Damaged("a payload holds something else where a text belongs")),
    }
}

pub(super) fn read_string(
    reader: &mut Reader<'_>,
    source: &mut dyn ContentSource,
) -> Result<String, Damaged> {
    with_text(&reader.token()?, source, str::to_owned)
}

pub(super) fn read_smol(reader: &mut Reader<'_>, source: &mut dyn ContentSource) -> Result<SmolStr, Damaged> {
    with_text(&reader.token()?, source, |text| SmolStr::new(text))
}

pub(super) fn read_value(
    reader: &mut Reader<'_>,
    source: &mut dyn ContentSource,
    depth: usize,
) -> Result<Value, Damaged> {
    let token = reader.token()?;
    value_of(token, reader, source, depth)
}

fn value_of(
    token: Token<'_>,
    reader: &mut Reader<'_>,
    source: &mut dyn ContentSource,
    depth: usize,
) -> Result<Value, Damaged> {
    Ok(match token {
        Token::Nil => Value::Null,
        Token::Bool(flag) => Value::Bool(flag),
        Token::Uint(number) => Value::from(number),
        Token::Int(number) => Value::from(number),
        Token::Real(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Token::Text(_) | Token::TextReference(_) => Value::String(with_text(&token, source, str::to_owned)?),
        Token::Array(_) | Token::Map(_) if depth > DEPTH_MAX => {
            return Err(Damaged("a value in a payload is nested too deeply"));
        }
        Token::Array(length) => {
            let mut items = Vec::with_capacity(length.min(1_024));
            for place in 0..length {
                match reader.token()? {
                    Token::MessagesReference(hash, count) if place == 0 => {
                        read_messages(ContentHash(hash), count, source, &mut items)?;
                    }
                    token => items.push(value_of(token, reader, source, depth + 1)?),
                }
            }
            Value::Array(items)
        }
        Token::Map(length) => {
            let mut object = Map::with_capacity(length.min(1_024));
            for _ in 0..length {
                let key = Key::read(reader)?.as_str().to_owned();
                object.insert(key, read_value(reader, source, depth + 1)?);
            }
            Value::Object(object)
        }
        Token::MessagesReference(..) | Token::JsonScalar => {
            return Err(Damaged("a payload holds something else where a value belongs"));
        }
    })
}

fn read_messages(
    hash: ContentHash,
    count: u32,
    source: &mut dyn ContentSource,
    items: &mut Vec<Value>,
) -> Result<(), Damaged> {
    let mut left = count as usize;
    for (_, content) in chain_of(hash, left, source)? {
        if let OpenedContent::Messages { bytes, .. } = &*content {
            let mut reader = Reader::new(bytes);
            while !reader.is_empty() {
                left = left
                    .checked_sub(1)
                    .ok_or(Damaged("a message list kept apart is too long"))?;
                items.push(read_value(&mut reader, source, 1)?);
            }
        }
    }
    if left > 0 {
        return Err(Damaged("a message list kept apart is too short"));
    }
    Ok(())
}

fn read_attribute(
    reader: &mut Reader<'_>,
    source: &mut dyn ContentSource,
) -> Result<AttributeValue, Damaged> {
    Ok(match reader.token()? {
        Token::Bool(flag) => AttributeValue::Bool(flag),
        Token::Uint(number) => {
            AttributeValue::I64(i64::try_from(number).map_err(|_| Damaged("an attribute is too large"))?)
        }
        Token::Int(number) => AttributeValue::I64(number),
        Token::Real(number) => AttributeValue::F64(number),
        token @ (Token::Text(_) | Token::TextReference(_)) => {
            AttributeValue::Str(with_text(&token, source, |text| SmolStr::new(text))?)
        }
        Token::JsonScalar => AttributeValue::Json(Arc::new(read_value(reader, source, 0)?)),
        token => AttributeValue::Json(Arc::new(value_of(token, reader, source, 0)?)),
    })
}

pub(super) fn read_attributes(
    reader: &mut Reader<'_>,
    source: &mut dyn ContentSource,
) -> Result<Attributes, Damaged> {
    let length = reader.map()?;
    let mut attributes = Attributes::new();
    if length <= FEW {
        for _ in 0..length {
            let key = Key::read(reader)?.to_smol();
            attributes.set(key, read_attribute(reader, source)?);
        }
        return Ok(attributes);
    }
    let pairs = (0..length).map(|_| Ok((Key::read(reader)?.to_smol(), read_attribute(reader, source)?)));
    pairs.collect()
}
