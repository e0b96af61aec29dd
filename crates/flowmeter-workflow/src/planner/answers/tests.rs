//! Answers as models give them. Never asks one.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use serde_json::json;

use super::*;

fn found(text: &str) -> Value {
    Value::Object(object_in(Value::from(text)).unwrap())
}

#[test]
fn json_is_found_whatever_stands_around_it() {
    let wanted = json!({"found": true, "workflow": "a {b}"});
    for text in [
        r#"{"found": true, "workflow": "a {b}"}"#,
        "```json\n{\"found\": true, \"workflow\": \"a {b}\"}\n```",
        "Sure! Here it is:\n\n{\"found\": true, \"workflow\": \"a {b}\"}\n\nAnything else?",
        "I use {braces} in words. {\"found\": true, \"workflow\": \"a {b}\"} {\"found\": false}",
        "\u{feff} {} {\"found\": true, \"workflow\": \"a {b}\"}",
        r#""{\"found\": true, \"workflow\": \"a {b}\"}""#,
    ] {
        assert_eq!(found(text), wanted, "{text}");
    }
    assert_eq!(Value::Object(object_in(wanted.clone()).unwrap()), wanted);
}

#[test]
fn what_is_no_object_is_named() {
    let problem = |text: &str| object_in(Value::from(text)).unwrap_err();
    assert_eq!(problem("  "), "it is empty");
    assert!(problem("I cannot help with that.").starts_with("it is no JSON ("));
    assert_eq!(problem("[1, 2]"), "it is JSON, but no object");
    assert_eq!(
        problem("```json\n{\"nodes\": [{\"id\": \"a\", "),
        "it breaks off before the JSON object ends"
    );
    assert_eq!(object_in(json!(12)).unwrap_err(), "it is no JSON object");
}

#[test]
fn any_bytes_are_read_without_a_panic_and_in_time() {
    arbtest::arbtest(|u| {
        let text: String = u.arbitrary()?;
        let wild = format!(
            "{}{text}{}",
            "{[\"".repeat(u.int_in_range(0..=200)?),
            "{".repeat(300)
        );
        let _either_way = object_in(Value::from(wild));
        Ok(())
    });
}

#[test]
fn members_may_be_a_little_off() {
    let members = json!({
        "yes": "Yes", "no": false, "number": 3,
        "list": ["a", {"name": "b"}, "", 4], "one": "single", "lines": ["x", "y"],
    });
    let members = members.as_object().unwrap();
    assert_eq!(flag(members, "yes"), Some(true));
    assert_eq!(flag(members, "no"), Some(false));
    assert_eq!(flag(members, "number"), None);
    assert_eq!(flag(members, "absent"), None);
    assert_eq!(texts(members, "list"), ["a", "b", "4"]);
    assert_eq!(texts(members, "one"), ["single"]);
    assert_eq!(text(members, "lines"), "x\ny");
    assert_eq!(text(members, "absent"), "");
}
