//! Which schemas are sent which way. Never sends one.

use serde_json::json;

use super::*;

#[test]
fn a_schema_that_names_all_members_is_strict_where_the_provider_has_that() {
    let schema = json!({
        "type": "object",
        "properties": {"name": {"type": ["string", "null"]}, "tags": {"type": "array", "items": {"type": "string"}}},
    });
    assert_eq!(SchemaWay::of("openai", &schema), SchemaWay::Strict);
    assert_eq!(SchemaWay::of("anthropic", &schema), SchemaWay::Strict);
    assert_eq!(SchemaWay::of("ollama", &schema), SchemaWay::Words);
}

#[test]
fn open_objects_are_found_wherever_they_stand() {
    for open in [
        json!({"type": "object"}),
        json!({"type": "object", "properties": {}}),
        json!({"type": "object", "properties": {"a": {}}}),
        json!({"type": "object", "properties": {"a": {"type": ["object", "null"]}}}),
        json!({"type": "array", "items": {"type": "object"}}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
        json!({"anyOf": [{"type": "string"}, {"type": "object"}]}),
        json!({"$ref": "#/$defs/x", "$defs": {"x": {"type": "object"}}}),
    ] {
        assert_eq!(SchemaWay::of("openai", &open), SchemaWay::Loose, "{open}");
        assert_eq!(SchemaWay::of("mistral", &open), SchemaWay::Loose, "{open}");
        assert_eq!(SchemaWay::of("anthropic", &open), SchemaWay::Words, "{open}");
        assert_eq!(SchemaWay::of("openai_resp", &open), SchemaWay::Words, "{open}");
    }
    let closed =
        json!({"type": "object", "properties": {"a": {"enum": [1, 2]}}, "additionalProperties": false});
    assert_eq!(SchemaWay::of("anthropic", &closed), SchemaWay::Strict);
}
