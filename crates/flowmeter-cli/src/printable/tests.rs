//! Texts cut to a width, and without what a terminal would act on.

use super::*;

#[test]
fn a_text_is_cut_at_either_end() {
    assert_eq!(cut_end("summarize", 9), "summarize");
    assert_eq!(cut_end("summarize", 5), "summ…");
    assert_eq!(cut_start("outer/inner/ask", 8), "…ner/ask");
    assert_eq!(cut_end("summarize", 1), "…");
    assert_eq!(cut_end("summarize", 0), "");
    assert_eq!(cut_start("summarize", 0), "");
}

#[test]
fn wide_characters_are_never_cut_in_two() {
    assert_eq!(cut_end("总结文档", 5), "总结…");
    assert_eq!(cut_end("总结文档", 6), "总结…");
    assert_eq!(cut_start("总结文档", 6), "…文档");
    assert_eq!(cut_end("👩‍👩‍👧 family", 3), "👩‍👩‍👧…");
}

#[test]
fn nothing_steers_the_terminal() {
    assert_eq!(printable("a\u{1b}[31mb\r\nc\td"), "a\u{fffd}[31mb\nc    d");
    assert_eq!(one_line("a\n  b\tc\u{7}"), "a b c\u{fffd}");
    assert_eq!(one_line("\u{202e}abc"), "\u{fffd}abc");
    assert!(matches!(one_line("plain text"), Cow::Borrowed(_)));
}
