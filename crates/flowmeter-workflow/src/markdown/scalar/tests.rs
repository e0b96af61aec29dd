//! The table of words, numbers and quotes.

use expect_test::expect;

use super::{of_line, of_yaml};

#[test]
fn values_on_one_line() {
    let written = [
        "",
        "~",
        "null",
        "NULL",
        "nUll",
        "yes",
        "On",
        "FALSE",
        "y",
        "oN",
        "5",
        "+5",
        "-0",
        "010",
        "00",
        "1_000",
        "0x1f",
        "1:30",
        "1.",
        ".5",
        "-.5",
        "1.5e3",
        "1.0e+3",
        "1e3",
        ".",
        "-",
        "+",
        "1.5.2",
        "1.e",
        "nan",
        ".inf",
        "18446744073709551615",
        "-9223372036854775808",
        "99999999999999999999",
        "\"5\"",
        "'it''s'",
        "\"a\\nb\\t\"",
        "\"\\u00e9\"",
        "\"a\" and \"b\"",
        "http://x#y",
        "a: b # c",
        "| x",
        "- x",
        "*x",
        "\"open",
        "'a' # c",
        "\"a\\\"",
        "\"",
        "ü",
    ];
    let mut read = String::new();
    for text in written {
        let value = match of_line(text) {
            Ok(value) => value.to_string(),
            Err(bad) => format!("{bad:?}"),
        };
        read.push_str(&format!("{text:?} {value}\n"));
    }
    expect![[r#"
        "" null
        "~" null
        "null" null
        "NULL" null
        "nUll" "nUll"
        "yes" true
        "On" true
        "FALSE" false
        "y" "y"
        "oN" "oN"
        "5" 5
        "+5" 5
        "-0" 0
        "010" 10
        "00" 0
        "1_000" "1_000"
        "0x1f" "0x1f"
        "1:30" "1:30"
        "1." 1.0
        ".5" 0.5
        "-.5" -0.5
        "1.5e3" 1500.0
        "1.0e+3" 1000.0
        "1e3" "1e3"
        "." "."
        "-" "-"
        "+" "+"
        "1.5.2" "1.5.2"
        "1.e" "1.e"
        "nan" "nan"
        ".inf" ".inf"
        "18446744073709551615" 18446744073709551615
        "-9223372036854775808" -9223372036854775808
        "99999999999999999999" 1e+20
        "\"5\"" "5"
        "'it''s'" "it's"
        "\"a\\nb\\t\"" "a\nb\t"
        "\"\\u00e9\"" "\\u00e9"
        "\"a\" and \"b\"" "a\" and \"b"
        "http://x#y" "http://x#y"
        "a: b # c" "a: b # c"
        "| x" "| x"
        "- x" "- x"
        "*x" "*x"
        "\"open" OpenQuote('"')
        "'a' # c" OpenQuote('\'')
        "\"a\\\"" OpenQuote('"')
        "\"" OpenQuote('"')
        "ü" "ü"
    "#]]
    .assert_eq(&read);
}

#[test]
fn plain_scalars_of_yaml() {
    let written = [
        "",
        "~",
        "yes",
        "off",
        "y",
        "010",
        "08",
        "0777",
        "1_000",
        "0x1F",
        "0b11",
        "0b2",
        "0o17",
        "1:30",
        "1:60",
        "1:30:00",
        "1.",
        ".5",
        "1e3",
        "1.5e3",
        "1.5e+3",
        "1_0.5",
        "-1.5",
        "2024-01-01",
        ".inf",
        "+5",
        "_1",
        "0x",
        "1__0",
        "-",
    ];
    let mut read = String::new();
    for text in written {
        read.push_str(&format!("{text:?} {}\n", of_yaml(text)));
    }
    expect![[r#"
        "" null
        "~" null
        "yes" true
        "off" false
        "y" "y"
        "010" 8
        "08" "08"
        "0777" 511
        "1_000" 1000
        "0x1F" 31
        "0b11" 3
        "0b2" "0b2"
        "0o17" "0o17"
        "1:30" 90
        "1:60" "1:60"
        "1:30:00" 5400
        "1." 1.0
        ".5" 0.5
        "1e3" "1e3"
        "1.5e3" "1.5e3"
        "1.5e+3" 1500.0
        "1_0.5" 10.5
        "-1.5" -1.5
        "2024-01-01" "2024-01-01"
        ".inf" ".inf"
        "+5" 5
        "_1" "_1"
        "0x" "0x"
        "1__0" 10
        "-" "-"
    "#]]
    .assert_eq(&read);
}
