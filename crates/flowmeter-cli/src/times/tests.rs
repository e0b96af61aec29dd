//! Times and durations in words, read and written.

use super::*;

/// Saturday, 2026-11-21 12:00:00 UTC.
const NOON: u64 = 1_795_262_400_000_000_000;

fn utc_words() -> TimeWords {
    TimeWords::new(TimestampNs(NOON), LocalZone::fixed(0))
}

/// Berlin in 2026: summer time from 29 March 01:00 UTC to 25 October 01:00 UTC.
fn berlin() -> TimeWords {
    let zone = LocalZone::sampled(TimestampNs(NOON), |at| {
        let summer = 1_774_746_000..1_792_890_000;
        let last_summer = 1_743_296_400..1_761_440_400;
        Some(if summer.contains(&at) || last_summer.contains(&at) {
            7200
        } else {
            3600
        })
    });
    TimeWords::new(TimestampNs(NOON), zone)
}

fn before(seconds: u64) -> TimestampNs {
    TimestampNs(NOON - seconds * SECOND_NS)
}

fn read(text: &str, times: &TimeWords) -> String {
    Moment::parse(text).map_or_else(|error| error, |moment| rfc3339(moment.resolve(times)))
}

#[test]
fn moments_are_told_from_now() {
    let times = utc_words();
    let words: Vec<String> = [
        0,
        4,
        12,
        59,
        60,
        200,
        3599,
        3600,
        5 * 3600,
        7 * 3600,
        20 * 3600,
        3 * 86_400,
    ]
    .into_iter()
    .map(|seconds| times.relative(before(seconds)))
    .collect();
    assert_eq!(
        words,
        [
            "just now",
            "just now",
            "12 s ago",
            "59 s ago",
            "1 min ago",
            "3 min ago",
            "59 min ago",
            "1 h ago",
            "5 h ago",
            "today 05:00",
            "yesterday 16:00",
            "Wed 12:00"
        ]
    );
    assert_eq!(times.relative(before(20 * 86_400)), "1 Nov 12:00");
    assert_eq!(times.relative(before(400 * 86_400)), "2025-10-17");
    assert_eq!(times.relative(TimestampNs(NOON + 2 * SECOND_NS)), "just now");
    assert_eq!(
        times.relative(TimestampNs(NOON + 3600 * SECOND_NS)),
        "2026-11-21 13:00:00"
    );
    assert_eq!(
        times.relative(TimestampNs(u64::MAX)),
        times.absolute(TimestampNs(u64::MAX))
    );
}

#[test]
fn each_time_has_the_offset_of_its_own_day() {
    let times = berlin();
    assert_eq!(times.absolute(TimestampNs(NOON)), "2026-11-21 13:00:00");
    // 2026-07-01 12:00 UTC.
    assert_eq!(
        times.absolute(TimestampNs(1_782_907_200_000_000_000)),
        "2026-07-01 14:00:00"
    );
    assert_eq!(read("2026-07-01T12:00", &times), "2026-07-01T10:00:00.000000000Z");
    assert_eq!(read("2026-11-01T10:00", &times), "2026-11-01T09:00:00.000000000Z");
    // Clocks went from 02:00 to 03:00 on 29 March: 02:30 did not exist, and is taken as 30 minutes after the last moment.
    assert_eq!(read("2026-03-29T02:30", &times), "2026-03-29T01:30:00.000000000Z");
    assert_eq!(read("2026-03-29T03:30", &times), "2026-03-29T01:30:00.000000000Z");
    // 02:30 came twice on 25 October: the first one is meant.
    assert_eq!(read("2026-10-25T02:30", &times), "2026-10-25T00:30:00.000000000Z");
    // Long ago, by the season.
    assert_eq!(read("2019-07-01", &times), "2019-06-30T22:00:00.000000000Z");
    assert_eq!(read("2019-01-15", &times), "2019-01-14T23:00:00.000000000Z");
}

#[test]
fn moments_are_read_in_many_forms() {
    let times = utc_words();
    for (text, wanted) in [
        ("2d", "2026-11-19T12:00:00.000000000Z"),
        ("3h", "2026-11-21T09:00:00.000000000Z"),
        ("90m", "2026-11-21T10:30:00.000000000Z"),
        ("1w", "2026-11-14T12:00:00.000000000Z"),
        ("1d12h", "2026-11-20T00:00:00.000000000Z"),
        ("1.5h", "2026-11-21T10:30:00.000000000Z"),
        ("2 days ago", "2026-11-19T12:00:00.000000000Z"),
        ("1 week", "2026-11-14T12:00:00.000000000Z"),
        ("now", "2026-11-21T12:00:00.000000000Z"),
        ("today", "2026-11-21T00:00:00.000000000Z"),
        ("yesterday", "2026-11-20T00:00:00.000000000Z"),
        ("Yesterday 14:05", "2026-11-20T14:05:00.000000000Z"),
        ("monday", "2026-11-16T00:00:00.000000000Z"),
        ("sat", "2026-11-21T00:00:00.000000000Z"),
        ("08:30", "2026-11-21T08:30:00.000000000Z"),
        ("2026-11-01", "2026-11-01T00:00:00.000000000Z"),
        ("2026-11-01T10:00", "2026-11-01T10:00:00.000000000Z"),
        ("2026-11-01 10:00:30.5", "2026-11-01T10:00:30.500000000Z"),
        ("2026-11-01T10:00Z", "2026-11-01T10:00:00.000000000Z"),
        ("2026-11-01T10:00+02:00", "2026-11-01T08:00:00.000000000Z"),
        ("2026-11-01T10:00:00-05:00", "2026-11-01T15:00:00.000000000Z"),
    ] {
        assert_eq!(read(text, &times), wanted, "{text}");
    }
    for text in [
        "",
        "2",
        "soon",
        "2x",
        "2026-13-01",
        "2026-02-30",
        "25:00",
        "12:5",
        "-1d",
        "d",
        "ago",
        "0x2d",
        "1d foo",
    ] {
        assert!(Moment::parse(text).is_err(), "{text}");
    }
    // Further back than time goes is the beginning of time.
    assert_eq!(read("9999y", &times), "1970-01-01T00:00:00.000000000Z");
}

#[test]
fn durations_are_short() {
    let words: Vec<String> = [
        0,
        300_000,
        9_949_999,
        312_000_000,
        999_600_000,
        2_345_000_000,
        59_990_000_000,
    ]
    .into_iter()
    .chain([65, 3599, 7500, 273_600].map(|seconds| seconds * SECOND_NS))
    .map(short_duration)
    .collect();
    assert_eq!(
        words,
        [
            "0ms", "0.3ms", "9.9ms", "312ms", "1.0s", "2.3s", "1m 00s", "1m 05s", "59m 59s", "2h 05m",
            "3d 04h"
        ]
    );
}

#[test]
fn times_for_programs_sort_as_texts() {
    assert_eq!(rfc3339(TimestampNs(NOON + 5)), "2026-11-21T12:00:00.000000005Z");
    assert!(rfc3339(TimestampNs(NOON + 5)) < rfc3339(TimestampNs(NOON + 50)));
}
