//! Classes of amounts: what runs cost, how long they took, how many tokens they used, eight classes to a doubling.
//!
//! An index of the amounts themselves is written to all over at each commit, which costs more than all else of a large
//! history; one of classes, and of time within them, grows at some dozens of places. Whoever asks for amounts sorts
//! within a class. Never says more than the order: an amount is kept beside its class.

/// Amounts below this have a class each.
const EXACT_MAX: u64 = 16;
/// Bits below the highest that tell classes of one doubling apart.
const BITS: u32 = 3;

/// The class of an amount. Of two amounts, the larger is in the higher class, or both are in the same.
pub(super) fn class_of(amount: i64) -> i64 {
    let size = amount.unsigned_abs();
    let class = if size < EXACT_MAX {
        size as i64
    } else {
        let doublings = size.ilog2();
        let part = (size >> (doublings - BITS)) & ((1 << BITS) - 1);
        i64::from(doublings << BITS) + part as i64
    };
    if amount < 0 { -class } else { class }
}

/// The only amount of a class, where there is one.
pub(super) fn amount_of(class: i64) -> Option<i64> {
    (class.unsigned_abs() < EXACT_MAX).then_some(class)
}

#[cfg(test)]
mod tests;
