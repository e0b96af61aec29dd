//! Tests of words as numbers.

use super::*;
use crate::{SearchMode, SearchQuery};

fn numbers(text: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    visit_numbers(text.as_bytes(), &mut |number| numbers.push(number));
    numbers
}

/// The same by the rules alone.
fn by_the_rules(text: &str) -> Vec<u32> {
    let tokens = tokens(text);
    let mut numbers = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        numbers.push(number_of_folded(token.text.as_bytes()));
        let single = |token: &Token| {
            let mut chars = token.text.chars();
            let first = chars.next().filter(|character| stands_alone(*character));
            first.filter(|_| chars.next().is_none())
        };
        if let Some(before) = place.checked_sub(1).map(|before| &tokens[before])
            && before.ends == token.begins
            && let (Some(a), Some(b)) = (single(before), single(token))
        {
            numbers.push(number_of_pair(a, b));
        }
    }
    numbers
}

#[test]
fn the_quick_way_finds_the_words_of_the_rules() {
    for text in [
        "The quick-brown fox's v1.2.3 can't, 3,14;15 a:b 1:2 x_1 __ _ _a 'tis end.' ..a a.b. a.1 1.a 1'2",
        "a..b a.:b a1.2b a1.b2 1,2,3 1,,2 a,b a;b e.g. U.S.A. foo.bar_baz:qux",
        "snake_case camelCase kebab-case path/to/file.rs:42 user@example.com https://a.b/c?d=e&f",
        "größe naïve — “quoted” text… and more",
        "从北京到上海 2024年 iPhone用户",
        "東京タワーへ ไม่สามารถ a\u{301}b \u{301}c d \u{301}e",
        "\u{130}stanbul ΟΔΟΣ ς K",
        "",
    ] {
        assert_eq!(numbers(text), by_the_rules(text), "{text}");
    }
    arbtest::arbtest(|u| {
        let letters = "aB3_.':,;- \n\té中のก\u{301}\u{200d}🙂\u{5d0}\"\u{3000}\u{2003}K9";
        let letters: Vec<char> = letters.chars().collect();
        let mut text = String::new();
        for _ in 0..u.int_in_range(0..=200)? {
            text.push(*u.choose(&letters)?);
            if u.ratio(1, 16)? {
                text.push_str(&"x1_Y".repeat(u.int_in_range(1..=40)?));
            }
        }
        assert_eq!(numbers(&text), by_the_rules(&text), "{text:?}");
        text.retain(|character| character.is_ascii());
        assert_eq!(numbers(&text), by_the_rules(&text), "{text:?}");
        let text: String = u.arbitrary()?;
        assert_eq!(numbers(&text), by_the_rules(&text), "{text:?}");
        Ok(())
    });
}

#[test]
fn every_number_that_a_query_asks_for_stands_in_what_it_finds() {
    arbtest::arbtest(|u| {
        let pieces = [
            "alpha",
            "BETA",
            "gamma_1",
            "数据库",
            "中",
            "тест",
            "é",
            "\"",
            " ",
            " ",
            "-",
            "用户x",
        ];
        let some = |u: &mut arbtest::arbitrary::Unstructured<'_>, most| {
            let mut text = String::new();
            for _ in 0..u.int_in_range(1..=most)? {
                text.push_str(u.choose(&pieces)?);
            }
            Ok(text)
        };
        let text = some(u, 20)?;
        let wanted = if u.arbitrary()? {
            let chars: Vec<char> = text.chars().collect();
            let from = u.choose_index(chars.len())?;
            let length = u.int_in_range(1..=30)?;
            chars[from..]
                .iter()
                .take(length)
                .collect::<String>()
                .to_uppercase()
        } else {
            some(u, 4)?
        };
        let query = SearchQuery {
            text: wanted,
            mode: *u.choose(&[SearchMode::Words, SearchMode::Substring])?,
            ..SearchQuery::default()
        };
        let Ok(pattern) = Pattern::of(&query) else {
            return Ok(());
        };
        if pattern.find(std::iter::once(text.as_str())).is_some() {
            let there = numbers(&text);
            for number in numbers_of(&pattern) {
                assert!(there.contains(&number), "{:?} in {text:?}", query.text);
            }
        }
        Ok(())
    });
}
