//! Tests of opening the history.

use super::*;
use crate::exit::{self, Exit};

#[test]
fn a_history_that_is_not_there_is_missing_and_stays_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flowmeter.db");
    let error = open_file(&path).err().expect("there is none");
    assert_eq!(exit::of_error(&error), (Exit::Missing, "file_missing"));
    assert_eq!(error.to_string(), "there is no history yet: run a workflow first");
    assert!(!path.exists());
}

#[test]
fn a_file_of_another_program_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flowmeter.db");
    std::fs::write(
        &path,
        "something else that is long enough to have a header of a database file. ".repeat(20),
    )
    .expect("it is written");
    let error = open_file(&path).err().expect("it is none");
    assert_eq!(exit::of_error(&error), (Exit::Failed, "history"));
    let message = format!("{} is no history of flowmeter", path.display());
    assert_eq!(error.to_string(), message);
}
