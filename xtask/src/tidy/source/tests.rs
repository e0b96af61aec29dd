//! Which crate a file belongs to, and which files are tests.

use super::SourceFile;

fn file(path: &str) -> SourceFile {
    SourceFile::new(path, "//! x\n")
}

#[test]
fn the_crate_is_the_folder_under_crates_or_the_one_in_the_root() {
    assert_eq!(
        file("crates/flowmeter-cli/src/main.rs").crate_name(),
        "flowmeter-cli"
    );
    assert_eq!(file("xtask/src/main.rs").crate_name(), "xtask");
    assert_eq!(file("benches/src/lib.rs").crate_name(), "benches");
}

#[test]
fn tests_benches_and_shipped_files_are_told_apart() {
    for path in [
        "crates/a/src/x/tests.rs",
        "crates/a/tests/it/main.rs",
        "crates/a/benches/b.rs",
        "benches/benches/b.rs",
    ] {
        assert!(file(path).is_test(), "{path}");
        assert!(!file(path).is_shipped(), "{path}");
    }
    for path in ["crates/a/build.rs", "crates/a/examples/e.rs"] {
        assert!(!file(path).is_test(), "{path}");
        assert!(!file(path).is_shipped(), "{path}");
    }
    for path in [
        "crates/a/src/lib.rs",
        "crates/a/src/build.rs",
        "xtask/src/main.rs",
    ] {
        assert!(file(path).is_shipped(), "{path}");
    }
}
