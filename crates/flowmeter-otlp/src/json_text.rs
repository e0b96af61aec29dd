//! JSON values as text, eight bytes at a time: prompts and answers are most of what is encoded.
//!
//! Writes what `serde_json` writes, byte for byte; a test holds it to that.

use serde_json::Value;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The high bit of each byte below 0x20, of each quote and of each backslash. Bits above the lowest that is set
/// may be wrong, for borrows run upwards.
const fn marks(eight: u64) -> u64 {
    let is_control = eight.wrapping_sub(ONES * 0x20) & !eight;
    let quotes = eight ^ (ONES * b'"' as u64);
    let is_quote = quotes.wrapping_sub(ONES) & !quotes;
    let backslashes = eight ^ (ONES * b'\\' as u64);
    let is_backslash = backslashes.wrapping_sub(ONES) & !backslashes;
    (is_control | is_quote | is_backslash) & HIGH_BITS
}

/// Where the first byte is that JSON wants escaped.
fn first_escaped(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(index * 8 + (marks.trailing_zeros() / 8) as usize);
        }
    }
    let at = rest
        .iter()
        .position(|byte| matches!(byte, ..0x20 | b'"' | b'\\'))?;
    Some(words.len() * 8 + at)
}

/// Appends `text` in quotes.
pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    bytes.reserve(text.len() + 2);
    bytes.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_escaped(rest) {
        let (plain, escaped) = rest.split_at(at);
        bytes.extend_from_slice(plain);
        let [byte, after @ ..] = escaped else { break };
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => 0,
        };
        if short != 0 {
            bytes.extend_from_slice(&[b'\\', short]);
        } else {
            let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
            bytes.extend_from_slice(b"\\u00");
            bytes.extend_from_slice(&digits);
        }
        rest = after;
    }
    bytes.extend_from_slice(rest);
    bytes.push(b'"');
}

/// Appends `value`.
pub(crate) fn put_value(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => put_text(bytes, text),
        Value::Array(members) => {
            bytes.push(b'[');
            for (index, member) in members.iter().enumerate() {
                if index > 0 {
                    bytes.push(b',');
                }
                put_value(bytes, member);
            }
            bytes.push(b']');
        }
        Value::Object(members) => {
            bytes.push(b'{');
            for (index, (key, member)) in members.iter().enumerate() {
                if index > 0 {
                    bytes.push(b',');
                }
                put_text(bytes, key);
                bytes.push(b':');
                put_value(bytes, member);
            }
            bytes.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(bytes, value);
        }
    }
}

#[cfg(test)]
mod tests;
