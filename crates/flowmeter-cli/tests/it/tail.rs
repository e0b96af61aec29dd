//! `flowmeter tail`: a run is followed to its end, whatever that is, on a terminal and elsewhere.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Ended, Sandbox, ended};

/// A run that says something and goes on until it is let go.
struct Going {
    child: Child,
    held: PathBuf,
}

impl Going {
    /// Starts it and waits until it is well under way.
    fn start(sandbox: &Sandbox, last: &str, args: &[&str]) -> Self {
        let held = sandbox.path("held");
        std::fs::write(&held, "").unwrap();
        let document = json!({
            "nodes": [
                {"id": "quick", "type": "echo", "params": {"message": "done"}},
                {"id": "slow", "type": "shell",
                 "params": {"command": format!("touch begun; while [ -e held ]; do sleep 0.02; done; {last}")}}
            ],
            "edges": [{"from": "quick", "to": "slow"}]
        });
        let workflow = sandbox.workflow("going.json", &document);
        let mut all = vec!["run", &workflow];
        all.extend(args);
        let child = sandbox.command(&all).spawn().unwrap();
        wait_until("the slow node", || sandbox.path("begun").exists());
        Self { child, held }
    }

    /// Lets it come to its end.
    fn let_go(&mut self) {
        std::fs::remove_file(&self.held).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.held);
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} takes too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `tail`, and what it has printed up to now.
struct Tail {
    child: Child,
    lines: BufReader<ChildStdout>,
    read: String,
}

impl Tail {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut all = vec!["tail"];
        all.extend(args);
        let mut child = sandbox.command(&all).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            lines,
            read: String::new(),
        }
    }

    /// Reads up to a line that holds this.
    fn up_to(&mut self, wanted: &str) {
        loop {
            let from = self.read.len();
            let count = self.lines.read_line(&mut self.read).unwrap();
            assert!(count > 0, "no `{wanted}` in: {}", self.read);
            if self.read[from..].contains(wanted) {
                return;
            }
        }
    }

    fn ended(mut self) -> Ended {
        self.lines.read_to_string(&mut self.read).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            out: self.read,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The text without what differs from run to run.
fn steady(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        if let Some(at) = line.find("Workflow Trace: ") {
            line.truncate(at + 16);
        }
        if let Some(at) = line.find("→ workflow.start [") {
            line.truncate(at + "→ workflow.start".len());
        }
        if line.starts_with("- Total Duration:") {
            line.truncate("- Total Duration:".len());
        }
        while let Some(from) = line.find(" (") {
            let Some(length) = line[from..].find("s)") else {
                break;
            };
            line.replace_range(from..from + length + 2, "");
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[test]
fn a_run_is_followed_to_its_end_line_by_line() {
    let sandbox = Sandbox::new();
    let mut going = Going::start(&sandbox, "true", &["--trace"]);
    let mut tail = Tail::start(&sandbox, &[]);
    tail.up_to("→ node.shell [slow]");
    assert!(!tail.read.contains("← node.shell"), "{}", tail.read);
    going.let_go();
    let followed = tail.ended();
    assert_eq!((followed.code, followed.err.as_str()), (0, ""));
    let text = steady(&followed.out);
    expect_test::expect![[r"
        Workflow Trace: 
        → workflow.start
          → node.echo [quick]
          ← node.echo ✓
          → node.shell [slow]
            [INFO] Running command: touch begun; while [ -e held ]; do sleep 0.02; done; true
            [DEBUG] Exit code: 0
          ← node.shell ✓
        ← workflow.end

        Summary:
        - Total Duration:
        - Nodes Executed: 2
        - Success Rate: 100%"]]
    .assert_eq(&text);
    // Nothing ran side by side: the lines are those of the whole tree.
    assert_eq!(steady(&sandbox.run(&["show", "last"]).out), text);
    assert_eq!(steady(&sandbox.run(&["tail", "last"]).out), text);
}

#[test]
fn a_run_whose_trace_is_not_kept_is_seen_to_end() {
    let sandbox = Sandbox::new();
    let mut going = Going::start(&sandbox, "true", &[]);
    let mut tail = Tail::start(&sandbox, &[]);
    tail.up_to("→ node.shell [slow]");
    going.let_go();
    let followed = tail.ended();
    assert_eq!(followed.code, 0);
    assert!(followed.out.contains("← workflow.end ("), "{}", followed.out);
    assert!(
        followed.out.contains("- Nodes Executed: 2\n- Success Rate: 100%"),
        "{}",
        followed.out
    );
    assert!(!followed.out.contains("did not finish"), "{}", followed.out);
    assert!(
        followed
            .err
            .contains("the run ended well, and its trace is not kept"),
        "{}",
        followed.err
    );
    assert!(sandbox.traces().is_empty());
}

#[test]
fn a_run_that_fails_is_no_failure_of_who_looks_on() {
    let sandbox = Sandbox::new();
    let mut going = Going::start(&sandbox, "echo oops >&2; false", &[]);
    let id = sandbox.traces()[0]
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .rsplit_once('-')
        .unwrap()
        .1[..8]
        .to_owned();
    let mut tail = Tail::start(&sandbox, &[&id]);
    tail.up_to("→ node.shell [slow]");
    going.let_go();
    let followed = tail.ended();
    assert_eq!(followed.code, 0, "{followed:?}");
    assert!(
        followed
            .out
            .contains("error: the command ended with exit code 1: oops"),
        "{}",
        followed.out
    );
    assert!(followed.out.contains("← workflow.end ("), "{}", followed.out);
}

#[test]
fn a_process_that_was_killed_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let mut going = Going::start(&sandbox, "true", &[]);
    let mut tail = Tail::start(&sandbox, &[]);
    tail.up_to("→ node.shell [slow]");
    kill_process(Pid::from_child(&going.child), Signal::KILL).unwrap();
    going.child.wait().unwrap();
    let followed = tail.ended();
    assert_eq!(followed.code, 0);
    assert!(
        followed.out.contains("This run has not ended here"),
        "{}",
        followed.out
    );
    let gone = format!("process {} is gone", going.child.id());
    assert!(followed.err.contains(&gone), "{}", followed.err);
    // It is not taken for a run that goes on later either, also when its number is somebody else's by then.
    let path = sandbox.traces().remove(0);
    let text = std::fs::read_to_string(&path).unwrap();
    let own = format!("\"pid\":{}", std::process::id());
    std::fs::write(
        &path,
        text.replacen(&format!("\"pid\":{}", going.child.id()), &own, 1),
    )
    .unwrap();
    let again = sandbox.run(&["tail", &path.display().to_string()]);
    assert_eq!(again.code, 0);
    assert!(again.out.contains("This run has not ended here"), "{}", again.out);
}

#[test]
fn who_comes_first_waits_for_a_run_to_begin() {
    let sandbox = Sandbox::new();
    let mut tail = Tail::start(&sandbox, &[]);
    let mut err = BufReader::new(tail.child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(
        line.contains("no run is going on; waiting for one to begin"),
        "{line}"
    );
    let mut going = Going::start(&sandbox, "true", &["--trace"]);
    tail.up_to("→ node.shell [slow]");
    going.let_go();
    let followed = tail.ended();
    assert_eq!(followed.code, 0);
    assert!(followed.out.contains("← workflow.end ("), "{}", followed.out);
}

#[test]
fn ctrl_c_leaves_the_run_alone() {
    let sandbox = Sandbox::new();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut going = Going::start(&sandbox, "true", &["--trace"]);
        let mut tail = Tail::start(&sandbox, &[]);
        tail.up_to("→ node.shell [slow]");
        kill_process(Pid::from_child(&tail.child), signal).unwrap();
        let left = tail.ended();
        assert_eq!(left.code, 130);
        assert!(left.out.ends_with('\n'), "{}", left.out);
        assert!(
            left.err.contains("the run goes on; `flowmeter tail "),
            "{}",
            left.err
        );
        assert!(going.child.try_wait().unwrap().is_none());
        going.let_go();
        std::fs::remove_file(sandbox.path("begun")).unwrap();
    }
    // Nothing goes on: who waits can leave, too.
    let waiting = Tail::start(&sandbox, &[]);
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&waiting.child), Signal::INT).unwrap();
    assert_eq!(waiting.ended().code, 130);
}

#[test]
fn a_look_does_not_wait() {
    let sandbox = Sandbox::new();
    let nothing = sandbox.run(&["tail", "--no-follow"]);
    assert_eq!(nothing.code, 4, "{nothing:?}");
    let mut going = Going::start(&sandbox, "true", &["--trace-file", "here.json"]);
    wait_until("the first flush", || {
        std::fs::read_to_string(sandbox.path("here.json")).is_ok_and(|text| text.contains("\"open\""))
    });
    let now = sandbox.run(&["tail", "here.json", "--no-follow"]);
    assert_eq!(now.code, 0);
    assert!(now.out.contains("← node.shell (not finished)"), "{}", now.out);
    let note = format!("still going on, in process {}", going.child.id());
    assert!(now.err.contains(&note), "{}", now.err);
    going.let_go();
    let then = sandbox.run(&["tail", "here.json", "--no-follow"]);
    assert!(
        then.out.contains("← workflow.end (") && then.err.is_empty(),
        "{then:?}"
    );
}

#[test]
fn what_is_no_trace_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.file("text.json", "hello");
    for (name, code) in [
        ("text.json", 2),
        ("nothing.json", 4),
        ("abcdef12", 4),
        ("", 2),
        ("last", 4),
    ] {
        let ended = sandbox.run(&["tail", name]);
        assert_eq!((ended.code, ended.out.as_str()), (code, ""), "{name}: {ended:?}");
        assert!(ended.err.starts_with("error: "), "{}", ended.err);
    }
}

fn types(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["type"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn events_are_lines_of_json_in_their_order() {
    let sandbox = Sandbox::new();
    let mut going = Going::start(&sandbox, "true", &["--trace"]);
    let mut tail = Tail::start(&sandbox, &["--events"]);
    tail.up_to("\"slow\"");
    going.let_go();
    let followed = tail.ended();
    assert_eq!((followed.code, followed.err.as_str()), (0, ""));
    let expected = [
        "workflow_start",
        "node_start",
        "node_end",
        "node_start",
        "log",
        "log",
        "node_end",
        "workflow_end",
    ];
    assert_eq!(types(&followed.out), expected);
    assert_eq!(types(&sandbox.run(&["tail", "last", "--events"]).out), expected);
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let sandbox = Sandbox::new();
    for args in [&["--events"][..], &[]] {
        let going = Going::start(&sandbox, "true", &[]);
        let mut all = vec!["tail"];
        all.extend(args);
        let mut child = sandbox.command(&all).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""));
        drop(going);
        std::fs::remove_file(sandbox.path("begun")).unwrap();
    }
    let mut full = sandbox.command(&["tail", "last"]);
    full.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let full = ended(full);
    assert_eq!(full.code, 1, "{full:?}");
    assert!(
        full.err.contains("standard output cannot be written"),
        "{}",
        full.err
    );
}

#[test]
fn runs_that_a_run_starts_are_in_its_tree() {
    let sandbox = Sandbox::new();
    let inner = json!({"nodes": [{"id": "inside", "type": "shell", "params": {
        "command": "touch begun; while [ -e held ]; do sleep 0.02; done"}}]});
    let inner = sandbox.workflow("inner.json", &inner);
    let binary = env!("CARGO_BIN_EXE_flowmeter");
    let outer = json!({"nodes": [{"id": "outside", "type": "shell", "params": {
        "command": format!("{binary} run {inner} --quiet --trace")}}]});
    let outer = sandbox.workflow("outer.json", &outer);
    std::fs::write(sandbox.path("held"), "").unwrap();
    let child = sandbox.command(&["run", &outer, "--trace"]).spawn().unwrap();
    let mut going = Going {
        child,
        held: sandbox.path("held"),
    };
    wait_until("the inner run", || sandbox.path("begun").exists());
    let mut tail = Tail::start(&sandbox, &[]);
    tail.up_to("→ node.shell [inside]");
    assert!(tail.read.contains("→ node.shell [outside]"), "{}", tail.read);
    going.let_go();
    let followed = tail.ended();
    assert_eq!(followed.code, 0, "{followed:?}");
    assert!(
        followed.out.contains("      → node.shell [inside]"),
        "{}",
        followed.out
    );
    let at = |what: &str| {
        followed
            .out
            .find(what)
            .unwrap_or_else(|| panic!("{}", followed.out))
    };
    assert!(
        at("\n      ← node.shell") < at("\n  ← node.shell"),
        "{}",
        followed.out
    );
    assert!(followed.out.contains("\n← workflow.end ("), "{}", followed.out);
    assert!(followed.out.contains("- Nodes Executed: 2"), "{}", followed.out);
}

/// Runs the binary on a terminal of its own, tells when a text was drawn, and does what it is told then.
const ON_A_TERMINAL: &str = r"
import fcntl, os, pty, signal, struct, subprocess, sys, termios, time
wanted, then = sys.argv[1].encode(), sys.argv[2]
master, slave = pty.openpty()
def size(rows, columns):
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
size(12, 60)
def own():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = subprocess.Popen(sys.argv[3:], stdin=slave, stdout=slave, stderr=subprocess.PIPE, preexec_fn=own)
fcntl.fcntl(master, fcntl.F_SETFL, os.O_NONBLOCK)
def do(what):
    if what == 'interrupt':
        os.write(master, b'\x03')
    elif what == 'shrink':
        size(5, 20)
    else:
        os.unlink('held')
text, plan = b'', None
deadline = time.time() + 20
while time.time() < deadline:
    if plan and time.time() > plan[0][0]:
        do(plan.pop(0)[1])
    try:
        piece = os.read(master, 65536)
    except BlockingIOError:
        if child.poll() is not None:
            break
        time.sleep(0.01)
        continue
    except OSError:
        break
    text += piece
    if plan is None and wanted in text:
        # A few frames later, one after the other.
        plan = [(time.time() + 0.4 * (step + 1), what) for step, what in enumerate(then.split(','))]
code = child.wait()
sys.stdout.buffer.write(text)
sys.stderr.buffer.write(child.stderr.read())
sys.exit(code)
";

fn on_a_terminal(sandbox: &Sandbox, wanted: &str, then: &str, args: &[&str]) -> Ended {
    let binary = sandbox.command(args);
    let mut command = Command::new("python3");
    command
        .args(["-c", ON_A_TERMINAL, wanted, then])
        .arg(binary.get_program())
        .args(binary.get_args())
        .current_dir(sandbox.path(""))
        .env("FLOWMETER_HOME", sandbox.home())
        .env("TERM", "xterm-256color")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    ended(command)
}

const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// What was drawn live, frame by frame, and what was printed on the terminal as it was before.
fn frames(out: &str) -> (Vec<Vec<String>>, String) {
    let (before, rest) = out
        .split_once(ENTER)
        .unwrap_or_else(|| panic!("nothing was drawn: {out:?}"));
    assert_eq!(before, "");
    let (drawn, after) = rest
        .rsplit_once(LEAVE)
        .unwrap_or_else(|| panic!("it was not left: {out:?}"));
    let frames = drawn
        .split("\u{1b}[H")
        .skip(1)
        .map(|frame| {
            // The terminal puts a return before each line end, whether there is one already or not.
            let frame = frame
                .replace("\u{1b}[J", "")
                .replace("\u{1b}[K", "")
                .replace('\r', "");
            frame
                .trim_end_matches('\n')
                .split('\n')
                .map(str::to_owned)
                .collect()
        })
        .collect();
    (frames, after.replace("\r\n", "\n"))
}

#[test]
fn on_a_terminal_the_tree_lives_and_stands_whole_at_the_end() {
    let sandbox = Sandbox::new();
    let _going = Going::start(&sandbox, "true", &["--trace"]);
    let ended = on_a_terminal(&sandbox, "node.shell [slow]", "let go", &["tail"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let (frames, after) = frames(&ended.out);
    assert!(frames.len() > 1, "{frames:?}");
    for frame in &frames {
        assert!(
            frame.len() <= 12 && frame.iter().all(|line| line.chars().count() <= 60),
            "{frame:#?}"
        );
    }
    let last = frames.last().unwrap();
    assert!(
        last[0].contains(" going ") && last[0].contains("1 node done"),
        "{last:#?}"
    );
    assert!(last[1].contains("✓ node.echo [quick]"), "{last:#?}");
    assert!(last[2].contains(" node.shell [slow] "), "{last:#?}");
    assert!(after.starts_with("Workflow Trace: "), "{after}");
    assert!(
        after.contains("← node.shell (") && after.contains("- Nodes Executed: 2"),
        "{after}"
    );
    assert!(!after.contains('\u{1b}'), "{after:?}");
}

#[test]
fn a_terminal_that_changes_its_size_is_drawn_anew() {
    let sandbox = Sandbox::new();
    let _going = Going::start(&sandbox, "true", &["--trace"]);
    let ended = on_a_terminal(&sandbox, "node.shell [slow]", "shrink,let go", &["tail"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let (frames, _) = frames(&ended.out);
    let last = frames.last().unwrap();
    assert!(
        last.len() <= 5 && last.iter().all(|line| line.chars().count() <= 20),
        "{last:#?}"
    );
}

#[test]
fn ctrl_c_gives_the_terminal_back() {
    let sandbox = Sandbox::new();
    let mut going = Going::start(&sandbox, "true", &["--trace"]);
    let ended = on_a_terminal(&sandbox, "node.shell [slow]", "interrupt", &["tail"]);
    assert_eq!(ended.code, 130, "{ended:?}");
    let (_, after) = frames(&ended.out);
    assert_eq!(after, "");
    assert!(
        ended.err.contains("the run goes on; `flowmeter tail "),
        "{}",
        ended.err
    );
    assert!(going.child.try_wait().unwrap().is_none());
}

#[test]
fn a_terminal_that_cannot_be_drawn_on_gets_lines() {
    let sandbox = Sandbox::new();
    let _going = Going::start(&sandbox, "true", &["--trace"]);
    let mut binary = sandbox.command(&["tail"]);
    binary.env("TERM", "dumb");
    let mut command = Command::new("python3");
    command
        .args([
            "-c",
            ON_A_TERMINAL,
            "node.shell [slow]",
            "let go",
            "env",
            "TERM=dumb",
        ])
        .arg(binary.get_program())
        .args(binary.get_args())
        .current_dir(Path::new(&sandbox.path("")))
        .env("FLOWMETER_HOME", sandbox.home())
        .env("NO_COLOR", "1");
    let ended = ended(command);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!ended.out.contains('\u{1b}'), "{:?}", ended.out);
    assert!(ended.out.contains("  → node.shell [slow]\r\n"), "{:?}", ended.out);
}
