//! The model for whoever names none: that of the first provider for which the environment has a key.
//!
//! Pure: the environment comes in as a lookup. Never says a key, only the name of the variable that holds one.

use smol_str::{SmolStr, format_smolstr};

use super::route::key_variables;

/// Providers in the order in which they are looked for, each with a model that writes structured answers well
/// without being its dearest.
const PREFERRED: [(&str, &str); 10] = [
    ("anthropic", "claude-sonnet-4-5"),
    ("openai", "gpt-4.1"),
    ("gemini", "gemini-2.5-flash"),
    ("mistral", "mistral-large-latest"),
    ("deepseek", "deepseek-chat"),
    ("groq", "llama-3.3-70b-versatile"),
    ("xai", "grok-4-fast-non-reasoning"),
    ("openrouter", "anthropic/claude-sonnet-4.5"),
    ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    ("fireworks", "accounts/fireworks/models/deepseek-v3p1"),
];

/// A model that was chosen because there is a key for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultModel {
    /// As a request names it: `provider/model`.
    pub model: SmolStr,
    /// The variable that holds the key.
    pub key_variable: &'static str,
}

/// The model of the first provider for which `env` has a key.
#[must_use]
pub fn default_model(env: &dyn Fn(&str) -> Option<String>) -> Option<DefaultModel> {
    PREFERRED.iter().find_map(|(provider, model)| {
        let has_key = |variable: &&&str| env(variable).is_some_and(|value| !value.trim().is_empty());
        let key_variable = key_variables(provider).iter().find(has_key)?;
        Some(DefaultModel {
            model: format_smolstr!("{provider}/{model}"),
            key_variable,
        })
    })
}

/// The variables that [`default_model`] looks at, in its order: the first one of each provider.
#[must_use]
pub fn default_model_variables() -> Vec<&'static str> {
    let first = |(provider, _): &(&str, &str)| key_variables(provider).first().copied();
    PREFERRED.iter().filter_map(first).collect()
}

#[cfg(test)]
mod tests;
