//! Differences of texts, line by line.

use super::*;

#[test]
fn only_what_differs_is_shown() {
    let before = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n会议记录";
    let after = "one\ntwo\nthree\nFOUR\nfive\nsix\nseven\n会议纪要\nnew";
    let lines = diff_lines(before, after, false, false);
    assert_eq!(
        lines,
        [
            "  three",
            "- four",
            "+ FOUR",
            "  five",
            "  …",
            "  seven",
            "- 会议记录",
            "+ 会议纪要",
            "+ new"
        ]
    );
    assert_eq!(diff_lines("same", "same", false, false), Vec::<String>::new());
    assert_eq!(unified("same", "same"), None);
    assert_eq!(unified("a", "b").as_deref(), Some("@@ -1 +1 @@\n-a\n+b\n"));
}

#[test]
fn long_differences_are_cut_unless_all_is_wanted() {
    let many: String = (0..100).map(|number| format!("{number}\n")).collect();
    assert_eq!(diff_lines("", &many, false, false).len(), LINES_SHOWN + 1);
    assert_eq!(diff_lines("", &many, true, false).len(), 100);
}

#[test]
fn changed_words_stand_out_in_colour() {
    let lines = diff_lines("summarise the text", "summarise the whole text", false, true).join("\n");
    assert!(lines.contains("\u{1b}["), "{lines:?}");
    // Words that stayed are not emphasised.
    assert!(lines.contains("summarise"), "{lines:?}");
}
