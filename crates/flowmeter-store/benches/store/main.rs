//! The history at size: what writing costs, what it takes on disk and in memory, how long questions take.
//!
//! `cargo xtask bench store` writes 1,000,000 spans (`--quick`: 100,000; `--spans N`: so many) of LLM calls of about
//! 2.7 KB as OTLP, ten to a run. `--keep FILE` writes to that file and leaves it, `--ask FILE` asks one that was kept
//! (with the same `--spans`). Never reuses a text: what is written is as hard to compress as prose.
//! With `--writing-only` it asks nothing.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

mod chat;
mod machine;
mod questions;
mod text;
mod writing;

use std::path::{Path, PathBuf};

use writing::Written;

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

    if !has("--questions-only") {
        let plain = folder.path().join("plain.db");
        report(
            "without the index of words",
            &writing::write(&plain, spans, false),
        );
        remove(&plain);
    }
    let path = file("--keep").unwrap_or_else(|| folder.path().join("flowmeter.db"));
    report("with the index of words", &writing::write(&path, spans, true));
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

fn report(what: &str, written: &Written) {
    println!("\nwriting, {what}:");
    println!(
        "  {:>9.0} spans a CPU second, store alone",
        written.spans_per_cpu_second()
    );
    println!(
        "  {:>9.0} spans a second of the clock",
        written.spans_per_second()
    );
    println!(
        "  {:>9.1} s later all is merged, folded and indexed",
        written.settled_s
    );
    println!("  {:>9.0} bytes a span in the file", written.bytes_per_span());
    println!("  {:>9.0} bytes a span as OTLP", written.otlp_bytes_per_span());
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _gone = std::fs::remove_file(name);
    }
}
