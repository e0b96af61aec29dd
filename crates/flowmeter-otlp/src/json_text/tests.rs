//! The writer beside `serde_json`.

use serde_json::{Map, Value};

use super::*;

fn arbitrary_value(
    u: &mut arbtest::arbitrary::Unstructured<'_>,
    depth: u32,
) -> arbtest::arbitrary::Result<Value> {
    let kinds = if depth == 0 { 5 } else { 7 };
    Ok(match u.int_in_range(0..=kinds - 1)? {
        0 => Value::Null,
        1 => Value::from(u.arbitrary::<bool>()?),
        2 => Value::from(u.arbitrary::<i64>()?),
        3 => Value::from(u.arbitrary::<f64>()?),
        4 => Value::from(u.arbitrary::<String>()?),
        5 => (0..u.int_in_range(0..=4)?)
            .map(|_| arbitrary_value(u, depth - 1))
            .collect::<Result<Vec<Value>, _>>()?
            .into(),
        _ => (0..u.int_in_range(0..=4)?)
            .map(|_| Ok((u.arbitrary::<String>()?, arbitrary_value(u, depth - 1)?)))
            .collect::<Result<Map<String, Value>, arbtest::arbitrary::Error>>()?
            .into(),
    })
}

#[test]
fn any_value_is_written_as_serde_json_writes_it() {
    arbtest::arbtest(|u| {
        let value = arbitrary_value(u, 3)?;
        let mut bytes = Vec::new();
        put_value(&mut bytes, &value);
        assert_eq!(String::from_utf8(bytes).unwrap(), value.to_string());
        Ok(())
    });
}

#[test]
fn every_character_is_escaped_at_every_place_of_a_word() {
    for character in (0..0x180).filter_map(char::from_u32).chain(['\u{2028}', '🌧']) {
        for before in 0..17 {
            let text = format!(
                "{}{character}{character}tail",
                "é".repeat(before / 2) + &"x".repeat(before % 2)
            );
            let mut bytes = Vec::new();
            put_text(&mut bytes, &text);
            assert_eq!(String::from_utf8(bytes).unwrap(), Value::from(text).to_string());
        }
    }
}
