//! Days and hours by their names.

use flowmeter_model::TimestampNs;

use super::{DAY_NS, HOUR_NS, begin_of, date_of, day_name, first_day_of, hour_name};

#[test]
fn days_have_the_names_that_calendars_give() {
    for (day, date) in [
        (0, (1970, 1, 1)),
        (11_016, (2000, 2, 29)),
        (11_017, (2000, 3, 1)),
        (20_513, (2026, 3, 1)),
        (47_540, (2100, 2, 28)),
        (47_541, (2100, 3, 1)),
        (-1, (1969, 12, 31)),
    ] {
        assert_eq!(date_of(day), date);
    }
    let mut last = (1969, 12);
    for day in 0..300_000 {
        let (year, month, number) = date_of(day);
        if (year, month) != last {
            assert_eq!((number, first_day_of(year, month)), (1, day));
            last = (year, month);
        }
    }
}

#[test]
fn zones_move_the_beginnings() {
    let noon = TimestampNs(20_513 * DAY_NS + 12 * HOUR_NS + 1);
    assert_eq!(day_name(noon, 0), "2026-03-01");
    assert_eq!(hour_name(noon, 0), "2026-03-01T12:00");
    assert_eq!(hour_name(noon, 45_900), "2026-03-02T00:00");
    assert_eq!(begin_of(noon, DAY_NS, 0).0, 20_513 * DAY_NS);
    assert_eq!(
        begin_of(noon, HOUR_NS, 19_800).0,
        20_513 * DAY_NS + 23 * HOUR_NS / 2
    );
    assert_eq!(begin_of(noon, DAY_NS, -50_400).0, 20_512 * DAY_NS + 14 * HOUR_NS);
    assert_eq!(begin_of(TimestampNs(5), DAY_NS, 3_600).0, 0);
}
