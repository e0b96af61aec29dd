//! Attribute values as OTLP's `AnyValue`, typed as the conventions say where they say something.
//!
//! Never decides which attributes a span gets.

use flowmeter_model::AttributeValue;
use serde_json::Value;

use crate::conventions::Shape;
use crate::names;
use crate::wire::Wire;

/// A value without the difference between an attribute's own scalars and JSON's.
#[derive(Clone, Copy)]
pub(super) enum Plain<'a> {
    Bool(bool),
    I64(i64),
    F64(f64),
    Text(&'a str),
    /// The members, and the array itself.
    Array(&'a [Value], &'a Value),
    /// An object, or a number that fits no type.
    Other(&'a Value),
    Null,
}

impl<'a> Plain<'a> {
    pub(super) fn of(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::Bool(flag) => Self::Bool(*flag),
            AttributeValue::I64(number) => Self::I64(*number),
            AttributeValue::F64(number) => Self::F64(*number),
            AttributeValue::Str(text) => Self::Text(text),
            AttributeValue::Json(value) => Self::of_json(value),
        }
    }

    fn of_json(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::String(text) => Self::Text(text),
            Value::Array(members) => Self::Array(members, value),
            Value::Object(_) => Self::Other(value),
            Value::Number(number) => match (number.as_i64(), number.is_f64(), number.as_f64()) {
                (Some(whole), _, _) => Self::I64(whole),
                (None, true, Some(real)) => Self::F64(real),
                // Above i64: as the model writes such numbers elsewhere, a text.
                _ => Self::Other(value),
            },
        }
    }

    /// The whole number that it is, if it is one.
    fn as_whole(self) -> Option<i64> {
        match self {
            Self::I64(number) => Some(number),
            // 2⁶³ as a double is the first that does not fit.
            Self::F64(number) if number.fract() == 0.0 && number.abs() < 9.2e18 => Some(number as i64),
            _ => None,
        }
    }
}

/// The whole number that a value is, if it is one.
pub(super) fn whole_number(value: &AttributeValue) -> Option<i64> {
    Plain::of(value).as_whole()
}

/// Writes a `KeyValue`. What is null has no attribute: OpenTelemetry knows no null attributes.
pub(super) fn write(wire: &mut Wire, field: u32, key: &str, value: &AttributeValue) {
    write_plain(wire, field, key, Plain::of(value));
}

fn write_plain(wire: &mut Wire, field: u32, key: &str, value: Plain<'_>) {
    match value {
        Plain::Bool(flag) => wire.bool_attribute(field, key, flag),
        Plain::I64(number) => wire.int_attribute(field, key, number),
        Plain::F64(number) => wire.double_attribute(field, key, number),
        Plain::Text(text) => wire.text_attribute(field, key, text),
        Plain::Array(members, value) => write_array(wire, field, key, members, value),
        Plain::Other(value) => wire.json_attribute(field, key, value),
        Plain::Null => {}
    }
}

/// Arrays of one scalar type are arrays; anything else is JSON text. Source: the specification's
/// "standard attribute": a primitive or an array of primitives of one type.
fn write_array(wire: &mut Wire, field: u32, key: &str, members: &[Value], value: &Value) {
    if members.iter().all(Value::is_string) {
        wire.texts_attribute(field, key, members.iter().filter_map(Value::as_str));
    } else if members.iter().all(Value::is_i64) {
        let numbers = members.iter().filter_map(Value::as_i64);
        wire.array_attribute(field, key, numbers, |wire, number| {
            wire.uint_always(3, number.cast_unsigned());
        });
    } else if members.iter().all(Value::is_number) {
        let numbers = members.iter().filter_map(Value::as_f64);
        wire.array_attribute(field, key, numbers, |wire, number| wire.double_always(4, number));
    } else if members.iter().all(Value::is_boolean) {
        let flags = members.iter().filter_map(Value::as_bool);
        wire.array_attribute(field, key, flags, |wire, flag| {
            wire.uint_always(2, u64::from(flag));
        });
    } else {
        wire.value_attribute(field, key, value);
    }
}

/// Writes a `KeyValue` in the type that the conventions give to it. What cannot be brought into that type goes
/// out as it came: a reader can still see it.
pub(super) fn write_shaped(wire: &mut Wire, field: u32, key: &str, value: &AttributeValue, shape: Shape) {
    let plain = Plain::of(value);
    match (shape, plain) {
        (Shape::OnlyTrue, Plain::Bool(false)) | (_, Plain::Null) => {}
        (Shape::Int, _) => match plain.as_whole() {
            Some(number) => wire.int_attribute(field, key, number),
            None => write_plain(wire, field, key, plain),
        },
        (Shape::Double, Plain::I64(number)) => wire.double_attribute(field, key, number as f64),
        (Shape::Texts, Plain::Text(text)) => wire.texts_attribute(field, key, std::iter::once(text)),
        (Shape::Json, Plain::Array(_, value) | Plain::Other(value)) => {
            wire.value_attribute(field, key, value);
        }
        (Shape::Provider, Plain::Text(provider)) => {
            wire.text_attribute(field, key, names::provider_name(provider));
        }
        _ => write_plain(wire, field, key, plain),
    }
}
