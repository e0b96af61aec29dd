//! Which templates are hidden.

use expect_test::expect;

use super::{Masked, bare_templates};

#[test]
fn bare_templates_are_hidden_and_others_are_not() {
    let mut found = String::new();
    for text in [
        "{x: ${a.b}, y: [${c}, d${e}]}",
        "a: \"${b}\"\nc: '${d}' \ne: ${f}",
        "a: don't ${b} 'x'",
        "a: ${b ?? \"}\"} # ${c}",
        "a: |\n  \"${b}\n  it's\nc: ${d}",
        "- a: >-\n    ${b}\n  c: ${d}",
        "a: ${b[${c}].d}",
        "a: ${never closed",
        "a: $${b}",
        "'it''s ${a}': ${b}",
    ] {
        let hidden: Vec<&str> = bare_templates(text)
            .into_iter()
            .map(|range| &text[range])
            .collect();
        found.push_str(&format!("{text:?}\n  {hidden:?}\n"));
    }
    expect![[r#"
        "{x: ${a.b}, y: [${c}, d${e}]}"
          ["${a.b}", "${c}", "${e}"]
        "a: \"${b}\"\nc: '${d}' \ne: ${f}"
          ["${f}"]
        "a: don't ${b} 'x'"
          ["${b}"]
        "a: ${b ?? \"}\"} # ${c}"
          ["${b ?? \"}\"}"]
        "a: |\n  \"${b}\n  it's\nc: ${d}"
          ["${d}"]
        "- a: >-\n    ${b}\n  c: ${d}"
          ["${d}"]
        "a: ${b[${c}].d}"
          ["${b[${c}].d}"]
        "a: ${never closed"
          []
        "a: $${b}"
          ["${b}"]
        "'it''s ${a}': ${b}"
          ["${b}"]
    "#]]
    .assert_eq(&found);
}

#[test]
fn a_mask_is_as_long_as_its_template_and_comes_off() {
    let text = "a: x${b.c}y ${} \u{e000}${d}";
    let masked = Masked::new(text);
    assert_eq!(masked.text.len(), text.len());
    assert!(!masked.text.contains("${"));
    let value = masked.text[3..].to_owned();
    assert_eq!(masked.unmask(value.into(), 3), &text[3..]);
}
