//! Who answered a call: the names under which a provider appears, brought to the price book's ids.
//!
//! Never guesses: a name that is not listed here is left to the price book's own aliases.

use std::borrow::Cow;

/// Where a call ran, as far as the hint tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// On the user's own machine: the provider bills nothing.
    Local,
    /// A provider of the price book, by its id there.
    Known(&'static str),
    /// A name that this table does not know.
    Other,
}

/// Every spelling in use for a provider whose id in the price book differs from it.
const SPELLINGS: &[(&str, &[&str])] = &[
    (
        "google",
        &[
            "google",
            "gemini",
            "vertex",
            "vertex_ai",
            "vertexai",
            "gcp",
            "gcp.gemini",
            "gcp.vertex_ai",
            "gcp.gen_ai",
            "google_genai",
            "google-genai",
            "google_ai",
            "google_vertexai",
        ],
    ),
    ("x-ai", &["x-ai", "xai", "x_ai", "x.ai", "grok"]),
    (
        "aws",
        &[
            "aws",
            "bedrock",
            "aws.bedrock",
            "aws_bedrock",
            "amazon_bedrock",
            "amazon-bedrock",
            "amazon",
        ],
    ),
    (
        "azure",
        &[
            "azure",
            "azure.ai.openai",
            "azure.ai.inference",
            "az.ai.openai",
            "az.ai.inference",
            "azure_openai",
            "azure-openai",
            "azure_ai",
        ],
    ),
    ("openai", &["openai"]),
    ("anthropic", &["anthropic"]),
    ("mistral", &["mistral", "mistral_ai", "mistralai"]),
    ("deepseek", &["deepseek", "deepseek-ai"]),
    ("cohere", &["cohere"]),
    ("groq", &["groq"]),
    ("perplexity", &["perplexity"]),
    ("openrouter", &["openrouter", "open_router", "open-router"]),
    (
        "together",
        &["together", "together_ai", "together-ai", "togetherai"],
    ),
    ("moonshotai", &["moonshotai", "moonshot", "moonshot_ai"]),
    ("fireworks", &["fireworks", "fireworks_ai", "fireworks-ai"]),
    ("zhipuai", &["zhipuai", "zhipu", "bigmodel"]),
    ("zai", &["zai", "z.ai", "z-ai"]),
    ("cerebras", &["cerebras"]),
    ("github-copilot", &["github-copilot", "github_copilot", "copilot"]),
];

const LOCAL: &[&str] = &[
    "ollama",
    "ollama_chat",
    "llama.cpp",
    "llamacpp",
    "llama_cpp",
    "lmstudio",
    "lm_studio",
    "local",
];

/// Makers whose models nobody else may host at a price of his own, so the model's name alone tells the
/// price, whatever gateway the call went through.
pub(crate) const CLOSED_MAKERS: &[&str] = &["openai", "anthropic", "google", "x-ai"];

/// Lower case without surrounding space, borrowed where nothing changes.
pub(crate) fn fold(name: &str) -> Cow<'_, str> {
    let trimmed = name.trim();
    if trimmed.chars().any(char::is_uppercase) {
        Cow::Owned(trimmed.to_lowercase())
    } else {
        Cow::Borrowed(trimmed)
    }
}

/// What a provider hint says.
pub(crate) fn host(hint: &str) -> Host {
    let hint = fold(hint);
    if LOCAL.contains(&&*hint) {
        return Host::Local;
    }
    known_id(&hint).map_or(Host::Other, Host::Known)
}

/// The price book's id for a provider's name in lower case.
pub(crate) fn known_id(name: &str) -> Option<&'static str> {
    SPELLINGS
        .iter()
        .find(|(_, spellings)| spellings.contains(&name))
        .map(|(id, _)| *id)
}

/// The price book's ids of all the providers of this table.
pub(crate) fn ids() -> impl Iterator<Item = &'static str> {
    SPELLINGS.iter().map(|(id, _)| *id)
}

/// Every spelling that a user may have put before the slash of an override's key.
pub(crate) fn spellings(id: &str) -> &'static [&'static str] {
    SPELLINGS
        .iter()
        .find(|(candidate, _)| *candidate == id)
        .map_or(&[], |(_, spellings)| spellings)
}
