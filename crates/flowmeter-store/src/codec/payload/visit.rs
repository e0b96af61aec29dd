//! Walking over the texts of a payload without building the span.
//!
//! What is visited is what people wrote or read: texts, not numbers, and not the keys of objects. Never builds a value.

use std::fmt::Write as _;

use super::super::Damaged;
use super::super::attribute_names::{INPUT_MESSAGES, OUTPUT_MESSAGES, SYSTEM_INSTRUCTIONS};
use super::super::content::{ContentHash, ContentSource, OpenedContent, chain_of};
use super::super::known_keys::Key;
use super::super::pack::{Reader, Token};
use super::read::{open, read_log_head};
use super::values::{DEPTH_MAX, with_text};
use super::{
    AFTER, AMOUNT, APPLIES_SINCE, ATTRIBUTES, BEFORE, END, ERROR, EVENTS, EXPLANATION, LOG_ATTRIBUTES, LOGS,
    MUTATIONS, PARAMS, SOURCE_DATE, TARGET, TEMPLATES, TERMS, TRACE, USAGE,
};
use crate::SearchPlace;
use flowmeter_model::TimestampNs;

/// The name of the event that describes an error. Source: OpenTelemetry's semantic conventions for exceptions.
const EXCEPTION: &str = "exception";

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextAt<'a> {
    /// What kind of place.
    pub(crate) place: SearchPlace,
    /// Its name, such as `gen_ai.output.messages` or `params.prompt`.
    pub(crate) field: &'a str,
    /// Counts the fields: texts with the same number stand in the same field, one after the other.
    pub(crate) entry: u32,
}

/// Called with each text.
type Visit<'v> = &'v mut dyn FnMut(TextAt<'_>, &str);

struct Walk<'s, 'v> {
    source: &'s mut dyn ContentSource,
    visit: Visit<'v>,
    entry: u32,
}

/// Visits all texts of a payload, field by field.
///
/// # Errors
/// When the payload, or what it refers to, is damaged or missing; what was visited before is visited.
pub(crate) fn visit_texts(
    payload: &[u8],
    source: &mut dyn ContentSource,
    visit: &mut dyn FnMut(TextAt<'_>, &str),
) -> Result<(), Damaged> {
    let (flags, mut reader) = open(payload)?;
    let mut walk = Walk {
        source,
        visit,
        entry: 0,
    };
    walk.payload(flags, &mut reader)
}

/// Visits all texts of a log record.
///
/// # Errors
/// When it is damaged.
pub(crate) fn visit_log_texts(
    record: &[u8],
    source: &mut dyn ContentSource,
    visit: &mut dyn FnMut(TextAt<'_>, &str),
) -> Result<(), Damaged> {
    Walk {
        source,
        visit,
        entry: 0,
    }
    .log(&mut Reader::new(record))
}

impl Walk<'_, '_> {
    fn payload(&mut self, flags: u64, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        skip_numbers(flags, reader)?;
        if flags & ERROR != 0 {
            // Class and message.
            for _ in 0..2 {
                self.text(SearchPlace::Error, "error", reader)?;
            }
            for _ in 0..reader.array()? {
                self.text(SearchPlace::Error, "error", reader)?;
            }
            self.entry += 1;
        }
        if flags & USAGE != 0 {
            skip_usage(reader)?;
        }
        if flags & EXPLANATION != 0 {
            skip_explanation(reader)?;
        }
        if flags & PARAMS != 0 {
            self.params(reader)?;
        }
        if flags & TEMPLATES != 0 {
            for _ in 0..reader.array()? {
                let template = reader.token()?;
                let name = with_text(&template, self.source, str::to_owned)?;
                self.visited(SearchPlace::Attribute, &name, &name);
                self.value(SearchPlace::Attribute, &name, reader, 0)?;
                self.entry += 1;
            }
        }
        if flags & MUTATIONS != 0 {
            for _ in 0..reader.array()? {
                let path = reader.token()?;
                let path = with_text(&path, self.source, str::to_owned)?;
                let held = reader.uint()?;
                reader.int()?;
                for _ in 0..(held & BEFORE) + (held & AFTER) / AFTER {
                    self.value(SearchPlace::Mutation, &path, reader, 0)?;
                }
                self.entry += 1;
            }
        }
        if flags & EVENTS != 0 {
            for _ in 0..reader.array()? {
                self.event(reader)?;
            }
        }
        if flags & LOGS != 0 {
            for _ in 0..reader.array()? {
                self.log(reader)?;
            }
        }
        if flags & ATTRIBUTES != 0 {
            for _ in 0..reader.map()? {
                let key = Key::read(reader)?;
                self.value(place_of(key.as_str()), key.as_str(), reader, 0)?;
                self.entry += 1;
            }
        }
        Ok(())
    }

    fn visited(&mut self, place: SearchPlace, field: &str, text: &str) {
        let entry = self.entry;
        (self.visit)(TextAt { place, field, entry }, text);
    }

    fn text(&mut self, place: SearchPlace, field: &str, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let token = reader.token()?;
        self.token(place, field, &token)
    }

    fn token(&mut self, place: SearchPlace, field: &str, token: &Token<'_>) -> Result<(), Damaged> {
        let entry = self.entry;
        let visit = &mut *self.visit;
        with_text(token, self.source, |text| {
            visit(TextAt { place, field, entry }, text);
        })
    }

    fn value(
        &mut self,
        place: SearchPlace,
        field: &str,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<(), Damaged> {
        match reader.token()? {
            token @ (Token::Text(_) | Token::TextReference(_)) => self.token(place, field, &token),
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
                    Key::read(reader)?;
                    self.value(place, field, reader, depth + 1)?;
                }
                Ok(())
            }
            Token::MessagesReference(hash, count) => {
                for content in chain_of(ContentHash(hash), count as usize, self.source)? {
                    if let OpenedContent::Messages { bytes, .. } = &*content {
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
        let mut ahead = *reader;
        let Token::Map(length) = ahead.token()? else {
            self.value(SearchPlace::Attribute, "params", reader, 0)?;
            self.entry += 1;
            return Ok(());
        };
        *reader = ahead;
        let mut field = String::new();
        for _ in 0..length {
            field.clear();
            // Writing into a string does not fail.
            let _ = write!(field, "params.{}", Key::read(reader)?.as_str());
            self.value(SearchPlace::Attribute, &field, reader, 1)?;
            self.entry += 1;
        }
        Ok(())
    }

    fn event(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let name = reader.token()?;
        let name = with_text(&name, self.source, str::to_owned)?;
        let place = if name == EXCEPTION {
            SearchPlace::Error
        } else {
            SearchPlace::Attribute
        };
        self.visited(place, &name, &name);
        reader.int()?;
        for _ in 0..reader.map()? {
            Key::read(reader)?;
            self.value(place, &name, reader, 0)?;
        }
        self.entry += 1;
        Ok(())
    }

    fn log(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let head = read_log_head(reader, TimestampNs(0))?;
        if head.flags & TARGET != 0 {
            let target = reader.token()?;
            with_text(&target, self.source, |_| ())?;
        }
        self.text(SearchPlace::Log, "message", reader)?;
        self.entry += 1;
        if head.flags & LOG_ATTRIBUTES != 0 {
            for _ in 0..reader.map()? {
                let key = Key::read(reader)?;
                self.value(SearchPlace::Log, key.as_str(), reader, 0)?;
                self.entry += 1;
            }
        }
        Ok(())
    }
}

/// What stands in an attribute of this name.
pub(crate) fn place_of(attribute: &str) -> SearchPlace {
    match attribute {
        INPUT_MESSAGES | SYSTEM_INSTRUCTIONS => SearchPlace::Prompt,
        OUTPUT_MESSAGES => SearchPlace::Response,
        _ => SearchPlace::Attribute,
    }
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
