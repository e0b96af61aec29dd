//! Walking over the texts of a payload without building the span.
//!
//! What is visited is what people wrote or read: texts, not numbers, and not the keys of objects. Never builds a value.

use flowmeter_model::TimestampNs;

use super::super::Damaged;
use super::super::content::{ContentHash, ContentSource, OpenedContent, chain_of};
use super::super::known_keys::Key;
use super::super::pack::{Reader, Token};
use super::read::{open, read_log_head};
use super::values::{DEPTH_MAX, with_text};
use super::{
    AFTER, AMOUNT, APPLIES_SINCE, ATTRIBUTES, BEFORE, END, ERROR, EVENTS, EXPLANATION, MUTATIONS, PARAMS,
    SOURCE_DATE, TARGET, TEMPLATES, TERMS, TRACE, USAGE,
};
use crate::SearchPlace;
use crate::rules::texts::{LOG_FIELD, is_mark, place_of};

/// Called with each text: its place, its field, the text.
type Visit<'v> = &'v mut dyn FnMut(SearchPlace, &str, &str);

struct Walk<'s, 'v> {
    source: &'s mut dyn ContentSource,
    /// Whether the texts of content kept apart are wanted.
    wants: &'s mut dyn FnMut(ContentHash) -> bool,
    visit: Visit<'v>,
}

/// Visits the texts of a payload as [`crate::rules::texts::visit_texts`] visits those of the span.
///
/// # Errors
/// When the payload, or what it refers to, is damaged or missing; what was visited before is visited.
pub(crate) fn visit_texts(
    payload: &[u8],
    source: &mut dyn ContentSource,
    visit: &mut dyn FnMut(SearchPlace, &str, &str),
) -> Result<(), Damaged> {
    visit_wanted_texts(payload, source, &mut |_| true, visit)
}

/// The same, of content kept apart only where `wants` says so of its row.
///
/// # Errors
/// When the payload, or what it refers to, is damaged or missing; what was visited before is visited.
pub(crate) fn visit_wanted_texts(
    payload: &[u8],
    source: &mut dyn ContentSource,
    wants: &mut dyn FnMut(ContentHash) -> bool,
    visit: &mut dyn FnMut(SearchPlace, &str, &str),
) -> Result<(), Damaged> {
    let (flags, mut reader) = open(payload)?;
    Walk { source, wants, visit }.payload(flags, &mut reader)
}

/// Visits the message of a log record.
///
/// # Errors
/// When it is damaged.
pub(crate) fn visit_log_texts(
    record: &[u8],
    source: &mut dyn ContentSource,
    visit: &mut dyn FnMut(SearchPlace, &str, &str),
) -> Result<(), Damaged> {
    let mut reader = Reader::new(record);
    let head = read_log_head(&mut reader, TimestampNs(0))?;
    if head.flags & TARGET != 0 {
        reader.token()?;
    }
    let wants = &mut |_| true;
    Walk { source, wants, visit }.text(SearchPlace::Log, LOG_FIELD, &mut reader)
}

impl Walk<'_, '_> {
    fn payload(&mut self, flags: u64, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        skip_numbers(flags, reader)?;
        if flags & USAGE != 0 {
            skip_usage(reader)?;
        }
        if flags & EXPLANATION != 0 {
            skip_explanation(reader)?;
        }
        if flags & ATTRIBUTES != 0 {
            for _ in 0..reader.map()? {
                let key = Key::read(reader)?;
                self.value(place_of(key.as_str()), key.as_str(), reader, 0)?;
            }
        }
        if flags & ERROR != 0 {
            self.text(SearchPlace::Error, "error.type", reader)?;
            self.text(SearchPlace::Error, "error.message", reader)?;
            for _ in 0..reader.array()? {
                self.text(SearchPlace::Error, "error.chain", reader)?;
            }
        }
        if flags & PARAMS != 0 {
            self.params(reader)?;
        }
        if flags & TEMPLATES != 0 {
            for _ in 0..reader.array()? {
                let template = reader.token()?;
                let field = with_text(&template, self.source, |text| format!("template {text}"))?;
                self.value(SearchPlace::Attribute, &field, reader, 0)?;
            }
        }
        if flags & EVENTS != 0 {
            for _ in 0..reader.array()? {
                self.event(reader)?;
            }
        }
        if flags & MUTATIONS != 0 {
            for _ in 0..reader.array()? {
                self.mutation(reader)?;
            }
        }
        Ok(())
    }

    fn text(&mut self, place: SearchPlace, field: &str, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let token = reader.token()?;
        self.token(place, field, &token)
    }

    fn token(&mut self, place: SearchPlace, field: &str, token: &Token<'_>) -> Result<(), Damaged> {
        if let Token::TextReference(hash) = token
            && !(self.wants)(ContentHash(*hash))
        {
            return Ok(());
        }
        let visit = &mut *self.visit;
        with_text(token, self.source, |text| visit(place, field, text))
    }

    fn value(
        &mut self,
        place: SearchPlace,
        field: &str,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<(), Damaged> {
        let token = reader.token()?;
        self.value_of(token, place, field, reader, depth)
    }

    fn value_of(
        &mut self,
        token: Token<'_>,
        place: SearchPlace,
        field: &str,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<(), Damaged> {
        match token {
            Token::Text(_) | Token::TextReference(_) => self.token(place, field, &token),
            Token::JsonScalar => self.value(place, field, reader, depth + 1),
            Token::Array(_) | Token::Map(_) if depth > DEPTH_MAX => {
                Err(Damaged("a value in a payload is nested too deeply"))
            }
            Token::Array(length) => {
                for _ in 0..length {
                    self.value(place, field, reader, depth + 1)?;
                }
                Ok(())
            }
            Token::Map(length) => {
                for _ in 0..length {
                    let key = Key::read(reader)?;
                    let token = reader.token()?;
                    let is_text = matches!(token, Token::Text(_) | Token::TextReference(_));
                    if !(is_text && is_mark(place, key.as_str())) {
                        self.value_of(token, place, field, reader, depth + 1)?;
                    }
                }
                Ok(())
            }
            Token::MessagesReference(hash, count) => {
                for (hash, content) in chain_of(ContentHash(hash), count as usize, self.source)? {
                    if let OpenedContent::Messages { bytes, .. } = &*content
                        && (self.wants)(hash)
                    {
                        let mut messages = Reader::new(bytes);
                        while !messages.is_empty() {
                            self.value(place, field, &mut messages, depth + 1)?;
                        }
                    }
                }
                Ok(())
            }
            Token::Nil | Token::Bool(_) | Token::Uint(_) | Token::Int(_) | Token::Real(_) => Ok(()),
        }
    }

    /// Each parameter is a field.
    fn params(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let token = reader.token()?;
        let Token::Map(length) = token else {
            return self.value_of(token, SearchPlace::Attribute, "params", reader, 0);
        };
        let mut field = String::new();
        for _ in 0..length {
            field.clear();
            field.push_str("params.");
            field.push_str(Key::read(reader)?.as_str());
            self.value(SearchPlace::Attribute, &field, reader, 1)?;
        }
        Ok(())
    }

    fn event(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        self.text(SearchPlace::Attribute, "event", reader)?;
        reader.int()?;
        for _ in 0..reader.map()? {
            let field = format!("event.{}", Key::read(reader)?.as_str());
            self.value(SearchPlace::Attribute, &field, reader, 0)?;
        }
        Ok(())
    }

    /// What was there before was written by somebody else, or came from outside.
    fn mutation(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let path = reader.token()?;
        let path = with_text(&path, self.source, str::to_owned)?;
        let held = reader.uint()?;
        reader.int()?;
        if held & BEFORE != 0 {
            skip_value(reader)?;
        }
        if held & AFTER != 0 {
            self.value(SearchPlace::Mutation, &path, reader, 0)?;
        }
        Ok(())
    }
}

/// Passes a value by, without recursion.
fn skip_value(reader: &mut Reader<'_>) -> Result<(), Damaged> {
    let mut left = 1_usize;
    while let Some(rest) = left.checked_sub(1) {
        left = rest
            + match reader.token()? {
                Token::Array(length) => length,
                Token::Map(length) => 2 * length,
                Token::JsonScalar => 1,
                _ => 0,
            };
    }
    Ok(())
}

fn skip_numbers(flags: u64, reader: &mut Reader<'_>) -> Result<(), Damaged> {
    if flags & TRACE != 0 {
        reader.hash()?;
    }
    if flags & END != 0 {
        reader.uint()?;
    }
    if flags & AMOUNT != 0 {
        reader.int()?;
    }
    Ok(())
}

fn skip_usage(reader: &mut Reader<'_>) -> Result<(), Damaged> {
    let present = reader.uint()?;
    reader.uint()?;
    for _ in 0..(present >> super::read::FIGURES_IN_COLUMNS).count_ones() {
        reader.token()?;
    }
    Ok(())
}

fn skip_explanation(reader: &mut Reader<'_>) -> Result<(), Damaged> {
    let flags = reader.uint()?;
    for _ in 0..3 + (flags & (SOURCE_DATE | APPLIES_SINCE | TERMS)).count_ones() {
        reader.token()?;
    }
    for _ in 0..reader.array()? {
        Key::read(reader)?;
        reader.uint()?;
        reader.int()?;
        reader.uint()?;
    }
    for _ in 0..reader.array()? {
        reader.token()?;
    }
    Ok(())
}

/// Visits the hashes of all content that a payload refers to; what that content refers to is not among them.
///
/// # Errors
/// When the payload is damaged.
pub(crate) fn visit_references(payload: &[u8], visit: &mut dyn FnMut(ContentHash)) -> Result<(), Damaged> {
    let (flags, mut reader) = open(payload)?;
    skip_numbers(flags & (TRACE | END | AMOUNT), &mut reader)?;
    visit_references_in_values(reader.rest(), visit)
}

/// The same of values one after the other. Behind its first numbers, a payload is nothing else.
///
/// # Errors
/// When the bytes are damaged.
pub(crate) fn visit_references_in_values(
    bytes: &[u8],
    visit: &mut dyn FnMut(ContentHash),
) -> Result<(), Damaged> {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.token()? {
            Token::TextReference(hash) | Token::MessagesReference(hash, _) => visit(ContentHash(hash)),
            _ => {}
        }
    }
    Ok(())
}
