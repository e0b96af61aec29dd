//! Rules about the manifests: unsafe code is forbidden once, and every crate takes the lints over.
//!
//! Never reads the lints' results; clippy and rustc enforce them.

use toml::{Table, Value};

use super::Finding;
use crate::workspace::Member;

/// The root forbids unsafe code, and every member inherits its lints.
pub(super) fn check(root_manifest: &str, members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if lint_level(root_manifest, "unsafe_code").as_deref() != Some("forbid") {
        let message = "`[workspace.lints.rust]` must have `unsafe_code = \"forbid\"`";
        findings.push(Finding::error("Cargo.toml", 1, message));
    }
    for member in members.iter().filter(|member| !inherits_lints(&member.manifest)) {
        let message = format!("crate `{}` must have `[lints] workspace = true`", member.name);
        findings.push(Finding::error(member.manifest_path(), 1, message));
    }
    findings
}

/// The level of a rustc lint of the workspace.
fn lint_level(root_manifest: &str, lint: &str) -> Option<String> {
    let manifest: Table = root_manifest.parse().ok()?;
    let level = manifest.get("workspace")?.get("lints")?.get("rust")?.get(lint)?;
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
