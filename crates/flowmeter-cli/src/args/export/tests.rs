//! How backends are named on the command line.

use std::path::PathBuf;

use super::{BackendWish, FileKind};

fn wish(text: &str) -> Result<BackendWish, String> {
    text.parse()
}

#[test]
fn backends_are_read_and_shown_alike() {
    for text in [
        "otlp",
        "otlp=http://localhost:4318",
        "phoenix",
        "phoenix=https://phoenix.example",
        "console",
        "json=a.json",
        "jsonl=a.jsonl",
        "otlp-json=a.jsonl",
    ] {
        assert_eq!(wish(text).unwrap().to_string(), text);
    }
    let path = PathBuf::from("a=b.json");
    assert_eq!(
        wish("json=a=b.json").unwrap(),
        BackendWish::File {
            format: FileKind::Json,
            path
        }
    );
}

#[test]
fn what_is_no_backend_is_told_with_the_nearest() {
    let told = wish("phenix").unwrap_err();
    assert!(
        told.starts_with("there is no backend `phenix`; did you mean `phoenix`?; there are otlp, "),
        "{told}"
    );
    assert_eq!(wish("json").unwrap_err(), "`json` needs a file: json=FILE");
    assert_eq!(wish("jsonl=").unwrap_err(), "`jsonl` needs a file: jsonl=FILE");
    assert_eq!(wish("console=x").unwrap_err(), "`console` takes no target");
}
