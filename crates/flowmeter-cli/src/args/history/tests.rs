//! Tests of reading tags and sessions.

use super::*;

#[test]
fn a_tag_is_a_key_and_a_value() {
    let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
    assert_eq!(tag("team=search"), pair("team", "search"));
    assert_eq!(tag(" team = the search team "), pair("team", "the search team"));
    assert_eq!(tag("query=a=b"), pair("query", "a=b"));
    assert_eq!(tag("empty="), pair("empty", ""));
    assert_eq!(tag("équipe=検索"), pair("équipe", "検索"));
}

#[test]
fn what_is_no_tag_is_told() {
    for text in ["", "team", "=search", " =search"] {
        assert_eq!(
            tag(text),
            Err("must be KEY=VALUE, such as team=search".to_owned()),
            "{text:?}"
        );
    }
    for text in ["two words=1", "line\nbreak=1"] {
        let told = tag(text).expect_err("it is none");
        assert!(told.contains("white space"), "{told}");
    }
    assert_eq!(tag("a=b\nc"), Err("must be one line of text".to_owned()));
    assert!(tag(&format!("{}=1", "k".repeat(201))).is_err());
    assert!(tag(&format!("k={}", "v".repeat(1_001))).is_err());
}

#[test]
fn a_session_is_any_text_of_one_line() {
    assert_eq!(session(" chat-42 "), Ok("chat-42".to_owned()));
    assert!(session(" ").is_err());
    assert!(session("two\nlines").is_err());
}
