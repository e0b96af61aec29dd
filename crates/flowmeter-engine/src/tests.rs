//! Unit tests of the engine: what needs no node to run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::*;

fn unix_now_ns() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

#[test]
fn the_tick_clock_never_goes_back() {
    let mut clock = TickClock::new();
    clock.refresh();
    let readings: Vec<Ticks> = (0..10_000).map(|_| Ticks::now()).collect();
    for pair in readings.windows(2) {
        assert!(pair[0] <= pair[1]);
        assert!(clock.unix_ns(pair[0]) <= clock.unix_ns(pair[1]));
    }
}

#[test]
fn the_tick_clock_keeps_close_to_the_wall_clock() {
    let mut clock = TickClock::new();
    std::thread::sleep(Duration::from_millis(20));
    clock.refresh();
    let (before, at, after) = (unix_now_ns(), Ticks::now(), unix_now_ns());
    let shown = clock.unix_ns(at);
    let slack = 1_000_000;
    assert!(
        shown >= before - slack && shown <= after + slack,
        "{before} {shown} {after}"
    );
}

#[test]
fn the_tick_clock_measures_as_long_as_the_monotonic_clock() {
    let mut clock = TickClock::new();
    let (instant, from) = (std::time::Instant::now(), Ticks::now());
    std::thread::sleep(Duration::from_millis(10));
    let (to, elapsed) = (Ticks::now(), instant.elapsed());
    clock.refresh();
    let measured = clock.duration_ns(from, to);
    let real = u64::try_from(elapsed.as_nanos()).unwrap();
    assert!(
        measured.abs_diff(real) < real / 50 + 100_000,
        "{measured} instead of {real}"
    );
    assert_eq!(
        clock.duration_ns(to, from),
        0,
        "a span cannot last less than no time"
    );
}

#[test]
fn a_clock_of_a_given_date_starts_there() {
    let mut clock = TickClock::anchored_at(1_705_314_645_000_000_000);
    let at = Ticks::now();
    clock.refresh();
    let shown = clock.unix_ns(at);
    assert!(
        shown.abs_diff(1_705_314_645_000_000_000) < 1_000_000_000,
        "{shown}"
    );
}

#[test]
fn ticks_travel_as_bare_numbers() {
    let at = Ticks::now();
    assert_eq!(Ticks::from_raw(at.to_raw()), at);
}

#[test]
fn exponential_backoff_doubles_up_to_sixty_seconds() {
    let seconds = |policy: RetryPolicy| -> Vec<f64> {
        (1..=9)
            .map(|number| policy.wait_after(number).as_secs_f64())
            .collect()
    };
    let doubling = RetryPolicy::new(10, Duration::from_secs(1), Backoff::Exponential).unwrap();
    assert_eq!(
        seconds(doubling),
        [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    );
    let fixed = RetryPolicy::new(10, Duration::from_secs(2), Backoff::Fixed).unwrap();
    assert_eq!(seconds(fixed), [2.0; 9]);
    let longer = RetryPolicy::new(3, Duration::from_secs(90), Backoff::Exponential).unwrap();
    assert_eq!(
        longer.wait_after(3),
        Duration::from_secs(90),
        "the cap never shortens what was asked for"
    );
    let huge = RetryPolicy::new(3, Duration::MAX, Backoff::Exponential).unwrap();
    assert_eq!(huge.wait_after(u32::MAX), Duration::MAX);
}

#[test]
fn a_policy_outside_its_bounds_is_refused() {
    for attempts in [0, 11, u32::MAX] {
        let refused = RetryPolicy::new(attempts, Duration::ZERO, Backoff::Fixed).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("a retry policy has 1 to 10 attempts in total, not {attempts}")
        );
    }
    assert_eq!(RetryPolicy::default().attempts_max(), 1);
}

#[test]
fn an_empty_action_is_the_default_one() {
    assert_eq!(Action::named(""), Action::default());
    assert!(Action::named("").is_default());
    assert!(!Action::error().is_default());
    assert_eq!(Action::from("again").to_string(), "again");
}

#[test]
fn an_error_tells_its_causes_and_the_innermost_node() {
    let io = std::io::Error::other("disk on fire");
    let error = NodeError::failed("cannot save")
        .with_source(NodeError::failed("cannot write").with_source(io))
        .in_node("inner")
        .in_node("outer");
    assert_eq!(error.chain(), ["cannot write", "disk on fire"]);
    assert_eq!(error.node_id(), Some("inner"));
    assert_eq!(error.to_string(), "cannot save");
    assert!(error.is_retryable());
    let late = NodeError::timed_out("the shell", Duration::from_millis(1500));
    assert_eq!(late.to_string(), "the shell took longer than the limit of 1.5 s");
    assert_eq!((late.error_type(), late.is_retryable()), ("timeout", true));
    for lasting in [
        NodeError::permanent("x"),
        NodeError::cancelled(),
        NodeError::routing("x"),
        NodeError::visit_limit("x"),
    ] {
        assert!(!lasting.is_retryable(), "{lasting:?}");
    }
}

#[test]
fn inner_variables_hide_outer_ones() {
    let outer = Variables::default()
        .with("item", serde_json::json!(1))
        .with("x", serde_json::json!(2));
    let inner = outer.with("item", serde_json::json!(3));
    assert_eq!(**inner.get("item").unwrap(), 3);
    assert_eq!(**outer.get("item").unwrap(), 1);
    assert!(inner.get("y").is_none());
    let names: Vec<&str> = inner.names().map(smol_str::SmolStr::as_str).collect();
    assert_eq!(names, ["item", "x", "item"]);
}
