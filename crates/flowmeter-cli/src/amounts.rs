//! Times and amounts of money as people write them on a command line or in settings.
//!
//! Never guesses a unit: a number alone is seconds or dollars.

use std::time::Duration;

use flowmeter_model::UsdNanos;

/// The units of time, longer names first.
const UNITS: &[(&str, f64)] = &[
    ("ms", 1e-3),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ns", 1e-9),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Reads `2s`, `500ms`, `1.5m`, `1h` or, for seconds, a number alone.
///
/// # Errors
/// What would be welcome.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || "must be a time such as 2s, 500ms, 1.5m or 1h".to_owned();
    let text = text.trim();
    let (number, seconds) = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)))
        .unwrap_or((text, 1.0));
    let number: f64 = plain_number(number.trim_end()).ok_or_else(wanted)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wanted())
}

/// Reads `0.05` or `$0.05`.
///
/// # Errors
/// What would be welcome.
pub(crate) fn usd(text: &str) -> Result<UsdNanos, String> {
    let wanted = || "must be an amount in dollars such as 0.05".to_owned();
    let text = text.trim();
    let number = plain_number(text.strip_prefix('$').unwrap_or(text)).ok_or_else(wanted)?;
    UsdNanos::from_usd(number).map_err(|_| wanted())
}

/// A number from 0 on, without the names that floating point has for what is no number.
fn plain_number(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let number: f64 = if plain { text.parse().ok()? } else { return None };
    (number >= 0.0).then_some(number)
}

#[cfg(test)]
mod tests;
