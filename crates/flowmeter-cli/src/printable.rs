//! Texts from elsewhere, made fit for a terminal: no control characters, no more columns than there are.
//!
//! Never changes what goes to programs: JSON and files get texts as they are.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// What stands where a text was cut.
const CUT: &str = "…";

/// How many columns a text takes.
pub(crate) fn columns_of(text: &str) -> usize {
    text.width()
}

/// The text without control characters, over as many lines as it has: what a model or a command said must not steer
/// the reader's terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(|c| steers(c) || c == '\t') {
        let text = text.replace("\r\n", "\n").replace('\t', "    ");
        Cow::Owned(text.replace(steers, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text on one line: a row of white space becomes one space.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !steers(c) && (c == ' ' || !c.is_whitespace());
    if text.chars().all(is_plain) && !text.contains("  ") && text.trim() == text {
        return Cow::Borrowed(text);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    Cow::Owned(words.join(" ").replace(steers, "\u{fffd}"))
}

/// The beginning of a text, with `…` at its end where it was cut.
pub(crate) fn cut_end(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(1);
    let mut used = 0;
    let mut end = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        used += cluster.width();
        if used > room {
            break;
        }
        end = at + cluster.len();
    }
    Cow::Owned(format!("{}{}", &text[..end], if columns == 0 { "" } else { CUT }))
}

/// The end of a text, with `…` before it where it was cut.
pub(crate) fn cut_start(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(1);
    let mut used = 0;
    let mut start = text.len();
    for (at, cluster) in text.grapheme_indices(true).rev() {
        used += cluster.width();
        if used > room {
            break;
        }
        start = at;
    }
    Cow::Owned(format!(
        "{}{}",
        if columns == 0 { "" } else { CUT },
        &text[start..]
    ))
}

/// Control characters, and those that turn the direction of the text around them.
fn steers(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
