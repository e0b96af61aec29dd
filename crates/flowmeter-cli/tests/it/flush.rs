//! `flowmeter flush`: what a run could not send is kept, listed, and sent when somebody listens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use serde_json::json;

use crate::support::{Ended, Sandbox};

/// What one connection of the receiver brought: the path and the headers, in small letters.
struct Request {
    path: String,
    headers: String,
}

/// Takes so many requests, one connection each, and gives them all this answer.
fn receive(listener: TcpListener, count: usize, status: &'static str) -> JoinHandle<Vec<Request>> {
    std::thread::spawn(move || {
        let mut requests = Vec::new();
        for _ in 0..count {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let path = first.split(' ').nth(1).unwrap().to_owned();
            let (mut headers, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim_end().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
                headers.push_str(&line);
                headers.push('\n');
            }
            let mut content = vec![0; length];
            reader.read_exact(&mut content).unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            reader.into_inner().write_all(answer.as_bytes()).unwrap();
            requests.push(Request { path, headers });
        }
        requests
    })
}

/// A run whose spans nobody takes, and the address that they were for.
fn unsent() -> (Sandbox, std::net::SocketAddr, Ended) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let sandbox = Sandbox::new()
        .with(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            &format!("http://{address}/v1/traces"),
        )
        .with("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=Bearer hush")
        .with("OTEL_METRICS_EXPORTER", "none")
        .with("OTEL_LOGS_EXPORTER", "none")
        .with("FLOWMETER_EXPORT_EXIT_TIMEOUT", "1s");
    let workflow = json!({
        "ir_version": "0.1.0",
        "nodes": [{"id": "say", "type": "shell", "params": {"command": "echo hello"}}],
        "edges": [],
    });
    let file = sandbox.workflow("hello.json", &workflow);
    let run = sandbox.run(&["run", &file]);
    (sandbox, address, run)
}

#[test]
fn what_nobody_took_waits_until_somebody_does() {
    let (sandbox, address, run) = unsent();
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.err.contains("wait for `flowmeter flush`"), "{run:?}");

    let listed = sandbox.run(&["flush", "--list"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(listed.out.contains(" spans, "), "{listed:?}");
    assert!(
        listed
            .out
            .contains(&format!("for otlp (http://{address}/v1/traces)")),
        "{listed:?}"
    );
    let listed = sandbox.run(&["flush", "--list", "--format", "json"]).json();
    assert_eq!(listed[0]["signal"], "traces");

    let left = sandbox.run(&["flush", "--timeout", "300ms"]);
    assert_eq!(left.code, 4, "{left:?}");
    assert!(
        left.out.starts_with("left: ") && left.out.contains("onnection refused"),
        "{left:?}"
    );

    let receiver = receive(TcpListener::bind(address).unwrap(), 1, "200 OK");
    let sent = sandbox.run(&["flush"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(
        sent.out.starts_with("sent: ") && sent.out.contains("spans in 1 request for otlp"),
        "{sent:?}"
    );
    let requests = receiver.join().unwrap();
    assert_eq!(requests[0].path, "/v1/traces");
    assert!(
        requests[0].headers.contains("authorization: bearer hush"),
        "{}",
        requests[0].headers
    );

    let again = sandbox.run(&["flush"]);
    assert_eq!(
        (again.code, again.out.as_str()),
        (0, "nothing waits to be sent\n")
    );
}

#[test]
fn no_file_of_the_home_holds_the_key() {
    let (sandbox, _, _) = unsent();
    let spooled: Vec<_> = sandbox
        .all_files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "otlp"))
        .collect();
    assert_eq!(spooled.len(), 1);
    for path in sandbox.all_files() {
        let content = std::fs::read(&path).unwrap();
        assert!(
            !content.windows(4).any(|window| window == b"hush"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn what_a_receiver_will_never_take_goes_and_is_told() {
    let (sandbox, address, _) = unsent();
    let receiver = receive(TcpListener::bind(address).unwrap(), 1, "400 Bad Request");
    let gone = sandbox.run(&["flush"]);
    receiver.join().unwrap();
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(
        gone.out.starts_with("gone: ") && gone.out.contains("400 Bad Request"),
        "{gone:?}"
    );
    assert_eq!(sandbox.run(&["flush"]).out, "nothing waits to be sent\n");
}

#[test]
fn a_timeout_that_is_none_is_bad_usage() {
    let bad = Sandbox::new().run(&["flush", "--timeout", "soon"]);
    assert_eq!(bad.code, 2, "{bad:?}");
    assert!(bad.err.contains("soon"), "{bad:?}");
}
