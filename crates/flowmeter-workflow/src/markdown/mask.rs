//! Hides bare templates from a YAML parser, to which `{x: ${a.b}}` would be something else.
//!
//! A mask is as long as what it hides, so that no place moves. Never hides what stands in quotes or in a block
//! scalar: there a template is a text like any other.

use std::borrow::Cow;
use std::ops::Range;

/// A YAML text whose bare templates are hidden.
pub(super) struct Masked<'a> {
    written: &'a str,
    pub(super) text: Cow<'a, str>,
    /// Where templates are hidden, in order.
    hidden: Vec<Range<usize>>,
    mark: char,
}

/// The characters that may stand for a template: of private use, and three bytes long, as `${}` is.
const MARKS: Range<u32> = 0xe000..0xf8ff;

/// Fills a mask up to the length of its template.
const FILLER: u8 = b'x';

impl<'a> Masked<'a> {
    pub(super) fn new(written: &'a str) -> Self {
        let mut masked = Self {
            written,
            text: Cow::Borrowed(written),
            hidden: Vec::new(),
            mark: '\u{e000}',
        };
        if !written.contains("${") {
            return masked;
        }
        let unused = MARKS
            .filter_map(char::from_u32)
            .find(|mark| !written.contains(*mark));
        let Some(mark) = unused else {
            return masked;
        };
        masked.mark = mark;
        masked.hidden = bare_templates(written);
        let mut text = String::with_capacity(written.len());
        let mut end = 0;
        for hidden in &masked.hidden {
            text.push_str(&written[end..hidden.start]);
            text.push(mark);
            for _ in mark.len_utf8()..hidden.len() {
                text.push(char::from(FILLER));
            }
            end = hidden.end;
        }
        text.push_str(&written[end..]);
        masked.text = Cow::Owned(text);
        masked
    }

    /// The templates back in a value that was read from `from` on.
    pub(super) fn unmask(&self, value: Cow<'_, str>, from: usize) -> String {
        if self.hidden.is_empty() || !value.contains(self.mark) {
            return value.into_owned();
        }
        let first = self.hidden.partition_point(|hidden| hidden.start < from);
        let mut hidden = self.hidden[first..].iter();
        let mut plain = String::with_capacity(value.len());
        let mut rest = &*value;
        while let Some(at) = rest.find(self.mark) {
            plain.push_str(&rest[..at]);
            rest = &rest[at + self.mark.len_utf8()..];
            if let Some(hidden) = hidden.next() {
                plain.push_str(&self.written[hidden.clone()]);
                let filled = hidden.len() - self.mark.len_utf8();
                rest = rest.get(filled..).unwrap_or_default();
            }
        }
        plain.push_str(rest);
        plain
    }
}

/// Where the templates stand that are in no quotes, no comment and no block scalar.
fn bare_templates(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut position = 0;
    // Whether a value may begin here: only there a quote opens one.
    let mut fresh = true;
    let mut spaced = true;
    while position < bytes.len() {
        let byte = bytes[position];
        match byte {
            b'\n' => (fresh, spaced) = (true, true),
            b' ' | b'\t' | b'\r' => spaced = true,
            b'"' | b'\'' if fresh => {
                position = end_of_quotes(bytes, position);
                (fresh, spaced) = (false, false);
                continue;
            }
            b'#' if spaced => {
                position = end_of_line(bytes, position);
                continue;
            }
            b'|' | b'>' if fresh && is_block_header(&bytes[position..end_of_line(bytes, position)]) => {
                position = end_of_block(bytes, position);
                (fresh, spaced) = (true, true);
                continue;
            }
            b'$' if bytes.get(position + 1) == Some(&b'{') => {
                if let Some(end) = end_of_template(bytes, position + 2) {
                    found.push(position..end);
                    position = end;
                    (fresh, spaced) = (false, false);
                    continue;
                }
                (fresh, spaced) = (false, false);
            }
            b',' | b'[' | b'{' => (fresh, spaced) = (true, false),
            b':' | b'-' | b'?' => {
                let parts = bytes.get(position + 1).is_none_or(u8::is_ascii_whitespace);
                fresh = parts && (fresh || byte == b':');
                spaced = false;
            }
            _ => (fresh, spaced) = (false, false),
        }
        position += 1;
    }
    found
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |length| from + length)
}

/// Behind the quotes that open at `open`; the end of the text where they never close.
fn end_of_quotes(bytes: &[u8], open: usize) -> usize {
    let quote = bytes[open];
    let mut position = open + 1;
    while position < bytes.len() {
        match bytes[position] {
            b'\\' if quote == b'"' => position += 1,
            byte if byte == quote => {
                if quote == b'"' || bytes.get(position + 1) != Some(&quote) {
                    return position + 1;
                }
                position += 1;
            }
            _ => {}
        }
        position += 1;
    }
    bytes.len()
}

/// Behind the `}` that closes the template whose inside begins at `from`.
fn end_of_template(bytes: &[u8], from: usize) -> Option<usize> {
    let line = &bytes[from..end_of_line(bytes, from)];
    let mut depth = 1;
    let mut in_text = false;
    let mut escaped = false;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' if !in_text => depth += 1,
            b'}' if !in_text => {
                depth -= 1;
                if depth == 0 {
                    return Some(from + at + 1);
                }
            }
            _ => {}
        }
    }
    // A text in it is never closed: what is wrong with it is said when the template is read.
    line.iter().position(|byte| *byte == b'}').map(|at| from + at + 1)
}

/// `|` or `>` with its indicators, and nothing else but a comment.
fn is_block_header(line: &[u8]) -> bool {
    let rest = &line[1..];
    let indicators = rest
        .iter()
        .take_while(|byte| matches!(byte, b'+' | b'-' | b'0'..=b'9'))
        .count();
    let behind = rest[indicators..].trim_ascii();
    indicators <= 2 && (behind.is_empty() || behind.starts_with(b"#"))
}

/// Behind the lines of the block scalar whose header stands at `header`: those that are indented further than the
/// key or the dash in front of it.
fn end_of_block(bytes: &[u8], header: usize) -> usize {
    let start = bytes[..header]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let line = &bytes[start..header];
    let spaces = |line: &[u8]| line.iter().take_while(|byte| **byte == b' ').count();
    let mut indent = spaces(line);
    // `- key: |`: the key counts; `- |`: the last dash does.
    while line[indent..].starts_with(b"- ") {
        let inner = indent + 1 + spaces(&line[indent + 1..]);
        if inner >= line.len() {
            break;
        }
        indent = inner;
    }
    let mut position = end_of_line(bytes, header);
    while position < bytes.len() {
        let next = position + 1;
        let end = end_of_line(bytes, next.min(bytes.len()));
        let line = &bytes[next.min(end)..end];
        if !line.trim_ascii().is_empty() && spaces(line) <= indent {
            break;
        }
        position = end;
    }
    position
}

#[cfg(test)]
mod tests;
