//! Attributes from the wire: typed values, each key once.
//!
//! Never interprets a name: that is the spans' business.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flowmeter_model::{AttributeValue, Attributes};
use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::proto::common::any_value::Value as Any;
use crate::proto::common::{AnyValue, KeyValue};

/// All of them; of a key that comes twice, the last value counts.
pub(super) fn read(pairs: Vec<KeyValue>) -> Attributes {
    read_pairs(pairs).collect()
}

/// All of them, one by one.
pub(super) fn read_pairs(pairs: Vec<KeyValue>) -> impl Iterator<Item = (SmolStr, AttributeValue)> {
    pairs
        .into_iter()
        .map(|pair| (SmolStr::from(pair.key), value(pair.value)))
}

fn value(value: Option<AnyValue>) -> AttributeValue {
    match value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => AttributeValue::from(text),
        Some(Any::BoolValue(flag)) => AttributeValue::Bool(flag),
        Some(Any::IntValue(number)) => AttributeValue::I64(number),
        Some(Any::DoubleValue(number)) => AttributeValue::F64(number),
        other => AttributeValue::from(json(other)),
    }
}

/// As JSON, nested as deep as the message was: protobuf's reader has bounded that.
pub(super) fn json(value: Option<Any>) -> Value {
    match value {
        None | Some(Any::StringValueStrindex(_)) => Value::Null,
        Some(Any::StringValue(text)) => Value::String(text),
        Some(Any::BoolValue(flag)) => Value::Bool(flag),
        Some(Any::IntValue(number)) => Value::from(number),
        // JSON has no NaN and no infinities: as texts, like OTLP/JSON.
        Some(Any::DoubleValue(number)) if number.is_nan() => Value::from("NaN"),
        Some(Any::DoubleValue(number)) if number == f64::INFINITY => Value::from("Infinity"),
        Some(Any::DoubleValue(number)) if number == f64::NEG_INFINITY => Value::from("-Infinity"),
        Some(Any::DoubleValue(number)) => Value::from(number),
        Some(Any::BytesValue(bytes)) => Value::from(BASE64.encode(bytes)),
        Some(Any::ArrayValue(array)) => {
            let members = array.values.into_iter();
            Value::Array(members.map(|member| json(member.value)).collect())
        }
        Some(Any::KvlistValue(list)) => {
            let members = list.values.into_iter();
            let members: Map<String, Value> = members
                .map(|pair| (pair.key, json(pair.value.and_then(|value| value.value))))
                .collect();
            Value::Object(members)
        }
    }
}
