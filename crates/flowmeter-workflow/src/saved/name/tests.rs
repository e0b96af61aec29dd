//! Names: what is one, what is none, and that what is offered instead is one.

use arbtest::arbtest;
use expect_test::expect;

use super::*;

#[test]
fn plain_names_are_names() {
    for name in ["a", "report", "weekly-report", "a_b-c9", "x".repeat(64).as_str()] {
        assert_eq!(WorkflowName::parse(name).unwrap().as_str(), name);
    }
}

#[test]
fn what_is_no_name_is_told_with_one_that_is() {
    let written = [
        "",
        "Weekly Report",
        "9lives",
        "-x",
        "_x",
        "a/b",
        "../a",
        ".hidden",
        "last",
        "con",
        "über",
        "a\nb",
        "a.json",
        &"y".repeat(65),
        "報告",
        "@",
        "   ",
    ];
    let told: String = written
        .iter()
        .map(|text| format!("{}\n", WorkflowName::parse(text).unwrap_err()))
        .collect();
    expect![[r#"
        a saved workflow needs a name, such as `weekly-report`
        the name `Weekly Report` has 'W' in it; a name has lower-case letters, digits, `-` and `_`; write `weekly-report`
        the name `9lives` does not begin with a lower-case letter; write `w9lives`
        the name `-x` does not begin with a lower-case letter; write `x`
        the name `_x` does not begin with a lower-case letter; write `x`
        the name `a/b` has '/' in it; a name has lower-case letters, digits, `-` and `_`; write `a-b`
        the name `../a` has '.' in it; a name has lower-case letters, digits, `-` and `_`; write `a`
        the name `.hidden` has '.' in it; a name has lower-case letters, digits, `-` and `_`; write `hidden`
        the name `last` is reserved; write `last-workflow`
        the name `con` is reserved; write `con-workflow`
        the name `über` has 'ü' in it; a name has lower-case letters, digits, `-` and `_`; write `ber`
        the name `a\nb` has '\n' in it; a name has lower-case letters, digits, `-` and `_`; write `a-b`
        the name `a.json` has '.' in it; a name has lower-case letters, digits, `-` and `_`; write `a-json`
        the name `yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy` has 65 letters; 64 is the most; write `yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy`
        the name `報告` has '報' in it; a name has lower-case letters, digits, `-` and `_`, such as `weekly-report`
        the name `@` has '@' in it; a name has lower-case letters, digits, `-` and `_`, such as `weekly-report`
        the name `   ` has ' ' in it; a name has lower-case letters, digits, `-` and `_`, such as `weekly-report`
    "#]].assert_eq(&told);
}

#[test]
fn references_have_versions() {
    let plain = SavedReference::parse("report").unwrap();
    assert_eq!((plain.name.as_str(), plain.version), ("report", None));
    let versioned = SavedReference::parse("report@12").unwrap();
    assert_eq!(versioned.version, Some(12));
    assert_eq!(versioned.to_string(), "report@12");
    for wrong in [
        "report@",
        "report@0",
        "report@x",
        "report@-1",
        "report@+1",
        "report@1@2",
        "@1",
        "report@01",
    ] {
        assert!(SavedReference::parse(wrong).is_err(), "{wrong}");
    }
}

/// The rule in other words.
fn is_name(text: &str) -> bool {
    let mut letters = text.bytes();
    letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        && text.len() <= 64
        && !RESERVED.contains(&text)
}

#[test]
fn a_name_is_near_itself() {
    for name in ["report", "r-", "a--b", "a_", "a-1-"] {
        assert_eq!(WorkflowName::near(name), WorkflowName::parse(name).ok(), "{name}");
    }
}

#[test]
fn any_text_is_a_name_or_is_refused_with_a_name() {
    arbtest(|source| {
        let text: String = source.arbitrary()?;
        match WorkflowName::parse(&text) {
            Ok(name) => {
                assert!(is_name(&text));
                assert_eq!(name.as_str(), text);
                assert_eq!(WorkflowName::near(&text), Some(name), "{text:?} is near itself");
            }
            Err(error) => {
                assert!(!is_name(&text));
                if let Some(instead) = error.instead {
                    assert!(is_name(instead.as_str()), "{text:?} → {instead}");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn texts_of_a_names_own_letters_are_judged_alike() {
    arbtest(|source| {
        let letters = b"abz09-_A. /";
        let count = source.int_in_range(0..=70)?;
        let text: String = (0..count)
            .map(|_| Ok(char::from(*source.choose(letters)?)))
            .collect::<arbtest::arbitrary::Result<_>>()?;
        assert_eq!(WorkflowName::parse(&text).is_ok(), is_name(&text), "{text:?}");
        if text.contains(|letter: char| letter.is_ascii_alphanumeric()) {
            let near = WorkflowName::near(&text).unwrap();
            assert!(is_name(near.as_str()), "{text:?} → {near}");
        }
        Ok(())
    });
}
