//! How commands are shown, and what of the environment they do not inherit.

use std::time::Duration;

use super::{Step, is_set_by_cargo_run, shown_duration};

#[test]
fn step_is_shown_as_it_would_be_typed() {
    let step = Step::cargo("rustdoc", &["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    assert_eq!(step.shown(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
}

#[test]
fn variables_about_xtask_are_taken_away_and_settings_are_not() {
    assert!(is_set_by_cargo_run("CARGO_PKG_NAME"));
    assert!(is_set_by_cargo_run("CARGO_MANIFEST_DIR"));
    assert!(!is_set_by_cargo_run("CARGO_HOME"));
    assert!(!is_set_by_cargo_run("CARGO_TARGET_DIR"));
    assert!(!is_set_by_cargo_run("CARGO_BUILD_JOBS"));
}

#[test]
fn durations_are_readable() {
    assert_eq!(shown_duration(Duration::from_millis(420)), "0.4 s");
    assert_eq!(shown_duration(Duration::from_secs(185)), "3 min 05 s");
}
