//! From the name of a model to where its requests go: provider, address, key.
//!
//! Pure: the environment comes in as a lookup. Never sends anything, and never puts a key into a message.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use super::{ChatError, ChatTarget};

/// Looks up an environment variable.
pub type EnvLookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a server at a moved address is sent where no key is set: local servers want some key, and no certain one.
const NO_KEY: &str = "unset";

/// How the value of an address variable becomes the address that paths are joined to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Completion {
    /// The value has the version in it, as OpenAI's SDK wants it.
    AsIs,
    /// The SDK adds this; it is added here unless the value ends in a version.
    Append(&'static str),
    /// Ollama: a host, a host and port, or an address, without a version.
    OllamaHost,
}

/// A provider.
struct Provider {
    /// The prefixes that name it; the first is the name that spans carry.
    names: &'static [&'static str],
    /// The client library's name for its protocol.
    adapter: &'static str,
    /// Its own address.
    address: &'static str,
    /// The variables that move it, the first that is set wins.
    address_vars: &'static [&'static str],
    completion: Completion,
    /// The variables that hold its key; none where it wants no key.
    key_vars: &'static [&'static str],
}

const V1: Completion = Completion::Append("v1");

/// A row of the table below for providers whose adapter has their name.
const fn compatible(
    names: &'static [&'static str],
    adapter: &'static str,
    address: &'static str,
    address_vars: &'static [&'static str],
    key_vars: &'static [&'static str],
) -> Provider {
    Provider {
        names,
        adapter,
        address,
        address_vars,
        completion: V1,
        key_vars,
    }
}

static PROVIDERS: &[Provider] = &[
    Provider {
        names: &["openai"],
        adapter: "openai",
        address: "https://api.openai.com/v1/",
        address_vars: &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
        completion: Completion::AsIs,
        key_vars: &["OPENAI_API_KEY"],
    },
    compatible(
        &["anthropic"],
        "anthropic",
        "https://api.anthropic.com/v1/",
        &["ANTHROPIC_BASE_URL"],
        &["ANTHROPIC_API_KEY"],
    ),
    Provider {
        names: &["gemini", "google", "google_ai", "gcp.gemini"],
        adapter: "gemini",
        address: "https://generativelanguage.googleapis.com/v1beta/",
        address_vars: &["GOOGLE_GEMINI_BASE_URL", "GEMINI_BASE_URL", "GEMINI_API_BASE"],
        completion: Completion::Append("v1beta"),
        key_vars: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    },
    Provider {
        names: &["ollama", "ollama_chat"],
        adapter: "ollama",
        address: "http://localhost:11434/",
        address_vars: &["OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_BASE"],
        completion: Completion::OllamaHost,
        key_vars: &[],
    },
    Provider {
        names: &["groq"],
        adapter: "groq",
        address: "https://api.groq.com/openai/v1/",
        address_vars: &["GROQ_BASE_URL", "GROQ_API_BASE"],
        completion: Completion::Append("openai/v1"),
        key_vars: &["GROQ_API_KEY"],
    },
    compatible(
        &["deepseek"],
        "deepseek",
        "https://api.deepseek.com/v1/",
        &["DEEPSEEK_BASE_URL", "DEEPSEEK_API_BASE"],
        &["DEEPSEEK_API_KEY"],
    ),
    compatible(
        &["mistral", "mistral_ai"],
        "mistral",
        "https://api.mistral.ai/v1/",
        &["MISTRAL_BASE_URL", "MISTRAL_SERVER_URL", "MISTRAL_API_BASE"],
        &["MISTRAL_API_KEY"],
    ),
    compatible(
        &["xai", "x_ai"],
        "xai",
        "https://api.x.ai/v1/",
        &["XAI_BASE_URL", "XAI_API_BASE"],
        &["XAI_API_KEY"],
    ),
    compatible(
        &["openrouter", "open_router"],
        "open_router",
        "https://openrouter.ai/api/v1/",
        &["OPENROUTER_BASE_URL", "OPENROUTER_API_BASE"],
        &["OPENROUTER_API_KEY", "OPEN_ROUTER_API_KEY"],
    ),
    compatible(
        &["together", "together_ai"],
        "together",
        "https://api.together.xyz/v1/",
        &["TOGETHER_BASE_URL", "TOGETHER_API_BASE"],
        &["TOGETHER_API_KEY", "TOGETHERAI_API_KEY"],
    ),
    Provider {
        names: &["fireworks", "fireworks_ai"],
        adapter: "fireworks",
        address: "https://api.fireworks.ai/inference/v1/",
        address_vars: &["FIREWORKS_BASE_URL", "FIREWORKS_API_BASE"],
        completion: Completion::Append("inference/v1"),
        key_vars: &["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"],
    },
    compatible(
        &["perplexity"],
        "openai",
        "https://api.perplexity.ai/",
        &["PERPLEXITY_BASE_URL", "PERPLEXITY_API_BASE"],
        &["PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"],
    ),
    compatible(
        &["cohere"],
        "cohere",
        "https://api.cohere.com/v1/",
        &["CO_API_URL", "COHERE_BASE_URL", "COHERE_API_BASE"],
        &["CO_API_KEY", "COHERE_API_KEY"],
    ),
    Provider {
        names: &["bedrock", "aws.bedrock", "bedrock_api"],
        adapter: "bedrock_api",
        address: "https://bedrock-runtime.{AWS_REGION}.amazonaws.com/",
        address_vars: &["AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"],
        completion: Completion::AsIs,
        key_vars: &["AWS_BEARER_TOKEN_BEDROCK", "BEDROCK_API_KEY"],
    },
    Provider {
        names: &["zai", "z.ai"],
        adapter: "zai",
        address: "https://api.z.ai/api/paas/v4/",
        address_vars: &["ZAI_BASE_URL", "ZAI_API_BASE"],
        completion: Completion::AsIs,
        key_vars: &["ZAI_API_KEY"],
    },
    compatible(
        &["moonshot", "moonshotai"],
        "moonshot",
        "https://api.moonshot.cn/v1/",
        &["MOONSHOT_BASE_URL", "MOONSHOT_API_BASE"],
        &["MOONSHOT_API_KEY"],
    ),
    compatible(
        &["kimi"],
        "kimi",
        "https://api.moonshot.ai/v1/",
        &["KIMI_BASE_URL"],
        &["KIMI_API_KEY", "MOONSHOT_API_KEY"],
    ),
    compatible(
        &["minimax"],
        "minimax",
        "https://api.minimax.io/anthropic/v1/",
        &["MINIMAX_BASE_URL", "MINIMAX_API_BASE"],
        &["MINIMAX_API_KEY"],
    ),
    compatible(
        &["nebius"],
        "nebius",
        "https://api.studio.nebius.ai/v1/",
        &["NEBIUS_BASE_URL", "NEBIUS_API_BASE"],
        &["NEBIUS_API_KEY"],
    ),
    compatible(
        &["dashscope", "aliyun"],
        "aliyun",
        "https://dashscope.aliyuncs.com/compatible-mode/v1/",
        &["DASHSCOPE_BASE_URL", "DASHSCOPE_API_BASE"],
        &["DASHSCOPE_API_KEY", "ALIYUN_API_KEY"],
    ),
];

/// Where the requests of one model go.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// What spans call the provider.
    pub(crate) provider: &'static str,
    /// The client library's name of the protocol to speak.
    pub(crate) adapter: &'static str,
    /// The model's name there.
    pub(crate) model: SmolStr,
    /// The address, with a slash at its end.
    pub(crate) address: String,
    /// Whether a variable moved the address.
    pub(crate) moved: bool,
    /// The key to send.
    pub(crate) key: Option<String>,
    /// Whether the name said nothing about the provider, so that this one is a guess.
    pub(crate) guessed: bool,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("provider", &self.provider)
            .field("adapter", &self.adapter)
            .field("model", &self.model)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Route {
    /// Finds the way for `model`. `infer` tells the protocol that a bare model name belongs to, `ollama` where
    /// it knows nothing.
    pub(crate) fn find(
        model: &str,
        env: &dyn Fn(&str) -> Option<String>,
        infer: &dyn Fn(&str) -> &'static str,
    ) -> Result<Self, ChatError> {
        let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let openai = &PROVIDERS[0];
        let (provider, name, guessed) = match named(model)? {
            Some((provider, name)) => (provider, name, false),
            None => match infer(model) {
                "openai" | "openai_resp" => (openai, model, false),
                "gemini_ix" => (&PROVIDERS[2], model, false),
                "ollama" if openai.address_vars.iter().any(|var| env(var).is_some()) => (openai, model, true),
                adapter => {
                    let known = PROVIDERS.iter().find(|provider| provider.names[0] == adapter);
                    (known.unwrap_or(&PROVIDERS[3]), model, adapter == "ollama")
                }
            },
        };
        if name.trim().is_empty() {
            let message = format!("`{model}` names no model: write it like `openai/gpt-4o-mini`");
            return Err(ChatError::permanent("model", message));
        }
        let (address, moved) = provider.address(&env)?;
        let key = provider.key(moved, &env)?;
        let adapter = match provider.adapter {
            // Servers that are compatible with OpenAI know chat completions; only OpenAI needs its other API.
            "openai" if !moved && std::ptr::eq(provider, openai) && infer(name) == "openai_resp" => {
                "openai_resp"
            }
            adapter => adapter,
        };
        Ok(Self {
            provider: provider.names[0],
            adapter,
            model: SmolStr::new(name),
            address,
            moved,
            key,
            guessed,
        })
    }

    /// What to do about an answer with this status, where there is something to do.
    pub(crate) fn advice(&self, status: u16) -> Option<String> {
        let provider = PROVIDERS.iter().find(|known| known.names[0] == self.provider)?;
        let moved = || format!("the address is {}", self.server());
        match status {
            401 | 403 => {
                let key = provider.key_vars.first()?;
                let sent = self.key.as_deref() != Some(NO_KEY);
                Some(if sent {
                    format!("check {key}")
                } else {
                    format!("set {key}")
                })
            }
            404 if self.moved => Some(format!("check the model `{}`; {}", self.model, moved())),
            404 => Some(format!("check the model `{}`", self.model)),
            429 => Some("ask less at once (`max_concurrent`), or wait longer (`retry`)".to_owned()),
            300..=399 if self.moved => Some(moved()),
            _ => None,
        }
    }

    /// Host and port, for messages: the whole address may carry a key.
    pub(crate) fn server(&self) -> String {
        let ChatTarget {
            server_address,
            server_port,
            ..
        } = self.target();
        format!(
            "{}:{}",
            server_address.as_deref().unwrap_or("?"),
            server_port.map_or_else(|| "?".to_owned(), |port| port.to_string())
        )
    }

    pub(crate) fn target(&self) -> ChatTarget {
        let url = reqwest::Url::parse(&self.address).ok();
        ChatTarget {
            provider: SmolStr::new_static(self.provider),
            model: self.model.clone(),
            server_address: url.as_ref().and_then(reqwest::Url::host_str).map(SmolStr::new),
            server_port: url.as_ref().and_then(reqwest::Url::port_or_known_default),
            server_path: url.as_ref().map(|url| SmolStr::new(url.path())),
        }
    }
}

/// The variables that hold the key of this provider; none where it wants no key or is not known.
pub(super) fn key_variables(provider: &str) -> &'static [&'static str] {
    let known = PROVIDERS.iter().find(|known| known.names.contains(&provider));
    known.map_or(&[], |known| known.key_vars)
}

/// The provider that `model` names by a prefix, and the name behind it.
fn named(model: &str) -> Result<Option<(&'static Provider, &str)>, ChatError> {
    let by_prefix = |prefix: &str| {
        PROVIDERS.iter().find(|provider| {
            provider
                .names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(prefix))
        })
    };
    if let Some((prefix, name)) = model.split_once("::") {
        let Some(provider) = by_prefix(prefix) else {
            let known: Vec<&str> = PROVIDERS.iter().map(|provider| provider.names[0]).collect();
            let message = format!(
                "`{prefix}` in the model `{model}` is no provider: known are {}",
                known.join(", ")
            );
            return Err(ChatError::permanent("model", message));
        };
        return Ok(Some((provider, name)));
    }
    // Behind an unknown prefix stands a name like `meta-llama/Llama-3`, which is a model's own.
    Ok(model
        .split_once('/')
        .and_then(|(prefix, name)| Some((by_prefix(prefix)?, name))))
}

impl Provider {
    fn address(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<(String, bool), ChatError> {
        for var in self.address_vars {
            let Some(value) = env(var) else { continue };
            let address = self.completion.complete(value.trim());
            let usable = reqwest::Url::parse(&address)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if !usable {
                let message = format!("{var} is `{}`, which is no http or https address", value.trim());
                return Err(ChatError::permanent("address", message));
            }
            return Ok((address, true));
        }
        let address = match self.address.split_once("{AWS_REGION}") {
            Some((before, after)) => {
                let region = env("AWS_REGION").or_else(|| env("AWS_DEFAULT_REGION"));
                Cow::Owned(format!(
                    "{before}{}{after}",
                    region.as_deref().unwrap_or("us-east-1")
                ))
            }
            None => Cow::Borrowed(self.address),
        };
        Ok((address.into_owned(), false))
    }

    fn key(&self, moved: bool, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, ChatError> {
        if let Some(key) = self.key_vars.iter().find_map(|var| env(var)) {
            return Ok(Some(key.trim().to_owned()));
        }
        match self.key_vars.first() {
            None => Ok(None),
            Some(_) if moved => Ok(Some(NO_KEY.to_owned())),
            Some(var) => {
                let name = self.names[0];
                let elsewhere = self.address_vars[0];
                Err(ChatError::permanent(
                    "auth",
                    format!("no API key for {name}: set {var}, or {elsewhere} to ask another server"),
                ))
            }
        }
    }
}

impl Completion {
    fn complete(self, value: &str) -> String {
        let value = value.trim_end_matches('/');
        match self {
            Self::AsIs => format!("{value}/"),
            Self::Append(_) if ends_in_version(value) => format!("{value}/"),
            Self::Append(path) => format!("{value}/{path}/"),
            Self::OllamaHost => ollama_address(value),
        }
    }
}

fn ends_in_version(address: &str) -> bool {
    let last = address.rsplit('/').next().unwrap_or_default();
    let mut characters = last.chars();
    characters.next() == Some('v') && characters.next().is_some_and(|second| second.is_ascii_digit())
}

/// Ollama's own rule: without a scheme it is http, without scheme and port the port is 11434.
fn ollama_address(value: &str) -> String {
    let value = value.strip_suffix("/v1").unwrap_or(value).trim_end_matches('/');
    if value.contains("://") {
        return format!("{value}/");
    }
    let (host, path) = match value.split_once('/') {
        Some((host, path)) => (host, format!("{path}/")),
        None => (value, String::new()),
    };
    let host = if host.starts_with(':') {
        format!("localhost{host}")
    } else {
        host.to_owned()
    };
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = if has_port { "" } else { ":11434" };
    format!("http://{host}{port}/{path}")
}

#[cfg(test)]
mod tests;
