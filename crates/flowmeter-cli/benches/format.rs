//! `flowmeter format` of a large event file: pace per core, peak memory, and how it compares with merely parsing the
//! same lines into `serde_json::Value`.
//!
//! The pace is by CPU time, so that whatever else the machine does counts for nothing. Writes its file into a
//! temporary folder: 1 GiB, with `--quick` 64 MiB.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use wait4::{ResUse, Wait4};

const MB: f64 = 1e6;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // The peer runs in a process of its own, so that its CPU time is its own.
    if let [_, peer, path] = arguments.as_slice()
        && peer == "parse-only"
    {
        parse_only(Path::new(path));
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let (bytes, rounds) = if quick { (64 << 20, 2) } else { (1 << 30, 3) };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.jsonl");
    let (bytes, lines) = write_events(&file, bytes);
    println!(
        "{:.0} MB of events, {lines} lines of {:.0} bytes",
        bytes as f64 / MB,
        bytes as f64 / lines as f64
    );
    let mut paces = Vec::new();
    for format in ["human", "metrics", "json", "otlp"] {
        let used = best(rounds, || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_flowmeter"));
            command.arg("format").arg(&file).args(["--format", format]);
            command
        });
        let pace = pace(bytes, &used);
        let peak = used.rusage.maxrss as f64 / (1 << 20) as f64;
        println!("{format}: {pace:.0} MB/s a core, peak {peak:.1} MiB");
        paces.push((pace, peak));
    }
    let itself = std::env::current_exe().expect("this program");
    let parsing = best(rounds, || {
        let mut command = Command::new(&itself);
        command.arg("parse-only").arg(&file);
        command
    });
    let parsing = pace(bytes, &parsing);
    let (human, peak) = paces[0];
    println!("serde_json::Value of the same lines, nothing done with it: {parsing:.0} MB/s a core");
    println!(
        "formatting to human is {:.2}× as fast as that parsing alone",
        human / parsing
    );
    verdict(
        "to human",
        format!("{human:.0} MB/s a core"),
        "≥ 200 MB/s",
        human >= 200.0,
    );
    verdict("memory", format!("{peak:.1} MiB"), "< 32 MiB", peak < 32.0);
}

/// Workflows of 1,000 nodes with their logs, in the words of the agreed examples; half of the lines have a time.
fn write_events(path: &Path, bytes_min: u64) -> (u64, u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    let (mut bytes, mut lines, mut time_ns) = (0_u64, 0_u64, 1_705_314_645_000_000_000_u64);
    let mut write = |line: String| {
        bytes += line.len() as u64 + 1;
        lines += 1;
        writeln!(file, "{line}").expect("room for the file");
        bytes
    };
    let mut workflow = 0;
    loop {
        workflow += 1;
        let mut written = write(format!(
            "{{\"type\": \"workflow_start\", \"workflow_id\": \"test-{workflow}\", \"timestamp\": {time_ns}}}"
        ));
        for node in 0..1000 {
            write(format!(
                "{{\"type\": \"node_start\", \"node\": {{\"id\": \"n{node}\", \"type\": \"read_file\", \"config\": {{}}}}, \
                 \"timestamp\": {time_ns}}}"
            ));
            write(format!(
                "{{\"type\": \"log\", \"level\": \"INFO\", \"message\": \"Reading file number {node}\"}}"
            ));
            write(format!(
                "{{\"type\": \"log\", \"level\": \"DEBUG\", \"message\": \"File size: {} bytes\"}}",
                node * 17
            ));
            time_ns += 45_200_000;
            written = write(format!(
                "{{\"type\": \"node_end\", \"result\": \"success\", \"timestamp\": {time_ns}}}"
            ));
        }
        write(format!(
            "{{\"type\": \"workflow_end\", \"timestamp\": {time_ns}}}"
        ));
        if written >= bytes_min {
            break;
        }
    }
    file.flush().expect("room for the file");
    (bytes, lines)
}

/// What the best of some runs used.
fn best(rounds: usize, command: impl Fn() -> Command) -> ResUse {
    let uses = (0..rounds).map(|_| {
        let child = command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the command starts");
        let used = child.wait4().expect("the command ends");
        assert!(used.status.success(), "the command failed");
        used
    });
    uses.min_by_key(cpu).expect("at least one round")
}

fn cpu(used: &ResUse) -> Duration {
    used.rusage.utime + used.rusage.stime
}

fn pace(bytes: u64, used: &ResUse) -> f64 {
    bytes as f64 / MB / cpu(used).as_secs_f64()
}

/// What anybody does first with such lines.
fn parse_only(path: &Path) {
    let mut lines = BufReader::with_capacity(1 << 18, File::open(path).expect("the file"));
    let mut line = Vec::new();
    let mut objects = 0_u64;
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).expect("a line") == 0 {
            break;
        }
        let value: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        objects += u64::from(value.is_object());
    }
    assert!(objects > 0, "there are events");
}

fn verdict(what: &str, measured: String, limit: &str, holds: bool) {
    println!(
        "{} {what}: {measured} (limit {limit})",
        if holds { "ok  " } else { "MISS" }
    );
}
