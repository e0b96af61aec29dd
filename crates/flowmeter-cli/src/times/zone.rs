//! The machine's zone as a list of offsets, so that times in summer and in winter are each told as clocks showed them.
//!
//! Never asks the system after it was made.

use flowmeter_model::TimestampNs;
use time::{OffsetDateTime, UtcOffset};

/// How far back the zone is looked at; of earlier times the same day of a later year tells.
const LOOK_BACK_SECONDS: i64 = 2 * YEAR_SECONDS;
const YEAR_SECONDS: i64 = 31_556_952;
/// No zone changes twice within this time: Morocco's month of Ramadan is the shortest.
const STEP_SECONDS: i64 = 14 * 86_400;

/// Offsets from UTC, and since when each of them held.
#[derive(Clone, Debug)]
pub(crate) struct LocalZone {
    /// (Unix seconds, seconds east of UTC), in the order of time; never empty.
    since: Vec<(i64, i32)>,
    /// The first moment that the list is known for.
    known_from: i64,
}

impl LocalZone {
    /// A zone without summer time.
    pub(crate) fn fixed(offset_seconds: i32) -> Self {
        Self {
            since: vec![(i64::MIN, offset_seconds)],
            known_from: i64::MIN,
        }
    }

    /// The zone of the machine; UTC where it is not known.
    pub(crate) fn of_machine(now: TimestampNs) -> Self {
        Self::sampled(now, |unix_seconds| {
            let at = OffsetDateTime::from_unix_timestamp(unix_seconds).ok()?;
            Some(UtcOffset::local_offset_at(at).ok()?.whole_seconds())
        })
    }

    /// The zone that `offset_at` tells of, for the time up to tomorrow.
    pub(crate) fn sampled(now: TimestampNs, offset_at: impl Fn(i64) -> Option<i32>) -> Self {
        let now = i64::try_from(now.0 / 1_000_000_000).unwrap_or(i64::MAX);
        let begin = (now - LOOK_BACK_SECONDS).max(0);
        let offset = |at| offset_at(at).unwrap_or(0);
        let mut since = vec![(i64::MIN, offset(begin))];
        let mut at = begin;
        let end = now.saturating_add(2 * 86_400);
        while at < end {
            let next = (at + STEP_SECONDS).min(end);
            let (from, to) = (offset(at), offset(next));
            if from != to {
                let (mut last_old, mut first_new) = (at, next);
                while first_new - last_old > 1 {
                    let middle = last_old + (first_new - last_old) / 2;
                    if offset(middle) == from {
                        last_old = middle;
                    } else {
                        first_new = middle;
                    }
                }
                since.push((first_new, to));
            }
            at = next;
        }
        Self {
            since,
            known_from: begin,
        }
    }

    /// How far local time is east of UTC then, in seconds.
    pub(crate) fn offset_at(&self, at: TimestampNs) -> i32 {
        self.offset_at_seconds(i64::try_from(at.0 / 1_000_000_000).unwrap_or(i64::MAX))
    }

    /// The same of a moment in Unix seconds.
    pub(super) fn offset_at_seconds(&self, at: i64) -> i32 {
        let years = match self.known_from {
            i64::MIN => 0,
            from if at < from => (from - at) / YEAR_SECONDS + 1,
            _ => 0,
        };
        let at = at + years * YEAR_SECONDS;
        let held = self.since.partition_point(|(from, _)| *from <= at);
        self.since[held.saturating_sub(1)].1
    }
}
