//! Unit tests of the live stream: targets, sockets that come and go, servers that refuse.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver as Inbox, channel};
use std::thread::JoinHandle;

use flowmeter_model::{LogLevel, LogRecord, SpanStatus, TelemetryEvent, TimestampNs, TraceId};
use parking_lot::Mutex;

use super::*;
use crate::metrics::RunMetrics;

fn run() -> Arc<RunIdentity> {
    Arc::new(RunIdentity {
        trace_id: TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736").unwrap(),
        root_span_id: None,
        parent_span_id: None,
        workflow: "w".into(),
        started: TimestampNs(1),
        trace_state: String::new(),
        sampled: true,
        resource: flowmeter_model::Attributes::new(),
    })
}

/// Logs with these numbers.
fn batch(numbers: std::ops::Range<u64>) -> Batch {
    let run = run();
    let events = numbers.map(|number| {
        let log = LogRecord {
            time: TimestampNs(number),
            level: LogLevel::Info,
            message: format!("message {number}"),
            target: None,
            span_id: None,
            attributes: flowmeter_model::Attributes::new(),
        };
        TelemetryEvent::Log(run.trace_id, Box::new(log))
    });
    Batch {
        events: events.collect(),
        run: Arc::clone(&run),
    }
}

fn ending() -> RunEnding {
    RunEnding {
        status: SpanStatus::Ok,
        error: None,
        ended: TimestampNs(2),
        metrics: RunMetrics::default().into(),
        sampled: true,
        dropped: crate::recorder::DropCounts::default(),
    }
}

fn impatient() -> StreamConfig {
    StreamConfig {
        pause_min: Duration::ZERO,
        pause_max: Duration::from_millis(5),
        ..StreamConfig::default()
    }
}

fn stream(target: &str, config: StreamConfig) -> StreamBackend {
    let target = StreamTarget::parse(target).unwrap();
    let mut stream =
        StreamBackend::new(&target, config, || panic!("nothing goes to standard output")).unwrap();
    stream.begin(&run(), &Deadline::default()).unwrap();
    stream
}

/// The numbers of the logs in these lines.
fn numbers(lines: &[String]) -> Vec<u64> {
    lines
        .iter()
        .map(|line| match crate::events::read_event(line).unwrap() {
            Some((_, TelemetryEvent::Log(_, log))) => log.time.0,
            other => panic!("{line} is no log: {other:?}"),
        })
        .collect()
}

fn set(deadline: &Deadline, time: Duration) {
    deadline.set(Instant::now() + time);
}

#[test]
fn targets_are_read_and_named_without_their_secrets() {
    let parse = |text| StreamTarget::parse(text).unwrap();
    assert_eq!(parse("-"), StreamTarget::StandardOutput);
    assert_eq!(parse("a/b.jsonl"), StreamTarget::File("a/b.jsonl".into()));
    assert_eq!(
        parse("unix:/run/x.sock"),
        StreamTarget::Unix("/run/x.sock".into())
    );
    assert_eq!(
        parse("unix:///run/x.sock"),
        StreamTarget::Unix("/run/x.sock".into())
    );
    let server = parse("http://user:secret@localhost:8080/events?key=secret");
    assert_eq!(server.to_string(), "http://localhost:8080/events");
    for (text, wrong) in [
        ("", "needs a target"),
        ("  ", "needs a target"),
        ("unix:", "needs the path"),
        ("ftp://u:secret@host/x", "`ftp://…@host/x` is no target"),
        ("http://", "is no address"),
    ] {
        let error = StreamTarget::parse(text).unwrap_err().to_string();
        assert!(
            error.contains(wrong) && !error.contains("secret"),
            "{text}: {error}"
        );
    }
}

/// A writer that others can look at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_happens_is_in_the_writer_at_once() {
    let shared = Shared::default();
    let theirs = shared.clone();
    let mut stream = StreamBackend::new(&StreamTarget::StandardOutput, impatient(), move || {
        Box::new(theirs)
    })
    .unwrap();
    stream.begin(&run(), &Deadline::default()).unwrap();
    stream.export(&batch(0..3)).unwrap();
    let text = String::from_utf8(shared.0.lock().clone()).unwrap();
    assert_eq!(
        numbers(&text.lines().map(str::to_owned).collect::<Vec<_>>()),
        [0, 1, 2]
    );
}

#[test]
fn a_reader_that_has_gone_away_is_no_failure() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut stream =
        StreamBackend::new(&StreamTarget::StandardOutput, impatient(), || Box::new(Gone)).unwrap();
    stream.export(&batch(0..3)).unwrap();
    stream.export(&batch(3..6)).unwrap();
    stream.finish(&ending()).unwrap();
}

#[test]
fn lines_are_appended_to_a_file_and_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    std::fs::write(&path, "{\"type\":\"custom\",\"name\":\"before\"}\n").unwrap();
    let mut stream = stream(path.to_str().unwrap(), impatient());
    stream.export(&batch(0..2)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    assert_eq!(numbers(&lines), [0, 1], "also before the run has ended");
}

/// Listens once and hands out the lines that come, up to this many.
fn listen(path: &std::path::Path, count: usize) -> JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        BufReader::new(connection)
            .lines()
            .take(count)
            .map(Result::unwrap)
            .collect()
    })
}

#[test]
fn a_socket_gets_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = listen(&path, 2_000);
    let mut stream = stream(&format!("unix:{}", path.display()), impatient());
    stream.export(&batch(0..1_000)).unwrap();
    stream.export(&batch(1_000..2_000)).unwrap();
    set(&stream.deadline, Duration::from_secs(20));
    stream.finish(&ending()).unwrap();
    assert_eq!(numbers(&listener.join().unwrap()), (0..2_000).collect::<Vec<_>>());
}

#[test]
fn a_listener_that_comes_back_gets_what_waited() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut stream = stream(&format!("unix:{}", path.display()), impatient());
    let error = stream.export(&batch(0..3)).unwrap_err().to_string();
    assert!(error.contains("cannot be written to"), "{error}");
    let first = listen(&path, 2);
    while stream.flush().is_err() {}
    assert_eq!(numbers(&first.join().unwrap()), [0, 1]);
    std::fs::remove_file(&path).unwrap();
    // The first listener has gone; its socket says so sooner or later.
    while stream.export(&batch(3..4)).is_ok() {}
    let second = listen(&path, 1);
    set(&stream.deadline, Duration::from_secs(20));
    stream.finish(&ending()).unwrap();
    assert_eq!(
        numbers(&second.join().unwrap()),
        [3],
        "a line comes whole, or not at all"
    );
}

#[test]
fn what_finds_no_room_is_counted_and_told() {
    let config = StreamConfig {
        waiting_bytes_max: 1_000,
        ..impatient()
    };
    let mut stream = stream("unix:/nowhere/at/all", config);
    let _refused = stream.export(&batch(0..100));
    set(&stream.deadline, Duration::ZERO);
    let error = stream.finish(&ending()).unwrap_err().to_string();
    assert!(
        error.contains("events could not be streamed in time, and"),
        "{error}"
    );
    let counts: Vec<u64> = error.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert_eq!(counts.iter().sum::<u64>(), 100, "{error}");
}

/// A server that answers each request with the next of these, and hands out what it got.
fn serve(answers: Vec<&'static str>) -> (String, Inbox<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/events", listener.local_addr().unwrap());
    let (sender, inbox) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (connection, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(connection);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            sender.send((head, String::from_utf8(body).unwrap())).unwrap();
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            reader.into_inner().write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, inbox)
}

#[test]
fn a_server_gets_lines_and_may_ask_for_patience() {
    let (address, inbox) = serve(vec![
        "200 OK",
        "503 Service Unavailable\r\nretry-after: 0",
        "204 No Content",
    ]);
    let mut stream = stream(&address, impatient());
    stream.export(&batch(0..2)).unwrap();
    let (head, body) = inbox.recv().unwrap();
    assert!(head.starts_with("POST /events HTTP/1.1\r\n"), "{head}");
    assert!(
        head.to_ascii_lowercase()
            .contains("content-type: application/x-ndjson\r\n"),
        "{head}"
    );
    assert_eq!(
        numbers(&body.lines().map(str::to_owned).collect::<Vec<_>>()),
        [0, 1]
    );
    let error = stream.export(&batch(2..3)).unwrap_err().to_string();
    assert!(error.contains("503"), "{error}");
    set(&stream.deadline, Duration::from_secs(20));
    stream.finish(&ending()).unwrap();
    let again: Vec<String> = inbox.iter().map(|(_, body)| body).collect();
    assert_eq!(again.len(), 2);
    assert_eq!(again[0], again[1], "the same lines came again");
}

#[test]
fn what_a_server_refuses_for_good_is_not_sent_again() {
    let (address, inbox) = serve(vec!["400 Bad Request", "200 OK"]);
    let mut stream = stream(&address, impatient());
    assert!(stream.export(&batch(0..1)).is_err());
    std::thread::yield_now();
    while stream.export(&batch(1..2)).is_err() {}
    set(&stream.deadline, Duration::from_secs(20));
    let error = stream.finish(&ending()).unwrap_err().to_string();
    assert!(
        error.contains("1 events found no room") || error.contains("missing"),
        "{error}"
    );
    let bodies: Vec<String> = inbox.iter().map(|(_, body)| body).collect();
    assert!(bodies[0].contains("message 0") && !bodies[1].contains("message 0"));
}

#[test]
fn a_server_that_hangs_does_not_hold_the_end_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let mut stream = stream(&address, impatient());
    set(&stream.deadline, Duration::from_millis(50));
    let began = Instant::now();
    let _late = stream.export(&batch(0..1));
    let error = stream.finish(&ending()).unwrap_err().to_string();
    assert!(
        error.contains("1 events could not be streamed in time"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn lines_wait_whole_and_in_order() {
    arbtest::arbtest(|u| {
        let mut waiting = WaitingLines::new(200);
        let (mut expected, mut arrived) = (Vec::new(), Vec::new());
        for number in 0..u.int_in_range(0..=60)? {
            let before = waiting.dropped();
            let line = format!("line {number}\n");
            waiting.push(|bytes| bytes.write_all(line.as_bytes())).unwrap();
            if waiting.dropped() == before {
                expected.extend_from_slice(line.as_bytes());
            }
            if u.arbitrary()? {
                let some = waiting.some_lines(u.int_in_range(1..=50)?).to_vec();
                let take = u.int_in_range(0..=some.len())?;
                let part = waiting.arrived(take);
                assert!(part <= take);
                arrived.extend_from_slice(&some[..take - part]);
            }
        }
        arrived.extend_from_slice(waiting.bytes());
        assert_eq!(
            String::from_utf8(arrived).unwrap(),
            String::from_utf8(expected).unwrap()
        );
        Ok(())
    });
}
