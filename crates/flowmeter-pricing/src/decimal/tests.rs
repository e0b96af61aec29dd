//! Tests of exact scaling.

use super::*;

fn nanos(text: &str, shift: i32) -> Result<i64, DecimalFault> {
    scale(text, shift).map(|scaled| scaled.nanos)
}

#[test]
fn published_prices_are_exact() {
    assert_eq!(nanos("0.00015", 12), Ok(150_000_000));
    assert_eq!(nanos("0.03", 12), Ok(30_000_000_000));
    assert_eq!(nanos("1.5e-4", 12), Ok(150_000_000));
    assert_eq!(nanos("3", 9), Ok(3_000_000_000));
    assert_eq!(nanos("0.1E+1", 9), Ok(1_000_000_000));
    assert_eq!(nanos("0.000", 12), Ok(0));
    assert_eq!(nanos("-0.0", 12), Ok(0));
}

#[test]
fn places_below_a_nano_are_rounded_and_said_so() {
    assert_eq!(
        scale("0.0000000005", 9),
        Ok(Scaled {
            nanos: 1,
            exact: false
        })
    );
    assert_eq!(
        scale("0.0000000004", 9),
        Ok(Scaled {
            nanos: 0,
            exact: false
        })
    );
    assert_eq!(
        scale("1e-40", 9),
        Ok(Scaled {
            nanos: 0,
            exact: false
        })
    );
    assert_eq!(
        scale("1.50000000000", 9),
        Ok(Scaled {
            nanos: 1_500_000_000,
            exact: true
        })
    );
}

#[test]
fn what_is_no_rate_is_refused() {
    assert_eq!(nanos("-0.1", 12), Err(DecimalFault::Negative));
    assert_eq!(nanos("1e30", 12), Err(DecimalFault::TooLarge));
    assert_eq!(nanos("1e99999999999", 12), Err(DecimalFault::TooLarge));
    assert_eq!(nanos("99999999999", 12), Err(DecimalFault::TooLarge));
    assert_eq!(nanos("true", 12), Err(DecimalFault::NotANumber));
    assert_eq!(nanos("", 12), Err(DecimalFault::NotANumber));
}

#[test]
fn agrees_with_integer_arithmetic() {
    arbtest::arbtest(|u| {
        let whole: u32 = u.arbitrary()?;
        let micro: u32 = u.int_in_range(0..=999_999)?;
        let text = format!("{whole}.{micro:06}");
        let wanted = i64::from(whole) * 1_000_000_000 + i64::from(micro) * 1_000;
        assert_eq!(nanos(&text, 9), Ok(wanted));
        Ok(())
    });
}

#[test]
fn numbers_are_written_as_short_as_they_are_exact() {
    assert_eq!(decimal(150_000_000, 12), "0.00015");
    assert_eq!(decimal(2_500_000_000, 9), "2.5");
    assert_eq!(decimal(3_000_000_000, 9), "3");
    assert_eq!(decimal(0, 12), "0");
    arbtest::arbtest(|u| {
        let nanos = u.int_in_range(0..=i64::MAX)?;
        let shift = *u.choose(&[9, 12])?;
        assert_eq!(scale(&decimal(nanos, shift), shift).unwrap().nanos, nanos);
        Ok(())
    });
}
