//! Which targets there are, and what is said of a finding.

use super::{finding, host_in, targets, tells, wanted};
use crate::workspace;

#[test]
fn each_target_has_a_file_and_a_corpus() {
    let root = workspace::root().expect("the workspace has a root");
    let names = targets(&root).expect("there are targets");
    assert_eq!(names, ["pricing_file", "usage"]);
    for name in &names {
        let corpus = root.join("fuzz/corpus").join(name);
        assert!(corpus.is_dir(), "{name} has no corpus");
    }
}

#[test]
fn a_target_is_chosen_by_its_name() {
    let names = ["a".to_owned(), "b".to_owned()];
    assert_eq!(wanted(&names, None).expect("all of them"), names);
    assert_eq!(wanted(&names, Some("b")).expect("one of them"), ["b"]);
    let error = wanted(&names, Some("c")).expect_err("there is no such target");
    assert_eq!(error.to_string(), "there is no fuzz target `c`; there are: a, b");
}

#[test]
fn a_finding_says_how_to_run_it_again() {
    let said = finding(
        "usage",
        "t/usage".as_ref(),
        "fuzz/artifacts/usage".as_ref(),
        "t/usage.log".as_ref(),
    );
    assert!(
        said.contains("`t/usage FILE`") && said.contains("fuzz/artifacts/usage"),
        "{said}"
    );
    assert!(tells("thread panicked at src/lib.rs:3:4"));
    assert!(!tells("#123 NEW cov: 5"));
}

#[test]
fn the_platform_is_read_from_the_compiler() {
    assert_eq!(host_in("rustc 1\nhost: a-b-c\n").as_deref(), Some("a-b-c"));
    assert_eq!(host_in("rustc 1"), None);
}
