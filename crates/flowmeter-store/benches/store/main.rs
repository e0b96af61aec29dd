//! The history at size: what writing costs, what it takes on disk and in memory, how long questions take.
//!
//! `cargo xtask bench store` writes 1,000,000 spans (`--quick`: 100,000; `--spans N`: so many) of LLM calls of about
//! 2.7 KB as OTLP, ten to a run. `--keep FILE` writes to that file and leaves it, `--ask FILE` asks one that was kept
//! (with the same `--spans`). With `--writing-only` it asks nothing, with
//! `--without-index` it writes only once, without the index of words; with `--only TEXT` only the questions with this in
//! their names.
//!
//! The prompts of a workflow begin with its instruction, as prompts do; all else is new prose each time, as hard to
//! compress as English. With `--all-new` there are no instructions: then nothing is ever said twice.
//!
//! Limits of speed were set on a machine where zstd alone took 4.9 µs for such a span; what it takes here is measured in
//! the same run, and the limits are told for both.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

mod ceiling;
mod chat;
mod machine;
mod questions;
mod text;
mod writing;

use std::path::{Path, PathBuf};

use ceiling::Ceiling;
use writing::{Maker, Written};

/// The allocator of `flowmeter`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let value = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    let spans = value("--spans").unwrap_or(if has("--quick") { 100_000 } else { 1_000_000 });
    let file = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place + 1).map(PathBuf::from)
    };
    if let Some(path) = file("--ask") {
        println!("history of {spans} spans, as it is in {}", path.display());
        return questions::ask(&path, spans);
    }
    let folder = tempfile::tempdir().unwrap();
    println!("history of {spans} spans, {} to a run", writing::SPANS_PER_RUN);
    let instruction_bytes = if has("--all-new") {
        0
    } else {
        writing::INSTRUCTION_BYTES
    };
    let maker = || Maker::with_instructions(writing::SEED, instruction_bytes);
    let mut ceiling = Ceiling::of(maker());
    let mut written = |path: &Path, has_index: bool, limits: Limits| {
        let written = writing::write(path, spans, has_index, maker(), &mut ceiling);
        let (zstd_us, bytes) = ceiling.zstd_us_and_bytes();
        println!(
            "\nzstd at level 1 alone, blocks of 32: {zstd_us:.1} µs a span, {bytes:.0} bytes, meanwhile"
        );
        report(has_index, &written, &limits, zstd_us);
    };

    if !has("--questions-only") {
        let plain = folder.path().join("plain.db");
        let limits = Limits {
            spans_per_cpu_second: 85_000.0,
            bytes: 900.0,
        };
        written(&plain, false, limits);
        remove(&plain);
        if has("--without-index") {
            return;
        }
    }
    let path = file("--keep").unwrap_or_else(|| folder.path().join("flowmeter.db"));
    let limits = Limits {
        spans_per_cpu_second: 60_000.0,
        bytes: 1_000.0,
    };
    written(&path, true, limits);
    println!(
        "most memory so far, with this generator: {} MiB (at most 143)",
        machine::memory_most_mib()
    );
    if has("--writing-only") {
        return;
    }
    questions::ask(&path, spans);
    println!(
        "most memory, this generator included: {} MiB",
        machine::memory_most_mib()
    );
    chat::report(folder.path());
}

/// What zstd alone took for a span on the machine that the limits were set on, microseconds.
const ZSTD_US_THERE: f64 = 4.9;

/// What other programs reached with such spans on that machine, spans a second.
const PEERS: [(&str, f64); 2] = [("Arize Phoenix", 148.0), ("MLflow", 913.0)];

/// What writing is held to.
struct Limits {
    /// On the machine that they were set on.
    spans_per_cpu_second: f64,
    bytes: f64,
}

fn report(has_index: bool, written: &Written, limits: &Limits, zstd_us: f64) {
    let here = limits.spans_per_cpu_second * ZSTD_US_THERE / zstd_us;
    let verdict = |holds: bool| if holds { "" } else { "   over" };
    let with = if has_index { "with" } else { "without" };
    println!("writing, {with} the index of words:");
    println!(
        "  {:>9.0} spans a CPU second, store alone (at least {:.0}, which is {here:.0} here){}",
        written.spans_per_cpu_second(),
        limits.spans_per_cpu_second,
        verdict(written.spans_per_cpu_second() >= here)
    );
    println!(
        "  {:>9.2} times what zstd alone takes (at most {:.2})",
        1e6 / written.spans_per_cpu_second() / zstd_us,
        1e6 / limits.spans_per_cpu_second / ZSTD_US_THERE
    );
    for (peer, spans_per_second) in PEERS {
        println!(
            "  {:>9.0} times as many as {peer}",
            written.spans_per_cpu_second() / spans_per_second
        );
    }
    println!(
        "  {:>9.0} spans a second of the clock",
        written.spans_per_second()
    );
    println!(
        "  {:>9.1} s later all is merged, folded and indexed",
        written.settled_s
    );
    println!(
        "  {:>9.0} bytes a span in the file (at most {:.0}){}",
        written.bytes_per_span(),
        limits.bytes,
        verdict(written.bytes_per_span() <= limits.bytes)
    );
    println!("  {:>9.0} bytes a span as OTLP", written.otlp_bytes_per_span());
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _gone = std::fs::remove_file(name);
    }
}
