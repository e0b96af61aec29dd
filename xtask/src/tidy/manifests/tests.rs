//! A crate that does not take the lints over is found, and so is unsafe code where none belongs.

use super::super::source::SourceFile;
use super::{check, check_peers, check_unsafe};
use crate::workspace::Member;

const ROOT: &str = "[workspace.lints.rust]\nunsafe_code = \"deny\"\n";

fn member(manifest: &str) -> Member {
    Member {
        manifest: manifest.to_owned(),
        ..Member::named("flowmeter")
    }
}

#[test]
fn both_ways_to_inherit_the_lints_pass() {
    for manifest in ["[lints]\nworkspace = true\n", "lints.workspace = true\n"] {
        assert_eq!(check(ROOT, &[member(manifest)]), []);
    }
    let with_priority = "[workspace.lints.rust]\nunsafe_code = { level = \"deny\", priority = 1 }\n";
    assert_eq!(check(with_priority, &[]), []);
}

#[test]
fn a_crate_with_lints_of_its_own_or_none_is_found() {
    for manifest in [
        "",
        "[lints]\nworkspace = false\n",
        "[lints.rust]\nunsafe_code = \"allow\"\n",
        "not toml",
    ] {
        let findings = check(ROOT, &[member(manifest)]);
        assert_eq!(findings.len(), 1, "{manifest:?}");
        assert_eq!(
            findings[0].to_string(),
            "crates/flowmeter/Cargo.toml:1: crate `flowmeter` must have `[lints] workspace = true`"
        );
    }
}

#[test]
fn a_root_that_does_not_deny_is_found() {
    for root in ["", "[workspace.lints.rust]\nunsafe_code = \"warn\"\n"] {
        assert_eq!(check(root, &[]).len(), 1, "{root:?}");
    }
}

#[test]
fn the_peers_forbid_unsafe_code_and_are_not_published() {
    let peers = |manifest: &str| Member {
        manifest: manifest.to_owned(),
        ..Member::peers()
    };
    let forbidding = "[package]\npublish = false\n[lints.rust]\nunsafe_code = \"forbid\"\n";
    assert_eq!(check_peers(&peers(forbidding)), []);
    let findings = check_peers(&peers("[package]\nname = \"flowmeter-peers\"\n"));
    assert_eq!(
        findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "benches/Cargo.toml:1: `[lints.rust]` must have `unsafe_code = \"forbid\"`",
            "benches/Cargo.toml:1: the package must have `publish = false`",
        ]
    );
}

#[test]
fn unsafe_code_is_found_where_none_belongs() {
    let allowing = "//! x\n#[allow(unsafe_code)]\nfn f() {}\n";
    let elsewhere = SourceFile::new("crates/flowmeter/src/meter.rs", allowing);
    assert_eq!(check_unsafe(&[elsewhere]).len(), 1);
    let listed = SourceFile::new("crates/flowmeter-engine/src/ticks.rs", allowing);
    assert_eq!(check_unsafe(&[listed]), []);
    let library = SourceFile::new("crates/flowmeter/src/lib.rs", "//! x\n");
    assert_eq!(check_unsafe(&[library]).len(), 1);
    let peers = SourceFile::new("benches/src/lib.rs", "//! x\n");
    assert_eq!(check_unsafe(&[peers]).len(), 1);
    let forbidding = SourceFile::new("crates/flowmeter/src/lib.rs", "//! x\n#![forbid(unsafe_code)]\n");
    assert_eq!(check_unsafe(&[forbidding]), []);
}
