//! How long an answer may be used again.
//!
//! Never zero: an answer that may not be used again is one that is not looked up.

use std::time::Duration;

use thiserror::Error;

/// What a time to live looks like as a text: a number above zero and a unit; without a unit it is seconds.
pub(crate) const TTL_PATTERN: &str =
    r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*)\s*(ms|s|m|h|d)?$";

/// A hundred years: more is as good as forever.
const SECONDS_MAX: f64 = 3_155_760_000.0;

/// The units, longer names first.
const UNITS: [(&str, f64); 5] = [
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
];

/// How long an answer may be used again: more than nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(Duration);

/// Why something is no time to live.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be a time above zero such as 30m, 12h or 7d")]
pub struct InvalidTtl;

impl Ttl {
    /// Reads `30m`, `12h`, `7d` or, for seconds, a number alone.
    ///
    /// # Errors
    /// [`InvalidTtl`] for anything else, and for nothing at all.
    pub fn parse(text: &str) -> Result<Self, InvalidTtl> {
        let text = text.trim();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)))
            .unwrap_or((text, 1.0));
        let number = number.trim_end();
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number: f64 = number.parse().ok().filter(|_| is_plain).ok_or(InvalidTtl)?;
        Self::of_seconds(number * unit)
    }

    /// So many seconds.
    ///
    /// # Errors
    /// [`InvalidTtl`] for what is not above zero.
    pub fn of_seconds(seconds: f64) -> Result<Self, InvalidTtl> {
        let duration = Duration::try_from_secs_f64(seconds.min(SECONDS_MAX)).map_err(|_| InvalidTtl)?;
        if duration.is_zero() {
            return Err(InvalidTtl);
        }
        Ok(Self(duration))
    }

    /// The time.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}
