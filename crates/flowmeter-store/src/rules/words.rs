//! Words of a text as search knows them.
//!
//! A word is what UAX #29 calls one, in lower case. Scripts that are written without spaces between words (Chinese,
//! Japanese, Thai, …) have no words here: each of their characters stands for itself, so that any row of them is found.
//! Never normalises: `é` as one character and as two are two texts.

use unicode_segmentation::UnicodeSegmentation;

/// A word, or one character of a script without spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// In lower case.
    pub(crate) text: String,
    /// Its first byte in the text.
    pub(crate) begins: usize,
    /// The byte behind it.
    pub(crate) ends: usize,
}

/// The lower case of a character, with one form of sigma.
pub(crate) fn fold_char(character: char) -> impl Iterator<Item = char> {
    let character = if character == 'ς' { 'σ' } else { character };
    character.to_lowercase()
}

/// A text in lower case, so that texts that differ in case alone become equal.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(fold_char).collect()
}

/// Whether words of this character's script stand in a row without spaces.
/// Source: the Unicode blocks of Thai, Lao, Tibetan, Myanmar, Khmer, kana, and the unified ideographs.
pub(crate) fn stands_alone(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF        // Thai, Lao
        | 0x0F00..=0x0FFF      // Tibetan
        | 0x1000..=0x109F      // Myanmar
        | 0x1780..=0x17FF      // Khmer
        | 0x2E80..=0x2FDF      // radicals
        | 0x3005..=0x3007 | 0x3021..=0x3029
        | 0x3031..=0x30FF      // Hiragana, Katakana
        | 0x31F0..=0x31FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF // ideographs
        | 0xFF66..=0xFF9F      // half-width Katakana
        | 0x1B000..=0x1B16F
        | 0x20000..=0x3FFFF)
}

/// Hands out the tokens of a text, first to last.
pub(crate) fn visit_tokens<'a>(text: &'a str, visit: &mut dyn FnMut(&'a str, usize)) {
    for (begins, segment) in text.split_word_bound_indices() {
        if segment.is_ascii() {
            if segment.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
                visit(segment, begins);
            }
            continue;
        }
        // A segment may hold both: a run of Katakana, or Thai marks on a letter.
        let mut word_begins = None;
        for (offset, character) in segment.char_indices() {
            if stands_alone(character) {
                if let Some(from) = word_begins.take() {
                    visit_word(&segment[from..offset], begins + from, visit);
                }
                let end = offset + character.len_utf8();
                visit(&segment[offset..end], begins + offset);
            } else if word_begins.is_none() {
                word_begins = Some(offset);
            }
        }
        if let Some(from) = word_begins {
            visit_word(&segment[from..], begins + from, visit);
        }
    }
}

fn visit_word<'a>(word: &'a str, begins: usize, visit: &mut dyn FnMut(&'a str, usize)) {
    if word.chars().any(char::is_alphanumeric) {
        visit(word, begins);
    }
}

/// All tokens of a text.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    visit_tokens(text, &mut |word, begins| {
        found.push(Token {
            text: fold(word),
            begins,
            ends: begins + word.len(),
        });
    });
    found
}

#[cfg(test)]
mod tests;
