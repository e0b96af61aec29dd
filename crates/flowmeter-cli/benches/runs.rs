//! Whole runs of the binary: what full capture and the history add to a node, what memory does, how long a start takes,
//! how soon a span is on the disk.
//!
//! The peer is pflow (`pip install pflow-cli`), measured in the same run when `pflow` is on the PATH.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter_model::{Clock, SpanKind, SystemClock};
use flowmeter_store::{RunFilter, RunOrder, RunStatus, SqliteConfig, SqliteStore, Store};

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if quick { 5 } else { 15 };
    let folder = tempfile::tempdir().expect("a folder");
    nodes(folder.path(), rounds);
    history(folder.path(), rounds);
    start_up(folder.path(), rounds * 4);
    on_disk(folder.path());
    pflow(folder.path());
}

/// A workflow of `count` echo nodes, one after the other.
fn echo_workflow(folder: &Path, count: usize) -> String {
    let mut nodes = String::new();
    let mut edges = String::new();
    for index in 0..count {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(
            nodes,
            "{comma}{{\"id\":\"n{index}\",\"type\":\"echo\",\"params\":{{\"message\":\"message {index}\"}}}}"
        );
        if index > 0 {
            let comma = if index == 1 { "" } else { "," };
            let _ = write!(
                edges,
                "{comma}{{\"from\":\"n{}\",\"to\":\"n{index}\"}}",
                index - 1
            );
        }
    }
    let path = folder.join(format!("echo-{count}.json"));
    std::fs::write(&path, format!("{{\"nodes\":[{nodes}],\"edges\":[{edges}]}}")).expect("a workflow");
    path.display().to_string()
}

fn flowmeter(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowmeter"));
    command.args(arguments).env("FLOWMETER_HOME", folder.join("home"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn time_of(mut command: Command) -> Duration {
    let began = Instant::now();
    let status = command.status().expect("the command starts");
    let elapsed = began.elapsed();
    assert!(status.success(), "{command:?} failed");
    elapsed
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Peak resident memory of a run, in KiB, as the kernel counts it.
fn peak_kib(mut command: Command) -> u64 {
    let mut child = command.spawn().expect("the command starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(peak)
            .max(peak);
        std::thread::sleep(Duration::from_millis(1));
    }
    peak
}

fn nodes(folder: &Path, rounds: usize) {
    const NODES: usize = 10_000;
    let file = echo_workflow(folder, NODES);
    let trace = folder.join("trace.json").display().to_string();
    let full = [
        "run",
        &file,
        "--quiet",
        "--capture",
        "full",
        "--trace-file",
        &trace,
        "--no-history",
    ];
    let off = ["run", &file, "--quiet", "--capture", "off", "--no-history"];
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        without.push(time_of(flowmeter(folder, &off)));
        with.push(time_of(flowmeter(folder, &full)));
    }
    let (with, without) = (median(with), median(without));
    let extra_us = (with.as_secs_f64() - without.as_secs_f64()) * 1e6 / NODES as f64;
    println!(
        "{NODES} echo nodes: {:.1} ms captured in full, {:.1} ms with capture off",
        ms(with),
        ms(without)
    );
    verdict(
        "full capture and trace file, a node",
        format!("{extra_us:.2} µs"),
        "10 µs",
        extra_us <= 10.0,
    );

    let short = echo_workflow(folder, NODES / 10);
    let peak_of = |file: &str, level: &str| {
        peak_kib(flowmeter(
            folder,
            &[
                "run",
                file,
                "--quiet",
                "--capture",
                level,
                "--trace-file",
                &trace,
                "--no-history",
            ],
        ))
    };
    let grown = |file: &str| peak_of(file, "full").saturating_sub(peak_of(file, "off"));
    println!(
        "memory that capture adds: {} KiB at 1,000 nodes, {} KiB at 10,000",
        grown(&short),
        grown(&file)
    );
}

/// What the history adds to a node, with everything else as it is by default.
fn history(folder: &Path, rounds: usize) {
    const NODES: usize = 10_000;
    let file = echo_workflow(folder, NODES);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        without.push(time_of(flowmeter(
            folder,
            &["run", &file, "--quiet", "--no-history"],
        )));
        with.push(time_of(flowmeter(folder, &["run", &file, "--quiet"])));
    }
    let (with, without) = (median(with), median(without));
    let extra_us = (with.as_secs_f64() - without.as_secs_f64()) * 1e6 / NODES as f64;
    println!(
        "{NODES} echo nodes: {:.1} ms kept in the history, {:.1} ms without it",
        ms(with),
        ms(without)
    );
    verdict(
        "the history, a node",
        format!("{extra_us:.2} µs"),
        "10 µs",
        extra_us <= 10.0,
    );
}

/// How long after its end a span can be read by another process.
fn on_disk(folder: &Path) {
    const NODES: usize = 40;
    let home = folder.join("home-of-latency");
    let nodes: Vec<String> = (0..NODES)
        .map(|index| {
            format!("{{\"id\":\"n{index}\",\"type\":\"shell\",\"params\":{{\"command\":\"sleep 0.037\"}}}}")
        })
        .collect();
    let edges: Vec<String> = (1..NODES)
        .map(|index| format!("{{\"from\":\"n{}\",\"to\":\"n{index}\"}}", index - 1))
        .collect();
    let path = folder.join("sleepy.json");
    let text = format!(
        "{{\"nodes\":[{}],\"edges\":[{}]}}",
        nodes.join(","),
        edges.join(",")
    );
    std::fs::write(&path, text).expect("a workflow");
    let path = path.display().to_string();
    let mut command = flowmeter(folder, &["run", &path, "--quiet"]);
    let mut child = command
        .env("FLOWMETER_HOME", &home)
        .spawn()
        .expect("the command starts");
    let config = SqliteConfig {
        create: false,
        ..SqliteConfig::new(Arc::new(SystemClock), Arc::new(|_| None))
    };
    let (mut seen, mut delays) = (HashSet::new(), Vec::new());
    let mut store = None;
    while child.try_wait().expect("a child").is_none() {
        std::thread::sleep(Duration::from_millis(2));
        if store.is_none() {
            store = SqliteStore::open(&home.join("flowmeter.db"), config.clone()).ok();
        }
        let Some(store) = &store else { continue };
        let rows = store
            .runs(&RunFilter::default(), RunOrder::Started, 1, 0)
            .unwrap_or_default();
        let Some(run) = rows.first().filter(|run| run.status == RunStatus::Running) else {
            continue;
        };
        let now = SystemClock.now();
        for span in store.span_rows(&run.key).unwrap_or_default() {
            if span.kind == SpanKind::Node && seen.insert(span.span_id) {
                delays.push(Duration::from_nanos(
                    now.0.saturating_sub(span.start.0 + span.duration_ns),
                ));
            }
        }
    }
    delays.sort();
    let (Some(most), middle) = (delays.last(), delays.get(delays.len() / 2)) else {
        println!("MISS no span was seen while the run went on");
        return;
    };
    println!(
        "{} spans were seen while the run went on: half of them within {:.0} ms of their end",
        delays.len(),
        middle.map_or(0.0, |middle| ms(*middle))
    );
    verdict(
        "a span is on the disk after its end within",
        format!("{:.0} ms", ms(*most)),
        "200 ms",
        *most <= Duration::from_millis(200),
    );
}

fn start_up(folder: &Path, rounds: usize) {
    let file = echo_workflow(folder, 1);
    let (mut whole, mut bare, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        whole.push(time_of(flowmeter(folder, &["run", &file, "--quiet"])));
        without.push(time_of(flowmeter(
            folder,
            &["run", &file, "--quiet", "--no-history"],
        )));
        let mut nothing = Command::new("/bin/true");
        nothing.stdin(Stdio::null());
        bare.push(time_of(nothing));
    }
    let (whole, bare, without) = (median(whole), median(bare), median(without));
    verdict(
        "the history of a run of one node",
        format!("{:.2} ms", ms(whole.saturating_sub(without))),
        "5 ms",
        whole.saturating_sub(without) <= Duration::from_millis(5),
    );
    let whole = without;
    verdict(
        "one node, start to exit, without the history",
        format!("{:.2} ms", ms(whole)),
        "15 ms",
        whole < Duration::from_millis(15),
    );
    let ours = whole.saturating_sub(bare);
    verdict(
        "of which ours (a process that does nothing taken off)",
        format!("{:.2} ms", ms(ours)),
        "5 ms",
        ours < Duration::from_millis(5),
    );
}

/// What a node takes in the peer and here, a `shell` node that runs `true` each (the peer has no `echo`): the
/// difference of a long run and a short one, so that neither's start-up counts.
fn pflow(folder: &Path) {
    const NODES: [usize; 2] = [10, 110];
    if Command::new("pflow")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        println!("pflow is not on the PATH: its own time is not measured (pip install pflow-cli)");
        return;
    }
    let per_node = |time: &dyn Fn(usize) -> Duration| {
        let [short, long] = NODES.map(|count| median((0..3).map(|_| time(count)).collect()));
        ms(long.saturating_sub(short)) / (NODES[1] - NODES[0]) as f64
    };
    let theirs = per_node(&|count| {
        let steps: String = (0..count)
            .map(|index| format!("### n{index}\n\nRuns.\n\n- type: shell\n- command: \"true\"\n\n"))
            .collect();
        let path = folder.join(format!("shell-{count}.pflow.md"));
        std::fs::write(&path, format!("# Shell\n\nRuns.\n\n## Steps\n\n{steps}")).expect("a workflow");
        let mut command = Command::new("pflow");
        command
            .arg(path)
            .env("HOME", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        time_of(command)
    });
    let ours = per_node(&|count| {
        let nodes: Vec<String> = (0..count)
            .map(|index| {
                format!("{{\"id\":\"n{index}\",\"type\":\"shell\",\"params\":{{\"command\":\"true\"}}}}")
            })
            .collect();
        let edges: Vec<String> = (1..count)
            .map(|index| format!("{{\"from\":\"n{}\",\"to\":\"n{index}\"}}", index - 1))
            .collect();
        let path = folder.join(format!("shell-{count}.json"));
        let text = format!(
            "{{\"nodes\":[{}],\"edges\":[{}]}}",
            nodes.join(","),
            edges.join(",")
        );
        std::fs::write(&path, text).expect("a workflow");
        time_of(flowmeter(
            folder,
            &[
                "run",
                &path.display().to_string(),
                "--quiet",
                "--capture",
                "full",
                "--trace",
                "--no-history",
            ],
        ))
    });
    println!(
        "a shell node that does nothing, traced: pflow {theirs:.2} ms, flowmeter {ours:.2} ms: {:.1}×",
        theirs / ours.max(0.001)
    );
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn verdict(what: &str, measured: String, limit: &str, holds: bool) {
    println!(
        "{} {what}: {measured} (limit {limit})",
        if holds { "ok  " } else { "MISS" }
    );
}
