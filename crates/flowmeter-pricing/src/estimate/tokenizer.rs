//! Counting tokens as OpenAI's models do.
//!
//! Never loads a vocabulary before it is needed, and never gives a long text to the tokenizer as a whole: its time
//! grows with the square of a run without spaces, and it gives up on very long runs of them.

use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

use crate::host::fold;
use crate::model_name::{fine_tuned_base, strip_version, unprefixed, without_region};

/// Texts are counted in parts of at most so many bytes.
const PART_BYTES_MAX: usize = 4_096;

/// Tokens around each message (<https://github.com/openai/openai-cookbook>, "How to count tokens"), its role
/// included.
const MESSAGE_TOKENS: u64 = 4;

/// Tokens with which each answer begins, which count as input.
const ANSWER_TOKENS: u64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vocabulary {
    O200k,
    Cl100k,
}

impl Vocabulary {
    /// The vocabulary of a model of OpenAI's; `None` for everybody else's.
    pub(super) fn of(model: &str) -> Option<Self> {
        let folded = fold(model);
        let mut name = &*folded;
        while let Some(shorter) = unprefixed(name) {
            name = shorter.name;
        }
        let name = fine_tuned_base(name).unwrap_or(name);
        let mut name = without_region(name).unwrap_or(name);
        // Ollama writes the size behind a colon.
        name = name.split_once(':').map_or(name, |(name, _)| name);
        // Some names end like a version but have none: `text-embedding-ada-002`.
        loop {
            if let Some(vocabulary) = Self::of_family(name) {
                return Some(vocabulary);
            }
            name = strip_version(name)?;
        }
    }

    fn of_family(name: &str) -> Option<Self> {
        const O200K: [&str; 9] = [
            "gpt-4o",
            "gpt-4.1",
            "gpt-4.5",
            "chatgpt-4o",
            "gpt-oss",
            "gpt-audio",
            "gpt-realtime",
            "codex-mini",
            "computer-use-preview",
        ];
        const CL100K: [&str; 7] = [
            "gpt-4",
            "gpt-3.5",
            "gpt-35",
            "text-embedding-ada-002",
            "text-embedding-3",
            "davinci-002",
            "babbage-002",
        ];
        let is_of = |family: &&str| {
            let rest = name.strip_prefix(*family);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let generation = |rest: &str| {
            let digits = rest.len()
                - rest
                    .trim_start_matches(|letter: char| letter.is_ascii_digit())
                    .len();
            let after = &rest[digits..];
            let ends = after.is_empty() || after.starts_with(['-', '.']);
            rest[..digits].parse::<u32>().ok().filter(|_| ends)
        };
        let reasoner = name.strip_prefix('o').and_then(generation).is_some();
        let from_five = name
            .strip_prefix("gpt-")
            .and_then(generation)
            .is_some_and(|number| number >= 5);
        if CL100K.iter().any(is_of) {
            return Some(Self::Cl100k);
        }
        (O200K.iter().any(is_of) || reasoner || from_five).then_some(Self::O200k)
    }

    fn encoder(self) -> &'static CoreBPE {
        match self {
            Self::O200k => o200k_base_singleton(),
            Self::Cl100k => cl100k_base_singleton(),
        }
    }

    fn count(self, text: &str) -> u64 {
        let encoder = self.encoder();
        parts(text).map(|part| encoder.count_ordinary(part) as u64).sum()
    }
}

/// The tokens of a text; `None` where the model is not OpenAI's.
pub(super) fn count(model: &str, text: &str) -> Option<u64> {
    Some(Vocabulary::of(model)?.count(text))
}

/// The tokens of messages with what stands around them. Embeddings have no messages, only texts.
pub(super) fn count_messages(model: &str, messages: &[&str]) -> Option<u64> {
    let vocabulary = Vocabulary::of(model)?;
    let texts: u64 = messages.iter().map(|message| vocabulary.count(message)).sum();
    let around = if model.contains("embedding") {
        0
    } else {
        messages.len() as u64 * MESSAGE_TOKENS + ANSWER_TOKENS
    };
    Some(texts + around)
}

/// Cuts a text before a space where it can, for tokens begin with their space.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len().min(PART_BYTES_MAX);
        if end < rest.len() {
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let before_space = rest[..end].rfind(' ').filter(|at| *at > end / 2);
            end = before_space.unwrap_or(end);
        }
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}
