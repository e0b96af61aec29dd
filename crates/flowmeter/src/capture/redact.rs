//! Secrets, and how they are found: by the name of their key, by a well-known pattern, by being the value of
//! an environment variable whose name says secret, or by a pattern of the user's.
//!
//! Never guesses from entropy: what is masked can be explained. The known cost: prose such as
//! `password: hunter2` is masked as well.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use aho_corasick::AhoCorasick;
use regex::{Captures, Regex};
use thiserror::Error;

/// What stands in place of a secret.
pub(crate) const MASK: &str = "[REDACTED]";

/// Values shorter than this would mask half of every text.
const SECRET_VALUE_BYTES_MIN: usize = 6;

/// Why secrets cannot be looked for.
#[derive(Debug, Error)]
pub enum InvalidRedaction {
    /// A pattern of the user's is wrong.
    #[error("the redaction pattern `{pattern}` is no regular expression")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: regex::Error,
    },
    /// The values are too many; none of them is shown.
    #[error("the secret values are too many to be looked for")]
    TooManyValues,
}

/// Finds and masks secrets.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// Known secrets, such as the values of environment variables.
    values: Option<Arc<KnownValues>>,
    /// Patterns of the user's.
    patterns: Option<Arc<Regex>>,
}

/// The named groups stay, so that a reader still sees what kind of secret it was. Word boundaries are ASCII's:
/// the others would make the search slow in every text that is not English.
static WELL_KNOWN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let kinds = [
        // A private key, also one whose end was cut off.
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
        // OpenAI, Anthropic, OpenRouter, Stripe and all others that begin alike.
        r"(?-u:\b)(?:sk|pk|rk)[-_][A-Za-z0-9_-]{10,}",
        r"(?-u:\b)(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{16,}|(?-u:\b)github_pat_[A-Za-z0-9_]{16,}|(?-u:\b)glpat-[A-Za-z0-9_-]{12,}",
        r"(?-u:\b)(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{12,}",
        r"(?-u:\b)AIza[A-Za-z0-9_-]{30,}|(?-u:\b)ya29\.[A-Za-z0-9_-]{16,}",
        r"(?-u:\b)xox[abeoprs]-[A-Za-z0-9-]{10,}|(?-u:\b)hf_[A-Za-z0-9]{16,}|(?-u:\b)gsk_[A-Za-z0-9]{16,}|(?-u:\b)npm_[A-Za-z0-9]{20,}",
        // A JSON Web Token, also one whose tail was cut off.
        r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,2}",
        r"(?i:(?-u:\b)(?P<bearer>bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}",
        // user:password@ in an address.
        r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@",
        // name=value and "name": "value" in commands, queries and JSON texts.
        concat!(
            r#"(?i:(?P<name>(?-u:\b)[a-z0-9_-]*(?:api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?token|access[_-]?token"#,
            r#"|refresh[_-]?token|session[_-]?token|client[_-]?secret|secret|password|passwd|(?-u:\b)token|authorization|cookie)"#,
            r#"\\?["']?\s*[:=]\s*\\?["']?))(?:(?i:bearer|basic|token)\s+)?[^\s"'&,;}\\]{4,}"#
        ),
    ];
    Regex::new(&kinds.join("|")).ok()
});

/// Values that are secret wherever they stand.
#[derive(Debug)]
struct KnownValues {
    /// Finds how values begin, all in one pass; learning whole values could take long.
    beginnings: AhoCorasick,
    /// In the order of their beginnings.
    values: Vec<String>,
}

/// How much of a value's beginning is searched for.
const BEGINNING_BYTES_MAX: usize = 32;

impl KnownValues {
    fn new(values: &[String]) -> Result<Option<Self>, InvalidRedaction> {
        let values: Vec<String> = values
            .iter()
            .filter(|value| value.len() >= SECRET_VALUE_BYTES_MIN)
            .cloned()
            .collect();
        if values.is_empty() {
            return Ok(None);
        }
        let beginnings = values
            .iter()
            .map(|value| &value.as_bytes()[..value.len().min(BEGINNING_BYTES_MAX)]);
        let beginnings = AhoCorasick::new(beginnings).map_err(|_| InvalidRedaction::TooManyValues)?;
        Ok(Some(Self { beginnings, values }))
    }

    /// Where values stand, as byte ranges; they may overlap.
    fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        self.beginnings.find_overlapping_iter(text).filter_map(|found| {
            let value = self.values.get(found.pattern().as_usize())?;
            let range = found.start()..found.start() + value.len();
            (text.as_bytes().get(range.clone())? == value.as_bytes()).then_some(range)
        })
    }

    fn is_match(&self, text: &str) -> bool {
        self.find(text).next().is_some()
    }

    /// The text with every value masked; `None` when there is none in it.
    fn mask(&self, text: &str) -> Option<String> {
        let mut found: Vec<Range<usize>> = self.find(text).collect();
        // A value may begin with another one: the longest goes first.
        found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        found.first()?;
        let mut masked = String::with_capacity(text.len());
        let mut done = 0;
        for range in found {
            if range.start >= done {
                masked.push_str(&text[done..range.start]);
                masked.push_str(MASK);
            }
            done = done.max(range.end);
        }
        masked.push_str(&text[done..]);
        Some(masked)
    }
}

/// What every well-known secret contains, in whatever case. Most texts hold none of it and are spared the
/// pattern; a short run never even compiles it.
static TRIGGERS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let triggers = [
        "-----begin",
        "sk-",
        "sk_",
        "pk-",
        "pk_",
        "rk-",
        "rk_",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "akia",
        "asia",
        "agpa",
        "aida",
        "aroa",
        "aiza",
        "ya29.",
        "xox",
        "hf_",
        "npm_",
        "eyj",
        "bearer",
        "basic",
        "://",
        "key",
        "token",
        "secret",
        "passw",
        "authorization",
        "cookie",
    ];
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(triggers)
        .ok()
});

/// Names of keys that hold secrets, written together and in lower case.
static SECRET_PARTS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let parts = [
        "apikey",
        "accesskey",
        "privatekey",
        "secret",
        "password",
        "passwd",
        "passphrase",
        "authorization",
        "credential",
        "cookie",
        "signingkey",
    ];
    AhoCorasick::new(parts).ok()
});

impl Redactor {
    /// A redactor that also masks these values (of environment variables, of inputs) and what these patterns
    /// match. Values of fewer than 6 bytes are left out: they would mask half of every text.
    ///
    /// # Errors
    /// [`InvalidRedaction`] names the pattern that is no regular expression; it never shows a value.
    pub fn new(secret_values: &[String], patterns: &[String]) -> Result<Self, InvalidRedaction> {
        let invalid = |pattern: &str, source| InvalidRedaction::Pattern {
            pattern: pattern.to_owned(),
            source,
        };
        for pattern in patterns {
            Regex::new(pattern).map_err(|source| invalid(pattern, source))?;
        }
        let joined = patterns
            .iter()
            .map(|pattern| format!("(?:{pattern})"))
            .collect::<Vec<_>>()
            .join("|");
        let compiled = match patterns {
            [] => None,
            _ => Some(Arc::new(
                Regex::new(&joined).map_err(|source| invalid(&joined, source))?,
            )),
        };
        Ok(Self {
            values: KnownValues::new(secret_values)?.map(Arc::new),
            patterns: compiled,
        })
    }

    /// Whether there is nothing to mask.
    pub(crate) fn is_clean(&self, text: &str) -> bool {
        if self.values.as_ref().is_some_and(|values| values.is_match(text))
            || self
                .patterns
                .as_ref()
                .is_some_and(|patterns| patterns.is_match(text))
        {
            return false;
        }
        let has_trigger = TRIGGERS
            .as_ref()
            .is_none_or(|triggers| triggers.is_match(text.as_bytes()));
        !has_trigger
            || !WELL_KNOWN
                .as_ref()
                .is_some_and(|well_known| well_known.is_match(text))
    }

    /// The text with every secret masked; borrowed when there is none.
    pub(crate) fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut once = Cow::Borrowed(text);
        if let Some(masked) = self.values.as_ref().and_then(|values| values.mask(text)) {
            once = Cow::Owned(masked);
        }
        if let Some(patterns) = self.patterns.as_ref().filter(|patterns| patterns.is_match(&once)) {
            once = Cow::Owned(patterns.replace_all(&once, MASK).into_owned());
        }
        if TRIGGERS
            .as_ref()
            .is_some_and(|triggers| !triggers.is_match(once.as_bytes()))
        {
            return once;
        }
        let Some(well_known) = WELL_KNOWN.as_ref() else {
            return once;
        };
        if !well_known.is_match(&once) {
            return once;
        }
        let masked = well_known.replace_all(&once, |found: &Captures<'_>| {
            if let Some(bearer) = found.name("bearer") {
                format!("{} {MASK}", bearer.as_str())
            } else if let Some(scheme) = found.name("scheme") {
                format!("{}{MASK}@", scheme.as_str())
            } else if let Some(name) = found.name("name") {
                format!("{}{MASK}", name.as_str())
            } else {
                MASK.to_owned()
            }
        });
        Cow::Owned(masked.into_owned())
    }
}

/// Whether a key or an environment variable of this name holds a secret.
///
/// ```
/// assert!(flowmeter::is_secret_name("X-Api-Key"));
/// assert!(flowmeter::is_secret_name("auth_token"));
/// assert!(!flowmeter::is_secret_name("max_tokens"));
/// ```
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    // Asked for every key of every value: no allocation for names of a usual length.
    let mut plain = smallvec::SmallVec::<[u8; 64]>::new();
    plain.extend(
        name.bytes()
            .filter(u8::is_ascii_alphanumeric)
            .map(|byte| byte.to_ascii_lowercase()),
    );
    plain.ends_with(b"token")
        || plain.as_slice() == b"auth"
        || plain.as_slice() == b"pwd"
        || SECRET_PARTS
            .as_ref()
            .is_some_and(|parts| parts.is_match(plain.as_slice()))
}
