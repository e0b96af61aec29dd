//! Times, sizes and amounts of money as people write them on a command line or in settings.
//!
//! Never guesses a unit: a number alone is seconds, bytes or dollars.

use std::time::Duration;

use flowmeter_model::{TimestampNs, UsdNanos};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The units of time, longer names first.
const UNITS: &[(&str, f64)] = &[
    ("ms", 1e-3),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ns", 1e-9),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
];

/// The units of size, longer names first.
const SIZES: &[(&str, f64)] = &[
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
];

/// The units of counts.
const COUNTS: &[(&str, f64)] = &[("k", 1e3), ("K", 1e3), ("M", 1e6)];

/// Reads `2s`, `500ms`, `1.5m`, `1h`, `7d` or, for seconds, a number alone.
///
/// # Errors
/// What would be welcome.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || "must be a time such as 2s, 500ms, 1.5m, 1h or 7d".to_owned();
    let text = text.trim();
    let (number, seconds) = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)))
        .unwrap_or((text, 1.0));
    let number: f64 = plain_number(number.trim_end()).ok_or_else(wanted)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wanted())
}

/// Reads `100MB`, `64MiB`, `1.5GB` or, for bytes, a number alone.
///
/// # Errors
/// What would be welcome.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wanted = || "must be a size such as 100MB or 64MiB".to_owned();
    let text = text.trim();
    let (number, bytes) = SIZES
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)))
        .unwrap_or((text, 1.0));
    let number = plain_number(number.trim_end()).ok_or_else(wanted)? * bytes;
    if number >= 1.0 && number < u64::MAX as f64 {
        Ok(number as u64)
    } else {
        Err(wanted())
    }
}

/// A size as people read it: `1.5 MiB`.
pub(crate) fn shown_size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
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

/// Reads `2025-06-01`, `2025-06-01T17:00:00Z` or with an offset; without one it is UTC. Seconds may be left out.
///
/// # Errors
/// What would be welcome.
pub(crate) fn time(text: &str) -> Result<TimestampNs, String> {
    let wanted = || "must be a time such as 2025-06-01 or 2025-06-01T17:00:00Z".to_owned();
    let text = text.trim().replacen(' ', "T", 1);
    let (date, clock) = text.split_once('T').unwrap_or((text.as_str(), "00:00:00Z"));
    let zone = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone);
    let seconds = if clock.matches(':').count() == 1 {
        ":00"
    } else {
        ""
    };
    let zone = if zone.is_empty() { "Z" } else { zone };
    let time =
        OffsetDateTime::parse(&format!("{date}T{clock}{seconds}{zone}"), &Rfc3339).map_err(|_| wanted())?;
    let nanos = u64::try_from(time.unix_timestamp_nanos()).map_err(|_| wanted())?;
    Ok(TimestampNs(nanos))
}

/// Reads `50000`, `50_000`, `50k` or `1.5M`: a whole number from 1 on.
///
/// # Errors
/// What would be welcome.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let wanted = || "must be a whole number from 1 on, such as 50000 or 50k".to_owned();
    let text = text.trim().replace('_', "");
    if let Ok(number) = text.parse::<u64>() {
        return if number > 0 { Ok(number) } else { Err(wanted()) };
    }
    let (number, factor) = COUNTS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .ok_or_else(wanted)?;
    let number = plain_number(number).ok_or_else(wanted)? * factor;
    let is_whole = number >= 1.0 && number < u64::MAX as f64 && number.fract() == 0.0;
    if is_whole {
        Ok(number as u64)
    } else {
        Err(wanted())
    }
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
