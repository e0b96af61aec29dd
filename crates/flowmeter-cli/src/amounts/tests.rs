//! Unit tests of times and amounts.

use super::*;

#[test]
fn times_have_units_and_are_seconds_without() {
    for (text, milliseconds) in [
        ("2s", 2_000),
        ("500ms", 500),
        (" 1.5m ", 90_000),
        ("1 h", 3_600_000),
        ("2d", 172_800_000),
        ("3", 3_000),
        ("0", 0),
        ("1e-3s", 1),
        ("250000us", 250),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in [
        "", "s", "-1s", "soon", "1w", "1s2", "nan", "infs", "1e300h", "1,5s",
    ] {
        assert_eq!(
            duration(text).unwrap_err(),
            "must be a time such as 2s, 500ms, 1.5m, 1h or 7d",
            "{text}"
        );
    }
}

#[test]
fn amounts_are_dollars() {
    assert_eq!(usd("0.05"), Ok(UsdNanos(50_000_000)));
    assert_eq!(usd("$1"), Ok(UsdNanos::ONE_USD));
    assert_eq!(usd("0"), Ok(UsdNanos::ZERO));
    for text in ["", "$", "-1", "1€", "nan", "inf", "1e20"] {
        assert_eq!(
            usd(text).unwrap_err(),
            "must be an amount in dollars such as 0.05",
            "{text}"
        );
    }
}

#[test]
fn sizes_have_units_and_are_bytes_without() {
    for (text, bytes) in [
        ("100MB", 100_000_000),
        ("64 MiB", 67_108_864),
        ("1.5kB", 1_500),
        ("7", 7),
        ("7B", 7),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for text in ["", "MB", "-1MB", "0", "1XB", "1e40GB", "nan"] {
        assert_eq!(
            size(text).unwrap_err(),
            "must be a size such as 100MB or 64MiB",
            "{text}"
        );
    }
}

#[test]
fn points_in_time_are_utc_unless_they_say_otherwise() {
    for (text, seconds) in [
        ("1970-01-02", 86_400),
        ("2025-06-01T17:00:00Z", 1_748_797_200),
        ("2025-06-01T17:00", 1_748_797_200),
        ("2025-06-01 17:00:00", 1_748_797_200),
        ("2025-06-01T19:00+02:00", 1_748_797_200),
        ("2025-06-01T17:00:00.5z", 1_748_797_200),
    ] {
        assert_eq!(time(text).map(|at| at.0 / 1_000_000_000), Ok(seconds), "{text}");
    }
    for text in [
        "",
        "now",
        "2025-13-01",
        "2025-06-01T25:00:00Z",
        "17:00",
        "1960-01-01",
        "2025-6-1",
    ] {
        assert!(time(text).is_err(), "{text}");
    }
}

#[test]
fn counts_are_whole_and_at_least_one() {
    for (text, expected) in [
        ("1", 1),
        ("50000", 50_000),
        ("50_000", 50_000),
        ("50k", 50_000),
        ("1.5M", 1_500_000),
    ] {
        assert_eq!(count(text), Ok(expected), "{text}");
    }
    for text in [
        "",
        "0",
        "-1",
        "1.5",
        "k",
        "0.5",
        "1e400k",
        "NaN",
        "five",
        "10 tokens",
        "0.0001k",
    ] {
        assert!(count(text).is_err(), "{text}");
    }
}
