//! Which entry of the bundled book a name means, and that no name means a wrong one.

use super::*;

mod names;

#[track_caller]
fn matches(hint: Option<&str>, model: &str, wanted: &str) {
    let found = find(Calculator::bundled(), hint, model);
    assert_eq!(
        found.map_or("nothing".to_owned(), |found| found.key.to_string()),
        wanted,
        "{hint:?} {model}"
    );
}

#[test]
fn names_in_use_are_found() {
    for (hint, model, wanted) in [
        (None, "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5"),
        (None, "claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5"),
        (
            Some("anthropic"),
            "claude-3-5-sonnet-latest",
            "anthropic/claude-3-5-sonnet",
        ),
        (
            Some("anthropic"),
            "claude-sonnet-4-20250514",
            "anthropic/claude-sonnet-4-0",
        ),
        (
            Some("anthropic"),
            "claude-opus-4-1-20250805",
            "anthropic/claude-opus-4-1",
        ),
        (
            Some("anthropic"),
            "Claude-3-Haiku-20240307",
            "anthropic/claude-3-haiku",
        ),
        (Some("openai"), "gpt-4o-2024-08-06", "openai/gpt-4o"),
        (None, "gpt-4o-20240806", "openai/gpt-4o"),
        (Some("openai"), "gpt-4-0613", "openai/gpt-4"),
        (Some("openai"), "gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
        (
            Some("openai"),
            "text-embedding-3-small",
            "openai/text-embedding-3-small",
        ),
        (None, "openai/gpt-4o", "openai/gpt-4o"),
        (Some("azure.ai.openai"), "gpt-4o", "azure/gpt-4o"),
        (Some("gemini"), "gemini-2.5-flash", "google/gemini-2.5-flash"),
        (
            Some("gemini"),
            "models/gemini-2.5-flash",
            "google/gemini-2.5-flash",
        ),
        (None, "models/gemini-2.5-flash-001", "google/gemini-2.5-flash"),
        (
            Some("gcp.vertex_ai"),
            "gemini-2.5-flash-001",
            "google/gemini-2.5-flash",
        ),
        (
            Some("gcp.gemini"),
            "gemini-2.0-flash-001",
            "google/gemini-2.0-flash",
        ),
        (
            Some("gemini"),
            "gemini-2.5-pro-preview-05-06",
            "google/gemini-2.5-pro",
        ),
        (
            Some("vertex_ai"),
            "claude-sonnet-4-5@20250929",
            "google/claude-sonnet-4-5",
        ),
        (
            Some("groq"),
            "llama-3.3-70b-versatile",
            "groq/llama-3.3-70b-versatile",
        ),
        (Some("deepseek"), "deepseek-chat", "deepseek/deepseek-chat"),
        (None, "deepseek-chat", "deepseek/deepseek-chat"),
        (Some("x_ai"), "grok-4", "x-ai/grok-4-0709"),
        (Some("xai"), "grok-4-0709", "x-ai/grok-4-0709"),
        (None, "grok-4", "x-ai/grok-4-0709"),
        (
            Some("mistral_ai"),
            "mistral-large-latest",
            "mistral/mistral-large",
        ),
        (None, "mistral-large-latest", "mistral/mistral-large"),
        (Some("open_router"), "openai/gpt-4o", "openrouter/openai/gpt-4o"),
        (Some("perplexity"), "sonar-pro", "perplexity/sonar-pro"),
        (Some("cohere"), "command-r-plus-08-2024", "cohere/command-r-plus"),
        (
            Some("openrouter"),
            "anthropic/claude-sonnet-4.5",
            "openrouter/anthropic/claude-sonnet-4.5",
        ),
    ] {
        matches(hint, model, wanted);
    }
}

#[test]
fn an_entry_is_found_under_its_own_id() {
    // Ids that the entry's own rule does not match.
    for (hint, model, wanted) in [
        ("fireworks", "deepseek-v3p2", "fireworks/deepseek-v3p2"),
        ("fireworks", "fireworks/deepseek-v3p2", "fireworks/deepseek-v3p2"),
        (
            "bedrock",
            "regional.anthropic.claude-opus-5",
            "aws/regional.anthropic.claude-opus-5",
        ),
        ("mistral", "codestral", "mistral/codestral"),
        ("mistral", "Magistral-Small", "mistral/magistral-small"),
        ("mistral", "mistral-medium-3-1", "mistral/mistral-medium-3-1"),
        ("openai", "ft:gpt-4o", "openai/ft:gpt-4o"),
        ("openai", "ft:gpt-4o-mini", "openai/ft:gpt-4o-mini"),
        (
            "minimax",
            "MiniMax-M2.1-highspeed",
            "minimax/MiniMax-M2.1-highspeed",
        ),
    ] {
        matches(Some(hint), model, wanted);
    }
    matches(
        None,
        "aws/regional.amazon.nova-2-lite-v1:0",
        "aws/regional.amazon.nova-2-lite-v1:0",
    );
    matches(None, "regional.openai.gpt-6-sol", "aws/regional.openai.gpt-6-sol");
    let book = Calculator::bundled();
    for model in ["deepseek-v3p", "accounts/fireworks/models/mine"] {
        assert_eq!(find(book, Some("fireworks"), model), None, "{model}");
    }
    for provider in book.providers() {
        for model in provider.models() {
            let found = find_at(book, provider.id(), &fold(model.id()));
            let found = found.map(|found| found.key.to_string());
            let wanted = format!("{}/{}", provider.id(), model.id());
            // Without any spelling there is no asking for its price.
            if spelling_of(book, provider.id(), model.id()).is_some() {
                assert_eq!(found, Some(wanted));
            }
        }
    }
}

#[test]
fn bedrock_keeps_the_region_that_sets_the_price() {
    let regional = "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0";
    matches(
        Some("bedrock"),
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        regional,
    );
    matches(None, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", regional);
    matches(
        Some("aws.bedrock"),
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        regional,
    );
    matches(
        Some("aws.bedrock"),
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "aws/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
    );
}

#[test]
fn a_fine_tune_takes_the_fine_tuned_entry() {
    matches(Some("openai"), "ft:gpt-4o-2024-08-06:org::id", "openai/ft:gpt-4o");
    matches(None, "ft:gpt-4o-mini-2024-07-18:org::id", "openai/ft:gpt-4o-mini");
    matches(None, "ft:gpt-3.5-turbo-0125:org::id", "openai/ft:gpt-3.5-turbo-");
    matches(None, "ft:gpt-4.1-mini-2025-04-14:org::id", "nothing");
    matches(None, "ft:gpt-3.5-turbo-mystery:org::id", "nothing");
}

#[test]
fn what_only_looks_alike_is_not_taken() {
    for model in [
        "gpt-4-mystery",
        "claude-nonexistent-99",
        "gpt-4o-mini-custom",
        "claude-sonnet-4-5-custom",
        "my-claude-v2-clone",
        "claude-haiku-4-55",
        "gemini-2.5-pro-ultra",
        "deepseek-chatty",
        "claude-3-opus-mini",
        "grok-99",
        "",
        " ",
        "/",
        "gpt-5-nano-mystery",
        "claude-sonnet-4-20",
        "not-a-gemini-1.5-pro",
    ] {
        for hint in [
            None,
            Some("openai"),
            Some("anthropic"),
            Some("gemini"),
            Some("bedrock"),
            Some("deepseek"),
        ] {
            matches(hint, model, "nothing");
        }
    }
    matches(
        Some("bedrock"),
        "evil.us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "nothing",
    );
    matches(None, &"gpt-4o".repeat(400), "nothing");
}

#[test]
fn an_unknown_host_is_priced_only_where_the_maker_alone_sets_the_price() {
    let book = Calculator::bundled();
    let found = find(book, Some("litellm"), "anthropic/claude-sonnet-4-5").unwrap();
    assert_eq!(found.key, "anthropic/claude-sonnet-4-5");
    assert!(found.warning.unwrap().contains("`litellm`"));
    matches(Some("my-gateway"), "gpt-4o", "openai/gpt-4o");
    matches(
        Some("openai"),
        "anthropic/claude-sonnet-4-5",
        "anthropic/claude-sonnet-4-5",
    );
    matches(Some("vllm"), "deepseek-chat", "nothing");
    matches(Some("ibm.watsonx.ai"), "mistral-large", "nothing");
    matches(Some("groq"), "gpt-4o", "nothing");
}

#[test]
fn every_entry_is_found_under_its_own_id() {
    let book = Calculator::bundled();
    let mut lost = Vec::new();
    let mut all = 0;
    for provider in book.providers() {
        for model in provider.models() {
            all += 1;
            let own = look_up(book, Some(provider.id()), model.id())
                .is_some_and(|found| found.model_id == model.id());
            let found = accept(book, provider.id(), &model.id().to_lowercase(), "exact model");
            // Some ids of the book are labels that its own rules do not match, so nothing can be lost there.
            if own && found.is_none() && model.id() == model.id().to_lowercase() {
                lost.push(format!("{}/{}", provider.id(), model.id()));
            }
        }
    }
    assert!(all > 2_000);
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
fn the_release_named_is_the_release_used() {
    let manifest = include_str!("../../../../Cargo.toml");
    let pinned = crate::edition::BUNDLED_SOURCE.rsplit(' ').next().unwrap();
    assert!(manifest.contains(&format!("genai-prices = \"={pinned}\"")));
}

#[test]
fn no_name_breaks_the_search() {
    arbtest::arbtest(|u| {
        let noise: String = u.arbitrary()?;
        let model = format!(
            "{}{noise}",
            u.choose(&["", "gpt-4o", "ft:gpt-4o", "models/", "us.anthropic.claude-"])?
        );
        let _ = find(
            Calculator::bundled(),
            *u.choose(&[None, Some("openai"), Some("google"), Some("bedrock")])?,
            &model,
        );
        Ok(())
    })
    .budget_ms(1_500);
}
