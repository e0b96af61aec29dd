//! `traceparent`: the trace, the span in it that calls, and two flags.
//!
//! Source: W3C Trace Context Level 2. Never guesses: one wrong character makes it invalid.

use std::fmt;
use std::str::FromStr;

use flowmeter_model::{SpanId, TraceId};
use thiserror::Error;

/// The length of version 00, and the least of any version.
const LENGTH: usize = 55;

/// The flags of a `traceparent`. Only those are kept whose meaning is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceFlags(u8);

impl TraceFlags {
    const SAMPLED: u8 = 0b01;
    const RANDOM: u8 = 0b10;

    /// These flags.
    #[must_use]
    pub fn new(sampled: bool, random: bool) -> Self {
        let sampled = if sampled { Self::SAMPLED } else { 0 };
        let random = if random { Self::RANDOM } else { 0 };
        Self(sampled | random)
    }

    /// The known ones among these bits.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & (Self::SAMPLED | Self::RANDOM))
    }

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether the caller keeps the trace.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED != 0
    }

    /// Whether the rightmost 56 bits of the trace id are known to be random.
    #[must_use]
    pub fn is_random(self) -> bool {
        self.0 & Self::RANDOM != 0
    }
}

/// A `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that calls.
    pub span_id: SpanId,
    /// The flags.
    pub flags: TraceFlags,
}

/// Why a text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidTraceParent {
    /// Too short, or too long for its version.
    #[error("it has not the 55 characters of 00-<32 hex digits>-<16 hex digits>-<2 hex digits>")]
    Length,
    /// The parts are not where they should be.
    #[error("its parts are not separated by `-` as in 00-<32 hex digits>-<16 hex digits>-<2 hex digits>")]
    Separators,
    /// No version, or the forbidden one.
    #[error("its version is not two small hex digits below ff")]
    Version,
    /// The trace id cannot be.
    #[error("its trace id is not 32 small hex digits, or all zero")]
    TraceId,
    /// The span id cannot be.
    #[error("its parent id is not 16 small hex digits, or all zero")]
    SpanId,
    /// The flags are no number.
    #[error("its flags are not two small hex digits")]
    Flags,
}

impl TraceParent {
    /// Reads a `traceparent` of this version, or of a later one as far as it is alike.
    ///
    /// # Errors
    /// [`InvalidTraceParent`].
    pub fn parse(text: &str) -> Result<Self, InvalidTraceParent> {
        use InvalidTraceParent as Invalid;
        if !text.is_ascii() || text.len() < LENGTH {
            return Err(Invalid::Length);
        }
        let bytes = text.as_bytes();
        if [2, 35, 52].iter().any(|&at| bytes[at] != b'-') {
            return Err(Invalid::Separators);
        }
        let version = small_hex(&text[..2])
            .filter(|version| *version != 0xff)
            .ok_or(Invalid::Version)?;
        // Later versions may go on after another `-`; this one may not.
        match bytes.get(LENGTH) {
            Some(_) if version == 0 => return Err(Invalid::Length),
            Some(next) if *next != b'-' => return Err(Invalid::Separators),
            _ => {}
        }
        Ok(Self {
            trace_id: TraceId::parse(&text[3..35]).map_err(|_| Invalid::TraceId)?,
            span_id: SpanId::parse(&text[36..52]).map_err(|_| Invalid::SpanId)?,
            flags: small_hex(&text[53..LENGTH])
                .map(TraceFlags::from_bits)
                .ok_or(Invalid::Flags)?,
        })
    }
}

fn small_hex(text: &str) -> Option<u8> {
    let small = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    small.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

/// Always version 00, the latest one that there is.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.flags.bits();
        write!(f, "00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests;
