//! Rules about the dependencies as a whole: how many there are, and which there may not be.
//!
//! Never asks which crate of the workspace brought a dependency in; `cargo tree -i NAME` tells.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::Finding;

/// Where the findings point to.
const LOCK: &str = "Cargo.lock";
/// So many packages may be in the lock file.
const MOST_PACKAGES: usize = 390;

/// Packages that may not be built, by name or, with a `*`, by the start of it; and why.
const BANNED: &[(&str, &str)] = &[
    ("aws-lc-rs", "rustls uses ring"),
    ("aws-lc-sys", "rustls uses ring"),
    ("openssl-sys", "TLS is rustls"),
    ("datafusion*", "too large for what it would do here"),
    ("duckdb", "history is in SQLite"),
    ("libduckdb-sys", "history is in SQLite"),
    ("aws-sdk*", "too large for what it would do here"),
    ("cmake", "a build needs nothing but cargo and a C compiler"),
    ("prost-build", "a build may not need protoc"),
    ("protobuf-src", "a build may not need protoc"),
    ("protoc*", "a build may not need protoc"),
];

/// A package in the lock file, with the line that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    name: String,
    line: usize,
}

/// The packages of a lock file.
pub(super) fn packages(lock: &str) -> Result<Vec<Package>> {
    let table: Table = lock.parse().context("Cargo.lock is not TOML")?;
    let entries = table
        .get("package")
        .and_then(Value::as_array)
        .context("Cargo.lock lists no packages")?;
    let names = entries.iter().filter_map(|entry| entry.get("name")?.as_str());
    // The entries come in the order of their lines, so each name is looked for after the one before.
    let mut lines = lock.lines().enumerate();
    let located = names.map(|name| {
        let heading = format!("name = \"{name}\"");
        let line = lines
            .find(|(_, line)| *line == heading)
            .map_or(1, |(index, _)| index + 1);
        Package {
            name: name.to_owned(),
            line,
        }
    });
    Ok(located.collect())
}

/// There are not too many.
pub(super) fn check_count(packages: &[Package]) -> Option<Finding> {
    let count = packages.len();
    (count > MOST_PACKAGES).then(|| {
        let message = format!("{count} packages; at most {MOST_PACKAGES} are allowed");
        Finding::error(LOCK, 1, message)
    })
}

/// No banned package is built.
///
/// The lock file also lists packages that no build selects, such as those behind `name?/feature`. So the
/// exact set, `built`, is asked for; but only if there is a suspect, since it takes a while to find out.
pub(super) fn check_banned(
    packages: &[Package],
    built: impl FnOnce() -> Result<BTreeSet<String>>,
) -> Result<Vec<Finding>> {
    let suspects: Vec<(&Package, &str)> = packages
        .iter()
        .filter_map(|package| Some((package, reason(&package.name)?)))
        .collect();
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let built = built()?;
    let found = suspects
        .into_iter()
        .filter(|(package, _)| built.contains(&package.name));
    Ok(found
        .map(|(Package { name, line }, reason)| {
            let message =
                format!("`{name}` may not be built: {reason} (see `cargo tree --target all -i {name}`)");
            Finding::error(LOCK, *line, message)
        })
        .collect())
}

/// The names in what `cargo tree --prefix none` prints.
pub(super) fn names_in_tree(tree: &str) -> BTreeSet<String> {
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(ToOwned::to_owned)
        .collect()
}

/// Why the package is banned, if it is.
fn reason(name: &str) -> Option<&'static str> {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    BANNED
        .iter()
        .find(|(pattern, _)| matches(pattern))
        .map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests;
