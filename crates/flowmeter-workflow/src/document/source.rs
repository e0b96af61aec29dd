//! The text of a workflow file: strict JSON, with the place of every value in it.
//!
//! Knows nothing of workflows; never changes a value.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fmt;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::problem::{Anchor, Finding, Findings, Problem, Severity, pointer_step};

/// A JSON text with its places.
pub(crate) struct Source<'a> {
    text: &'a str,
    /// Only made where there is something to point at: most files are valid.
    tree: OnceCell<Option<ast::Value<'a>>>,
    has_duplicate_keys: bool,
    line_starts: Vec<usize>,
}

/// JSON and nothing beyond: no comments, no trailing commas, no bare words.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
};

impl<'a> Source<'a> {
    /// Reads the text; a byte order mark in front is ignored.
    pub(crate) fn parse(text: &'a str) -> Result<(Self, Value), Problem> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let line_starts = std::iter::once(0).chain(starts_of_further_lines(text)).collect();
        let mut source = Self {
            text,
            tree: OnceCell::new(),
            has_duplicate_keys: false,
            line_starts,
        };
        if text.trim().is_empty() {
            let help = "a workflow file is a JSON object with `nodes` and `edges`";
            return Err(source.problem_at(0, "the file is empty", Some(help.to_owned())));
        }
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => return Err(source.syntax_problem(&error)),
        };
        source.has_duplicate_keys = keys_in_text(text) > keys_in(&value);
        Ok((source, value))
    }

    fn tree(&self) -> Option<&ast::Value<'a>> {
        let parse = || {
            parse_to_ast(self.text, &CollectOptions::default(), &STRICT)
                .ok()
                .and_then(|parsed| parsed.value)
        };
        self.tree.get_or_init(parse).as_ref()
    }

    fn syntax_problem(&self, error: &serde_json::Error) -> Problem {
        let strict = parse_to_ast(self.text, &CollectOptions::default(), &STRICT).err();
        if let Some(strict) = strict
            && let Some((message, help)) = explain(strict.kind())
        {
            return self.problem_at(strict.range().start, message, help.map(str::to_owned));
        }
        let whole = error.to_string();
        let message = whole.split(" at line ").next().unwrap_or(&whole);
        let line_start = error
            .line()
            .checked_sub(1)
            .and_then(|line| self.line_starts.get(line))
            .copied()
            .unwrap_or(0);
        let offset = (line_start + error.column()).saturating_sub(1);
        if message.starts_with("control character") {
            let help = "write a line break in a text as \\n, a tab as \\t".to_owned();
            return self.problem_at(
                offset,
                "a text must not hold a line break or tab as such",
                Some(help),
            );
        }
        if message.contains("hex escape") || message.contains("surrogate") {
            let help = "a character above \\uffff is two escapes, one behind the other; or write it as such";
            return self.problem_at(offset, "half a character is escaped here", Some(help.to_owned()));
        }
        if message == "number out of range" {
            let help = "write it as a text, in double quotes".to_owned();
            return self.problem_at(offset, "this number is too large", Some(help));
        }
        self.problem_at(offset, format!("this is not valid JSON: {message}"), None)
    }

    fn problem_at(&self, offset: usize, message: impl Into<String>, help: Option<String>) -> Problem {
        let (line, column) = self.line_and_column(offset);
        Problem {
            line,
            column,
            severity: Severity::Error,
            message: message.into(),
            help,
            pointer: String::new(),
        }
    }

    /// Adds a problem for each key that an object has twice.
    pub(crate) fn find_duplicate_keys(&self, findings: &mut Findings) {
        if self.has_duplicate_keys
            && let Some(tree) = self.tree()
        {
            duplicates_in(tree, &mut String::new(), findings);
        }
    }

    /// Gives each finding its place, sorts them and drops what was said twice.
    pub(crate) fn locate(&self, findings: Vec<Finding>) -> Vec<Problem> {
        let mut problems: Vec<Problem> = findings
            .into_iter()
            .map(|finding| {
                let offset = self.offset_of(&finding.pointer, finding.anchor);
                let (line, column) = self.line_and_column(offset);
                Problem {
                    line,
                    column,
                    severity: finding.severity,
                    message: finding.message,
                    help: finding.help,
                    pointer: finding.pointer,
                }
            })
            .collect();
        problems.sort();
        problems.dedup_by(|later, earlier| {
            later.line == earlier.line && later.column == earlier.column && later.message == earlier.message
        });
        problems
    }

    /// The byte at which the value of `pointer` begins; the nearest value around it where there is none.
    fn offset_of(&self, pointer: &str, anchor: Anchor) -> usize {
        let Some(mut value) = self.tree() else {
            return 0;
        };
        let mut key_start = None;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match value {
                ast::Value::Object(object) => object
                    .properties
                    .iter()
                    .rev()
                    .find(|property| property.name.as_str() == step)
                    .map(|property| (Some(property.range.start), &property.value)),
                ast::Value::Array(array) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| array.elements.get(index))
                    .map(|element| (None, element)),
                _ => None,
            };
            match next {
                Some((key, inner)) => (key_start, value) = (key, inner),
                None => return value.start(),
            }
        }
        match anchor {
            Anchor::Value => value.start(),
            Anchor::Key => key_start.unwrap_or_else(|| value.start()),
            Anchor::Text(decoded) => match value {
                ast::Value::StringLit(literal) => {
                    let raw = &self.text[literal.range.start..literal.range.end];
                    literal.range.start + raw_offset(raw, decoded)
                }
                other => other.start(),
            },
        }
    }

    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line.saturating_sub(1)];
        (line.max(1), self.text[start..offset].chars().count() + 1)
    }
}

fn starts_of_further_lines(text: &str) -> impl Iterator<Item = usize> {
    text.bytes()
        .enumerate()
        .filter(|(_, byte)| *byte == b'\n')
        .map(|(offset, _)| offset + 1)
}

/// How many keys the objects of a value have.
fn keys_in(value: &Value) -> usize {
    match value {
        Value::Object(members) => members.len() + members.values().map(keys_in).sum::<usize>(),
        Value::Array(elements) => elements.iter().map(keys_in).sum(),
        _ => 0,
    }
}

/// How many keys a JSON text writes: more than its value has where one is written twice.
fn keys_in_text(text: &str) -> usize {
    let mut count = 0;
    // The text has been read once already: it is valid.
    let _ = KeyCounter(&mut count).deserialize(&mut serde_json::Deserializer::from_str(text));
    count
}

struct KeyCounter<'c>(&'c mut usize);

impl<'de> DeserializeSeed<'de> for KeyCounter<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeyCounter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(KeyCounter(self.0))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key::<IgnoredAny>()?.is_some() {
            *self.0 += 1;
            members.next_value_seed(KeyCounter(self.0))?;
        }
        Ok(())
    }
}

/// Where byte `decoded` of a string's value stands in its literal, quotes and escapes included.
fn raw_offset(raw: &str, decoded: usize) -> usize {
    let mut seen = 0;
    let mut characters = raw.char_indices().skip(1).peekable();
    while let Some((offset, character)) = characters.next() {
        if seen >= decoded {
            return offset;
        }
        if character != '\\' {
            seen += character.len_utf8();
            continue;
        }
        match characters.next() {
            Some((start, 'u')) => {
                let code = raw
                    .get(start + 1..start + 5)
                    .and_then(|hex| u32::from_str_radix(hex, 16).ok());
                // Both halves of a surrogate pair together make four bytes.
                seen += match code {
                    Some(0xd800..=0xdfff) => 2,
                    Some(code) => char::from_u32(code).map_or(1, char::len_utf8),
                    None => 1,
                };
                characters.nth(3);
            }
            _ => seen += 1,
        }
    }
    raw.len().saturating_sub(1)
}

fn duplicates_in(value: &ast::Value<'_>, pointer: &mut String, findings: &mut Findings) {
    let length = pointer.len();
    match value {
        ast::Value::Object(object) => {
            let mut seen = HashSet::with_capacity(object.properties.len());
            for property in &object.properties {
                let name = property.name.as_str();
                pointer.push('/');
                pointer.push_str(&pointer_step(name));
                if !seen.insert(name) {
                    // A pointer leads to the last of several equal keys, which is the one to remove.
                    findings.error(
                        pointer.clone(),
                        Anchor::Key,
                        format!("the key `{name}` is given twice"),
                    );
                }
                duplicates_in(&property.value, pointer, findings);
                pointer.truncate(length);
            }
        }
        ast::Value::Array(array) => {
            for (index, element) in array.elements.iter().enumerate() {
                if matches!(element, ast::Value::Object(_) | ast::Value::Array(_)) {
                    pointer.push('/');
                    pointer.push_str(&index.to_string());
                    duplicates_in(element, pointer, findings);
                    pointer.truncate(length);
                }
            }
        }
        _ => {}
    }
}

/// A syntax error in plain words, with what to do about it.
fn explain(kind: &ParseErrorKind) -> Option<(&'static str, Option<&'static str>)> {
    Some(match kind {
        ParseErrorKind::CommentsNotAllowed => (
            "JSON has no comments",
            Some("say it in the `purpose` of a node or the `description` of an input"),
        ),
        ParseErrorKind::TrailingCommasNotAllowed => (
            "a comma follows the last element",
            Some("JSON has no trailing commas: remove it"),
        ),
        ParseErrorKind::ExpectedComma => ("a comma is missing here", None),
        ParseErrorKind::ExpectedColonAfterObjectKey => ("a colon is missing after the key", None),
        ParseErrorKind::ExpectedObjectValue => ("a value is missing after the colon", None),
        ParseErrorKind::ExpectedStringObjectProperty => (
            "a key must be a text in double quotes",
            Some("write it as \"key\""),
        ),
        ParseErrorKind::SingleQuotedStringsNotAllowed => {
            ("a text is in single quotes", Some("JSON has double quotes only"))
        }
        ParseErrorKind::MultipleRootJsonValues => (
            "something follows the end of the workflow",
            Some("a file holds one JSON object"),
        ),
        ParseErrorKind::UnterminatedObject => ("this `{` is never closed", None),
        ParseErrorKind::UnterminatedArray => ("this `[` is never closed", None),
        ParseErrorKind::NestingDepthExceeded => ("values are nested too deeply", None),
        ParseErrorKind::UnexpectedComma => ("there is a comma where a value should be", None),
        ParseErrorKind::UnexpectedColon => ("there is a colon where a value should be", None),
        ParseErrorKind::UnexpectedCloseBrace => ("there is a `}` that closes nothing", None),
        ParseErrorKind::UnexpectedCloseBracket => ("there is a `]` that closes nothing", None),
        ParseErrorKind::UnexpectedWord | ParseErrorKind::UnexpectedToken => (
            "this is no JSON value",
            Some("a text stands in double quotes; the words are true, false and null"),
        ),
        _ => return None,
    })
}
