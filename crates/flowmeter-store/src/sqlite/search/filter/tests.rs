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
        for mode in [SearchMode::Substring, SearchMode::Words] {
            let Ok(pattern) = Pattern::of(&query(&wanted, mode)) else {
                continue;
            };
            if pattern.find(std::iter::once(text.as_str())).is_some() {
                let filter = RawFilter::of(&pattern);
                assert!(
                    filter.may_hold(&raw, &raw.to_ascii_lowercase()),
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
        let lower = text.to_ascii_lowercase();
        assert_eq!(RawFilter::of(&pattern).may_hold(text, &lower), holds, "{wanted}");
    }
}
