//! The careful way through an event line, by `serde_json`: what the fast way declines, and what is wrong with it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::{Field, Fields, Place, Shape};
use super::scan::scan;

/// Finds the fields of a line, whatever it looks like. `fields` are cleared first.
///
/// # Errors
/// What `serde_json` says of it.
pub(super) fn parse(line: &str, fields: &mut Fields) -> Result<(), serde_json::Error> {
    fields.clear();
    if scan(line, fields).is_ok() {
        return Ok(());
    }
    fields.clear();
    parse_carefully(line, fields)
}

pub(super) fn parse_carefully(line: &str, fields: &mut Fields) -> Result<(), serde_json::Error> {
    if u32::try_from(line.len()).is_err() {
        return Err(serde::de::Error::custom("a line of 4 GB and more"));
    }
    let mut json = serde_json::Deserializer::from_str(line);
    Members {
        line,
        fields,
        in_node: false,
    }
    .deserialize(&mut json)?;
    json.end()
}

struct Members<'a, 'f> {
    line: &'a str,
    fields: &'f mut Fields,
    in_node: bool,
}

impl<'a> DeserializeSeed<'a> for Members<'a, '_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// A name that is borrowed where it can be.
struct Name;

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Cow<'a, str>;
    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<Cow<'a, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Name {
    type Value = Cow<'a, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_borrowed_str<E>(self, name: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(name))
    }
    fn visit_str<E>(self, name: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

impl<'a> Visitor<'a> for Members<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key_seed(Name)? {
            let value = members.next_value::<&'a RawValue>()?.get();
            let place = place_of(self.line, value);
            if self.in_node {
                if let Some(field) = Field::of_node(&name) {
                    self.fields.set(field, place);
                }
                continue;
            }
            match (Field::of_line(&name), name) {
                (Some(field), _) => {
                    if field == Field::Node {
                        self.fields.forget_node();
                        if place.shape == Shape::Object {
                            let inner = Members {
                                line: self.line,
                                fields: &mut *self.fields,
                                in_node: true,
                            };
                            let mut json = serde_json::Deserializer::from_str(value);
                            json.deserialize_map(inner).map_err(serde::de::Error::custom)?;
                        }
                    }
                    self.fields.set(field, place);
                }
                (None, Cow::Borrowed(text)) => {
                    let name = place_between(self.line, text, Shape::Unicode);
                    let is_plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
                    let shape = if is_plain { Shape::Plain } else { Shape::Unicode };
                    self.fields.add_other(Place { shape, ..name }, place);
                }
                (None, Cow::Owned(name)) => self.fields.add_named(name, place),
            }
        }
        Ok(())
    }
}

/// Where a part of the line stands in it.
fn place_between(line: &str, part: &str, shape: Shape) -> Place {
    let start = (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    Place {
        start: start as u32,
        end: (start + part.len()) as u32,
        shape,
    }
}

/// Where a value stands in its line, a text without its quotes.
fn place_of(line: &str, value: &str) -> Place {
    let shape = match value.as_bytes().first() {
        Some(b'"') => {
            let inner = value.get(1..value.len() - 1).unwrap_or_default();
            let shape = if inner.contains('\\') {
                Shape::Escaped
            } else if inner.bytes().all(|byte| byte < 0x7f) {
                Shape::Plain
            } else {
                Shape::Unicode
            };
            return place_between(line, inner, shape);
        }
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::Array,
        Some(b't') => Shape::True,
        Some(b'f') => Shape::False,
        Some(b'n') => Shape::Null,
        _ => Shape::Number,
    };
    place_between(line, value, shape)
}
