//! How findings are shown and counted.

use std::process::ExitCode;

use super::{Finding, verdict};

#[test]
fn findings_are_shown_with_path_and_line() {
    assert_eq!(
        Finding::error("a/b.rs", 3, "too long").to_string(),
        "a/b.rs:3: too long"
    );
    assert_eq!(
        Finding::warning("a/b.rs", 3, "long").to_string(),
        "a/b.rs:3: warning: long"
    );
}

#[test]
fn warnings_alone_pass_and_one_finding_fails() {
    let warning = Finding::warning("a.rs", 1, "long");
    assert_eq!(
        verdict(std::slice::from_ref(&warning)),
        ("tidy: 0 findings, 1 warning".to_owned(), ExitCode::SUCCESS)
    );
    let error = Finding::error("a.rs", 1, "too long");
    assert_eq!(
        verdict(&[warning, error]),
        ("tidy: 1 finding, 1 warning".to_owned(), ExitCode::FAILURE)
    );
}
