//! The horizontal axis: time in equal steps that begin where people expect them, at full hours, midnight, Monday or
//! the first of a month.
//!
//! Never asks which zone is the local one: an offset from UTC is handed in.

use flowmeter_model::TimestampNs;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

const NANOS: u64 = 1_000_000_000;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;
/// More cannot be told apart in a chart.
const STEPS_MAX: u64 = 120;

/// How long a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StepLength {
    /// Seconds; divides a day.
    Seconds(u64),
    /// A day, from midnight.
    Day,
    /// Seven days, from Monday as ISO 8601 has it.
    Week,
    /// A month of the calendar.
    Month,
    /// A year of the calendar.
    Year,
}

impl StepLength {
    /// An hour.
    pub(crate) const HOUR: Self = Self::Seconds(HOUR);

    /// The shortest first.
    const ALL: [Self; 11] = [
        Self::Seconds(60),
        Self::Seconds(300),
        Self::Seconds(900),
        Self::HOUR,
        Self::Seconds(3 * HOUR),
        Self::Seconds(6 * HOUR),
        Self::Seconds(12 * HOUR),
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
    ];

    /// About how many seconds.
    fn seconds(self) -> u64 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Year => 365 * DAY,
        }
    }

    /// `minute`, `3 hours`, `day`, ….
    pub(crate) fn words(self) -> String {
        match self {
            Self::Seconds(60) => "minute".to_owned(),
            Self::Seconds(HOUR) => "hour".to_owned(),
            Self::Seconds(seconds) if seconds < HOUR => format!("{} minutes", seconds / 60),
            Self::Seconds(seconds) => format!("{} hours", seconds / HOUR),
            Self::Day => "day".to_owned(),
            Self::Week => "week".to_owned(),
            Self::Month => "month".to_owned(),
            Self::Year => "year".to_owned(),
        }
    }
}

/// Steps of time without gaps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Steps {
    /// Where each begins, oldest first, and where the last one ends.
    bounds: Vec<TimestampNs>,
    length: StepLength,
    offset: UtcOffset,
}

impl Steps {
    /// The steps that hold everything from `first` to `last`: of the length that is wanted, or longer where these would
    /// be too many; where none is wanted, so that there are about 40.
    pub(crate) fn over(
        first: TimestampNs,
        last: TimestampNs,
        wanted: Option<StepLength>,
        utc_offset_seconds: i32,
    ) -> Self {
        let offset = UtcOffset::from_whole_seconds(utc_offset_seconds).unwrap_or(UtcOffset::UTC);
        let last = last.max(first);
        let seconds = last.since(first) / NANOS;
        let fits = |length: &StepLength, most: u64| seconds / length.seconds() < most;
        let length = match wanted {
            Some(wanted) => StepLength::ALL
                .into_iter()
                .find(|length| length.seconds() >= wanted.seconds() && fits(length, STEPS_MAX)),
            None => StepLength::ALL.into_iter().find(|length| fits(length, 45)),
        };
        let length = length.unwrap_or(StepLength::Year);
        let mut bounds = vec![begin_of(first, length, offset)];
        // Bounded: two steps more than were counted, and what a short month adds.
        for _ in 0..STEPS_MAX * 4 {
            let Some(next) = bounds.last().map(|begin| after(*begin, length, offset)) else {
                break;
            };
            bounds.push(next);
            if next > last {
                break;
            }
        }
        Self {
            bounds,
            length,
            offset,
        }
    }

    /// Begin and end of each step, oldest first.
    pub(crate) fn ranges(&self) -> impl ExactSizeIterator<Item = (TimestampNs, TimestampNs)> {
        let pairs = self.bounds.windows(2);
        pairs.map(|pair| match pair {
            [begin, end] => (*begin, *end),
            _ => (TimestampNs(0), TimestampNs(0)),
        })
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// How long each is.
    pub(crate) fn length(&self) -> StepLength {
        self.length
    }

    /// The zone of all labels, such as `UTC+02:00`.
    pub(crate) fn zone(&self) -> String {
        let (hours, minutes, _) = self.offset.as_hms();
        if self.offset.is_utc() {
            "UTC".to_owned()
        } else {
            let sign = if self.offset.is_negative() { '-' } else { '+' };
            format!(
                "UTC{sign}{:02}:{:02}",
                hours.unsigned_abs(),
                minutes.unsigned_abs()
            )
        }
    }

    /// The beginning of a step as a label under the axis: the clock within a day, else the date; what changes rarely is
    /// said where it differs from the label before.
    pub(super) fn tick(&self, at: TimestampNs, previous: Option<TimestampNs>) -> String {
        let time = self.local(at);
        let previous = previous.map(|at| self.local(at));
        let day = format!("{} {}", month_name(time.month()), time.day());
        match self.length {
            StepLength::Seconds(_) => {
                let clock = format!("{:02}:{:02}", time.hour(), time.minute());
                if previous.is_some_and(|previous| previous.date() == time.date()) {
                    clock
                } else {
                    format!("{day} {clock}")
                }
            }
            StepLength::Day | StepLength::Week => {
                if previous.is_some_and(|previous| previous.year() == time.year()) {
                    day
                } else {
                    format!("{day}, {}", time.year())
                }
            }
            StepLength::Month => format!("{} {}", month_name(time.month()), time.year()),
            StepLength::Year => time.year().to_string(),
        }
    }

    /// The beginning of a step with everything that tells it from others.
    pub(super) fn label_of(&self, at: TimestampNs) -> String {
        let time = self.local(at);
        let date = format!(
            "{:04}-{:02}-{:02}",
            time.year(),
            u8::from(time.month()),
            time.day()
        );
        match self.length {
            StepLength::Seconds(_) => format!("{date} {:02}:{:02}", time.hour(), time.minute()),
            StepLength::Day => date,
            StepLength::Week => format!("week of {date}"),
            StepLength::Month => format!("{:04}-{:02}", time.year(), u8::from(time.month())),
            StepLength::Year => time.year().to_string(),
        }
    }

    fn local(&self, at: TimestampNs) -> OffsetDateTime {
        local(at, self.offset)
    }
}

fn local(at: TimestampNs, offset: UtcOffset) -> OffsetDateTime {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0));
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(offset)
}

fn begin_of(at: TimestampNs, length: StepLength, offset: UtcOffset) -> TimestampNs {
    let time = local(at, offset);
    let date = match length {
        StepLength::Seconds(_) | StepLength::Day => Some(time.date()),
        StepLength::Week => {
            let back = time.weekday().number_days_from_monday();
            (0..back).try_fold(time.date(), |date, _| date.previous_day())
        }
        StepLength::Month => time.date().replace_day(1).ok(),
        StepLength::Year => Date::from_calendar_date(time.year(), Month::January, 1).ok(),
    };
    let midnight = stamp(date.unwrap_or(time.date()), offset);
    match length {
        StepLength::Seconds(seconds) => {
            let step = seconds * NANOS;
            TimestampNs(midnight.0 + at.since(midnight) / step * step)
        }
        _ => midnight,
    }
}

fn after(begin: TimestampNs, length: StepLength, offset: UtcOffset) -> TimestampNs {
    let date = local(begin, offset).date();
    let next = match length {
        StepLength::Seconds(_) | StepLength::Day | StepLength::Week => {
            return TimestampNs(begin.0 + length.seconds() * NANOS);
        }
        StepLength::Month => {
            let month = date.month().next();
            let year = date.year() + i32::from(month == Month::January);
            Date::from_calendar_date(year, month, 1)
        }
        StepLength::Year => Date::from_calendar_date(date.year() + 1, Month::January, 1),
    };
    match next {
        Ok(date) => stamp(date, offset),
        // The calendar ends in the year 9999.
        Err(_) => TimestampNs(begin.0 + length.seconds() * NANOS),
    }
}

/// Midnight of a day; the epoch for days before it.
fn stamp(date: Date, offset: UtcOffset) -> TimestampNs {
    let time = PrimitiveDateTime::new(date, Time::MIDNIGHT).assume_offset(offset);
    TimestampNs(u64::try_from(time.unix_timestamp_nanos()).unwrap_or(0))
}

fn month_name(month: Month) -> &'static str {
    match month {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    }
}
