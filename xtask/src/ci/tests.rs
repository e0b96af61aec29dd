//! Which commands the steps run, and how a failing step ends the run.

use anyhow::bail;

use super::{Course, lint_steps, test_steps, tokenizer_steps};
use crate::command::Step;
use crate::workspace::{Member, Workspace};

#[test]
fn the_large_run_is_the_last_one_with_either_runner() {
    let with = test_steps(true);
    assert_eq!(with[0].shown(), "cargo test --workspace --doc");
    assert_eq!(with[1].shown(), "cargo nextest run --workspace");
    let without = test_steps(false);
    assert_eq!(without[0].shown(), "cargo test --workspace --doc");
    assert_eq!(without[1].shown(), "cargo test --workspace --tests");
}

#[test]
fn the_peers_are_linted_apart_and_their_warnings_are_errors() {
    let workspace = Workspace {
        target: "/elsewhere".into(),
        ..Workspace::of(Vec::new(), Member::peers())
    };
    let shown: Vec<String> = lint_steps(&workspace).iter().map(Step::shown).collect();
    assert_eq!(
        shown[3..],
        [
            "cargo fmt --manifest-path benches/Cargo.toml --check",
            "cargo clippy --no-deps --all-targets --manifest-path benches/Cargo.toml --target-dir /elsewhere/peers \
             -- -D warnings",
            "cargo fmt --manifest-path fuzz/Cargo.toml --check",
        ]
    );
}

#[test]
fn a_failing_step_is_named_and_not_counted_as_done() {
    let mut course = Course::default();
    course.step("first", || Ok(())).expect("the first step passes");
    let error = course
        .step("second", || bail!("broken"))
        .expect_err("the second step fails");
    assert!(
        format!("{error:#}").starts_with("ci stopped at `second` after "),
        "{error:#}"
    );
    assert!(format!("{error:#}").ends_with(": broken"), "{error:#}");
    assert_eq!(course.done.len(), 1);
    assert!(
        course.table().starts_with("  first        "),
        "{}",
        course.table()
    );
}

#[test]
fn the_tokenizer_is_built_and_tested_with_its_feature_only() {
    for step in tokenizer_steps() {
        assert!(
            step.shown()
                .contains("-p flowmeter-pricing -p flowmeter --features flowmeter/tokenizer"),
            "{}",
            step.shown()
        );
    }
}
