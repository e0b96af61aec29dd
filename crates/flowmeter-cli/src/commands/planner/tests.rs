//! What is a request and what is a file. Never plans anything.

use std::path::Path;

use super::is_request;

#[test]
fn words_are_a_request_and_names_are_not() {
    for request in [
        "summarize all markdown files here and mail me the result",
        "summarize notes.txt",
        "what is in data.json",
        " two words ",
        "line\nbreak",
    ] {
        assert!(is_request(Path::new(request)), "{request}");
    }
    for name in [
        "",
        " ",
        "summarize",
        "sumarize.json",
        "summarize-notes",
        "./my workflow.json",
        "/tmp/my workflow.json",
        "../my workflow.json",
        "~/my workflow.json",
        " summarize.json ",
    ] {
        assert!(!is_request(Path::new(name)), "{name}");
    }
}

#[test]
fn a_file_that_is_there_is_a_file_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my summary of notes.json");
    std::fs::write(&file, "{}").unwrap();
    assert!(!is_request(&file));
}
