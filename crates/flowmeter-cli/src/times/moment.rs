//! Moments on the command line: `2d`, `yesterday`, `2026-11-01T10:00`.
//!
//! Never guesses: a number without a unit is refused.

use std::time::Duration;

use flowmeter_model::TimestampNs;
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time, Weekday};

use super::{TimeWords, moment_of, nanoseconds};

/// A moment as it was written, to be understood when now and the zone are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Moment {
    /// So long before now.
    Ago(Duration),
    /// So many days before today, at this time.
    DaysAgo(i32, Time),
    /// The latest such day that is not in the future, at this time.
    On(Weekday, Time),
    /// A local date and time.
    Local(Date, Time),
    /// A date and time that says its own offset.
    Exact(TimestampNs),
}

const WANTED: &str = "must be a time such as 90m, 3h, 2d, 1w, today, yesterday, monday, 14:30, 2026-11-01 or \
                      2026-11-01T10:00";

/// Seconds of each unit, longer names first.
const UNITS: &[(&str, f64)] = &[
    ("min", 60.0),
    ("mo", 30.0 * 86_400.0),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
    ("w", 7.0 * 86_400.0),
    ("y", 365.0 * 86_400.0),
];

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

impl Moment {
    /// Reads a moment. A date alone is its midnight, a time alone is today's; without an offset times are local.
    ///
    /// # Errors
    /// What would be welcome.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let lower = text.to_lowercase();
        ago(&lower)
            .or_else(|| named(&lower))
            .or_else(|| {
                OffsetDateTime::parse(&text.replacen(' ', "T", 1), &Rfc3339)
                    .ok()
                    .and_then(exact)
            })
            .or_else(|| dated(text))
            .ok_or_else(|| WANTED.to_owned())
    }

    /// The moment, as seen from now and here.
    pub(crate) fn resolve(self, times: &TimeWords) -> TimestampNs {
        let today = || times.local(times.now).map(OffsetDateTime::date);
        let at = |date: Option<Date>, time: Time| {
            date.and_then(|date| moment_of(date, time, &times.zone))
                .unwrap_or_default()
        };
        match self {
            Self::Ago(duration) => TimestampNs(times.now.0.saturating_sub(nanoseconds(duration))),
            Self::DaysAgo(days, time) => {
                let date = today().and_then(|date| Date::from_julian_day(date.to_julian_day() - days).ok());
                at(date, time)
            }
            Self::On(weekday, time) => {
                let date = today().and_then(|date| {
                    let back = (7 + i32::from(date.weekday().number_from_monday())
                        - i32::from(weekday.number_from_monday()))
                        % 7;
                    Date::from_julian_day(date.to_julian_day() - back).ok()
                });
                at(date, time)
            }
            Self::Local(date, time) => at(Some(date), time),
            Self::Exact(at) => at,
        }
    }
}

/// `2d`, `1.5h`, `2d ago`, `1d12h`.
fn ago(text: &str) -> Option<Moment> {
    let mut rest = text.strip_suffix("ago").map_or(text, str::trim_end);
    if rest == "now" {
        return Some(Moment::Ago(Duration::ZERO));
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|end| *end > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(unit, _)| is_unit(&rest[..letters], unit))?;
        seconds += number * unit;
        rest = rest[letters..].trim_start();
    }
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    Some(Moment::Ago(duration))
}

/// Whether `word` is a unit: by its short name or in full.
fn is_unit(word: &str, unit: &str) -> bool {
    let full = match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => other,
    };
    word == unit || word.strip_suffix('s').unwrap_or(word) == full && word.len() > 1
}

/// `today`, `yesterday 14:05`, `monday`, `14:05`.
fn named(text: &str) -> Option<Moment> {
    let (name, clock) = text.split_once(' ').unwrap_or((text, ""));
    let time = if clock.is_empty() {
        Some(Time::MIDNIGHT)
    } else {
        clock_time(clock)
    };
    match name {
        "today" => return Some(Moment::DaysAgo(0, time?)),
        "yesterday" => return Some(Moment::DaysAgo(1, time?)),
        _ => {}
    }
    let weekday = WEEKDAYS
        .iter()
        .find(|(full, _)| name == *full || name == &full[..3]);
    if let Some((_, weekday)) = weekday {
        return Some(Moment::On(*weekday, time?));
    }
    clock_time(text).map(|time| Moment::DaysAgo(0, time))
}

/// `2026-11-01`, `2026-11-01T10:00`, `2026-11-01 10:00:30`, in local time; with an offset and without seconds.
fn dated(text: &str) -> Option<Moment> {
    let (date, clock) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00"));
    let mut parts = date.splitn(3, '-');
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let month: u8 = parts.next()?.parse().ok()?;
    let day = parts.next()?.parse().ok()?;
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    if let Some(zone) = clock.find(['Z', 'z', '+', '-']) {
        let (clock, zone) = clock.split_at(zone);
        clock_time(clock)?;
        let whole = format!("{date}T{clock}:00{zone}");
        return exact(OffsetDateTime::parse(&whole, &Rfc3339).ok()?);
    }
    Some(Moment::Local(date, clock_time(clock.trim())?))
}

/// `10:00`, `10:00:30`, `10:00:30.5`.
fn clock_time(text: &str) -> Option<Time> {
    let mut parts = text.splitn(3, ':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next().filter(|minute| minute.len() == 2)?.parse().ok()?;
    let (second, fraction) = match parts.next() {
        Some(seconds) => seconds.split_once('.').unwrap_or((seconds, "")),
        None => ("0", ""),
    };
    let nanosecond = match fraction.len() {
        0 => 0,
        1..=9 => format!("{fraction:0<9}").parse().ok()?,
        _ => return None,
    };
    Time::from_hms_nano(hour, minute, second.parse().ok()?, nanosecond).ok()
}

fn exact(time: OffsetDateTime) -> Option<Moment> {
    let nanos = u64::try_from(time.unix_timestamp_nanos()).ok()?;
    Some(Moment::Exact(TimestampNs(nanos)))
}
