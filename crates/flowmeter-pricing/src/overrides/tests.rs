//! Price files: right ones, wrong ones, and how a model finds its entry.

use expect_test::{Expect, expect};

use super::*;

fn read(text: &str) -> Overrides {
    Overrides::parse(text).unwrap().0
}

#[track_caller]
fn refuses(text: &str, wanted: Expect) {
    wanted.assert_eq(&Overrides::parse(text).unwrap_err().to_string());
}

#[test]
fn the_published_example_is_exact() {
    let overrides = read(
        r#"{"gpt-4": {"input": 0.03, "output": 0.06},
            "gpt-4o-mini": {"input": 0.00015, "output": 0.0006},
            "claude-3-5-sonnet": {"input": 0.003, "output": 0.015},
            "custom-model": {"input": 0.001, "output": 0.002}}"#,
    );
    assert_eq!(overrides.len(), 4);
    let mini = overrides.get("GPT-4o-mini").unwrap();
    assert_eq!((mini.input, mini.output), (Some(150_000_000), Some(600_000_000)));
}

#[test]
fn both_units_mean_the_same_money() {
    let per_thousand = read(r#"{"m": {"input": 0.0025, "cache_read": 0.00125, "output": 1e-2}}"#);
    let per_million = read(r#"{"m": {"unit": "1M", "input": 2.5, "cache_read": 1.25, "output": 10}}"#);
    assert_eq!(per_thousand, per_million);
}

#[test]
fn absent_rates_fall_back() {
    let card = read(r#"{"m": {"unit": "1M", "input": 3, "output": 15, "cache_write": 4}}"#)
        .get("m")
        .unwrap()
        .card();
    let rate = |kind| card.get(kind);
    assert_eq!(rate(RateKind::CacheRead), rate(RateKind::Input));
    assert_eq!(rate(RateKind::CacheWrite1h), Some(4_000_000_000));
    assert_eq!(rate(RateKind::Reasoning), rate(RateKind::Output));
    let plain = read(r#"{"m": {"unit": "1M", "input": 3}}"#)
        .get("m")
        .unwrap()
        .card();
    assert_eq!(
        (
            plain.get(RateKind::CacheWrite5m),
            plain.get(RateKind::CacheWrite1h),
            plain.get(RateKind::Output)
        ),
        (plain.get(RateKind::Input), plain.get(RateKind::Input), None)
    );
}

#[test]
fn a_wrong_file_says_where_and_what_to_write() {
    refuses(
        "{\"a\": {\"input\": 0.1,}}",
        expect![
            "line 1, column 21: this is no JSON: trailing comma; check for a missing quote, brace or comma, or one comma too many"
        ],
    );
    refuses(
        "",
        expect![
            "line 1, column 1: this is no JSON: EOF while parsing a value; check for a missing quote, brace or comma, or one comma too many"
        ],
    );
    refuses(
        "[]",
        expect![[
            r#"line 1, column 1: expected an object of models but found a list; write it as {"my-model": {"input": 0.001, "output": 0.002}}"#
        ]],
    );
    refuses(
        "{\n  \"a\": 3\n}",
        expect![[
            r#"line 2, column 8: the prices of `a` must be an object but are a number; write {"input": 0.001, "output": 0.002}"#
        ]],
    );
    refuses(
        "{\"a\": {\n  \"inptu\": 3}}",
        expect![
            "line 2, column 3: `a` has the unknown key `inptu`; did you mean `input`? the keys are input, output, cache_read, cache_write, cache_write_1h, reasoning, input_audio, input_image, output_audio, output_image, web_search, request, max_output_tokens and unit"
        ],
    );
    refuses(
        "{\"a\": {\"output\": \"3\"}}",
        expect![
            "line 1, column 18: `output` of `a` must be a number of dollars but is text in quotes; write it without quotes, such as 0.003"
        ],
    );
    refuses(
        "{\"é\": {\"output\": -3}}",
        expect!["line 1, column 18: `output` of `é` is negative; write 0 for what costs nothing"],
    );
    refuses(
        "{\"a\": {\"output\": 1e99}}",
        expect![[
            r#"line 1, column 18: `output` of `a` is too large for a price; write dollars per 1,000 tokens, or per million with "unit": "1M""#
        ]],
    );
    refuses(
        "{\"a\": {\"unit\": \"1B\", \"input\": 1}}",
        expect![[
            r#"line 1, column 16: the unit of `a` must be "1K" (dollars per 1,000 tokens, the default) or "1M" (per million)"#
        ]],
    );
    refuses(
        "{\"a\": {}}",
        expect![[r#"line 1, column 7: `a` has no rate; write at least "input" and "output""#]],
    );
    refuses(
        "{\" \": {\"input\": 1}}",
        expect![[
            r#"line 1, column 2: a model's name is empty; write the name that the provider uses, such as "gpt-4o""#
        ]],
    );
    refuses(
        "{\"a\": {\"input\": 1},\n\"A\": {\"input\": 1}}",
        expect![
            "line 2, column 1: `A` stands twice (upper and lower case are the same); remove one of the two"
        ],
    );
    refuses(
        "{\"a\": {\"input\": 1, \"input\": 2}}",
        expect![
            "line 1, column 20: `input` of `a` stands twice (upper and lower case are the same); remove one of the two"
        ],
    );
}

#[test]
fn implausible_rates_are_warned_of() {
    let (_, warnings) = Overrides::parse(r#"{"a": {"input": 2.5, "output": 0.0000000000001}}"#).unwrap();
    expect![[r#"
        line 1, column 17: `input` of `a` is more than $1,000 per million tokens; if it is meant per million, add "unit": "1M"
        line 1, column 32: `output` of `a` has more places than a price can have and was rounded"#]]
    .assert_eq(&warnings.join("\n"));
}

#[track_caller]
fn finds(keys: &[&str], provider: Option<&str>, model: &str, wanted: Option<(&str, &str)>) {
    let mut overrides = Overrides::default();
    for key in keys {
        overrides.insert(
            key,
            OverrideRates {
                input: Some(1),
                ..OverrideRates::default()
            },
        );
    }
    let found = overrides
        .find(provider, model)
        .map(|found| (found.key, found.rule));
    assert_eq!(found, wanted, "{provider:?} {model}");
}

#[test]
fn names_are_matched_by_the_rules_alone() {
    finds(
        &["gpt-4o", "openai/gpt-4o"],
        Some("openai"),
        "GPT-4o",
        Some(("openai/gpt-4o", "exact provider/model")),
    );
    finds(
        &["gemini/gemini-2.5-pro"],
        Some("gcp.vertex_ai"),
        "gemini-2.5-pro",
        Some(("gemini/gemini-2.5-pro", "exact provider/model")),
    );
    finds(
        &["gpt-4o"],
        Some("openai"),
        "gpt-4o",
        Some(("gpt-4o", "exact model")),
    );
    finds(
        &["gpt-4o"],
        None,
        "openai/gpt-4o",
        Some(("gpt-4o", "prefix stripped")),
    );
    finds(
        &["gemini-2.5-flash"],
        None,
        "models/gemini-2.5-flash-001",
        Some(("gemini-2.5-flash", "version suffix stripped")),
    );
    finds(
        &["claude-sonnet-4-5"],
        Some("bedrock"),
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        Some(("claude-sonnet-4-5", "version suffix stripped")),
    );
    finds(
        &["claude-sonnet-4.5"],
        Some("litellm"),
        "openrouter/anthropic/claude-sonnet-4.5",
        Some(("claude-sonnet-4.5", "prefix stripped")),
    );
    finds(
        &["claude-opus-5"],
        Some("bedrock"),
        "eu.anthropic.claude-opus-5",
        Some(("claude-opus-5", "region stripped")),
    );
    finds(
        &["claude-3-5-sonnet"],
        None,
        "claude-3-5-sonnet-latest",
        Some(("claude-3-5-sonnet", "version suffix stripped")),
    );
    finds(&["gpt-4"], None, "gpt-4o", None);
    finds(&["gpt-4o"], None, "gpt-4o-mini", None);
    finds(&["gpt-4"], None, "gpt-4-0613", None);
    finds(&["gpt-4o-2024-08-06"], None, "gpt-4o", None);
    finds(&["groq/llama"], Some("together"), "llama", None);
}

#[test]
fn a_fine_tune_never_takes_the_price_of_its_base() {
    finds(&["gpt-4o"], Some("openai"), "ft:gpt-4o-2024-08-06:org::id", None);
    finds(
        &["gpt-4o", "ft:gpt-4o"],
        None,
        "ft:gpt-4o-2024-08-06:org::id",
        Some(("ft:gpt-4o", "version suffix stripped")),
    );
    finds(
        &["ft:gpt-4o-2024-08-06"],
        None,
        "ft:gpt-4o-2024-08-06:org::id",
        Some(("ft:gpt-4o-2024-08-06", "fine-tuned base")),
    );
    finds(
        &["ft:gpt-4o:org::id"],
        None,
        "ft:gpt-4o:org::id",
        Some(("ft:gpt-4o:org::id", "exact model")),
    );
}

#[test]
fn no_text_breaks_the_reader() {
    arbtest::arbtest(|u| {
        let text: String = u.arbitrary()?;
        let _ = Overrides::parse(&text);
        let _ = Overrides::parse(&format!("{{\"m\": {{\"input\": {text}}}}}"));
        let _ = Overrides::parse(&format!("{{{text}: {{\"{text}\": 1}}}}"));
        Ok(())
    });
}

#[test]
fn the_further_kinds_are_read_too() {
    let overrides = read(
        r#"{"m": {"unit": "1M", "input": 1, "output": 2, "input_audio": 3, "input_image": 4, "output_audio": 5,
            "output_image": 6, "web_search": 0.01, "request": 0.005, "max_output_tokens": 8192}}"#,
    );
    let rates = overrides.get("m").unwrap();
    let card = rates.card();
    let rate = |kind| card.get(kind);
    assert_eq!(rate(RateKind::InputAudio), Some(3_000_000_000));
    assert_eq!(rate(RateKind::InputImage), Some(4_000_000_000));
    assert_eq!(rate(RateKind::OutputAudio), Some(5_000_000_000));
    assert_eq!(rate(RateKind::OutputImage), Some(6_000_000_000));
    assert_eq!(rate(RateKind::WebSearch), Some(10_000_000_000), "a cent each");
    assert_eq!(rate(RateKind::Request), Some(5_000_000_000));
    assert_eq!(rates.max_output_tokens, Some(8_192));
    refuses(
        "{\"a\": {\"input\": 1, \"max_output_tokens\": 0.5}}",
        expect![
            "line 1, column 41: `max_output_tokens` of `a` must be a whole number of tokens from 1, such as 8192"
        ],
    );
    refuses(
        "{\"a\": {\"max_output_tokens\": 5}}",
        expect![[r#"line 1, column 7: `a` has no rate; write at least "input" and "output""#]],
    );
}
