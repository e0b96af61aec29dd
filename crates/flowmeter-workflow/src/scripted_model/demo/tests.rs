//! Tests of the demo model; never over a network.

use serde_json::json;

use super::*;

#[test]
fn the_summary_is_deterministic_and_says_what_it_is() {
    let text = "Rivers carry water. Rivers shape valleys! Do valleys shape rivers? Nobody knows.";
    let first = summary(text);
    assert_eq!(first, summary(text));
    assert!(first.contains("demo model"));
    assert!(
        first.contains("It begins: Rivers carry water. Rivers shape valleys!"),
        "{first}"
    );
    assert!(first.contains("Frequent words: rivers, "), "{first}");
    assert!(summary("").contains("0 words"));
}

#[test]
fn a_schema_is_followed() {
    let schema = json!({"type": "object", "properties": {
        "title": {"type": "string"}, "words": {"type": "integer", "maximum": 3},
        "tags": {"type": "array", "items": {"type": "string"}}, "mood": {"enum": ["calm", "wild"]},
        "part": {"$ref": "#/$defs/part"}}, "required": ["title", "words", "tags", "mood", "part"],
        "$defs": {"part": {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}}});
    let value = instance(&schema, &schema, "Rivers carry water down to the valleys.", 0);
    assert!(
        jsonschema::validator_for(&schema).unwrap().is_valid(&value),
        "{value}"
    );
}
