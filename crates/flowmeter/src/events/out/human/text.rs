//! Texts of the tree as bytes: indented, printable, cut.

use flowmeter_model::LogLevel;
use owo_colors::OwoColorize;

use crate::events::line::Text;
use crate::formats::wording::{format_duration, level_style, message_lines, printable_name};

/// Levels deeper than this are shown at this depth.
const DEPTH_MAX: u32 = 100;
/// Longest attributes of a `custom` line, in characters.
const CUSTOM_CHARS_MAX: usize = 500;

const SPACES: &[u8] = &[b' '; 2 * DEPTH_MAX as usize];

#[inline]
pub(super) fn indent(out: &mut Vec<u8>, depth: u32) {
    out.extend_from_slice(&SPACES[..2 * depth.min(DEPTH_MAX) as usize]);
}

/// A log line; its place stands before the message where it has to be named.
pub(super) fn write_log(
    out: &mut Vec<u8>,
    depth: u32,
    level: LogLevel,
    place: &str,
    message: &Text<'_>,
    colour: bool,
) {
    indent(out, depth);
    if !colour {
        push_log(out, depth, level, place, message);
    } else {
        let mut text = Vec::new();
        push_log(&mut text, depth, level, place, message);
        let text = String::from_utf8_lossy(&text)
            .style(level_style(level))
            .to_string();
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'\n');
}

fn push_log(out: &mut Vec<u8>, depth: u32, level: LogLevel, place: &str, message: &Text<'_>) {
    out.push(b'[');
    out.extend_from_slice(level.as_str().as_bytes());
    out.extend_from_slice(b"] ");
    if !place.is_empty() {
        out.push(b'[');
        out.extend_from_slice(place.as_bytes());
        out.extend_from_slice(b"] ");
    }
    push_text(out, message, depth + 1);
}

pub(super) fn push_brackets(out: &mut Vec<u8>, text: &str, is_plain: bool) {
    out.extend_from_slice(b" [");
    if is_plain {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(printable_name(text).as_bytes());
    }
    out.push(b']');
}

/// A message, its further lines at this depth.
#[inline]
pub(super) fn push_text(out: &mut Vec<u8>, text: &Text<'_>, depth: u32) {
    if text.is_plain && !text.text.ends_with(' ') {
        out.extend_from_slice(text.text.as_bytes());
    } else {
        push_lines(out, &text.text, depth);
    }
}

pub(super) fn push_lines(out: &mut Vec<u8>, message: &str, depth: u32) {
    for (index, line) in message_lines(message).iter().enumerate() {
        if index > 0 {
            out.push(b'\n');
            indent(out, depth);
        }
        out.extend_from_slice(line.as_bytes());
    }
}

pub(super) fn push_cut(out: &mut Vec<u8>, text: &str) {
    match text.char_indices().nth(CUSTOM_CHARS_MAX) {
        None => out.extend_from_slice(printable_name(text).as_bytes()),
        Some((end, _)) => {
            out.extend_from_slice(printable_name(&text[..end]).as_bytes());
            out.extend_from_slice("…".as_bytes());
        }
    }
}

/// Lines that were written at the depth of what turned out to be around them.
pub(super) fn write_deeper(out: &mut Vec<u8>, text: &[u8]) {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(b"  ");
        out.extend_from_slice(line);
    }
}

/// The same as [`format_duration`], without its detours for the usual case.
pub(super) fn push_duration(out: &mut Vec<u8>, duration_ns: u64) {
    const TENTH_NS: u64 = 100_000;
    // Halves go where the nearest binary fraction lies.
    if duration_ns >= 999_900_000 || duration_ns % TENTH_NS == TENTH_NS / 2 {
        out.extend_from_slice(format_duration(duration_ns).as_bytes());
        return;
    }
    let tenths = (duration_ns + TENTH_NS / 2) / TENTH_NS;
    let mut digits = [0_u8; 5];
    let mut rest = tenths;
    let mut start = digits.len();
    while start == digits.len() || rest > 0 || start > digits.len() - 2 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let (whole, tenth) = digits[start..].split_at(digits.len() - start - 1);
    out.extend_from_slice(whole);
    out.push(b'.');
    out.extend_from_slice(tenth);
    out.extend_from_slice(b"ms");
}

#[cfg(test)]
mod tests;
