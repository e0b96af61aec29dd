//! When a period begins and ends, by the local time of whoever set the rule.
//!
//! Never asks what time it is.

use flowmeter_model::TimestampNs;

use super::BudgetPeriod;

const SECOND_NS: i64 = 1_000_000_000;
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;
/// The first day of the epoch was a Thursday.
const EPOCH_WEEKDAY: i64 = 3;

impl BudgetPeriod {
    /// All of them, shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The name, as in `5.00/day`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The period of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == name)
    }

    /// When the period around `at` began and when it ends, where local time is so many seconds east of UTC. A week
    /// begins on Monday.
    #[must_use]
    pub fn around(self, at: TimestampNs, utc_offset_seconds: i32) -> (TimestampNs, TimestampNs) {
        let offset = i64::from(utc_offset_seconds);
        let utc = i64::try_from(at.0).unwrap_or(i64::MAX).div_euclid(SECOND_NS);
        let local = utc.saturating_add(offset);
        let day = local.div_euclid(DAY_S);
        let (begin, end) = match self {
            Self::Hour => {
                let begin = local.div_euclid(HOUR_S) * HOUR_S;
                (begin, begin + HOUR_S)
            }
            Self::Day => (day * DAY_S, (day + 1) * DAY_S),
            Self::Week => {
                let monday = day - (day + EPOCH_WEEKDAY).rem_euclid(7);
                (monday * DAY_S, (monday + 7) * DAY_S)
            }
            Self::Month => {
                let (year, month) = month_of(day);
                let (next_year, next) = if month == 12 {
                    (year + 1, 1)
                } else {
                    (year, month + 1)
                };
                (first_day(year, month) * DAY_S, first_day(next_year, next) * DAY_S)
            }
        };
        let at_utc = |local: i64| {
            let ns = (local - offset).max(0).saturating_mul(SECOND_NS);
            TimestampNs(u64::try_from(ns).unwrap_or(0))
        };
        (at_utc(begin), at_utc(end))
    }

    /// How long one of the parts is, in nanoseconds, that spending is kept apart by for forecasts.
    pub(crate) fn part_ns(self) -> u64 {
        let seconds: u64 = match self {
            Self::Hour => 300,
            Self::Day => 3_600,
            Self::Week => 6 * 3_600,
            Self::Month => 24 * 3_600,
        };
        seconds * 1_000_000_000
    }
}

/// The year and the month (from 1) of a day, counted from the first of the epoch, in the Gregorian calendar.
fn month_of(day: i64) -> (i64, i64) {
    // An average year has 365.2425 days; the guess is off by one at most.
    let mut year = 1970 + (day * 400).div_euclid(146_097);
    while first_day(year, 1) > day {
        year -= 1;
    }
    while first_day(year + 1, 1) <= day {
        year += 1;
    }
    let month = (2..=12)
        .take_while(|month| first_day(year, *month) <= day)
        .count();
    (year, month as i64 + 1)
}

/// The first day of a month, counted from the first of the epoch.
fn first_day(year: i64, month: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let past = year - 1;
    let leap_days = past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) - 477;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = usize::try_from(month - 1)
        .ok()
        .and_then(|index| BEFORE.get(index));
    (year - 1970) * 365 + leap_days + before.copied().unwrap_or(0) + i64::from(is_leap && month > 2)
}

#[cfg(test)]
mod tests;
