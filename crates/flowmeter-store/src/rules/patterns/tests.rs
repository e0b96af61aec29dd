//! What is found where, beyond what the contract asks: overlaps, edges of contexts, any text at all.

use arbtest::arbtest;

use super::{Pattern, context_of, tokens};
use crate::{SearchMode, SearchQuery};

fn pattern(mode: SearchMode, text: &str) -> Pattern {
    let query = SearchQuery {
        text: text.to_owned(),
        mode,
        ..SearchQuery::default()
    };
    Pattern::of(&query).expect("something to look for")
}

fn found(mode: SearchMode, wanted: &str, text: &str) -> Vec<String> {
    let found = pattern(mode, wanted).find(std::iter::once(text));
    let places = found.map(|(_, places)| places).unwrap_or_default();
    places
        .iter()
        .map(|(begins, ends)| text[*begins..*ends].to_owned())
        .collect()
}

#[test]
fn occurrences_are_told_once_and_in_order() {
    assert_eq!(found(SearchMode::Words, "b a", "a b a"), ["a", "b", "a"]);
    assert_eq!(found(SearchMode::Words, "\"a b\" \"b a\"", "a b a"), ["a b a"]);
    assert_eq!(found(SearchMode::Words, "数据 据库", "数据库"), ["数据库"]);
    assert_eq!(found(SearchMode::Substring, "aa", "aaaaa"), ["aa", "aa"]);
    assert_eq!(found(SearchMode::Substring, "i\u{307}", "İstanbul"), ["İ"]);
    assert_eq!(
        found(SearchMode::Words, "one\"two three\"four", "one two three four"),
        ["one", "two three", "four"]
    );
}

#[test]
fn a_text_of_ascii_holds_the_same_however_it_is_looked_at() {
    arbtest(|u| {
        let some = |u: &mut arbtest::arbitrary::Unstructured<'_>, most: usize| {
            let parts = ["a", "B", "ab", " ", "  ", "\n", "-", ".", "1", "_", "'", "\r\n"];
            let count = u.int_in_range(0..=most)?;
            let parts = (0..count).map(|_| u.choose(&parts).copied());
            parts.collect::<arbtest::arbitrary::Result<String>>()
        };
        let (text, wanted) = (some(u, 30)?, some(u, 5)?);
        for wanted in [format!("\"{wanted}\""), wanted] {
            let query = SearchQuery {
                text: wanted,
                ..SearchQuery::default()
            };
            let Ok(Pattern::Terms(terms)) = Pattern::of(&query) else {
                continue;
            };
            for term in &terms {
                let (mut quickly, mut wholly) = (Vec::new(), Vec::new());
                term.find_in_ascii(&text, &text.to_ascii_lowercase(), &mut quickly);
                term.find(&tokens(&text), &mut wholly);
                assert_eq!(quickly, wholly, "{query:?} in {text:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn contexts_hold_what_was_found_wherever_it_stands() {
    for before in [0, 1, 49, 50, 51, 500] {
        for behind in [0, 1, 100, 500] {
            let text = format!("{}x数y{}", "é".repeat(before), "ß\n".repeat(behind));
            let at = before * 2;
            let (context, matches) = context_of(&text, &[(at, at + 5)]);
            let (begins, ends) = matches[0];
            assert_eq!(&context[begins..ends], "x数y", "{before} {behind}");
            assert!(context.chars().count() <= 162);
            assert_eq!(context.starts_with('…'), before > 50);
            assert!(!context.contains('\n'));
        }
    }
}

#[test]
fn any_query_on_any_text_is_answered() {
    arbtest(|u| {
        let (text, wanted): (String, String) = (u.arbitrary()?, u.arbitrary()?);
        for mode in [SearchMode::Words, SearchMode::Substring] {
            let query = SearchQuery {
                text: wanted.clone(),
                mode,
                ..SearchQuery::default()
            };
            let Ok(pattern) = Pattern::of(&query) else {
                continue;
            };
            if let Some((_, found)) = pattern.find(std::iter::once(text.as_str())) {
                assert!(!found.is_empty() && found.is_sorted());
                let (context, matches) = context_of(&text, &found);
                assert!(
                    matches
                        .iter()
                        .all(|(begins, ends)| context.get(*begins..*ends).is_some())
                );
            }
            // A text holds itself.
            assert!(
                pattern.find(std::iter::once(wanted.as_str())).is_some(),
                "{mode:?} {wanted:?}"
            );
        }
        Ok(())
    });
}
