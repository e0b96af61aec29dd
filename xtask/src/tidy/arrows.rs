//! Which crate of the workspace may depend on which: the table of the design, and its check.
//!
//! Never looks at crates from outside the workspace: `knowledge` and `lock` do.

use super::Finding;
use crate::workspace::{Dependency, Kind, Member};

/// The crate that stands above all others; nothing may depend on it.
const BINARY: &str = "flowmeter-cli";

/// Every crate, with the crates it may depend on.
pub(super) const ARROWS: &[(&str, &[&str])] = &[
    ("flowmeter-model", &[]),
    ("flowmeter-engine", &[]),
    ("flowmeter-pricing", &["flowmeter-model"]),
    ("flowmeter-otlp", &["flowmeter-model"]),
    (
        "flowmeter",
        &[
            "flowmeter-model",
            "flowmeter-pricing",
            "flowmeter-otlp",
            "flowmeter-engine",
        ],
    ),
    (
        "flowmeter-workflow",
        &[
            "flowmeter",
            "flowmeter-engine",
            "flowmeter-pricing",
            "flowmeter-model",
        ],
    ),
    ("flowmeter-store", &["flowmeter-model"]),
    ("flowmeter-clickhouse", &["flowmeter-store", "flowmeter-model"]),
    (
        "flowmeter-server",
        &[
            "flowmeter-store",
            "flowmeter-otlp",
            "flowmeter-pricing",
            "flowmeter",
            "flowmeter-model",
        ],
    ),
    (
        BINARY,
        &[
            "flowmeter",
            "flowmeter-clickhouse",
            "flowmeter-engine",
            "flowmeter-model",
            "flowmeter-otlp",
            "flowmeter-pricing",
            "flowmeter-server",
            "flowmeter-store",
            "flowmeter-workflow",
        ],
    ),
    ("xtask", &[]),
];

/// Every crate is in the table and in the folder of its name, and has only the arrows it may have.
pub(super) fn check(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        let at_manifest = |message: String| Finding::error(member.manifest_path(), 1, message);
        if member.folder.rsplit('/').next() != Some(member.name.as_str()) {
            findings.push(at_manifest(format!(
                "crate `{}` must be in a folder of its name",
                member.name
            )));
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == member.name) else {
            findings.push(at_manifest(format!(
                "crate `{}` is not in the table of arrows (xtask/src/tidy/arrows.rs); \
                 add it there and to the design in the same change",
                member.name
            )));
            continue;
        };
        let inner = |dependency: &&Dependency| members.iter().any(|other| other.name == dependency.name);
        for dependency in member.dependencies.iter().filter(inner) {
            if let Some(message) = forbidden(&member.name, dependency, allowed) {
                findings.push(Finding::error(
                    member.manifest_path(),
                    member.line_of(dependency),
                    message,
                ));
            }
        }
    }
    findings
}

/// Why the arrow is forbidden, if it is.
fn forbidden(from: &str, dependency: &Dependency, allowed: &[&str]) -> Option<String> {
    let to = dependency.name.as_str();
    if dependency.kind == Kind::Dev && to == BINARY {
        return Some(format!(
            "`{from}` may not depend on `{BINARY}`, not even for its tests"
        ));
    }
    if allowed.contains(&to) {
        return None;
    }
    let allowed = if allowed.is_empty() {
        "none".to_owned()
    } else {
        allowed.join(", ")
    };
    Some(format!(
        "`{from}` may not depend on `{to}`; crates of the workspace it may use: {allowed}"
    ))
}

#[cfg(test)]
mod tests;
