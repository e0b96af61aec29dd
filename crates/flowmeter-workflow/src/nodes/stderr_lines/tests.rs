//! Lines of standard error: cut, levelled, and none lost.

use std::sync::{Arc, Mutex};

use flowmeter::{Backend, Batch, CaptureLevel, ExportError, RunMeter, current};
use flowmeter_engine::SharedStore;
use flowmeter_model::{LogLevel, TelemetryEvent};

use super::{StderrLines, level_of};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(LogLevel, String)>>>);

impl Backend for Kept {
    fn name(&self) -> &str {
        "kept"
    }
    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        for event in &batch.events {
            if let TelemetryEvent::Log(_, log) = event {
                self.0.lock().unwrap().push((log.level, log.message.clone()));
            }
        }
        Ok(())
    }
}

/// What is logged of these pieces.
fn logged(pieces: &[&[u8]]) -> Vec<(LogLevel, String)> {
    logged_at(CaptureLevel::Limited, pieces)
}

fn logged_at(level: CaptureLevel, pieces: &[&[u8]]) -> Vec<(LogLevel, String)> {
    let kept = Kept::default();
    let builder = RunMeter::builder("run").capture(level).backend(kept.clone());
    let meter = builder.start().unwrap();
    {
        let cx = meter.context(SharedStore::new().root());
        let mut lines = StderrLines::new(current(&cx));
        for piece in pieces {
            lines.take(piece);
        }
        lines.end();
    }
    let _ = meter.succeed();
    std::mem::take(&mut *kept.0.lock().unwrap())
}

fn texts(pieces: &[&[u8]]) -> Vec<String> {
    logged(pieces).into_iter().map(|(_, text)| text).collect()
}

#[test]
fn lines_are_the_same_however_they_come() {
    let text = "first\n\n  second ✓\r\nerror: third\nno newline";
    let expected = [
        (LogLevel::Info, "first"),
        (LogLevel::Info, "  second ✓"),
        (LogLevel::Error, "error: third"),
        (LogLevel::Info, "no newline"),
    ]
    .map(|(level, text)| (level, text.to_owned()));
    for size in [1, 2, 3, 7, 100] {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        assert_eq!(logged(&pieces), expected, "{size}");
    }
}

#[test]
fn a_line_that_is_written_over_itself_shows_its_end() {
    let text = b" 10%\r 50%\r100% done\r\nnext\n\r\n";
    for size in 1..=text.len() {
        let pieces: Vec<&[u8]> = text.chunks(size).collect();
        assert_eq!(texts(&pieces), ["100% done", "next"], "{size}");
    }
}

#[test]
fn long_lines_are_cut_and_binary_is_not_logged() {
    let long = "ä".repeat(10_000);
    let pieces: Vec<&[u8]> = long.as_bytes().chunks(1_000).collect();
    let cut = &texts(&pieces)[0];
    assert!(
        cut.starts_with("ää") && cut.ends_with("ä… [cut at 8192 of 20000 bytes]"),
        "{cut}"
    );
    let binary = texts(&[b"text\n", b"\x00\x01\x02\n", b"more\n"]);
    assert_eq!(
        binary,
        [
            "text",
            "The standard error is binary from here on and is not logged"
        ]
    );
    assert_eq!(
        texts(&[b"caf\xe9\n"]),
        ["caf\u{fffd}"],
        "another encoding is no binary"
    );
    assert_eq!(texts(&[b"\xff\xfe\x01\x02\n"]).len(), 1);
}

#[test]
fn colours_are_left_out() {
    let coloured = b"\x1b[1;31merror\x1b[0m: no\x1b[K such file\n\x1b[32m\x1b[0m\n";
    assert_eq!(
        logged(&[coloured]),
        [(LogLevel::Error, "error: no such file".to_owned())]
    );
}

#[test]
fn the_word_at_the_beginning_says_how_grave_a_line_is() {
    for (line, level) in [
        ("ERROR disk full", LogLevel::Error),
        ("error: disk full", LogLevel::Error),
        ("error[E0425]: cannot find value", LogLevel::Error),
        ("Error opening file", LogLevel::Error),
        ("FATAL: no", LogLevel::Error),
        ("WARNING:root:careful", LogLevel::Warn),
        ("warning: unused", LogLevel::Warn),
        ("[warning] careful", LogLevel::Warn),
        ("[ WARN ] careful", LogLevel::Warn),
        ("(debug) fine", LogLevel::Debug),
        ("DEBUG fine", LogLevel::Debug),
        ("<trace> finer", LogLevel::Trace),
        ("2024-01-15 10:30:45,120 ERROR late", LogLevel::Error),
        ("[2024-01-15T10:30:45.120Z] WARN late", LogLevel::Warn),
        ("12:00 info: noon", LogLevel::Info),
        ("Info is here", LogLevel::Info),
        ("Trace the request", LogLevel::Info),
        ("debug the request", LogLevel::Info),
        ("errors are rare", LogLevel::Info),
        ("error handling is on", LogLevel::Info),
        ("[errors] none", LogLevel::Info),
        ("42 errors", LogLevel::Info),
        ("", LogLevel::Info),
    ] {
        assert_eq!(level_of(line), level, "{line}");
    }
}

#[test]
fn where_no_content_is_kept_nothing_is_logged() {
    assert_eq!(logged_at(CaptureLevel::Full, &[b"text\n"]).len(), 1);
    assert_eq!(logged_at(CaptureLevel::Metadata, &[b"text\n"]), []);
}
