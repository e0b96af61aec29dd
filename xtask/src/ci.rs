//! The steps of `ci`, `lint`, `test` and `demo`, and their order.
//!
//! Never decides what is right: it starts tools, times them and stops at the first that fails.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::command::{self, Step, shown_duration};
use crate::fuzz;
use crate::tidy;
use crate::workspace::Workspace;

/// How long a cold run may take on two cores.
const BUDGET: Duration = Duration::from_secs(20 * 60);

/// How long the fuzz targets run, all together.
const FUZZ_SECONDS: u64 = 60;

/// Runs everything a change must pass.
pub(crate) fn ci() -> Result<()> {
    need_components()?;
    need_python()?;
    let mut course = Course::default();
    for step in lint_steps(&Workspace::load()?) {
        course.step(&step.name, || step.run())?;
    }
    course.step("tidy", || {
        eprintln!("==> tidy: cargo xtask tidy");
        ensure!(
            tidy::run()? == ExitCode::SUCCESS,
            "step `tidy` failed: see its findings above"
        );
        Ok(())
    })?;
    let step = demo_step(&[]);
    course.step(&step.name, || step.run())?;
    course.step("fuzz", || fuzz::run_all(FUZZ_SECONDS))?;
    for step in tokenizer_steps() {
        course.step(&step.name, || step.run())?;
    }
    // The tests come last, so that the output ends with their summary.
    for step in test_steps(has_nextest()) {
        course.step(&step.name, || step.run())?;
    }
    course.finish();
    Ok(())
}

/// Formatting, clippy and rustdoc.
pub(crate) fn lint() -> Result<()> {
    need_components()?;
    lint_steps(&Workspace::load()?).iter().try_for_each(Step::run)
}

/// All tests; nothing is printed after the runner's own last line.
pub(crate) fn test() -> Result<()> {
    need_python()?;
    test_steps(has_nextest()).iter().try_for_each(Step::run)
}

/// The demo with these arguments.
pub(crate) fn demo(args: &[String]) -> Result<()> {
    demo_step(args).run()
}

/// The peers' package comes with steps of its own, since it is no member of the workspace. Its dependencies by
/// path are members, which were checked before: `--no-deps`.
fn lint_steps(workspace: &Workspace) -> [Step; 6] {
    let peers = workspace.peers_args();
    [
        Step::cargo("fmt", &["fmt", "--all", "--check"]),
        Step::cargo(
            "clippy",
            &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        ),
        Step::cargo("rustdoc", &["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
        Step::cargo(
            "peers fmt",
            &[
                "fmt",
                "--manifest-path",
                &workspace.peers.manifest_path(),
                "--check",
            ],
        ),
        Step::cargo("peers clippy", &["clippy", "--no-deps", "--all-targets"])
            .args(&peers)
            .args(&["--", "-D", "warnings"].map(str::to_owned)),
        Step::cargo(
            "fuzz fmt",
            &[
                "fmt",
                "--manifest-path",
                &workspace.fuzz.manifest_path(),
                "--check",
            ],
        ),
    ]
}

/// What is not built without the feature `tokenizer`: the crates that have it, alone.
fn tokenizer_steps() -> [Step; 2] {
    let feature = [
        "-p",
        "flowmeter-pricing",
        "-p",
        "flowmeter",
        "--features",
        "flowmeter/tokenizer",
    ];
    let step = |name, subcommand: &str, more: &[&str]| {
        let words = [&[subcommand], feature.as_slice(), more].concat();
        Step::cargo(name, &words)
    };
    [
        step(
            "tokenizer clippy",
            "clippy",
            &["--lib", "--tests", "--", "-D", "warnings"],
        ),
        step("tokenizer", "test", &["--lib", "--", "estimate"]),
    ]
}

/// Doc tests come first, so that the output ends with the summary of the large run.
///
/// `--tests` is every target that has tests; without it `cargo test` would run the doc tests again.
fn test_steps(nextest: bool) -> [Step; 2] {
    let tests: &[&str] = if nextest {
        &["nextest", "run", "--workspace"]
    } else {
        &["test", "--workspace", "--tests"]
    };
    [
        Step::cargo("doc tests", &["test", "--workspace", "--doc"]),
        Step::cargo("tests", tests),
    ]
}

fn demo_step(args: &[String]) -> Step {
    Step::cargo("demo", &["run", "--release", "-p", "flowmeter-cli", "--", "demo"]).args(args)
}

fn has_nextest() -> bool {
    let found = cargo_knows("nextest");
    if !found {
        eprintln!("xtask: cargo-nextest is not installed; running the tests with cargo test");
    }
    found
}

fn cargo_knows(subcommand: &str) -> bool {
    command::cargo(&[subcommand, "--version"]).is_ok_and(|mut command| command::succeeds(&mut command))
}

fn need_components() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        ensure!(
            cargo_knows(subcommand),
            "`cargo {subcommand}` is missing; install it with `rustup component add {component}`"
        );
    }
    Ok(())
}

fn need_python() -> Result<()> {
    if !command::succeeds(Command::new("python3").arg("--version")) {
        bail!(
            "python3 is not on the PATH; the end-to-end tests run programs written in it, so install it first"
        );
    }
    Ok(())
}

/// The steps done so far, with the time each took.
#[derive(Default)]
struct Course {
    done: Vec<(String, Duration)>,
}

impl Course {
    /// Runs one step and notes its time; the error of a failed step says how long it took.
    fn step(&mut self, name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
        let start = Instant::now();
        let result = run();
        let took = start.elapsed();
        if let Err(error) = result {
            eprint!("{}", self.table());
            return Err(error)
                .with_context(|| format!("ci stopped at `{name}` after {}", shown_duration(took)));
        }
        eprintln!("<== {name}: ok in {}", shown_duration(took));
        self.done.push((name.to_owned(), took));
        Ok(())
    }

    fn finish(&self) {
        eprint!("\n{}", self.table());
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        if total > BUDGET {
            eprintln!("xtask: warning: over the budget of {}", shown_duration(BUDGET));
        }
        eprintln!(
            "ci: all {} steps passed in {}",
            self.done.len(),
            shown_duration(total)
        );
    }

    fn table(&self) -> String {
        self.done
            .iter()
            .map(|(name, took)| format!("  {name:<12} {}\n", shown_duration(*took)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
