//! Token counts guessed from a text, for calls whose provider gave no usage.
//!
//! Never passes for a count: every figure made here is marked [`FigureSource::Estimate`], or
//! [`FigureSource::Tokenizer`] where the cargo feature `tokenizer` is on and the model is OpenAI's.
//!
//! [`FigureSource::Estimate`]: flowmeter_model::FigureSource::Estimate
//! [`FigureSource::Tokenizer`]: flowmeter_model::FigureSource::Tokenizer

#[cfg(feature = "tokenizer")]
mod tokenizer;

use flowmeter_model::Figure;

/// Whether this build has the cargo feature `tokenizer`: then texts are worth keeping for an estimate, not only
/// their lengths.
pub const HAS_TOKENIZER: bool = cfg!(feature = "tokenizer");

/// One token per four UTF-8 bytes, rounded up.
///
/// Bytes and not characters: a Chinese character is three bytes and about one token, so counting
/// characters would miss most of such a text.
#[must_use]
pub fn estimate_tokens(text: &str) -> Figure {
    estimate_bytes(text.len() as u64)
}

/// The same for a text of which only the length is known, in UTF-8 bytes.
#[must_use]
pub fn estimate_bytes(text_bytes: u64) -> Figure {
    Figure::estimate(text_bytes.div_ceil(4))
}

/// The tokens of a text that this model wrote: by OpenAI's own tokenizer where the feature `tokenizer` is on and
/// the name is that of a model of OpenAI's (with provider, date or as the base of a fine-tune), else by bytes.
#[must_use]
pub fn estimate_output(model: &str, text: &str) -> Figure {
    #[cfg(feature = "tokenizer")]
    if let Some(tokens) = tokenizer::count(model, text) {
        return Figure::tokenizer(tokens);
    }
    let _ = model;
    estimate_tokens(text)
}

/// The tokens of these messages as input of this model. With the tokenizer, what OpenAI puts around each message
/// and before the answer is counted too; bytes are rounded up once, for all messages.
#[must_use]
pub fn estimate_input(model: &str, messages: &[&str]) -> Figure {
    #[cfg(feature = "tokenizer")]
    if let Some(tokens) = tokenizer::count_messages(model, messages) {
        return Figure::tokenizer(tokens);
    }
    let _ = model;
    estimate_bytes(messages.iter().map(|message| message.len() as u64).sum())
}

#[cfg(test)]
mod tests;
