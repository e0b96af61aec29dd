//! Rules about the pages in the root: which must be there, and what must be in them.
//!
//! Never judges the prose.

use super::Finding;

/// ARCHITECTURE.md may have this many lines.
const MOST_ARCHITECTURE_LINES: usize = 300;
/// The heading in CHANGELOG.md under which changes are noted.
const UNRELEASED: &str = "## Unreleased";

/// The pages are there and in shape; `page` gives the text of a file in the root, if it exists.
pub(super) fn check(page: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        if page(name).is_none() {
            findings.push(Finding::error(name, 1, "the page is missing"));
        }
    }
    let lines = page("ARCHITECTURE.md").map_or(0, |text| text.lines().count());
    if lines > MOST_ARCHITECTURE_LINES {
        let message = format!("{lines} lines; at most {MOST_ARCHITECTURE_LINES} are allowed");
        findings.push(Finding::error(
            "ARCHITECTURE.md",
            MOST_ARCHITECTURE_LINES + 1,
            message,
        ));
    }
    if page("CHANGELOG.md").is_some_and(|text| !text.lines().any(|line| line.trim_end() == UNRELEASED)) {
        findings.push(Finding::error(
            "CHANGELOG.md",
            1,
            format!("the heading `{UNRELEASED}` is missing"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests;
