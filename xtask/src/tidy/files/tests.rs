//! Files that are too long, silent or badly named are found; others are not.

use super::check;
use crate::tidy::source::SourceFile;

fn messages(path: &str, text: &str) -> Vec<String> {
    check(&[SourceFile::new(path, text)])
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn lines(count: usize) -> String {
    format!("//! About.\n{}", "\n".repeat(count - 1))
}

#[test]
fn length_has_a_warning_and_a_limit() {
    assert_eq!(messages("crates/a/src/b.rs", &lines(500)), [""; 0]);
    assert_eq!(
        messages("crates/a/src/b.rs", &lines(501)),
        ["crates/a/src/b.rs:501: warning: 501 lines; split it before it has more than 800"]
    );
    assert_eq!(
        messages("crates/a/src/b.rs", &lines(801)),
        ["crates/a/src/b.rs:801: 801 lines; at most 800 are allowed"]
    );
}

#[test]
fn tests_may_be_longer_but_not_endless() {
    for path in [
        "crates/a/src/b/tests.rs",
        "crates/a/tests/it/b.rs",
        "crates/a/benches/b.rs",
    ] {
        assert_eq!(messages(path, &lines(1500)), [""; 0]);
        assert_eq!(messages(path, &lines(1501)).len(), 1, "{path}");
    }
}

#[test]
fn a_file_opens_with_what_it_is_for() {
    for text in [
        "",
        "\n//! Late.\n",
        "// no\n",
        "//!\n//! Late.\n",
        "use std::fmt;\n",
    ] {
        assert_eq!(messages("crates/a/src/b.rs", text).len(), 1, "{text:?}");
    }
    assert_eq!(messages("crates/a/src/b.rs", "//! About.\n"), [""; 0]);
}

#[test]
fn empty_names_of_files_folders_and_modules_are_found() {
    let about = "//! About.\n";
    for path in [
        "crates/a/src/util.rs",
        "crates/a/src/helpers/x.rs",
        "crates/a/tests/it/common.rs",
    ] {
        assert_eq!(messages(path, about).len(), 1, "{path}");
    }
    assert_eq!(
        messages("crates/a/src/b.rs", "//! About.\npub(crate) mod misc {\n}\n"),
        ["crates/a/src/b.rs:2: module name `misc` says nothing; name it after what it does"]
    );
    assert_eq!(
        messages("crates/a/src/metadata.rs", "//! About.\nmod information {}\n"),
        [""; 0]
    );
    assert_eq!(
        messages("crates/a/src/b.rs", "//! About.\n// mod util {\n"),
        [""; 0]
    );
}
