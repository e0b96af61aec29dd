//! Periods and their numbers.

use super::{Level, Section};
use crate::rules::calendar::first_day_of;

#[test]
fn each_half_hour_lies_in_the_periods_around_it() {
    for slot in (0..3_000_000).step_by(997) {
        for level in [Level::Slot, Level::Day, Level::Month] {
            let number = level.around(slot);
            let (first, end) = level.slots(number);
            assert!((first..end).contains(&slot), "{level:?} {slot}");
            assert_eq!(level.around(first), number);
            assert_eq!(level.around(end), number + 1);
        }
    }
    let march = u64::try_from(first_day_of(2026, 3)).expect("a day") * 48;
    assert_eq!(Level::Month.around(march), 2026 * 12 + 2);
    assert_eq!(Level::Month.slots(2026 * 12 + 2), (march, march + 31 * 48));
}

#[test]
fn rows_of_one_kind_follow_each_other() {
    let id = Level::Day.id(Section::Model, 20_000);
    assert_eq!(Level::number_of(id), 20_000);
    assert_eq!(Level::Day.id(Section::Model, 20_001), id + 1);
    assert!(Level::Day.id(Section::Provider, 0) > Level::Day.id(Section::Model, 1 << 39));
    assert!(Level::Month.id(Section::Total, 0) > Level::Day.id(Section::Full, 1 << 39));
}
