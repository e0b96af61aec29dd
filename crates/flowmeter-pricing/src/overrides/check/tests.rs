//! Findings about price files.

use expect_test::{Expect, expect};

use super::*;

/// 2026-11-01T00:00:00Z.
const NOVEMBER_2026: TimestampNs = TimestampNs(1_793_491_200_000_000_000);

#[track_caller]
fn checks(text: &str, wanted: Expect) {
    let findings = PriceBook::bundled().check(text, NOVEMBER_2026);
    let shown: Vec<_> = findings
        .iter()
        .map(|found| {
            format!(
                "{} {}:{} {}\n",
                found.severity.as_str(),
                found.line,
                found.column,
                found.message
            )
        })
        .collect();
    wanted.assert_eq(&shown.concat());
}

#[test]
fn a_right_file_has_nothing_said_about_it() {
    for text in [
        r#"{"gpt-4o": {"input": 0.0025, "output": 0.01, "cache_read": 0.00125}}"#,
        r#"{"openai/gpt-4o": {"unit": "1M", "input": 2.5, "output": 10, "web_search": 0.01, "max_output_tokens": 16384},
            "claude-sonnet-4-5": {"unit": "1M", "input": 3, "output": 15, "cache_write": 3.75, "cache_write_1h": 6},
            "text-embedding-3-small": {"unit": "1M", "input": 0.02},
            "llama-3.3-70b-versatile": {"unit": "1M", "input": 0.59, "output": 0.79},
            "ollama/llama3": {"input": 0, "output": 0}}"#,
    ] {
        checks(text, expect![[""]]);
    }
}

#[test]
fn a_unit_mistake_is_found_in_both_directions() {
    checks(
        r#"{"gpt-4o": {"input": 2.5, "output": 10}}"#,
        expect![[r#"
            warning 1:22 `input` of `gpt-4o` is 1000 times dearer than openai/gpt-4o in the price book: it looks like dollars per million tokens; add "unit": "1M" to this model
            warning 1:37 `output` of `gpt-4o` is 1000 times dearer than openai/gpt-4o in the price book: it looks like dollars per million tokens; add "unit": "1M" to this model
        "#]],
    );
    checks(
        r#"{"gpt-4o": {"unit": "1M", "input": 0.0025, "output": 0.01}}"#,
        expect![[r#"
            warning 1:36 `input` of `gpt-4o` is 1000 times cheaper than openai/gpt-4o in the price book: it looks like dollars per 1,000 tokens; remove "unit": "1M" from this model
            warning 1:54 `output` of `gpt-4o` is 1000 times cheaper than openai/gpt-4o in the price book: it looks like dollars per 1,000 tokens; remove "unit": "1M" from this model
        "#]],
    );
    checks(
        r#"{"gpt-4o": {"input": 0.0000025, "output": 0.00001}}"#,
        expect![[r#"
            warning 1:22 `input` of `gpt-4o` is 1000 times cheaper than openai/gpt-4o in the price book: rates are dollars per 1,000 tokens; this one looks like dollars per token
            warning 1:43 `output` of `gpt-4o` is 1000 times cheaper than openai/gpt-4o in the price book: rates are dollars per 1,000 tokens; this one looks like dollars per token
        "#]],
    );
    checks(
        r#"{"gpt-4o": {"unit": "1M", "input": 2.5, "output": 10, "web_search": 10}}"#,
        expect![[r#"
            warning 1:69 `web_search` of `gpt-4o` is 1000 times dearer than openai/gpt-4o in the price book: it is dollars for one, not for a thousand
        "#]],
    );
}

#[test]
fn a_name_that_nobody_has_gets_the_nearest() {
    checks(
        "{\"gpt-4oo\": {\"input\": 0.0025, \"output\": 0.01},\n\"opneai/gpt-4o\": {\"input\": 0.0025, \"output\": 0.01},\n\"our-own-model\": {\"input\": 0.0025, \"output\": 0.01}}",
        expect![[r#"
            warning 1:2 no model of the price book is called `gpt-4oo`: if it is a model of your own all is well; did you mean `openai/gpt-4o`?
            warning 2:1 `opneai` in `opneai/gpt-4o` is no provider that is known; did you mean `openai/gpt-4o`?
            hint 3:1 no model of the price book is called `our-own-model`: it holds for a model of your own
        "#]],
    );
    checks(
        "{\"gpt-4*\": {\"input\": 0.0025, \"output\": 0.01},\n\"GPT 4o\": {\"input\": 0.0025, \"output\": 0.01},\n\"https://api.openai.com/v1\": {\"input\": 0.0025, \"output\": 0.01}, \"openai/\": {\"input\": 0.0025, \"output\": 0.01}}",
        expect![[r#"
            warning 1:2 `gpt-4*` can never match: names are compared whole, there are no wildcards; write each model's name, a date at its end may be left out
            warning 2:1 `GPT 4o` can never match: a model's name has no spaces; did you mean `gpt-4o`?
            warning 3:1 `https://api.openai.com/v1` can never match: it is an address; write the model's name
            warning 3:65 `openai/` can never match: a name does not begin or end with `/`; write `provider/model`
        "#]],
    );
}

#[test]
fn every_mistake_is_found_and_not_only_the_first() {
    checks(
        "{\n  \"a-model\": {\"input\": -1, \"output\": \"0.01\"},\n  \"b-model\": {\"inptu\": 1, \"output\": 1, \"output\": 2},\n  \"openai\": {\"gpt-4o\": {\"input\": 1}},\n  \"unit\": \"1M\",\n  \"c-model\": {\"unit\": \"per token\", \"input\": 1, \"output\": 2000},\n  \"d-model\": 5,\n  \"d-model\": {\"input\": null}\n}",
        expect![[r#"
            error 2:24 `input` of `a-model` is negative; write 0 for what costs nothing
            error 2:38 `output` of `a-model` must be a number of dollars but is text in quotes; write it without quotes, such as 0.003
            warning 3:3 `b-model` has no `input`: its calls are priced in part only; write 0 for what costs nothing
            hint 3:3 no model of the price book is called `b-model`: it holds for a model of your own
            error 3:15 `b-model` has the unknown key `inptu`; did you mean `input`? the keys are input, output, cache_read, cache_write, cache_write_1h, reasoning, input_audio, input_image, output_audio, output_image, web_search, request, max_output_tokens and unit
            error 3:40 `output` of `b-model` stands twice (upper and lower case are the same); remove one of the two
            error 4:14 `gpt-4o` inside `openai` is an object: models stand at the top level; write it as "openai/gpt-4o" there
            error 5:11 "unit" at the top level means nothing; write it into each model, beside its rates
            hint 6:3 no model of the price book is called `c-model`: it holds for a model of your own
            error 6:23 the unit of `c-model` must be "1K" (dollars per 1,000 tokens, the default) or "1M" (per million)
            warning 6:58 `output` of `c-model` is more than $1,000 per million tokens; if it is meant per million, add "unit": "1M"
            error 7:14 the prices of `d-model` must be an object but are a number; write {"input": 0.001, "output": 0.002}
            error 8:3 `d-model` stands twice (upper and lower case are the same); remove one of the two
            error 8:24 `input` of `d-model` must be a number of dollars but is null; write it without quotes, such as 0.003
        "#]],
    );
}

#[test]
fn a_rate_that_cannot_be_read_is_not_missing_as_well() {
    checks(
        "{\"gpt-4o\": {\"input\": \"0.0025\", \"output\": 0.01},\n\"gpt-4o-mini\": {\"unit\": \"1M\", \"output\": 0.6}}",
        expect![[r#"
            error 1:22 `input` of `gpt-4o` must be a number of dollars but is text in quotes; write it without quotes, such as 0.003
            hint 2:1 `gpt-4o-mini` has no `input`: that of openai/gpt-4o-mini in the price book is used
        "#]],
    );
}

#[test]
fn odd_rates_are_asked_about() {
    checks(
        r#"{"own-1": {"unit": "1M", "input": 1, "output": 0.5, "cache_read": 2, "cache_write": 3, "cache_write_1h": 2},
"own-2": {"unit": "1M", "input": 1}, "own-3": {"unit": "1M", "output": 1}, "own-4": {"unit": "1M", "input": 0, "output": 1},
"own-5": {"input": 0, "output": 0, "max_output_tokens": 100000000}}"#,
        expect![[r#"
            hint 1:2 no model of the price book is called `own-1`: it holds for a model of your own
            warning 1:48 `output` of `own-1` is cheaper than `input`: are the two the wrong way round?
            warning 1:67 `cache_read` of `own-1` is dearer than `input`: reading from a cache saves money everywhere
            warning 1:106 `cache_write_1h` of `own-1` is cheaper than `cache_write`: are the two the wrong way round?
            warning 2:1 `own-2` has no `output`: its calls are priced in part only; write 0 for what costs nothing
            hint 2:1 no model of the price book is called `own-2`: it holds for a model of your own
            warning 2:38 `own-3` has no `input`: its calls are priced in part only; write 0 for what costs nothing
            hint 2:38 no model of the price book is called `own-3`: it holds for a model of your own
            hint 2:76 no model of the price book is called `own-4`: it holds for a model of your own
            hint 2:109 `input` of `own-4` is 0: such tokens count as free
            warning 3:1 `max_output_tokens` of `own-5` is more than any model can give in one answer
            hint 3:1 every rate of `own-5` is 0: its calls count as free and are not held back by a budget
            hint 3:1 no model of the price book is called `own-5`: it holds for a model of your own
        "#]],
    );
}

#[test]
fn text_that_is_no_json_says_where() {
    checks(
        "{\"a\": {\"input\": 0.1,}}",
        expect![[r#"
        error 1:21 this is no JSON: trailing comma; check for a missing quote, brace or comma, or one comma too many
    "#]],
    );
    checks(
        "\u{feff}{}",
        expect![[r#"
        hint 1:1 the file begins with a byte-order mark; save it as UTF-8 without one
        hint 1:1 the file has no model in it; write {"my-model": {"input": 0.001, "output": 0.002}}
    "#]],
    );
    checks(
        "",
        expect![[r#"
        error 1:1 this is no JSON: EOF while parsing a value; check for a missing quote, brace or comma, or one comma too many
    "#]],
    );
    checks(
        "[]",
        expect![[r#"
        error 1:1 expected an object of models but found a list; write it as {"my-model": {"input": 0.001, "output": 0.002}}
    "#]],
    );
    checks(
        "{\"a\": {\"input\": 0,003}}",
        expect![[r#"
        error 1:19 this is no JSON: key must be a string; check for a missing quote, brace or comma, or one comma too many
    "#]],
    );
    checks(
        "{'a': {'input': 1}}",
        expect![[r#"
        error 1:2 this is no JSON: key must be a string; check for a missing quote, brace or comma, or one comma too many
    "#]],
    );
    checks(
        "{\"a\": {\"input\": NaN}} // prices",
        expect![[r#"
        error 1:17 this is no JSON: expected value; check for a missing quote, brace or comma, or one comma too many
    "#]],
    );
}

#[test]
fn no_text_breaks_the_check() {
    let book = PriceBook::bundled();
    arbtest::arbtest(|u| {
        let text: String = u.arbitrary()?;
        let _ = book.check(&text, NOVEMBER_2026);
        let _ = book.check(&format!("{{\"{text}\": {{\"input\": 1}}}}"), NOVEMBER_2026);
        Ok(())
    })
    .budget_ms(1_500);
}
