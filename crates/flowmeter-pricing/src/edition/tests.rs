//! The points at which prices of the built-in book change, found in the book itself.

use super::*;
use crate::bundled::entry_of;

/// 2026-11-01.
const DAY: u64 = 20_758;

fn price(found: &BookMatch, second: u64, size: u64) -> Option<[Option<i64>; 2]> {
    let inquiry = Inquiry {
        book: Calculator::bundled(),
        found,
        second,
        size,
        tier: None,
    };
    let card = inquiry.rates(Kinds::default())?.card;
    Some([
        card.get(crate::RateKind::Input),
        card.get(crate::RateKind::Output),
    ])
}

fn entries() -> Vec<BookMatch> {
    let providers = Calculator::bundled().providers();
    providers
        .flat_map(|provider| {
            provider
                .models()
                .map(move |model| entry_of(Calculator::bundled(), provider.id(), model.id()))
        })
        .collect()
}

/// The last figure before each change between two ends.
fn changes(low: u64, high: u64, same: &dyn Fn(u64, u64) -> bool, found: &mut Vec<u64>) {
    if same(low, high) {
        return;
    }
    if high - low == 1 {
        found.push(low);
        return;
    }
    let middle = low + (high - low) / 2;
    changes(low, middle, same, found);
    changes(middle, high, same, found);
}

#[test]
fn every_size_at_which_a_price_changes_is_known() {
    let mut found = Vec::new();
    for entry in entries() {
        let same =
            |one, other| price(&entry, DAY * DAY_SECONDS, one) == price(&entry, DAY * DAY_SECONDS, other);
        changes(1, 2_000_000, &same, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    assert!(found.len() > 5);
    for size in found {
        assert!(BUNDLED_SIZES.contains(&size), "{size} is a size, too");
    }
}

#[test]
fn every_time_of_day_at_which_a_price_changes_is_known() {
    let mut found = Vec::new();
    for entry in entries() {
        let at = |second: u64| price(&entry, DAY * DAY_SECONDS + second, 1_000);
        // A window shorter than two hours would be missed; there is none.
        for hour in (0..24).step_by(2) {
            let same = |one, other| at(one) == at(other);
            changes(hour * 3_600, (hour + 2) * 3_600, &same, &mut found);
        }
    }
    found.sort_unstable();
    found.dedup();
    assert!(!found.is_empty());
    for last in found {
        let start = u32::try_from((last + 1) % DAY_SECONDS).unwrap();
        assert!(BUNDLED_DAY_SECONDS.contains(&start), "{start} is a time, too");
    }
}

#[test]
fn stretches_of_time_and_size_are_told_apart() {
    let edition = Edition::built_in();
    let midnight = DAY * DAY_SECONDS;
    assert_eq!(edition.moment(midnight), edition.moment(midnight + 1_799));
    assert_ne!(edition.moment(midnight), edition.moment(midnight + 1_800));
    assert_eq!(edition.second(edition.moment(midnight + 2_000)), midnight + 1_800);
    assert_eq!(edition.moments(midnight, midnight + 3_600).len(), 3);
    assert_eq!(edition.moments(midnight - 10, midnight + 10).len(), 2);
    assert_eq!(edition.moments(midnight, midnight).len(), 1);
    assert_eq!(edition.bracket(200_000), edition.bracket(199_999 + 1));
    assert_eq!(edition.bracket(200_001), edition.bracket(200_000) + 1);
    assert_eq!(edition.bracket_size(edition.bracket(250_000)), 200_001);
    assert_eq!((edition.bracket(0), edition.bracket_size(0)), (0, 1));
}
