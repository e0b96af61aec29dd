//! Lines: what fits stays whole, what does not is cut between characters, in every script.

use owo_colors::Style;
use unicode_width::UnicodeWidthStr;

use super::{Line, LineStyle};

fn written(pieces: &[&str], width: Option<usize>) -> String {
    let mut line = Line::default();
    for piece in pieces {
        line.push(*piece);
    }
    let mut text = Vec::new();
    line.write(LineStyle { colour: false, width }, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn what_fits_is_whole_and_the_rest_ends_with_an_ellipsis() {
    for (pieces, width, expected) in [
        (&["hello"][..], None, "hello"),
        (&["hello"], Some(5), "hello"),
        (&["hello"], Some(4), "hel…"),
        (&["hel", "lo", " you"], Some(6), "hello…"),
        (&["hel", "lo", " you"], Some(4), "hel…"),
        (&["hello"], Some(1), "…"),
        (&["hello"], Some(0), ""),
        (&["a\tb"], None, "a\tb"),
        (&["a\tb"], Some(3), "a b"),
        // Two columns each.
        (&["日本語"], Some(6), "日本語"),
        (&["日本語"], Some(5), "日本…"),
        (&["日本語"], Some(4), "日…"),
        // One character of several code points is never torn.
        (&["e\u{301}e\u{301}e\u{301}"], Some(2), "e\u{301}…"),
        (&["👩‍👩‍👧‍👦 family"], Some(4), "👩‍👩‍👧‍👦 …"),
        (&["👩‍👩‍👧‍👦 family"], Some(2), "…"),
    ] {
        assert_eq!(written(pieces, width), expected, "{pieces:?} in {width:?}");
    }
}

#[test]
fn nothing_is_wider_than_it_may_be() {
    arbtest::arbtest(|u| {
        let pieces: Vec<String> = u.arbitrary()?;
        let pieces: Vec<String> = pieces
            .iter()
            .map(|piece| piece.chars().filter(|c| !c.is_control()).collect())
            .collect();
        let width = u.int_in_range(0..=20)?;
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let text = written(&pieces, Some(width));
        assert!(text.width() <= width, "{text:?} in {width}");
        Ok(())
    });
}

#[test]
fn colour_ends_with_its_piece_also_where_it_is_cut() {
    let mut line = Line::indented(2);
    line.paint("failed", Style::new().red());
    line.push(" at last");
    let style = LineStyle {
        colour: true,
        width: Some(6),
    };
    let mut text = Vec::new();
    line.write(style, &mut text).unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "  \u{1b}[31mfai\u{1b}[0m\u{1b}[31m…\u{1b}[0m"
    );
}
