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

/// A row of characters that must occur.
struct Needle {
    way: Way,
    /// Odd characters whose lower case holds a character of the row: where they occur, it may occur.
    odd: Vec<Finder<'static>>,
}

enum Way {
    /// Has no letters with case but those of ASCII: looked for in bytes whose ASCII is in lower case.
    Lower(Box<Finder<'static>>),
    /// Looked for by one of its characters, in each of its cases; its neighbours are compared then.
    Anchored {
        folded: Vec<char>,
        anchor: usize,
        finders: Vec<Finder<'static>>,
    },
}

/// Everything that must occur.
pub(super) struct RawFilter {
    needles: Vec<Needle>,
}

impl RawFilter {
    /// What a pattern wants.
    pub(super) fn of(pattern: &Pattern) -> Self {
        let rows: Vec<String> = match pattern {
            Pattern::Row(row) => vec![row.iter().collect()],
            Pattern::Terms(terms) => terms
                .iter()
                .flat_map(|term| {
                    // Words that touch each other touch in what is found, too.
                    let touching = term.tokens().chunk_by(|a, b| a.ends == b.begins);
                    touching.map(|words| words.iter().map(|word| word.text.as_str()).collect::<String>())
                })
                .collect(),
        };
        Self {
            needles: rows.iter().map(|row| Needle::of(row)).collect(),
        }
    }

    /// Whether these bytes may hold everything; `lower` are the same with ASCII in lower case.
    pub(super) fn may_hold(&self, raw: &[u8], lower: &[u8]) -> bool {
        self.needles.iter().all(|needle| needle.occurs(raw, lower))
    }

    /// Whether these bytes may hold anything of it.
    pub(super) fn may_hold_some(&self, raw: &[u8]) -> bool {
        let lower = raw.to_ascii_lowercase();
        self.needles.iter().any(|needle| needle.occurs(raw, &lower))
    }
}

impl Needle {
    fn of(row: &str) -> Self {
        let folded: Vec<char> = fold(row).chars().collect();
        let mut odd = Vec::new();
        for (ascii, character) in [('k', '\u{212a}'), ('i', '\u{130}'), ('\u{307}', '\u{130}')] {
            if folded.contains(&ascii) {
                odd.push(Finder::new(character.to_string().as_bytes()).into_owned());
            }
        }
        let has_case = |character: &char| !character.is_ascii() && VARIANTS.contains_key(character);
        if !folded.iter().any(has_case) {
            let row: String = folded.iter().collect();
            return Self {
                way: Way::Lower(Box::new(Finder::new(row.as_bytes()).into_owned())),
                odd,
            };
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
        Self {
            way: Way::Anchored {
                folded,
                anchor,
                finders,
            },
            odd,
        }
    }

    fn occurs(&self, raw: &[u8], lower: &[u8]) -> bool {
        let found = match &self.way {
            Way::Lower(finder) => finder.find(lower).is_some(),
            Way::Anchored {
                folded,
                anchor,
                finders,
            } => finders
                .iter()
                .any(|finder| finder.find_iter(raw).any(|at| fits(raw, at, folded, *anchor))),
        };
        found || self.odd.iter().any(|finder| finder.find(raw).is_some())
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
