//! Waits between attempts.

use std::time::{Duration, UNIX_EPOCH};

use super::{OtlpRetryPolicy, retry_after};

#[test]
fn waits_begin_with_two_seconds_and_double() {
    let policy = OtlpRetryPolicy::default();
    assert_eq!(policy.attempts_max, 3);
    let middle = |failures| policy.backoff(failures, 0.5);
    assert_eq!(middle(1), Duration::from_secs(2));
    assert_eq!(middle(2), Duration::from_secs(4));
    assert_eq!(middle(3), Duration::from_secs(8));
    assert_eq!(middle(60), Duration::from_secs(30));
}

#[test]
fn waits_scatter_by_half() {
    arbtest::arbtest(|u| {
        let random = f64::from(u.arbitrary::<u32>()?) / f64::from(u32::MAX);
        let failures = u.int_in_range(1..=40)?;
        let policy = OtlpRetryPolicy::default();
        let middle = policy.backoff(failures, 0.5);
        let wait = policy.backoff(failures, random);
        assert!(
            wait >= middle / 2 && wait <= middle * 3 / 2,
            "{wait:?} {middle:?}"
        );
        Ok(())
    });
}

#[test]
fn a_receiver_may_say_when() {
    let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let after = |value| retry_after(value, now);
    assert_eq!(after("7"), Some(Duration::from_secs(7)));
    assert_eq!(after(" 0 "), Some(Duration::ZERO));
    assert_eq!(
        after("Sun, 06 Nov 1994 08:49:47 GMT"),
        Some(Duration::from_secs(10))
    );
    assert_eq!(
        after("Sunday, 06-Nov-94 08:49:47 GMT"),
        Some(Duration::from_secs(10))
    );
    assert_eq!(after("Sun Nov  6 08:49:47 1994"), Some(Duration::from_secs(10)));
    assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
    assert_eq!(after("soon"), None);
    assert_eq!(after("-1"), None);
    assert_eq!(after(""), None);
}
