//! Guesses by bytes, and by the tokenizer where it is built in.

use flowmeter_model::FigureSource;

use super::*;

#[test]
fn four_bytes_are_a_token_whatever_letters_they_make() {
    let tokens = |text: &str| estimate_tokens(text).tokens;
    assert_eq!(
        ["", "a", "four", "fives", "\u{96e8}\u{5929}"].map(tokens),
        [0, 1, 1, 2, 2]
    );
    assert_eq!(estimate_bytes(u64::MAX).tokens, u64::MAX / 4 + 1);
    // Not of OpenAI: bytes, with or without the tokenizer.
    let answer = estimate_output("claude-sonnet-4-5", "twelve bytes");
    assert_eq!((answer.tokens, answer.source), (3, FigureSource::Estimate));
    // Rounded up once.
    assert_eq!(estimate_input("llama3", &["a", "b", "c"]).tokens, 1);
}

#[cfg(not(feature = "tokenizer"))]
#[test]
fn without_the_tokenizer_all_models_are_guessed_alike() {
    assert_eq!(estimate_output("gpt-4o", "twelve bytes"), Figure::estimate(3));
}

#[cfg(feature = "tokenizer")]
mod with_tokenizer {
    use super::super::tokenizer::{Vocabulary, parts};
    use super::*;

    #[test]
    fn names_lead_to_vocabularies() {
        use Vocabulary::{Cl100k, O200k};
        for (model, wanted) in [
            ("gpt-4o", Some(O200k)),
            ("gpt-4o-2024-08-06", Some(O200k)),
            ("GPT-4o-mini", Some(O200k)),
            ("openai/gpt-4o", Some(O200k)),
            ("openrouter/openai/gpt-4o", Some(O200k)),
            ("azure/gpt-4.1-nano", Some(O200k)),
            ("gpt-5", Some(O200k)),
            ("gpt-5.1-codex", Some(O200k)),
            ("gpt-5-2025-08-07", Some(O200k)),
            ("gpt-6.1-sol", Some(O200k)),
            ("o1", Some(O200k)),
            ("o3-mini-2025-01-31", Some(O200k)),
            ("o4-mini", Some(O200k)),
            ("chatgpt-4o-latest", Some(O200k)),
            ("gpt-oss:20b", Some(O200k)),
            ("us.openai.gpt-oss-120b-1:0", Some(O200k)),
            ("ft:gpt-4o-mini-2024-07-18:acme::abc123", Some(O200k)),
            ("ft:gpt-3.5-turbo:acme::abc123", Some(Cl100k)),
            ("gpt-4", Some(Cl100k)),
            ("gpt-4-0613", Some(Cl100k)),
            ("gpt-4-turbo-2024-04-09", Some(Cl100k)),
            ("gpt-3.5-turbo", Some(Cl100k)),
            ("gpt-35-turbo", Some(Cl100k)),
            ("text-embedding-3-small", Some(Cl100k)),
            ("text-embedding-ada-002", Some(Cl100k)),
            ("gpt-4x", None),
            ("gpt-2", None),
            ("gpt-neox", None),
            ("o", None),
            ("olmo-2", None),
            ("o1pro", None),
            ("orca", None),
            ("claude-sonnet-4-5", None),
            ("", None),
        ] {
            assert_eq!(Vocabulary::of(model), wanted, "{model}");
        }
    }

    #[test]
    fn counts_are_the_tokenizers() {
        // As the published vocabularies split them.
        for (model, text, tokens) in [
            ("gpt-4o", "hello world", 2),
            ("gpt-4", "hello world", 2),
            ("gpt-4o", "", 0),
            ("gpt-4", "tiktoken is great!", 6),
            ("gpt-4o", "tiktoken is great!", 6),
            ("gpt-4", "antidisestablishmentarianism", 6),
        ] {
            let figure = estimate_output(model, text);
            assert_eq!(
                (figure.tokens, figure.source),
                (tokens, FigureSource::Tokenizer),
                "{model} {text}"
            );
        }
        // A message has four tokens around it, an answer begins with three.
        assert_eq!(estimate_input("gpt-4o", &["hello world"]).tokens, 2 + 4 + 3);
        assert_eq!(
            estimate_input("gpt-4o", &["hello world", "hello world"]).tokens,
            2 * (2 + 4) + 3
        );
        assert_eq!(
            estimate_input("text-embedding-3-small", &["hello world"]).tokens,
            2
        );
    }

    #[test]
    fn long_texts_are_counted_in_parts() {
        arbtest::arbtest(|u| {
            let text: String = u.arbitrary()?;
            let text = text.repeat(u.int_in_range(1..=400)?);
            assert_eq!(parts(&text).collect::<String>(), text);
            assert!(parts(&text).all(|part| part.len() <= 4_096 && !part.is_empty()));
            Ok(())
        })
        .budget_ms(300);
        // Neither a run without spaces nor one of spaces alone is too long.
        for text in [
            "a".repeat(300_000),
            " ".repeat(300_000),
            "\n".repeat(300_000),
            "\u{96e8}".repeat(50_000),
        ] {
            assert!(estimate_output("gpt-4o", &text).tokens > 100);
        }
        let prose = "It rains in Paris, and nobody knows why. ".repeat(1_000);
        let whole = estimate_output("gpt-4o", &prose).tokens;
        assert!((9_990..=11_010).contains(&whole), "{whole}");
    }
}
