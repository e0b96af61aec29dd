//! Rules about the manifests and about unsafe code: the workspace denies it, every crate takes the lints over
//! and forbids it again, and the few files that a benchmark has bought it for are named here.
//!
//! Never reads the lints' results; clippy and rustc enforce them.

use toml::{Table, Value};

use super::Finding;
use super::rust::lines_with;
use super::source::SourceFile;
use crate::workspace::Member;

/// Files that may contain unsafe code, each small and with a safety comment per block. Their crates cannot
/// forbid it as a whole.
const UNSAFE_FILES: &[&str] = &["crates/flowmeter-engine/src/ticks.rs"];

/// Unsafe code stands only in the files named above, and every other crate forbids it.
pub(super) fn check_unsafe(sources: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let unsafe_crate = |name: &str| {
        UNSAFE_FILES
            .iter()
            .any(|file| file.starts_with(&format!("crates/{name}/")))
    };
    for file in sources {
        if !UNSAFE_FILES.contains(&file.path.as_str()) {
            for line in lines_with(&file.lexed.code, "allow(unsafe_code") {
                let message = "unsafe code belongs to the files listed in xtask/src/tidy/manifests.rs";
                findings.push(Finding::error(&file.path, line, message));
            }
        }
        let is_library = file.path.ends_with("/src/lib.rs");
        if is_library && !unsafe_crate(file.crate_name()) && !file.text.contains("#![forbid(unsafe_code)]") {
            findings.push(Finding::error(
                &file.path,
                1,
                "the crate must have `#![forbid(unsafe_code)]`",
            ));
        }
    }
    findings
}

/// The root denies unsafe code, and every member inherits its lints.
pub(super) fn check(root_manifest: &str, members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if lint_level(root_manifest, "unsafe_code").as_deref() != Some("deny") {
        let message = "`[workspace.lints.rust]` must have `unsafe_code = \"deny\"`";
        findings.push(Finding::error("Cargo.toml", 1, message));
    }
    for member in members.iter().filter(|member| !inherits_lints(&member.manifest)) {
        let message = format!("crate `{}` must have `[lints] workspace = true`", member.name);
        findings.push(Finding::error(member.manifest_path(), 1, message));
    }
    findings
}

/// A package beside the workspace cannot inherit its lints, so it forbids unsafe code by itself; and it is never
/// published.
pub(super) fn check_peers(peers: &Member) -> Vec<Finding> {
    let manifest: Table = peers.manifest.parse().unwrap_or_default();
    let at_manifest = |message: &str| Finding::error(peers.manifest_path(), 1, message);
    let mut findings = Vec::new();
    if level_in(manifest.get("lints"), "unsafe_code").as_deref() != Some("forbid") {
        findings.push(at_manifest("`[lints.rust]` must have `unsafe_code = \"forbid\"`"));
    }
    let publish = manifest.get("package").and_then(|package| package.get("publish"));
    if publish.and_then(Value::as_bool) != Some(false) {
        findings.push(at_manifest("the package must have `publish = false`"));
    }
    findings
}

/// The level of a rustc lint of the workspace.
fn lint_level(root_manifest: &str, lint: &str) -> Option<String> {
    let manifest: Table = root_manifest.parse().ok()?;
    level_in(manifest.get("workspace")?.get("lints"), lint)
}

/// The level of a rustc lint in a table of lints.
fn level_in(lints: Option<&Value>, lint: &str) -> Option<String> {
    let level = lints?.get("rust")?.get(lint)?;
    level
        .as_str()
        .or_else(|| level.get("level")?.as_str())
        .map(ToOwned::to_owned)
}

fn inherits_lints(manifest: &str) -> bool {
    let Ok(manifest) = manifest.parse::<Table>() else {
        return false;
    };
    manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

#[cfg(test)]
mod tests;
