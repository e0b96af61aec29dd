//! Rules about each source file as a whole: its length, its first line, its name.
//!
//! Never looks at what the code says; `rust` and `knowledge` do.

use super::Finding;
use super::rust::identifier_after;
use super::source::SourceFile;

/// A source file may have this many lines before it is time to think of splitting it.
const MANY_LINES: usize = 500;
/// And this many at most.
const MOST_LINES: usize = 800;
/// A test file may have this many.
const MOST_TEST_LINES: usize = 1500;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "common", "data", "helper", "helpers", "info", "manager", "misc", "util", "utils",
];

/// All rules of this page, for each file.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        findings.extend(length(file));
        findings.extend(opening(file));
        findings.extend(names(file));
    }
    findings
}

/// Files stay short enough to be read in one go.
fn length(file: &SourceFile) -> Option<Finding> {
    let lines = file.text.lines().count();
    let most = if file.is_test() {
        MOST_TEST_LINES
    } else {
        MOST_LINES
    };
    if lines > most {
        return Some(Finding::error(
            &file.path,
            most + 1,
            format!("{lines} lines; at most {most} are allowed"),
        ));
    }
    if lines > MANY_LINES && !file.is_test() {
        let message = format!("{lines} lines; split it before it has more than {most}");
        return Some(Finding::warning(&file.path, MANY_LINES + 1, message));
    }
    None
}

/// A file opens by saying what it is for.
fn opening(file: &SourceFile) -> Option<Finding> {
    let first = file.text.lines().next().unwrap_or_default();
    let said = first
        .strip_prefix("//!")
        .is_some_and(|rest| !rest.trim().is_empty());
    let message = "the first line must be `//!` and say what the file is for and what it never does";
    (!said).then(|| Finding::error(&file.path, 1, message))
}

/// Files, folders and modules have names that say something.
fn names(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut judge = |line: usize, what: &str, name: &str| {
        if EMPTY_NAMES.contains(&name) {
            let message = format!("{what} name `{name}` says nothing; name it after what it does");
            findings.push(Finding::error(&file.path, line, message));
        }
    };
    judge(1, "file", file.stem());
    file.folders().for_each(|folder| judge(1, "folder", folder));
    for (index, line) in file.lexed.code.lines().enumerate() {
        if let Some((name, rest)) = identifier_after(line, "mod")
            && rest.trim_start().starts_with('{')
        {
            judge(index + 1, "module", name);
        }
    }
    findings
}

#[cfg(test)]
mod tests;
