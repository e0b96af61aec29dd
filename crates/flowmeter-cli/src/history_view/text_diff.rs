//! Two texts beside each other: the lines that differ, and in them the words.
//!
//! Never takes long: of very different long texts a coarser difference is shown.

use std::time::Duration;

use owo_colors::{OwoColorize, Style};
use similar::{ChangeTag, TextDiff};

use crate::printable::printable;

/// How long a difference may take; then it becomes coarser.
const TIME_MAX: Duration = Duration::from_millis(300);
/// How many lines are shown unless all are wanted.
const LINES_SHOWN: usize = 40;
/// Lines shown around those that differ.
const CONTEXT: usize = 1;

/// The lines that differ, with `-` and `+` before them and a line of context around them.
pub(crate) fn diff_lines(before: &str, after: &str, is_full: bool, colour: bool) -> Vec<String> {
    let (before, after) = (ended(before), ended(after));
    let diff = TextDiff::configure()
        .timeout(TIME_MAX)
        .diff_lines(&before, &after);
    let mut lines = Vec::new();
    for (index, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            lines.push("  …".to_owned());
        }
        for op in group {
            for change in diff.iter_inline_changes(op) {
                let (sign, style) = match change.tag() {
                    ChangeTag::Delete => ("-", Style::new().red()),
                    ChangeTag::Insert => ("+", Style::new().green()),
                    ChangeTag::Equal => (" ", Style::new()),
                };
                let mut line = paint(&format!("{sign} "), style, colour);
                for (is_changed, text) in change.iter_strings_lossy() {
                    let text = text.trim_end_matches('\n');
                    let style = if is_changed {
                        style.bold().underline()
                    } else {
                        style
                    };
                    line.push_str(&paint(&printable(text), style, colour));
                }
                lines.push(line);
            }
        }
    }
    if !is_full && lines.len() > LINES_SHOWN {
        let more = lines.len() - LINES_SHOWN;
        lines.truncate(LINES_SHOWN);
        lines.push(format!("… {more} more lines; --full shows all"));
    }
    lines
}

/// The difference as a unified diff, for programs; `None` where there is none.
pub(crate) fn unified(before: &str, after: &str) -> Option<String> {
    if before == after {
        return None;
    }
    let (before, after) = (ended(before), ended(after));
    let diff = TextDiff::configure()
        .timeout(TIME_MAX)
        .diff_lines(&before, &after);
    Some(diff.unified_diff().context_radius(2).to_string())
}

/// The text with a line end.
fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') {
        text.to_owned()
    } else {
        format!("{text}\n")
    }
}

fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour && !text.is_empty() {
        text.style(style).to_string()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests;
