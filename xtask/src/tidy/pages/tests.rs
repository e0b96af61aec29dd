//! Pages that are missing, too long or without their heading are found.

use super::check;

fn messages(pages: &[(&str, &str)]) -> Vec<String> {
    let page = |name: &str| {
        pages
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, text)| (*text).to_owned())
    };
    check(page).iter().map(ToString::to_string).collect()
}

#[test]
fn pages_in_shape_pass() {
    let pages = [
        ("README.md", ""),
        ("ARCHITECTURE.md", &"\n".repeat(300)),
        ("CHANGELOG.md", "# Changelog\n\n## Unreleased\n"),
    ];
    assert_eq!(messages(&pages), [""; 0]);
}

#[test]
fn missing_pages_are_found() {
    assert_eq!(
        messages(&[]),
        [
            "README.md:1: the page is missing",
            "ARCHITECTURE.md:1: the page is missing",
            "CHANGELOG.md:1: the page is missing"
        ]
    );
}

#[test]
fn a_long_page_and_a_lost_heading_are_found() {
    let pages = [
        ("README.md", ""),
        ("ARCHITECTURE.md", &"\n".repeat(301)),
        ("CHANGELOG.md", "# Changelog\n\n### Unreleased\n"),
    ];
    assert_eq!(
        messages(&pages),
        [
            "ARCHITECTURE.md:301: 301 lines; at most 300 are allowed",
            "CHANGELOG.md:1: the heading `## Unreleased` is missing"
        ]
    );
}
