//! The steps of trends.

use flowmeter_model::TimestampNs;

use super::{DAY_NS, SLOT_NS, Steps};

#[test]
fn steps_are_whole_days_or_half_hours_where_there_are_enough() {
    let steps = |first: u64, end: u64, count| Steps::of(TimestampNs(first), TimestampNs(end), count);
    let day = steps(DAY_NS + 5, 11 * DAY_NS, 10).expect("steps");
    assert_eq!((day.begins.0, day.length_ns), (DAY_NS, DAY_NS));
    assert!(day.are_whole(DAY_NS) && day.are_whole(SLOT_NS));
    let slot = steps(SLOT_NS + 5, 10 * SLOT_NS + 1, 5).expect("steps");
    assert_eq!((slot.begins.0, slot.length_ns), (SLOT_NS, 2 * SLOT_NS));
    assert!(!slot.are_whole(DAY_NS) && slot.are_whole(SLOT_NS));
    let exact = steps(100, 1_099, 10).expect("steps");
    assert_eq!((exact.begins.0, exact.length_ns), (100, 100));
    assert!(!exact.are_whole(SLOT_NS));
    assert_eq!(steps(5, 5, 3), None);
    assert_eq!(steps(5, 6, 0), None);
    assert!(steps(0, u64::MAX, 7).is_some());
}

#[test]
fn every_moment_lies_in_one_step() {
    arbtest::arbtest(|u| {
        let range = *u.choose(&[10, SLOT_NS, 40 * SLOT_NS, 90 * DAY_NS])?;
        let first: u64 = u.int_in_range(0..=2 * DAY_NS)?;
        let end = first + u.int_in_range(1..=range)?;
        let count = u.int_in_range(1..=40)?;
        let steps = Steps::of(TimestampNs(first), TimestampNs(end), count).expect("steps");
        for time in [first, end - 1, u.int_in_range(first..=end - 1)?] {
            let step = steps.of_time(TimestampNs(time)).expect("within");
            let begins = steps.begins.0 + step as u64 * steps.length_ns;
            assert!((begins..begins + steps.length_ns).contains(&time));
        }
        Ok(())
    });
}
