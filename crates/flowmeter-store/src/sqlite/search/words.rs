//! Words as numbers: what the index holds of a text, and what a query asks it for.
//!
//! The words are those of [`crate::rules::words`]; for texts of ASCII they are found several times as fast here. Of
//! scripts without spaces each pair of neighbours counts, too, for single characters stand nearly everywhere. Two words
//! may have the same number: what the index finds is verified.

use crate::rules::patterns::{Pattern, Term};
use crate::rules::words::{Token, fold_char, stands_alone, tokens, visit_tokens};

/// Bits of a word's number.
pub(super) const WORD_BITS: u32 = 24;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;
/// What makes letters of ASCII lower case; digits and what joins words have it already.
const LOWER: u64 = 0x2020_2020_2020_2020;

/// What a byte of ASCII is in a word. Source: UAX #29, "Word Boundaries".
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Other,
    Letter,
    Digit,
    /// `_`, which joins everything.
    Joiner,
    /// Joins letters with letters.
    InLetters,
    /// Joins digits with digits.
    InDigits,
    /// Joins both.
    InBoth,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'_' => Class::Joiner,
            b':' => Class::InLetters,
            b',' | b';' => Class::InDigits,
            b'.' | b'\'' => Class::InBoth,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// Hands out the number of each word of a text, which comes as its bytes, and of each pair of characters that stand
/// alone. What is no text has no words.
pub(super) fn visit_numbers(text: &[u8], visit: &mut impl FnMut(u32)) {
    if text.is_ascii() {
        return visit_ascii(text, visit);
    }
    let text = str::from_utf8(text).unwrap_or_default();
    // Words do not reach over a space that is followed by ASCII: what lies between two of them stands by itself.
    let bytes = text.as_bytes();
    let (mut start, mut at) = (0, 0);
    while let Some(space) = memchr::memchr2(b' ', b'\n', &bytes[at..]).map(|found| at + found) {
        at = space + 1;
        if bytes.get(at).is_none_or(u8::is_ascii) {
            visit_piece(&text[start..at], visit);
            start = at;
        }
    }
    visit_piece(&text[start..], visit);
}

fn visit_piece(text: &str, visit: &mut impl FnMut(u32)) {
    if text.is_ascii() {
        return visit_ascii(text.as_bytes(), visit);
    }
    let mut folded = String::new();
    let mut alone: Option<(char, usize)> = None;
    visit_tokens(text, &mut |word, begins| {
        visit(number_of_word(word, &mut folded));
        let before = alone.take();
        let mut chars = word.chars();
        if let (Some(character), None) = (chars.next(), chars.next())
            && stands_alone(character)
        {
            if let Some((first, _)) = before.filter(|(_, ends)| *ends == begins) {
                visit(number_of_pair(first, character));
            }
            alone = Some((character, begins + word.len()));
        }
    });
}

/// Bytes whose classes are told at once.
const CHUNK: usize = 64;
/// A one in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A bit for each byte of ASCII that may stand in a word wherever it stands: letters, digits and `_`.
fn word_bits(chunk: &[u8; CHUNK]) -> u64 {
    // All comparisons are of bytes below 128, eight at a time: with the highest bit set, no byte borrows from the next.
    let at_least = |bytes: u64, least: u8| (bytes | HIGHS) - ONES * u64::from(least);
    let mut bits = 0;
    for (place, eight) in chunk.as_chunks::<8>().0.iter().enumerate() {
        let bytes = u64::from_le_bytes(*eight);
        let lower = bytes | LOWER;
        let letters = at_least(lower, b'a') & !at_least(lower, b'z' + 1);
        let digits = at_least(bytes, b'0') & !at_least(bytes, b'9' + 1);
        let joiners = !((bytes ^ (ONES * u64::from(b'_'))) + ONES * 0x7f);
        let highs = (letters | digits | joiners) & HIGHS;
        // The eight highest bits move together.
        let row = (highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= row << (8 * place);
    }
    bits
}

/// The rows of bytes that [`word_bits`] tells, in order.
struct Rows<'a> {
    bytes: &'a [u8],
    chunk: usize,
    /// Those of the chunk that are yet to come.
    bits: u64,
}

impl<'a> Rows<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let bits = Self::bits_of(bytes, 0);
        Self {
            bytes,
            chunk: 0,
            bits,
        }
    }

    fn bits_of(bytes: &[u8], chunk: usize) -> u64 {
        let rest = bytes.get(chunk * CHUNK..).unwrap_or_default();
        match rest.first_chunk::<CHUNK>() {
            Some(chunk) => word_bits(chunk),
            None => {
                let mut last = [0; CHUNK];
                last[..rest.len()].copy_from_slice(rest);
                word_bits(&last)
            }
        }
    }

    /// From where to where the next row reaches.
    fn next(&mut self) -> Option<(usize, usize)> {
        while self.bits == 0 {
            self.chunk += 1;
            if self.chunk * CHUNK >= self.bytes.len() {
                return None;
            }
            self.bits = Self::bits_of(self.bytes, self.chunk);
        }
        let first = self.bits.trailing_zeros();
        let start = self.chunk * CHUNK + first as usize;
        let mut end = first + (!(self.bits >> first)).trailing_zeros();
        while end >= 64 {
            self.chunk += 1;
            if self.chunk * CHUNK >= self.bytes.len() {
                self.bits = 0;
                return Some((start, self.bytes.len()));
            }
            self.bits = Self::bits_of(self.bytes, self.chunk);
            end = (!self.bits).trailing_zeros();
        }
        self.bits &= u64::MAX << end;
        Some((start, self.chunk * CHUNK + end as usize))
    }

    /// Passes by what lies before this place.
    fn pass(&mut self, to: usize) {
        if to / CHUNK != self.chunk {
            self.chunk = to / CHUNK;
            self.bits = Self::bits_of(self.bytes, self.chunk);
        }
        self.bits &= u64::MAX << (to % CHUNK);
    }
}

fn class_at(bytes: &[u8], at: usize) -> Class {
    bytes
        .get(at)
        .map_or(Class::Other, |byte| CLASSES[usize::from(*byte)])
}

fn visit_ascii(bytes: &[u8], visit: &mut impl FnMut(u32)) {
    let mut rows = Rows::of(bytes);
    while let Some((start, mut end)) = rows.next() {
        let behind = class_at(bytes, end);
        let mut is_word = true;
        if matches!(behind, Class::InLetters | Class::InDigits | Class::InBoth)
            && class_at(bytes, end + 1) != Class::Other
        {
            // Two rows may be one word.
            end = end_of_word(bytes, start);
            rows.pass(end);
        }
        if bytes[start] == b'_' {
            is_word = bytes[start..end].iter().any(u8::is_ascii_alphanumeric);
        }
        if is_word {
            visit(number_of_ascii(bytes, start, end));
        }
    }
}

/// Where the word ends that begins there with what [`word_bits`] tells.
fn end_of_word(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    let mut last = class_at(bytes, at);
    loop {
        at += 1;
        let this = class_at(bytes, at);
        match this {
            Class::Letter | Class::Digit | Class::Joiner => last = this,
            Class::Other => return at,
            Class::InLetters | Class::InDigits | Class::InBoth => {
                let next = class_at(bytes, at + 1);
                let joins = match last {
                    Class::Letter => next == Class::Letter && this != Class::InDigits,
                    Class::Digit => next == Class::Digit && this != Class::InLetters,
                    _ => false,
                };
                if !joins {
                    return at;
                }
                at += 1;
                last = next;
            }
        }
    }
}

fn mixed(state: u64, eight: u64) -> u64 {
    let product = (state ^ eight).wrapping_mul(FACTOR);
    product ^ (product >> 32)
}

fn finished(state: u64) -> u32 {
    (state.wrapping_mul(SEED) >> (64 - WORD_BITS)) as u32
}

/// The bytes of eight that a word of so many bytes has.
const MASKS: [u64; 9] = {
    let mut masks = [0_u64; 9];
    let mut length = 1;
    while length <= 8 {
        masks[length] = u64::MAX >> (64 - 8 * length);
        length += 1;
    }
    masks
};

/// The number of a word of ASCII that stands there, whatever its case. Two steps of eight bytes at least: so most words
/// take no decision.
fn number_of_ascii(bytes: &[u8], start: usize, end: usize) -> u32 {
    let length = end - start;
    let state = SEED ^ length as u64;
    if length <= 16
        && let Some(sixteen) = bytes.get(start..).and_then(<[u8]>::first_chunk::<16>)
    {
        let both = u128::from_le_bytes(*sixteen);
        let first = (both as u64 | LOWER) & MASKS[length.min(8)];
        let second = ((both >> 64) as u64 | LOWER) & MASKS[length.saturating_sub(8).min(8)];
        return finished(mixed(mixed(state, first), second));
    }
    number_of_folded(&bytes[start..end])
}

/// The number of a word as it stands in a text.
fn number_of_word(word: &str, folded: &mut String) -> u32 {
    folded.clear();
    folded.extend(word.chars().flat_map(fold_char));
    number_of_folded(folded.as_bytes())
}

/// The number of a word in lower case; that of ASCII may be in any.
fn number_of_folded(folded: &[u8]) -> u32 {
    let mut state = SEED ^ folded.len() as u64;
    for place in 0..folded.len().div_ceil(8).max(2) {
        let chunk = folded.get(8 * place..).unwrap_or_default();
        let mut eight = [0; 8];
        for (to, from) in eight.iter_mut().zip(chunk) {
            *to = if from.is_ascii() { *from | 0x20 } else { *from };
        }
        state = mixed(state, u64::from_le_bytes(eight));
    }
    finished(state)
}

fn number_of_pair(first: char, second: char) -> u32 {
    finished(mixed(
        mixed(SEED, u64::from(u32::from(first)) << 32),
        u64::from(u32::from(second)),
    ))
}

/// The numbers that a text that a pattern holds for must all have. A row of characters may begin and end within words:
/// of it, words between spaces count, and pairs of characters that stand alone.
pub(super) fn numbers_of(pattern: &Pattern) -> Vec<u32> {
    let mut numbers: Vec<u32> = match pattern {
        Pattern::Terms(terms) => terms.iter().flat_map(numbers_of_term).collect(),
        Pattern::Row(row) => numbers_of_row(&row.iter().collect::<String>()),
    };
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn numbers_of_row(row: &str) -> Vec<u32> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\n'));
    let tokens = tokens(row);
    let mut numbers = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let before = token.begins.checked_sub(1).and_then(|at| row.as_bytes().get(at));
        if is_space(before) && is_space(row.as_bytes().get(token.ends)) {
            numbers.push(number_of_folded(token.text.as_bytes()));
        }
        if let Some(next) = tokens.get(place + 1)
            && token.ends == next.begins
            && let (Some(a), Some(b)) = (alone(token), alone(next))
        {
            numbers.push(number_of_pair(a, b));
        }
    }
    numbers
}

/// The character of a token that is one and stands alone.
fn alone(token: &Token) -> Option<char> {
    let mut chars = token.text.chars();
    match (chars.next(), chars.next()) {
        (Some(character), None) if stands_alone(character) => Some(character),
        _ => None,
    }
}

fn numbers_of_term(term: &Term) -> Vec<u32> {
    let tokens = term.tokens();
    let mut numbers = Vec::new();
    let mut in_pair = vec![false; tokens.len()];
    for (place, pair) in tokens.windows(2).enumerate() {
        if let [first, second] = pair
            && first.ends == second.begins
            && let (Some(a), Some(b)) = (alone(first), alone(second))
        {
            numbers.push(number_of_pair(a, b));
            in_pair[place..place + 2].fill(true);
        }
    }
    // A pair tells more than its characters.
    let single = tokens.iter().zip(in_pair).filter(|(_, in_pair)| !in_pair);
    numbers.extend(single.map(|(token, _)| number_of_folded(token.text.as_bytes())));
    numbers
}

#[cfg(test)]
mod tests;
