//! How log lines of the history are printed.

use flowmeter_model::{Attributes, TimestampNs};

use super::*;
use crate::history_view::sample::{self, NOON};

#[test]
fn lines_are_those_of_the_console() {
    let times = sample::times();
    let mut attributes = Attributes::new();
    attributes.set("code.lineno", 7_i64);
    attributes.set("url", "http://x/a b");
    attributes.set("tries", 2_i64);
    let log = LogRecord {
        time: TimestampNs(NOON + 5_000_000),
        level: LogLevel::Warn,
        message: "it is slow\nand\u{1b}[31m slower".to_owned(),
        target: Some("my_crate::db".into()),
        span_id: None,
        attributes,
    };
    let look = LogLook {
        colour: false,
        times: &times,
        with_day: false,
    };
    assert_eq!(
        log_line(&log, "4bf92f35", "outer/inner", look),
        "12:00:00.005 WARN  4bf92f35 [outer/inner] my_crate::db: it is slow\n    and\u{fffd}[31m slower url=\"http://x/a \
         b\" tries=2\n"
    );
    let with_day = LogLook {
        with_day: true,
        ..look
    };
    assert!(log_line(&log, "", "", with_day).starts_with("2026-11-21 12:00:00.005 WARN  my_crate::db:"));
    let stored = StoredLog {
        run: sample::key(sample::FIRST),
        record: log,
    };
    let json = log_json(&stored, "summarize", "");
    assert_eq!(json["time"], "2026-11-21T12:00:00.005000000Z");
    assert_eq!(json["node"], Value::Null);
    assert_eq!(json["attributes"]["tries"], 2);
}
