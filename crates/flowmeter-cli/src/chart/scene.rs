//! A drawing: shapes with places and colours, in the order in which they are drawn.
//!
//! Never knows what they mean.

use unicode_width::UnicodeWidthStr;

/// The size of letters, pixels: that of the font of PNG files at its own size.
pub(super) const TEXT_SIZE: f64 = 11.67;
/// The size of the title's letters, pixels.
pub(super) const TITLE_SIZE: f64 = 15.0;
/// What a letter of [`TEXT_SIZE`] is wide, pixels: the font is monospaced.
pub(super) const TEXT_ADVANCE: f64 = 7.0;

/// Red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

/// On which side of its place a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Rectangle {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        fill: Colour,
        /// What is said when somebody points at it.
        hint: String,
    },
    Line {
        points: Vec<(f64, f64)>,
        stroke: Colour,
        width: f64,
    },
    Dot {
        x: f64,
        y: f64,
        radius: f64,
        fill: Colour,
        hint: String,
    },
    Text {
        x: f64,
        /// Of the line that the letters stand on.
        y: f64,
        text: String,
        size: f64,
        is_bold: bool,
        anchor: Anchor,
        fill: Colour,
    },
}

/// The whole drawing, on white.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scene {
    pub(super) width: f64,
    pub(super) height: f64,
    /// What it shows, for who cannot see it.
    pub(super) title: String,
    pub(super) description: String,
    pub(super) shapes: Vec<Shape>,
}

/// How wide a text of [`TEXT_SIZE`] is, pixels.
pub(super) fn text_width(text: &str) -> f64 {
    text.width() as f64 * TEXT_ADVANCE
}

/// The text, cut to a width in pixels.
pub(super) fn fitted(text: &str, width: f64) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        if text_width(&kept) + TEXT_ADVANCE > width {
            kept.pop();
            break;
        }
    }
    kept.push('…');
    kept
}
