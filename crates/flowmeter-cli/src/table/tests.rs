//! Tables at several widths.

use expect_test::{Expect, expect};
use unicode_width::UnicodeWidthStr;

use super::*;

fn runs() -> Table {
    let mut table = Table::new(vec![
        Column::text("RUN"),
        Column::text("WORKFLOW").cut_end(10),
        Column::text(""),
        Column::text("STARTED"),
        Column::number("TIME"),
        Column::number("NODES").drops(3),
        Column::number("TOKENS").drops(2),
        Column::number("COST"),
        Column::text("SESSION").cut_end(8).drops(4),
        Column::text("TAGS").cut_end(8).drops(5),
    ]);
    table.row([
        "4bf92f35",
        "summarize-the-weekly-report-of-all-teams",
        "✓",
        "3 min ago",
        "2.3s",
        "12",
        "12,345",
        "~$0.0089",
        "",
        "env=prod team=search owner=somebody",
    ]);
    table.row([
        "00aa11bb",
        "总结所有团队的每周报告并翻译成英文",
        "✗",
        "yesterday 14:05",
        "1m 02s",
        "3",
        "98",
        "≥ $0.01 (+2 unpriced)",
        "",
        "",
    ]);
    table
}

fn check(width: Option<usize>, expected: Expect) {
    let text = runs().render(TableStyle {
        width,
        ..TableStyle::default()
    });
    for line in text.lines() {
        assert!(line.width() <= width.unwrap_or(usize::MAX), "{line:?}");
    }
    expected.assert_eq(&text);
}

#[test]
fn a_narrow_screen_cuts_texts_and_leaves_columns_out() {
    check(
        Some(80),
        expect![[r#"
        RUN       WORKFLOW        STARTED            TIME  TOKENS                   COST
        4bf92f35  summarize-…  ✓  3 min ago          2.3s  12,345               ~$0.0089
        00aa11bb  总结所有团…  ✗  yesterday 14:05  1m 02s      98  ≥ $0.01 (+2 unpriced)
    "#]],
    );
}

#[test]
fn more_room_shows_more() {
    check(
        Some(120),
        expect![[r#"
        RUN       WORKFLOW                  STARTED            TIME  NODES  TOKENS                   COST  TAGS
        4bf92f35  summarize-the-weekly…  ✓  3 min ago          2.3s     12  12,345               ~$0.0089  env=prod team=search…
        00aa11bb  总结所有团队的每周报…  ✗  yesterday 14:05  1m 02s      3      98  ≥ $0.01 (+2 unpriced)
    "#]],
    );
}

#[test]
fn a_wide_screen_shows_everything() {
    check(
        Some(200),
        expect![[r#"
        RUN       WORKFLOW                                     STARTED            TIME  NODES  TOKENS                   COST  TAGS
        4bf92f35  summarize-the-weekly-report-of-all-teams  ✓  3 min ago          2.3s     12  12,345               ~$0.0089  env=prod team=search owner=somebody
        00aa11bb  总结所有团队的每周报告并翻译成英文        ✗  yesterday 14:05  1m 02s      3      98  ≥ $0.01 (+2 unpriced)
    "#]],
    );
}

#[test]
fn what_is_piped_is_never_cut() {
    check(
        None,
        expect![[r#"
        RUN       WORKFLOW                                     STARTED            TIME  NODES  TOKENS                   COST  TAGS
        4bf92f35  summarize-the-weekly-report-of-all-teams  ✓  3 min ago          2.3s     12  12,345               ~$0.0089  env=prod team=search owner=somebody
        00aa11bb  总结所有团队的每周报告并翻译成英文        ✗  yesterday 14:05  1m 02s      3      98  ≥ $0.01 (+2 unpriced)
    "#]],
    );
}

#[test]
fn a_screen_that_is_much_too_narrow_still_holds_the_lines() {
    check(
        Some(30),
        expect![[r#"
        RUN       WORKFLOW       STAR…
        4bf92f35  summarize…  ✓  3 mi…
        00aa11bb  总结所有…   ✗  yest…
    "#]],
    );
    for width in 0..60 {
        let text = runs().render(TableStyle {
            width: Some(width),
            ..TableStyle::default()
        });
        assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
    }
}

#[test]
fn paths_keep_their_end() {
    let mut table = Table::new(vec![Column::text("NODE").cut_start(6), Column::number("TIME")]);
    table.row(["outer/inner/summarize", "2s"]);
    let text = table.render(TableStyle {
        width: Some(16),
        ..TableStyle::default()
    });
    expect![[r#"
        NODE        TIME
        …summarize    2s
    "#]]
    .assert_eq(&text);
}

#[test]
fn colour_changes_no_width() {
    let mut table = Table::new(vec![Column::text("STATUS"), Column::text("NAME")]);
    table.row([
        Cell::styled("ok", Style::new().green()),
        Cell::from("a\tb\u{1b}[0m"),
    ]);
    let text = table.render(TableStyle {
        colour: true,
        ..TableStyle::default()
    });
    expect![[r#"
        ESC[2mSTATUSESC[0m  ESC[2mNAMEESC[0m
        ESC[32mokESC[0m      a b�[0m
    "#]]
    .assert_eq(&text.replace('\u{1b}', "ESC"));
}

#[test]
fn a_table_without_rows_is_nothing() {
    assert_eq!(
        Table::new(vec![Column::text("A")]).render(TableStyle::default()),
        ""
    );
}
