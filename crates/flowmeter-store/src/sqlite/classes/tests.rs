//! Classes keep the order of amounts, and are as wide as they say.

use super::{amount_of, class_of};

#[test]
fn the_order_of_amounts_is_that_of_classes() {
    arbtest::arbtest(|u| {
        let shift = u.int_in_range(0..=63)?;
        let (a, b) = (u.arbitrary::<i64>()? >> shift, u.arbitrary::<i64>()? >> shift);
        let (less, more) = (a.min(b), a.max(b));
        assert!(class_of(less) <= class_of(more), "{less} {more}");
        assert_eq!(class_of(a.saturating_neg()), -class_of(a).min(class_of(i64::MAX)));
        Ok(())
    });
    for amount in [i64::MIN, -1, 0, 1, i64::MAX] {
        assert!(class_of(amount.saturating_sub(1)) <= class_of(amount));
    }
}

#[test]
fn a_class_is_an_eighth_of_a_doubling_wide_at_most() {
    let mut amount = 1_i64;
    while amount < 1 << 60 {
        let wider = amount + amount / 8 + 1;
        assert!(class_of(wider) > class_of(amount), "{amount}");
        amount = wider;
    }
}

#[test]
fn small_amounts_have_a_class_of_their_own() {
    for amount in -15..16 {
        assert_eq!(amount_of(class_of(amount)), Some(amount));
    }
    for amount in [16, 17, 1_000, i64::MAX, -16] {
        assert_eq!(amount_of(class_of(amount)), None);
    }
}
