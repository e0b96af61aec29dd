//! Hours and days of a zone that is a fixed number of seconds off UTC, and their names.
//!
//! Never knows about summer time: whoever asks says how far off the zone is.

use flowmeter_model::TimestampNs;

const SECOND_NS: i128 = 1_000_000_000;
/// An hour, nanoseconds.
pub(crate) const HOUR_NS: u64 = 3_600_000_000_000;
/// A day, nanoseconds.
pub(crate) const DAY_NS: u64 = 24 * HOUR_NS;

/// When the hour or the day (of `length_ns`) around a time begins in that zone. What would begin before 1970 begins
/// then.
pub(crate) fn begin_of(time: TimestampNs, length_ns: u64, utc_offset_seconds: i32) -> TimestampNs {
    let offset = i128::from(utc_offset_seconds) * SECOND_NS;
    let local = i128::from(time.0) + offset;
    let begins = local - local.rem_euclid(i128::from(length_ns)) - offset;
    TimestampNs(u64::try_from(begins).unwrap_or(0))
}

/// `2026-11-21`, of the day that a time lies in.
pub(crate) fn day_name(time: TimestampNs, utc_offset_seconds: i32) -> String {
    let (year, month, day) = date_of(local_seconds(time, utc_offset_seconds).div_euclid(86_400));
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-11-21T14:00`, of the hour that a time lies in.
pub(crate) fn hour_name(time: TimestampNs, utc_offset_seconds: i32) -> String {
    let hour = local_seconds(time, utc_offset_seconds).rem_euclid(86_400) / 3_600;
    format!("{}T{hour:02}:00", day_name(time, utc_offset_seconds))
}

fn local_seconds(time: TimestampNs, utc_offset_seconds: i32) -> i64 {
    // 64 bits of nanoseconds are 2^34 seconds.
    i64::try_from(time.0 / 1_000_000_000).unwrap_or(i64::MAX) + i64::from(utc_offset_seconds)
}

/// Year, month and day of a day since 1970-01-01. Counts in eras of 400 years that begin on the first of March, so that
/// the leap day is the last of its year.
pub(crate) fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The day since 1970-01-01 that a month of a year begins on.
pub(crate) fn first_day_of(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests;
