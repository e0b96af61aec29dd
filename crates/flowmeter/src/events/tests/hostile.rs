//! Lines that nobody should write, and somebody does.

use flowmeter_otlp::{ExportRequest, Signal};

use super::formats::{HUMAN, config, formatted, formatted_with, tree};
use crate::events::{Block, EventFormat, EventFormatter, FormatError};

#[test]
fn a_mark_at_the_beginning_and_carriage_returns_are_no_problem() {
    let text = "\u{feff}{\"type\":\"workflow_start\"}\r\n\r\n{\"type\":\"log\",\"message\":\"x\"}\r\n{\"type\":\"workflow_end\"}";
    assert!(tree(text).contains("  [INFO] x\n← workflow.end\n"));
}

#[test]
fn what_would_steer_the_terminal_is_shown_instead() {
    let text = "{\"type\":\"workflow_start\",\"workflow_id\":\"\\u001b[2J\",\"trace_id\":\"a\\nb\"}\n\
        {\"type\":\"node_start\",\"node\":{\"id\":\"\\u001b]0;title\\u0007\",\"type\":\"t\\nu\\u009b31m\"}}\n\
        {\"type\":\"log\",\"message\":\"\\u202egnp.exe\\u0008\\u007f\"}\n\
        {\"type\":\"custom\",\"name\":\"\u{9b}31m\",\"attributes\":{\"k\":\"\u{7f}\u{202e}\"}}\n\
        {\"type\":\"error\",\"message\":\"\\r\\u001b[A\",\"node\":{\"id\":\"\\u001b\"}}\n\
        {\"type\":\"node_end\",\"result\":\"success\"}\n{\"type\":\"workflow_end\"}\n";
    let shown = tree(text);
    let steering: Vec<char> = shown
        .chars()
        .filter(|c| c.is_control() && *c != '\n' || matches!(c, '\u{202a}'..='\u{202e}'))
        .collect();
    assert!(steering.is_empty(), "{steering:?} in {shown:?}");
    let (_, problems) = formatted(
        HUMAN,
        "{\"type\":\"\\u001b[31mx\"}\n{\"type\":\"log\",\"level\":\"\u{9b}\",\"message\":\"\"}\n",
    );
    assert!(!problems.contains(['\u{1b}', '\u{9b}']), "{problems:?}");
}

#[test]
fn a_line_of_ten_megabytes_is_a_line() {
    let long = "y".repeat(10_000_000);
    let text = format!(
        "{{\"type\":\"workflow_start\"}}\n{{\"type\":\"log\",\"message\":\"{long}\"}}\n{{\"type\":\"workflow_end\"}}\n"
    );
    assert!(tree(&text).contains(&long));
    let (json, problems) = formatted(EventFormat::Json, &text);
    assert_eq!(problems, "");
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
}

#[test]
fn deep_values_are_a_problem_where_they_are_read() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!(
        "{{\"type\":\"workflow_start\"}}\n{{\"type\":\"custom\",\"name\":\"c\",\"attributes\":{{\"a\":{deep}}}}}\n\
         {{\"type\":\"workflow_end\"}}\n"
    );
    let (shown, problems) = formatted(HUMAN, &text);
    assert!(
        shown.contains("[CUSTOM] c {\"a\":[[[") && problems.is_empty(),
        "{problems}"
    );
    let (json, problems) = formatted(EventFormat::Json, &text);
    assert!(
        problems.starts_with("2: `attributes` is something else"),
        "{problems}"
    );
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
}

#[test]
fn half_characters_and_other_bytes_are_reported() {
    let mut bytes = b"{\"type\":\"workflow_start\"}\n{\"type\":\"log\",\"message\":\"\xff\"}\n".to_vec();
    bytes.extend_from_slice(b"{\"type\":\"log\",\"message\":\"\\ud800\"}\n{\"type\":\"workflow_end\"}\n");
    let (shown, problems) = formatted_with(config(HUMAN), &bytes);
    assert!(
        problems.contains("2: this line is not UTF-8: byte 26 of it"),
        "{problems}"
    );
    assert!(problems.contains("3: `message` is"), "{problems}");
    assert!(shown.contains("[INFO] \\ud800"), "{shown}");
}

#[test]
fn numbers_that_are_none_are_reported() {
    let text = "{\"type\":\"log\",\"message\":\"x\",\"timestamp\":NaN}\n\
        {\"type\":\"log\",\"message\":\"x\",\"timestamp\":1e400}\n\
        {\"type\":\"log\",\"message\":\"x\",\"timestamp\":1.5e18}\n\
        {\"type\":\"log\",\"message\":\"x\",\"timestamp\":99999999999999999999}\n";
    let (_, problems) = formatted(HUMAN, text);
    let lines: Vec<&str> = problems
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(lines, ["1", "2", "4"], "{problems}");
}

#[test]
fn nothing_is_made_of_nothing() {
    for text in ["", "\n\n", "   \r\n", "\u{feff}"] {
        assert_eq!(formatted(HUMAN, text), (String::new(), String::new()));
        assert_eq!(formatted(EventFormat::Json, text), (String::new(), String::new()));
        assert_eq!(formatted(EventFormat::Otlp, text), (String::new(), String::new()));
    }
}

#[test]
fn an_output_that_is_full_ends_it() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut formatter = EventFormatter::new(config(HUMAN), Full);
    let block = Block {
        lines: b"{\"type\":\"workflow_start\"}\n".to_vec(),
        then_too_long: false,
    };
    assert!(matches!(
        formatter.take_block(&block),
        Err(FormatError::Output(_))
    ));
}

#[test]
fn documents_stay_valid_whatever_comes() {
    const LINES: &[&str] = &[
        r#"{"type":"workflow_start","workflow_id":"w"}"#,
        r#"{"type":"workflow_start","trace_id":"A","timestamp":5}"#,
        r#"{"type":"workflow_start","trace_id":"B","span_id":"r"}"#,
        r#"{"type":"node_start","node":{"id":"a","type":"t"}}"#,
        r#"{"type":"node_start","node":{"id":"b","type":"t"},"span_id":"s","parent_span_id":"r","trace_id":"B"}"#,
        r#"{"type":"node_end","result":"success"}"#,
        r#"{"type":"node_end","result":"x","span_id":"s","error":"e\"q"}"#,
        r#"{"type":"span_start","kind":"attempt","operation":"attempt","attributes":{"attempt.number":1}}"#,
        r#"{"type":"span_end","status":"error"}"#,
        r#"{"type":"log","message":"m\n","trace_id":"A"}"#,
        r#"{"type":"custom","name":"c"}"#,
        r#"{"type":"error","message":"boom","node":{"id":"a"}}"#,
        r#"{"type":"workflow_end"}"#,
        r#"{"type":"workflow_end","trace_id":"A"}"#,
        r#"{"type":"workflow_end","trace_id":"B","span_id":"r"}"#,
        "{",
    ];
    arbtest::arbtest(|u| {
        let mut text = String::new();
        for _ in 0..u.int_in_range(0..=30)? {
            text.push_str(u.choose(LINES)?);
            text.push('\n');
        }
        let (documents, told) = formatted(EventFormat::Json, &text);
        for document in documents.lines() {
            let document: serde_json::Value = serde_json::from_str(document).unwrap();
            assert!(document["spans"].is_array() && document["metrics"]["node_count"].is_u64());
        }
        for format in [EventFormat::Otlp, EventFormat::Metrics, HUMAN] {
            let (shown, also_told) = formatted(format, &text);
            assert_eq!(told, also_told, "problems do not depend on the format");
            if matches!(format, EventFormat::Otlp) {
                for line in shown.lines() {
                    let signal = if line.starts_with("{\"resourceSpans\"") {
                        Signal::Traces
                    } else {
                        Signal::Logs
                    };
                    let request = ExportRequest::from_json(signal, line.as_bytes()).unwrap();
                    assert!((1..=512).contains(&request.item_count()));
                }
            }
        }
        let (shown, _) = formatted(HUMAN, &text);
        let count = |what: char| {
            shown
                .lines()
                .filter(|line| line.trim_start().starts_with(what))
                .count()
        };
        assert_eq!(count('→'), count('←'), "what begins ends: {text}\n{shown}");
        Ok(())
    });
}
