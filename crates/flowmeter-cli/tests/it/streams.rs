//! Standard input, closed pipes, colour and the progress line.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Sandbox, ended};

fn echo(message: &str) -> Value {
    json!({"nodes": [{"id": "a", "type": "echo", "params": {"message": message}}]})
}

fn piped(sandbox: &Sandbox, workflow: &str, text: &str, args: &[&str]) -> (i32, String, String) {
    let mut all = vec!["run", workflow];
    all.extend(args);
    let mut child = sandbox.command(&all).stdin(Stdio::piped()).spawn().unwrap();
    // The workflow may not read it at all.
    let _unread = child.stdin.take().unwrap().write_all(text.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn standard_input_goes_to_the_input_that_wants_it() {
    let sandbox = Sandbox::new();
    let mut document = echo("[${text}]");
    document["inputs"] = json!({"text": {"type": "string", "stdin": true}});
    let workflow = sandbox.workflow("stdin.json", &document);
    assert_eq!(piped(&sandbox, &workflow, "a\nb\n", &[]).1, "[a\nb]\n");
    assert_eq!(
        piped(&sandbox, &workflow, "ignored", &["text=given"]).1,
        "[given]\n"
    );
    assert_eq!(piped(&sandbox, &workflow, "", &[]).1, "[]\n");
    let missing = sandbox.run(&["run", &workflow]);
    assert_eq!(missing.code, 2, "{missing:?}");
}

#[test]
fn piping_into_a_workflow_that_takes_nothing_is_an_error() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow("plain.json", &echo("hi"));
    let (code, out, err) = piped(&sandbox, &workflow, "text", &[]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("no input takes standard input"), "{err}");
    assert_eq!(piped(&sandbox, &workflow, "", &[]).1, "hi\n");
    let text = std::fs::File::open(sandbox.file("text.txt", "text")).unwrap();
    let mut command = sandbox.command(&["run", &workflow]);
    command.stdin(text);
    assert_eq!(ended(command).code, 2);
    let empty = std::fs::File::open(sandbox.file("empty.txt", "")).unwrap();
    let mut command = sandbox.command(&["run", &workflow]);
    command.stdin(empty);
    assert_eq!(ended(command).code, 0);
}

#[test]
fn an_open_pipe_that_nobody_writes_to_does_not_hold_a_run_up() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow("plain.json", &echo("hi"));
    let mut child = sandbox
        .command(&["run", &workflow])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let open = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hi\n");
    drop(open);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow("long.json", &echo(&"a line of text\n".repeat(100_000)));
    for args in [
        vec!["run", &workflow],
        vec!["run", &workflow, "--output-format", "json"],
        vec!["schema"],
        vec!["--help"],
    ] {
        let mut child = sandbox.command(&args).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow("plain.json", &echo("hi"));
    let mut command = sandbox.command(&["run", &workflow, "--trace-file", "t.json"]);
    command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let ended = ended(command);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.err.contains("the result could not be written"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("trace: t.json"), "{}", ended.err);
    for args in [
        vec!["run", &workflow],
        vec!["schema"],
        vec!["nodes"],
        vec!["--help"],
    ] {
        let mut command = sandbox.command(&args);
        command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let ended = super::support::ended(command);
        assert_eq!(ended.code, 1, "{args:?}: {ended:?}");
        assert!(
            ended.err.contains("standard output cannot be written: "),
            "{args:?}: {}",
            ended.err
        );
    }
}

#[test]
fn colour_is_for_terminals_and_for_who_insists() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow("plain.json", &echo("hi"));
    assert!(!sandbox.run(&["run", &workflow, "--trace"]).err.contains('\u{1b}'));
    let forced = Sandbox::new().with("CLICOLOR_FORCE", "1");
    assert!(forced.run(&["run", &workflow, "--trace"]).err.contains('\u{1b}'));
    let refused = Sandbox::new().with("CLICOLOR_FORCE", "1").with("NO_COLOR", "1");
    assert!(!refused.run(&["run", &workflow, "--trace"]).err.contains('\u{1b}'));
}

/// Runs the binary with standard error on a terminal and prints what came there.
const ON_A_TERMINAL: &str = r"
import os, pty, subprocess, sys
master, slave = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave)
os.close(slave)
text = b''
while True:
    try:
        piece = os.read(master, 65536)
    except OSError:
        break
    if not piece:
        break
    text += piece
child.wait()
sys.stdout.buffer.write(text)
";

fn on_a_terminal(sandbox: &Sandbox, args: &[&str]) -> String {
    let binary = sandbox.command(args);
    let mut command = std::process::Command::new("python3");
    command
        .args(["-c", ON_A_TERMINAL])
        .arg(binary.get_program())
        .args(binary.get_args());
    command
        .env("FLOWMETER_HOME", sandbox.home())
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR");
    ended(command).out
}

#[test]
fn progress_is_shown_on_a_terminal_and_taken_away() {
    let sandbox = Sandbox::new();
    let sleeps = json!({"nodes": [{"id": "nap", "type": "shell", "params": {"command": "sleep 0.2"},
        "batch": {"items": [1, 2, 3, 4, 5]}}]});
    let slow = sandbox.workflow("slow.json", &sleeps);
    let shown = on_a_terminal(&sandbox, &["run", &slow]);
    assert!(shown.contains("nap · batch 2/5 · "), "{shown:?}");
    let summary = shown.rfind("slow: ").expect("the summary");
    assert!(
        shown[..summary]
            .rfind("\u{1b}[2K")
            .is_some_and(|cleared| !shown[cleared..summary].contains("nap")),
        "{shown:?}"
    );
    for args in [vec!["run", &slow, "--quiet"], vec!["run", &slow, "--no-progress"]] {
        assert!(!on_a_terminal(&sandbox, &args).contains("nap"));
    }
    let quick = sandbox.workflow("quick.json", &echo("hi"));
    assert!(
        !on_a_terminal(&sandbox, &["run", &quick]).contains("\u{1b}[2K"),
        "a short run flashes nothing"
    );
}
