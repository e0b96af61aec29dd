//! What a search looks for, where it stands in texts, and the line that shows it.
//!
//! Never finds what [`SearchMode`] does not promise: this is its definition, and backends verify with it.

use memchr::memmem;

use super::words::{Token, fold, fold_char, tokens};
use crate::{SearchMode, SearchQuery, StoreError};

/// About so many characters a context has.
const CONTEXT_CHARS: usize = 160;
/// So many of them stand before what was found.
const BEFORE_CHARS: usize = 50;

/// What a text must hold.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// Each of these, in one place.
    Terms(Vec<Term>),
    /// This row of characters, in lower case.
    Row(Vec<char>),
}

/// Words that follow each other: one word, a phrase, or characters in a row.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    words: Vec<Token>,
}

impl Term {
    /// Its words in lower case.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|word| word.text.as_str())
    }

    /// Its words, with where they stand in the query.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.words
    }

    /// The same as [`Term::find`] in a text of ASCII: only what stands between the spaces around its first word is cut
    /// into words, for no word of ASCII reaches over a space. `lower` is the text in lower case.
    fn find_in_ascii(&self, text: &str, lower: &str, found: &mut Vec<(usize, usize)>) {
        let Some(first) = self.words.first() else {
            return;
        };
        let finder = memmem::Finder::new(first.text.as_bytes());
        let bytes = lower.as_bytes();
        let end_of_piece = |from: usize| {
            let rest = bytes.get(from..).unwrap_or_default();
            memchr::memchr2(b' ', b'\n', rest).map_or(bytes.len(), |offset| from + offset)
        };
        let mut words = Vec::new();
        let mut at = 0;
        while let Some(hit) = bytes.get(at..).and_then(|rest| finder.find(rest)) {
            let hit = at + hit;
            let before = bytes.get(..hit).unwrap_or_default();
            let begins = memchr::memrchr2(b' ', b'\n', before).map_or(0, |space| space + 1);
            let mut ends = end_of_piece(hit);
            at = ends;
            words.clear();
            add_tokens(text, begins, ends, &mut words);
            // A phrase may begin with the last word here.
            let wanted = (words.len() + self.words.len()).saturating_sub(1);
            while words.len() < wanted && ends < bytes.len() {
                let begins = ends + 1;
                ends = end_of_piece(begins);
                add_tokens(text, begins, ends, &mut words);
            }
            words.truncate(wanted);
            self.find(&words, found);
        }
    }

    /// Where it stands among these tokens.
    fn find(&self, text: &[Token], found: &mut Vec<(usize, usize)>) {
        let length = self.words.len();
        for window in text.windows(length) {
            let is_equal = window.iter().zip(&self.words).all(|(a, b)| a.text == b.text)
                && window
                    .windows(2)
                    .zip(self.words.windows(2))
                    .all(|(there, here)| touch(there) || !touch(here));
            if let (true, Some(first), Some(last)) = (is_equal, window.first(), window.last()) {
                found.push((first.begins, last.ends));
            }
        }
    }
}

/// Adds the words of a part of a text, with where they stand in all of it.
fn add_tokens(text: &str, begins: usize, ends: usize, words: &mut Vec<Token>) {
    let part = tokens(text.get(begins..ends).unwrap_or_default());
    words.extend(part.into_iter().map(|token| Token {
        begins: begins + token.begins,
        ends: begins + token.ends,
        ..token
    }));
}

/// Whether nothing stands between the two.
fn touch(pair: &[Token]) -> bool {
    matches!(pair, [first, second] if first.ends == second.begins)
}

impl Pattern {
    /// What a query looks for.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where it has neither a word nor a character.
    pub(crate) fn of(query: &SearchQuery) -> Result<Self, StoreError> {
        let nothing = || {
            let text = format!("`{}` has nothing to look for: a word is wanted", query.text);
            StoreError::Invalid(text)
        };
        match query.mode {
            SearchMode::Substring if query.text.trim().is_empty() => Err(nothing()),
            SearchMode::Substring => Ok(Self::Row(query.text.chars().flat_map(fold_char).collect())),
            SearchMode::Words => {
                let terms: Vec<Term> = pieces(&query.text)
                    .map(|piece| Term { words: tokens(piece) })
                    .filter(|term| !term.words.is_empty())
                    .collect();
                if terms.is_empty() {
                    Err(nothing())
                } else {
                    Ok(Self::Terms(terms))
                }
            }
        }
    }

    /// Where it stands in the texts of one place, if it does: which text comes first, and what was found in it.
    /// Words may stand in several of the texts, a phrase in one.
    pub(crate) fn find<'a>(
        &self,
        texts: impl Iterator<Item = &'a str>,
    ) -> Option<(usize, Vec<(usize, usize)>)> {
        let mut first: Option<(usize, Vec<(usize, usize)>)> = None;
        let mut missing = match self {
            Self::Row(_) => vec![true],
            Self::Terms(terms) => vec![true; terms.len()],
        };
        for (number, text) in texts.enumerate() {
            let mut found = Vec::new();
            match self {
                Self::Row(row) => {
                    find_row(row, text, &mut found);
                    if !found.is_empty() {
                        missing.fill(false);
                    }
                }
                Self::Terms(terms) if text.is_ascii() => {
                    let lower = text.to_ascii_lowercase();
                    for (term, is_missing) in terms.iter().zip(&mut missing) {
                        let before = found.len();
                        term.find_in_ascii(text, &lower, &mut found);
                        *is_missing &= found.len() == before;
                    }
                }
                Self::Terms(terms) => {
                    let text = tokens(text);
                    for (term, is_missing) in terms.iter().zip(&mut missing) {
                        let before = found.len();
                        term.find(&text, &mut found);
                        *is_missing &= found.len() == before;
                    }
                }
            }
            if first.is_none() && !found.is_empty() {
                first = Some((number, merged(found)));
            }
        }
        first.filter(|_| !missing.contains(&true))
    }
}

/// The parts of a query: what stands in quotes, and else what stands between spaces. A quote that is not closed ends
/// with the text.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').enumerate().flat_map(|(number, part)| {
        let is_quoted = number % 2 == 1;
        part.split(move |character: char| !is_quoted && character.is_whitespace())
    })
}

fn find_row(row: &[char], text: &str, found: &mut Vec<(usize, usize)>) {
    // Most texts do not hold it: looked for once as a whole.
    let wanted: String = row.iter().collect();
    if wanted.is_empty() || !fold(text).contains(&wanted) {
        return;
    }
    let folded: Vec<(char, usize, usize)> = text
        .char_indices()
        .flat_map(|(begins, character)| {
            let ends = begins + character.len_utf8();
            fold_char(character).map(move |folded| (folded, begins, ends))
        })
        .collect();
    let mut at = 0;
    while let Some(window) = folded.get(at..at + row.len()) {
        if window.iter().zip(row).all(|(there, wanted)| there.0 == *wanted) {
            if let (Some(first), Some(last)) = (window.first(), window.last()) {
                found.push((first.1, last.2));
            }
            at += row.len();
        } else {
            at += 1;
        }
    }
}

/// In order, without overlaps.
fn merged(mut found: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    found.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::with_capacity(found.len());
    for (begins, ends) in found {
        match merged.last_mut() {
            Some(last) if begins < last.1 => last.1 = last.1.max(ends),
            _ => merged.push((begins, ends)),
        }
    }
    merged
}

/// The text around the first occurrence in one line, and the bytes in it that were found.
pub(crate) fn context_of(text: &str, found: &[(usize, usize)]) -> (String, Vec<(usize, usize)>) {
    let first = found.first().map_or(0, |found| found.0);
    let before = text.get(..first).unwrap_or_default();
    let from = before
        .char_indices()
        .rev()
        .nth(BEFORE_CHARS - 1)
        .map_or(0, |(begins, _)| begins);
    let found = &found[..found.len().min(CONTEXT_CHARS)];
    let mut context = String::new();
    let mut places = vec![None; found.len()];
    if from > 0 {
        context.push('…');
    }
    let chars = text.get(from..).unwrap_or_default().char_indices();
    for (number, (offset, character)) in chars.enumerate() {
        if number == CONTEXT_CHARS {
            context.push('…');
            break;
        }
        let at = from + offset;
        let begins = context.len();
        // A line break would break the list that shows it.
        context.push(
            if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                character
            },
        );
        for (place, (first, end)) in places.iter_mut().zip(found) {
            if (*first..*end).contains(&at) {
                let (kept_begins, _) = place.unwrap_or((begins, begins));
                *place = Some((kept_begins, context.len()));
            }
        }
    }
    (context, places.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
