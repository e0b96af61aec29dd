//! Dates against known ones, amounts against what people write.

use super::*;

#[test]
fn dates_are_those_of_the_calendar() {
    let at = |seconds: u64| seconds * 1_000_000_000;
    let epoch = local(0, 0);
    assert_eq!(
        (epoch.year, epoch.month, epoch.day, epoch.weekday),
        (1970, 0, 1, 3)
    );
    // 2024-02-29 23:59 UTC, a Thursday; an hour east it is March already.
    let leap = local(at(1_709_251_140), 0);
    assert_eq!(
        (
            leap.year,
            leap.month,
            leap.day,
            leap.weekday,
            leap.hour,
            leap.minute
        ),
        (2024, 1, 29, 3, 23, 59)
    );
    let east = local(at(1_709_251_140), 3_600);
    assert_eq!((east.month, east.day, east.weekday, east.hour), (2, 1, 4, 0));
    // West of Greenwich it is the day before.
    assert_eq!(local(at(1_709_251_140), -86_400).day, 28);
}

#[test]
fn moments_are_as_near_as_people_say_them() {
    let now = TimestampNs(1_709_251_140_000_000_000);
    assert_eq!(moment(now.0 - 2 * DAY_NS, now, 0), "Tuesday 23:59");
    assert_eq!(moment(now.0 - 30 * DAY_NS, now, 0), "Tuesday 30 Jan 23:59");
    assert_eq!(day(now.0 - 365 * DAY_NS, now, 0), "Wednesday 1 Mar 2023");
}

#[test]
fn amounts_say_what_matters() {
    assert_eq!(
        [0.000_02, 0.34, 2.1, 200.0, 20_000.0].map(seconds),
        ["20 µs", "340 ms", "2.1 s", "3 min 20 s", "5.6 h"]
    );
    assert_eq!(
        [0.0, 0.000_123, 0.05, 1.5, 1234.5].map(dollars),
        ["$0.00", "$0.00012", "$0.050", "$1.50", "$1234"]
    );
    assert_eq!([0.0, 0.004, 0.12].map(percent), ["0 %", "0.4 %", "12 %"]);
    assert_eq!([7.0, 1204.0, 1_000_000.0].map(count), ["7", "1,204", "1,000,000"]);
}

#[test]
fn one_is_one_and_many_are_not_all_listed() {
    assert_eq!(
        (counted(1, "run"), counted(2, "run")),
        ("1 run".to_owned(), "2 runs".to_owned())
    );
    let names: Vec<SmolStr> = ["a", "b", "c", "d", "e", "f", "g", "h"].map(SmolStr::new).into();
    assert_eq!(listed(&names[..2]), "`a`, `b`");
    assert_eq!(listed(&names), "`a`, `b`, `c`, `d`, `e`, `f` and 2 more");
}
