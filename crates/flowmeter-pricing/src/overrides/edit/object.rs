//! Where an object's members stand in a text that is known to be JSON.
//!
//! Never reads values: it finds where they begin and end.

use std::ops::Range;

use serde_json::StreamDeserializer;
use serde_json::value::RawValue;

/// A member of an object.
#[derive(Clone, Debug)]
pub(super) struct Member {
    key: String,
    /// Where the key's opening quote stands.
    key_start: usize,
    pub(super) value: Range<usize>,
}

/// An object of the text.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Where its opening brace stands.
    pub(super) start: usize,
    /// Where its closing brace stands.
    end: usize,
    members: Vec<Member>,
}

impl Object {
    /// The object whose brace stands at `start`.
    pub(super) fn find(text: &str, start: usize) -> Option<Self> {
        if text.as_bytes().get(start) != Some(&b'{') {
            return None;
        }
        let mut members = Vec::new();
        let mut at = start + 1;
        loop {
            at = skip(text, at, b",");
            if text.as_bytes().get(at)? == &b'}' {
                return Some(Self {
                    start,
                    end: at,
                    members,
                });
            }
            let key_start = at;
            let key_end = value_end(text, key_start)?;
            let value_start = skip(text, key_end, b":");
            let value_end = value_end(text, value_start)?;
            members.push(Member {
                key: serde_json::from_str(&text[key_start..key_end]).ok()?,
                key_start,
                value: value_start..value_end,
            });
            at = value_end;
        }
    }

    /// The first member whose key is meant.
    pub(super) fn member(&self, is_meant: impl Fn(&str) -> bool) -> Option<Member> {
        self.members.iter().find(|member| is_meant(&member.key)).cloned()
    }

    /// The text with one member more at the end of this object, spaced as the others are.
    pub(super) fn insert(&self, text: &str, member: &str) -> String {
        let mut changed = text.to_owned();
        match (self.members.first(), self.members.last()) {
            (Some(first), Some(last)) => {
                let spacing = &text[self.start + 1..first.key_start];
                let spacing = match spacing.rfind('\n') {
                    Some(line_end) => format!("\n{}", &spacing[line_end + 1..]),
                    None => " ".to_owned(),
                };
                changed.insert_str(last.value.end, &format!(",{spacing}{member}"));
            }
            _ => changed.replace_range(self.start + 1..self.end, &format!("\n  {member}\n")),
        }
        changed
    }

    /// The text without one member of this object.
    pub(super) fn remove(&self, text: &str, member: &Member) -> String {
        let at = self
            .members
            .iter()
            .position(|candidate| candidate.key_start == member.key_start)
            .unwrap_or(0);
        let gone = match (
            at.checked_sub(1).and_then(|before| self.members.get(before)),
            self.members.get(at + 1),
        ) {
            (Some(before), _) => before.value.end..member.value.end,
            (None, Some(after)) => member.key_start..after.key_start,
            (None, None) => self.start + 1..self.end,
        };
        let mut changed = text.to_owned();
        changed.replace_range(gone, "");
        changed
    }
}

/// The next place that holds neither space nor one of these marks.
fn skip(text: &str, mut at: usize, marks: &[u8]) -> usize {
    while let Some(byte) = text.as_bytes().get(at) {
        if !byte.is_ascii_whitespace() && !marks.contains(byte) {
            break;
        }
        at += 1;
    }
    at
}

/// Where the value that begins at `start` ends.
fn value_end(text: &str, start: usize) -> Option<usize> {
    let mut values: StreamDeserializer<'_, _, &RawValue> =
        serde_json::Deserializer::from_str(text.get(start..)?).into_iter();
    let value = values.next()?.ok()?;
    Some(start + value.get().len())
}
