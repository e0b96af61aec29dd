//! Reads Rust just well enough to tell code, comments and literals apart, and finds leftovers in them.
//!
//! Never parses: words that stand in strings or comments must not be taken for code, nothing more.

use super::Finding;
use super::source::SourceFile;

/// Macros that mark unfinished code.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!"];
/// Words in comments that mark unfinished code.
const MARKERS: &[&str] = &["FIXME", "XXX", "HACK"];

/// A file's code and its comments, each with the other and all literals blanked out, line by line.
#[derive(Debug)]
pub(super) struct Lexed {
    /// The code alone.
    pub(super) code: String,
    /// The comments alone, their slashes included.
    pub(super) comments: String,
}

/// Nothing unfinished is left in the sources.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for word in UNFINISHED {
            for line in lines_with(&file.lexed.code, word) {
                findings.push(Finding::error(
                    &file.path,
                    line,
                    format!("`{word}` is left in the code"),
                ));
            }
        }
        for word in MARKERS {
            for line in lines_with(&file.lexed.comments, word) {
                let message = format!("a comment says {word}; mend it or write an issue");
                findings.push(Finding::error(&file.path, line, message));
            }
        }
    }
    findings
}

/// The lines, counted from 1, in which the word stands by itself and not as part of a longer one.
pub(super) fn lines_with(text: &str, word: &str) -> Vec<usize> {
    let stands = |line: &str| {
        line.match_indices(word).any(|(start, _)| {
            let before = line[..start].chars().next_back();
            let after = line[start + word.len()..].chars().next();
            let ends_open = word.ends_with(is_word) && after.is_some_and(is_word);
            !before.is_some_and(is_word) && !ends_open
        })
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| stands(line))
        .map(|(index, _)| index + 1)
        .collect()
}

/// The identifier that follows a keyword in a line of code, and what comes after it.
pub(super) fn identifier_after<'a>(line: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (before, after) = line.split_once(keyword)?;
    if before.ends_with(is_word) || !after.starts_with(char::is_whitespace) {
        return None;
    }
    let after = after.trim_start();
    let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
    (end > 0).then(|| after.split_at(end))
}

/// Tells code and comments apart.
pub(super) fn lex(text: &str) -> Lexed {
    let chars: Vec<char> = text.chars().collect();
    let mut lexed = Lexed {
        code: String::with_capacity(text.len()),
        comments: String::with_capacity(text.len()),
    };
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let rest = &chars[at..];
        let in_word = at > 0 && is_word(chars[at - 1]);
        let (kind, length) = match (c, rest.get(1)) {
            ('/', Some('/')) => (Piece::Comment, find(rest, 0, |c| c == '\n')),
            ('/', Some('*')) => (Piece::Comment, block_comment(rest)),
            ('"', _) => (Piece::Literal, quoted(rest, '"')),
            ('\'', _) => match character(rest) {
                Some(length) => (Piece::Literal, length),
                None => (Piece::Code, 1),
            },
            ('r', Some('"' | '#')) if !in_word || is_prefix(&chars[..at]) => match raw_string(rest) {
                Some(length) => (Piece::Literal, length),
                None => (Piece::Code, 1),
            },
            _ => (Piece::Code, 1),
        };
        for &c in &rest[..length] {
            let blank = if c == '\n' { '\n' } else { ' ' };
            lexed.code.push(if kind == Piece::Code { c } else { blank });
            lexed
                .comments
                .push(if kind == Piece::Comment { c } else { blank });
        }
        at += length;
    }
    lexed
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Code,
    Comment,
    Literal,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the text ends with the `b` or `c` of a byte or C string.
fn is_prefix(before: &[char]) -> bool {
    match before {
        [.., word, 'b' | 'c'] => !is_word(*word),
        ['b' | 'c'] => true,
        _ => false,
    }
}

/// Where the first character from `from` on is that `ends` the piece, or the end of the text.
fn find(rest: &[char], from: usize, ends: impl Fn(char) -> bool) -> usize {
    rest.iter()
        .skip(from)
        .position(|&c| ends(c))
        .map_or(rest.len(), |found| from + found)
}

/// The length of a block comment; they nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        match (rest[at], rest.get(at + 1)) {
            ('/', Some('*')) => (at, depth) = (at + 2, depth + 1),
            ('*', Some('/')) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a literal that ends with an unescaped quote.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal; `None` for a lifetime.
fn character(rest: &[char]) -> Option<usize> {
    match rest {
        [_, '\\', ..] => Some(quoted(rest, '\'')),
        [_, _, '\'', ..] => Some(3),
        _ => None,
    }
}

/// The length of a raw string; `None` for a raw identifier.
fn raw_string(rest: &[char]) -> Option<usize> {
    let open = find(rest, 1, |c| c != '#');
    if rest.get(open) != Some(&'"') {
        return None;
    }
    let hashes = open - 1;
    let mut at = open + 1;
    while at < rest.len() {
        let closes = rest[at] == '"'
            && rest.len() > at + hashes
            && rest[at + 1..=at + hashes].iter().all(|&c| c == '#');
        if closes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(rest.len())
}

#[cfg(test)]
mod tests;
