//! Telling code, comments and literals apart, and finding what was left unfinished.

use super::{check, identifier_after, lex, lines_with};
use crate::tidy::source::SourceFile;

fn code(text: &str) -> String {
    lex(text).code
}

#[test]
fn literals_and_comments_are_not_code() {
    for text in [
        "// word",
        "/// word",
        "/* a /* word */ word */",
        "\"word\"",
        "\"a\\\" word\"",
        "b\"word\"",
        "r\"word\"",
        "r#\"a\" word\"#",
        "br##\"a\"# word\"##",
        "\"a\nword\n\"",
        "/* never closed word",
        "\"never closed word\\",
    ] {
        assert!(!code(text).contains("word"), "{text}");
    }
}

#[test]
fn code_around_literals_stays_code() {
    for text in [
        "'\"'; word; '\"'",
        "'\\''; word",
        "fn f<'a>(x: &'a str) { word }",
        "r#type; word",
        "\"\\\\\"; word",
        "/* */ word",
        "for\nword",
        "r\"\\\"; word",
        "b'\"'; word",
    ] {
        assert!(code(text).contains("word"), "{text}");
    }
}

#[test]
fn lines_stay_where_they_are() {
    let lexed = lex("a\n/* b\nc */ d\n\"e\nf\"\ng // h\n");
    assert_eq!(lines_with(&lexed.code, "d"), [3]);
    assert_eq!(lines_with(&lexed.code, "g"), [6]);
    assert_eq!(lines_with(&lexed.comments, "c"), [3]);
    assert_eq!(lines_with(&lexed.comments, "h"), [6]);
}

#[test]
fn words_stand_alone() {
    assert_eq!(lines_with("eprint!(1)\nprint!(1)", "print!"), [2]);
    assert_eq!(
        lines_with("env::vars()\nenv::var(x)\nstd::env::var(x)", "env::var"),
        [2, 3]
    );
    assert_eq!(lines_with("my_genai::x\n::genai::x", "genai::"), [2]);
}

#[test]
fn identifiers_follow_keywords() {
    assert_eq!(identifier_after("pub mod x {", "mod"), Some(("x", " {")));
    assert_eq!(identifier_after("let module = 1;", "mod"), None);
    assert_eq!(identifier_after("mod", "mod"), None);
}

#[test]
fn unfinished_code_is_found() {
    let findings = |text: &str| check(&[SourceFile::new("crates/a/src/b.rs", text)]);
    let text = "//! About.\nfn f() { todo!() }\nfn g() { dbg!(1); unimplemented!() }\n// FIXME: later\n/* XXX */\n// HACK\n";
    let mut lines: Vec<usize> = findings(text).iter().map(|finding| finding.line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 3, 3, 4, 5, 6]);
    assert_eq!(
        findings("//! About.\nconst A: &str = \"todo!( FIXME\"; // sk-XXXX, HACKED\n"),
        []
    );
}
