//! Tests of the quick look.

use super::*;
use crate::{SearchMode, SearchQuery};

fn query(text: &str, mode: SearchMode) -> SearchQuery {
    SearchQuery {
        text: text.to_owned(),
        mode,
        ..SearchQuery::default()
    }
}

#[test]
fn nothing_that_is_found_is_passed_by() {
    let letters = "aAkKiIzZ1 -._éÉёЁжЖςσΣßẞK\u{130}ıΩΩåÅ中文か"
        .chars()
        .chain(['\u{307}', '\u{301}', 'İ'])
        .collect::<Vec<char>>();
    arbtest::arbtest(|u| {
        let row = |u: &mut arbtest::arbitrary::Unstructured<'_>, most| {
            let length = u.int_in_range(1..=most)?;
            (0..length)
                .map(|_| u.choose(&letters).copied())
                .collect::<arbtest::arbitrary::Result<String>>()
        };
        let text = row(u, 14)?;
        let wanted = if u.ratio(1, 2)? {
            let chars: Vec<char> = text.chars().collect();
            let from = u.choose_index(chars.len())?;
            let part: String = chars[from..].iter().take(u.int_in_range(1..=5)?).collect();
            if u.arbitrary()? {
                part.to_uppercase()
            } else {
                part.to_lowercase()
            }
        } else {
            row(u, 2)?
        };
        // As it stands in a payload: with something else around it.
        let raw = [b"\xd9\x0e".as_slice(), text.as_bytes(), b"\xc3\xa1x"].concat();
        let phrase = format!("\"{wanted}\"");
        for (wanted, mode) in [
            (&wanted, SearchMode::Substring),
            (&wanted, SearchMode::Words),
            (&phrase, SearchMode::Words),
        ] {
            let Ok(pattern) = Pattern::of(&query(wanted, mode)) else {
                continue;
            };
            if pattern.find(std::iter::once(text.as_str())).is_some() {
                let filter = RawFilter::of(&pattern);
                assert!(
                    filter.may_hold(&raw) && filter.may_hold_many(&raw, &mut Vec::new()),
                    "{mode:?} {wanted:?} in {text:?}"
                );
                assert!(filter.may_hold_some(&raw));
            }
        }
        Ok(())
    });
}

#[test]
fn most_of_the_rest_is_passed_by() {
    let text = "The Größe of ЖУК and 数据库, said Σίσυφος.".as_bytes();
    for (wanted, holds) in [
        ("größe", true),
        ("GRÖSSE", false),
        ("жук", true),
        ("жуки", false),
        ("σίσυφοσ", true),
        ("数据", true),
        ("据数", false),
        ("said s", false),
        ("SAID Σ", true),
        ("nothing", false),
    ] {
        let pattern = Pattern::of(&query(wanted, SearchMode::Substring)).expect("a pattern");
        let filter = RawFilter::of(&pattern);
        assert_eq!(filter.may_hold(text), holds, "{wanted}");
        assert_eq!(filter.may_hold_many(text, &mut Vec::new()), holds, "{wanted}");
    }
}

#[test]
fn of_a_phrase_the_words_must_follow_each_other() {
    let text = "One fish, TWO_ fish -- red kelvin; blue 数据 owl\u{212a}.".as_bytes();
    for (wanted, holds) in [
        ("\"one fish\"", true),
        ("\"fish two fish red\"", true),
        ("\"one two\"", false),
        ("\"two one\"", false),
        ("\"red fish\"", false),
        ("\"fish one\"", false),
        ("\"n fish\"", false),
        ("\"kelvin blue\"", true),
        // There is a sign that is this letter in lower case, so nothing with it is passed by.
        ("\"blue kelvin\"", true),
        ("one blue", true),
        ("one green", false),
        ("\"blue 数据 owl\"", true),
    ] {
        let pattern = Pattern::of(&query(wanted, SearchMode::Words)).expect("a pattern");
        let filter = RawFilter::of(&pattern);
        assert_eq!(filter.may_hold(text), holds, "{wanted}");
        assert_eq!(filter.may_hold_many(text, &mut Vec::new()), holds, "{wanted}");
    }
}
