//! The fast way and the careful way say the same.

use arbtest::arbitrary::{Result, Unstructured};
use serde_json::{Value, json};

use crate::events::fields::{Field, Fields, Shape};
use crate::events::parse::parse_carefully;
use crate::events::scan::{Declined, scan};

/// Reads a line both ways. Where the fast one takes it, both must agree.
fn both_ways(line: &str) -> bool {
    let (mut fast, mut careful) = (Fields::default(), Fields::default());
    let is_taken = scan(line, &mut fast).is_ok();
    let careful_says = parse_carefully(line, &mut careful);
    if is_taken {
        if let Err(error) = careful_says {
            panic!("the fast way took what is no JSON object: {line}: {error}");
        }
        assert_eq!(fast.said(), careful.said(), "{line}");
        assert!(fast.others(line).eq(careful.others(line)), "{line}");
    }
    is_taken
}

#[test]
fn what_programs_usually_write_is_taken_fast() {
    let usual = [
        r#"{"type": "workflow_start", "workflow_id": "test"}"#,
        r#"{"type":"node_start","node":{"id":"n1","type":"read","config":{}},"timestamp":1705314645000000000}"#,
        r#"{"type": "log", "level": "INFO", "message": "Reading \"file\"\n", "attributes": {"a": [1, -2.5e3, null]}}"#,
        r#"  {"type":"custom","name":"größe","attributes":{"x":{"y":[[],{}]}},"more":[true,false]}  "#,
        r#"{"type":"node_end","result":"success","node":{"id":"n1","extra":"x"},"mine":{"deep":{"er":1}}}"#,
        r#"{"type":"log","message":"\u00e9\ud83d\ude00","level":"DEBUG","span_id":"00f067aa0ba902b7"}"#,
        "{}",
        "{\"type\":\"workflow_end\"}\r",
    ];
    for line in usual {
        assert!(both_ways(line), "{line}");
    }
}

#[test]
fn what_is_no_object_is_not_taken_fast() {
    let broken = [
        "",
        " ",
        "[]",
        "{",
        "{\"type\"}",
        "{\"type\":}",
        "{\"type\":\"log\",}",
        "{\"type\":\"log\"} x",
        "{\"type\":\"log\"}{}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":-}",
        "{\"a\":NaN}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":tru}",
        "{\"a\":truely}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"open}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":[1}",
        "{\"a\":{\"b\":1]}",
        "{\"a\":{\"b\"}}",
        "{\"a\":{1:2}}",
        "{\"node\":{\"id\":1,}}",
        "{'type':'log'}",
    ];
    for line in broken {
        assert!(!both_ways(line), "{line}");
        assert!(parse_carefully(line, &mut Fields::default()).is_err(), "{line}");
    }
}

#[test]
fn what_is_unusual_is_left_to_the_careful_way() {
    let mut fields = Fields::default();
    let escaped = r#"{"ty\u0070e":"log"}"#;
    assert_eq!(scan(escaped, &mut fields), Err(Declined));
    fields.clear();
    parse_carefully(escaped, &mut fields).unwrap();
    assert_eq!(fields.get(Field::Type).unwrap().text(escaped), "log");
    let deep = format!(
        "{{\"attributes\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(scan(&deep, &mut fields), Err(Declined));
    fields.clear();
    parse_carefully(&deep, &mut fields).unwrap();
    assert_eq!(fields.get(Field::Attributes).unwrap().shape, Shape::Array);
}

#[test]
fn the_last_of_two_fields_counts() {
    let line = r#"{"type":"log","node":{"id":"a","type":"t"},"type":"custom","node":{"id":"b"}}"#;
    assert!(both_ways(line));
    let mut fields = Fields::default();
    scan(line, &mut fields).unwrap();
    assert_eq!(fields.get(Field::Type).unwrap().text(line), "custom");
    assert_eq!(fields.get(Field::NodeId).unwrap().text(line), "b");
    assert_eq!(fields.get(Field::NodeType), None);
    assert_eq!(fields.given_twice(), Some(Field::Type));
}

fn any_value(u: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    Ok(match u.int_in_range(0..=if depth > 4 { 5 } else { 7 })? {
        0 => Value::Null,
        1 => json!(u.arbitrary::<bool>()?),
        2 => json!(u.arbitrary::<i64>()?),
        3 => json!(f64::from(u.arbitrary::<f32>()?)),
        4 | 5 => json!(u.arbitrary::<String>()?),
        6 => {
            let count = u.int_in_range(0..=3)?;
            let elements: Result<Vec<Value>> = (0..count).map(|_| any_value(u, depth + 1)).collect();
            Value::Array(elements?)
        }
        _ => any_object(u, depth + 1)?,
    })
}

fn any_object(u: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    const NAMES: &[&str] = &[
        "type",
        "node",
        "id",
        "config",
        "message",
        "level",
        "attributes",
        "timestamp",
        "span_id",
        "x",
        "größe",
        "a\"b",
    ];
    let mut object = serde_json::Map::new();
    for _ in 0..u.int_in_range(0..=5)? {
        object.insert((*u.choose(NAMES)?).to_owned(), any_value(u, depth)?);
    }
    Ok(Value::Object(object))
}

#[test]
fn any_object_is_read_the_same_both_ways() {
    arbtest::arbtest(|u| {
        let object = any_object(u, 0)?;
        let text = if u.arbitrary()? {
            serde_json::to_string(&object).unwrap()
        } else {
            serde_json::to_string_pretty(&object).unwrap().replace('\n', "\t")
        };
        both_ways(&text);
        Ok(())
    });
}

#[test]
fn any_damage_is_seen_the_same_both_ways() {
    const PARTS: &[&str] = &[
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u00e9", "0", "-", ".", "e", "true", "null", " ",
        "\u{7f}", "é", "\u{0}",
    ];
    arbtest::arbtest(|u| {
        let mut text = serde_json::to_string(&any_object(u, 0)?).unwrap();
        for _ in 0..u.int_in_range(1..=3)? {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
            let Some(place) = places.get(u.int_in_range(0..=places.len().max(1) - 1)?) else {
                break;
            };
            if u.arbitrary()? {
                text.insert_str(*place, u.choose(PARTS)?);
            } else {
                text.remove(*place);
            }
        }
        both_ways(&text);
        Ok(())
    });
}
