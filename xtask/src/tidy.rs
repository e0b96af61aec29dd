//! `cargo xtask tidy`: the project's own rules, each a pure function from texts to findings.
//!
//! Never mends anything and never stops at the first finding: all are gathered, sorted and printed.

mod arrows;
mod files;
mod knowledge;
mod lock;
mod manifests;
mod pages;
mod rust;
mod source;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use self::source::SourceFile;
use crate::command;
use crate::workspace::{self, Workspace};

/// Something that breaks a rule, or comes near it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
    is_warning: bool,
}

impl Finding {
    /// A broken rule.
    fn error(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line,
            message: message.into(),
            is_warning: false,
        }
    }

    /// A rule that is nearly broken.
    fn warning(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self {
            is_warning: true,
            ..Self::error(path, line, message)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_warning { "warning: " } else { "" };
        write!(f, "{}:{}: {severity}{}", self.path, self.line, self.message)
    }
}

/// Checks the workspace, prints what it finds, and fails if there is more than warnings.
pub(crate) fn run() -> Result<ExitCode> {
    let findings = findings(&Workspace::load()?)?;
    for finding in &findings {
        println!("{finding}");
    }
    let (line, code) = verdict(&findings);
    println!("{line}");
    Ok(code)
}

/// The closing line, and the exit code that goes with it.
fn verdict(findings: &[Finding]) -> (String, ExitCode) {
    let warnings = findings.iter().filter(|finding| finding.is_warning).count();
    let errors = findings.len() - warnings;
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let line = format!(
        "tidy: {}, {}",
        count(errors, "finding"),
        count(warnings, "warning")
    );
    (
        line,
        if errors == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        },
    )
}

/// Runs every check on the workspace as it lies on disk.
fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let root = &workspace.root;
    let sources = SourceFile::read_all(root, &["crates", "xtask", workspace::PEERS, workspace::FUZZ])?;
    let page = |name: &str| std::fs::read_to_string(root.join(name)).ok();
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let root_manifest = std::fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let packages = lock::packages(&lock)?;

    let mut findings = Vec::new();
    findings.extend(arrows::check(&workspace.members));
    findings.extend(files::check(&sources));
    findings.extend(rust::check(&sources));
    findings.extend(knowledge::check_dependencies(&workspace.members));
    findings.extend(knowledge::check_code(&sources));
    findings.extend(knowledge::check_llm_client(&workspace.members, &sources));
    findings.extend(manifests::check(&root_manifest, &workspace.members));
    findings.extend(manifests::check_peers(&workspace.peers));
    findings.extend(manifests::check_peers(&workspace.fuzz));
    findings.extend(manifests::check_unsafe(&sources));
    findings.extend(lock::check_count(&packages));
    findings.extend(lock::check_banned(&packages, built_packages)?);
    findings.extend(pages::check(page));
    findings.sort();
    Ok(findings)
}

/// The names of all packages that any build of the workspace would compile, on any platform.
fn built_packages() -> Result<BTreeSet<String>> {
    let tree = command::cargo_output(&[
        "tree",
        "--locked",
        "--workspace",
        "--target=all",
        "--edges=normal,build,dev",
        "--prefix=none",
        "--format={p}",
    ])?;
    Ok(lock::names_in_tree(&tree))
}

/// A path below the root as findings show it, with `/` on every platform.
fn shown_path(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}

#[cfg(test)]
mod tests;
