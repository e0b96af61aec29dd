//! Values of a run as people read them: texts as texts, objects as JSON, long ones cut.
//!
//! Never hides that a value is not whole: what was cut or masked when it was recorded is said.

use serde_json::Value;

use crate::printable::{cut_end, one_line, printable};

/// How many lines of a value are shown unless it is wanted whole.
const LINES_SHOWN: usize = 24;
/// How many columns of a line are shown unless it is wanted whole.
const COLUMNS_SHOWN: usize = 2000;
/// What secrets became when they were recorded.
const MASK: &str = "[REDACTED]";

/// Why a value is not what the run had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Altered {
    /// Its end was left out.
    pub(crate) is_cut: bool,
    /// A secret in it was masked.
    pub(crate) is_masked: bool,
}

impl Altered {
    /// What became of a value when it was recorded.
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::String(text) => Self {
                is_cut: is_cut(text),
                is_masked: text.contains(MASK),
            },
            Value::Array(elements) => elements.iter().map(Self::of).fold(Self::default(), Self::or),
            Value::Object(members) => members.values().map(Self::of).fold(Self::default(), Self::or),
            _ => Self::default(),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            is_cut: self.is_cut || other.is_cut,
            is_masked: self.is_masked || other.is_masked,
        }
    }

    /// Whether anything was.
    pub(crate) fn is_any(self) -> bool {
        self.is_cut || self.is_masked
    }

    /// ` (cut when it was recorded)`, or nothing.
    pub(crate) fn note(self) -> &'static str {
        match (self.is_cut, self.is_masked) {
            (true, true) => " (cut, and a secret masked, when it was recorded)",
            (true, false) => " (cut when it was recorded)",
            (false, true) => " (a secret was masked when it was recorded)",
            (false, false) => "",
        }
    }
}

/// Whether a text ends with the note that the recorder puts where it cuts, or is the note that stands for something
/// binary.
fn is_cut(text: &str) -> bool {
    let tail = text.rfind("… [cut").map(|at| &text[at..]);
    tail.is_some_and(|tail| tail.ends_with(']') && tail.contains(" chars"))
        || text.starts_with("[binary") && text.ends_with(']') && text.contains(" bytes")
}

/// The lines of a value: a text as it is, anything else as JSON. Printable.
pub(crate) fn value_lines(value: &Value, is_full: bool) -> Vec<String> {
    let text = match value {
        Value::String(text) if text.is_empty() => "(empty text)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(elements) if elements.is_empty() => "[]".to_owned(),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Array(_) | Value::Object(_) => {
            let compact = value.to_string();
            if compact.len() <= 100 {
                compact
            } else {
                serde_json::to_string_pretty(value).unwrap_or(compact)
            }
        }
        other => other.to_string(),
    };
    text_lines(&text, is_full)
}

/// The lines of a text, the first ones where it is not wanted whole. Printable.
pub(crate) fn text_lines(text: &str, is_full: bool) -> Vec<String> {
    let text = printable(text.trim_end());
    if is_full {
        return text.lines().map(str::to_owned).collect();
    }
    let mut lines: Vec<String> = text
        .lines()
        .take(LINES_SHOWN)
        .map(|line| cut_end(line, COLUMNS_SHOWN).into_owned())
        .collect();
    let more = text.lines().count().saturating_sub(LINES_SHOWN);
    if more > 0 {
        let plural = if more == 1 { "" } else { "s" };
        lines.push(format!("… {more} more line{plural}; --full shows all"));
    }
    lines
}

/// A value on one line: `"text"`, `12`, `{"a": 1}`.
pub(crate) fn short_value(value: &Value, columns: usize) -> String {
    let text = match value {
        Value::String(text) => {
            // Only as much as can be seen: texts may be long.
            let head: String = text.chars().take(columns.saturating_add(1)).collect();
            format!("\"{}\"", one_line(&head))
        }
        other => one_line(&other.to_string()).into_owned(),
    };
    cut_end(&text, columns).into_owned()
}

#[cfg(test)]
mod tests;
