//! A quick look at bytes, before texts are looked at one by one: what cannot hold the text is passed by.
//!
//! Texts stand in payloads as they are, so bytes that do not hold what is looked for, in any case of its letters, hold
//! no text that does. Never the last word: what passes is verified.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use rustc_hash::FxHashMap;

use crate::rules::patterns::Pattern;
use crate::rules::words::{fold, fold_char};

/// Letters that are frequent in the scripts that have case beside ours: a bad start for a search.
const FREQUENT: &str = "оеаинтсрвлкмдпуяςαοιετσνηυρπκéèàáíóöäüåøñçãõ";

/// What folds to a character besides itself. Of ASCII letters, only those that other characters fold to.
static VARIANTS: LazyLock<FxHashMap<char, Vec<char>>> = LazyLock::new(|| {
    let mut variants: FxHashMap<char, Vec<char>> = FxHashMap::default();
    // Behind these planes no letter has case.
    for character in ('\u{80}'..='\u{1ffff}').chain('A'..='Z') {
        let mut folded = fold_char(character);
        let first = folded.next().unwrap_or(character);
        if first == character {
            continue;
        }
        for folded in std::iter::once(first).chain(folded) {
            variants.entry(folded).or_default().push(character);
        }
    }
    variants
});

/// Letters of ASCII from the most frequent to the rarest, with the space and a digit where they belong.
const BY_FREQUENCY: &[u8] = b" etaoinsrhldcum0fpgwybvkxjqz";

/// Rows of characters that must occur, one behind the other.
struct Needle {
    pieces: Vec<Piece>,
    /// Odd characters whose lower case holds a character of the rows: where they occur, these may occur.
    odd: Vec<Finder<'static>>,
}

/// A row of characters that must occur.
enum Piece {
    /// Has nothing with case: looked for as it is.
    Exact(Box<Finder<'static>>),
    /// Has no letters with case but those of ASCII.
    Ascii(AsciiRow),
    /// Looked for by one of its characters, in each of its cases; its neighbours are compared then.
    Anchored {
        folded: Vec<char>,
        anchor: usize,
        finders: Vec<Finder<'static>>,
    },
}

/// A row whose letters with case are those of ASCII: looked for in bytes that are in lower case, or else by its rarest
/// byte, so that short texts need not be copied.
struct AsciiRow {
    finder: Box<Finder<'static>>,
    lower: Vec<u8>,
    rarest: usize,
    cases: [u8; 2],
}

/// Everything that must occur.
pub(super) struct RawFilter {
    needles: Vec<Needle>,
}

impl RawFilter {
    /// What a pattern wants.
    pub(super) fn of(pattern: &Pattern) -> Self {
        let needles = match pattern {
            Pattern::Row(row) => vec![Needle::of(&[row.iter().collect()])],
            Pattern::Terms(terms) => terms
                .iter()
                .map(|term| {
                    // Words that touch each other touch in what is found, too.
                    let touching = term.tokens().chunk_by(|a, b| a.ends == b.begins);
                    let rows: Vec<String> = touching
                        .map(|words| words.iter().map(|word| word.text.as_str()).collect())
                        .collect();
                    Needle::of(&rows)
                })
                .collect(),
        };
        Self { needles }
    }

    /// Whether these bytes may hold everything.
    pub(super) fn may_hold(&self, raw: &[u8]) -> bool {
        let bytes = Bytes { raw, lower: None };
        self.needles.iter().all(|needle| needle.occurs(bytes))
    }

    /// The same of many bytes; `lower` is memory for them in lower case.
    pub(super) fn may_hold_many(&self, raw: &[u8], lower: &mut Vec<u8>) -> bool {
        lower.clear();
        lower.extend(raw.iter().map(u8::to_ascii_lowercase));
        let bytes = Bytes {
            raw,
            lower: Some(lower),
        };
        self.needles.iter().all(|needle| needle.occurs(bytes))
    }

    /// Whether these bytes may hold anything of it.
    pub(super) fn may_hold_some(&self, raw: &[u8]) -> bool {
        let bytes = Bytes { raw, lower: None };
        self.needles.iter().any(|needle| needle.occurs(bytes))
    }
}

/// Bytes that are looked at, where they are many also with ASCII in lower case.
#[derive(Clone, Copy)]
struct Bytes<'b> {
    raw: &'b [u8],
    lower: Option<&'b [u8]>,
}

impl Needle {
    fn of(rows: &[String]) -> Self {
        let rows: Vec<String> = rows.iter().map(|row| fold(row)).collect();
        let mut odd = Vec::new();
        for (ascii, character) in [('k', '\u{212a}'), ('i', '\u{130}'), ('\u{307}', '\u{130}')] {
            if rows.iter().any(|row| row.contains(ascii)) {
                odd.push(Finder::new(character.to_string().as_bytes()).into_owned());
            }
        }
        Self {
            pieces: rows.iter().map(|row| Piece::of(row)).collect(),
            odd,
        }
    }

    fn occurs(&self, bytes: Bytes<'_>) -> bool {
        self.pieces_occur(bytes) || self.odd.iter().any(|finder| finder.find(bytes.raw).is_some())
    }

    fn pieces_occur(&self, bytes: Bytes<'_>) -> bool {
        // By the longest, which is the rarest mostly.
        let longest = (0..self.pieces.len()).max_by_key(|place| self.pieces[*place].length());
        let (Some(longest), true) = (longest, self.pieces.len() > 1) else {
            return self.pieces.iter().all(|piece| piece.find(bytes, 0).is_some());
        };
        let (before, from) = self.pieces.split_at(longest);
        let Some((piece, behind)) = from.split_first() else {
            return true;
        };
        let mut at = 0;
        while let Some(begins) = piece.find(bytes, at) {
            let Some(length) = piece.length() else {
                // How long it is there is not known.
                return self.pieces.iter().all(|piece| piece.find(bytes, 0).is_some());
            };
            if may_follow(bytes.raw, begins + length, behind) && may_precede(bytes.raw, begins, before) {
                return true;
            }
            at = begins + 1;
        }
        false
    }
}

/// Whether pieces may stand from there on, with nothing between them that could be a word.
fn may_follow(raw: &[u8], mut at: usize, pieces: &[Piece]) -> bool {
    for piece in pieces {
        let rest = raw.get(at..).unwrap_or_default();
        let Some(gap) = rest.iter().position(|byte| !stands_between(*byte)) else {
            return false;
        };
        match piece.compare(&rest[gap..]) {
            Likeness::Equal(length) => at += gap + length,
            Likeness::Unsure => return true,
            Likeness::Other => return false,
        }
    }
    true
}

/// The same of pieces up to there.
fn may_precede(raw: &[u8], mut at: usize, pieces: &[Piece]) -> bool {
    for piece in pieces.iter().rev() {
        let rest = raw.get(..at).unwrap_or_default();
        let Some(end) = rest.iter().rposition(|byte| !stands_between(*byte)) else {
            return false;
        };
        let Some(length) = piece.length() else {
            return true;
        };
        if !rest[end].is_ascii() {
            return true;
        }
        let Some(begins) = (end + 1).checked_sub(length) else {
            return false;
        };
        match piece.compare(&rest[begins..=end]) {
            Likeness::Equal(_) => at = begins,
            Likeness::Unsure => return true,
            Likeness::Other => return false,
        }
    }
    true
}

/// Whether a byte may stand between words and in none: of other scripts, nothing is said here.
fn stands_between(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric()
}

/// Whether a piece stands somewhere.
enum Likeness {
    /// It does, in so many bytes.
    Equal(usize),
    /// Something of another script stands there, of which nothing is said here.
    Unsure,
    Other,
}

impl Piece {
    fn of(row: &str) -> Self {
        let has_case = |character: &char| !character.is_ascii() && VARIANTS.contains_key(character);
        let folded: Vec<char> = row.chars().collect();
        if !folded.iter().any(has_case) {
            if row.bytes().any(|byte| byte.is_ascii_lowercase()) {
                return Self::Ascii(AsciiRow::of(row.as_bytes()));
            }
            return Self::Exact(Box::new(Finder::new(row.as_bytes()).into_owned()));
        }
        // One that is rare, else one that is not of ASCII.
        let is_rare = |character: &char| !character.is_ascii() && !FREQUENT.contains(*character);
        let anchor = folded
            .iter()
            .position(is_rare)
            .or_else(|| folded.iter().position(has_case))
            .unwrap_or(0);
        let wanted = folded.get(anchor).copied().unwrap_or_default();
        let variants = VARIANTS.get(&wanted).into_iter().flatten().copied();
        let finders = std::iter::once(wanted)
            .chain(variants)
            .map(|variant| Finder::new(variant.to_string().as_bytes()).into_owned())
            .collect();
        Self::Anchored {
            folded,
            anchor,
            finders,
        }
    }

    /// Its bytes; `None` where they are not the same in each of its cases.
    fn length(&self) -> Option<usize> {
        match self {
            Self::Exact(finder) => Some(finder.needle().len()),
            Self::Ascii(row) => Some(row.lower.len()),
            Self::Anchored { .. } => None,
        }
    }

    /// Where it stands at this place or behind it.
    fn find(&self, bytes: Bytes<'_>, from: usize) -> Option<usize> {
        let raw = bytes.raw;
        match self {
            Self::Exact(finder) => Some(from + finder.find(raw.get(from..)?)?),
            Self::Ascii(row) => match bytes.lower {
                Some(lower) => Some(from + row.finder.find(lower.get(from..)?)?),
                None => row.find(raw, from),
            },
            Self::Anchored {
                folded,
                anchor,
                finders,
            } => finders
                .iter()
                .find_map(|finder| finder.find_iter(raw).find(|at| fits(raw, *at, folded, *anchor))),
        }
    }

    /// Whether these bytes begin with it.
    fn compare(&self, raw: &[u8]) -> Likeness {
        let wanted = match self {
            Self::Exact(finder) => finder.needle(),
            Self::Ascii(row) => &row.lower,
            Self::Anchored { .. } => return Likeness::Unsure,
        };
        for (place, byte) in wanted.iter().enumerate() {
            match raw.get(place) {
                Some(there) if there.eq_ignore_ascii_case(byte) => {}
                Some(there) if !there.is_ascii() => return Likeness::Unsure,
                _ => return Likeness::Other,
            }
        }
        Likeness::Equal(wanted.len())
    }
}

impl AsciiRow {
    fn of(lower: &[u8]) -> Self {
        let frequency = |byte: u8| {
            let like = if byte.is_ascii_digit() { b'0' } else { byte };
            BY_FREQUENCY.iter().position(|known| *known == like)
        };
        // What is in no list is rare, but the bytes of other scripts are many where there are any.
        let rarity = |byte: u8| {
            let unknown = if byte.is_ascii() {
                BY_FREQUENCY.len()
            } else {
                BY_FREQUENCY.len() / 2
            };
            frequency(byte).unwrap_or(unknown)
        };
        let rarest = (0..lower.len())
            .max_by_key(|place| rarity(lower[*place]))
            .unwrap_or(0);
        let byte = lower.get(rarest).copied().unwrap_or_default();
        Self {
            finder: Box::new(Finder::new(lower).into_owned()),
            lower: lower.to_vec(),
            rarest,
            cases: [byte, byte.to_ascii_uppercase()],
        }
    }

    fn find(&self, raw: &[u8], from: usize) -> Option<usize> {
        let mut at = from + self.rarest;
        loop {
            let found = at + memchr::memchr2(self.cases[0], self.cases[1], raw.get(at..)?)?;
            let begins = found - self.rarest;
            if raw
                .get(begins..begins + self.lower.len())?
                .eq_ignore_ascii_case(&self.lower)
            {
                return Some(begins);
            }
            at = found + 1;
        }
    }
}

/// Whether the row stands there with its anchor at this place.
fn fits(raw: &[u8], at: usize, folded: &[char], anchor: usize) -> bool {
    let (before, behind) = raw.split_at(at);
    let (first, rest) = folded.split_at(anchor);
    let equal = |there: char, wanted: char| fold_char(there).eq(std::iter::once(wanted));
    let mut bytes = behind;
    for wanted in rest {
        match first_char(bytes) {
            Some(there) if equal(there, *wanted) => bytes = &bytes[there.len_utf8()..],
            _ => return false,
        }
    }
    let mut bytes = before;
    for wanted in first.iter().rev() {
        match last_char(bytes) {
            Some(there) if equal(there, *wanted) => bytes = &bytes[..bytes.len() - there.len_utf8()],
            _ => return false,
        }
    }
    true
}

fn first_char(bytes: &[u8]) -> Option<char> {
    let length = match bytes.first()? {
        0..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next()
}

fn last_char(bytes: &[u8]) -> Option<char> {
    let back = bytes.iter().rev().take(4).position(|byte| byte & 0xc0 != 0x80)?;
    first_char(&bytes[bytes.len() - back - 1..])
}

#[cfg(test)]
mod tests;
