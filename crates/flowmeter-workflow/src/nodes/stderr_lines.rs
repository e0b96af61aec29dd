//! What a child process says on its standard error, line by line as it comes: each becomes a log of its node.
//!
//! Never keeps the output itself, never holds more than one line of it, and logs nothing where no content is kept.

use std::borrow::Cow;

use flowmeter::CurrentSpan;
use flowmeter_model::LogLevel;

/// The longest line that is logged whole.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Cuts a stream into lines and logs them.
pub(super) struct StderrLines<'a> {
    span: CurrentSpan<'a>,
    /// The line that is not complete yet, as far as it is kept.
    line: Vec<u8>,
    /// Bytes of it.
    line_bytes: usize,
    /// Its last byte is a carriage return: what follows is written over it.
    returned: bool,
    /// It is no text: nothing more of it is logged.
    is_binary: bool,
}

impl<'a> StderrLines<'a> {
    pub(super) fn new(span: CurrentSpan<'a>) -> Self {
        Self {
            span,
            line: Vec::new(),
            line_bytes: 0,
            returned: false,
            is_binary: false,
        }
    }

    /// Takes what has just come.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if self.is_binary || !self.span.keeps_content() {
            return;
        }
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.keep(&rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    /// There is no more: a last line may have no newline.
    pub(super) fn end(mut self) {
        self.end_line();
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        // A line that is written over itself, as progress bars do, is what is seen at its end. The return before a
        // newline overwrites nothing.
        let before_last = &bytes[..bytes.len() - 1];
        let overwritten = before_last
            .iter()
            .rposition(|byte| *byte == b'\r')
            .map(|at| at + 1);
        if self.returned || overwritten.is_some() {
            self.line.clear();
            self.line_bytes = 0;
        }
        self.returned = *last == b'\r';
        let bytes = &bytes[overwritten.unwrap_or(0)..];
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.line_bytes += bytes.len();
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line_bytes = std::mem::take(&mut self.line_bytes);
        self.returned = false;
        if self.is_binary || line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        if is_binary(&text) {
            self.is_binary = true;
            self.span.log(
                LogLevel::Debug,
                "The standard error is binary from here on and is not logged",
            );
            return;
        }
        let text = without_escapes(&text);
        let mut text = text.trim_end();
        if text.trim().is_empty() {
            return;
        }
        let level = level_of(text);
        if line_bytes > line.len() {
            // Half a character at the cut is none.
            text = text.trim_end_matches('\u{fffd}');
            let message = format!("{text}… [cut at {} of {line_bytes} bytes]", text.len());
            self.span.log(level, message);
        } else {
            self.span.log(level, text);
        }
        // The room is used again.
        self.line = line;
        self.line.clear();
    }
}

/// Whether a line is no text for people: a zero, or other control characters beside what is no UTF-8.
fn is_binary(line: &str) -> bool {
    let steers =
        |c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\u{1b}' | '\u{8}' | '\u{c}' | '\u{7}');
    line.contains('\0') || (line.contains('\u{fffd}') && line.contains(steers))
}

/// The text without the escape codes that colour it.
fn without_escapes(line: &str) -> Cow<'_, str> {
    if !line.contains('\u{1b}') {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        // A control sequence goes up to a letter or one of its neighbours (ECMA-48).
        if let Some(sequence) = rest.strip_prefix('[') {
            let end = sequence.find(|c: char| ('\u{40}'..='\u{7e}').contains(&c));
            rest = end.map_or("", |end| &sequence[end + 1..]);
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// How grave a line is, if it begins with a word that says so: `ERROR …`, `warning: …`, `[debug] …`, also behind a
/// time. Else it is the normal course.
fn level_of(line: &str) -> LogLevel {
    let mut rest = line.trim_start();
    // A date, a time, and a zone at the most.
    for _ in 0..3 {
        let Some((token, behind)) = rest.split_once(char::is_whitespace) else {
            break;
        };
        if !is_time(token) {
            break;
        }
        rest = behind.trim_start();
    }
    let (inner, is_bracketed) = match rest.strip_prefix(['[', '(', '<']) {
        Some(inner) => (inner.trim_start(), true),
        None => (rest, false),
    };
    let end = inner
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(inner.len());
    let (word, behind) = inner.split_at(end);
    let level = match word.to_ascii_lowercase().as_str() {
        "trace" => LogLevel::Trace,
        "debug" => LogLevel::Debug,
        "info" | "notice" => LogLevel::Info,
        "warn" | "warning" => LogLevel::Warn,
        "error" | "err" | "fatal" | "critical" | "panic" => LogLevel::Error,
        _ => return LogLevel::Info,
    };
    let closes = |text: &str| text.trim_start().starts_with([']', ')', '>']);
    let says_so = if is_bracketed {
        closes(behind)
    } else {
        let is_capital = word.chars().all(|c| c.is_ascii_uppercase());
        // `Error opening …` is one; `Trace the request` need not be.
        let begins = level >= LogLevel::Warn && word.starts_with(|c: char| c.is_ascii_uppercase());
        behind.starts_with([':', '[']) || ((is_capital || begins) && behind.starts_with(char::is_whitespace))
    };
    if says_so { level } else { LogLevel::Info }
}

fn is_time(token: &str) -> bool {
    let token = token.trim_matches(['[', ']']);
    token.starts_with(|c: char| c.is_ascii_digit())
        && token
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | ',' | '/' | 'T' | 'Z' | '+'))
}

#[cfg(test)]
mod tests;
