//! The file backend: formats, modes, several writers at a time, full disks, pipes, kills.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter_model::{Clock, LogLevel, ManualClock, SpanKind, SystemClock};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};
use serde_json::Value;

use super::{FileBackend, FileConfig, FileFormat, FileMode, FileSync, InvalidFileConfig, Rotation};
use crate::backends::probes::{begun, ending, ends, fails, logs, node, root, run, starts, trace_id};
use crate::backends::{Backend, Batch, Deadline, ExportError};
use crate::events::read_event;
use crate::trace_file::read_trace;

fn backend(config: FileConfig) -> FileBackend {
    FileBackend::new(config).unwrap()
}

fn events_to(path: &Path) -> FileConfig {
    FileConfig::new(path, FileFormat::JsonLines)
}

/// So many logs whose messages say who wrote them and which they are.
fn batch(writer: &str, from: usize, count: usize) -> Batch {
    Batch {
        run: run(),
        events: (from..from + count)
            .map(|number| {
                logs(
                    1,
                    LogLevel::Info,
                    &format!("{writer} {number} {}", "x".repeat(number % 97)),
                )
            })
            .collect(),
    }
}

fn a_run() -> Batch {
    let read = node(2, 1, "read_file", "reader");
    Batch {
        run: run(),
        events: vec![
            starts(&root()),
            starts(&read),
            logs(2, LogLevel::Info, "Opening file: input.txt"),
            ends(&read, 45),
            ends(&root(), 234),
        ],
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    (folder, path)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The messages of the logs in a text of event lines, every one of which must be whole.
fn messages(text: &str) -> Vec<String> {
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "the last line is cut off"
    );
    text.lines()
        .map(|line| {
            read_event(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let line: Value = serde_json::from_str(line).unwrap();
            let message = line["message"].as_str().unwrap_or_default();
            message.split(' ').take(2).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn numbered(writer: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{writer} {number}")).collect()
}

fn with_causes(error: &ExportError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[test]
fn event_lines_are_appended_run_by_run() {
    let (folder, path) = folder();
    for _ in 0..2 {
        let mut file = backend(events_to(&path));
        file.begin(&run(), &Deadline::default()).unwrap();
        file.export(&a_run()).unwrap();
        file.finish(&ending()).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let types: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].take())
        .collect();
    let once = ["workflow_start", "node_start", "log", "node_end", "workflow_end"];
    assert_eq!(types, [once, once].concat());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(folder.path()), ["events.jsonl"]);
}

#[test]
fn a_document_appears_when_the_run_has_ended_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/trace.json");
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::write(&path, "as it was").unwrap();
    let mut config = FileConfig::new(&path, FileFormat::Json);
    config.sync = FileSync::EachBatch;
    let mut file = backend(config);
    file.begin(&run(), &Deadline::default()).unwrap();
    let (a, b) = (node(2, 1, "shell", "a"), node(3, 1, "shell", "b"));
    let first = vec![
        starts(&root()),
        starts(&a),
        logs(2, LogLevel::Info, "said"),
        starts(&b),
    ];
    file.export(&Batch {
        run: run(),
        events: first,
    })
    .unwrap();
    file.flush().unwrap();
    let second = vec![fails(&a, 7, "refused", &[])];
    file.export(&Batch {
        run: run(),
        events: second,
    })
    .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");

    // What a kill would leave.
    let lines = path.with_file_name(format!("trace.json.{}.lines", trace_id()));
    let unfinished = read_trace(&lines).unwrap();
    assert!(!unfinished.is_finished());
    assert_eq!(
        (
            unfinished.spans.len(),
            unfinished.logs.len(),
            unfinished.broken_lines
        ),
        (3, 1, 0)
    );
    assert_eq!(fs::metadata(&lines).unwrap().permissions().mode() & 0o777, 0o600);

    let third = vec![ends(&b, 8), ends(&root(), 9)];
    file.export(&Batch {
        run: run(),
        events: third,
    })
    .unwrap();
    file.finish(&ending()).unwrap();
    let document = read_trace(&path).unwrap();
    assert!(document.is_finished());
    assert_eq!((document.spans.len(), document.logs.len()), (3, 1));
    assert_eq!(document.metrics.unwrap()["node_count"], 2);
    assert_eq!(names(path.parent().unwrap()), ["trace.json"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn lines_that_replace_a_file_do_so_in_one_step() {
    let (folder, path) = folder();
    fs::write(&path, "as it was").unwrap();
    let link = folder.path().join("link.jsonl");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let mut config = events_to(&link);
    config.mode = FileMode::Replace;
    config.sync = FileSync::AtEnd;
    let mut file = backend(config.clone());
    file.begin(&run(), &Deadline::default()).unwrap();
    file.export(&batch("a", 0, 3)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");
    file.finish(&ending()).unwrap();
    assert_eq!(messages(&fs::read_to_string(&path).unwrap()), numbered("a", 3));
    assert!(link.is_symlink());
    assert_eq!(names(folder.path()), ["events.jsonl", "link.jsonl"]);

    // A run that says nothing replaces it, too.
    let mut file = backend(config);
    file.begin(&run(), &Deadline::default()).unwrap();
    file.finish(&ending()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let refused = |change: fn(&mut FileConfig)| {
        let mut config = events_to(Path::new("events.jsonl"));
        change(&mut config);
        FileBackend::new(config).err()
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(
        refused(|config| config.path = PathBuf::new()),
        Some(InvalidFileConfig::NoPath)
    );
    assert_eq!(
        refused(|config| config.format = FileFormat::Json),
        Some(InvalidFileConfig::AppendedDocument)
    );
    assert_eq!(
        refused(|config| {
            config.mode = FileMode::Replace;
            config.rotation = Some(Rotation::default());
        }),
        Some(InvalidFileConfig::ReplacedRotation)
    );
    assert_eq!(
        refused(|config| {
            config.rotation = Some(Rotation {
                bytes_max: None,
                ..Rotation::default()
            });
        }),
        Some(InvalidFileConfig::UnlimitedRotation)
    );
}

#[test]
fn places_that_cannot_be_written_are_refused_when_the_run_begins() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for (path, format, expected) in [
        (
            folder.path().to_owned(),
            FileFormat::JsonLines,
            "is neither a file nor a pipe nor a device",
        ),
        (
            folder.path().to_owned(),
            FileFormat::Json,
            "is neither a file nor a pipe nor a device",
        ),
        (
            folder.path().join("file/below"),
            FileFormat::JsonLines,
            "could not be written: ",
        ),
        (
            PathBuf::from("/dev/null"),
            FileFormat::Json,
            "is no file: a JSON document needs one",
        ),
    ] {
        let begun = backend(FileConfig::new(&path, format)).begin(&run(), &Deadline::default());
        let error = with_causes(&begun.unwrap_err());
        assert!(
            error.starts_with(&format!("{} {expected}", path.display())),
            "{}: {error}",
            path.display()
        );
    }
}

#[test]
fn a_file_makes_way_when_it_is_old() {
    let (folder, path) = folder();
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let mut config = events_to(&path);
    config.rotation = Some(Rotation {
        bytes_max: None,
        age_max: Some(Duration::from_secs(3600)),
        keep: 2,
    });
    let mut file = backend(config).clock(Arc::clone(&clock) as Arc<dyn Clock>);
    file.export(&batch("a", 0, 2)).unwrap();
    clock.advance(3_000_000_000_000);
    file.export(&batch("a", 2, 2)).unwrap();
    assert_eq!(names(folder.path()).len(), 1);
    clock.advance(1_000_000_000_000);
    file.export(&batch("a", 4, 1)).unwrap();
    assert_eq!(messages(&fs::read_to_string(&path).unwrap()), ["a 4"]);
    assert_eq!(messages(&all_text(folder.path())), numbered("a", 5));
}

/// Old files and the present one, in the order in which they were written.
fn all_text(folder: &Path) -> String {
    names(folder)
        .iter()
        .map(|name| fs::read_to_string(folder.join(name)).unwrap())
        .collect()
}

/// That each writer's lines are all there, whole and in their order.
fn nothing_is_lost(text: &str, writers: usize, count: usize) {
    let messages = messages(text);
    for writer in 0..writers {
        let own = format!("w{writer} ");
        let found: Vec<&String> = messages
            .iter()
            .filter(|message| message.starts_with(&own))
            .collect();
        assert_eq!(
            found,
            numbered(own.trim(), count).iter().collect::<Vec<_>>(),
            "writer {writer}"
        );
    }
    assert_eq!(messages.len(), writers * count);
}

fn rotating(path: &Path) -> FileConfig {
    let mut config = events_to(path);
    config.rotation = Some(Rotation {
        bytes_max: Some(20_000),
        age_max: None,
        keep: 10_000,
    });
    config
}

fn write_as(writer: &str, config: FileConfig, batches: usize, each: usize) {
    let mut file = backend(config);
    file.begin(&run(), &Deadline::default()).unwrap();
    for number in 0..batches {
        file.export(&batch(writer, number * each, each)).unwrap();
    }
    file.finish(&ending()).unwrap();
}

#[test]
fn threads_that_append_to_one_file_leave_every_line_whole() {
    let (folder, path) = folder();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let config = rotating(&path);
            scope.spawn(move || write_as(&format!("w{writer}"), config, 40, 25));
        }
    });
    nothing_is_lost(&all_text(folder.path()), 4, 1_000);
    assert!(names(folder.path()).len() > 10);
}

/// Runs one of the tests that are marked as child processes.
fn child(role: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("backends::file::tests::{role}");
    command
        .args(["--exact", &test, "--ignored", "--nocapture", "--test-threads=1"])
        .env("FLOWMETER_TEST_PATH", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn path_of_the_parent() -> PathBuf {
    std::env::var_os("FLOWMETER_TEST_PATH")
        .expect("run by another test")
        .into()
}

#[test]
#[ignore = "a child process of another test"]
fn child_that_appends() {
    let name = std::env::var("FLOWMETER_TEST_WRITER").unwrap();
    write_as(&name, rotating(&path_of_the_parent()), 40, 25);
}

#[test]
fn processes_that_append_to_one_file_leave_every_line_whole() {
    let (folder, path) = folder();
    let children: Vec<Child> = (0..3)
        .map(|writer| {
            let mut command = child("child_that_appends", &path);
            command
                .env("FLOWMETER_TEST_WRITER", format!("w{writer}"))
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    nothing_is_lost(&all_text(folder.path()), 3, 1_000);
}

#[test]
#[ignore = "a child process of another test"]
fn child_that_never_ends() {
    let mut file = backend(events_to(&path_of_the_parent()));
    for number in 0.. {
        file.export(&batch("w0", number * 500, 500)).unwrap();
    }
}

#[test]
fn after_kill_9_all_lines_but_the_last_are_whole() {
    let (_folder, path) = folder();
    for round in 0..3 {
        let mut killed = child("child_that_never_ends", &path).spawn().unwrap();
        let before = fs::metadata(&path).map_or(0, |found| found.len());
        let began = Instant::now();
        while fs::metadata(&path).map_or(0, |found| found.len()) < before + 300_000 {
            assert!(began.elapsed() < Duration::from_secs(20), "it writes nothing");
            std::thread::sleep(Duration::from_millis(2));
        }
        kill_process(Pid::from_child(&killed), Signal::KILL).unwrap();
        killed.wait().unwrap();
        // Whoever comes next begins a line of its own.
        let mut file = backend(events_to(&path));
        file.export(&batch(&format!("after{round}"), 0, 2)).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let broken: Vec<usize> = (0..lines.len())
        .filter(|&at| serde_json::from_str::<Value>(lines[at]).is_err())
        .collect();
    for at in &broken {
        assert!(
            lines[at + 1].contains("after"),
            "{} is broken: {}",
            at,
            lines[*at]
        );
    }
    assert!(broken.len() <= 3, "{broken:?}");
    let after = lines
        .iter()
        .filter(|line| line.contains("\"message\":\"after"))
        .count();
    assert_eq!(after, 6);
}

/// A disk that is full: files may not grow beyond some size, until they may again.
#[test]
#[ignore = "a child process of another test"]
fn child_on_a_full_disk() {
    let path = path_of_the_parent();
    let mut file = backend(events_to(&path));
    file.begin(&run(), &Deadline::default()).unwrap();
    let mut errors = Vec::new();
    for number in 0..20 {
        if let Err(error) = file.export(&batch("w0", number * 50, 50)) {
            errors.push(error.to_string());
            // Nothing is there but whole lines.
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(messages(&text), numbered("w0", text.lines().count()));
        }
    }
    assert!(errors.len() > 5, "{errors:?}");
    errors.dedup();
    assert_eq!(errors, [format!("{} could not be written", path.display())]);
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Fsize, unlimited).unwrap();
    file.flush().unwrap();
    file.export(&batch("w0", 1_000, 10)).unwrap();
    file.finish(&ending()).unwrap();
    assert_eq!(
        messages(&fs::read_to_string(&path).unwrap()),
        numbered("w0", 1_010)
    );
}

#[test]
fn a_full_disk_costs_nothing_once_there_is_room_again() {
    let (_folder, path) = folder();
    run_with_files_up_to(37, "child_on_a_full_disk", &path);
}

/// Runs a child process whose files cannot grow beyond so many blocks until it says otherwise.
fn run_with_files_up_to(blocks: u64, role: &str, path: &Path) {
    let child = child(role, path);
    let mut limited = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"");
    limited
        .args(["-c", &script])
        .arg(child.get_program())
        .args(child.get_args())
        .env("FLOWMETER_TEST_PATH", path);
    let output = limited.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_device_without_room_is_one_failure_and_no_panic() {
    let mut file = backend(events_to(Path::new("/dev/full")));
    file.begin(&run(), &Deadline::default()).unwrap();
    let first = file.export(&batch("a", 0, 5)).unwrap_err();
    let second = file.export(&batch("a", 5, 5)).unwrap_err();
    assert_eq!(first.to_string(), "/dev/full could not be written");
    assert_eq!(second.to_string(), first.to_string());
    let end = file.finish(&ending()).unwrap_err();
    assert_eq!(end.to_string(), "10 lines could not be written to /dev/full");
    let mut nowhere = backend(events_to(Path::new("/dev/null")));
    nowhere.export(&batch("a", 0, 5)).unwrap();
    nowhere.finish(&ending()).unwrap();
}

#[test]
fn what_waits_has_a_bound() {
    let mut file = backend(events_to(Path::new("/dev/full")));
    let long = Batch {
        run: run(),
        events: vec![logs(1, LogLevel::Info, &"x".repeat(1 << 20))],
    };
    for _ in 0..6 {
        file.export(&long).unwrap_err();
    }
    let Some(super::Place::Events { lines, .. }) = &file.place else {
        panic!("no lines");
    };
    assert!(lines.waiting_bytes() <= 4 << 20);
    let end = file.finish(&ending()).unwrap_err();
    assert_eq!(end.to_string(), "6 lines could not be written to /dev/full");
}

fn pipe() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    (folder, path)
}

/// A reader that waits for nobody.
fn reader(path: &Path) -> File {
    let mut options = OpenOptions::new();
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    options.read(true).custom_flags(flags).open(path).unwrap()
}

fn read_now(reader: &mut File) -> String {
    let mut text = Vec::new();
    // It ends with an error when there is nothing more just now.
    let _would_block = reader.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn a_pipe_gets_its_lines_when_somebody_reads() {
    let (_folder, path) = pipe();
    let mut file = backend(events_to(&path));
    file.begin(&run(), &Deadline::default()).unwrap();
    let error = with_causes(&file.export(&batch("a", 0, 2)).unwrap_err());
    assert_eq!(
        error,
        format!("{} could not be written: nobody reads it", path.display())
    );
    let mut first = reader(&path);
    file.export(&batch("a", 2, 2)).unwrap();
    assert_eq!(messages(&read_now(&mut first)), numbered("a", 4));
    // The reader goes, and another one comes.
    drop(first);
    file.export(&batch("b", 0, 1)).unwrap_err();
    let mut second = reader(&path);
    file.flush().unwrap();
    file.finish(&ending()).unwrap();
    assert_eq!(messages(&read_now(&mut second)), ["b 0"]);
}

#[test]
fn a_pipe_that_is_read_slowly_is_not_waited_for_for_ever_and_gets_whole_lines() {
    let (_folder, path) = pipe();
    let slow = reader(&path);
    let mut file = backend(events_to(&path));
    let deadline = Deadline::default();
    file.begin(&run(), &deadline).unwrap();
    // The run has ended: nobody waits long any more.
    deadline.set(Instant::now());
    let error = with_causes(&file.export(&batch("a", 0, 2_000)).unwrap_err());
    assert!(error.ends_with("whoever reads it is too slow"), "{error}");
    let reading = std::thread::spawn(move || {
        let mut lines = Vec::new();
        let mut reader = BufReader::new(slow);
        let mut line = String::new();
        let began = Instant::now();
        while lines.len() < 2_001 && began.elapsed() < Duration::from_secs(20) {
            match reader.read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => lines.push(std::mem::take(&mut line)),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        lines.concat()
    });
    // Whether there is room just now or not: it waits behind the others.
    let _room_or_not = file.export(&batch("a", 2_000, 1));
    let began = Instant::now();
    while file.flush().is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
    file.finish(&ending()).unwrap();
    drop(file);
    assert_eq!(messages(&reading.join().unwrap()), numbered("a", 2_001));
}

#[test]
fn a_document_on_a_full_disk_leaves_what_was_there() {
    let (folder, path) = folder();
    let mut file = backend(FileConfig::new(&path, FileFormat::Json));
    file.begin(&run(), &Deadline::default()).unwrap();
    file.export(&a_run()).unwrap();
    // In the place of the document stands what no file can replace.
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file"), "").unwrap();
    let error = file.finish(&ending()).unwrap_err();
    let lines = folder.path().join(format!("events.jsonl.{}.lines", trace_id()));
    assert_eq!(
        error.to_string(),
        format!(
            "{} could not be completed; what was recorded is in {}",
            path.display(),
            lines.display()
        )
    );
    assert_eq!(read_trace(&lines).unwrap().spans.len(), 2);
    assert_eq!(names(folder.path()).len(), 2);
}

/// A disk that is full from the first line on.
#[test]
#[ignore = "a child process of another test"]
fn child_with_a_document_on_a_full_disk() {
    let path = path_of_the_parent();
    let mut file = backend(FileConfig::new(&path, FileFormat::Json));
    file.begin(&run(), &Deadline::default()).unwrap();
    file.export(&a_run()).unwrap_err();
    let error = file.finish(&ending()).unwrap_err().to_string();
    assert_eq!(error, format!("{} could not be completed", path.display()));
    assert_eq!(names(path.parent().unwrap()), [] as [&str; 0]);

    let mut file = backend(FileConfig::new(&path, FileFormat::Json));
    file.begin(&run(), &Deadline::default()).unwrap();
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Fsize, unlimited).unwrap();
    file.export(&a_run()).unwrap();
    file.finish(&ending()).unwrap();
    assert_eq!(read_trace(&path).unwrap().spans.len(), 2);
    assert_eq!(names(path.parent().unwrap()), ["events.jsonl"]);
}

#[test]
fn a_document_waits_for_room_from_the_first_line_on() {
    let (_folder, path) = folder();
    run_with_files_up_to(0, "child_with_a_document_on_a_full_disk", &path);
}

#[test]
fn custom_spans_without_a_beginning_are_in_the_document() {
    let (_folder, path) = folder();
    let mut file = backend(FileConfig::new(&path, FileFormat::Json));
    let custom = begun(5, 1, SpanKind::Custom, "step");
    let events = vec![starts(&root()), ends(&custom, 3), ends(&root(), 4)];
    file.export(&Batch { run: run(), events }).unwrap();
    file.finish(&ending()).unwrap();
    assert_eq!(read_trace(&path).unwrap().spans.len(), 2);
}
