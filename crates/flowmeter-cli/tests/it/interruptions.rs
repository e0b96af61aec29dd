//! Ctrl-C, SIGTERM and kill -9 in the middle of a run, and what can be seen of it afterwards.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::Sandbox;

/// A node that ends, and one that says that it has begun and goes on for as long as the sandbox is there: what
/// a killed run leaves behind ends with the test.
fn endless(sandbox: &Sandbox) -> String {
    let document = json!({
        "nodes": [
            {"id": "quick", "type": "echo", "params": {"message": "done"}},
            {"id": "slow", "type": "shell", "params": {"command": "touch begun; while [ -e begun ]; do sleep 0.1; done", "timeout": 900}}
        ],
        "edges": [{"from": "quick", "to": "slow"}]
    });
    sandbox.workflow("endless.json", &document)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} takes too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn started(sandbox: &Sandbox, args: &[&str]) -> Child {
    let workflow = endless(sandbox);
    let mut all = vec!["run", &workflow];
    all.extend(args);
    let child = sandbox.command(&all).stdin(Stdio::null()).spawn().unwrap();
    wait_until("the slow node", || sandbox.path("begun").exists());
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn read(stream: Option<impl Read>) -> String {
    let mut text = String::new();
    stream.unwrap().read_to_string(&mut text).unwrap();
    text
}

fn is_stopped_by(signal: Signal, name: &str) {
    let sandbox = Sandbox::new();
    let mut child = started(&sandbox, &["--output-format", "json"]);
    send(&child, signal);
    let began = Instant::now();
    let status = child.wait().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(status.code(), Some(130));
    let printed: Value = serde_json::from_str(&read(child.stdout.take())).unwrap();
    assert_eq!(printed["status"], "interrupted");
    assert_eq!(printed["error"]["message"], format!("interrupted by {name}"));
    assert_eq!(
        printed["metrics"]["workflow"]["node_timings"]
            .as_object()
            .map(|timings| timings.contains_key("quick")),
        Some(true)
    );
    let trace = sandbox.traces().remove(0);
    assert_eq!(printed["trace_file"], json!(trace));
    let shown = sandbox.run(&["show", "last"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(
        shown.out.contains("✗ cancelled") && shown.out.contains("← node.echo"),
        "{}",
        shown.out
    );
    assert!(!shown.out.contains("did not finish"), "{}", shown.out);
}

#[test]
fn ctrl_c_flushes_and_leaves_with_130() {
    is_stopped_by(Signal::INT, "Ctrl-C");
}

#[test]
fn sigterm_flushes_and_leaves_with_130() {
    is_stopped_by(Signal::TERM, "SIGTERM");
}

#[test]
fn text_mode_prints_the_metrics_so_far() {
    let sandbox = Sandbox::new();
    let mut child = started(&sandbox, &[]);
    send(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let err = read(child.stderr.take());
    assert!(
        err.contains("interrupted by Ctrl-C") && err.contains("✗ endless interrupted: "),
        "{err}"
    );
    assert!(err.contains("trace: "), "{err}");
    assert_eq!(read(child.stdout.take()), "");
}

/// Waits for the end, which may take no longer than a moment.
fn ends_at_once_with_130(child: &mut Child) {
    let began = Instant::now();
    wait_until("the end", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn twice_ends_a_run_whose_trace_cannot_be_written_up() {
    let sandbox = Sandbox::new();
    // A terminal that nobody reads from takes a few kilobytes and then holds up whoever writes.
    let mut terminal = Command::new("python3")
        .args(["-c", UNREAD_TERMINAL])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut name = String::new();
    BufReader::new(terminal.stdout.take().unwrap())
        .read_line(&mut name)
        .unwrap();
    let document = json!({
        "nodes": [
            {"id": "long", "type": "shell", "params": {"command": "yes word | head -c 3000000"}},
            {"id": "slow", "type": "shell", "params": {"command": "touch begun; while [ -e begun ]; do sleep 0.1; done", "timeout": 900}}
        ],
        "edges": [{"from": "long", "to": "slow"}]
    });
    let workflow = sandbox.workflow("long.json", &document);
    let args = ["run", &workflow, "--capture", "full", "--trace-file", name.trim()];
    let mut child = sandbox.command(&args).stdin(Stdio::null()).spawn().unwrap();
    wait_until("the slow node", || sandbox.path("begun").exists());
    send(&child, Signal::INT);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.contains("Ctrl-C: stopping"), "{line}");
    // Long enough for a run that nothing holds up.
    std::thread::sleep(Duration::from_millis(700));
    assert!(child.try_wait().unwrap().is_none(), "the trace was written");
    send(&child, Signal::INT);
    ends_at_once_with_130(&mut child);
    drop(terminal.stdin.take());
    terminal.wait().unwrap();
}

const UNREAD_TERMINAL: &str = r"
import os, pty, sys, tty
master, slave = pty.openpty()
tty.setraw(slave)
print(os.ttyname(slave), flush=True)
sys.stdin.read()
";

#[test]
fn twice_ends_a_run_whose_result_nobody_reads() {
    let sandbox = Sandbox::new();
    let document =
        json!({"nodes": [{"id": "a", "type": "echo", "params": {"message": "word ".repeat(200_000)}}]});
    let workflow = sandbox.workflow("long.json", &document);
    let mut child = sandbox.command(&["run", &workflow]).spawn().unwrap();
    let mut first = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    send(&child, Signal::TERM);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.contains("SIGTERM: the run is over"), "{line}");
    send(&child, Signal::TERM);
    ends_at_once_with_130(&mut child);
}

fn flushed(trace: &Path, what: &str) -> bool {
    std::fs::read_to_string(trace).is_ok_and(|text| text.contains(what))
}

#[test]
fn after_kill_9_the_trace_shows_what_had_ended() {
    let sandbox = Sandbox::new();
    let mut child = started(&sandbox, &[]);
    let trace = sandbox.traces().remove(0);
    wait_until("the flush", || {
        flushed(&trace, "node.echo") && flushed(&trace, "\"open\"")
    });
    // The history has it a moment later than the file, at most 200 ms after it happened.
    wait_until("the history", || {
        let shown = sandbox.run(&["show", "last", "--format", "json"]);
        shown.code == 0 && shown.json()["metrics"]["node_count"] == 1
    });
    let going_on = sandbox.run(&["show", "last"]);
    assert!(
        going_on
            .err
            .contains(&format!("still going on, in process {}", child.id())),
        "{}",
        going_on.err
    );
    send(&child, Signal::KILL);
    child.wait().unwrap();

    let shown = sandbox.run(&["show", &trace.display().to_string()]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(
        shown.out.contains("← node.echo (") && shown.out.contains("✓"),
        "{}",
        shown.out
    );
    assert!(shown.out.contains("← node.shell (not finished)"), "{}", shown.out);
    assert!(shown.out.contains("This run has not ended here"), "{}", shown.out);
    let printed = sandbox.run(&["show", "last", "--format", "json"]);
    assert_eq!(
        (printed.code, &printed.json()["status"]),
        (0, &json!("unfinished"))
    );
    assert_eq!(printed.json()["metrics"]["node_count"], 1);
    let text = std::fs::read_to_string(&trace).unwrap();
    assert!(text.starts_with("{\"format\":\"flowmeter.trace/1\""), "{text}");
}
