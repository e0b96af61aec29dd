//! Trace and span ids as W3C Trace Context defines them: 16 and 8 bytes, lower-case hex, not all zero.
//!
//! Never asks the operating system for randomness: an [`IdSource`] is seeded by its owner.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Identifies one run: 16 bytes, shown as 32 hex digits.
/// Source: W3C Trace Context, `trace-id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(u128);

/// Identifies one span of a run: 8 bytes, shown as 16 hex digits.
/// Source: W3C Trace Context, `parent-id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(u64);

/// Why a text is no trace id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no trace id: 32 hex digits, not all zero, are wanted")]
pub struct InvalidTraceId(pub String);

/// Why a text is no span id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no span id: 16 hex digits, not all zero, are wanted")]
pub struct InvalidSpanId(pub String);

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl TraceId {
    /// Reads 32 lower-case hex digits.
    ///
    /// # Errors
    /// [`InvalidTraceId`] for another length, another digit, or all zeros.
    pub fn parse(text: &str) -> Result<Self, InvalidTraceId> {
        if text.len() != 32 || !is_lower_hex(text) {
            return Err(InvalidTraceId(text.to_owned()));
        }
        match u128::from_str_radix(text, 16) {
            Ok(id) if id != 0 => Ok(Self(id)),
            _ => Err(InvalidTraceId(text.to_owned())),
        }
    }

    /// The id with these 16 big-endian bytes, unless they are all zero.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let id = u128::from_be_bytes(bytes);
        (id != 0).then_some(Self(id))
    }

    /// The 16 bytes, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    /// Reads 16 lower-case hex digits.
    ///
    /// # Errors
    /// [`InvalidSpanId`] for another length, another digit, or all zeros.
    pub fn parse(text: &str) -> Result<Self, InvalidSpanId> {
        if text.len() != 16 || !is_lower_hex(text) {
            return Err(InvalidSpanId(text.to_owned()));
        }
        match u64::from_str_radix(text, 16) {
            Ok(id) if id != 0 => Ok(Self(id)),
            _ => Err(InvalidSpanId(text.to_owned())),
        }
    }

    /// The id with this number, unless it is zero.
    #[must_use]
    pub fn from_u64(id: u64) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    /// The id as a number (big-endian reading of the 8 bytes).
    #[must_use]
    pub fn to_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

macro_rules! text_forms {
    ($id:ty, $error:ty) => {
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $id {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
text_forms!(TraceId, InvalidTraceId);
text_forms!(SpanId, InvalidSpanId);

/// Makes ids from a seed (SplitMix64): equal seeds give equal ids.
///
/// The program seeds it from the operating system; tests seed it with a constant.
#[derive(Clone, Debug)]
pub struct IdSource {
    state: u64,
}

impl IdSource {
    /// A source whose ids follow from `seed`.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A new trace id.
    pub fn trace_id(&mut self) -> TraceId {
        let id = (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64());
        TraceId(id.max(1))
    }

    /// A new span id.
    pub fn span_id(&mut self) -> SpanId {
        SpanId(self.next_u64().max(1))
    }
}
