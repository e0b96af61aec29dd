//! What is usual among amounts.

use super::*;

#[test]
fn percentiles_are_amounts_that_were_measured() {
    assert_eq!(Usual::<u64>::of(&[]), None);
    let one = Usual::of(&[7_u64]).unwrap();
    assert_eq!((one.low, one.median, one.p90, one.high), (7, 7, 7, 7));
    let ten: Vec<u64> = (1..=10).rev().collect();
    let ten = Usual::of(&ten).unwrap();
    assert_eq!((ten.low, ten.median, ten.p90, ten.high), (1, 5, 9, 10));
    let two = Usual::of(&[4_u64, 2]).unwrap();
    assert_eq!((two.median, two.p90), (2, 4));
}
