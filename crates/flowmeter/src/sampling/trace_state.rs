//! `tracestate`: the list in which each tracing system of a trace keeps its own member.
//!
//! Source: W3C Trace Context Level 2. Never mends a list that breaks the rules: it is dropped as a whole, with a
//! reason.

use std::fmt;

use smol_str::SmolStr;
use thiserror::Error;

use super::OtState;

/// The most members.
const MEMBERS_MAX: usize = 32;
/// The longest key and the longest value, in bytes.
const PART_BYTES_MAX: usize = 256;
/// OpenTelemetry's member.
const OT: &str = "ot";

/// Why a text is no `tracestate`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidTraceState {
    /// More members than a list may have.
    #[error("it has more than 32 members")]
    TooMany,
    /// A member that is no pair of key and value.
    #[error("member {0} has no `=`")]
    NoPair(usize),
    /// A key that breaks the rules.
    #[error(
        "the key of member {0} is not 1 to 256 of a-z, 0-9, _, -, *, / and @, the first one of a-z and 0-9"
    )]
    Key(usize),
    /// A value that breaks the rules.
    #[error("the value of member {0} is not 1 to 256 printable ASCII characters without `,` and `=`")]
    Value(usize),
    /// The same key twice.
    #[error("the key of member {0} is there twice")]
    Duplicate(usize),
}

/// A `tracestate`, newest member first. At most 32 members of at most 513 bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceState {
    members: Vec<(SmolStr, SmolStr)>,
}

impl TraceState {
    /// Reads a list; several header lines are one list, joined by commas. Empty members do not count.
    ///
    /// # Errors
    /// [`InvalidTraceState`], with the number of the member, counted from 1.
    pub fn parse(text: &str) -> Result<Self, InvalidTraceState> {
        let mut state = Self::default();
        for (index, member) in text.split(',').enumerate() {
            let member = member.trim_matches([' ', '\t']);
            let number = index + 1;
            if member.is_empty() {
                continue;
            }
            if state.members.len() == MEMBERS_MAX {
                return Err(InvalidTraceState::TooMany);
            }
            let (key, value) = member.split_once('=').ok_or(InvalidTraceState::NoPair(number))?;
            if !is_key(key) {
                return Err(InvalidTraceState::Key(number));
            }
            if !is_value(value) {
                return Err(InvalidTraceState::Value(number));
            }
            if state.get(key).is_some() {
                return Err(InvalidTraceState::Duplicate(number));
            }
            state.members.push((SmolStr::new(key), SmolStr::new(value)));
        }
        Ok(state)
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let member = self.members.iter().find(|(present, _)| present == key);
        member.map(|(_, value)| value.as_str())
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// All members, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What OpenTelemetry's member says.
    #[must_use]
    pub fn ot(&self) -> OtState {
        self.get(OT).map(OtState::parse).unwrap_or_default()
    }

    /// The same list with OpenTelemetry's member saying this. A member that changes moves to the front, as W3C
    /// wants it; where that is one too many, the last one goes.
    #[must_use]
    pub fn with_ot(mut self, ot: &OtState) -> Self {
        let value = ot.to_string();
        if self.get(OT) == Some(value.as_str()) {
            return self;
        }
        self.members.retain(|(key, _)| key != OT);
        if !value.is_empty() {
            self.members.truncate(MEMBERS_MAX - 1);
            self.members
                .insert(0, (SmolStr::new_static(OT), SmolStr::from(value)));
        }
        self
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.members.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{key}={value}")?;
        }
        Ok(())
    }
}

fn is_key(key: &str) -> bool {
    let small_or_digit = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= PART_BYTES_MAX
        && key.as_bytes().first().is_some_and(small_or_digit)
        && key
            .bytes()
            .all(|byte| small_or_digit(&byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@'))
}

/// Spaces at the end were taken off with the space around the member.
fn is_value(value: &str) -> bool {
    (1..=PART_BYTES_MAX).contains(&value.len())
        && value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'='))
}

#[cfg(test)]
mod tests;
