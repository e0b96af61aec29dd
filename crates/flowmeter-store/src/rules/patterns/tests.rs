//! What is found where, beyond what the contract asks: overlaps, edges of contexts, any text at all.

use super::{Pattern, context_of};
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
    arbtest::arbtest(|u| {
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
