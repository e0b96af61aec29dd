//! One external command: how it is started, shown and judged.
//!
//! Never captures what a step prints: the output of cargo and of the tests goes straight to the terminal.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A cargo command with a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What the step is called in headings and messages.
    pub(crate) name: String,
    args: Vec<String>,
    env: Vec<(&'static str, &'static str)>,
}

impl Step {
    /// The step `name`, which runs `cargo` with these words.
    pub(crate) fn cargo(name: &str, args: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
        }
    }

    /// Adds words to the end of the command.
    pub(crate) fn args(mut self, more: &[String]) -> Self {
        self.args.extend_from_slice(more);
        self
    }

    /// Sets an environment variable for this step.
    pub(crate) fn env(mut self, key: &'static str, value: &'static str) -> Self {
        self.env.push((key, value));
        self
    }

    /// The command as one would type it.
    pub(crate) fn shown(&self) -> String {
        let mut shown = String::new();
        for (key, value) in &self.env {
            shown.push_str(&format!("{key}='{value}' "));
        }
        shown.push_str("cargo");
        for arg in &self.args {
            shown.push(' ');
            shown.push_str(arg);
        }
        shown
    }

    /// Runs the command and fails unless it succeeds.
    pub(crate) fn run(&self) -> Result<()> {
        eprintln!("==> {}: {}", self.name, self.shown());
        let status = cargo(&self.args)?
            .envs(self.env.iter().copied())
            .status()
            .with_context(|| format!("cannot start `{}`", self.shown()))?;
        if !status.success() {
            bail!(
                "step `{}` failed: `{}` ended with {status}",
                self.name,
                self.shown()
            );
        }
        Ok(())
    }
}

/// A cargo command in the root of the workspace, in the environment the user would have typed it in.
///
/// `cargo run` sets variables about xtask for xtask. Some build scripts ask to be run again when those
/// change, so they would be rebuilt each time the user changes between cargo and `cargo xtask`.
pub(crate) fn cargo<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Result<Command> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(args).current_dir(workspace::root()?);
    for (key, _) in std::env::vars_os() {
        if key.to_str().is_some_and(is_set_by_cargo_run) {
            command.env_remove(key);
        }
    }
    Ok(command)
}

/// Whether `cargo run` sets this variable to describe the package it runs.
pub(crate) fn is_set_by_cargo_run(key: &str) -> bool {
    key.starts_with("CARGO_PKG_")
        || key.starts_with("CARGO_MANIFEST_")
        || matches!(
            key,
            "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE"
        )
}

/// What a cargo command prints; fails with what it complained about unless it succeeds.
pub(crate) fn cargo_output(args: &[&str]) -> Result<String> {
    let output = cargo(args)?
        .output()
        .with_context(|| format!("cannot start `cargo {}`", args.join(" ")))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`cargo {}` ended with {}: {}",
            args.join(" "),
            output.status,
            complaint.trim()
        );
    }
    String::from_utf8(output.stdout).context("cargo printed something that is not UTF-8")
}

/// Whether the command can be started and ends well; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A duration for the eye: `0.4 s`, `12.0 s`, `3 min 05 s`.
pub(crate) fn shown_duration(duration: Duration) -> String {
    if duration < Duration::from_secs(60) {
        return format!("{:.1} s", duration.as_secs_f64());
    }
    let seconds = duration.as_secs();
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests;
