//! Times, amounts and moments in words.
//!
//! Never rounds a number that is compared: words are for people only.

use flowmeter_model::{TimestampNs, UsdNanos};

use crate::RunKey;

use super::DAY_NS;

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A moment in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) year: i64,
    /// From 0.
    pub(super) month: usize,
    pub(super) day: i64,
    /// From Monday = 0.
    pub(super) weekday: usize,
    pub(super) hour: usize,
    pub(super) minute: u64,
    /// Days since 1970.
    pub(super) day_number: i64,
}

/// Local time of a moment.
pub(super) fn local(at: u64, utc_offset_seconds: i32) -> Local {
    let seconds = (at / 1_000_000_000) as i64 + i64::from(utc_offset_seconds);
    let (day_number, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date of the Gregorian calendar, counted from 1 March of the year 0.
    let days = day_number + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = (shifted + 2) % 12;
    Local {
        year: year_of_era + era * 400 + i64::from(month < 2),
        month: month as usize,
        day: of_year - (153 * shifted + 2) / 5 + 1,
        weekday: (day_number + 3).rem_euclid(7) as usize,
        hour: (second / 3_600) as usize,
        minute: (second % 3_600 / 60) as u64,
        day_number,
    }
}

/// `Tuesday 14:00` within the last week, `Tuesday 3 Mar 14:00` within the year, else with the year.
pub(super) fn moment(at: u64, now: TimestampNs, utc_offset_seconds: i32) -> String {
    let then = local(at, utc_offset_seconds);
    let clock = format!("{:02}:{:02}", then.hour, then.minute);
    if at <= now.0 && now.0 - at < 6 * DAY_NS {
        format!("{} {clock}", WEEKDAYS[then.weekday])
    } else {
        format!("{} {clock}", day(at, now, utc_offset_seconds))
    }
}

/// `Tuesday 3 Mar`, with the year where it is another one.
pub(super) fn day(at: u64, now: TimestampNs, utc_offset_seconds: i32) -> String {
    let then = local(at, utc_offset_seconds);
    let day = format!("{} {} {}", WEEKDAYS[then.weekday], then.day, MONTHS[then.month]);
    if then.year == local(now.0, utc_offset_seconds).year {
        day
    } else {
        format!("{day} {}", then.year)
    }
}

/// The weekday's name.
pub(super) fn weekday(weekday: usize) -> &'static str {
    WEEKDAYS[weekday % 7]
}

/// `340 ms`, `2.1 s`, `3 min 20 s`, `5.4 h`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    let magnitude = seconds.abs();
    if magnitude < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if magnitude < 0.9995 {
        format!("{:.0} ms", seconds * 1e3)
    } else if magnitude < 99.95 {
        format!("{seconds:.1} s")
    } else if magnitude < 5_400.0 {
        let whole = magnitude.round() as u64;
        let sign = if seconds < 0.0 { "-" } else { "" };
        format!("{sign}{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} h", seconds / 3_600.0)
    }
}

/// Dollars with as many places as say something.
#[must_use]
pub fn dollars(usd: f64) -> String {
    let magnitude = usd.abs();
    let sign = if usd < 0.0 { "-" } else { "" };
    if magnitude >= 100.0 {
        format!("{sign}${magnitude:.0}")
    } else if magnitude >= 0.995 || magnitude == 0.0 {
        format!("{sign}${magnitude:.2}")
    } else {
        // Two places that are not zeros.
        let places = (1 - magnitude.log10().floor() as i32).clamp(2, 9) as usize;
        format!("{sign}${magnitude:.places$}")
    }
}

/// Nano-dollars, as a number of dollars that need not be whole.
pub(super) fn usd_of(usd: f64) -> UsdNanos {
    UsdNanos::from_usd(usd).unwrap_or(UsdNanos(i64::MAX))
}

/// `12 %`, `0.4 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent >= 9.95 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// `1,204`.
pub(super) fn count(count: f64) -> String {
    let whole = format!("{:.0}", count.abs());
    let mut text = String::with_capacity(whole.len() + 4);
    if count <= -0.5 {
        text.push('-');
    }
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 run`, `12 runs`.
pub(super) fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// The beginning of a run's id, as people name it.
pub(super) fn short(key: &RunKey) -> String {
    key.trace_id.to_string().chars().take(8).collect()
}

#[cfg(test)]
mod tests;
