//! Banned packages are found when they are built, and too many packages are too many.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::bail;

use super::{Package, check_banned, check_count, names_in_tree, packages};

fn lock(names: &[&str]) -> Vec<Package> {
    let mut text = "version = 4\n".to_owned();
    for name in names {
        write!(text, "\n[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n").expect("writing to a string");
    }
    packages(&text).expect("the lock file is well formed")
}

fn built(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn banned_packages_that_are_built_are_found() {
    let names = [
        "aws-lc-rs",
        "aws-sdk-s3",
        "cmake",
        "datafusion-common",
        "openssl-sys",
        "prost-build",
    ];
    let findings = check_banned(&lock(&names), || Ok(built(&names))).expect("the check runs");
    assert_eq!(findings.len(), names.len());
    assert_eq!(
        findings[0].to_string(),
        "Cargo.lock:4: `aws-lc-rs` may not be built: rustls uses ring (see `cargo tree --target all -i aws-lc-rs`)"
    );
    assert_eq!(findings[1].line, 8);
}

#[test]
fn a_banned_package_that_no_build_selects_passes() {
    let findings = check_banned(&lock(&["aws-lc-rs", "ring"]), || Ok(built(&["ring"])));
    assert_eq!(findings.expect("the check runs"), []);
}

#[test]
fn without_a_suspect_the_build_is_not_asked_for() {
    let findings = check_banned(&lock(&["ring", "openssl-probe", "prost"]), || bail!("asked for"));
    assert_eq!(findings.expect("the check runs"), []);
}

#[test]
fn more_than_the_allowed_number_of_packages_is_found() {
    let names = vec!["a"; 391];
    assert_eq!(check_count(&lock(&names[..390])), None);
    let finding = check_count(&lock(&names)).expect("one too many");
    assert_eq!(
        finding.to_string(),
        "Cargo.lock:1: 391 packages; at most 390 are allowed"
    );
}

#[test]
fn names_are_the_first_words_of_the_tree() {
    assert_eq!(
        names_in_tree("a v1.0.0 (/w/a)\nb v2.0.0 (*)\n\nb v2.0.0\n"),
        built(&["a", "b"])
    );
}

#[test]
fn a_lock_file_without_packages_is_an_error() {
    assert!(packages("version = 4\n").is_err());
}
