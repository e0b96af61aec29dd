//! Writes values into texts.
//!
//! null is nothing, booleans are `True` and `False`, lists and objects are JSON with a space behind each
//! comma and colon: what files written for pflow expect. Never copies a value on the way.

use std::fmt::Write as _;
use std::io;

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::Formatter;

/// The value as it stands inside a longer text.
#[must_use]
pub fn render_value(value: &Value) -> String {
    let mut text = String::new();
    render_into(value, &mut text);
    text
}

pub(crate) fn render_into(value: &Value, text: &mut String) {
    match value {
        Value::Null => {}
        Value::Bool(true) => text.push_str("True"),
        Value::Bool(false) => text.push_str("False"),
        Value::Number(number) => {
            // Writing into a String cannot fail.
            let _ = write!(text, "{number}");
        }
        Value::String(inner) => text.push_str(inner),
        Value::Array(_) | Value::Object(_) => text.push_str(&spaced_json(value)),
    }
}

/// JSON with a space behind each comma and colon.
pub(crate) fn spaced_json(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Spaced);
    // A JSON value always serialises; an empty text is the honest rest.
    if value.serialize(&mut serializer).is_err() {
        bytes.clear();
    }
    String::from_utf8(bytes).unwrap_or_default()
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
