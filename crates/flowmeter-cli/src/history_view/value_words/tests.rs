//! Values in one line.

use serde_json::json;

use super::*;

#[test]
fn what_the_recorder_left_out_is_seen() {
    let cut = Altered::of(&json!({"a": ["x", "abc… [cut at 3 of 90 chars]"]}));
    assert!(cut.is_cut && !cut.is_masked);
    let rest = Altered::of(&json!([
        "… [cut: 3 of 9 elements left out, about 90 chars in full]"
    ]));
    assert!(rest.is_cut);
    assert!(Altered::of(&json!("[binary image/png: 90 bytes]")).is_cut);
    assert!(Altered::of(&json!("Bearer [REDACTED]")).is_masked);
    assert!(!Altered::of(&json!({"a": "they cut it… [cut] and went on"})).is_any());
}

#[test]
fn values_are_lines() {
    assert_eq!(value_lines(&json!("a\nb\u{1b}"), false), ["a", "b\u{fffd}"]);
    assert_eq!(value_lines(&json!(""), false), ["(empty text)"]);
    assert_eq!(value_lines(&json!({"a": 1}), false), ["{\"a\":1}"]);
    let long: Vec<u32> = (0..100).collect();
    let lines = value_lines(&json!(long), false);
    assert_eq!(lines.len(), LINES_SHOWN + 1);
    assert_eq!(
        lines.last().map(String::as_str),
        Some("… 78 more lines; --full shows all")
    );
    assert_eq!(value_lines(&json!(long), true).len(), 102);
}

#[test]
fn a_value_on_one_line_is_cut() {
    assert_eq!(short_value(&json!("a\n b"), 20), "\"a b\"");
    assert_eq!(short_value(&json!("会议记录会议记录"), 8), "\"会议记…");
    assert_eq!(short_value(&json!([1, 2]), 20), "[1,2]");
}
