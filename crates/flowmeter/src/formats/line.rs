//! One line for the eye: pieces of text in their colours, cut to the width of the screen.
//!
//! Never longer than it may be, whatever scripts its text is in.

use std::borrow::Cow;
use std::io::{self, Write};

use owo_colors::{OwoColorize, Style};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// How lines are to look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineStyle {
    /// Whether escape codes for colour are written.
    pub(crate) colour: bool,
    /// Columns of the screen; longer lines are cut. `None`: as long as they are.
    pub(crate) width: Option<usize>,
}

/// A line that is being put together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pieces: Vec<(String, Style)>,
}

impl Line {
    /// A line that begins with so many columns of nothing.
    pub(crate) fn indented(columns: usize) -> Self {
        let mut line = Self::default();
        if columns > 0 {
            line.push(" ".repeat(columns));
        }
        line
    }

    /// Adds a text without colour.
    pub(crate) fn push(&mut self, text: impl Into<String>) {
        self.paint(text, Style::new());
    }

    /// Adds a text in a colour.
    pub(crate) fn paint(&mut self, text: impl Into<String>, style: Style) {
        let text = text.into();
        if !text.is_empty() {
            self.pieces.push((text, style));
        }
    }

    /// Adds what another line holds.
    pub(crate) fn extend(&mut self, other: &Line) {
        self.pieces.extend_from_slice(&other.pieces);
    }

    /// Writes the line without a line end. What does not fit ends with `…`.
    ///
    /// # Errors
    /// Whatever `output` fails with.
    pub(crate) fn write(&self, style: LineStyle, output: &mut dyn Write) -> io::Result<()> {
        let Some(width) = style.width else {
            return self
                .pieces
                .iter()
                .try_for_each(|(text, paint)| write_piece(text, *paint, style.colour, output));
        };
        let pieces: Vec<(Cow<'_, str>, Style)> = self
            .pieces
            .iter()
            .map(|(text, paint)| (one_column_each(text), *paint))
            .collect();
        let whole: usize = pieces.iter().map(|(text, _)| text.width()).sum();
        let mut left = if whole > width {
            width.saturating_sub(1)
        } else {
            width
        };
        for (text, paint) in &pieces {
            let fitting = fitting(text, left);
            write_piece(fitting, *paint, style.colour, output)?;
            if fitting.len() < text.len() {
                return write_piece(if width == 0 { "" } else { "…" }, *paint, style.colour, output);
            }
            left -= fitting.width();
        }
        Ok(())
    }
}

fn write_piece(text: &str, paint: Style, colour: bool, output: &mut dyn Write) -> io::Result<()> {
    if colour && !text.is_empty() {
        write!(output, "{}", text.style(paint))
    } else {
        output.write_all(text.as_bytes())
    }
}

/// How far a tab goes is for the terminal to say: where columns count, it is a space.
fn one_column_each(text: &str) -> Cow<'_, str> {
    if text.contains('\t') {
        Cow::Owned(text.replace('\t', " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// The longest beginning of `text` of at most `columns` columns that ends between two characters as people see
/// them.
fn fitting(text: &str, columns: usize) -> &str {
    if text.width() <= columns {
        return text;
    }
    let mut used = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        used += cluster.width();
        if used > columns {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests;
