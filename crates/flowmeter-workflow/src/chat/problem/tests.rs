//! Tests of the messages and classes of failures; never over a network.

use super::*;

#[test]
fn provider_messages_are_found_wherever_they_stand() {
    for (body, said) in [
        (
            r#"{"error":{"message":"no such model","type":"x"}}"#,
            "no such model",
        ),
        (r#"{"error":"model 'x' not found"}"#, "model 'x' not found"),
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            "Overloaded",
        ),
        (r#"[{"error":{"code":400,"message":"bad"}}]"#, "bad"),
        (r#"{"detail":"nope"}"#, "nope"),
        ("plain\n  text", "plain text"),
        ("", ""),
    ] {
        assert_eq!(provider_message(body), said, "{body}");
    }
}

#[test]
fn long_messages_are_cut_at_a_character() {
    let said = provider_message(&"ü".repeat(900));
    assert_eq!(said.chars().count(), MESSAGE_MAX + 1);
    assert!(said.ends_with('…'));
}

#[test]
fn a_status_decides_about_another_attempt_and_costs_nothing() {
    for (status, retryable) in [
        (400, false),
        (401, false),
        (404, false),
        (408, true),
        (429, true),
        (500, true),
        (529, true),
    ] {
        let error = ChatError::status("openai", status, "");
        assert_eq!(error.retryable, retryable, "{status}");
        assert_eq!(error.error_type, format!("http_{status}"));
        assert!(!error.may_be_billed);
    }
}

#[test]
fn a_key_that_a_server_repeats_is_masked() {
    let error = ChatError::status("openai", 401, r#"{"error":{"message":"wrong key sk-abcdef"}}"#);
    assert_eq!(
        error.without_key(Some("sk-abcdef")).message,
        "openai answered with HTTP 401: wrong key ***"
    );
}
