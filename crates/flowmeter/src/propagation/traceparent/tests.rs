//! Tests of traceparent.

use arbtest::arbtest;

use super::*;

const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_valid_one_is_read_and_written_alike() {
    let parent = TraceParent::parse(VALID).unwrap();
    assert_eq!(parent.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(parent.span_id.to_string(), "00f067aa0ba902b7");
    assert!(parent.flags.is_sampled());
    assert!(!parent.flags.is_random());
    assert_eq!(parent.to_string(), VALID);
}

#[test]
fn flags_without_a_meaning_are_not_passed_on() {
    for (given, kept) in [
        ("00", "00"),
        ("02", "02"),
        ("03", "03"),
        ("ff", "03"),
        ("08", "00"),
        ("09", "01"),
    ] {
        let parent = TraceParent::parse(&format!("{}{given}", &VALID[..53])).unwrap();
        assert_eq!(parent.to_string(), format!("{}{kept}", &VALID[..53]));
    }
}

#[test]
fn later_versions_are_read_as_far_as_they_are_known() {
    for later in [
        format!("cc{}", &VALID[2..]),
        format!("01{}-what-the-future-brings", &VALID[2..]),
        format!("fe{}-", &VALID[2..]),
    ] {
        assert_eq!(TraceParent::parse(&later).unwrap().to_string(), VALID);
    }
}

#[test]
fn one_wrong_character_makes_it_invalid() {
    use InvalidTraceParent as Invalid;
    for (text, problem) in [
        (String::new(), Invalid::Length),
        (VALID[..54].to_owned(), Invalid::Length),
        (format!("{VALID}-"), Invalid::Length),
        (format!("{VALID}0"), Invalid::Length),
        (format!("é{}", &VALID[2..]), Invalid::Length),
        (format!("01{}.more", &VALID[2..]), Invalid::Separators),
        (VALID.replace('-', "_"), Invalid::Separators),
        (VALID.replacen("00-", "0-0", 1), Invalid::Separators),
        (format!("ff{}", &VALID[2..]), Invalid::Version),
        (format!("0X{}", &VALID[2..]), Invalid::Version),
        (format!("+1{}", &VALID[2..]), Invalid::Version),
        (format!("CC{}", &VALID[2..]), Invalid::Version),
        (VALID.replace("4bf92f", "4BF92F"), Invalid::TraceId),
        (VALID.replace("4bf92f", "4bf92g"), Invalid::TraceId),
        (
            VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            Invalid::TraceId,
        ),
        (
            VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            Invalid::SpanId,
        ),
        (
            VALID.replace("00f067aa0ba902b7", "00F067AA0BA902B7"),
            Invalid::SpanId,
        ),
        (format!("{}.0", &VALID[..53]), Invalid::Flags),
        (format!("{}0A", &VALID[..53]), Invalid::Flags),
    ] {
        assert_eq!(TraceParent::parse(&text), Err(problem), "{text}");
    }
}

#[test]
fn whatever_is_read_is_written_as_the_same() {
    arbtest(|u| {
        let ids = (u.arbitrary::<u128>()?.max(1), u.arbitrary::<u64>()?.max(1));
        let (version, flags): (u8, u8) = (u.int_in_range(0..=0xfe)?, u.arbitrary()?);
        let text = format!("{version:02x}-{:032x}-{:016x}-{flags:02x}", ids.0, ids.1);
        let parent = TraceParent::parse(&text).unwrap();
        let written = parent.to_string();
        assert_eq!(written[2..53], text[2..53]);
        assert_eq!(TraceParent::parse(&written), Ok(parent));
        Ok(())
    });
    arbtest(|u| {
        let text: String = u.arbitrary()?;
        let _any_text_may_come = TraceParent::parse(&text);
        Ok(())
    });
}
