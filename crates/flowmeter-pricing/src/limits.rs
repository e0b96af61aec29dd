//! The most output tokens that one call to a well-known model can give, as its maker publishes it.
//!
//! The price book has no such figures. Never guesses: a model that is not listed here has no limit here,
//! and names are matched by the same rules as for prices, never by their beginning.
//!
//! Sources, as of 2026-11: the model pages of platform.openai.com/docs/models, docs.claude.com/en/docs/
//! about-claude/models, ai.google.dev/gemini-api/docs/models, docs.mistral.ai, api-docs.deepseek.com,
//! docs.x.ai/docs/models, docs.cohere.com/docs/models, docs.aws.amazon.com/nova and console.groq.com/docs/models.
//! Where a maker limits only prompt and answer together, the figure is that context window.

use crate::host::{fold, known_id};
use crate::model_name::{fine_tuned_base, strip_version, unprefixed, without_region};

/// Maximum output tokens by model. A name with a provider before it holds for that provider only.
const LIMITS: &[(u64, &[&str])] = &[
    // OpenAI
    (
        4_096,
        &[
            "gpt-3.5-turbo",
            "gpt-3.5-turbo-0125",
            "gpt-3.5-turbo-1106",
            "gpt-3.5-turbo-instruct",
            "gpt-4-turbo",
            "gpt-4-turbo-preview",
            "gpt-4-0125-preview",
            "gpt-4-1106-preview",
            "gpt-4-vision-preview",
            "gpt-4o-2024-05-13",
            "gpt-4o-realtime-preview",
            "gpt-4o-mini-realtime-preview",
            "gpt-realtime",
            "gpt-realtime-mini",
        ],
    ),
    (8_192, &["gpt-4", "gpt-4-0613", "gpt-4-0314"]),
    (
        16_384,
        &[
            "gpt-3.5-turbo-16k",
            "gpt-4o",
            "gpt-4o-mini",
            "gpt-4o-audio-preview",
            "gpt-4o-mini-audio-preview",
            "gpt-4o-search-preview",
            "gpt-4o-mini-search-preview",
            "chatgpt-4o-latest",
            "gpt-4.5-preview",
            "gpt-audio",
            "gpt-audio-mini",
            "gpt-5-chat-latest",
            "gpt-5.1-chat-latest",
            "gpt-5.2-chat-latest",
        ],
    ),
    (
        32_768,
        &[
            "gpt-4.1",
            "gpt-4.1-mini",
            "gpt-4.1-nano",
            "gpt-4-32k",
            "o1-preview",
        ],
    ),
    (65_536, &["o1-mini"]),
    (
        100_000,
        &[
            "o1",
            "o1-pro",
            "o3",
            "o3-mini",
            "o3-pro",
            "o3-deep-research",
            "o4-mini",
            "o4-mini-deep-research",
            "codex-mini-latest",
        ],
    ),
    (
        128_000,
        &[
            "gpt-5",
            "gpt-5-mini",
            "gpt-5-nano",
            "gpt-5-codex",
            "gpt-5.1",
            "gpt-5.1-codex",
            "gpt-5.1-codex-mini",
            "gpt-5.1-codex-max",
            "gpt-5.2",
            "gpt-5.2-codex",
            "gpt-5.2-pro",
            "gpt-5.4",
            "gpt-5.4-mini",
            "gpt-5.4-nano",
            "gpt-5.4-pro",
            "gpt-5.5",
            "gpt-5.5-pro",
        ],
    ),
    (131_072, &["gpt-oss-120b", "gpt-oss-20b"]),
    (272_000, &["gpt-5-pro"]),
    // Anthropic
    (
        4_096,
        &[
            "claude-instant-1.2",
            "claude-2",
            "claude-2.0",
            "claude-2.1",
            "claude-3-opus",
            "claude-3-sonnet",
            "claude-3-haiku",
        ],
    ),
    (8_192, &["claude-3-5-sonnet", "claude-3-5-haiku"]),
    (32_000, &["claude-opus-4", "claude-opus-4-0", "claude-opus-4-1"]),
    (
        64_000,
        &[
            "claude-sonnet-4",
            "claude-sonnet-4-0",
            "claude-sonnet-4-5",
            "claude-haiku-4-5",
            "claude-opus-4-5",
        ],
    ),
    // With the header for long outputs; 64,000 without it.
    (
        128_000,
        &["claude-3-7-sonnet", "claude-sonnet-4-6", "claude-opus-4-6"],
    ),
    // Google
    (
        8_192,
        &[
            "gemini-1.5-pro",
            "gemini-1.5-flash",
            "gemini-1.5-flash-8b",
            "gemini-2.0-flash",
            "gemini-2.0-flash-lite",
            "gemini-2.0-flash-exp",
            "gemma-3-27b-it",
            "gemma-3-12b-it",
            "gemma-3-4b-it",
        ],
    ),
    (32_768, &["gemini-2.5-flash-image", "gemini-3-pro-image-preview"]),
    (
        65_536,
        &[
            "gemini-2.5-pro",
            "gemini-2.5-flash",
            "gemini-2.5-flash-lite",
            "gemini-2.5-flash-preview-09-2025",
            "gemini-2.5-flash-lite-preview-09-2025",
            "gemini-3-pro-preview",
            "gemini-3-flash-preview",
            "gemini-3.1-pro-preview",
            "gemini-3.1-flash-lite",
        ],
    ),
    // Mistral: the context window
    (
        131_072,
        &[
            "mistral-small",
            "mistral-small-2506",
            "mistral-medium",
            "mistral-medium-2508",
            "mistral-large-2411",
            "mistral-large-2407",
            "ministral-3b",
            "ministral-3b-2410",
            "ministral-8b",
            "ministral-8b-2410",
            "open-mistral-nemo",
            "open-mistral-nemo-2407",
            "pixtral-12b-2409",
            "pixtral-large",
            "pixtral-large-2411",
            "magistral-small",
            "magistral-medium",
            "devstral-small",
            "devstral-medium",
        ],
    ),
    (32_768, &["open-mistral-7b", "open-mixtral-8x7b", "mistral-tiny"]),
    (65_536, &["open-mixtral-8x22b"]),
    (
        262_144,
        &[
            "codestral",
            "codestral-2501",
            "codestral-2508",
            "mistral-large",
            "mistral-large-2512",
        ],
    ),
    // DeepSeek
    (8_192, &["deepseek/deepseek-chat"]),
    (65_536, &["deepseek/deepseek-reasoner"]),
    // xAI: the context window
    (
        131_072,
        &[
            "grok-2",
            "grok-2-1212",
            "grok-3",
            "grok-3-fast",
            "grok-3-mini",
            "grok-3-mini-fast",
        ],
    ),
    (256_000, &["grok-4", "grok-4-0709", "grok-code-fast-1"]),
    (
        2_000_000,
        &[
            "grok-4-fast",
            "grok-4-fast-reasoning",
            "grok-4-fast-non-reasoning",
            "grok-4-1-fast-reasoning",
            "grok-4-1-fast-non-reasoning",
        ],
    ),
    // Cohere
    (
        4_096,
        &[
            "command",
            "command-light",
            "command-r",
            "command-r-03-2024",
            "command-r-08-2024",
            "command-r-plus",
            "command-r-plus-04-2024",
            "command-r-plus-08-2024",
            "command-r7b-12-2024",
        ],
    ),
    (
        8_192,
        &[
            "command-a-03-2025",
            "command-a-vision-07-2025",
            "command-a-translate-08-2025",
        ],
    ),
    (32_768, &["command-a-reasoning-08-2025"]),
    // Amazon and what Bedrock hosts
    (10_000, &["aws/nova-micro", "aws/nova-lite", "aws/nova-pro"]),
    (32_000, &["aws/nova-premier"]),
    (65_536, &["aws/nova-2-lite"]),
    (4_096, &["aws/titan-text-lite"]),
    (8_192, &["aws/titan-text-express"]),
    (3_072, &["aws/titan-text-premier"]),
    (
        8_192,
        &[
            "aws/llama3-1-8b-instruct",
            "aws/llama3-1-70b-instruct",
            "aws/llama3-1-405b-instruct",
            "aws/llama3-2-1b-instruct",
            "aws/llama3-2-3b-instruct",
            "aws/llama3-2-11b-instruct",
            "aws/llama3-2-90b-instruct",
            "aws/llama3-3-70b-instruct",
            "aws/llama4-scout-17b-instruct",
            "aws/llama4-maverick-17b-instruct",
        ],
    ),
    (2_048, &["aws/llama3-8b-instruct", "aws/llama3-70b-instruct"]),
    // Groq
    (131_072, &["groq/llama-3.1-8b-instant"]),
    (32_768, &["groq/llama-3.3-70b-versatile"]),
    (65_536, &["groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-20b"]),
    (40_960, &["groq/qwen/qwen3-32b"]),
    (
        8_192,
        &[
            "groq/meta-llama/llama-4-scout-17b-16e-instruct",
            "groq/meta-llama/llama-4-maverick-17b-128e-instruct",
        ],
    ),
    (
        16_384,
        &[
            "groq/moonshotai/kimi-k2-instruct",
            "groq/moonshotai/kimi-k2-instruct-0905",
        ],
    ),
];

/// The published maximum of a model, as far as it is listed.
pub(crate) fn published(provider: Option<&str>, model: &str) -> Option<u64> {
    let model = fold(model);
    let provider = provider.map(fold);
    let id = provider.as_deref().and_then(|hint| known_id(hint).or(Some(hint)));
    // A fine-tune answers as long as its base does: only its price is its own.
    let name = fine_tuned_base(&model).unwrap_or(&model);
    let prefixed = unprefixed(name);
    let short = prefixed.map_or(name, |found| found.name);
    let regionless = without_region(short);
    let id = regionless
        .map(|_| "aws")
        .or(id)
        .or_else(|| prefixed.and_then(|found| found.provider));
    let mut names: Vec<&str> = vec![name, short];
    names.extend(regionless);
    for name in names {
        // OpenRouter's ways of serving (`:free`, `:thinking`) stand behind a colon, Bedrock's releases too.
        for name in [Some(name), name.split_once(':').map(|(front, _)| front)]
            .into_iter()
            .flatten()
        {
            let mut name = Some(name);
            while let Some(spelling) = name {
                if let Some(limit) = listed(id, spelling) {
                    return Some(limit);
                }
                name = strip_version(spelling);
            }
        }
    }
    None
}

fn listed(provider: Option<&str>, name: &str) -> Option<u64> {
    let at = |wanted: &str| {
        LIMITS
            .iter()
            .find(|(_, names)| names.contains(&wanted))
            .map(|(limit, _)| *limit)
    };
    let qualified = provider.and_then(|provider| at(&format!("{provider}/{name}")));
    // Some hosts write `claude-sonnet-4.5`, its maker `claude-sonnet-4-5`.
    qualified.or_else(|| at(name)).or_else(|| {
        let dashed = name.replace('.', "-");
        (dashed != name && name.starts_with("claude-")).then(|| at(&dashed))?
    })
}

#[cfg(test)]
mod tests;
