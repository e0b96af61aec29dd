//! The console: the agreed shape line by line, branches side by side, streams that fail.

use std::io::{self, Write};
use std::sync::Arc;

use expect_test::{Expect, expect};
use flowmeter_model::{LogLevel, Span, SpanKind, TelemetryEvent};
use parking_lot::Mutex;
use unicode_width::UnicodeWidthStr;

use super::{ConsoleBackend, ConsoleConfig, OPEN_MAX};
use crate::backends::probes::{attempt, begun, ending, ends, fails, item, logs, node, root, run, starts};
use crate::backends::{Backend, Batch, Deadline};

/// What was written.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shown_with(config: ConsoleConfig, events: Vec<TelemetryEvent>) -> String {
    let screen = Screen::default();
    let mut console = ConsoleBackend::new(Box::new(screen.clone()), config);
    // One at a time: what is written must not depend on how it is cut into batches.
    for event in events {
        let batch = Batch {
            run: run(),
            events: vec![event],
        };
        console.export(&batch).unwrap();
    }
    screen.text()
}

fn shows(events: Vec<TelemetryEvent>, expected: Expect) {
    expected.assert_eq(&shown_with(ConsoleConfig::default(), events));
}

#[test]
fn the_agreed_shape_comes_line_by_line() {
    let screen = Screen::default();
    let mut console = ConsoleBackend::new(Box::new(screen.clone()), ConsoleConfig::default());
    console.begin(&run(), &Deadline::default()).unwrap();
    assert!(screen.text().starts_with("Workflow Trace: "), "{}", screen.text());
    let (read, transform) = (
        node(2, 1, "read_file", "reader"),
        node(3, 1, "transform", "processor"),
    );
    let events = vec![
        starts(&root()),
        starts(&read),
        logs(2, LogLevel::Info, "Opening file: input.txt"),
        logs(2, LogLevel::Debug, "File size: 1024 bytes"),
        ends(&read, 45),
        starts(&transform),
        logs(3, LogLevel::Info, "Processing 10 records"),
        ends(&transform, 123),
        ends(&root(), 234),
    ];
    console.export(&Batch { run: run(), events }).unwrap();
    console.finish(&ending()).unwrap();
    expect![[r"
        Workflow Trace: 910a2dec89025cc1beeb8da1658eec67
        → workflow.start [2024-01-15 10:30:45]
          → node.read_file [reader]
            [INFO] Opening file: input.txt
            [DEBUG] File size: 1024 bytes
          ← node.read_file (45.0ms) ✓
          → node.transform [processor]
            [INFO] Processing 10 records
          ← node.transform (123.0ms) ✓
        ← workflow.end (234.0ms)

        Summary:
        - Total Duration: 234.5ms
        - Nodes Executed: 2
        - Success Rate: 100%
    "]]
    .assert_eq(&screen.text());
}

#[test]
fn branches_side_by_side_say_where_they_are() {
    let (a, b) = (node(2, 1, "shell", "a"), node(3, 1, "llm", "b"));
    let chat = begun(4, 3, SpanKind::LlmCall, "chat gpt-4o");
    shows(
        vec![
            starts(&root()),
            starts(&a),
            starts(&b),
            logs(2, LogLevel::Info, "from a"),
            logs(2, LogLevel::Warn, "again from a"),
            starts(&chat),
            ends(&a, 20),
            ends(&chat, 30),
            ends(&b, 31),
            ends(&root(), 32),
        ],
        expect![[r"
            Workflow Trace: 910a2dec89025cc1beeb8da1658eec67
            → workflow.start [2024-01-15 10:30:45]
              → node.shell [a]
              → node.llm [b]
                [INFO] [a] from a
                [WARN] again from a
                → chat gpt-4o in [b]
              ← node.shell [a] (20.0ms) ✓
                ← chat gpt-4o in [b] (30.0ms) ✓
              ← node.llm (31.0ms) ✓
            ← workflow.end (32.0ms)
        "]],
    );
}

#[test]
fn items_of_a_batch_say_which_they_are() {
    let batch = node(2, 1, "http", "fetch");
    let items: Vec<Span> = (0..3).map(|index| item(10 + index, 2, index as i64)).collect();
    let inner = node(20, 11, "echo", "inner");
    shows(
        vec![
            starts(&root()),
            starts(&batch),
            starts(&items[0]),
            starts(&items[1]),
            starts(&items[2]),
            logs(10, LogLevel::Info, "first"),
            starts(&inner),
            logs(12, LogLevel::Info, "third"),
            logs(20, LogLevel::Info, "inside the second"),
            fails(&items[0], 5, "refused", &[]),
            ends(&inner, 6),
            ends(&items[1], 7),
            ends(&items[2], 8),
            ends(&batch, 9),
        ],
        expect![[r"
            Workflow Trace: 910a2dec89025cc1beeb8da1658eec67
            → workflow.start [2024-01-15 10:30:45]
              → node.http [fetch]
                → batch.item [1 of 3]
                → batch.item [2 of 3] in [fetch]
                → batch.item [3 of 3] in [fetch]
                  [INFO] [fetch #1] first
                  → node.echo [inner] in [fetch #2]
                  [INFO] [fetch #3] third
                    [INFO] [fetch #2/inner] inside the second
                  error: refused
                ← batch.item [1 of 3] in [fetch] (5.0ms) ✗
                  ← node.echo [inner] in [fetch #2] (6.0ms) ✓
                ← batch.item (7.0ms) ✓
                ← batch.item [3 of 3] (8.0ms) ✓
              ← node.http (9.0ms) ✓ 2 of 3 items did well
        "]],
    );
}

#[test]
fn a_first_attempt_is_named_only_when_it_fails() {
    let fetch = node(2, 1, "http", "fetch");
    let tries: Vec<Span> = (1..=3)
        .map(|number| attempt(10 + number, 2, number as i64))
        .collect();
    let once = node(3, 1, "http", "once");
    let only = attempt(30, 3, 1);
    shows(
        vec![
            starts(&root()),
            starts(&fetch),
            starts(&tries[0]),
            logs(11, LogLevel::Info, "asking"),
            fails(
                &tries[0],
                5,
                "no answer",
                &["no answer", "connection refused\nby the host"],
            ),
            starts(&tries[1]),
            logs(12, LogLevel::Info, "asking"),
            ends(&tries[1], 8),
            ends(&fetch, 9),
            starts(&once),
            starts(&only),
            logs(30, LogLevel::Info, "asking"),
            ends(&only, 12),
            ends(&once, 12),
        ],
        expect![[r"
            Workflow Trace: 910a2dec89025cc1beeb8da1658eec67
            → workflow.start [2024-01-15 10:30:45]
              → node.http [fetch]
                [INFO] asking
                  error: no answer
                    caused by: connection refused
                      by the host
                ← attempt [1 of 3] (5.0ms) ✗
                → attempt [2 of 3]
                  [INFO] asking
                ← attempt (8.0ms) ✓
              ← node.http (9.0ms) ✓
              → node.http [once]
                [INFO] asking
              ← node.http (12.0ms) ✓
        "]],
    );
}

#[test]
fn what_nobody_saw_begin_is_shown_all_the_same() {
    let a = node(2, 1, "shell", "a");
    let late = node(3, 1, "shell", "late");
    shows(
        vec![
            logs(0, LogLevel::Info, "before everything"),
            starts(&root()),
            ends(&a, 5),
            logs(99, LogLevel::Info, "from nowhere"),
            // An end that was read before its beginning.
            ends(&late, 7),
            starts(&late),
            logs(1, LogLevel::Info, "in the run"),
        ],
        expect![[r"
            Workflow Trace: 910a2dec89025cc1beeb8da1658eec67
            [INFO] before everything
            → workflow.start [2024-01-15 10:30:45]
              ← node.shell [a] (5.0ms) ✓
              [INFO] from nowhere
              ← node.shell [late] (7.0ms) ✓
              [INFO] in the run
        "]],
    );
}

#[test]
fn ids_that_are_used_twice_lead_nowhere_forever() {
    let (a, b) = (node(2, 1, "x", "a"), node(3, 2, "x", "b"));
    let again = node(2, 3, "x", "a");
    let text = shown_with(
        ConsoleConfig::default(),
        vec![
            starts(&root()),
            starts(&a),
            starts(&b),
            ends(&a, 1),
            starts(&again),
            logs(1, LogLevel::Info, "x"),
            logs(3, LogLevel::Info, "y"),
            logs(1, LogLevel::Info, "x"),
            logs(2, LogLevel::Info, "z"),
        ],
    );
    assert!(text.contains("z\n"), "{text}");
}

#[test]
fn nothing_steers_the_terminal() {
    let evil = "\u{1b}[2J\u{9b}31m\u{7}\r\u{8}\u{202e}";
    let mut span = node(2, 1, evil, evil);
    span.operation = evil.into();
    let text = shown_with(
        ConsoleConfig::default(),
        vec![
            starts(&root()),
            starts(&span),
            logs(1, LogLevel::Info, evil),
            fails(&span, 1, evil, &[evil, "a cause"]),
        ],
    );
    let steering = |c: &char| c.is_control() && *c != '\n' || *c == '\u{202e}';
    assert_eq!(text.chars().find(steering), None, "{text:?}");
}

#[test]
fn no_line_is_wider_than_the_screen() {
    let config = ConsoleConfig {
        width: Some(24),
        ..ConsoleConfig::default()
    };
    let mut events = vec![starts(&root())];
    for depth in 2..20 {
        events.push(starts(&node(depth, depth - 1, "shell", &format!("node_{depth}"))));
    }
    events.push(logs(
        19,
        LogLevel::Info,
        "日本語のとても長いメッセージ\nsecond line that is long",
    ));
    events.push(fails(
        &node(19, 18, "shell", "node_19"),
        5,
        &"long ".repeat(40),
        &[],
    ));
    let text = shown_with(config, events);
    assert!(text.lines().all(|line| line.width() <= 24), "{text}");
    assert!(text.contains("            [INFO] 日本…\n"), "{text}");
    assert!(text.contains("…\n"), "{text}");
}

#[test]
fn colour_is_written_only_where_it_is_wanted() {
    let a = node(2, 1, "shell", "a");
    let events = || vec![starts(&a), logs(2, LogLevel::Error, "oh"), ends(&a, 1)];
    assert!(!shown_with(ConsoleConfig::default(), events()).contains('\u{1b}'));
    let config = ConsoleConfig {
        colour: true,
        ..ConsoleConfig::default()
    };
    let text = shown_with(config, events());
    assert!(
        text.contains("\u{1b}[31m[ERROR] \u{1b}[0m\u{1b}[31moh\u{1b}[0m\n"),
        "{text:?}"
    );
    assert!(text.contains("\u{1b}[32m✓\u{1b}[0m\n"), "{text:?}");
}

/// Fails with these, one after the other, then takes everything.
struct Failing {
    kinds: Vec<io::ErrorKind>,
    screen: Screen,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.kinds.pop() {
            Some(kind) => Err(kind.into()),
            None => self.screen.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failing(kinds: &[io::ErrorKind]) -> (ConsoleBackend, Screen) {
    let screen = Screen::default();
    let output = Failing {
        kinds: kinds.to_vec(),
        screen: screen.clone(),
    };
    (
        ConsoleBackend::new(Box::new(output), ConsoleConfig::default()),
        screen,
    )
}

fn one_log(message: &str) -> Batch {
    Batch {
        run: run(),
        events: vec![logs(0, LogLevel::Info, message)],
    }
}

#[test]
fn a_stream_that_fails_is_reported_and_tried_again() {
    let (mut console, screen) = failing(&[io::ErrorKind::StorageFull]);
    let error = console.export(&one_log("one")).unwrap_err();
    assert_eq!(error.to_string(), "the console could not be written");
    console.export(&one_log("two")).unwrap();
    assert_eq!(screen.text(), "[INFO] two\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let (mut console, screen) = failing(&[io::ErrorKind::BrokenPipe]);
    console.export(&one_log("one")).unwrap();
    console.export(&one_log("two")).unwrap();
    console.finish(&ending()).unwrap();
    assert_eq!(screen.text(), "");
}

#[test]
fn what_was_lost_and_what_was_not_placed_is_said() {
    let screen = Screen::default();
    let mut console = ConsoleBackend::new(Box::new(screen.clone()), ConsoleConfig::default());
    let events = (0..OPEN_MAX as u64 + 3)
        .map(|number| starts(&node(number + 1, 0, "x", "n")))
        .collect();
    console.export(&Batch { run: run(), events }).unwrap();
    let mut ending = ending();
    ending.dropped.journal_full = 7;
    console.finish(&ending).unwrap();
    let text = screen.text();
    assert!(
        text.contains("- 7 records of telemetry were dropped\n"),
        "dropped"
    );
    assert!(text.ends_with("stand at their place: 3 do not\n"), "unplaced");
}
