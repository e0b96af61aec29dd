//! What is asked for stays, the rest goes, and there is a limit.

use super::{RecentMarks, RecentSet};

#[test]
fn it_keeps_what_is_asked_for_and_is_bounded() {
    let mut set = RecentSet::new(10);
    for item in 0..100_u32 {
        set.add(item);
        assert!(set.has(0) || item > 0, "the first stays while it is asked for");
        assert!(set.young.len() + set.old.len() <= 10);
    }
    assert!(set.has(0));
    assert!(!set.has(50), "the others were not asked for");
}

#[test]
fn marks_are_kept_as_long_as_there_is_room_for_them() {
    let mut marks = RecentMarks::new(1_000);
    assert!(!marks.has(0) && !marks.has(7), "in the beginning there are none");
    // As hashes are: all bits tell something.
    let some = |number: u32| (u64::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24) as u32;
    for number in 0..500 {
        marks.add(some(number));
        marks.add(some(number));
    }
    let kept = |marks: &mut RecentMarks, range: std::ops::Range<u32>| {
        range.filter(|number| marks.has(some(*number))).count()
    };
    assert_eq!(kept(&mut marks, 0..500), 500, "half of the room");
    assert!(kept(&mut marks, 500..1_000) < 5, "few are mistaken for others");
    for number in 500..100_000 {
        marks.add(some(number));
        assert!(marks.has(some(7)), "it stays while it is asked for");
    }
    assert!(kept(&mut marks, 100..500) < 5, "the others went");
    assert!(kept(&mut marks, 99_500..100_000) > 400, "the newest are there");
}

#[test]
fn the_smallest_set_of_marks_is_one_bucket() {
    let mut marks = RecentMarks::new(1);
    for mark in 1..=40 {
        marks.add(mark);
    }
    assert!(marks.has(40) && marks.has(9) && !marks.has(8));
}
