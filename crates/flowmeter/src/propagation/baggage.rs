//! `baggage`: pairs that users send along with a trace.
//!
//! Source: W3C Baggage. Values stay as they came, percent-encoded, and are decoded when somebody asks; so what is
//! passed on is what was received. Never puts anything into the baggage by itself: it travels to others.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use smol_str::SmolStr;
use thiserror::Error;

/// The most members. The specification asks for 64 at least.
const MEMBERS_MAX: usize = 180;
/// The longest baggage, in bytes. The specification asks for this much at least.
const BYTES_MAX: usize = 8192;

/// What cannot stand in a value: control characters, space, `"`, `,`, `;`, `\`, and `%`, which begins an escape.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b',')
    .add(b';')
    .add(b'\\')
    .add(b'%');

/// One pair, with its properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaggageMember {
    key: SmolStr,
    value: SmolStr,
    /// `;`-separated, without the first `;`, as they came.
    properties: SmolStr,
}

/// Why a text is no member of a baggage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidBaggageMember {
    /// No `=`.
    #[error("it has no `=`")]
    NoPair,
    /// The key is no token.
    #[error("its key is empty or has a character that no key may have")]
    Key,
    /// The value has a forbidden character.
    #[error("its value has a character that must be percent-encoded")]
    Value,
    /// A property is no token, or its value has a forbidden character.
    #[error("one of its properties is malformed")]
    Property,
}

impl BaggageMember {
    /// A member with this value, which is percent-encoded where it must be.
    ///
    /// # Errors
    /// [`InvalidBaggageMember::Key`] for a key that is no HTTP token.
    pub fn new(key: &str, value: &str) -> Result<Self, InvalidBaggageMember> {
        if !is_token(key) {
            return Err(InvalidBaggageMember::Key);
        }
        Ok(Self {
            key: SmolStr::new(key),
            value: SmolStr::from(utf8_percent_encode(value, ESCAPED).to_string()),
            properties: SmolStr::default(),
        })
    }

    /// Reads `key=value;property;other=property`.
    ///
    /// # Errors
    /// [`InvalidBaggageMember`].
    pub fn parse(text: &str) -> Result<Self, InvalidBaggageMember> {
        let mut parts = text.split(';').map(trimmed);
        let pair = parts.next().unwrap_or_default();
        let (key, value) = pair.split_once('=').ok_or(InvalidBaggageMember::NoPair)?;
        let (key, value) = (trimmed(key), trimmed(value));
        if !is_token(key) {
            return Err(InvalidBaggageMember::Key);
        }
        if !is_encoded(value) {
            return Err(InvalidBaggageMember::Value);
        }
        let mut properties = Vec::new();
        for property in parts {
            let (name, value) = match property.split_once('=') {
                Some((name, value)) => (trimmed(name), Some(trimmed(value))),
                None => (property, None),
            };
            if !is_token(name) || !value.is_none_or(is_encoded) {
                return Err(InvalidBaggageMember::Property);
            }
            properties.push(match value {
                Some(value) => format!("{name}={value}"),
                None => name.to_owned(),
            });
        }
        Ok(Self {
            key: SmolStr::new(key),
            value: SmolStr::new(value),
            properties: SmolStr::from(properties.join(";")),
        })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value, decoded. What is no UTF-8 then becomes the replacement character.
    #[must_use]
    pub fn value(&self) -> Cow<'_, str> {
        percent_decode_str(&self.value).decode_utf8_lossy()
    }

    /// The properties as they came: `property;other=property`; often none.
    #[must_use]
    pub fn properties(&self) -> &str {
        &self.properties
    }
}

impl fmt::Display for BaggageMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)?;
        if self.properties.is_empty() {
            Ok(())
        } else {
            write!(f, ";{}", self.properties)
        }
    }
}

/// Pairs in the order in which they came; a key may be there twice. At most 180 members and 8,192 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baggage {
    members: Vec<BaggageMember>,
    bytes: usize,
}

impl Baggage {
    /// Reads a list. Members that are malformed, or too many, are left out and told of, each with its number.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        let mut baggage = Self::default();
        let mut problems = Vec::new();
        let mut too_many = 0_usize;
        for (index, member) in text.split(',').map(trimmed).enumerate() {
            if member.is_empty() {
                continue;
            }
            match BaggageMember::parse(member) {
                Ok(member) => too_many += usize::from(!baggage.push(member)),
                Err(problem) => problems.push(format!("member {}: {problem}", index + 1)),
            }
        }
        if too_many > 0 {
            problems.push(format!(
                "{too_many} members are beyond the limit of {MEMBERS_MAX} members and {BYTES_MAX} bytes"
            ));
        }
        (baggage, problems)
    }

    /// Adds a member at the end; `false` where there is no room for it.
    pub fn push(&mut self, member: BaggageMember) -> bool {
        let separator = usize::from(!self.members.is_empty());
        let mut length = member.key.len() + 1 + member.value.len();
        if !member.properties.is_empty() {
            length += 1 + member.properties.len();
        }
        let bytes = self.bytes + separator + length;
        let fits = self.members.len() < MEMBERS_MAX && bytes <= BYTES_MAX;
        if fits {
            self.bytes = bytes;
            self.members.push(member);
        }
        fits
    }

    /// The members, in order.
    #[must_use]
    pub fn members(&self) -> &[BaggageMember] {
        &self.members
    }

    /// The value of the last member with this key, decoded.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let mut latest_first = self.members.iter().rev();
        latest_first
            .find(|member| member.key == key)
            .map(BaggageMember::value)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl fmt::Display for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, member) in self.members.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{member}")?;
        }
        Ok(())
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A token as RFC 7230 has it.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_encoded(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b',' | b';' | b'\\'))
}

#[cfg(test)]
mod tests;
