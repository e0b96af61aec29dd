//! Runs that are killed or stopped, disks that are full, files that cannot be used, many processes at once: the run is
//! what it would be without a history, and the history is whole.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flowmeter_store::{RunStatus, Store};
use rustix::process::{Pid, Signal, kill_process};

use super::{echo, file_of, history, nodes, only_run, open, runs, shell, spans, wait_until};
use crate::support::{Ended, Sandbox, ended};

/// A node that ends, and one that goes on for as long as the sandbox is there.
fn endless(sandbox: &Sandbox) -> Child {
    let wait = "touch begun; while [ -e begun ]; do sleep 0.05; done";
    let workflow = shell(sandbox, "endless.json", &["true", wait]);
    let child = sandbox
        .command(&["run", &workflow])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the slow node", || sandbox.path("begun").exists());
    // The node that has ended is there while the run goes on, seen from another process.
    wait_until("the first node in the history", || {
        open(&file_of(sandbox)).is_some_and(|store| {
            runs(&store)
                .first()
                .is_some_and(|run| nodes(&spans(&store, run)) == ["n0"])
        })
    });
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_run_that_goes_on_is_running_and_one_that_was_killed_is_interrupted() {
    let sandbox = Sandbox::new();
    let mut child = endless(&sandbox);
    wait_until("the open node", || {
        let store = history(&sandbox);
        let run = only_run(&sandbox);
        let detail = store.run(&run.key).unwrap().unwrap();
        nodes(&detail.open) == ["n1"]
    });
    let run = only_run(&sandbox);
    assert_eq!(run.status, RunStatus::Running);
    send(&child, Signal::KILL);
    child.wait().unwrap();
    let run = only_run(&sandbox);
    assert_eq!(run.status, RunStatus::Interrupted);
    let store = history(&sandbox);
    assert_eq!(nodes(&spans(&store, &run)), ["n0"]);
    assert_eq!(nodes(&store.run(&run.key).unwrap().unwrap().open), ["n1"]);
    let checked = sandbox.run(&["db", "check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
}

#[test]
fn a_run_that_was_stopped_is_cancelled() {
    for (signal, code) in [(Signal::TERM, 130), (Signal::INT, 130)] {
        let sandbox = Sandbox::new();
        let mut child = endless(&sandbox);
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let run = only_run(&sandbox);
        assert_eq!(run.status, RunStatus::Cancelled);
        assert!(run.ended.is_some());
    }
}

#[test]
fn killed_again_and_again_nothing_is_broken() {
    const ROUNDS: u64 = 12;
    let sandbox = Sandbox::new();
    let commands = vec!["true"; 60];
    let workflow = shell(&sandbox, "many.json", &commands);
    for round in 0..ROUNDS {
        let mut children: Vec<Child> = (0..3)
            .map(|_| sandbox.command(&["run", &workflow]).spawn().unwrap())
            .collect();
        std::thread::sleep(Duration::from_millis(20 + round * 15));
        for child in &mut children {
            send(child, Signal::KILL);
            child.wait().unwrap();
        }
    }
    let last = sandbox.run(&["run", &workflow]);
    assert_eq!(last.code, 0, "{last:?}");
    assert!(!last.err.contains("warning"), "{}", last.err);
    let checked = sandbox.run(&["db", "check", "--json"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let store = history(&sandbox);
    let rows = runs(&store);
    assert_eq!(rows[0].status, RunStatus::Ok);
    for run in &rows[1..] {
        assert!(
            matches!(run.status, RunStatus::Interrupted | RunStatus::Ok),
            "{run:?}"
        );
        assert_eq!(spans(&store, run).len() as u64, run.spans, "{run:?}");
    }
}

#[test]
fn many_processes_write_at_once() {
    const PROCESSES: usize = 8;
    let sandbox = Sandbox::new();
    let workflow = shell(&sandbox, "some.json", &["true", "true", "true", "true"]);
    let children: Vec<Child> = (0..PROCESSES)
        .map(|_| {
            sandbox
                .command(&["run", &workflow, "--capture", "full"])
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(!told.contains("warning"), "{told}");
    }
    let store = history(&sandbox);
    let rows = runs(&store);
    assert_eq!(rows.len(), PROCESSES);
    for run in &rows {
        assert_eq!((run.status, run.nodes), (RunStatus::Ok, 4));
        assert_eq!(nodes(&spans(&store, run)), ["n0", "n1", "n2", "n3"]);
    }
}

/// The run goes well, its output is there, and one warning names the history and says `what`.
fn goes_well_with_one_warning(ended: &Ended, what: &str) {
    assert_eq!((ended.code, ended.out.as_str()), (0, "hi\n"), "{ended:?}");
    let warnings: Vec<&str> = ended
        .err
        .lines()
        .filter(|line| line.contains("warning") && line.contains("history"))
        .collect();
    assert_eq!(warnings.len(), 1, "{ended:?}");
    assert!(warnings[0].contains(what), "{ended:?}");
}

#[test]
fn a_file_of_a_newer_program_is_left_alone() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    std::fs::create_dir_all(sandbox.home()).unwrap();
    std::fs::write(file_of(&sandbox), database_of_format(99)).unwrap();
    goes_well_with_one_warning(&sandbox.run(&["run", &workflow]), "a newer flowmeter wrote it");
    let looked = sandbox.run(&["db", "check"]);
    assert_eq!(looked.code, 1, "{looked:?}");
    assert!(looked.err.contains("has format 99"), "{looked:?}");
    assert!(std::fs::read(file_of(&sandbox)).unwrap() == database_of_format(99));
    let beside: Vec<_> = std::fs::read_dir(sandbox.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("flowmeter.db"))
        .collect();
    assert_eq!(beside, ["flowmeter.db"]);
}

/// An empty database of one page, as SQLite writes it. Source: sqlite.org/fileformat2.html, 1.3.
fn database_of_format(format: u32) -> Vec<u8> {
    let mut page = vec![0; 4_096];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"SQLite format 3\0");
    put(16, &4_096_u16.to_be_bytes());
    put(18, &[1, 1, 0, 64, 32, 32]);
    put(24, &1_u32.to_be_bytes());
    put(28, &1_u32.to_be_bytes());
    put(44, &4_u32.to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(60, &format.to_be_bytes());
    put(68, b"flow");
    put(92, &1_u32.to_be_bytes());
    put(96, &3_045_000_u32.to_be_bytes());
    put(100, &[0x0d, 0, 0, 0, 0, 0x10, 0, 0]);
    page
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    let text = "not a database but a diary, and a long one at that. ".repeat(50);
    sandbox.file("home/flowmeter.db", &text);
    goes_well_with_one_warning(&sandbox.run(&["run", &workflow]), "is no history of flowmeter");
    assert!(std::fs::read_to_string(file_of(&sandbox)).unwrap() == text);
}

#[test]
fn a_place_that_cannot_be_written_costs_the_history_and_nothing_else() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    std::fs::create_dir_all(file_of(&sandbox)).unwrap();
    goes_well_with_one_warning(&sandbox.run(&["run", &workflow]), "flowmeter.db");
    let printed = sandbox.run(&["run", &workflow, "--output-format", "json"]).json();
    assert_eq!(printed["status"], "partial_success");
    assert_eq!(printed["export_errors"].as_array().map(Vec::len), Some(1));
}

/// A shell with a limit on the size of files; what goes beyond it fails rather than kills.
fn with_file_limit(sandbox: &Sandbox, blocks: u32, args: &[&str]) -> Ended {
    let plain = sandbox.command(args);
    let mut words = vec![plain.get_program().to_string_lossy().into_owned()];
    words.extend(plain.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let mut shell = Command::new("bash");
    shell
        .arg("-c")
        .arg(format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec {}",
            quoted.join(" ")
        ))
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(plain.get_current_dir().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    ended(shell)
}

#[test]
fn where_the_file_cannot_grow_the_run_goes_on() {
    let sandbox = Sandbox::new();
    let first = echo(&sandbox, "first.json", "hi");
    assert_eq!(sandbox.run(&["run", &first]).code, 0);
    // 200 KB that do not compress: far beyond the limit.
    let noise = "head -c 200000 /dev/urandom | od -An -tx1";
    let workflow = shell(&sandbox, "large.json", &[noise, "echo hi"]);
    let blocks = 160;
    let ended = with_file_limit(
        &sandbox,
        blocks,
        &["run", &workflow, "--capture", "full", "--no-export"],
    );
    assert_eq!((ended.code, ended.out.as_str()), (0, "hi\n"), "{ended:?}");
    assert!(
        ended.err.contains("warning") && ended.err.contains("the history"),
        "{ended:?}"
    );
    // What was there before is there, and recording goes on where there is room.
    let again = sandbox.run(&["run", &first]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(!again.err.contains("warning"), "{again:?}");
    let checked = sandbox.run(&["db", "check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let well = runs(&history(&sandbox))
        .iter()
        .filter(|run| run.status == RunStatus::Ok)
        .count();
    assert!(well >= 2);
}

/// A small disk, where this process may mount one; taken away in the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(place: &'a Path, kib: u32) -> Option<Self> {
        std::fs::create_dir_all(place).ok()?;
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
            .arg(place)
            .stderr(Stdio::null());
        mount.status().ok()?.success().then_some(Self(place))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_in_one_warning() {
    let sandbox = Sandbox::new().with("FLOWMETER_EXPORT_EXIT_TIMEOUT", "60s");
    let home = sandbox.home();
    let Some(_disk) = SmallDisk::mount(&home, 1_024) else {
        // Without the right to mount there is the limit on file sizes above.
        return;
    };
    let noise = "head -c 3000000 /dev/urandom | od -An -tx1";
    let large = shell(&sandbox, "large.json", &[noise, "echo hi"]);
    let trace = sandbox.path("trace.json").display().to_string();
    let args = ["run", &large, "--capture", "full", "--trace-file", &trace];
    goes_well_with_one_warning(&sandbox.run(&args), "the disk is full");
    let checked = sandbox.run(&["db", "check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
}

#[test]
fn a_history_that_others_hold_does_not_hold_up_the_exit_for_long() {
    let sandbox = Sandbox::new().with("FLOWMETER_EXPORT_EXIT_TIMEOUT", "1s");
    let workflow = echo(&sandbox, "hello.json", "hi");
    assert_eq!(sandbox.run(&["run", &workflow]).code, 0);
    let Some(mut holder) = hold(&file_of(&sandbox)) else {
        return;
    };
    let began = Instant::now();
    let ended = sandbox.run(&["run", &workflow]);
    let took = began.elapsed();
    holder.kill().unwrap();
    holder.wait().unwrap();
    goes_well_with_one_warning(&ended, "in time");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// A process that holds the file for writing, where there is one to be had that can.
fn hold(file: &Path) -> Option<Child> {
    let program = format!(
        "import sqlite3,time\nc=sqlite3.connect({:?},isolation_level=None)\nc.execute('BEGIN IMMEDIATE')\n\
         print('held',flush=True)\ntime.sleep(60)",
        file.display().to_string()
    );
    let mut child = Command::new("python3")
        .args(["-c", &program])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut line = String::new();
    let stdout = child.stdout.take()?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).ok()?;
    if line.trim() == "held" {
        return Some(child);
    }
    let _none = child.wait();
    None
}
