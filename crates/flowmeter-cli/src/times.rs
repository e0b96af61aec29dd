//! Moments and durations as people say them: "3 min ago", "yesterday 14:05", `2d`, `2026-11-01T10:00`.
//!
//! Never asks what time it is, except in [`TimeWords::here`]: now and the zone are handed in.

use std::time::Duration;

use flowmeter_model::{Clock, SystemClock, TimestampNs};
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

mod moment;
mod zone;

pub(crate) use moment::Moment;
pub(crate) use zone::LocalZone;

const SECOND_NS: u64 = 1_000_000_000;

/// Turns moments into words, as seen from now and from here.
#[derive(Clone, Debug)]
pub(crate) struct TimeWords {
    now: TimestampNs,
    zone: LocalZone,
}

impl TimeWords {
    /// As seen from now, in the machine's zone. Call it while there is one thread only.
    pub(crate) fn here() -> Self {
        let now = SystemClock.now();
        Self::new(now, LocalZone::of_machine(now))
    }

    /// As seen from this moment, in this zone.
    pub(crate) fn new(now: TimestampNs, zone: LocalZone) -> Self {
        Self { now, zone }
    }

    /// The moment that is now.
    pub(crate) fn now(&self) -> TimestampNs {
        self.now
    }

    /// How far local time is east of UTC now, in seconds.
    pub(crate) fn offset_seconds(&self) -> i32 {
        self.zone.offset_at(self.now)
    }

    /// How far local time was east of UTC then, in seconds.
    pub(crate) fn offset_at(&self, at: TimestampNs) -> i32 {
        self.zone.offset_at(at)
    }

    /// `12 s ago`, `3 min ago`, `2 h ago`, `yesterday 14:05`, `Tue 14:05`, `12 Nov 14:05`, `2025-11-12`.
    pub(crate) fn relative(&self, at: TimestampNs) -> String {
        if at > self.now {
            // Clocks of two machines differ by a bit; more than that is worth a date.
            let ahead = at.since(self.now) / SECOND_NS;
            return if ahead < 60 {
                "just now".to_owned()
            } else {
                self.absolute(at)
            };
        }
        let seconds = self.now.since(at) / SECOND_NS;
        match seconds {
            0..5 => return "just now".to_owned(),
            5..60 => return format!("{seconds} s ago"),
            60..3600 => return format!("{} min ago", seconds / 60),
            _ => {}
        }
        let (Some(now), Some(local)) = (self.local(self.now), self.local(at)) else {
            return "?".to_owned();
        };
        let clock = format!("{:02}:{:02}", local.hour(), local.minute());
        let days = now.date().to_julian_day() - local.date().to_julian_day();
        match days {
            _ if seconds < 6 * 3600 => format!("{} h ago", seconds / 3600),
            ..=0 => format!("today {clock}"),
            1 => format!("yesterday {clock}"),
            2..7 => format!("{} {clock}", short(local.weekday().to_string())),
            _ if now.year() == local.year() || days < 180 => {
                format!("{} {} {clock}", local.day(), short(local.month().to_string()))
            }
            _ => local.date().to_string(),
        }
    }

    /// `2026-11-21 14:05:33`, in local time.
    pub(crate) fn absolute(&self, at: TimestampNs) -> String {
        self.local(at).map_or_else(
            || "?".to_owned(),
            |time| {
                format!(
                    "{} {:02}:{:02}:{:02}",
                    time.date(),
                    time.hour(),
                    time.minute(),
                    time.second()
                )
            },
        )
    }

    /// `14:05:33.120`, in local time.
    pub(crate) fn clock(&self, at: TimestampNs) -> String {
        self.local(at).map_or_else(
            || "?".to_owned(),
            |time| {
                let (hour, minute, second) = time.to_hms();
                format!("{hour:02}:{minute:02}:{second:02}.{:03}", time.millisecond())
            },
        )
    }

    /// The day in local time: `2026-11-21`.
    pub(crate) fn day(&self, at: TimestampNs) -> String {
        self.local(at)
            .map_or_else(|| "?".to_owned(), |time| time.date().to_string())
    }

    fn local(&self, at: TimestampNs) -> Option<OffsetDateTime> {
        let offset = UtcOffset::from_whole_seconds(self.zone.offset_at(at)).ok()?;
        utc(at)?.checked_to_offset(offset)
    }
}

/// `2026-11-21T13:05:33.120456789Z`: for programs. Always UTC, always nine places, so that texts sort as times do.
pub(crate) fn rfc3339(at: TimestampNs) -> String {
    let Some(time) = utc(at) else {
        return String::new();
    };
    let (hour, minute, second) = time.to_hms();
    format!(
        "{}T{hour:02}:{minute:02}:{second:02}.{:09}Z",
        time.date(),
        time.nanosecond()
    )
}

/// A duration for tables: `0.3ms`, `312ms`, `2.3s`, `1m 05s`, `2h 05m`, `3d 04h`.
pub(crate) fn short_duration(duration_ns: u64) -> String {
    let milliseconds = duration_ns as f64 / 1e6;
    let seconds = (duration_ns + SECOND_NS / 2) / SECOND_NS;
    match duration_ns {
        0 => "0ms".to_owned(),
        _ if milliseconds < 9.95 => format!("{milliseconds:.1}ms"),
        _ if milliseconds < 999.5 => format!("{milliseconds:.0}ms"),
        _ if milliseconds < 59_950.0 => format!("{:.1}s", milliseconds / 1e3),
        _ if seconds < 3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The first three letters of a name of a day or a month.
fn short(mut name: String) -> String {
    name.truncate(3);
    name
}

fn utc(at: TimestampNs) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0)).ok()
}

/// A local date and time as a moment; where clocks are put forward or back, the one that a clock on the wall would
/// have shown first.
fn moment_of(date: Date, time: Time, zone: &LocalZone) -> Option<TimestampNs> {
    let as_if_utc = PrimitiveDateTime::new(date, time)
        .assume_utc()
        .unix_timestamp_nanos();
    let shifted = |offset: i32| {
        let nanos = as_if_utc - i128::from(offset) * i128::from(SECOND_NS);
        u64::try_from(nanos).ok().map(TimestampNs)
    };
    // The offset there is that of one of the moments close by.
    let day = i64::try_from(as_if_utc / i128::from(SECOND_NS)).ok()?;
    let near = |seconds: i64| zone.offset_at_seconds(day + seconds);
    let (before, after) = (near(-86_400), near(86_400));
    let fits = |offset: i32| shifted(offset).filter(|at| zone.offset_at(*at) == offset);
    // In the gap no offset fits: the time that was before it goes on.
    fits(before).or_else(|| fits(after)).or_else(|| shifted(before))
}

/// Whole nanoseconds of a duration.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
