//! Small charts inside a line of text: sparklines and bars of block characters, with plain ASCII as the second choice.
//!
//! Never knows what it draws, nor asks which terminal there is: who calls it says what the terminal can show.

/// The steps of a sparkline, the smallest first.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The same without Unicode.
const MARKS: [char; 8] = ['.', ':', '-', '=', '+', '*', '%', '#'];
/// Nothing: it looks like a space and is none, so that a line keeps its length wherever spaces are cut.
const NOTHING: char = '\u{2800}';
/// The same without Unicode.
const NOTHING_MARK: char = '_';
/// Parts of a cell, the smallest first.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Which characters may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glyphs {
    /// Block characters.
    Blocks,
    /// ASCII alone.
    Ascii,
}

impl Glyphs {
    /// By the locale: `LC_ALL`, else `LC_CTYPE`, else `LANG`. None of them set says nothing against UTF-8.
    pub(crate) fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()));
        match locale {
            Some(locale) => {
                let locale = locale.to_ascii_lowercase();
                if locale.contains("utf-8") || locale.contains("utf8") {
                    Self::Blocks
                } else {
                    Self::Ascii
                }
            }
            None => Self::Blocks,
        }
    }
}

/// One character for each value, the largest as high as can be, and a gap for nothing.
pub(crate) fn sparkline(values: &[f64], glyphs: Glyphs) -> String {
    let most = largest(values);
    values
        .iter()
        .map(|value| {
            if !value.is_finite() || *value <= 0.0 || most <= 0.0 {
                return match glyphs {
                    Glyphs::Blocks => NOTHING,
                    Glyphs::Ascii => NOTHING_MARK,
                };
            }
            // What is there at all is seen.
            let step = ((value / most) * 8.0).ceil().clamp(1.0, 8.0) as usize - 1;
            match glyphs {
                Glyphs::Blocks => BLOCKS[step],
                Glyphs::Ascii => MARKS[step],
            }
        })
        .collect()
}

/// A bar whose length is the share of `value` in `most`, at most `cells` long, exact to an eighth of a cell.
pub(crate) fn bar(value: f64, most: f64, cells: usize, glyphs: Glyphs) -> String {
    if !value.is_finite() || value <= 0.0 || most <= 0.0 {
        return String::new();
    }
    let eighths = ((value / most).min(1.0) * cells as f64 * 8.0).round().max(1.0) as usize;
    match glyphs {
        Glyphs::Blocks => {
            let mut bar = "█".repeat(eighths / 8);
            if let Some(part) = (eighths % 8).checked_sub(1) {
                bar.push(EIGHTHS[part]);
            }
            bar
        }
        Glyphs::Ascii => "#".repeat(eighths.div_ceil(8)),
    }
}

fn largest(values: &[f64]) -> f64 {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    finite.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests;
