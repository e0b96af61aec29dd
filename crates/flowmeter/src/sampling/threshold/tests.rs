//! Tests of rates and thresholds.

use arbtest::arbtest;
use flowmeter_model::TraceId;

use super::*;

fn rate(text: &str) -> f64 {
    SamplingRate::parse(text).unwrap().get()
}

fn shown(text: &str) -> String {
    let threshold = SamplingRate::parse(text).unwrap().threshold();
    threshold.map_or_else(|| "never".to_owned(), |threshold| threshold.to_string())
}

#[test]
fn rates_are_numbers_percentages_and_fractions() {
    assert_eq!(rate("0.1"), 0.1);
    assert_eq!(rate(" .5 "), 0.5);
    assert_eq!(rate("1e-3"), 0.001);
    assert_eq!(rate("10%"), 0.1);
    assert_eq!(rate("100 %"), 1.0);
    assert_eq!(rate("5e1%"), 0.5);
    assert_eq!(rate("1/10"), 0.1);
    assert_eq!(rate("1 / 3"), 1.0 / 3.0);
    assert_eq!(rate("0"), 0.0);
    assert!(rate("-0").is_sign_positive());
}

#[test]
fn a_percentage_is_exactly_its_decimal_fraction() {
    for thousandths in 0..=1000 {
        let percent = format!("{}.{}%", thousandths / 10, thousandths % 10);
        let decimal = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
        assert_eq!(rate(&percent), rate(&decimal), "{percent}");
    }
}

#[test]
fn what_is_no_rate_is_refused_with_a_hint() {
    for text in [
        "",
        "%",
        "/",
        "1/",
        "/2",
        "1/0",
        "0/0",
        "2",
        "101%",
        "3/2",
        "-0.1",
        "nan",
        "inf",
        "NaN%",
        "infinity",
        "0x1",
        "1,5",
        "ten",
        "0.1.2",
        "1e",
        "5e999999999999%",
        "1e-99999999999",
        "--1",
    ] {
        let refused = SamplingRate::parse(text);
        if text == "1e-99999999999" {
            assert_eq!(
                refused,
                Ok(SamplingRate::NONE),
                "too small to be more than nothing"
            );
        } else {
            assert_eq!(refused, Err(InvalidSamplingRate(text.to_owned())), "{text}");
        }
    }
    let message = InvalidSamplingRate("ten".to_owned()).to_string();
    assert_eq!(
        message,
        "`ten` is no sampling rate: give a number from 0 to 1, such as 0.1, 10% or 1/10"
    );
    assert!(SamplingRate::new(f64::NAN).is_err());
}

#[test]
fn thresholds_have_the_full_precision_of_the_rate() {
    assert_eq!(shown("1"), "0");
    assert_eq!(shown("0.25"), "c");
    assert_eq!(shown("0.5"), "8");
    assert_eq!(shown("1%"), "fd70a3d70a3d71");
    assert_eq!(shown("0.1"), "e6666666666666");
    assert_eq!(shown("1/3"), "aaaaaaaaaaaaac");
    assert_eq!(shown("1e-9"), "fffffffbb47d06");
    assert_eq!(shown("1e-17"), "ffffffffffffff");
    assert_eq!(shown("1e-18"), "never");
    assert_eq!(shown("0"), "never");
}

#[test]
fn ties_of_the_rounding_go_to_the_even_number() {
    let step = 1.0 / THRESHOLDS as f64;
    let digits = |rate: f64| SamplingRate::new(rate).unwrap().threshold();
    assert_eq!(digits(0.5 * step), None);
    assert_eq!(digits(1.5 * step), Some(Threshold(THRESHOLDS - 2)));
    assert_eq!(digits(2.5 * step), Some(Threshold(THRESHOLDS - 2)));
}

#[test]
fn a_threshold_tells_probability_and_count() {
    let quarter = Threshold::parse("c").unwrap();
    assert_eq!(quarter.probability(), 0.25);
    assert_eq!(quarter.adjusted_count(), 4.0);
    assert_eq!(Threshold::ZERO.adjusted_count(), 1.0);
    let least = Threshold::parse("ffffffffffffff").unwrap();
    assert_eq!(least.adjusted_count(), THRESHOLDS as f64);
}

#[test]
fn randomness_is_the_right_end_of_the_trace_id() {
    let id = TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
    let randomness = Randomness::of_trace_id(id);
    assert_eq!(randomness.to_string(), "ce929d0e0e4736");
    assert!(Threshold::parse("ce929d0e0e4736").unwrap().keeps(randomness));
    assert!(!Threshold::parse("ce929d0e0e4737").unwrap().keeps(randomness));
    assert_eq!(Randomness::parse("ce929d0e0e4736"), Some(randomness));
    assert_eq!(Randomness::parse("ce929d0e0e473"), None);
    assert_eq!(Randomness::parse("ce929d0e0e47366"), None);
    assert_eq!(Randomness::parse("ce929d0e0e473g"), None);
    assert_eq!(Randomness::parse("+e929d0e0e4736"), None);
}

#[test]
fn texts_that_are_no_thresholds_are_none() {
    for text in ["", "g", "+1", "0x1", "fffffffffffffff", " c", "c "] {
        assert_eq!(Threshold::parse(text), None, "{text}");
    }
    assert_eq!(Threshold::parse("C"), Threshold::parse("c"));
    assert_eq!(Threshold::parse("c0"), Threshold::parse("c"));
}

#[test]
fn a_threshold_survives_being_written_and_read() {
    arbtest(|u| {
        let threshold = Threshold(u.int_in_range(0..=THRESHOLDS - 1)?);
        assert_eq!(Threshold::parse(&threshold.to_string()), Some(threshold));
        let randomness = Randomness(u.int_in_range(0..=THRESHOLDS - 1)?);
        assert_eq!(Randomness::parse(&randomness.to_string()), Some(randomness));
        Ok(())
    });
}

#[test]
fn a_larger_rate_keeps_whatever_a_smaller_one_keeps() {
    arbtest(|u| {
        let [one, other] = [u.int_in_range(0..=1_000_000)?, u.int_in_range(0..=1_000_000)?]
            .map(|millionths: u32| SamplingRate::new(f64::from(millionths) / 1e6).unwrap());
        let (small, large) = if one < other { (one, other) } else { (other, one) };
        let randomness = Randomness(u.int_in_range(0..=THRESHOLDS - 1)?);
        let keeps = |rate: SamplingRate| {
            rate.threshold()
                .is_some_and(|threshold| threshold.keeps(randomness))
        };
        assert!(!keeps(small) || keeps(large));
        Ok(())
    });
}
