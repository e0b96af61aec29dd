//! Sparklines and bars, character by character.

use super::*;

#[test]
fn the_largest_is_highest_and_nothing_is_a_gap() {
    assert_eq!(sparkline(&[0.0, 1.0, 4.0, 8.0], Glyphs::Blocks), "\u{2800}▁▄█");
    assert_eq!(sparkline(&[0.0, 1.0, 4.0, 8.0], Glyphs::Ascii), "_.=#");
    assert_eq!(sparkline(&[5.0], Glyphs::Blocks), "█");
    assert_eq!(sparkline(&[0.0, 0.0], Glyphs::Blocks), "\u{2800}\u{2800}");
    assert_eq!(sparkline(&[], Glyphs::Blocks), "");
}

#[test]
fn what_is_small_is_seen_and_what_is_no_number_is_a_gap() {
    assert_eq!(sparkline(&[1e-9, 1e9], Glyphs::Blocks), "▁█");
    assert_eq!(
        sparkline(&[f64::NAN, f64::INFINITY, -1.0, 2.0], Glyphs::Blocks),
        "\u{2800}\u{2800}\u{2800}█"
    );
}

#[test]
fn bars_are_exact_to_an_eighth() {
    assert_eq!(bar(8.0, 8.0, 4, Glyphs::Blocks), "████");
    assert_eq!(bar(3.0, 8.0, 4, Glyphs::Blocks), "█▌");
    assert_eq!(bar(0.0001, 8.0, 4, Glyphs::Blocks), "▏");
    assert_eq!(bar(0.0, 8.0, 4, Glyphs::Blocks), "");
    assert_eq!(bar(9.0, 8.0, 4, Glyphs::Ascii), "####");
    assert_eq!(bar(3.0, 8.0, 4, Glyphs::Ascii), "##");
}

#[test]
fn the_locale_decides() {
    let of = |name: &'static str, value: &'static str| {
        Glyphs::of_locale(move |asked| (asked == name).then(|| value.to_owned()))
    };
    assert_eq!(of("LANG", "en_GB.UTF-8"), Glyphs::Blocks);
    assert_eq!(of("LC_ALL", "C.utf8"), Glyphs::Blocks);
    assert_eq!(of("LC_ALL", "C"), Glyphs::Ascii);
    assert_eq!(of("LANG", ""), Glyphs::Blocks);
    assert_eq!(of("OTHER", "C"), Glyphs::Blocks);
}
