//! `cargo xtask fuzz`: builds the fuzz targets with the stable compiler and runs them for a while.
//!
//! Never needs nightly Rust or cargo-fuzz: the compiler's own coverage pass is what libFuzzer listens to. What it
//! finds is kept in `fuzz/artifacts`; the corpus in git only grows by hand.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::command;
use crate::workspace::{FUZZ, Workspace};

/// What makes the compiler count the edges that an input takes.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions";

/// How long one input may take, and how much memory: more is a finding.
const LIMITS: [&str; 4] = [
    "-timeout=10",
    "-rss_limit_mb=2048",
    "-max_len=16384",
    "-print_final_stats=1",
];

/// The options of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fuzz only this target
    target: Option<String>,
    /// How long, in seconds, all targets together
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// List the targets and run none
    #[arg(long, conflicts_with_all = ["target", "seconds"])]
    list: bool,
}

/// Builds and runs what was asked for.
pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    let targets = targets(&workspace.root)?;
    if args.list {
        for target in &targets {
            println!("  {target}");
        }
        return Ok(());
    }
    let wanted = wanted(&targets, args.target.as_deref())?;
    fuzz(&workspace, &wanted, args.seconds)
}

/// All targets, for so long together.
pub(crate) fn run_all(seconds: u64) -> Result<()> {
    let workspace = Workspace::load()?;
    let targets = targets(&workspace.root)?;
    fuzz(&workspace, &targets, seconds)
}

/// The names of the targets: a file each in `fuzz/fuzz_targets`.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(FUZZ).join("fuzz_targets");
    let reading = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        if path.extension() == Some(OsStr::new("rs"))
            && let Some(name) = path.file_stem().and_then(OsStr::to_str)
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    ensure!(!names.is_empty(), "there are no targets in {}", folder.display());
    Ok(names)
}

fn wanted(targets: &[String], name: Option<&str>) -> Result<Vec<String>> {
    let Some(name) = name else {
        return Ok(targets.to_vec());
    };
    if !targets.iter().any(|target| target == name) {
        bail!(
            "there is no fuzz target `{name}`; there are: {}",
            targets.join(", ")
        );
    }
    Ok(vec![name.to_owned()])
}

fn fuzz(workspace: &Workspace, targets: &[String], seconds: u64) -> Result<()> {
    let binaries = build(workspace)?;
    let each = (seconds / targets.len() as u64).max(1);
    for target in targets {
        drive(workspace, &binaries, target, each)?;
    }
    Ok(())
}

/// Builds all targets and says where they are. Naming the platform keeps the coverage out of build scripts.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    ensure!(
        ["c++", "g++", "clang++"]
            .iter()
            .any(|compiler| command::succeeds(Command::new(compiler).arg("--version"))),
        "libFuzzer is built from C++ and there is no C++ compiler; install one, on Debian with `apt-get install g++`"
    );
    let host = host()?;
    let folder = workspace.target.join(FUZZ);
    let manifest = workspace.fuzz.manifest_path();
    eprintln!("==> fuzz: building the targets in {}", folder.display());
    let status = command::cargo(&[
        "build",
        "--release",
        "--manifest-path",
        &manifest,
        "--target",
        &host,
    ])?
    .arg("--target-dir")
    .arg(&folder)
    .env("RUSTFLAGS", COVERAGE)
    .status()
    .context("cannot start cargo")?;
    ensure!(
        status.success(),
        "the fuzz targets do not build: cargo ended with {status}"
    );
    Ok(folder.join(host).join("release"))
}

/// The platform that rustc builds for.
fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("cannot start rustc")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    host_in(&told).context("rustc does not say which platform it builds for")
}

fn host_in(told: &str) -> Option<String> {
    told.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
}

/// Runs one target: from the inputs in git and from those it found earlier.
fn drive(workspace: &Workspace, binaries: &Path, target: &str, seconds: u64) -> Result<()> {
    let found = workspace.target.join(FUZZ).join("corpus").join(target);
    let artifacts = workspace.root.join(FUZZ).join("artifacts").join(target);
    for folder in [&found, &artifacts] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    eprintln!("==> fuzz: {target} for {seconds} s");
    let log = workspace.target.join(FUZZ).join(format!("{target}.log"));
    let written = std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = Command::new(binaries.join(target))
        .args(LIMITS)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(&found)
        .arg(workspace.root.join(FUZZ).join("corpus").join(target))
        .stdout(std::process::Stdio::null())
        .stderr(written)
        .status()
        .with_context(|| format!("cannot start the fuzz target `{target}`"))?;
    let told = std::fs::read(&log).unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    if status.success() {
        let runs = told
            .lines()
            .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        eprintln!(
            "<== fuzz: {target}: {} inputs, nothing found",
            runs.map_or("?", str::trim)
        );
        return Ok(());
    }
    for line in told.lines().filter(|line| tells(line)) {
        eprintln!("{line}");
    }
    let binary = binaries.join(target);
    bail!("{}", finding(target, &binary, &artifacts, &log));
}

/// Whether a line of libFuzzer's says what went wrong, and not how it went.
fn tells(line: &str) -> bool {
    [
        "panicked at",
        "ERROR",
        "SUMMARY",
        "Test unit written",
        "left:",
        "right:",
        "says",
    ]
    .iter()
    .any(|word| line.contains(word))
}

/// What to do about a finding.
fn finding(target: &str, binary: &Path, artifacts: &Path, log: &Path) -> String {
    format!(
        "the fuzz target `{target}` found an input that breaks a rule; it is in {}. Run it again with \
         `{} FILE`; all that was said is in {}. When it is mended, add the input to fuzz/corpus/{target}",
        artifacts.display(),
        binary.display(),
        log.display()
    )
}

#[cfg(test)]
mod tests;
