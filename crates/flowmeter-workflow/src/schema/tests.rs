//! The schema for a document judges as the whole schema does.

use serde_json::{Value, json};

use super::{json_schema, validator_for};

fn node(node_type: &str, params: Value) -> Value {
    json!({"nodes": [
        {"id": "a", "type": node_type, "params": params},
        {"id": "b", "type": "echo", "params": {"message": 1}}
    ]})
}

#[test]
fn leaving_out_the_rules_of_absent_types_changes_no_verdict() {
    let whole = jsonschema::validator_for(&json_schema()).unwrap();
    let cases = [
        (node("shell", json!({"command": "true"})), true),
        (node("shell", json!({})), false),
        (node("shell", json!({"command": "true", "comand": "x"})), false),
        (
            node("shell", json!({"command": "true", "timeout": "soon"})),
            false,
        ),
        (
            node("shell", json!({"command": "true", "timeout": "${limit}"})),
            true,
        ),
        (node("llm", json!({"prompt": "p", "temperature": []})), false),
        (node("nothing", json!({})), false),
        (json!({"nodes": [{"id": "a"}]}), false),
        (json!({"nodes": []}), false),
        (json!({"nodes": "a"}), false),
        (json!([]), false),
    ];
    for (document, valid) in cases {
        let pruned = validator_for(&document).unwrap();
        assert_eq!(whole.is_valid(&document), valid, "{document}");
        assert_eq!(pruned.is_valid(&document), valid, "{document}");
        let problems = |validator: &jsonschema::Validator| -> Vec<String> {
            validator
                .iter_errors(&document)
                .map(|error| error.to_string())
                .collect()
        };
        assert_eq!(problems(&whole), problems(&pruned), "{document}");
    }
}
