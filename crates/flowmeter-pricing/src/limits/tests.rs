//! Maximum outputs by name.

use super::*;

#[test]
fn well_known_models_have_their_published_limit() {
    for (provider, model, limit) in [
        (Some("openai"), "gpt-4o", Some(16_384)),
        (Some("openai"), "gpt-4o-2024-08-06", Some(16_384)),
        (Some("openai"), "gpt-4o-2024-05-13", Some(4_096)),
        (None, "openai/gpt-4.1-mini", Some(32_768)),
        (None, "ft:gpt-4o-mini-2024-07-18:acme::x", Some(16_384)),
        (Some("anthropic"), "claude-sonnet-4-5-20250929", Some(64_000)),
        (
            Some("openrouter"),
            "anthropic/claude-sonnet-4.5:thinking",
            Some(64_000),
        ),
        (
            Some("bedrock"),
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            Some(64_000),
        ),
        (Some("bedrock"), "amazon.nova-pro-v1:0", Some(10_000)),
        (Some("gemini"), "models/gemini-2.5-flash-001", Some(65_536)),
        (Some("deepseek"), "deepseek-reasoner", Some(65_536)),
        (Some("groq"), "openai/gpt-oss-120b", Some(65_536)),
        (None, "gpt-4oo", None),
        (None, "gpt-4-mystery", None),
        (Some("together"), "deepseek-chat", None),
    ] {
        assert_eq!(published(provider, model), limit, "{provider:?} {model}");
    }
}

#[test]
fn every_name_stands_once_and_in_lower_case() {
    let mut seen = std::collections::BTreeSet::new();
    for name in LIMITS.iter().flat_map(|(_, names)| *names) {
        assert_eq!(*name, name.to_lowercase());
        assert!(seen.insert(*name), "{name} stands twice");
    }
    assert!(seen.len() > 120);
}
