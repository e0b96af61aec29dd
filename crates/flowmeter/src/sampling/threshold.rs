//! Rates, rejection thresholds and trace randomness: the arithmetic of consistent probability sampling.
//!
//! Source: OpenTelemetry, "TraceState: Probability Sampling". Thresholds have the full precision of the rate, as in
//! OpenTelemetry's Python SDK. Never rounds to fewer digits: two programs that do so differently would disagree.

use std::fmt;
use std::str::FromStr;

use flowmeter_model::TraceId;
use thiserror::Error;

/// Bits of randomness in a trace.
const RANDOM_BITS: u32 = 56;
/// How many thresholds there are: 2⁵⁶.
const THRESHOLDS: u64 = 1 << RANDOM_BITS;
/// Hex digits of 56 bits.
const HEX_DIGITS: usize = 14;

/// The share of traces that are kept: from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct SamplingRate(f64);

/// Why a text or a number is no sampling rate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no sampling rate: give a number from 0 to 1, such as 0.1, 10% or 1/10")]
pub struct InvalidSamplingRate(pub String);

impl SamplingRate {
    /// Every trace.
    pub const ALL: Self = Self(1.0);
    /// No trace.
    pub const NONE: Self = Self(0.0);

    /// The rate with this value.
    ///
    /// # Errors
    /// [`InvalidSamplingRate`] for what is not from 0 to 1.
    pub fn new(rate: f64) -> Result<Self, InvalidSamplingRate> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(InvalidSamplingRate(rate.to_string()));
        }
        // Adding zero takes the sign off a negative zero.
        Ok(Self(rate + 0.0))
    }

    /// Reads `0.1`, `10%` or `1/10`.
    ///
    /// # Errors
    /// [`InvalidSamplingRate`] for what is none of these, or not from 0 to 1.
    pub fn parse(text: &str) -> Result<Self, InvalidSamplingRate> {
        let invalid = || InvalidSamplingRate(text.chars().take(40).collect());
        let trimmed = text.trim();
        let rate = if let Some(percent) = trimmed.strip_suffix('%') {
            hundredth(percent.trim_end())
        } else if let Some((part, whole)) = trimmed.split_once('/') {
            number(part.trim_end())
                .zip(number(whole.trim_start()))
                .map(|(part, whole)| part / whole)
        } else {
            number(trimmed)
        };
        Self::new(rate.ok_or_else(invalid)?).map_err(|_| invalid())
    }

    /// The rate as a number from 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// The threshold at which this share of traces is kept; `None` where the rate is so small that none is.
    #[must_use]
    pub fn threshold(self) -> Option<Threshold> {
        // Scaling by a power of two is exact; ties go to the even number, as everywhere in IEEE 754.
        let kept = (self.0 * THRESHOLDS as f64).round_ties_even() as u64;
        (kept > 0).then(|| Threshold(THRESHOLDS - kept))
    }
}

/// A number without the names that floating point has for what is no number.
fn number(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E'));
    if plain { text.parse().ok() } else { None }
}

/// A hundredth of a number: the decimal point moves, so that `33.3%` is exactly what `0.333` is.
fn hundredth(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    number(&format!("{digits}e{}", exponent.checked_sub(2)?))
}

impl fmt::Display for SamplingRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for SamplingRate {
    type Err = InvalidSamplingRate;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// The randomness that everybody in a trace shares: 56 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Randomness(u64);

impl Randomness {
    /// The rightmost 56 bits of a trace id.
    #[must_use]
    pub fn of_trace_id(trace_id: TraceId) -> Self {
        let bytes = trace_id.to_bytes();
        let mut low = [0; 8];
        low.copy_from_slice(&bytes[8..]);
        Self(u64::from_be_bytes(low) & (THRESHOLDS - 1))
    }

    /// Reads the 14 hex digits of `ot=rv:`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == HEX_DIGITS).then(|| hex(text)).flatten().map(Self)
    }
}

impl fmt::Display for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014x}", self.0)
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The rejection threshold: of 2⁵⁶ traces, how many are not kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

impl Threshold {
    /// Every trace is kept.
    pub const ZERO: Self = Self(0);

    /// Reads the 1 to 14 hex digits of `ot=th:`; trailing zeros may be left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !(1..=HEX_DIGITS).contains(&text.len()) {
            return None;
        }
        let left_out = HEX_DIGITS - text.len();
        hex(text).map(|digits| Self(digits << (4 * left_out)))
    }

    /// Whether a trace of this randomness is kept.
    #[must_use]
    pub fn keeps(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }

    /// The share of traces that are kept, above 0 and at most 1.
    #[must_use]
    pub fn probability(self) -> f64 {
        (THRESHOLDS - self.0) as f64 / THRESHOLDS as f64
    }

    /// How many traces one that was kept stands for: 1 and more.
    #[must_use]
    pub fn adjusted_count(self) -> f64 {
        THRESHOLDS as f64 / (THRESHOLDS - self.0) as f64
    }
}

/// As `ot=th:` has it, without trailing zeros: `0`, `c`, `e6666666666666`.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:014x}", self.0);
        let shown = digits.trim_end_matches('0');
        f.write_str(if shown.is_empty() { "0" } else { shown })
    }
}

impl fmt::Debug for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hex(text: &str) -> Option<u64> {
    let all_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    all_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests;
