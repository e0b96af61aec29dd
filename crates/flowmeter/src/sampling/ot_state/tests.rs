//! Tests of OpenTelemetry's member of a tracestate.

use super::*;

#[test]
fn threshold_randomness_and_the_rest_are_told_apart() {
    let state = OtState::parse("th:c;rv:ce929d0e0e4736;a:b;x");
    assert_eq!(state.threshold, Threshold::parse("c"));
    assert_eq!(state.randomness, Randomness::parse("ce929d0e0e4736"));
    assert_eq!(state.to_string(), "th:c;rv:ce929d0e0e4736;a:b;x");
}

#[test]
fn what_cannot_be_meant_is_left_out() {
    let state = OtState::parse("a:b;;rv:12;th:zz;c:d");
    assert_eq!((state.threshold, state.randomness), (None, None));
    assert_eq!(state.to_string(), "a:b;c:d");
    assert!(OtState::parse("").is_empty());
    assert!(OtState::parse("th:").is_empty());
    assert!(OtState::parse(&format!("th:c;a:{}", "x".repeat(256))).is_empty());
}

#[test]
fn what_does_not_fit_is_left_out_from_the_end() {
    let long = format!("a:{}", "x".repeat(244));
    let mut state = OtState::parse(&format!("{long};b:c"));
    state.threshold = Threshold::parse("abc");
    assert_eq!(state.to_string(), format!("th:abc;{long}"));
    state.randomness = Randomness::parse("ce929d0e0e4736");
    assert_eq!(state.to_string(), "th:abc;rv:ce929d0e0e4736");
}
