//! Edits of price files: what is asked for changes, and nothing else.

use expect_test::{Expect, expect};

use super::*;
use crate::Overrides;

fn set<'a>(key: &'a str, value: &'a str) -> RateChange<'a> {
    RateChange {
        key,
        value: Some(value),
    }
}

#[track_caller]
fn edits(text: &str, model: &str, changes: &[RateChange<'_>], unit: PriceUnit, wanted: Expect) {
    wanted.assert_eq(&edit_prices(text, model, changes, unit).unwrap());
}

#[test]
fn a_new_file_is_made() {
    edits(
        "",
        "gpt-4o",
        &[set("input", "0.0025"), set("output", "0.01")],
        PriceUnit::PerThousand,
        expect![[r#"
            {
              "gpt-4o": {"input": 0.0025, "output": 0.01}
            }
        "#]],
    );
    edits(
        "{}",
        "m\"x",
        &[set("input", "2.5")],
        PriceUnit::PerMillion,
        expect![[r#"
            {
              "m\"x": {"unit": "1M", "input": 2.5}
            }"#]],
    );
}

const FILE: &str = "{\n    \"b\":   {\"input\": 1,   \"output\":2},\n    \"GPT-4o\": {\n        \"unit\": \"1M\",\n        \"input\": 2.50,\n        \"cache_read\": 1\n    }\n}\n";

#[test]
fn what_is_not_asked_for_stays_as_it_is() {
    edits(
        FILE,
        "gpt-4o",
        &[set("input", "3"), set("output", "15")],
        PriceUnit::PerMillion,
        expect![[r#"
            {
                "b":   {"input": 1,   "output":2},
                "GPT-4o": {
                    "unit": "1M",
                    "input": 3,
                    "cache_read": 1,
                    "output": 15
                }
            }
        "#]],
    );
    edits(
        FILE,
        "b",
        &[
            RateChange {
                key: "input",
                value: None,
            },
            set("max_output_tokens", "8192"),
            set("web_search", "0.01"),
        ],
        PriceUnit::PerMillion,
        expect![[r#"
            {
                "b":   {"output":2, "max_output_tokens": 8192, "web_search": 0.01},
                "GPT-4o": {
                    "unit": "1M",
                    "input": 2.50,
                    "cache_read": 1
                }
            }
        "#]],
    );
    edits(
        FILE,
        "c",
        &[set("input", "1"), set("output", "1")],
        PriceUnit::PerThousand,
        expect![[r#"
            {
                "b":   {"input": 1,   "output":2},
                "GPT-4o": {
                    "unit": "1M",
                    "input": 2.50,
                    "cache_read": 1
                },
                "c": {"input": 1, "output": 1}
            }
        "#]],
    );
}

#[test]
fn values_are_converted_to_the_unit_of_the_entry() {
    let text = edit_prices(
        FILE,
        "gpt-4o",
        &[set("output", "0.00015")],
        PriceUnit::PerThousand,
    )
    .unwrap();
    assert!(text.contains("\"output\": 0.15"), "{text}");
    let text = edit_prices(FILE, "b", &[set("output", "2.5")], PriceUnit::PerMillion).unwrap();
    assert!(text.contains("\"output\":0.0025"), "{text}");
    let rates = Overrides::parse(&text).unwrap().0;
    assert_eq!(rates.get("b").unwrap().output, Some(2_500_000_000));
}

#[test]
fn wrong_changes_are_refused() {
    let refused = |text, model, change| {
        edit_prices(text, model, &[change], PriceUnit::PerThousand)
            .unwrap_err()
            .to_string()
    };
    expect!["`inptu` is no rate; did you mean `input`?"].assert_eq(&refused("", "m", set("inptu", "1")));
    expect![
        "`-1` is no value for `input`; give a number of dollars such as 0.003, or of tokens such as 8192"
    ]
    .assert_eq(&refused("", "m", set("input", "-1")));
    expect![
        "`cheap` is no value for `input`; give a number of dollars such as 0.003, or of tokens such as 8192"
    ]
    .assert_eq(&refused("", "m", set("input", "cheap")));
    expect!["a model's name is missing; give the name that the provider uses, such as gpt-4o"]
        .assert_eq(&refused("", " ", set("input", "1")));
    expect!["the price file is not right as it stands; mend it first: line 1, column 1: this is no JSON: EOF while parsing an object; check for a missing quote, brace or comma, or one comma too many"]
        .assert_eq(&refused("{", "m", set("input", "1")));
    let emptied = refused(
        r#"{"m": {"input": 1}}"#,
        "m",
        RateChange {
            key: "input",
            value: None,
        },
    );
    assert!(emptied.contains("no rate"), "{emptied}");
}

#[test]
fn whatever_is_set_is_read_back() {
    arbtest::arbtest(|u| {
        let model: String = u.arbitrary::<String>()?;
        if model.trim().is_empty() {
            return Ok(());
        }
        let value = format!(
            "{}.{:04}",
            u.int_in_range(0..=500_u32)?,
            u.int_in_range(0..=9_999_u32)?
        );
        let unit = *u.choose(&[PriceUnit::PerThousand, PriceUnit::PerMillion])?;
        let before = *u.choose(&["", FILE, "{\"b\": {\"output\": 1}}", "\u{feff}{ }"])?;
        let text = edit_prices(before, &model, &[set("input", &value)], unit).unwrap();
        let rates = *Overrides::parse(&text).unwrap().0.get(&model).unwrap();
        assert_eq!(rates.input, Some(scale(&value, unit.shift()).unwrap().nanos));
        Ok(())
    });
}

#[test]
fn a_model_can_be_taken_out_and_the_rest_stays_as_it_is() {
    let text =
        "{\n  \"a\": {\"input\": 1},\n  \"GPT-4o\": {\"input\": 0.003},\n  \"z\": {\"output\": 2e-3}\n}\n";
    let without = remove_price(text, "gpt-4o").unwrap().unwrap();
    assert_eq!(
        without,
        "{\n  \"a\": {\"input\": 1},\n  \"z\": {\"output\": 2e-3}\n}\n"
    );
    assert_eq!(remove_price(&without, "gpt-4o"), Ok(None));
    assert_eq!(remove_price("", "gpt-4o"), Ok(None));
    let last = remove_price("{\"m\": {\"input\": 1}}", "m").unwrap().unwrap();
    assert!(Overrides::parse(&last).unwrap().0.is_empty());
    assert!(remove_price("{,}", "m").is_err());
}
