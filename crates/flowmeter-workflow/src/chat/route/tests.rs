//! Tests of the way from a model name to an address; never with the real environment.

use super::*;

fn infer(model: &str) -> &'static str {
    match model {
        name if name.starts_with("gpt-5") => "openai_resp",
        name if name.starts_with("gpt") => "openai",
        name if name.starts_with("claude") => "anthropic",
        name if name.starts_with("gemini") => "gemini",
        name if name.starts_with("grok") => "xai",
        _ => "ollama",
    }
}

fn route(model: &str, env: &[(&str, &str)]) -> Result<Route, ChatError> {
    let lookup = |name: &str| {
        env.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    };
    Route::find(model, &lookup, &infer)
}

fn found(model: &str, env: &[(&str, &str)]) -> (&'static str, &'static str, String, String) {
    let route = route(model, env).unwrap();
    (
        route.provider,
        route.adapter,
        route.model.to_string(),
        route.address,
    )
}

#[test]
fn a_model_finds_its_provider_with_and_without_a_prefix() {
    let keys = [
        ("OPENAI_API_KEY", "k"),
        ("ANTHROPIC_API_KEY", "k"),
        ("GEMINI_API_KEY", "k"),
        ("OPENROUTER_API_KEY", "k"),
        ("XAI_API_KEY", "k"),
    ];
    for (model, provider, adapter, name) in [
        ("gpt-4o", "openai", "openai", "gpt-4o"),
        ("gpt-5-mini", "openai", "openai_resp", "gpt-5-mini"),
        ("openai/gpt-5-mini", "openai", "openai_resp", "gpt-5-mini"),
        ("openai/foo", "openai", "openai", "foo"),
        ("openai::foo", "openai", "openai", "foo"),
        ("claude-sonnet-4-5", "anthropic", "anthropic", "claude-sonnet-4-5"),
        ("Anthropic/claude-x", "anthropic", "anthropic", "claude-x"),
        ("google/gemini-2.5-pro", "gemini", "gemini", "gemini-2.5-pro"),
        (
            "openrouter/meta-llama/llama-3",
            "openrouter",
            "open_router",
            "meta-llama/llama-3",
        ),
        ("grok-4", "xai", "xai", "grok-4"),
        ("ollama::llama3:8b", "ollama", "ollama", "llama3:8b"),
        ("smollm2", "ollama", "ollama", "smollm2"),
        ("meta-llama/llama-3", "ollama", "ollama", "meta-llama/llama-3"),
    ] {
        let (got_provider, got_adapter, got_name, _) = found(model, &keys);
        assert_eq!(
            (got_provider, got_adapter, got_name.as_str()),
            (provider, adapter, name),
            "{model}"
        );
    }
}

#[test]
fn addresses_are_completed_as_each_sdk_does_it() {
    for (model, var, value, address) in [
        ("gpt-4o", "OPENAI_BASE_URL", "http://h:1/v1", "http://h:1/v1/"),
        ("gpt-4o", "OPENAI_BASE_URL", "http://h:1/v1/", "http://h:1/v1/"),
        ("gpt-4o", "OPENAI_BASE_URL", "http://h:1/api", "http://h:1/api/"),
        ("claude-x", "ANTHROPIC_BASE_URL", "http://h:1", "http://h:1/v1/"),
        ("claude-x", "ANTHROPIC_BASE_URL", "http://h:1/", "http://h:1/v1/"),
        (
            "claude-x",
            "ANTHROPIC_BASE_URL",
            "http://h:1/v1",
            "http://h:1/v1/",
        ),
        (
            "gemini-x",
            "GOOGLE_GEMINI_BASE_URL",
            "http://h:1",
            "http://h:1/v1beta/",
        ),
        (
            "gemini-x",
            "GEMINI_BASE_URL",
            "http://h:1/v1beta/",
            "http://h:1/v1beta/",
        ),
        ("groq/x", "GROQ_BASE_URL", "http://h:1", "http://h:1/openai/v1/"),
        ("groq/x", "GROQ_BASE_URL", "http://h:1/v1", "http://h:1/v1/"),
        ("mistral/x", "MISTRAL_BASE_URL", "http://h:1", "http://h:1/v1/"),
        ("ollama/x", "OLLAMA_HOST", "127.0.0.1:99", "http://127.0.0.1:99/"),
        ("ollama/x", "OLLAMA_HOST", "box", "http://box:11434/"),
        ("ollama/x", "OLLAMA_HOST", ":99", "http://localhost:99/"),
        ("ollama/x", "OLLAMA_HOST", "https://box/v1", "https://box/"),
        (
            "bedrock/x",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
            "http://h:1",
            "http://h:1/",
        ),
    ] {
        assert_eq!(found(model, &[(var, value)]).3, address, "{var}={value}");
    }
}

#[test]
fn a_bare_unknown_name_goes_to_a_moved_openai_address() {
    let moved = [("OPENAI_BASE_URL", "http://h:1/v1")];
    assert_eq!(
        found("demo-small", &moved),
        ("openai", "openai", "demo-small".into(), "http://h:1/v1/".into())
    );
    // A compatible server does not know the Responses API.
    assert_eq!(found("gpt-5", &moved).1, "openai");
}

#[test]
fn a_key_is_needed_unless_the_address_was_moved() {
    let error = route("gpt-4o", &[]).unwrap_err();
    assert_eq!(error.error_type, "auth");
    assert!(!error.retryable);
    assert!(error.message.contains("OPENAI_API_KEY"), "{}", error.message);

    assert_eq!(
        route("gpt-4o", &[("OPENAI_BASE_URL", "http://h/v1")])
            .unwrap()
            .key
            .as_deref(),
        Some(NO_KEY)
    );
    assert_eq!(route("smollm2", &[]).unwrap().key, None);
    assert_eq!(
        route("gpt-4o", &[("OPENAI_API_KEY", " ")])
            .unwrap_err()
            .error_type,
        "auth"
    );
}

#[test]
fn wrong_prefixes_names_and_addresses_are_told() {
    assert!(
        route("nobody::x", &[])
            .unwrap_err()
            .message
            .contains("known are openai")
    );
    assert_eq!(
        route("openai/", &[("OPENAI_API_KEY", "k")])
            .unwrap_err()
            .error_type,
        "model"
    );
    let error = route("gpt-4o", &[("OPENAI_BASE_URL", "localhost:8080")]).unwrap_err();
    assert!(error.message.contains("OPENAI_BASE_URL"), "{}", error.message);
}

#[test]
fn a_route_never_shows_its_key() {
    let route = route("gpt-4o", &[("OPENAI_API_KEY", "sk-secret")]).unwrap();
    assert!(!format!("{route:?}").contains("sk-secret"));
}

#[test]
fn a_refusal_comes_with_what_to_do() {
    let own = route("gpt-4o", &[("OPENAI_API_KEY", "k")]).unwrap();
    assert_eq!(own.advice(401).as_deref(), Some("check OPENAI_API_KEY"));
    assert_eq!(own.advice(404).as_deref(), Some("check the model `gpt-4o`"));
    assert!(own.advice(429).unwrap().contains("`max_concurrent`"));
    assert_eq!((own.advice(400), own.advice(500)), (None, None));
    let moved = route("gpt-4o", &[("OPENAI_BASE_URL", "http://u:secret@host:81/v1")]).unwrap();
    assert_eq!(moved.advice(401).as_deref(), Some("set OPENAI_API_KEY"));
    assert_eq!(
        moved.advice(404).as_deref(),
        Some("check the model `gpt-4o`; the address is host:81")
    );
    assert_eq!(route("ollama/x", &[]).unwrap().advice(401), None);
}
