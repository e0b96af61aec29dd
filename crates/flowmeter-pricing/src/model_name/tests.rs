//! Tests of the spellings of a model's name.

use super::*;

#[test]
fn only_the_listed_suffixes_are_versions() {
    for (name, stem) in [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@2025-09-29", "claude-sonnet-4-5"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
        (
            "anthropic.claude-3-haiku-20240307-v1:0",
            "anthropic.claude-3-haiku-20240307",
        ),
        ("gemini-2.5-flash-001", "gemini-2.5-flash"),
    ] {
        assert_eq!(strip_version(name), Some(stem), "{name}");
    }
    for name in [
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-4-0613",
        "gpt-4-mystery",
        "claude-sonnet-4-5",
        "model-20251399",
        "x@1",
        "-latest",
        "llama-3.1-70b",
        "o1",
        "",
        "-",
        "é-",
    ] {
        assert_eq!(strip_version(name), None, "{name}");
    }
}

#[test]
fn prefixes_say_who_is_meant() {
    let parts = |name| unprefixed(name).map(|found| (found.provider, found.name));
    assert_eq!(parts("openai/gpt-4o"), Some((Some("openai"), "gpt-4o")));
    assert_eq!(parts("models/gemini-2.5-flash"), Some((None, "gemini-2.5-flash")));
    assert_eq!(
        parts("publishers/google/models/gemini-2.5-pro"),
        Some((Some("google"), "gemini-2.5-pro"))
    );
    assert_eq!(
        parts("projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5@20250929"),
        Some((Some("google"), "claude-sonnet-4-5@20250929"))
    );
    assert_eq!(
        parts("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        Some((Some("aws"), "us.anthropic.claude-sonnet-4-5-20250929-v1:0"))
    );
    assert_eq!(parts("meta-llama/llama-3"), None);
    assert_eq!(parts("gpt-4o"), None);
}

#[test]
fn regions_are_known_by_name() {
    assert_eq!(without_region("us.anthropic.claude-x"), Some("claude-x"));
    assert_eq!(without_region("anthropic.claude-x"), Some("claude-x"));
    assert_eq!(without_region("gemini-2.5-flash"), None);
    assert_eq!(without_region("us.gpt-4.1"), None);
    assert!(is_prefix_only("us.anthropic.") && is_prefix_only("us.") && is_prefix_only("x/y/"));
    assert!(!is_prefix_only("my-") && !is_prefix_only("claude."));
}

#[test]
fn a_fine_tune_names_its_base() {
    assert_eq!(
        fine_tuned_base("ft:gpt-4o-2024-08-06:org::id"),
        Some("gpt-4o-2024-08-06")
    );
    assert_eq!(fine_tuned_base("gpt-4o"), None);
}

#[test]
fn no_name_breaks_the_parts() {
    arbtest::arbtest(|u| {
        let name: String = u.arbitrary()?;
        let _ = (
            unprefixed(&name),
            without_region(&name),
            strip_version(&name),
            is_prefix_only(&name),
        );
        assert!(name.starts_with(stem(&name)));
        Ok(())
    });
}
