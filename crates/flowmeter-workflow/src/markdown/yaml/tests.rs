//! YAML with its places.

use expect_test::expect;
use serde_json::json;

use super::YamlText;
use crate::markdown::located::offset_of;
use crate::problem::Anchor;

fn read(text: &str) -> String {
    let mut yaml = YamlText::default();
    let mut start = 100;
    for line in text.split('\n') {
        yaml.push(line, start);
        start += line.len() + 3;
    }
    let mut complaints = Vec::new();
    let value = yaml.read(&mut complaints);
    let mut told = value.map_or_else(|| "nothing".to_owned(), |located| located.value.to_string());
    for complaint in complaints {
        told.push_str(&format!(
            "\n  {}: {}; {}",
            complaint.offset,
            complaint.message,
            complaint.help.unwrap_or_default()
        ));
    }
    format!("{told}\n")
}

#[test]
fn values_and_mistakes() {
    let mut told = String::new();
    for text in [
        "",
        "a: 1\nb: [x, 'y', \"z\\n\"]\nc:\n  - {d: ${e.f}}",
        "a: |\n  one\n  two",
        "a: |\n  one\nb: >\n  two\n  three\n\n  four",
        "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2",
        "a: 1\na: 2",
        "a: !!str 5\nb: !!int \"5\"",
        "a: !custom x",
        "a: [1, 2",
        "a: {b: 1",
        "a: [1 2]",
        "a:\n\t- b",
        "a: 1\n  b: 2",
        "a: b: c",
        "? [a, b]\n: c",
        "a: *nowhere",
        "a: 1\n---\nb: 2",
        "a: @b",
        "a: \"open",
        "- a\nb: c",
        "yes: no\n5: 6\n~: x",
    ] {
        told.push_str(&format!("{text:?}\n{}", read(text)));
    }
    expect![[r#"
        ""
        null
        "a: 1\nb: [x, 'y', \"z\\n\"]\nc:\n  - {d: ${e.f}}"
        {"a":1,"b":["x","y","z\n"],"c":[{"d":"${e.f}"}]}
        "a: |\n  one\n  two"
        {"a":"one\ntwo"}
        "a: |\n  one\nb: >\n  two\n  three\n\n  four"
        {"a":"one\n","b":"two three\nfour"}
        "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2"
        {"a":{"b":1},"c":{"b":1},"d":{"e":2,"b":1}}
        "a: 1\na: 2"
        {"a":2}
          107: the key `a` is given twice; 
        "a: !!str 5\nb: !!int \"5\""
        {"a":"5","b":5}
        "a: !custom x"
        nothing
          111: this YAML tag has no meaning here; quote a text that begins with `!`
        "a: [1, 2"
        nothing
          103: a `[` is never closed; close the list with `]`
        "a: {b: 1"
        nothing
          103: a `{` is never closed; close the object with `}`
        "a: [1 2]"
        {"a":["1 2"]}
        "a:\n\t- b"
        nothing
          106: a tab indents this line; YAML is indented with spaces: replace the tab by spaces
        "a: 1\n  b: 2"
        nothing
          110: a second colon in one line; quote a value that has `: ` in it
        "a: b: c"
        nothing
          104: a second colon in one line; quote a value that has `: ` in it
        "? [a, b]\n: c"
        nothing
          102: a list or object cannot be a key; a template as a value stands in quotes here: "${node.key}"
        "a: *nowhere"
        nothing
          103: this alias names no anchor above it; quote a text that begins with `*`
        "a: 1\n---\nb: 2"
        nothing
          107: a second YAML document begins here; remove the line `---`, or quote the text
        "a: @b"
        nothing
          103: a value cannot begin with `@`; quote it
        "a: \"open"
        nothing
          103: this quote is never closed; close it
        "- a\nb: c"
        nothing
          106: an element of the list is expected here; begin each element with `- ` in one column
        "yes: no\n5: 6\n~: x"
        {"yes":false,"5":6,"~":"x"}
    "#]]
    .assert_eq(&told);
}

#[test]
fn aliases_cannot_explode() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned();
    for level in 1..9 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("\na{level}: &a{level} [{inner}]"));
    }
    assert!(
        read(&text).contains("the aliases repeat too much"),
        "{}",
        read(&text)
    );
    let deep = "[".repeat(10_000);
    assert!(read(&deep).contains("nested too deeply"), "{}", read(&deep));
}

#[test]
fn templates_are_found_behind_escapes_and_folds() {
    let text = "a: \"x\\n${b}\"\nc: >\n  one\n  ${d} two ${e}\nf: 'it''s ${g}'";
    let yaml = YamlText::of_lines(&super::super::pieces::Line::all(text));
    let located = yaml.read(&mut Vec::new()).unwrap();
    assert_eq!(
        located.value,
        json!({"a": "x\n${b}", "c": "one ${d} two ${e}\n", "f": "it's ${g}"})
    );
    for (pointer, offset, wanted) in [
        ("/a", 2, "${b}"),
        ("/c", 4, "${d}"),
        ("/c", 13, "${e}"),
        ("/f", 5, "${g}"),
    ] {
        let at = offset_of(&located.spot, pointer, Anchor::Text(offset));
        assert_eq!(&text[at..at + 4], wanted, "{pointer}");
    }
}
